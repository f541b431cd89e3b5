"""Failures on demand: statuses, delays, cut connections and answers held back, for requests that match."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Check, Json, choice, integer, members, number, text

JOURNAL_LENGTH = 1000


def _headers(value: object, path: str) -> object:
    texts = [*value.keys(), *value.values()] if isinstance(value, dict) else [None]
    if not all(isinstance(text, str) and text.isascii() and text.isprintable() for text in texts):
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
    "hold": choice("before", "after_action", "after_answer"),
    "skip": integer(0, 1_000_000),
    "times": integer(1, 1_000_000),
}
_fault = members(_MEMBERS, required=("path",))


@dataclass
class Fault:
    """What happens to a request, after the first `skip` that match were let through.

    `cut` drops the connection: `before` without acting, `after_action` acts first, `mid_body` sends half of the answer.
    `hold` stops there until the client is gone, so that it can be killed at exactly this point: `before` nothing was
    done, `after_action` all was done and nothing is answered, `after_answer` nothing that follows is read.
    """

    path: re.Pattern[str]
    method: str | None = None
    status: int | None = None
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    cut: str | None = None
    hold: str | None = None
    skip: int = 0
    times: int | None = None


class Faults:
    """The faults in force; the first that matches a request is used up by one."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._held: list[Request] = []
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
                    hold=cast("str | None", given.get("hold")),
                    skip=cast(int, given.get("skip", 0)),
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
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return None

    def held(self) -> list[Request]:
        """The requests that are held at this moment."""
        with self._lock:
            return list(self._held)

    @contextmanager
    def holding(self, request: Request) -> Iterator[None]:
        """While in it, the request counts as held."""
        with self._lock:
            self._held.append(request)
        try:
            yield
        finally:
            with self._lock:
                self._held.remove(request)


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
