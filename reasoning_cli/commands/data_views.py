"""How samples look: reports of import and export, and the statistics of the training log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from reasoning_cli.operations.exporting import ExportReport
from reasoning_cli.operations.importing import ImportReport
from reasoning_cli.operations.samples import SampleStatistics
from reasoning_cli.store.sample_figures import SampleFigures, TypeFigures
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.units import bar, counted, moment, percent, size
from reasoning_cli.values import spell_model_type

_MOST_DECISIONS = 4
_BAR = 10
_LABELS = 20  # columns before the text of a fact

Fact = tuple[str, str]


def report(terminal: Terminal, lines: Sequence[str], counts: Sequence[tuple[str, str]], *, to_out: bool = True) -> None:
    """Sentences, then how many of what; on stderr when stdout holds the data itself."""
    for line in lines:
        if to_out:
            terminal.say(line)
        else:
            terminal.note(line)
    terminal.facts(counts, to_out=to_out)


def _types(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {spell_model_type(name)}" for name, count in counts.items())


def _reasons(counts: Mapping[str, int]) -> list[Fact]:
    """How many of each, most first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    return [(f"{count:>{width},}", reason) for reason, count in ordered]


def import_lines(report: ImportReport) -> tuple[list[str], list[Fact]]:
    """What became of the rows of an import, and why some are no decision."""
    found = sum(report.by_type.values())
    lines = [f"{counted(found, 'decision')} in {counted(report.read, 'row')}: {_types(report.by_type) or 'none'}"]
    lines.append(f"{report.added:,} added, {report.already_there:,} there already")
    if report.bad:
        lines.append(f"{counted(report.bad, 'row')} not read: broken")
    if skipped := sum(report.skipped.values()):
        lines.append(f"{counted(skipped, 'row')} without a decision:")
    return lines, _reasons(report.skipped)


def import_record(report: ImportReport) -> dict[str, object]:
    """An import for machines."""
    return {
        **asdict(report),
        "by_type": dict(report.by_type),
        "skipped": dict(report.skipped),
        "bad_lines": [{"line": bad.number, "why": bad.why} for bad in report.bad_lines],
    }


def export_lines(report: ExportReport) -> tuple[list[str], list[Fact]]:
    """What was exported and where to, and why some samples were left out."""
    lines = [
        f"{counted(report.written, 'sample')} ({_types(report.by_type)}) written to {report.path or 'stdout'},"
        f" {size(report.size_bytes)}",
        f"from {moment(report.oldest)} to {moment(report.newest)}",
    ]
    if left_out := sum(report.left_out.values()):
        lines.append(f"{left_out:,} left out:")
    return lines, _reasons(report.left_out)


def export_record(report: ExportReport) -> dict[str, object]:
    """An export for machines."""
    return {**asdict(report), "by_type": dict(report.by_type), "left_out": dict(report.left_out)}


def stats_line(figures: SampleFigures) -> str:
    """How much there is, and from when."""
    if figures.range.oldest is None or figures.range.newest is None:
        return "No decisions yet."
    first, last = (at.astimezone().date().isoformat() for at in (figures.range.oldest, figures.range.newest))
    return (
        f"{counted(figures.range.count, 'decision')}, {first} to {last}, {figures.last_day:,} in the last 24 hours,"
        f" {size(figures.size_bytes)}"
    )


def stats_facts(statistics: SampleStatistics, width: int) -> list[Fact]:
    """What was decided, how good it is to train on and what would help, for a terminal of `width` columns."""
    figures = statistics.figures
    facts = _balance(figures, width)
    facts.append(("quality", f"{statistics.quality}: {statistics.quality_reason}"))
    near = sum(part.near_repeats for part in figures.by_type.values())
    unparsed = sum(part.unparsed for part in figures.by_type.values())
    facts.append(("near-copies", f"{near:,} ({percent(near / figures.range.count)})"))
    facts.append(("unreadable", counted(unparsed, "answer")))
    facts += [("advice" if number == 0 else "", one) for number, one in enumerate(statistics.recommendations)]
    return facts


def _balance(figures: SampleFigures, width: int) -> list[Fact]:
    """The commonest decisions of each type, each with its share: in a line with bars, or without, or a line each."""
    digits = max(len(f"{part.range.count:,}") for part in figures.by_type.values())
    for bars in (True, False):
        facts = [
            (spell_model_type(name), "   ".join([f"{part.range.count:>{digits},}", *_shares(part, bars=bars)]))
            for name, part in figures.by_type.items()
        ]
        if max(len(text) for _, text in facts) <= width - _LABELS:
            return facts
    return [
        (spell_model_type(name) if number == 0 else "", text)
        for name, part in figures.by_type.items()
        for number, text in enumerate([f"{part.range.count:>{digits},}", *_shares(part, bars=False)])
    ]


def _shares(part: TypeFigures, *, bars: bool) -> list[str]:
    ordered = sorted(part.decisions.items(), key=lambda item: (-item[1], item[0]))[:_MOST_DECISIONS]
    shares = [(name, count / part.range.count) for name, count in ordered]
    return [f"{name}{f' {bar(share, _BAR)}' if bars else ''} {percent(share)}" for name, share in shares]


def stats_record(statistics: SampleStatistics) -> dict[str, object]:
    """The statistics for machines."""
    figures = statistics.figures
    return {
        "total": figures.range.count,
        "oldest": figures.range.oldest,
        "newest": figures.range.newest,
        "last_24_hours": figures.last_day,
        "size_bytes": figures.size_bytes,
        "quality": statistics.quality,
        "quality_reason": statistics.quality_reason,
        "recommendations": list(statistics.recommendations),
        "by_type": {name: _type_record(part) for name, part in figures.by_type.items()},
    }


def _type_record(part: TypeFigures) -> dict[str, object]:
    record = {name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(part).items()}
    span = record.pop("range")
    return {**span, **record}
