"""Old samples into files and back: `data archive` and `data unarchive`."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.sample_options import IncludeForgottenOption, TypesOption, ask_for_forgotten
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.values import parse_model_type


def archive(
    ctx: typer.Context,
    older_than: Annotated[int, typer.Option("--older-than", metavar="DAYS", help="Samples older than so many days.")],
    out: Annotated[
        str, typer.Option("--output", "-o", metavar="FOLDER|S3", help="Where to: a folder, or s3://BUCKET/FOLDER.")
    ],
    model_type: TypesOption = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete from the log what was read back from the archive; asks.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Write old samples, labels included, as Parquet, a partition a type and day. Running it again adds what is new."""
    from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
    from reasoning_cli.operations.data.archive.run import plan_archive, run_archive
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted, moment

    session = session_of(ctx)
    terminal = session.terminal
    types = tuple(dict.fromkeys(parse_model_type(name) for name in model_type or ()))
    plan = plan_archive(session.store, session.now(), older_than, out, model_types=types)
    span = f"{plan.days[0]} to {plan.days[-1]}" if plan.days else "none"
    facts = [
        ("samples", f"older than {counted(older_than, 'day')} (before {moment(plan.before)})"),
        ("days (UTC)", f"{len(plan.days):,}: {span}"),
        ("archive", plan.place.address),
        ("deleted after", "yes, what was read back" if delete else "no"),
    ]
    if plan.earlier:
        facts.append(("earlier files", f"{len(plan.earlier):,}, which go into partitions, too"))
    record: dict[str, object] = {"folder": plan.place.address, "before": plan.before, "periods": list(plan.days)}
    if dry_run:
        show_dry_run(terminal, facts, record, json=json)
        return
    if delete and plan.days:
        ask_about(terminal, facts, "Archive these samples and delete them from the log?", yes=yes, show=False)
    try:
        with waiting(terminal, "archiving") as shown:
            done = run_archive(
                session.store,
                plan,
                session.now(),
                delete=delete,
                on_progress=lambda name, count: shown.show("archiving", f"{name}, {counted(count, 'sample')} so far"),
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What the index names is whole; the same command goes on from there.")
        raise
    if json:
        terminal.json(
            {
                **record,
                "files": list(done.files),
                "written": done.written,
                "already_there": done.already,
                "deleted": done.deleted,
                "taken_in": done.taken_in,
            }
        )
        return
    terminal.say(
        f"{counted(done.written, 'sample')} written to {counted(len(done.files), 'file')} in {plan.place.address},"
        f" {done.already:,} there already, {done.deleted:,} deleted from the log."
    )
    if done.taken_in:
        terminal.say(f"{counted(done.taken_in, 'sample')} of earlier files stand in partitions now.")


def unarchive(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE|FOLDER|S3", help="What `data archive` wrote.")],
    include_forgotten: IncludeForgottenOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Put archived samples back as they were, labels included. Doing it again adds nothing."""
    from dataclasses import asdict

    from reasoning_cli.commands._shared.sample_views import forgotten_lines
    from reasoning_cli.operations.data.archive.restore import unarchive as put_back
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted

    session = session_of(ctx)
    terminal = session.terminal
    if include_forgotten:
        ask_for_forgotten(terminal, yes=yes)
    try:
        with waiting(terminal, "reading") as shown:
            done = put_back(
                session.store,
                source,
                session.now(),
                include_forgotten=include_forgotten,
                on_progress=lambda read: shown.show("reading", counted(read, "sample")),
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What came back stays; the same command goes on from there.")
        raise
    if json:
        terminal.json(asdict(done))
    else:
        back = f"{counted(done.added, 'sample')} put back from {counted(done.files, 'file')}"
        terminal.say(f"{back}, {done.read - done.added - done.forgotten:,} there already.")
        for line in forgotten_lines(done.forgotten, done.taken_back):
            terminal.say(line)
