"""How a file comes: registered, then its bytes put to the storage host, whole or in parts.

The storage host is this server under another path. Its addresses are signed; the key must not be sent there.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.http.paths import FILE_STORAGE
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Empty, Raw, Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.train.files import preprocess, show
from reasoning_cli.sandbox.world.records import StoredFile
from reasoning_cli.sandbox.world.world import World, new_id

_PURPOSES = ("fine-tune", "calibration", "eval", "batch-api")
_TYPES = ("jsonl", "csv", "parquet")
_MAX_PARTS = 250
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


def register(world: World, request: Request) -> Raw | Empty:
    """302 to where the bytes go; 409 with the id of a file that has the same."""
    fields = request.form()
    file = _new(world, cast(Json, fields))
    if isinstance(file, Raw):
        return file
    address = f"{request.origin}{FILE_STORAGE}{file.id}?signature={file.signature}"
    return Empty(HTTPStatus.FOUND, {"Location": address, "X-Together-File-Id": file.id})


def upload(world: World, request: Request) -> Json:
    """A file and its bytes in one request. Whether the check of it begins by itself nobody says."""
    fields = request.form()
    content = fields.get("file", "").encode()
    described = {
        "file_type": fields.get("file_name", "").rpartition(".")[2],
        **{name: value for name, value in fields.items() if name != "file"},
        "checksum": hashlib.sha256(content).hexdigest(),
    }
    file = _new(world, cast(Json, described))
    if isinstance(file, Raw):
        found = cast(Json, json.loads(file.body))
        return show(world.stored_files[cast(str, found["file_id"])])
    _arrived(world, file, content)
    return preprocess(world, request, file.id) if world.behaviour.upload_checks else show(file)


def initiate(world: World, request: Request) -> Json | Raw:
    body = request.body()
    count, size = body.get("num_parts"), body.get("file_size")
    for name, value in (("num_parts", count), ("file_size", size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise bad_request(f"{name} must be a positive integer", param=name)
    if cast(int, count) > _MAX_PARTS:
        raise bad_request(f"at most {_MAX_PARTS} parts", param="num_parts")
    file = _new(world, body)
    if isinstance(file, Raw):
        return file
    file.upload_id, file.part_count = new_id("upl"), cast(int, count)
    return {
        "upload_id": file.upload_id,
        "file_id": file.id,
        "parts": [
            {
                "PartNumber": number,
                "URL": f"{request.origin}{FILE_STORAGE}{file.id}/{number}?signature={file.signature}",
                "Headers": {},
            }
            for number in range(1, file.part_count + 1)
        ],
    }


def complete(world: World, request: Request) -> Json:
    """Put the parts together. Raises ApiError (400) when one is missing, or they are not what was announced."""
    body = request.body()
    file = _upload(world, body)
    given = body.get("parts")
    if not isinstance(given, list) or not all(isinstance(part, dict) for part in given):
        raise bad_request("parts must be a list", param="parts")
    said = {str(part.get("part_number")): part.get("etag") for part in given}
    if said != file.parts or len(said) != file.part_count:
        raise bad_request(f"{len(file.parts)} of {file.part_count} parts arrived as stated", param="parts")
    keys = [_part_key(file, number) for number in range(1, file.part_count + 1)]
    _arrived(world, file, b"".join(world.blobs.get(key) for key in keys))
    _forget_parts(world, file)
    return {"file": show(file)}


def abort(world: World, request: Request) -> Empty:
    file = _upload(world, request.body())
    _forget_parts(world, file)
    del world.stored_files[file.id]
    return Empty(HTTPStatus.OK)


def put(world: World, request: Request, headers: Mapping[str, str]) -> Empty:
    """Take a file, or a part of one; its ETag is its MD5."""
    if "authorization" in headers:
        raise bad_request("only one way to authorise: this address is signed, and the key must not be sent to it")
    file_id, _, number = request.path.removeprefix(FILE_STORAGE).partition("/")
    file = world.stored_files.get(file_id)
    if request.method != "PUT" or file is None or request.query.get("signature") != file.signature:
        raise ApiError(HTTPStatus.FORBIDDEN, "the address is not signed for this")
    etag = hashlib.md5(request.raw_body, usedforsecurity=False).hexdigest()
    if not number:
        _arrived(world, file, request.raw_body)
    elif not number.isdecimal() or not 1 <= int(number) <= file.part_count:
        raise not_found("part", number)
    else:
        world.blobs.put(_part_key(file, int(number)), request.raw_body)
        file.parts[number] = etag
    world.changed = True
    return Empty(HTTPStatus.OK, {"ETag": f'"{etag}"'})


def _new(world: World, given: Json) -> StoredFile | Raw:
    """A file without bytes, or the answer (409) that tells of one that has these.

    Registering anew what never came is one file still; what came of it in parts is forgotten.
    """
    name, purpose, file_type = given.get("file_name"), given.get("purpose"), given.get("file_type")
    checksum = given.get("checksum", "")
    if not isinstance(name, str) or not name:
        raise bad_request("file_name is required", param="file_name")
    if purpose not in _PURPOSES:
        raise bad_request("purpose must be one of " + ", ".join(_PURPOSES), param="purpose")
    if file_type not in _TYPES:
        raise bad_request("file_type must be one of " + ", ".join(_TYPES), param="file_type")
    if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        raise bad_request("checksum must be a SHA-256 in hexadecimal digits", param="checksum")
    for stored in world.stored_files.values():
        if (stored.checksum, stored.purpose) == (checksum, purpose):
            if not stored.size:
                _forget_parts(world, stored)
                return stored
            body = f'{{"file_id": "{stored.id}"}}'.encode()
            return Raw(body, {"Content-Type": "application/json"}, HTTPStatus.CONFLICT)
    file = StoredFile(
        id=f"file-{new_id('')[1:]}",
        name=name,
        purpose=purpose,
        file_type=file_type,
        checksum=checksum,
        signature=secrets.token_urlsafe(16),
        created_at=world.now,
        sequence=world.next_sequence(),
    )
    world.stored_files[file.id] = file
    world.changed = True
    return file


def _arrived(world: World, file: StoredFile, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != file.checksum:
        raise bad_request("what arrived has another checksum than was announced", code="bad_digest")
    if not content:
        raise bad_request("there is nothing in it")
    world.blobs.put(file.checksum, content)
    file.size = len(content)
    world.changed = True


def _upload(world: World, body: Json) -> StoredFile:
    """The file of an upload in parts that is not over. Raises ApiError (404)."""
    upload_id = body.get("upload_id")
    file = world.stored_files.get(str(body.get("file_id")))
    if file is None or not upload_id or file.upload_id != upload_id:
        raise not_found("upload", str(upload_id))
    return file


def _forget_parts(world: World, file: StoredFile) -> None:
    for number in file.parts:
        world.blobs.drop(_part_key(file, int(number)))
    file.upload_id, file.parts = "", {}
    world.changed = True


def _part_key(file: StoredFile, number: int) -> str:
    return f"{file.upload_id}.{number}"
