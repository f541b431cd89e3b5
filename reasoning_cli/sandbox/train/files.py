"""Files that were sent to be trained on, and the service's own check of them, which takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND
from reasoning_cli.sandbox.http.problems import bad_request, not_found
from reasoning_cli.sandbox.http.requests import Raw, Request, ranged
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.training_files import Inspection, inspect
from reasoning_cli.sandbox.world.records import StoredFile
from reasoning_cli.sandbox.world.world import Due, World

_QUEUE_SECONDS = 5
_CHECKED_PURPOSE = "fine-tune"


def list_files(world: World, request: Request) -> Json:
    """All of them, newest first."""
    found = sorted(world.stored_files.values(), key=lambda file: file.sequence, reverse=True)
    return {"data": [show(file) for file in found]}


def get_file(world: World, request: Request, file_id: str) -> Json:
    return show(find(world, file_id))


def get_content(world: World, request: Request, file_id: str) -> Raw:
    file = find(world, file_id)
    if not file.size:
        raise bad_request("the file's content was never sent")
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return ranged(request, world.blobs.get(file.checksum), headers)


def delete_file(world: World, request: Request, file_id: str) -> Json:
    """What jobs were trained on stays with them."""
    file = find(world, file_id)
    del world.stored_files[file.id]
    drop_content(world, file.checksum)
    world.changed = True
    return {"id": file.id, "deleted": True}


def preprocess(world: World, request: Request, file_id: str) -> Json:
    """Begin the check; one that has begun, or is over, goes its way."""
    file = find(world, file_id)
    if not file.size:
        raise bad_request("the file's content was never sent")
    if file.status == "PENDING":
        if file.purpose == _CHECKED_PURPOSE:
            _enter(world, file, "QUEUED", _QUEUE_SECONDS)
        else:
            _enter(world, file, "COMPLETED", None)
    return show(file)


def find(world: World, file_id: str) -> StoredFile:
    """Raises ApiError (404)."""
    if file_id not in world.stored_files:
        raise not_found("file", file_id)
    return world.stored_files[file_id]


def drop_content(world: World, checksum: str) -> None:
    """Unless something else needs it: another file, or a job that learned from it."""
    needed = {file.checksum for file in world.stored_files.values()}
    needed.update(*(job.checksums for job in world.fine_tunes.values()))
    if checksum not in needed:
        world.blobs.drop(checksum)


def due(world: World, file: StoredFile) -> Iterator[Due]:
    if file.transition_at is not None:
        yield Due(file.transition_at, file.sequence, partial(_go_on, world, file))


def _go_on(world: World, file: StoredFile) -> None:
    if file.status == "QUEUED":
        _enter(world, file, "RUNNING", world.behaviour.file_check_seconds)
        return
    found = _inspected(world, file)
    file.report, file.lines, file.tokens = found.report, found.lines, found.tokens
    if world.behaviour.fail_file_check == "failed":
        file.report = None
        _enter(world, file, "FAILED", None)
    else:
        _enter(world, file, "COMPLETED" if found.report["valid"] else "INVALID_FORMAT", None)


def _inspected(world: World, file: StoredFile) -> Inspection:
    if world.behaviour.fail_file_check == "invalid_format":
        error = "line 1: refused, as the sandbox was told to"
        return Inspection({"valid": False, "error": error, "error_type": "INVALID_FORMAT", "file_id": file.id})
    return inspect(file.id, file.file_type, world.blobs.get(file.checksum))


def _enter(world: World, file: StoredFile, status: str, seconds: int | None) -> None:
    file.status = status
    file.transition_at = None if seconds is None else world.now + seconds * MILLISECONDS_PER_SECOND
    world.changed = True


def show(file: StoredFile) -> Json:
    result: Json = {
        "id": file.id,
        "object": "file",
        "filename": file.name,
        "bytes": file.size,
        "created_at": file.created_at // MILLISECONDS_PER_SECOND,
        "purpose": file.purpose,
        "FileType": file.file_type,
        "Processed": file.status == "COMPLETED",
        "processing_status": file.status,
    }
    if file.report is not None:
        result["validation_report"] = file.report
    return result
