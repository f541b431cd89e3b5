"""Follow the job of a training run to its end, and write down what came of it. Whoever watches writes the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import BusyError, MissingError, UnreachableError
from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
from reasoning_cli.operations.deploy.catalog import serving_options
from reasoning_cli.operations.train.run import Progress, TrainingContext, advance, clear_away, fail
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Training
    from reasoning_cli.engines.jobs import Job

_TRIES_TO_REACH = 5
_REGISTERED_WITHIN = timedelta(minutes=5)  # of its end, a job's result is in the registry, or will never be
_LOOKS_PER_CURVE = 4  # looks at the job for one at what was measured


def run_training(client: Training, store: Store, run: TrainingRun, context: TrainingContext) -> TrainingRun:
    """Bring a run to its end, from wherever it is. Raises what keeps it from going on; the same again does."""
    run = advance(client, store, run, context)
    return run if run.over else watch_training(client, store, run, context)


def watch_training(client: Training, store: Store, run: TrainingRun, context: TrainingContext) -> TrainingRun:
    """Look at the job again and again until it is over. RemoteError when time is over, or Together out of reach."""
    started: datetime | None = None
    unreached = looks = 0
    losses: tuple[float, ...] = ()
    while True:
        try:
            run, job = look(client, store, run, context)
            if run.over:
                return run
            if looks % _LOOKS_PER_CURVE == 0 and job is not None:
                losses = losses_of(client, job.id) or losses
            unreached = 0
        except (UnreachableError, BusyError) as problem:
            unreached += 1
            if unreached == _TRIES_TO_REACH:
                raise RemoteError(
                    f"lost Together while the training goes on there: {problem.message}",
                    f"watch it again: `reasoning train watch {run.number}`",
                ) from problem
            context.sleep(context.poll_seconds)
            continue
        looks += 1
        at = client.now()
        started = started or at
        began = job.created_at if job and job.created_at else started
        status = job_status(job)
        context.notify(Progress(run, status, "", job, losses, max(at - began, timedelta())))
        if context.timeout is not None and at - started >= context.timeout:
            minutes = int(context.timeout.total_seconds() // 60)
            raise RemoteError(
                f"run {run.number} is still {status} after {minutes} minutes; it goes on at Together",
                f"watch it again: `reasoning train watch {run.number}`; end it: `reasoning train cancel {run.number}`",
            )
        context.sleep(context.poll_seconds)


def job_status(job: Job | None) -> str:
    """What a job is doing, in words."""
    if job is not None and job.is_over:
        return "completed, waiting for the model to be registered"
    return job.status.replace("_", " ") if job is not None and job.status else "on its way"


def look(client: Training, store: Store, run: TrainingRun, context: TrainingContext) -> tuple[TrainingRun, Job | None]:
    """One look at the job of a run: written down, with its price, and with its end if it has come to one."""
    if run.over or run.job_id is None:
        return run, None
    try:
        job = client.job(run.job_id)
    except MissingError:
        problem = f"its job `{run.job_id}` was deleted at Together"
        return fail(store, run, problem, context), None
    if job.is_over and not _may_be_registered_yet(client, job):
        note_fine_tunes(client, store)
        return _end(client, store, run, job, context), job
    if job.status != run.job_status:
        note_fine_tunes(client, store)
        run = TrainingRuns(store).update(run.number, at=context.now(), job_status=job.status)
    return run, job


def look_at_all(client: Training, store: Store, context: TrainingContext) -> list[tuple[TrainingRun, Job | None]]:
    """Every run that goes on, after a look at its job."""
    return [look(client, store, run, context) for run in going(store)]


def going(store: Store) -> list[TrainingRun]:
    """The runs that are not over."""
    return [run for run in TrainingRuns(store).all() if not run.over]


def not_shown(store: Store) -> list[TrainingRun]:
    """The runs that go on, and those whose end nobody has been shown."""
    return [run for run in TrainingRuns(store).all() if not run.over or run.seen_at is None]


def losses_of(client: Training, job_id: str) -> tuple[float, ...]:
    """The loss while it trained, step by step; nothing where Together does not say."""
    try:
        measured = client.job_metrics(job_id)
    except (UnreachableError, BusyError):
        raise
    except ReasoningError:
        return ()
    return tuple(metrics["train/loss"] for metrics in measured if "train/loss" in metrics)


def _may_be_registered_yet(client: Training, job: Job) -> bool:
    """Whether a job is completed so lately that its result may still come."""
    if job.status != "completed" or job.is_registered or job.updated_at is None:
        return False
    return client.now() - job.updated_at < _REGISTERED_WITHIN


def _end(client: Training, store: Store, run: TrainingRun, job: Job, context: TrainingContext) -> TrainingRun:
    """What came of a job that is over."""
    error = client.job_error(job, [] if job.status == "completed" else client.job_events(job.id))
    TrainingRuns(store).update(run.number, at=context.now(), job_status=job.status)
    if error is not None:
        stage = "cancelled" if job.status == "cancelled" else "failed"
        run = fail(store, run, error.message, context, stage)
    else:
        run = _done(client, store, run, job, context)
    if not context.keep_files:
        clear_away(store, run, context.folder)
    return run


def _done(client: Training, store: Store, run: TrainingRun, job: Job, context: TrainingContext) -> TrainingRun:
    runs, now = TrainingRuns(store), context.now()
    model_id = job.model_object_id or job.adapter_object_id
    assert model_id is not None
    options = serving_options(client, client.model(model_id))
    problem = None if options else "it cannot be served: Together has no config for it"
    changes: dict[str, object] = {
        "model_id": model_id,
        "model_name": job.model_object_name or job.adapter_object_name,
        "adapter_id": job.adapter_object_id,
        "adapter_name": job.adapter_object_name,
        "problem": problem,
    }
    if runs.end(run.number, at=now, stage="done", **changes):
        detail = {
            "run": run.number,
            "job": job.id,
            "model": changes["model_name"],
            "cents": str(job.cents),
            "manifest_sha256": run.manifest_sha256,
        }
        Events(store).add(Event(now, context.actor, "train_done", spell_model_type(run.model_type), detail))
    ended = runs.get(run.number)
    assert ended is not None
    return ended
