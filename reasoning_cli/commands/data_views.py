"""How samples look: what reports of import and export share, and that of an import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from reasoning_cli.operations.importing import ImportReport
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.units import counted
from reasoning_cli.values import spell_model_type

Fact = tuple[str, str]


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


def import_lines(report: ImportReport) -> tuple[list[str], list[Fact]]:
    """What became of the rows of an import, and why some are no decision."""
    found = sum(report.by_type.values())
    lines = [f"{counted(found, 'decision')} in {counted(report.read, 'row')}: {types_text(report.by_type) or 'none'}"]
    lines.append(f"{report.added:,} added, {report.already_there:,} there already")
    if report.bad:
        lines.append(f"{counted(report.bad, 'row')} not read: broken")
    if skipped := sum(report.skipped.values()):
        lines.append(f"{counted(skipped, 'row')} without a decision:")
    return lines, reasons(report.skipped)


def import_record(report: ImportReport) -> dict[str, object]:
    """An import for machines."""
    return {
        **asdict(report),
        "by_type": dict(report.by_type),
        "skipped": dict(report.skipped),
        "bad_lines": [{"line": bad.number, "why": bad.why} for bad in report.bad_lines],
    }
