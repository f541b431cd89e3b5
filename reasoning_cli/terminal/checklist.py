"""One line a check: a word that says how it went, what was found, and what to type about it."""

from __future__ import annotations

from reasoning_cli.redact import redact
from reasoning_cli.terminal.cleaning import visible
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.styles import marked
from reasoning_cli.terminal.wrapping import wrap

_WORD = 4
_GAP = 2
_DETAIL = 48


def show_check(terminal: Terminal, word: str, style: str, detail: str, fix: str | None) -> None:
    """Write one check to stdout, as soon as it is made; the fix goes on a line of its own where both do not fit on
    one."""
    detail, fix = visible(redact(detail)), visible(redact(terminal.as_called(fix or "")))
    shown = marked(word, style) if terminal.out_is_terminal else word
    label = shown.ljust(_WORD + len(shown) - len(word))
    # In a pipe the word has six columns whatever it is.
    beside = len(label) + _GAP if terminal.out_is_terminal else _WORD + _GAP
    one_line = f"{detail:<{_DETAIL}}  fix: {fix}" if fix else detail
    width = max(20, terminal.width - beside)
    # A fix is a command to copy, whole, or a sentence that names one in backticks.
    repair = wrap(f"fix: {fix}", width) if "`" in fix else [f"fix: {fix}"] if fix else []
    lines = [one_line] if beside + len(one_line) <= terminal.width else [*wrap(detail, width), *repair]
    if terminal.out_is_terminal:
        from reasoning_cli.terminal.rich_table import draw_beside

        console = terminal.console(terminal.out, terminal.width)
        for line in draw_beside(console, [((label, style), lines, "")], gap=_GAP):
            terminal.print(line)
        return
    painted = terminal.paint(label.ljust(beside), style, terminal.out)
    for number, line in enumerate(lines):
        terminal.print(f"{painted if number == 0 else ' ' * beside}{line}")
