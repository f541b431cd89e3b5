"""Weights fetched by the service from elsewhere: PENDING -> RUNNING -> SUCCEEDED, or ERROR and again, or FAILED.

Then the new revision of the model is validated: PENDING -> SUCCESS or FAILED.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import cast
from urllib.parse import urlsplit

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND, stamp
from reasoning_cli.sandbox.http.paging import page
from reasoning_cli.sandbox.http.problems import bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json, members, text
from reasoning_cli.sandbox.world.catalog import PROJECT_ID, Model, Revision
from reasoning_cli.sandbox.world.records import RemoteUpload
from reasoning_cli.sandbox.world.world import Due, World, new_id

MAX_RESTARTS = 3
_QUEUE_SECONDS = 10  # from PENDING, and from ERROR, to RUNNING


def _remote_url(value: object, path: str) -> object:
    """A Hugging Face repository or a presigned archive; anything else the service cannot fetch."""
    url = urlsplit(value) if isinstance(value, str) else None
    if url is None or url.scheme != "https" or not url.netloc or url.path in {"", "/"}:
        raise bad_request(f"invalid value for {path}: must be the https address of a repository or archive", param=path)
    return value


_create = members({"modelId": text, "remoteUrl": _remote_url, "token": text}, required=("modelId", "remoteUrl"))


def list_uploads(world: World, request: Request) -> Json:
    return page(world.uploads.values(), request.query, position=lambda upload: (0, upload.sequence), show=_show)


def create_upload(world: World, request: Request) -> Json:
    body = _create(request.body(), "")
    model = own_model(world, cast(str, body["modelId"]))
    upload = RemoteUpload(
        id=new_id("job"),
        model_id=model.id,
        remote_url=cast(str, body["remoteUrl"]),
        created_at=world.now,
        updated_at=world.now,
        sequence=world.next_sequence(),
    )
    world.uploads[upload.id] = upload
    _enter(world, upload, "PENDING", "waiting for a worker", _QUEUE_SECONDS)
    return _show(upload)


def get_upload(world: World, request: Request, upload_id: str) -> Json:
    return _show(_upload(world, upload_id))


def list_upload_events(world: World, request: Request, upload_id: str) -> Json:
    """Newest first."""
    events = enumerate(_upload(world, upload_id).events)
    return page(events, request.query, position=lambda event: (0, event[0]), show=lambda event: event[1])


def own_model(world: World, model_id: str) -> Model:
    """A model that may be given weights. Raises ApiError (404)."""
    model = world.models.get(model_id)
    if model is None or model.project_id != PROJECT_ID:
        raise not_found("model", model_id)
    return model


def add_revision(world: World, model: Model, files: list[tuple[str, str, int]]) -> Revision:
    """New weights, which are validated before they can be deployed."""
    revision = Revision(new_id("rv"), world.now, status="PENDING", files=files)
    model.revisions.append(revision)
    world.changed = True
    return revision


def due(world: World, upload: RemoteUpload) -> Iterator[Due]:
    if upload.transition_at is not None:
        yield Due(upload.transition_at, upload.sequence, partial(_go_on, world, upload))


def validation_due(world: World, model: Model) -> Iterator[Due]:
    for revision in model.revisions:
        if revision.status == "PENDING":
            at = revision.created_at + world.behaviour.validation_seconds * MILLISECONDS_PER_SECOND
            yield Due(at, model.sequence, partial(_validate, world, model, revision))


def _validate(world: World, model: Model, revision: Revision) -> None:
    wanted = "adapter_config.json" if model.kind == "adapter" else "config.json"
    if world.behaviour.fail_validation:
        revision.errors = [["weights.architecture", "the weights do not fit the architecture of the base model"]]
    elif wanted not in {path for path, _, _ in revision.files}:
        revision.errors = [["files.required", f"{wanted} is missing"]]
    revision.status = "FAILED" if revision.errors else "SUCCESS"
    revision.validated_at = world.now


def _go_on(world: World, upload: RemoteUpload) -> None:
    if upload.status == "PENDING":
        _enter(world, upload, "RUNNING", "downloading", world.behaviour.upload_seconds)
    elif upload.status == "ERROR":
        upload.restarts += 1
        _enter(world, upload, "RUNNING", f"downloading, restart {upload.restarts}", world.behaviour.upload_seconds)
    elif upload.restarts < world.behaviour.upload_errors:
        if upload.restarts == MAX_RESTARTS:
            _enter(world, upload, "FAILED", "the download failed too often", None, level="LEVEL_ERROR")
        else:
            _enter(world, upload, "ERROR", "the download broke off", _QUEUE_SECONDS, level="LEVEL_WARN")
    elif upload.model_id not in world.models:
        _enter(world, upload, "FAILED", "the model was deleted", None, level="LEVEL_ERROR")
    else:
        model = world.models[upload.model_id]
        add_revision(world, model, model.weight_files())
        _enter(world, upload, "SUCCEEDED", "uploaded", None)


def _enter(
    world: World, upload: RemoteUpload, status: str, message: str, seconds: int | None, level: str = "LEVEL_INFO"
) -> None:
    upload.status = status
    upload.message = message
    upload.updated_at = world.now
    upload.transition_at = None if seconds is None else world.now + seconds * MILLISECONDS_PER_SECOND
    upload.events.append(
        {
            "id": new_id("evt"),
            "createdAt": stamp(world.now),
            "level": level,
            "message": message,
            "type": f"upload.{status.lower()}",
        }
    )
    world.changed = True


def _upload(world: World, upload_id: str) -> RemoteUpload:
    if upload_id not in world.uploads:
        raise not_found("upload", upload_id)
    return world.uploads[upload_id]


def _show(upload: RemoteUpload) -> Json:
    """Without the token, which can be written only."""
    return {
        "id": upload.id,
        "modelId": upload.model_id,
        "projectId": PROJECT_ID,
        "remoteUrl": upload.remote_url,
        "createdAt": stamp(upload.created_at),
        "updatedAt": stamp(upload.updated_at),
        "status": f"REMOTE_UPLOAD_STATUS_{upload.status}",
        "statusMessage": upload.message,
        "restartCount": upload.restarts,
        "maxRestarts": MAX_RESTARTS,
    }
