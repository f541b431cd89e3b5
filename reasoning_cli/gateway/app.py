"""The gateway as an ASGI application: admin paths, decisions, and everything else handed through."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from reasoning_cli import __version__
from reasoning_cli.gateway.calls import Call, CallerLeft, Held
from reasoning_cli.gateway.context import Context
from reasoning_cli.gateway.http.admission import refusal, take_token
from reasoning_cli.gateway.http.headers import HOP_HEADER
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.pipeline import decide
from reasoning_cli.gateway.slot_cache import Book
from reasoning_cli.gateway.stats.figures import LastMinute
from reasoning_cli.gateway.stats.siblings import Siblings, worst
from reasoning_cli.gateway.stats.summing import of_one_host, published, summed
from reasoning_cli.gateway.target import target_of
from reasoning_cli.gateway.waking import Waker
from reasoning_cli.operations.gateway.model_counts import Tallies
from reasoning_cli.operations.gateway.presence import Presence
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.store.serving.attempts import AttemptRecord
from reasoning_cli.values import is_head

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)
_NOTIFY_SECONDS = 1.0
# A call that came through so many gateways runs in a circle, even if none of them knows itself in it.
_MOST_HOPS = 8


class Gateway(Context):
    """One worker. Everything it works with is handed in; sessions are opened when the server starts.

    `siblings` are the other workers, None when it is the only one, and `parent` is the process that started them.
    """

    def __init__(
        self,
        book: Book,
        recorder: Recorder,
        *,
        access_log: Callable[[Call], None] | None = None,
        hop: str | None = None,
        siblings: Siblings | None = None,
        parent: int | None = None,
        waker: Waker | None = None,
        presence: Callable[[str, Callable[[], Mapping[str, Any] | None]], Presence] | None = None,
    ) -> None:
        super().__init__(book, recorder, hop or uuid4().hex, waker)
        self._published: Mapping[str, Any] | None = None
        self.presence = presence(self.hop, lambda: self._published) if presence is not None else None
        self.access_log, self.siblings, self.parent = access_log, siblings, parent
        self.models_asked, self.last_minute = Tallies(), LastMinute()
        self.started_at = datetime.now(UTC)
        recorder.on_recorded = self._recorded
        self.held = Held()
        self.ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(Call(scope, receive, send, self.held))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003, "reason": "the gateway speaks HTTP"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.recorder.start()
        self.book.start()
        self.upstream.open()
        self.models.open()
        notifying = asyncio.ensure_future(self._notify_siblings(self.siblings)) if self.siblings is not None else None
        publishing = asyncio.ensure_future(self._publish(self.presence)) if self.presence is not None else None
        self.ready = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.ready = False
        if self.presence is not None and publishing is not None:
            publishing.cancel()
            await asyncio.to_thread(self.presence.stop)
        if notifying is not None:
            notifying.cancel()
        if self.shadows:
            await asyncio.wait(self.shadows, timeout=10)
        await self.upstream.close()
        await self.models.close()
        self.book.stop()
        await asyncio.to_thread(self.recorder.stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _notify_siblings(self, siblings: Siblings) -> None:
        """Once a second; and end like one that was told to when the process that started the workers is gone."""
        while True:
            await asyncio.to_thread(siblings.notify, self.snapshot())
            await asyncio.sleep(_NOTIFY_SECONDS)
            if os.getppid() != self.parent:
                signal.raise_signal(signal.SIGTERM)

    async def _publish(self, presence: Presence) -> None:
        """What is known of this gateway where several hosts share a store; of its workers the first speaks for all."""
        presence.start()
        while True:
            others = self.siblings.others() if self.siblings is not None else []
            speaks = self.siblings is None or self.siblings.is_first()
            self._published = published([self.snapshot(), *others]) if speaks else None
            presence.now()
            await asyncio.sleep(presence.who.every.total_seconds())

    async def _serve(self, call: Call) -> None:
        shown = take_token(call)
        if await self._admin(call, shown):
            return
        view = self.book.view
        target = target_of(
            call.method,
            call.path,
            call.query,
            call.headers,
            openai_upstream=view.openai_upstream,
            anthropic_upstream=view.anthropic_upstream,
        )
        error = target.dialect.error if target.dialect is not None else None
        self.figures.requests += 1
        self.last_minute.count()
        self.figures.in_flight += 1
        try:
            if (refused := refusal(call, view, shown)) is not None:
                status, why, headers = refused
                await call.refuse(status, why, error, headers)
            elif self._in_circle(call):
                await call.refuse(508, "the gateway was told to call itself: check gateway.*_upstream", None)
            else:
                await decide(self, call, target)
        except CallerLeft:
            call.note("caller left")
        except Exception:
            _log.exception("a call failed inside the gateway")
            call.note("failed inside the gateway")
            await call.refuse(500, "the gateway failed", error)
        finally:
            self.figures.in_flight -= 1
            call.end()
            if self.access_log is not None:
                self.access_log(call)

    def _in_circle(self, call: Call) -> bool:
        """Whether a call has been here before, on its way through whatever other gateways."""
        hops = call.header(HOP_HEADER)
        if hops is None:
            return False
        through = hops.split(b",")
        return self.hop.encode() in [hop.strip() for hop in through] or len(through) > _MOST_HOPS

    async def _admin(self, call: Call, shown: bytes) -> bool:
        """Answer what is asked of the gateway itself; False when the call is not for it."""
        match call.method, call.path:
            case "GET" | "HEAD", "/health":
                await call.answer_json(200, {"status": "ok"})
            case "GET" | "HEAD", "/ready":
                await call.answer_json(200 if self.ready else 503, {"ready": self.ready})
            case "GET", "/stats" if refusal(call, self.book.view, shown) is None:
                await call.answer_json(200, self.record())
            case "GET", "/metrics" if refusal(call, self.book.view, shown) is None:
                # Its library is loaded when somebody asks: most gateways are never asked.
                from reasoning_cli.gateway.stats.metrics import metrics_text

                await call.answer(200, [(b"content-type", b"text/plain; version=0.0.4")], metrics_text(self.record()))
            case _:
                return False
        return True

    def _recorded(self, sample: Sample, attempts: Sequence[AttemptRecord]) -> None:
        count, model_type = self.models_asked.count, sample.model_type
        if sample.source == "slot":
            whose = sample.metadata.get("deployment")
            deployment = whose if isinstance(whose, str) else None
            took = sample.latency_ms
            count(model_type, sample.model, deployment, got=True, failure=None, agrees=None, latency_ms=took)
        for attempt in attempts:
            count(
                model_type,
                attempt.model,
                attempt.deployment_key,
                got=False,
                failure=attempt.failure,
                agrees=attempt.agrees,
                latency_ms=attempt.latency_ms,
            )
            # As a shadow of the slot's own model it is shown by model only: there the original said nothing.
            if attempt.agrees is None or sample.source == "slot":
                continue
            if is_head(attempt.model):
                self.figures.head_agreements[model_type, attempt.agrees] += 1
            else:
                self.figures.agreements[model_type, attempt.agrees] += 1

    def snapshot(self) -> dict[str, Any]:
        """The figures of this worker, to be summed with those of others."""
        self.read_failures()
        recorded = self.recorder.figures
        return {
            "figures": self.figures.snapshot(),
            "models": self.models_asked.snapshot(),
            "circuits": {model_type: circuit.state for model_type, circuit in self.circuits.items()},
            "recording": {
                "stored": recorded.stored,
                "unreadable": recorded.unreadable,
                "why_unreadable": dict(recorded.why_unreadable),
                "dropped": recorded.dropped,
                "waiting_bytes": recorded.waiting_bytes,
                "spooled": recorded.spooled,
                "spooled_bytes": recorded.spooled_bytes,
                "last_error": recorded.last_error,
            },
            "waking": dict(self.waker.said) if self.waker is not None else {},
            "requests_last_minute": self.last_minute.total(),
            "alive": True,
        }

    def record(self) -> dict[str, Any]:
        """The figures of all workers, for machines."""
        workers = [self.snapshot(), *(self.siblings.others() if self.siblings is not None else [])]
        found = of_one_host(summed(workers), workers)
        recording = found.pop("recording")
        return {
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "sandbox": self.book.view.sandbox,
            "profile": self.book.view.profile,
            "instance": self.hop,
            "host": platform.node(),
            "version": __version__,
            "workers": sum(worker["alive"] for worker in workers),
            "requests_last_minute": sum(worker["requests_last_minute"] for worker in workers if worker["alive"]),
            **found,
            "slots": {
                model_type: {
                    "mode": str(slot.mode),
                    "share_percent": slot.share_percent,
                    "model": slot.model,
                    "closed": slot.closed,
                    "tools": slot.tools,
                    "waking": next((text for worker in workers if (text := worker["waking"].get(model_type))), None),
                    "circuit": worst([worker["circuits"].get(model_type, "closed") for worker in workers]),
                    "head": None
                    if (head := slot.head) is None
                    else {
                        "model": head.model,
                        "mode": str(head.mode),
                        "share_percent": head.share_percent,
                        "audit_percent": head.audit_percent,
                        "closed": head.closed,
                        "problem": head.problem,
                        "circuit": worst([worker["circuits"].get(head.circuit, "closed") for worker in workers]),
                    },
                    "challenger": None
                    if (coming := slot.candidate) is None
                    else {
                        "model": coming.slot.model,
                        "deployment": coming.slot.deployment_key,
                        "percent": coming.percent,
                        "circuit": worst([worker["circuits"].get(coming.slot.circuit, "closed") for worker in workers]),
                    },
                }
                for model_type, slot in self.book.view.slots.items()
            },
            "recording": recording,
            "problem": self.book.problem,
        }
