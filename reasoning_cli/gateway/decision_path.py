"""The middle of a call's path, without a connection: request, decision, route, answer, sample.

Whoever was asked hands in a request as read, lets the slot's model answer, or has the original asked with the model
beside it, and says which of the two the agent got. `pipeline` does so for calls over HTTP. All of it belongs to one
event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from reasoning_cli.decisions.recognise import ModelType
from reasoning_cli.decisions.scope import NOWHERE, Scope
from reasoning_cli.gateway.circuit import OPEN, Circuit
from reasoning_cli.gateway.dialects.forms import Asked, Dialect, Json, Reply, Untranslatable
from reasoning_cli.gateway.head import Use, judge, may_judge
from reasoning_cli.gateway.log.capture import GATEWAY, Decision, place_of
from reasoning_cli.gateway.model_client import FULL, NOT_RUNNING, Attempt, ask
from reasoning_cli.gateway.routing import Route, route
from reasoning_cli.store.serving.attempts import NO_FAULT

if TYPE_CHECKING:
    from reasoning_cli.gateway.context import Context
    from reasoning_cli.operations.deploy.slots import SlotNow

_log = logging.getLogger(__name__)
# Calls of one model under way that no agent waits for. Where agents ask faster than a model answers, more would only
# make all of them late, and a good model look bad.
MOST_SHADOWED = 16
_Said = TypeVar("_Said")
_Written = TypeVar("_Written")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as read. `headers` are those that recognition reads, `size_bytes` that of the request as it came;
    `raw`, in the encoding `packed`, is where the log finds the conversation of a decision about code. `named` is the
    type where the caller says it, `origin` by which door the request came."""

    id: str
    dialect: Dialect
    asked: Asked
    body: Json
    headers: Mapping[str, str]
    size_bytes: int
    raw: bytes = b""
    packed: str = ""
    named: ModelType | None = None
    scope: Scope = NOWHERE
    origin: str = GATEWAY


def route_of(context: Context, request: Request) -> Route:
    """Where a request goes, as the slots and circuits are now; a model asleep that it wants is woken."""
    slots = context.book.view.slots
    where = route(request.asked, request.headers, slots, request.size_bytes, _broken(context), named=request.named)
    slot = slots.get(where.recognition.model_type or "")
    if context.waker is not None and slot is not None and slot.asleep:
        # Only for what its model would be asked, were it awake.
        awake = {slot.model_type: replace(slot, closed=None)}
        if route(request.asked, request.headers, awake, request.size_bytes, {}, named=request.named).slot is not None:
            context.waker.wanted(slot)
    return where


def decision_of(request: Request, where: Route) -> Decision | None:
    """The decision that a request asks for; None when it asks for none."""
    if where.recognition.model_type is None:
        return None
    decision = Decision(
        request.dialect,
        request.asked,
        where,
        request.body,
        request.id,
        size_bytes=request.size_bytes,
        scope=request.scope,
        origin=request.origin,
    )
    if where.recognition.model_type == "coding":
        decision.asked_in, decision.asked_packed = request.raw, request.packed
    return decision


def answer_from_head(
    context: Context, decision: Decision, write: Callable[[Decision, Reply], _Written]
) -> _Written | None:
    """The answer of the head in line as `write` gives it; None when who stands behind it in line is asked, or, where
    it failed or is audited, the original. It is asked in this process, and nobody waits."""
    slot = context.book.view.slots.get(decision.route.recognition.model_type or "")
    head = slot.head if slot is not None else None
    if head is None or not may_judge(head, decision.asked, decision.route.recognition):
        return None
    circuit = _circuit(context, head)
    if not circuit.lets_through():
        context.figures.head(head.model_type, OPEN)
        return None
    try:
        judged = judge(head, decision.asked, decision.route.recognition, context.recorder.addresser.answered)
    except Exception:
        _log.exception("the head failed")
        circuit.failed()
        context.figures.head(head.model_type, "failed")
        _leave_to_original(decision, "the head failed")
        return None
    circuit.succeeded()
    is_sure = judged.attempt.failure is None
    context.figures.head(head.model_type, judged.use if is_sure else Use.UNSURE)
    match judged.use:
        case Use.ANSWER:
            return _written_by_head(context, decision, judged.attempt, circuit, write)
        case Use.AUDIT:
            decision.head_attempt = judged.attempt
            if is_sure:
                _leave_to_original(decision, "the head is audited")
        case Use.SHADOW:
            decision.head_attempt = judged.attempt
    return None


def _written_by_head(
    context: Context,
    decision: Decision,
    attempt: Attempt,
    circuit: Circuit,
    write: Callable[[Decision, Reply], _Written],
) -> _Written | None:
    """The head's answer in the caller's form; where it cannot be written the original answers."""
    assert attempt.reply is not None
    try:
        written = write(decision, attempt.reply)
    except Exception:
        _log.exception("an answer of the head could not be written")
        circuit.failed()
        context.figures.head(attempt.slot.model_type, "failed")
        _leave_to_original(decision, "the head failed")
        return None
    decision.attempt = attempt
    decision.route = replace(
        decision.route, slot=attempt.slot, shadow=False, shadow_route=None, reason="the head is sure"
    )
    return written


def _leave_to_original(decision: Decision, reason: str) -> None:
    decision.route = replace(decision.route, slot=None, shadow=False, shadow_route=None, reason=reason)


async def answer_from_slot(
    context: Context, decision: Decision, write: Callable[[Decision, Reply], _Written]
) -> _Written | None:
    """The answer of the slot's model as `write` gives it; None when the original has to answer, with the attempt kept
    in the decision."""
    where = decision.route
    assert where.slot is not None
    circuit = _circuit(context, where.slot)
    if not circuit.lets_through():
        decision.route = replace(where, slot=None, reason=OPEN)
        return None
    try:
        attempt = await _attempt(context, decision)
    except asyncio.CancelledError:
        circuit.abandoned()
        raise
    if attempt is None:
        circuit.abandoned()
        return None
    decision.attempt = attempt
    written = _written(decision, attempt, write)
    _judge(circuit, decision.attempt)
    return written


def answered_by_slot(context: Context, decision: Decision, latency_ms: int) -> None:
    """Count and record what the agent got of the slot's model or the head, after the model that is to shadow it was
    asked too."""
    _count(context, decision, latency_ms)
    shadow = decision.route.shadow_route
    if shadow is None or shadow.slot is None or not _may_be_shadowed(context, shadow.slot):
        record(context, decision)
        return
    circuit = _circuit(context, shadow.slot)

    async def ask_shadow() -> None:
        attempt = await _ask(context, decision, shadow)
        if isinstance(attempt, str):
            circuit.abandoned()
        else:
            _judge(circuit, attempt)
            decision.shadow_attempt = attempt
        record(context, decision)

    _after(context, _counted(context, shadow.slot, ask_shadow()))


@dataclass(frozen=True)
class Shadow:
    """The slot's model at work while the original answers."""

    task: asyncio.Task[Attempt | None]
    circuit: Circuit

    def abandon(self) -> None:
        """Nobody wants to know any more: the original gave no answer to compare with."""
        self.task.cancel()
        self.circuit.abandoned()


def begin_shadow(context: Context, decision: Decision) -> Shadow | None:
    """Ask the slot's model beside the original, where the route says so and the model has room."""
    slot = decision.route.slot
    if slot is None or not decision.route.shadow:
        return None
    circuit = _circuit(context, slot)
    if not _may_be_shadowed(context, slot):
        return None
    return Shadow(_counted(context, slot, _attempt(context, decision)), circuit)


def answered_by_original(context: Context, decision: Decision, shadow: Shadow | None, latency_ms: int) -> None:
    """Count and record what the agent got of the original, after what its shadow says is known."""
    _count(context, decision, latency_ms)
    if shadow is None:
        record(context, decision)
        return

    async def finish() -> None:
        decision.attempt = await shadow.task
        if decision.attempt is not None:
            _judge(shadow.circuit, decision.attempt)
        record(context, decision)

    _after(context, finish())


def reason_of(decision: Decision) -> str:
    """Why that one answered, in words fit for counting."""
    failure = decision.attempt.failure if decision.attempt is not None and not decision.route.shadow else None
    return failure or decision.route.reason


def record(context: Context, decision: Decision) -> None:
    """Hand a decision to the log, unless its type is not to be collected."""
    slot = context.book.view.slots.get(decision.route.recognition.model_type or "")
    if slot is None or slot.collect:
        context.recorder.put(decision)


def _count(context: Context, decision: Decision, latency_ms: int) -> None:
    decision.latency_ms = latency_ms
    model_type = decision.route.recognition.model_type
    assert model_type is not None
    context.figures.count(model_type, place_of(decision), reason_of(decision), latency_ms)


def _broken(context: Context) -> Mapping[str, str]:
    """The slots whose circuit lets nothing through now."""
    if all(circuit.state != "open" for circuit in context.circuits.values()):
        return {}
    for slot in context.book.view.slots.values():
        for filled in (slot, slot.candidate.slot if slot.candidate is not None else slot):
            _circuit(context, filled)  # which may have something else in it by now
    return {slot: OPEN for slot, circuit in context.circuits.items() if circuit.state == "open"}


def _circuit(context: Context, slot: SlotNow) -> Circuit:
    """The circuit of what is in the slot. What another model, server or setting came to says nothing of this one."""
    circuit = context.circuits.setdefault(slot.circuit, Circuit())
    if circuit.of != slot.asked:
        if circuit.of is not None:
            circuit.reset()
        circuit.of = slot.asked
    context.read_failures()
    return circuit


def _may_be_shadowed(context: Context, slot: SlotNow) -> bool:
    """Whether one more decision may go to a model whose answer no agent waits for."""
    if context.shadow_calls[slot.circuit] < MOST_SHADOWED:
        return _circuit(context, slot).lets_through()
    context.figures.shadows_skipped[slot.model_type] += 1
    return False


def _counted(context: Context, slot: SlotNow, work: Coroutine[None, None, _Said]) -> asyncio.Task[_Said]:
    """Begin to ask a model whose answer no agent waits for."""
    context.shadow_calls[slot.circuit] += 1
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda _: context.shadow_calls.subtract((slot.circuit,)))
    return task


def _after(context: Context, work: Awaitable[None]) -> None:
    """Do something when the agent has its answer; a gateway that ends waits for it."""
    task = asyncio.ensure_future(work)
    context.shadows.add(task)
    task.add_done_callback(context.shadows.discard)


def _written(decision: Decision, attempt: Attempt, write: Callable[[Decision, Reply], _Written]) -> _Written | None:
    """The model's answer in the caller's form, all of it before a byte goes out; None when the original has to."""
    if attempt.reply is None:
        return None
    try:
        return write(decision, attempt.reply)
    except Exception as error:
        _log.exception("an answer could not be written")
        decision.attempt = replace(attempt, reply=None, failure=f"not writable: {type(error).__name__}")
        return None


def _judge(circuit: Circuit, attempt: Attempt) -> None:
    """Tell the circuit. A model that doubts itself is not broken."""
    if attempt.failure in (None, *NO_FAULT):
        circuit.succeeded()
    else:
        circuit.failed()


async def _attempt(context: Context, decision: Decision) -> Attempt | None:
    """Ask the model; None when the request cannot be put to it."""
    attempt = await _ask(context, decision, decision.route)
    if isinstance(attempt, str):
        decision.route = replace(decision.route, slot=None, reason=attempt)
        return None
    return attempt


async def _ask(context: Context, decision: Decision, where: Route) -> Attempt | str:
    """Ask a route's model; why the request cannot be put to it, where that is so."""
    slot = where.slot
    assert slot is not None
    try:
        chat = decision.dialect.to_chat(decision.body)
    except Untranslatable as reason:
        return str(reason)
    except (KeyError, TypeError, AttributeError, ValueError):
        return "cannot be translated"
    if context.models.is_full(slot):
        return FULL
    attempt = await ask(context.models, slot, decision.asked, chat, where)
    if attempt.failure == NOT_RUNNING and context.waker is not None and slot.deployment_key is not None:
        context.waker.wanted(slot)  # it was stopped behind our back
    return attempt
