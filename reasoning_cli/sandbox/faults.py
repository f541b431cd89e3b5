"""Failures on demand: statuses, delays and cut connections, for requests that match."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from reasoning_cli.sandbox.problems import bad_request
from reasoning_cli.sandbox.requests import Request
from reasoning_cli.sandbox.shapes import Check, Json, choice, integer, members, number, text

JOURNAL_LENGTH = 1000


def _headers(value: object, path: str) -> object:
    texts = [*value.keys(), *value.values()] if isinstance(value, dict) else [None]
    if not all(isinstance(one, str) and one.isascii() and one.isprintable() for one in texts):
        raise bad_request(f"invalid value for {path}: must be an object of plain strings", param=path)
    return value


def _anything(value: object, path: str) -> object:
    return value


_MEMBERS: dict[str, Check] = {
    "method": text,
    "path": text,
    "status": integer(200, 599),
    "body": _anything,
    "headers": _headers,
    "delaySeconds": number,
    "cut": choice("before", "after_action", "mid_body"),
    "times": integer(1, 1_000_000),
}
_fault = members(_MEMBERS, required=("path",))


@dataclass
class Fault:
    """`before` drops the connection without acting, `after_action` acts first, `mid_body` sends half of the answer."""

    path: re.Pattern[str]
    method: str | None = None
    status: int | None = None
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    cut: str | None = None
    times: int | None = None


class Faults:
    """The faults in force; the first that matches a request is used up by one."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, body: Json) -> None:
        """Raises ApiError (400) for a body that is not a fault."""
        given = _fault(body, "")
        try:
            path = re.compile(cast(str, given["path"]))
        except re.error as error:
            raise bad_request(f"invalid value for path: {error}", param="path") from error
        with self._lock:
            self._faults.append(
                Fault(
                    path=path,
                    method=cast(str, given["method"]).upper() if "method" in given else None,
                    status=cast("int | None", given.get("status")),
                    body=given.get("body"),
                    headers=cast("dict[str, str]", given.get("headers", {})),
                    delay_seconds=cast(float, given.get("delaySeconds", 0)),
                    cut=cast("str | None", given.get("cut")),
                    times=cast("int | None", given.get("times")),
                )
            )

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.method in {None, request.method} and fault.path.search(request.path):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return None


class Journal:
    """The last requests and what they were answered; a status of None means that the connection was dropped."""

    def __init__(self) -> None:
        self._entries: deque[Json] = deque(maxlen=JOURNAL_LENGTH)
        self._lock = threading.Lock()

    def add(self, request: Request, status: int | None) -> None:
        entry: Json = {"method": request.method, "path": request.path, "query": dict(request.query), "status": status}
        body = request.journal_body()
        if body is not None:
            entry["body"] = body
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[Json]:
        with self._lock:
            return list(self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
