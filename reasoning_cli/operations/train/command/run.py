"""A training run by the operator's own trainer: export, start, follow, and register what it made.

The run is written down before the trainer begins, and the trainer outlives us: whoever comes next finds how far it is.
Together is not asked for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.errors import ReasoningError, UsageError
from reasoning_cli.operations.train.command.trainer import Trainer
from reasoning_cli.operations.train.plan import check_suffix, dry_export, judge_samples
from reasoning_cli.operations.train.plan_record import as_read, is_same_plan, of_request, request_of
from reasoning_cli.operations.train.run import (
    Progress,
    TrainingContext,
    alone_with,
    clear_away,
    event_detail,
    export_files,
    fail,
    files_of,
    folder_of,
    is_file_of,
)
from reasoning_cli.redact import without_passwords
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import COMMAND, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.data.export.run import ExportReport
    from reasoning_cli.operations.train.plan import TrainRequest

NO_BASE = "its trainer's own"
_RUNNING = "running"  # the status of a run whose trainer was started


@dataclass(frozen=True)
class CommandPlan:
    """What will be done: `export` is of a dry run. The command is run by a shell in the folder `at`."""

    request: TrainRequest
    command: str
    at: Path
    timeout: timedelta | None
    export: ExportReport
    warnings: tuple[str, ...]

    @property
    def base(self) -> str:
        return self.request.base or NO_BASE

    @property
    def record(self) -> dict[str, object]:
        """The plan as it is kept with its run."""
        return as_read(
            {
                **of_request(self.request, self.export),
                "engine": COMMAND,
                "command": self.command,
                "at": str(self.at),
                "timeout_seconds": None if self.timeout is None else self.timeout.total_seconds(),
                "figures": None,
                "tokens": self.export.files[0].tokens,
            }
        )


def plan_command(
    store: Store,
    request: TrainRequest,
    command: str,
    *,
    at: Path,
    timeout: timedelta | None,
    now: datetime,
    on_progress: Callable[[int, int], None] | None = None,
) -> CommandPlan:
    """Look at the log. Raises ReasoningError for too few samples or one class (`force` does it all the same)."""
    if not command.strip():
        raise UsageError("--command is empty", "name your trainer, such as --command './train.sh'")
    if request.suffix is not None:
        check_suffix(request.suffix)
    until = request.export.wanted.until
    wanted = replace(request.export.wanted, until=min(until, now) if until else now)
    request = replace(request, export=replace(request.export, wanted=wanted))
    export = dry_export(store, request, now, on_progress)
    return CommandPlan(request, command, at, timeout, export, tuple(judge_samples(request, export)))


def is_same_again(run: TrainingRun, plan: CommandPlan) -> bool:
    """Whether a plan would run the same command on the same samples once more."""
    return run.engine == COMMAND and is_same_plan(run, plan.base, plan.record)


def begin_command(store: Store, plan: CommandPlan, at: datetime) -> TrainingRun:
    """Write the run down. Raises ReasoningError when another one of this type was begun meanwhile."""
    record = plan.record
    run = TrainingRuns(store).begin(
        plan.request.model_type, base=plan.base, method=plan.request.method, plan=record, at=at
    )
    if run.plan != record:
        raise ReasoningError(
            f"run {run.number} of {spell_model_type(run.model_type)} was begun meanwhile",
            f"`reasoning train watch {run.number}`",
        )
    return run


def trainer_of(store: Store, run: TrainingRun, folder: Path) -> Trainer:
    """The trainer of a run, running or not."""
    return Trainer(folder_of(store, run, folder))


def advance_command(
    store: Store, run: TrainingRun, context: TrainingContext, environ: Mapping[str, str]
) -> TrainingRun:
    """Bring a run as far as its trainer at work; one that is at work already is left alone."""
    runs = TrainingRuns(store)
    with alone_with(store, run):
        run = look_command(store, run, context, alone=True)
        if run.over or run.stage == "training":
            return run
        try:
            whole, train, _ = files_of(store, run, context.folder)
            if run.train_sha256 is None or not is_file_of(train if run.validation_sha256 else whole, run.train_sha256):
                changes = export_files(store, run, context)
                run = runs.update(run.number, at=context.now(), stage="exported", problem=None, **changes)
            # First on record: a trainer that runs is never of a run that knows nothing of it.
            run = runs.update(run.number, at=context.now(), stage="training", job_status=_RUNNING, problem=None)
            trainer_of(store, run, context.folder).start(
                str(run.plan["command"]),
                at=Path(str(run.plan["at"])),
                environ={**environ, **variables(store, run, context.folder)},
            )
        except ReasoningError as problem:
            runs.update(run.number, at=context.now(), stage="exported", job_status=None, problem=problem.message)
            raise
        Events(store).add(
            Event(context.now(), context.actor, "train_start", spell_model_type(run.model_type), event_detail(run))
        )
    return run


def variables(store: Store, run: TrainingRun, folder: Path) -> dict[str, str]:
    """What the trainer is told, by environment. Nothing of it is secret."""
    whole, train, validation = files_of(store, run, folder)
    request, trainer = request_of(run), trainer_of(store, run, folder)
    split = run.validation_sha256 is not None
    return {
        "REASONING_TRAIN_FILE": str(train if split else whole),
        **({"REASONING_VALIDATION_FILE": str(validation)} if split else {}),
        **({"REASONING_BASE_MODEL": run.base} if run.base != NO_BASE else {}),
        "REASONING_OUTPUT_DIR": str(trainer.output),
        "REASONING_MODEL_NAME": model_name(run),
        "REASONING_MODEL_TYPE": run.model_type,
        "REASONING_PROMPT_FORM": request.prompt_form,
        "REASONING_METHOD": run.method,
        "REASONING_SEED": str(run.seed),
        "REASONING_RUN": str(run.number),
    }


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without our keys, and our addresses with a password: a trainer has no use for them."""
    keys = {name for setting in s.ALL if setting.secret for name in setting.variables}
    ours = {name for setting in s.ALL for name in setting.variables}
    return {
        name: value
        for name, value in environ.items()
        if name not in keys and (name not in ours or without_passwords(value) == value)
    }


def model_name(run: TrainingRun) -> str:
    """What a run's model is called, here and at the server that is to serve it."""
    return f"local/{run.suffix}"


def follow_command(store: Store, run: TrainingRun, context: TrainingContext) -> TrainingRun:
    """Look at the trainer until it is over, or is found dead; raises ReasoningError for the latter."""
    while True:
        run = look_command(store, run, context)
        if run.over:
            return run
        if run.stage != "training":
            raise ReasoningError(
                f"run {run.number}: {run.problem}",
                f"start it again: `reasoning train start {spell_model_type(run.model_type)}`;"
                f" give it up: `reasoning train cancel {run.number}`",
            )
        context.notify(progress_of(store, run, context))
        context.sleep(min(context.poll_seconds, 1.0))


def progress_of(store: Store, run: TrainingRun, context: TrainingContext) -> Progress:
    """How far the trainer has come, by its own words."""
    trainer = trainer_of(store, run, context.folder)
    seen = trainer.look()
    elapsed = context.now() - seen.started_at if seen.started_at else timedelta()
    return Progress(run, "its trainer runs", trainer.last_line(), None, trainer.losses(), max(elapsed, timedelta()))


def look_command(store: Store, run: TrainingRun, context: TrainingContext, *, alone: bool = False) -> TrainingRun:
    """One look: what the trainer came to is written down, once. One that was killed leaves a run that can go on.

    `alone`: no other process brings the run on; else one may be about to start the trainer.
    """
    run = _again(store, run)
    if run.over or run.stage != "training":
        return run
    trainer = trainer_of(store, run, context.folder)
    seen = trainer.look()
    if seen.running:
        limit = run.plan.get("timeout_seconds")
        if limit is None or seen.started_at is None:
            return run
        if (context.now() - seen.started_at).total_seconds() < float(str(limit)):
            return run
        trainer.stop(context.sleep)
        minutes = float(str(limit)) / 60
        return _ended(store, run, context, f"its trainer ran longer than {minutes:g} minutes, and was stopped")
    if seen.exit_code is None and not alone:
        with store.alone(f"training-{run.model_type}") as mine:
            return look_command(store, run, context, alone=True) if mine else run
    if seen.exit_code is None:
        problem = "its trainer was killed, and nothing of it runs"
        return TrainingRuns(store).update(
            run.number, at=context.now(), stage="exported", job_status=None, problem=problem
        )
    if seen.exit_code:
        last = trainer.last_line()
        said = f": {last}" if last else ", and says nothing"
        return _ended(store, run, context, f"its trainer ended with exit code {seen.exit_code}{said}")
    if not trainer.has_made_something():
        return _ended(store, run, context, f"its trainer ended well, and wrote nothing to {trainer.output}")
    return _done(store, run, context)


def stop_command(store: Store, run: TrainingRun, context: TrainingContext) -> TrainingRun:
    """End the trainer; the run can go on, with the same command."""
    trainer_of(store, run, context.folder).stop(context.sleep)
    run = _again(store, run)
    if run.over:
        return run
    return TrainingRuns(store).update(
        run.number, at=context.now(), stage="exported" if run.manifest else run.stage, job_status=None, problem=None
    )


def cancel_command(store: Store, run: TrainingRun, context: TrainingContext) -> TrainingRun:
    """Give a run up: its trainer is stopped, and its samples are cleared away."""
    run = stop_command(store, run, context)
    clear_away(store, run, context.folder)
    return fail(store, run, "given up", context, "cancelled")


def _ended(store: Store, run: TrainingRun, context: TrainingContext, problem: str) -> TrainingRun:
    run = fail(store, run, problem, context)
    if not context.keep_files:
        clear_away(store, run, context.folder)
    return run


def _done(store: Store, run: TrainingRun, context: TrainingContext) -> TrainingRun:
    runs, at, name = TrainingRuns(store), context.now(), model_name(run)
    if runs.end(run.number, at=at, stage="done", model_name=name, job_status=None, problem=None):
        detail = {**event_detail(run), "model": name}
        Events(store).add(Event(at, context.actor, "train_done", spell_model_type(run.model_type), detail))
    if not context.keep_files:
        clear_away(store, run, context.folder)
    return _again(store, run)


def _again(store: Store, run: TrainingRun) -> TrainingRun:
    """A run as it stands by now."""
    found = TrainingRuns(store).get(run.number)
    assert found is not None
    return found
