"""Fine-tuning jobs as they are shown, cancelled, deleted, and seeded through the admin path.

A completed one left models that can be deployed.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND, stamp
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json, choice, flag, integer, members, text
from reasoning_cli.sandbox.train.job_life import FINAL, cancel, progress, register
from reasoning_cli.sandbox.world.catalog import PROJECT_SLUG
from reasoning_cli.sandbox.world.records import FineTune
from reasoning_cli.sandbox.world.world import World, new_id

_USER_ID = "user_sandbox"
_SUFFIX = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_QUEUE_MS = 20_000  # that each job ahead takes
_NANO_DOLLARS = integer(0, 10**15)
_STATUSES = (
    "pending",
    "queued",
    "running",
    "compressing",
    "uploading",
    "cancel_requested",
    "cancelled",
    "error",
    "user_error",
    "completed",
)


def _suffix(value: object, path: str) -> object:
    if not isinstance(value, str) or not _SUFFIX.fullmatch(value):
        raise bad_request(f"invalid value for {path}: 1 to 64 letters, digits, underscores and hyphens", param=path)
    return value


_seed = members(
    {
        "model": text,
        "suffix": _suffix,
        "type": choice("Lora", "Full"),
        "status": choice(*_STATUSES),
        "trainingFile": text,
        "tokenCount": integer(0, 10**15),
        "totalPriceNanoDollars": _NANO_DOLLARS,
        "registered": flag,
    },
    required=("model",),
)


def list_jobs(world: World, request: Request) -> Json:
    """All of them, newest first; the objects that a job left are told by the job itself only."""
    jobs = sorted(world.live_fine_tunes(), key=lambda job: job.sequence, reverse=True)
    return {"data": [_summary(world, job) for job in jobs]}


def get_job(world: World, request: Request, job_id: str) -> Json:
    return _show(world, find(world, job_id))


def cancel_job(world: World, request: Request, job_id: str) -> Json:
    job = find(world, job_id)
    cancel(world, job)
    return _summary(world, job)


def delete_job(world: World, request: Request, job_id: str) -> Json:
    """What it cost stays on the bill, and what it left in the registry."""
    job = find(world, job_id)
    if job.status not in FINAL:
        raise bad_request(f"the job is {job.status}: cancel it first")
    job.deleted_at = world.now
    world.changed = True
    return {"message": f"deleted {job.id}"}


def find(world: World, job_id: str) -> FineTune:
    """Raises ApiError (404)."""
    job = world.fine_tunes.get(job_id)
    if job is None or job.deleted_at is not None:
        raise not_found("fine-tune", job_id)
    return job


def show_created(world: World, job: FineTune) -> Json:
    """What creating it answers: the vendor's client insists on two members that are not there yet."""
    return {"model_output_name": None, "adapter_output_name": None, **_summary(world, job)}


def seed_job(world: World, request: Request) -> Json:
    """A job as if it had run. Admin path.

    A completed one registers its model, and for LoRA its adapter, unless `registered` is false: that is how a job
    looks whose result was lost on the way to the registry.
    """
    body = _seed(request.body(), "")
    base = next((model for model in world.models.values() if body["model"] in {model.id, model.name}), None)
    if base is None:
        raise not_found("model", cast(str, body["model"]))
    status = cast(str, body.get("status", "completed"))
    sequence = world.next_sequence()
    job = FineTune(
        id=f"ft-{new_id('')[1:]}",
        model=base.name,
        suffix=cast(str, body.get("suffix", f"tuned-{sequence}")),
        kind=cast(str, body.get("type", "Lora")),
        status=status,
        training_file=cast(str, body.get("trainingFile", new_id("file").replace("_", "-"))),
        token_count=cast(int, body.get("tokenCount", 1_000_000)),
        total_price=cast(int, body.get("totalPriceNanoDollars", 4_000_000_000)),
        created_at=world.now,
        sequence=sequence,
    )
    if status == "completed" and body.get("registered", True):
        if any(model.name == f"{PROJECT_SLUG}/{job.suffix}" for model in world.models.values()):
            raise ApiError(HTTPStatus.CONFLICT, f"a model named {job.suffix!r} already exists", code="already_exists")
        job.model_id = register(world, base, job.suffix, "model", []).id
        if job.kind == "Lora":
            job.adapter_id = register(world, base, f"{job.suffix}-adapter", "adapter", []).id
    world.fine_tunes[job.id] = job
    world.changed = True
    return _show(world, job)


def _summary(world: World, job: FineTune) -> Json:
    training_type: Json = {"type": "Full"}
    if job.kind == "Lora":
        training_type = {"type": "Lora", "lora_r": 8, "lora_alpha": 16}
    result: Json = {
        "id": job.id,
        "status": job.status,
        "user_id": _USER_ID,
        "created_at": stamp(job.created_at),
        "updated_at": stamp(job.updated_at or job.created_at),
        "model": job.model,
        "suffix": job.suffix,
        "training_file": job.training_file,
        "training_type": training_type,
        "training_method": {"method": "sft", "train_on_inputs": "auto"},
        "n_epochs": 1,
        "token_count": job.token_count,
        "total_price": job.total_price,
    }
    # "max" is for the request: what comes back is a number.
    result |= {name: value for name, value in job.asked.items() if (name, value) != ("batch_size", "max")}
    if job.running_at is not None or job.transition_at is not None:
        result["started_at"] = stamp(job.stage_at)
        left = max(0, (job.transition_at or world.now) - world.now) // MILLISECONDS_PER_SECOND
        result["progress"] = {"estimate_available": job.status == "running", "seconds_remaining": left}
    if job.status == "completed":
        # The name by which v1 served it; v2 does not know it.
        result["model_output_name"] = f"{PROJECT_SLUG}/{job.model.rpartition('/')[2]}:{job.suffix}:{job.id}"
    return result


def _show(world: World, job: FineTune) -> Json:
    result = _summary(world, job)
    if job.lines:
        epochs = result["n_epochs"]
        result |= {
            "queue_depth": max(0, (job.transition_at or 0) - world.now) // _QUEUE_MS if job.status == "queued" else 0,
            "epochs_completed": int(progress(world, job) * epochs) if isinstance(epochs, int) else 0,
            "trainingfile_numlines": job.lines,
            "trainingfile_size": job.file_bytes,
        }
    for prefix, model_id in (("model", job.model_id), ("adapter", job.adapter_id)):
        if model_id is None:
            continue
        result[f"{prefix}_object_id"] = model_id
        if model_id in world.models:
            result[f"{prefix}_object_name"] = world.models[model_id].name
            result[f"{prefix}_object_revision_id"] = world.models[model_id].revisions[0].id
    return result
