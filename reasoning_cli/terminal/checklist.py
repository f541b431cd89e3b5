"""One line a check: a word that says how it went, what was found, and what to type about it."""

from __future__ import annotations

from reasoning_cli.redact import redact
from reasoning_cli.terminal.cleaning import visible
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.wrapping import wrap

_WORD = 6
_DETAIL = 48


def show_check(terminal: Terminal, word: str, style: str, detail: str, fix: str | None) -> None:
    """Write one check to stdout; the fix goes on a line of its own where both do not fit on one."""
    detail, fix = visible(redact(detail)), visible(redact(terminal.as_called(fix or "")))
    one_line = f"{detail:<{_DETAIL}}  fix: {fix}" if fix else detail
    fits = _WORD + len(one_line) <= terminal.width
    width = max(20, terminal.width - _WORD)
    # A fix is a command to copy, whole, or a sentence that names one in backticks.
    repair = wrap(f"fix: {fix}", width) if "`" in fix else [f"fix: {fix}"] if fix else []
    lines = [one_line] if fits else [*wrap(detail, width), *repair]
    marked = terminal.paint(word.ljust(_WORD), style, terminal.out)
    for number, line in enumerate(lines):
        terminal.print(f"{marked if number == 0 else ' ' * _WORD}{line}")
