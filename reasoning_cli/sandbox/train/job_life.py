"""The life of a fine-tuning job: pending, queued, running, compressing, uploading, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from reasoning_cli.sandbox.chat.learned import learn
from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND
from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.world.catalog import PROJECT_ID, PROJECT_SLUG, Model, Revision
from reasoning_cli.sandbox.world.records import FineTune
from reasoning_cli.sandbox.world.world import Due, World, new_id

FINAL = ("completed", "cancelled", "error", "user_error")
_PENDING_SECONDS = 5
_CANCEL_SECONDS = 5


def begin(world: World, job: FineTune) -> None:
    _enter(world, job, "pending", _PENDING_SECONDS)
    _notify(world, job, "job_pending", "job created")


def cancel(world: World, job: FineTune) -> None:
    """Raises ApiError (400) for a job that is over."""
    if job.status in FINAL:
        raise bad_request(f"the job is {job.status}, it cannot be cancelled")
    if job.status == "cancel_requested":
        return
    _notify(world, job, "cancel_requested", "cancellation requested")
    _enter(world, job, "cancel_requested", _CANCEL_SECONDS)


def due(world: World, job: FineTune) -> Iterator[Due]:
    if job.transition_at is not None:
        yield Due(job.transition_at, job.sequence, partial(_go_on, world, job))


def progress(world: World, job: FineTune) -> float:
    """How much of the training is done, from 0 to 1."""
    if job.running_at is None:
        return 0.0
    until = world.now if job.stopped_at is None else job.stopped_at
    return min(1.0, (until - job.running_at) / job.running_ms) if job.running_ms else 1.0


def register(world: World, base: Model, name: str, kind: str, learned: list[str]) -> Model:
    """A model in the registry, which knows what it learned from; a name that is taken gets more to it."""
    taken = {model.name for model in world.models.values()}
    full_name = f"{PROJECT_SLUG}/{name}"
    if full_name in taken:
        full_name += f"-{new_id('')[1:5]}"
    model = Model(
        id=new_id("ml"),
        project_id=PROJECT_ID,
        name=full_name,
        architecture=base.architecture,
        parameters=base.parameters,
        base_model_id=base.base_model_id or base.id,
        context_length=base.context_length,
        kind=kind,
        sequence=world.next_sequence(),
        learned=learned,
    )
    model.revisions = [Revision(new_id("rv"), world.now, validated_at=world.now, files=model.weight_files())]
    world.models[model.id] = model
    world.changed = True
    return model


def _go_on(world: World, job: FineTune) -> None:
    behaviour = world.behaviour
    if job.status == "pending":
        _enter(world, job, "queued", behaviour.queue_seconds)
    elif job.status == "queued":
        _start(world, job)
    elif job.status == "running":
        if behaviour.fail_job:
            _fail(world, job, behaviour.fail_job)
            return
        job.stopped_at = world.now
        _notify(world, job, "training_complete", "training completed")
        _notify(world, job, "model_compressing", "compressing the model")
        _enter(world, job, "compressing", behaviour.saving_seconds)
    elif job.status == "compressing":
        _notify(world, job, "model_compression_complete", "the model is compressed")
        _notify(world, job, "model_uploading", "uploading the model")
        _enter(world, job, "uploading", behaviour.saving_seconds)
    elif job.status == "uploading":
        _complete(world, job)
    elif job.status == "cancel_requested":
        _stop_billing(world, job)
        _notify(world, job, "job_stopped", "the job was cancelled")
        _enter(world, job, "cancelled", None)


def _start(world: World, job: FineTune) -> None:
    """From here on the price of the whole job stands."""
    _notify(world, job, "job_start", "the job started")
    for name in ("model", "training_data"):
        _notify(world, job, f"{name}_downloading", f"downloading the {name.replace('_', ' ')}")
        _notify(world, job, f"{name}_download_complete", f"the {name.replace('_', ' ')} is downloaded")
    _notify(world, job, "training_start", "training started")
    job.total_price = job.full_price
    job.running_at = world.now
    job.running_ms = world.behaviour.training_seconds * MILLISECONDS_PER_SECOND
    halves = 2 if world.behaviour.fail_job else 1
    _enter(world, job, "running", world.behaviour.training_seconds // halves)


def _fail(world: World, job: FineTune, how: str) -> None:
    """Their fault is refunded; what was done before a limit, or with data that cannot be trained on, is billed."""
    _stop_billing(world, job)
    if how == "billing_limit":
        _notify(world, job, "billing_limit", "the spending limit of the organization is reached", "error")
        _notify(world, job, "job_stopped", "the job was stopped")
        _enter(world, job, "error", None)
        return
    if how == "user_error":
        _notify(world, job, "job_error", "the training data cannot be trained on: the loss is not finite", "error")
        _enter(world, job, "user_error", None)
        return
    _notify(world, job, "job_error", "internal error: a node was lost", "error")
    _notify(world, job, "refund", "the price of the job was refunded")
    job.total_price = 0
    _enter(world, job, "error", None)


def _complete(world: World, job: FineTune) -> None:
    _notify(world, job, "model_upload_complete", "the model is uploaded")
    if world.behaviour.register_results:
        base = world.models[job.base_id]
        learn(world.blobs, job.checksums)  # now, so that the first answer is not kept waiting for it
        job.model_id = register(world, base, job.suffix, "model", job.checksums).id
        if job.kind == "Lora":
            job.adapter_id = register(world, base, f"{job.suffix}-adapter", "adapter", job.checksums).id
        asked = job.asked.get("n_checkpoints", 1)
        count = asked if isinstance(asked, int) else 1
        for number in range(1, count):
            step = max(1, job.total_steps * number // count)
            kind = "adapter" if job.kind == "Lora" else "model"
            model = register(world, base, f"{job.suffix}-step-{step}", kind, job.checksums)
            job.checkpoints.append((step, model.id))
    else:
        _notify(world, job, "warning", "the model could not be registered", "warning")
    _notify(world, job, "job_complete", "the job is completed")
    _enter(world, job, "completed", None)


def _stop_billing(world: World, job: FineTune) -> None:
    """Only the steps that were done are billed."""
    if job.running_at is not None and job.stopped_at is None:
        job.stopped_at = world.now
        job.total_price = round(job.full_price * progress(world, job))


def _enter(world: World, job: FineTune, status: str, seconds: int | None) -> None:
    job.status = status
    job.updated_at = job.stage_at = world.now
    job.transition_at = None if seconds is None else world.now + seconds * MILLISECONDS_PER_SECOND
    world.changed = True


def _notify(world: World, job: FineTune, kind: str, message: str, level: str = "info") -> None:
    job.events.append((world.now, kind, level, message))
