"""How samples look: reports of import and export, and the statistics of the training log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from reasoning_cli.operations.exporting import ExportReport
from reasoning_cli.operations.importing import ImportReport
from reasoning_cli.operations.samples import SampleStatistics
from reasoning_cli.store.samples import TypeFigures
from reasoning_cli.terminal.units import bar, iso, percent, size
from reasoning_cli.values import spell_model_type

_MOST_DECISIONS = 4
_BAR = 10


def _types(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {spell_model_type(name)}" for name, count in counts.items())


def _reasons(counts: Mapping[str, int]) -> list[str]:
    """Counts by why, most first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"  {count:>7,}  {reason}" for reason, count in ordered]


def import_lines(report: ImportReport) -> list[str]:
    """What became of the rows of an import."""
    found = sum(report.by_type.values())
    lines = [f"{found:,} decisions in {report.read:,} rows: {_types(report.by_type) or 'none'}"]
    lines.append(f"{report.added:,} added, {report.already_there:,} were there already")
    skipped = sum(report.skipped.values())
    if skipped:
        lines.append(f"{skipped:,} rows are no decision:")
        lines.extend(_reasons(report.skipped))
    if report.bad:
        lines.append(f"{report.bad:,} rows could not be read")
    return lines


def import_record(report: ImportReport) -> dict[str, object]:
    """An import for machines."""
    return {
        **asdict(report),
        "by_type": dict(report.by_type),
        "skipped": dict(report.skipped),
        "bad_lines": [{"line": bad.number, "why": bad.why} for bad in report.bad_lines],
    }


def export_lines(report: ExportReport) -> list[str]:
    """What was exported, where to, and what was left out."""
    lines = [
        f"{report.written:,} samples ({_types(report.by_type)}) written to {report.path or 'stdout'},"
        f" {size(report.size_bytes)}",
        f"from {iso(report.oldest)} to {iso(report.newest)}",
    ]
    left_out = sum(report.left_out.values())
    if left_out:
        lines.append(f"{left_out:,} left out:")
        lines.extend(_reasons(report.left_out))
    return lines


def export_record(report: ExportReport) -> dict[str, object]:
    """An export for machines."""
    return {**asdict(report), "by_type": dict(report.by_type), "left_out": dict(report.left_out)}


def stats_lines(statistics: SampleStatistics) -> list[str]:
    """The training log at a glance."""
    figures = statistics.figures
    if figures.range.oldest is None or figures.range.newest is None:
        return ["No decisions yet."]
    first, last = (moment.astimezone().date().isoformat() for moment in (figures.range.oldest, figures.range.newest))
    lines = [
        f"{figures.range.count:,} decisions, {first} to {last},"
        f" {figures.last_day:,} in the last 24 hours, {size(figures.size_bytes)}",
        "",
    ]
    for name, part in figures.by_type.items():
        lines.append(f"{spell_model_type(name):<15} {part.range.count:>9,}   {_balance(part)}")
    lines.append("")
    lines.append(f"{'quality':<15} {statistics.quality}: {statistics.quality_reason}")
    near = sum(part.near_repeats for part in figures.by_type.values())
    unparsed = sum(part.unparsed for part in figures.by_type.values())
    share = near / figures.range.count
    lines.append(f"{'near-copies':<15} {near:,} ({percent(share)}), {unparsed:,} answers that cannot be read")
    for label, advice in zip(
        ["advice"] + [""] * len(statistics.recommendations), statistics.recommendations, strict=False
    ):
        lines.append(f"{label:<15} {advice}")
    return lines


def _balance(part: TypeFigures) -> str:
    """The commonest decisions, each with a bar of its share."""
    ordered = sorted(part.decisions.items(), key=lambda item: (-item[1], item[0]))[:_MOST_DECISIONS]
    return "   ".join(
        f"{name} {bar(count / part.range.count, _BAR)} {percent(count / part.range.count)}" for name, count in ordered
    )


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
