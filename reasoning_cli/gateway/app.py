"""The gateway as an ASGI application: admin paths, decisions, and everything else handed through."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from reasoning_cli.gateway.asking import upstream_of_models
from reasoning_cli.gateway.book import Book
from reasoning_cli.gateway.calls import Call, CallerLeft, TooLarge
from reasoning_cli.gateway.circuit import Circuit
from reasoning_cli.gateway.deciding import decide
from reasoning_cli.gateway.figures import Figures
from reasoning_cli.gateway.metrics import metrics_text
from reasoning_cli.gateway.recording import Recorder
from reasoning_cli.gateway.relaying import HOP_HEADER, upstream_session
from reasoning_cli.gateway.routing import face_of
from reasoning_cli.values import MODEL_TYPES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)


class Gateway:
    """One worker. Everything it works with is handed in; sessions are opened when the server starts."""

    def __init__(
        self,
        book: Book,
        recorder: Recorder,
        *,
        token: str | None = None,
        access_log: Callable[[Call], None] | None = None,
    ) -> None:
        self.book, self.recorder, self.token, self.access_log = book, recorder, token, access_log
        self.figures = Figures()
        self.circuits = {model_type: Circuit() for model_type in MODEL_TYPES}
        self.hop = uuid4().hex
        self.upstream: aiohttp.ClientSession
        self.models: aiohttp.ClientSession
        self.shadows: set[asyncio.Task[None]] = set()
        self.ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(Call(scope, receive, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003, "reason": "the gateway speaks HTTP"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.upstream, self.models = upstream_session(), upstream_of_models()
        self.recorder.start()
        self.book.start()
        self.ready = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.ready = False
        if self.shadows:
            await asyncio.wait(self.shadows, timeout=10)
        await self.upstream.close()
        await self.models.close()
        self.book.stop()
        await asyncio.to_thread(self.recorder.stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, call: Call) -> None:
        if await self._admin(call):
            return
        self.figures.requests += 1
        self.figures.in_flight += 1
        try:
            if not self._admitted(call):
                await call.refuse(401, "this gateway asks for its token", self._error_of(call))
            elif call.header(HOP_HEADER.encode()) == self.hop.encode():
                await call.refuse(508, "the gateway was told to call itself: check gateway.*_upstream", None)
            else:
                await decide(self, call)
        except CallerLeft:
            call.note("caller left")
        except TooLarge:
            await call.refuse(413, "the request is longer than the gateway takes", self._error_of(call))
        except Exception:
            _log.exception("a call failed inside the gateway")
            call.note("failed inside the gateway")
            await call.refuse(500, "the gateway failed", self._error_of(call))
        finally:
            self.figures.in_flight -= 1
            call.end()
            if self.access_log is not None:
                self.access_log(call)

    def _admitted(self, call: Call) -> bool:
        """Whether the caller may be here: anyone where no token is set, which only loopback allows."""
        if self.token is None:
            return True
        shown = call.header(b"x-reasoning-token") or b""
        return hmac.compare_digest(shown, self.token.encode())

    def _error_of(self, call: Call) -> Callable[[int, str], dict[str, Any]] | None:
        face = face_of(call.method, call.path)
        return face.error if face is not None else None

    async def _admin(self, call: Call) -> bool:
        """Answer what is asked of the gateway itself; False when the call is not for it."""
        match call.method, call.path:
            case "GET" | "HEAD", "/health":
                await call.answer_json(200, {"status": "ok"})
            case "GET" | "HEAD", "/ready":
                await call.answer_json(200 if self.ready else 503, {"ready": self.ready})
            case "GET", "/stats" if self._admitted(call):
                await call.answer_json(200, self.record())
            case "GET", "/metrics" if self._admitted(call):
                await call.answer(200, [(b"content-type", b"text/plain; version=0.0.4")], metrics_text(self.record()))
            case _:
                return False
        return True

    def record(self) -> dict[str, Any]:
        """The figures of this worker, for machines."""
        recorded = self.recorder.figures
        return {
            **self.figures.record(),
            "slots": {
                model_type: {
                    "mode": str(slot.mode),
                    "model": slot.model,
                    "closed": slot.closed,
                    "circuit": self.circuits[model_type].state,
                }
                for model_type, slot in self.book.view.slots.items()
            },
            "recording": {
                "stored": recorded.stored,
                "unreadable": recorded.unreadable,
                "dropped": recorded.dropped,
                "waiting_bytes": recorded.waiting_bytes,
                "last_error": recorded.last_error,
            },
            "problem": self.book.problem,
        }


def json_bytes(value: object) -> bytes:
    """A body."""
    return orjson.dumps(value)
