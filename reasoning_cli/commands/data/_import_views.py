"""How an import looks: what became of its rows, and how far it is."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from reasoning_cli.commands._shared.sample_views import forgotten_lines, reasons, types_text
from reasoning_cli.operations.data.ingest.pipeline import ImportReport
from reasoning_cli.store.samples.rooms import ANSWERED, STOPPED
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.units import counted, duration, percent, size

_LEAST_SECONDS = 1.0  # before that no rate means anything


def show_import(terminal: Terminal, report: ImportReport) -> None:
    """What became of the rows of an import, and why some are no decision."""
    if report.read == 0:
        how = " since the last import; `reasoning data import --again` reads all of it" if report.went_on else ""
        terminal.say(f"nothing new{how}")
        return
    found = sum(report.by_type.values())
    terminal.say(
        f"{counted(found, 'decision')} in {counted(report.read, 'row')}: {types_text(report.by_type) or 'none'}"
    )
    added = "would be added" if report.dry_run else "added"
    gateway = f", {report.recorded:,} recorded by the gateway already" if report.recorded else ""
    terminal.say(f"{report.added:,} {added}, {report.already_there:,} there already{gateway}")
    for line in forgotten_lines(report.forgotten, report.taken_back):
        terminal.say(line)
    if report.undated:
        are = "1 decision says" if report.undated == 1 else f"{report.undated:,} decisions say"
        terminal.say(f"{are} no time: taken as of now")
    if report.outcomes:
        answered, stopped = report.outcomes.get(ANSWERED, 0), report.outcomes.get(STOPPED, 0)
        terminal.say(f"what came of it: {answered:,} times the user answered, {stopped:,} times it was to be quiet")
    if not report.is_whole:
        terminal.say("stopped at --limit; the same command goes on behind it")
    if report.went_on:
        terminal.say("what the last import read was not read again; `--again` reads all of it")
    if report.bad:
        where = f", kept in {report.rejects}" if report.rejects is not None else ""
        terminal.say(f"{counted(report.bad, 'row')} not read{where}:")
        terminal.facts(reasons(report.bad_by_why))
    if skipped := sum(report.skipped.values()):
        terminal.say(f"{counted(skipped, 'row')} without a decision to take in:")
        terminal.facts(reasons(report.skipped))


def import_record(report: ImportReport) -> dict[str, object]:
    """An import for machines."""
    record = {name: dict(value) if isinstance(value, dict) else value for name, value in asdict(report).items()}
    for name in ("begun", "done", "total", "unit"):
        record.pop(name)
    record["bad_lines"] = [{"line": bad.number, "why": bad.why} for bad in report.bad_lines]
    record["rejects"] = str(report.rejects) if report.rejects is not None else None
    return record


def progress_line(report: ImportReport, seconds: float) -> str:
    """How far an import is, how fast, and how long it will take where the end is known."""
    parts = [f"{report.read:,} rows", f"{report.added:,} added"]
    if report.unit == "bytes":
        parts.insert(1, size(report.done))
    if seconds < _LEAST_SECONDS:
        return ", ".join(parts)
    parts.append(f"{report.read / seconds:,.0f} rows/s")
    now = report.done - report.begun
    if report.total and now > 0 and report.total >= report.done:
        left = timedelta(seconds=seconds * (report.total - report.done) / now)
        parts.append(f"{percent(report.done / report.total)}, {duration(left)} left")
    return ", ".join(parts)
