"""Look at what was trained, end it, throw it away, or take its weights home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.options import (
    DryRunOption,
    FormatOption,
    JsonOption,
    QuietOption,
    YesOption,
    chosen_format,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.train.watch import RunArgument
from reasoning_cli.errors import NotFoundError, UsageError
from reasoning_cli.terminal.listing import Column, Format, Listing
from reasoning_cli.terminal.listing import Kind as ColumnKind
from reasoning_cli.values import COMMAND, TOGETHER, parse_model_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reasoning_cli.engines.jobs import Metrics
    from reasoning_cli.operations.train.jobs import Kind
    from reasoning_cli.operations.train.trained import Trained


def list_(
    ctx: typer.Context,
    model_type: Annotated[
        str | None,
        typer.Argument(metavar="TYPE", help="Only this type.", autocompletion=complete_model_types),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="As last seen, without asking Together.")] = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Every training run, and the account's jobs that were not started from here; newest first."""
    from reasoning_cli.commands.train._views import trained_columns
    from reasoning_cli.operations.train.trained import all_trained, with_files

    session = session_of(ctx)
    wanted = None if model_type is None else parse_model_type(model_type)
    if not offline:
        _refresh(session)
    rows = [with_files(trained, session.settings.paths) for trained in all_trained(session.store, wanted)]
    listing = Listing(trained_columns(), rows, id=lambda trained: trained.id)
    empty = "Nothing was trained yet: `reasoning train init` says what to begin with."
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty=empty)


def _refresh(session: Session) -> None:
    """Look at all that is trained, wherever that is."""
    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.operations.train.jobs import refresh_commands, refresh_trained

    refresh_commands(session.store, training_context(session))
    if not session.is_without_together:
        refresh_trained(session.client, session.store, training_context(session))


def show(ctx: typer.Context, run: RunArgument, json: JsonOption = False) -> None:
    """Everything about one run: what it was trained on, with what, at which price, and what came of it."""
    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.commands.train._views import next_commands, trained_facts, trained_record
    from reasoning_cli.operations.train.jobs import refresh_commands, refresh_trained
    from reasoning_cli.operations.train.trained import find_trained, with_files
    from reasoning_cli.store.train.runs import TrainingRuns

    session = session_of(ctx)
    found = _find(session, run)
    if found.run is not None and found.run.stage == "training":
        if found.run.engine == COMMAND:
            refresh_commands(session.store, training_context(session))
        else:
            refresh_trained(session.client, session.store, training_context(session))
        found = find_trained(session.store, found.id)
    found = with_files(found, session.settings.paths)
    if json:
        session.terminal.json(trained_record(found))
    else:
        session.terminal.facts(trained_facts(found))
    if found.run is None:
        return
    if found.run.over and found.run.seen_at is None:
        TrainingRuns(session.store).update(found.run.number, at=found.run.updated_at, seen_at=session.now())
    if not json:
        for hint in next_commands(found.run, is_gone=found.is_gone):
            session.terminal.hint(hint)


def events(
    ctx: typer.Context,
    run: RunArgument,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="What was measured instead, step by step: the loss, and of what.")
    ] = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What Together says happened to a job, oldest first."""
    from reasoning_cli.engines.jobs import JobEvent
    from reasoning_cli.terminal.units import moment

    session = session_of(ctx)
    found = _find(session, run)
    if metrics:
        measured = _metrics_of(session, found)
        session.terminal.show(measured, chosen_format(fmt, json), quiet=quiet, empty="Nothing was measured.")
        return
    job_id = _job_of(found)
    columns: list[Column[JobEvent]] = [
        Column(
            "at",
            lambda event: event.created_at,
            "AT",
            text=lambda event: moment(event.created_at) if event.created_at else "–",
        ),
        Column("level", lambda event: event.level, "LEVEL", priority=5),
        Column("type", lambda event: event.type, "WHAT", text=lambda event: event.type.replace("_", " ")),
        Column("step", lambda event: event.step, "STEP", kind=ColumnKind.NUMBER, priority=6),
        Column("message", lambda event: event.message, "MESSAGE", gives_way=True, prose=True),
    ]
    listing = Listing(columns, session.client.job_events(job_id), id=lambda event: event.type)
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty="Together reports nothing yet.")


def cancel(
    ctx: typer.Context,
    run: RunArgument,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Give a training up: its job is stopped (what it has done is billed), or never made."""
    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.commands.train._views import trained_facts, trained_record
    from reasoning_cli.operations.train.jobs import cancel as cancel_training
    from reasoning_cli.operations.train.jobs import check_cancel
    from reasoning_cli.terminal.units import money

    session = session_of(ctx)
    terminal, found = session.terminal, _find(session, run)
    check_cancel(found)
    if dry_run:
        show_dry_run(terminal, trained_facts(found), trained_record(found), json=json)
        return
    ask_about(terminal, trained_facts(found), "Cancel it?", yes=yes, show=False)
    ended = cancel_training(lambda: session.client, session.store, found, training_context(session))
    if json:
        terminal.json(trained_record(ended))
        return
    cost = "nothing was billed" if ended.job_id is None else f"{money(ended.cents or 0)} so far, for what it has done"
    terminal.say(f"{_called(ended)} is {ended.state.replace('_', ' ')}: {cost}.")


def delete(
    ctx: typer.Context,
    run: RunArgument,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Delete a job and its files at Together. What it cost and was trained on stays known; its models stay."""
    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.commands.train._views import trained_facts, trained_record
    from reasoning_cli.operations.train.jobs import check_delete
    from reasoning_cli.operations.train.jobs import delete as delete_training

    session = session_of(ctx)
    terminal, found = session.terminal, _find(session, run)
    check_delete(session.store, found)
    if dry_run:
        show_dry_run(terminal, trained_facts(found), trained_record(found), json=json)
        return
    where = "here" if found.run is not None and found.run.engine != TOGETHER else "at Together"
    ask_about(terminal, trained_facts(found), f"Delete its job and files {where}?", yes=yes)
    delete_training(lambda: session.client, session.store, found, training_context(session))
    if json:
        terminal.json({**trained_record(found), "deleted": True})
        return
    terminal.say(f"{_called(found)}: its job and files are deleted {where}.")


def download(
    ctx: typer.Context,
    run: RunArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it: a .tar.zst.")],
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="merged|adapter", help="The whole model, or the adapter alone.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Take the weights home, as one packed file (tar, zstd)."""
    from reasoning_cli.operations.train.jobs import KINDS
    from reasoning_cli.operations.train.jobs import download as download_training
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import size

    session = session_of(ctx)
    wanted: Kind | None = next((known for known in KINDS if known == kind), None)
    if kind is not None and wanted is None:
        raise UsageError(f"`{kind}` is nothing to download", f"there are {' and '.join(KINDS)}")
    found = _find(session, run)
    with waiting(session.terminal, "downloading") as shown:

        def notify(received: int, total: int | None) -> None:
            shown.show("downloading", size(received) + (f" of {size(total)}" if total else ""))

        count = download_training(lambda: session.client, found, output, wanted, notify)
    if json:
        session.terminal.json({"run": found.id, "job": found.job_id, "path": output, "size_bytes": count})
        return
    session.terminal.say(f"{size(count)} in {output}.")
    session.terminal.hint(f"unpack it: `mkdir DIR && tar --zstd -xf {output} -C DIR`")


def _find(session: Session, name: str) -> Trained:
    """What is meant; of a job unknown here, Together is asked."""
    from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
    from reasoning_cli.operations.train.trained import find_trained

    try:
        return find_trained(session.store, name)
    except NotFoundError:
        if not name.startswith("ft-"):
            raise
        note_fine_tunes(session.client, session.store)
        return find_trained(session.store, name)


def _job_of(found: Trained) -> str:

    if found.run is not None and found.run.engine == COMMAND:
        log = found.run.manifest and Path(found.run.manifest).with_name("trainer.log")
        raise UsageError(f"run {found.id} has no job at Together", f"its trainer's log: {log}")
    if found.job_id is None:
        raise NotFoundError(f"run {found.id} has no job yet", f"`reasoning train show {found.id}`")
    return found.job_id


def _metrics_of(session: Session, found: Trained) -> Listing[Metrics]:
    """What was measured while it trained: by Together, or by the trainer's own words, which name no steps."""
    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.operations.train.command.run import trainer_of

    if found.run is not None and found.run.engine == COMMAND:
        trainer = trainer_of(session.store, found.run, training_context(session).folder)
        rows: Sequence[Metrics] = [{"train/loss": loss} for loss in trainer.losses()]
    else:
        rows = session.client.job_metrics(_job_of(found))

    def column(key: str, name: str, header: str, digits: int) -> Column[Metrics]:
        return Column(
            key,
            lambda row: row.get(name),
            header,
            text=lambda row: f"{row[name]:,.{digits}f}" if name in row else "–",
            kind=ColumnKind.NUMBER,
        )

    columns: list[Column[Metrics]] = [
        Column(
            "step",
            lambda row: int(row["train/global_step"]) if "train/global_step" in row else None,
            "STEP",
            kind=ColumnKind.NUMBER,
        ),
        column("epoch", "train/epoch", "EPOCH", 2),
        column("train_loss", "train/loss", "LOSS", 4),
        column("eval_loss", "eval/loss", "VALIDATION", 4),
    ]
    return Listing(columns, rows, id=lambda row: f"{row.get('train/global_step', 0):.0f}")


def _called(found: Trained) -> str:
    return f"Run {found.run.number}" if found.run else found.id
