"""One request in, one response out: authorisation, faults, the world under one lock, and the state on disk."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus

from reasoning_cli.errors import DataError
from reasoning_cli.sandbox import admin, timeline
from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND, Clock, real_now
from reasoning_cli.sandbox.faults import Fault, Faults, Journal
from reasoning_cli.sandbox.http.paths import FILE_STORAGE, ORIGINAL, STORAGE
from reasoning_cli.sandbox.http.problems import ApiError, error_body
from reasoning_cli.sandbox.http.requests import Empty, Raw, Reply, Request, Stream
from reasoning_cli.sandbox.routes import route
from reasoning_cli.sandbox.state import StateFile
from reasoning_cli.sandbox.world.blobs import Blobs
from reasoning_cli.sandbox.world.catalog import API_KEY
from reasoning_cli.sandbox.world.world import World

_log = logging.getLogger(__name__)
# Real time that an idle stop leaves a person to type the next command, however fast the clock runs.
LEAST_IDLE_SECONDS = 600
_ANY = re.compile("")


@dataclass
class Response:
    """What goes on the wire. `cut` drops the connection: before anything is sent, or in the middle of the body.

    After one with `hold` nothing more is read from the client, until it is gone.
    """

    status: int
    body: bytes = b""
    payloads: Iterator[str] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: str | None = None
    hold: bool = False


class Service:
    """The sandbox without its sockets."""

    def __init__(self, state: StateFile | None, speed: Decimal, start: int | None = None) -> None:
        self._state = state
        self._lock = threading.RLock()
        saved = state.load() if state else None
        self.world = saved or World.fresh(start or real_now())
        resumed = state.load_clock() if state and saved else 0
        self.world.blobs = state.blobs if state else Blobs()
        if saved is None:
            self.world.blobs.clear()  # of a state that somebody removed
        self.clock = Clock(max(self.world.now, resumed), speed)
        self.step_seconds = Decimal(0)  # by which each request pushes the clock forward
        self.faults = Faults()
        self.journal = Journal()
        self.last_request_at = time.monotonic()
        self.save()

    def respond(
        self,
        request: Request,
        headers: Mapping[str, str],
        wait: Callable[[float], object],
        until_gone: Callable[[], object],
    ) -> Response:
        """Answer one request; `wait` sleeps real seconds and `until_gone` until the client hung up; both return early
        when the server closes."""
        self.last_request_at = time.monotonic()
        request_id = new_request_id()
        if admin.owns(request.path):
            response = self._answer(request, request_id, lambda: admin.route(self, request))
        else:
            response = self._respond_with_faults(request, headers, request_id, wait, until_gone)
        response.headers["x-request-id"] = request_id
        self.last_request_at = time.monotonic()
        return response

    def date(self) -> float:
        """Virtual time in seconds since 1970, for the Date header."""
        return self.clock.now() / 1000

    def reset(self) -> None:
        """A fresh world at the real present, and no faults. For callers that hold the lock: routes do."""
        blobs = self.world.blobs
        blobs.clear()
        self.world = World.fresh(real_now())
        self.world.blobs = blobs
        self.clock = Clock(self.world.now, self.clock.speed)
        self.faults.clear()
        self.journal.clear()

    def save(self) -> None:
        """Let time pass and write what changed; when nothing did, only the clock."""
        with self._lock:
            self._pass_time()
            if self._state is None:
                return
            if self.world.changed:
                self._state.save(self.world)
                self.world.changed = False
            self._state.save_clock(self.world.now)

    def _pass_time(self) -> None:
        self.world.least_idle_ms = int(self.clock.speed * LEAST_IDLE_SECONDS * MILLISECONDS_PER_SECOND)
        timeline.pass_time(self.world, self.clock.now())

    def description(self) -> dict[str, object]:
        return {"pid": os.getpid(), "speed": float(self.clock.speed)}

    def _respond_with_faults(
        self,
        request: Request,
        headers: Mapping[str, str],
        request_id: str,
        wait: Callable[[float], object],
        until_gone: Callable[[], object],
    ) -> Response:
        fault = self.faults.take(request) or Fault(path=_ANY)
        if fault.delay_seconds:
            wait(fault.delay_seconds)
        if fault.hold == "before":
            with self.faults.holding(request):
                until_gone()
        if "before" in (fault.cut, fault.hold):
            self.journal.add(request, None)
            return Response(0, cut="before")
        with self._lock:
            self.clock.advance(self.step_seconds)
        if fault.status is not None:
            response = _staged(fault, fault.status, request_id)
        else:
            response = self._answer(request, request_id, lambda: self._route(request, headers))
            response.headers |= fault.headers
        if fault.hold == "after_action":
            with self.faults.holding(request):
                until_gone()
        response.cut = "after_action" if fault.hold == "after_action" else fault.cut
        response.hold = fault.hold == "after_answer"
        self.journal.add(request, None if response.cut == "after_action" else response.status)
        return response

    def _route(self, request: Request, headers: Mapping[str, str]) -> Reply:
        if request.path.startswith(FILE_STORAGE):
            if request.method == "GET":
                from reasoning_cli.sandbox.train import results

                return results.tokens(self.world, request)
            from reasoning_cli.sandbox.train import file_uploads

            return file_uploads.put(self.world, request, headers)
        if request.path.startswith(STORAGE):
            from reasoning_cli.sandbox.weights import local_uploads

            return local_uploads.put_part(self.world, request, headers)
        if request.path.startswith(ORIGINAL):
            from reasoning_cli.sandbox.chat import original

            return original.respond(request)
        if headers.get("authorization") != f"Bearer {API_KEY}":
            raise ApiError(
                HTTPStatus.UNAUTHORIZED, "invalid API key: the sandbox takes its own only", code="invalid_api_key"
            )
        return route(self.world, request)

    def _answer(self, request: Request, request_id: str, act: Callable[[], Reply]) -> Response:
        """Run `act` at the present moment; every failure becomes an error object, never a traceback."""
        with self._lock:
            self._pass_time()
            try:
                reply = act()
            except ApiError as error:
                response = _refusal(error, request_id)
            except Exception:
                _log.exception("%s %s failed", request.method, request.path)
                response = _refusal(ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error"), request_id)
            else:
                if isinstance(reply, Stream):
                    response = Response(HTTPStatus.OK, payloads=reply.payloads)
                elif isinstance(reply, Empty):
                    response = Response(reply.status, headers=dict(reply.headers))
                elif isinstance(reply, Raw):
                    response = Response(reply.status, reply.body, headers=dict(reply.headers))
                else:
                    response = Response(HTTPStatus.OK, json.dumps(reply).encode())
            try:
                self.save()
            except DataError as error:
                response = _refusal(ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, error.message), request_id)
        return response


def new_request_id() -> str:
    return f"req_{secrets.token_hex(8)}"


def _refusal(error: ApiError, request_id: str) -> Response:
    return Response(error.status, json.dumps(error_body(error, request_id)).encode(), headers=dict(error.headers))


def _staged(fault: Fault, status: int, request_id: str) -> Response:
    body = fault.body if fault.body is not None else error_body(ApiError(status, "staged by a fault"), request_id)
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Response(status, raw, headers=dict(fault.headers))
