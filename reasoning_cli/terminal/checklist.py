"""One line a check: a word that says how it went, what was found, and what to type about it."""

from __future__ import annotations

import textwrap

from reasoning_cli.redact import redact
from reasoning_cli.terminal.console import STYLES, Terminal, visible

_WORD = 6
_DETAIL = 48


def show_check(terminal: Terminal, word: str, style: str, detail: str, fix: str | None) -> None:
    """Write one check to stdout; the fix goes on a line of its own where both do not fit on one."""
    detail, fix = visible(redact(detail)), visible(redact(fix or ""))
    one_line = f"{detail:<{_DETAIL}}  fix: {fix}" if fix else detail
    fits = _WORD + len(one_line) <= terminal.width
    lines = [one_line] if fits else _wrapped(terminal, detail) + (_wrapped(terminal, f"fix: {fix}") if fix else [])
    marked = word.ljust(_WORD)
    if terminal.use_color(terminal.out):
        from rich.text import Text

        console = terminal.console(terminal.out)
        with console.capture() as captured:
            console.print(Text(marked, style=STYLES[style]), end="")
        marked = captured.get()
    for number, line in enumerate(lines):
        terminal.print(f"{marked if number == 0 else ' ' * _WORD}{line}")


def _wrapped(terminal: Terminal, text: str) -> list[str]:
    """Broken between words only: a path or command stays in one piece to be copied."""
    width = max(20, terminal.width - _WORD)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
