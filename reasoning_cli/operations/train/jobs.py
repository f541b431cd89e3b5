"""Look at training runs and at fine-tuning jobs made elsewhere; cancel, delete and download them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reasoning_cli.errors import NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
from reasoning_cli.operations.train.command.run import cancel_command, look_command
from reasoning_cli.operations.train.monitor import look
from reasoning_cli.operations.train.plan_record import job_request
from reasoning_cli.operations.train.run import TrainingContext, alone_with, clear_away, fail
from reasoning_cli.operations.train.trained import Trained, find_trained
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import COMMAND, TOGETHER

if TYPE_CHECKING:
    from collections.abc import Callable

    from reasoning_cli.engines.clients import Training

Kind = Literal["merged", "adapter"]
KINDS: tuple[Kind, ...] = ("merged", "adapter")


def refresh_commands(store: Store, context: TrainingContext) -> None:
    """Look at every run of a trainer of the operator's own; Together is not asked."""
    for run in TrainingRuns(store).all():
        if run.engine == COMMAND and not run.over:
            look_command(store, run, context)


def refresh_trained(client: Training, store: Store, context: TrainingContext) -> None:
    """Look at every job of the account, and write down what came of ours."""
    note_fine_tunes(client, store)
    for run in [run for run in TrainingRuns(store).all() if not run.over]:
        look(client, store, run, context)


def cancel(connect: Callable[[], Training], store: Store, trained: Trained, context: TrainingContext) -> Trained:
    """Give a run up: its job is stopped, or never made. Raises ReasoningError when it is over already."""
    run = trained.run
    check_cancel(trained)
    if run is not None and run.engine == COMMAND:
        cancel_command(store, run, context)
        return find_trained(store, trained.id)
    client = connect()
    if run is not None and trained.job_id is None:
        with alone_with(store, run):
            run = _given_up(client, store, find_trained(store, trained.id), context)
    job_id = run.job_id if run is not None else trained.job_id
    if job_id is not None:
        job = client.cancel_job(job_id)
        note_fine_tunes(client, store)
        Events(store).add(Event(context.now(), context.actor, "train_cancel", trained.id, {"job": job_id}))
        if run is not None:
            look(
                client, store, TrainingRuns(store).update(run.number, at=context.now(), job_status=job.status), context
            )
    return find_trained(store, trained.id)


def _given_up(client: Training, store: Store, trained: Trained, context: TrainingContext) -> TrainingRun:
    """The run, over; or with its job, where that was made all the same."""
    run = trained.run
    assert run is not None
    if run.job_id is None and run.job_status is not None and (made := client.find_job(job_request(run))) is not None:
        return TrainingRuns(store).update(run.number, at=context.now(), stage="training", job_id=made.id)
    if run.job_id is None and not run.over:
        forget_files(client, store, run)
        clear_away(store, run, context.folder)
        return fail(store, run, "given up before there was a job", context, "cancelled")
    return run


def check_cancel(trained: Trained) -> None:
    """Refuse what is over already."""
    if trained.run is not None and trained.run.over:
        raise ReasoningError(
            f"run {trained.run.number} is over already: {trained.run.stage}",
            f"`reasoning train show {trained.run.number}`",
        )


def check_delete(store: Store, trained: Trained) -> None:
    """Refuse to delete what goes on, or what a model in use came from."""
    if trained.run is not None and not trained.run.over:
        raise ReasoningError(
            f"run {trained.run.number} goes on", f"`reasoning train cancel {trained.run.number}` ends it first"
        )
    if trained.run is not None:
        names = {trained.run.model_name, trained.run.adapter_name} - {None}
        deployments = Deployments(store)
        used = next(
            (record for record in (*deployments.live(), *deployments.riders()) if record.model_name in names), None
        )
        if used is not None:
            raise ReasoningError(
                f"`{used.model_name}` came of it and is deployed as {used.endpoint_name}",
                f"`reasoning models undeploy {used.endpoint_name}` first",
            )


def delete(connect: Callable[[], Training], store: Store, trained: Trained, context: TrainingContext) -> None:
    """Delete the job and the files of it at Together; what it cost and what it was trained on stays known here."""
    check_delete(store, trained)
    if trained.job_id is not None:
        connect().delete_job(trained.job_id)
    if trained.run is not None:
        if trained.run.engine == TOGETHER:
            forget_files(connect(), store, trained.run)
        clear_away(store, trained.run, context.folder)
    Events(store).add(Event(context.now(), context.actor, "train_delete", trained.id, {"job": trained.job_id}))


def forget_files(client: Training, store: Store, run: TrainingRun) -> None:
    """Delete the files of a run at Together, but those another run trains on."""
    others = [
        other_run for other_run in TrainingRuns(store).all() if other_run.number != run.number and not other_run.over
    ]
    needed = {file for other in others for file in (other.training_file_id, other.validation_file_id)}
    for file_id in (run.training_file_id, run.validation_file_id):
        if file_id is not None and file_id not in needed:
            client.delete_file(file_id)


def download(
    connect: Callable[[], Training],
    trained: Trained,
    path: Path,
    kind: Kind | None,
    on_progress: Callable[[int, int | None], None],
) -> int:
    """The weights that came of it, as one packed file; its size in bytes."""
    if trained.run is not None and trained.run.engine != TOGETHER:
        raise UsageError(f"run {trained.id} was not trained at Together", f"`reasoning train show {trained.id}`")
    if trained.job_id is None:
        raise NotFoundError(f"run {trained.id} has no job, so there is nothing to download", "`reasoning train list`")
    if path.exists():
        raise UsageError(f"`{path}` exists already", "name another file")
    return connect().download_job(trained.job_id, path, kind, on_progress)
