"""One opened account in one event loop: what both services are made of.

A decision is begun, which asks the slot's model, and then told what the baseline answered, or that it failed. All of it
but `prepare` and `flush` runs in the loop that `start` was called in.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from reasoning_cli import settings as s
from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, read_answer
from reasoning_cli.decisions.recognise import without_codes
from reasoning_cli.gateway.account import Account, Reader, redaction, wake
from reasoning_cli.gateway.context import Context
from reasoning_cli.gateway.decision_path import (
    Request,
    Shadow,
    answer_from_head,
    answer_from_slot,
    answered_by_original,
    answered_by_slot,
    begin_shadow,
    reason_of,
    route_of,
)
from reasoning_cli.gateway.decision_path import (
    decision_of as made,
)
from reasoning_cli.gateway.dialects.forms import CapturedResponse, Reply
from reasoning_cli.gateway.log.capture import Decision, new_sample_id, source_of
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.slot_cache import Book
from reasoning_cli.gateway.waking import Waker
from reasoning_cli.library.results import DecisionResult, ServiceClosedError
from reasoning_cli.settings import environment, load_settings, naming_store
from reasoning_cli.values import is_head

_log = logging.getLogger(__name__)
_SHADOW_SECONDS = 10.0  # that a service which closes waits for models that nobody waits for
LEFT_TO_BASELINE = "left to the baseline by its caller"
_POLL_SECONDS = 5.0  # between two looks at a model that wakes


def account_of(profile: str | None, db: str | Path | None, *, sandbox: bool) -> Account:
    """The account that is meant, with the sandbox running where that is. Raises ConfigurationError, UsageError."""
    from reasoning_cli.paths import find_paths

    flags = {} if db is None else naming_store(str(db))
    if sandbox:
        flags[s.SANDBOX.name] = "true"
    environ = environment()
    settings = load_settings(find_paths(environ, profile), environ, flags)
    if not settings.get(s.SANDBOX):
        return Account(profile, flags)
    from reasoning_cli.operations.sandbox import KEY, start_sandbox

    running = start_sandbox(settings.paths.sandbox_state, settings.get(s.SANDBOX_SPEED))
    return Account(profile, flags | {s.API_KEY.name: KEY}, running.url, KEY)


@dataclass
class Turn:
    """A decision under way. `reply` is what the slot's model answers; without it the baseline is to be asked, in whose
    shadow the model may be at work. `decision` is None for a request that asks for none of the three."""

    request: Request
    began: float
    decision: Decision | None = None
    reply: Reply | None = None
    shadow: Shadow | None = None


class Core:
    """An account that decides. Made by `prepare`, which reads settings and log and may take a moment."""

    def __init__(self, account: Account, reader: Reader, book: Book) -> None:
        self.account, self.reader, self.book = account, reader, book
        self.opened_at = datetime.now(UTC)
        self.recorder = Recorder(account.open_log, alter=redaction(book), spool=account.spool())
        # A thread of ours for what waits on the disk: those of the loop would outlive us.
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="reasoning")
        self._waker = Waker(partial(wake, account, self._pause))
        self._context = Context(book, self.recorder, "", self._waker)
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    @classmethod
    def prepare(cls, profile: str | None, db: str | Path | None, *, sandbox: bool) -> Core:
        """Read settings, slots and log. Raises ConfigurationError, DataError and UsageError."""
        from reasoning_cli.library import answers, baseline, requests  # noqa: F401  # the first decision would wait

        account = account_of(profile, db, sandbox=sandbox)
        reader = Reader(account, "127.0.0.1", lambda settings: None)
        return cls(account, reader, Book(reader, reader.last_seen))

    def start(self) -> None:
        """Begin to serve in the running loop."""
        self._loop = asyncio.get_running_loop()
        atexit.register(self.close_threads)  # where nobody closes it
        self.recorder.start()
        self.book.start()
        self._context.models.open()

    @property
    def is_here(self) -> bool:
        """Whether this is the process that opened the service."""
        return os.getpid() == self._pid

    def check(self) -> None:
        """Raise ServiceClosedError where nothing can be decided: a fork has no threads of ours."""
        if self.closed:
            raise ServiceClosedError("the service is closed", "open another")
        if not self.is_here:
            raise ServiceClosedError(
                "the service belongs to the process this one was forked from", "open one in each process"
            )

    def check_loop(self) -> None:
        """The same where the caller's loop has to be ours."""
        self.check()
        if asyncio.get_running_loop() is not self._loop:
            raise ServiceClosedError("the service was opened in another event loop", "open one in each loop")

    async def begin(self, request: Request, *, ask_model: bool = True) -> Turn:
        """Let the head in line or the slot's model answer, or go to work in the shadow of the baseline; unless
        `ask_model`, none of it."""
        turn, context = Turn(request, time.perf_counter()), self._context
        context.figures.requests += 1
        try:
            decision = made(request, route_of(context, request))
        except Exception:
            _log.exception("a decision could not be read")  # the baseline may judge it
            return turn
        if decision is None:
            context.figures.relayed += 1
            return turn
        if not ask_model:
            decision.route = replace(decision.route, slot=None, shadow=False, reason=LEFT_TO_BASELINE)
        turn.decision = decision
        if context.book.view.slots[decision.route.recognition.model_type or ""].collect:
            decision.sample_id = new_sample_id(decision.at)
        if ask_model:
            turn.reply = answer_from_head(context, decision, lambda _, reply: reply)
        if turn.reply is None and decision.route.to_slot:
            turn.reply = await answer_from_slot(context, decision, lambda _, reply: reply)
        if turn.reply is not None:
            answered_by_slot(context, decision, _since_ms(turn))
            return turn
        turn.shadow = begin_shadow(context, decision)
        return turn

    def finish(self, turn: Turn, response: CapturedResponse, latency_ms: int) -> None:
        """Count and record what the baseline answered."""
        if turn.decision is not None:
            turn.decision.response = response
            answered_by_original(self._context, turn.decision, turn.shadow, latency_ms)

    def fail(self, turn: Turn, error: BaseException) -> None:
        """The baseline gave no answer."""
        self._context.figures.upstream_errors[type(error).__name__] += 1
        if turn.shadow is not None:
            turn.shadow.abandon()

    async def settle(self) -> None:
        """Wait for what goes on behind answers that were given."""
        if self._context.shadows:
            await asyncio.wait(self._context.shadows, timeout=_SHADOW_SECONDS)

    def answered(self, model_type: str, source: str) -> int:
        """How many decisions since the service was opened were answered so."""
        return self._context.figures.answered[model_type, source]

    def circuit(self, model_type: str) -> str:
        """The state of a slot's circuit."""
        return self._context.circuits[model_type].state

    async def close(self) -> None:
        """Record what is under way, and let go of all that belongs to the loop; `close_threads` is to follow."""
        self.closed = True
        await self.settle()
        await self._context.models.close()

    def close_threads(self) -> None:
        """Write what was handed over, and end every thread but the worker, in which this may run. Needs no new thread:
        a process that ends starts none."""
        atexit.unregister(self.close_threads)
        self.closed = True
        self._waker.stop()
        self.book.stop()
        self.recorder.stop()
        self.reader.close()

    def _pause(self) -> None:
        self._waker.pause(_POLL_SECONDS)


def _since_ms(turn: Turn) -> int:
    return round((time.perf_counter() - turn.began) * 1000)


def from_model(turn: Turn) -> DecisionResult:
    """What the caller gets of the slot's model."""
    assert turn.decision is not None and turn.reply is not None and turn.decision.attempt is not None
    attempt = turn.decision.attempt
    return DecisionResult(
        turn.decision.route.recognition.model_type,
        turn.reply.text,
        attempt.decision,
        "head" if is_head(attempt.slot.model) else "slot",
        turn.decision.route.reason,
        attempt.slot.model or "",
        attempt.confidence,
        turn.decision.latency_ms,
        turn.decision.sample_id,
    )


def from_baseline(turn: Turn, response: CapturedResponse) -> tuple[DecisionResult, int]:
    """What the caller gets of the baseline, and after how many milliseconds."""
    decision, latency_ms = turn.decision, _since_ms(turn)
    if decision is None:
        reason = "no decision"
        return (
            DecisionResult(None, response.text, None, "original", reason, response.model or "", None, latency_ms, None),
            latency_ms,
        )
    model_type = decision.route.recognition.model_type
    assert model_type is not None
    read = read_answer(model_type, without_codes(decision.asked.text), response.text) if response.whole else None
    return (
        DecisionResult(
            model_type,
            response.text,
            None if read is None or isinstance(read, InvalidAnswer) else decision_of(read),
            "fallback" if source_of(decision) == "fallback" else "original",
            reason_of(decision),
            response.model or "",
            None,
            latency_ms,
            decision.sample_id,
        ),
        latency_ms,
    )
