"""Weights sent by the client: a plan with an address for each part, the parts, and the end that makes a revision.

The parts go to a storage host of its own, which is this server under another path. Its addresses are signed; the key
must not be sent there.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.http.paths import STORAGE
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Empty, Request
from reasoning_cli.sandbox.http.shapes import Check, Json, flag, integer, listing, members, text
from reasoning_cli.sandbox.weights.uploads import add_revision, own_model
from reasoning_cli.sandbox.world.catalog import Model
from reasoning_cli.sandbox.world.records import FileUpload
from reasoning_cli.sandbox.world.world import World, new_id

_HASH = re.compile(r"[0-9a-f]{32}(?:-[1-9][0-9]*)?")


def _hash(value: object, path: str) -> object:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise bad_request(f"invalid value for {path}: must be an MD5, or an S3 multipart ETag", param=path)
    return value


_FILE: dict[str, Check] = {"path": text, "hash": _hash, "numParts": integer(1, 10_000)}
_create = members(
    {
        "objectId": text,
        "files": listing(
            members(
                {"path": text, "hash": _hash, "numParts": integer(1, 10_000)}, required=("path", "hash", "numParts")
            )
        ),
    },
    required=("objectId", "files"),
)
_part = members({"partNumber": integer(1, 10_000), "hash": text}, required=("partNumber", "hash"))
_complete = members(
    {
        "objectId": text,
        "files": listing(
            members(
                {
                    "path": text,
                    "hash": _hash,
                    "skipUpload": flag,
                    "uploadDetails": members(
                        {"uploadId": text, "parts": listing(_part)}, required=("uploadId", "parts")
                    ),
                },
                required=("path", "hash"),
            )
        ),
    },
    required=("objectId", "files"),
)


def plan_upload(world: World, request: Request) -> Json:
    """Where to send each part; a file that the model already has is skipped."""
    body = _create(request.body(), "")
    model = own_model(world, cast(str, body["objectId"]))
    planned: list[Json] = []
    for file in cast("list[Json]", body["files"]):
        path, digest = cast(str, file["path"]), cast(str, file["hash"])
        if _known_size(model, path, digest) is not None:
            planned.append({"path": path, "skipUpload": True})
            continue
        upload = FileUpload(
            id=new_id("upl"),
            model_id=model.id,
            path=path,
            hash=digest,
            part_count=cast(int, file["numParts"]),
            signature=secrets.token_urlsafe(16),
        )
        world.file_uploads[upload.id] = upload
        planned.append({"path": path, "uploadId": upload.id, "parts": _addresses(upload, request.origin)})
    world.changed = True
    return {"files": planned}


def put_part(world: World, request: Request, headers: Mapping[str, str]) -> Empty:
    """Take one part; its ETag is its MD5."""
    if "authorization" in headers:
        raise bad_request("only one way to authorise: this address is signed, and the key must not be sent to it")
    upload_id, _, number = request.path.removeprefix(STORAGE).partition("/")
    upload = world.file_uploads.get(upload_id)
    if request.method != "PUT" or upload is None or request.query.get("signature") != upload.signature:
        raise ApiError(HTTPStatus.FORBIDDEN, "the address is not signed for this")
    if not number.isdecimal() or not 1 <= int(number) <= upload.part_count:
        raise not_found("part", number)
    etag = hashlib.md5(request.raw_body, usedforsecurity=False).hexdigest()
    upload.parts[number] = (etag, len(request.raw_body))
    world.changed = True
    return Empty(HTTPStatus.OK, {"ETag": f'"{etag}"'})


def complete_upload(world: World, request: Request) -> Json:
    """Make a revision of what was sent. Raises ApiError (400) when a part is missing or differs."""
    body = _complete(request.body(), "")
    model = own_model(world, cast(str, body["objectId"]))
    given = cast("list[Json]", body["files"])
    if not given:
        raise bad_request("files must not be empty", param="files")
    files = [(cast(str, file["path"]), cast(str, file["hash"]), _size(world, model, file)) for file in given]
    for file in given:
        world.file_uploads.pop(_upload_id(file), None)
    return {"revisionId": add_revision(world, model, files).id}


def _addresses(upload: FileUpload, origin: str) -> list[Json]:
    return [
        {
            "partNumber": number,
            "url": f"{origin}{STORAGE}{upload.id}/{number}?signature={upload.signature}",
            "headers": {},
        }
        for number in range(1, upload.part_count + 1)
    ]


def _size(world: World, model: Model, file: Json) -> int:
    """The bytes of one file of `complete`, checked against what arrived."""
    path, digest = cast(str, file["path"]), cast(str, file["hash"])
    if file.get("skipUpload"):
        size = _known_size(model, path, digest)
        if size is None:
            raise bad_request(f"{path} was not uploaded before", param="files")
        return size
    upload = world.file_uploads.get(_upload_id(file))
    if upload is None or (upload.model_id, upload.path, upload.hash) != (model.id, path, digest):
        raise bad_request(f"{path} has no upload of that id, path and hash", param="files")
    said = {
        str(part["partNumber"]): part["hash"] for part in cast("list[Json]", cast(Json, file["uploadDetails"])["parts"])
    }
    arrived = {number: etag for number, (etag, _) in upload.parts.items()}
    if said != arrived or len(arrived) != upload.part_count:
        raise bad_request(f"{path}: {len(arrived)} of {upload.part_count} parts arrived as stated", param="files")
    if _etag([arrived[number] for number in sorted(arrived, key=int)]) != digest:
        raise bad_request(f"{path}: what arrived has another hash", param="files")
    return sum(size for _, size in upload.parts.values())


def _upload_id(file: Json) -> str:
    return cast(str, cast(Json, file.get("uploadDetails", {})).get("uploadId", ""))


def _known_size(model: Model, path: str, digest: str) -> int | None:
    """The size of a file that a revision of the model has already."""
    known = (file for revision in model.revisions for file in revision.files)
    return next((size for name, has, size in known if (name, has) == (path, digest)), None)


def _etag(parts: list[str]) -> str:
    """S3's: the MD5 of one part, or of the parts' MD5s, with their number."""
    if len(parts) == 1:
        return parts[0]
    joined = hashlib.md5(b"".join(bytes.fromhex(part) for part in parts), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(parts)}"
