"""How samples look: what reports of import and export share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reasoning_cli.terminal.console import Terminal
from reasoning_cli.values import spell_model_type

Fact = tuple[str, str]

STILL_READ = (
    "another program is reading the database, so old text is still in its write-ahead log (the file that ends in -wal);"
    " it goes when that program closes it"
)


def report(terminal: Terminal, lines: Sequence[str], counts: Sequence[tuple[str, str]], *, to_out: bool = True) -> None:
    """Sentences, then how many of what; on stderr when stdout holds the data itself."""
    for line in lines:
        if to_out:
            terminal.say(line)
        else:
            terminal.note(line)
    terminal.facts(counts, to_out=to_out)


def types_text(counts: Mapping[str, int]) -> str:
    """`4 planning, 2 coding`."""
    return ", ".join(f"{count:,} {spell_model_type(name)}" for name, count in counts.items())


def reasons(counts: Mapping[str, int]) -> list[Fact]:
    """How many of each, most first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    return [(f"{count:>{width},}", reason) for reason, count in ordered]


def forgotten_lines(left_out: int, taken_back: int) -> list[str]:
    """What is said of decisions that came back and had been deleted on request."""
    lines = []
    if left_out:
        lines.append(f"{left_out:,} forgotten before, and left out; `--include-forgotten` takes them in")
    if taken_back:
        lines.append(f"{taken_back:,} of those added had been forgotten before")
    return lines
