"""Collect, look at and export decisions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands.completion import complete_model_types
from reasoning_cli.commands.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands.session import session_of
from reasoning_cli.errors import ExitCode, UsageError
from reasoning_cli.values import parse_model_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reasoning_cli.operations.importing import ImportReport
    from reasoning_cli.terminal.console import Terminal

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("import")
def import_(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Rows of an ElizaOS agent's `logs` table as JSON Lines.")
    ],
    json: JsonOption = False,
) -> None:
    """Take in decisions an agent made already. Importing the same file again adds nothing."""
    from reasoning_cli.commands.data_views import import_lines, import_record
    from reasoning_cli.operations.importing import import_elizaos_logs
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted, size

    session = session_of(ctx)
    terminal = session.terminal
    try:
        with waiting(terminal, f"reading {source}") as shown:

            def tell(report: ImportReport, bytes_read: int) -> None:
                shown.show(f"reading {source}", f"{report.read:,} rows, {size(bytes_read)}, {report.added:,} added")

            report = import_elizaos_logs(
                sys.stdin.buffer if source == "-" else Path(source), session.store, on_progress=tell
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What was stored stays; importing the same file again adds the rest.")
        raise
    if json:
        terminal.json(import_record(report))
    else:
        _report(terminal, *import_lines(report))
    for bad in report.bad_lines:
        terminal.warn(f"line {bad.number:,} was not read: {bad.why}")
    if report.bad > len(report.bad_lines):
        terminal.warn(f"and {counted(report.bad - len(report.bad_lines), 'more line')}")


@app.command()
def export(
    ctx: typer.Context,
    model_type: Annotated[
        list[str] | None,
        typer.Option(
            "--model-type",
            "-m",
            metavar="TYPE",
            help="Only decisions of this type; may be repeated.",
            autocompletion=complete_model_types,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All three types in one file; so it is without -m.")] = False,
    fmt: Annotated[
        str, typer.Option("--format", "-f", metavar="jsonl|json", help="jsonl is what a fine-tune takes.")
    ] = "jsonl",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE|-", help="Default: training-data-TYPE-DATE.jsonl here; - is stdout."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-l", metavar="N", help="Only the newest N; default: all.")
    ] = None,
    start_date: Annotated[
        str | None, typer.Option(metavar="DATE", help="From this day (YYYY-MM-DD, your zone) or RFC 3339 moment on.")
    ] = None,
    end_date: Annotated[
        str | None, typer.Option(metavar="DATE", help="Up to this day, the whole of it, or before this moment.")
    ] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME|ID", help="Only this agent's decisions.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write the summary as JSON.")] = False,
) -> None:
    """Write decisions as a file to fine-tune on (Together's conversational format), checked line by line."""
    from reasoning_cli.commands.data_views import export_lines, export_record
    from reasoning_cli.operations.exporting import FORMATS, export_samples, parse_range, target_name
    from reasoning_cli.store.samples import SampleFilter
    from reasoning_cli.terminal.listing import to_json
    from reasoning_cli.terminal.progress import waiting

    session = session_of(ctx)
    terminal = session.terminal
    if every and model_type:
        raise UsageError("--all and --model-type contradict each other", "leave one of them out")
    chosen = next((one for one in FORMATS if one == fmt), None)
    if chosen is None:
        raise UsageError(f"`{fmt}` is no format for training data", f"there are {' and '.join(FORMATS)}")
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} would export nothing", "give a number from 1 on, or leave it out for all")
    since, until = parse_range(start_date, end_date)
    types = tuple(dict.fromkeys(parse_model_type(one) for one in model_type or []))
    wanted = SampleFilter(model_types=types, since=since, until=until, agent=agent, limit=limit)
    now = session.now()
    to_stdout = output == "-"
    if output == "":
        raise UsageError("the output has no name", "`-o FILE`, or `-o -` for stdout")
    target = Path(output or target_name(wanted, chosen, now.astimezone().date()))
    try:
        with waiting(terminal, "exporting") as shown:
            report = export_samples(
                session.store,
                sys.stdout.buffer if to_stdout else target,
                wanted,
                chosen,
                now=now,
                overwrite=force,
                on_progress=lambda written: shown.show("exporting", f"{written:,} samples"),
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. " + ("What is on stdout is not whole." if to_stdout else "Nothing was written."))
        raise
    if not json:
        _report(terminal, *export_lines(report), to_out=not to_stdout)
    elif to_stdout:
        terminal.note(to_json(export_record(report)))
    else:
        terminal.json(export_record(report))


def _report(
    terminal: Terminal, lines: Sequence[str], counts: Sequence[tuple[str, str]], *, to_out: bool = True
) -> None:
    """Sentences, then how many of what; on stderr when stdout holds the data itself."""
    for line in lines:
        if to_out:
            terminal.say(line)
        else:
            terminal.note(line)
    terminal.facts(counts, to_out=to_out)


@app.command()
def stats(ctx: typer.Context, json: JsonOption = False) -> None:
    """What was collected, whether it is enough to train on, and what would help."""
    from reasoning_cli.commands.data_views import stats_facts, stats_line, stats_record
    from reasoning_cli.operations.samples import sample_statistics

    session = session_of(ctx)
    terminal = session.terminal
    statistics = sample_statistics(session.store, session.now())
    if json:
        terminal.json(stats_record(statistics))
        return
    terminal.say(stats_line(statistics.figures))
    if statistics.figures.range.count:
        terminal.print()
        terminal.facts(stats_facts(statistics, terminal.width))
    if not statistics.figures.range.count:
        terminal.hint("take in what your agent decided already: `reasoning data import FILE`")


@app.command()
def cleanup(
    ctx: typer.Context,
    days: Annotated[
        int | None,
        typer.Option("--days", "-d", metavar="N", help="Keep the last N days; default: data.retention_days."),
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Delete old samples and give the space back."""
    from reasoning_cli.operations.samples import plan_cleanup, run_cleanup
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted, iso, moment

    session = session_of(ctx)
    terminal = session.terminal
    plan = plan_cleanup(session.store, session.settings.get(s.RETENTION_DAYS) if days is None else days, session.now())
    count = plan.samples.count
    record = {"before": iso(plan.before), "matching": count, "dry_run": dry_run}
    if dry_run or not count:
        if json:
            terminal.json({**record, "deleted": 0})
        else:
            since = f", the oldest from {moment(plan.samples.oldest)}" if plan.samples.oldest else ""
            older = f"older than {counted(plan.days, 'day')} (before {moment(plan.before)})"
            terminal.say(f"{counted(count, 'sample')} {older}{since}.")
        return
    if not terminal.confirm(f"Delete {counted(count, 'sample')} from before {moment(plan.before)}?", yes=yes):
        terminal.note("Nothing was changed.")
        raise typer.Exit(ExitCode.FAILED)
    try:
        with waiting(terminal, "deleting") as shown:
            deleted = run_cleanup(
                session.store, plan, on_progress=lambda gone: shown.show("deleting", f"{gone:,} of {count:,}")
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What was deleted is gone; the same command goes on from there.")
        raise
    if json:
        terminal.json({**record, "deleted": deleted})
    else:
        terminal.say(f"Deleted {counted(deleted, 'sample')} from before {moment(plan.before)}.")
