"""What goes on with training: re-attach to a run, or one look at everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format, typed
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands._shared.training_options import WatchTimeoutOption
from reasoning_cli.errors import ReasoningError
from reasoning_cli.terminal.listing import Format, Listing
from reasoning_cli.values import COMMAND, parse_duration

if TYPE_CHECKING:
    from reasoning_cli.operations.train.run import Progress
    from reasoning_cli.store.train.runs import TrainingRun

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN|TYPE",
        help="A run's number, a job's ft- id, or a type: its newest.",
        autocompletion=complete_model_types,
    ),
]


def watch(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN|TYPE", help="Default: the one that goes on.", autocompletion=complete_model_types),
    ] = None,
    timeout: WatchTimeoutOption = None,
    json: JsonOption = False,
) -> None:
    """Watch a training until it is over. It goes on at Together whether or not anybody does; Ctrl-C leaves."""
    from reasoning_cli.commands.train._command import follow_trainer
    from reasoning_cli.commands.train._run import show_end
    from reasoning_cli.commands.train._views import next_commands
    from reasoning_cli.commands.train.start import follow
    from reasoning_cli.operations.train.monitor import going
    from reasoning_cli.operations.train.trained import find_trained

    session = session_of(ctx)
    if run is None:
        on = going(session.store)
        if not on:
            raise ReasoningError("nothing is being trained", "`reasoning train list` shows what was")
        if len(on) > 1:
            names = ", ".join(str(training_run.number) for training_run in on)
            raise ReasoningError(f"several runs go on: {names}", f"name one: `reasoning train watch {on[-1].number}`")
        run = str(on[0].number)
    found = find_trained(session.store, run)
    if found.run is None:
        raise ReasoningError(f"`{run}` was not started from here", f"look at it: `reasoning train show {run}`")
    watched = found.run
    if watched.over:
        show_end(session, watched, json=json, hints=next_commands(watched))
        return
    if watched.stage != "training":
        raise ReasoningError(f"run {watched.number} has no job yet: it is {watched.stage}", next_commands(watched)[0])
    patience = None if timeout is None else typed(parse_duration, timeout, "--timeout 2h")
    if watched.engine == COMMAND:
        follow_trainer(session, watched, json=json, only_watch=True)
        return
    follow(session, watched, yes=False, json=json, timeout=patience, only_watch=True)


def status(
    ctx: typer.Context, fmt: FormatOption = Format.TABLE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """What is being trained now, and what came of the last run of each type. Looks at Together and trainers first."""
    from reasoning_cli.commands.train._views import progress_texts, trained_columns
    from reasoning_cli.commands.train.auto import loop_line
    from reasoning_cli.operations.train.monitor import going
    from reasoning_cli.operations.train.trained import newest_of_each, with_files
    from reasoning_cli.store.train.auto_loops import Loops

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    seen = _look(session) if going(session.store) else []
    rows = [with_files(trained, session.settings.paths) for trained in newest_of_each(session.store)]
    empty = "Nothing was trained yet: `reasoning train init` says what to begin with."
    terminal.show(Listing(trained_columns(), rows, id=lambda trained: trained.id), chosen, quiet=quiet, empty=empty)
    if chosen is not Format.TABLE or quiet:
        return
    for progress in seen:
        terminal.note("  ".join(text for text in progress_texts(progress) if text))
    for loop in Loops(session.store).all():
        terminal.note(loop_line(loop))
    _show_ends(session, [row.run for row in rows if row.run is not None])


def _show_ends(session: Session, runs: list[TrainingRun]) -> None:
    """What to do about each run that goes on, or whose end is shown for the first time; it is not told again."""
    from reasoning_cli.commands.train._views import next_commands
    from reasoning_cli.store.train.runs import TrainingRuns

    terminal = session.terminal
    for run in [*(run for run in runs if not run.over), *(run for run in runs if run.over and run.seen_at is None)]:
        if run.problem:
            terminal.warn(f"run {run.number}: {run.problem}")
        for hint in next_commands(run):
            terminal.hint(hint)
    for run in runs:
        if run.over and run.seen_at is None:
            TrainingRuns(session.store).update(run.number, at=run.updated_at, seen_at=session.now())


def _look(session: Session) -> list[Progress]:
    """How far each run that goes on has come."""
    from datetime import timedelta

    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
    from reasoning_cli.operations.train.command.run import look_command, progress_of
    from reasoning_cli.operations.train.monitor import going, job_status, look_at_all, losses_of
    from reasoning_cli.operations.train.run import Progress

    context = training_context(session)
    seen = [
        progress_of(session.store, run, context) if run.stage == "training" else Progress(run, run.stage)
        for run in (look_command(session.store, run, context) for run in going(session.store) if run.engine == COMMAND)
        if not run.over
    ]
    if all(run.engine == COMMAND for run in going(session.store)):
        return seen
    client = session.client
    note_fine_tunes(client, session.store)
    for run, job in look_at_all(client, session.store, context):
        if run.over or run.engine == COMMAND:
            continue
        if job is None:
            seen.append(Progress(run, run.stage))
            continue
        elapsed = client.now() - job.created_at if job.created_at else timedelta()
        seen.append(Progress(run, job_status(job), "", job, losses_of(client, job.id), elapsed))
    return seen
