"""`data export`: decisions as a file to fine-tune on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands.completion import complete_model_types
from reasoning_cli.commands.session import session_of
from reasoning_cli.errors import UsageError
from reasoning_cli.values import parse_model_type


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
    from reasoning_cli.commands.data_views import export_lines, export_record, report
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
            done = export_samples(
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
        report(terminal, *export_lines(done), to_out=not to_stdout)
    elif to_stdout:
        terminal.note(to_json(export_record(done)))
    else:
        terminal.json(export_record(done))
