"""How an export looks: the summary in sentences and the record for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from reasoning_cli.commands._shared.sample_views import Fact, reasons, types_text
from reasoning_cli.operations.data.export.run import ExportReport
from reasoning_cli.terminal.units import counted, moment, percent, size

_FAR_OFF = 0.02  # a share of all samples by which a split may miss what was asked for without a word


def export_lines(report: ExportReport, differences: Sequence[str]) -> tuple[list[str], list[Fact]]:
    """What was exported where to, what stands out, and why some samples were left out."""
    lines = [
        f"{counted(report.written, 'sample')} ({types_text(report.by_type)}) {_written_to(report)},"
        f" {size(report.size_bytes)}, about {counted(report.tokens, 'token')}"
    ]
    lines += _sides(report)
    wanted = report.request.wanted
    if wanted.since or wanted.until:
        bounds = (f"from {moment(wanted.since)}" if wanted.since else "", _before(wanted.until))
        lines.append(f"asked for: {' '.join(bound for bound in bounds if bound)} (your zone)")
    lines.append(
        f"from {moment(report.oldest)} to {moment(report.newest)} (your zone), the longest about"
        f" {counted(report.longest, 'token')}"
    )
    if report.redactions:
        kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in report.redactions.items())
        lines.append(f"redacted: {kinds}")
    elif report.request.rules.salt is None:
        lines.append("nothing was redacted: --no-redact")
    if report.manifest is not None:
        lines.append(f"all about it in {report.manifest}")
    if report.removed:
        lines.append(f"of the export before, these are gone: {', '.join(file.name for file in report.removed)}")
    lines += differences
    if left_out := sum(report.left_out.values()):
        lines.append(f"{left_out:,} left out:")
    return lines, reasons(report.left_out)


def _written_to(report: ExportReport) -> str:
    would = "would be " if report.dry_run else ""
    if report.target:
        shards = f", {counted(len(report.shards), 'shard')}" if report.shards else ""
        return f"{would}written to {report.target}{shards}"
    if len(report.files) > 1:
        return f"{would}written to {len(report.files)} files"
    return f"{would}written to {report.files[0].path or ('a file' if report.dry_run else 'stdout')}"


def _sides(report: ExportReport) -> list[str]:
    """What went into each file of a split."""
    if len(report.files) == 1:
        return []
    lines = []
    for file in report.files:
        share = percent(file.samples / report.written)
        place = file.path or (f"{file.side}-*.jsonl" if report.target else "a file")
        lines.append(f"{file.side}: {counted(file.samples, 'sample')} ({share}) in {place}")
    return lines + _split_remark(report)


def export_record(report: ExportReport) -> dict[str, object]:
    """An export for machines."""
    first = report.files[0]
    return {
        "path": first.path if len(report.files) == 1 else None,
        "fmt": report.request.rules.fmt,
        "trainer": report.request.rules.trainer,
        "written": report.written,
        "by_type": dict(report.by_type),
        "left_out": dict(report.left_out),
        "redactions": dict(report.redactions),
        "size_bytes": report.size_bytes,
        "tokens_estimated": report.tokens,
        "longest_sample_tokens": report.longest,
        "largest_group": report.largest_group,
        "oldest": report.oldest,
        "newest": report.newest,
        "dry_run": report.dry_run,
        "manifest": report.manifest,
        "files": [asdict(file) for file in report.files],
        "removed": list(report.removed),
        **({"target": report.target, "shards": list(report.shards)} if report.target else {}),
    }


def _before(until: datetime | None) -> str:
    """The end of what was asked for; of a day that counts whole, the midnight after it."""
    return f"until before {moment(until)}" if until else ""


def _split_remark(report: ExportReport) -> list[str]:
    asked = report.request.split
    real = [file.samples / report.written for file in report.files]
    if all(abs(got - wish) <= _FAR_OFF for got, wish in zip(real, asked, strict=True)):
        return []
    return [
        f"{'/'.join(f'{wish:.2g}' for wish in asked)} was asked: {percent(report.largest_group)} of the samples belong"
        " together, as one room's or as near-copies, and cannot be parted"
    ]
