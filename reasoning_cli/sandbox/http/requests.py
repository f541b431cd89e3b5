"""One parsed request, and what a route may answer beside a plain JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast, overload

from reasoning_cli.sandbox.clock import parse_stamp
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.shapes import Check, Json, camel

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Request:
    """`path` has no query; `query` keeps the last value of a repeated key and `queries` all of them; `origin` is the
    server's own address.

    `range` is the header of that name.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    raw_body: bytes = b""
    origin: str = ""
    range: str = ""
    queries: tuple[tuple[str, str], ...] = ()

    def body(self) -> Json:
        """The JSON object sent. Raises ApiError (400) when it is anything else."""
        try:
            value = json.loads(self.raw_body)
        except (ValueError, RecursionError) as error:
            raise bad_request("malformed JSON body", code="invalid_json") from error
        if not isinstance(value, dict):
            raise bad_request("the body must be a JSON object", code="invalid_json")
        return value

    def form(self) -> dict[str, str]:
        """The fields of a multipart form, whose boundary is its first line. Raises ApiError (400) for anything else."""
        boundary, newline, rest = self.raw_body.partition(b"\r\n")
        if not boundary.startswith(b"--") or not newline:
            raise bad_request("the body must be multipart/form-data")
        fields: dict[str, str] = {}
        for part in rest.split(b"\r\n" + boundary)[:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            name = re.search(rb'(?<![a-z])name="([^"]*)"', head)
            if name is None:
                raise bad_request("a part of the form has no name")
            fields[name[1].decode(errors="replace")] = value.decode(errors="replace")
        return fields

    def journal_body(self) -> object:
        """What was sent, parsed where it is JSON; None for nothing."""
        if not self.raw_body or self.method == "PUT":  # PUT is for the storage host: parts of weights
            return None
        try:
            return cast(object, json.loads(self.raw_body))
        except (ValueError, RecursionError):
            pass
        try:
            return self.form()
        except ApiError:
            return self.raw_body.decode(errors="replace")

    def items(self, name: str, *, separate: bool = False) -> list[str]:
        """An array query parameter; the vendor's client joins the values with commas. `separate`: each value is a key
        of its own."""
        if separate:
            return [value for key, value in self.queries if key == name and value]
        return [item for item in self.query.get(name, "").split(",") if item]

    def flag(self, name: str) -> bool:
        value = self.query.get(name, "false").lower()
        if value not in {"true", "false"}:
            raise bad_request(f"invalid {name}: must be true or false", param=name)
        return value == "true"

    @overload
    def moment(self, name: str) -> int | None: ...

    @overload
    def moment(self, name: str, default: int) -> int: ...

    def moment(self, name: str, default: int | None = None) -> int | None:
        """An RFC 3339 time in milliseconds since 1970."""
        if name not in self.query:
            return default
        try:
            return parse_stamp(self.query[name])
        except (ValueError, OverflowError) as error:
            raise bad_request(f"invalid {name}: must be an RFC 3339 time", param=name) from error


@dataclass(frozen=True)
class Stream:
    """Server-sent events: the `data:` payloads, in order."""

    payloads: Iterator[str]


@dataclass(frozen=True)
class Empty:
    """A status and headers, no body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Bytes that are no JSON."""

    body: bytes
    headers: Mapping[str, str]
    status: int = 200


def ranged(request: Request, body: bytes, headers: Mapping[str, str]) -> Raw:
    """As much of the body as was asked for by one range of bytes. Raises ApiError (416) for none of it."""
    sent = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    wanted = _RANGE.fullmatch(request.range)
    if wanted is None:
        return Raw(body, sent)
    begin, end = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
    if begin > end:
        raise ApiError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "the range is beyond the end")
    part = {"Content-Range": f"bytes {begin}-{end}/{len(body)}"}
    return Raw(body[begin : end + 1], sent | part, HTTPStatus.PARTIAL_CONTENT)


Reply = Json | list[Json] | Stream | Empty | Raw


def masked(request: Request, changes: Json, maskable: Mapping[str, Check]) -> set[str]:
    """Which members a PATCH touches: those of `updateMask`, else those present.

    Raises ApiError (400) for an unknown path and when nothing is left to update.
    """
    if "updateMask" in request.query:
        paths = {camel(path.strip()) for path in request.items("updateMask")}
    else:
        paths = set(changes) & set(maskable)
    for path in paths:
        if path not in maskable:
            raise bad_request(f'invalid updateMask: unknown field "{path}"', param="updateMask")
    if not paths:
        raise bad_request("no fields to update")
    return paths


def require_project(given: str, *allowed: str) -> None:
    if given not in allowed:
        raise not_found("project", given)
