"""The path of one call: recognised, answered by its slot's model when that is good, else by the original provider."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import orjson

from reasoning_cli.addresses import is_loopback
from reasoning_cli.gateway.calls import LONGEST_READ_BYTES, Call, CallerLeft
from reasoning_cli.gateway.circuit import OPEN, Circuit
from reasoning_cli.gateway.dialects.forms import Asked, Dialect, Json, Untranslatable, json_of
from reasoning_cli.gateway.heartbeat import heartbeats, stream_headers
from reasoning_cli.gateway.http.headers import joined
from reasoning_cli.gateway.http.unpacking import unpack
from reasoning_cli.gateway.log.capture import Decision
from reasoning_cli.gateway.model_client import FULL, NO_PROBABILITIES, NOT_RUNNING, UNSURE, Attempt, ask
from reasoning_cli.gateway.relay import relay
from reasoning_cli.gateway.routing import Route, route

if TYPE_CHECKING:
    from reasoning_cli.gateway.context import Context
    from reasoning_cli.gateway.target import Target
    from reasoning_cli.operations.deploy.slots import SlotNow

_log = logging.getLogger(__name__)
# Calls of one model under way that no agent waits for. Where agents ask faster than a model answers, more would only
# make all of them late, and a good model look bad.
MOST_SHADOWED = 16
_Said = TypeVar("_Said")


async def decide(context: Context, call: Call, target: Target) -> None:
    """Answer a call: target, request, decision, route, answer, sample, each made of the one before. Raises
    CallerLeft."""
    body = await call.read() if target.dialect is not None else None
    decision: Decision | None = None
    if target.dialect is not None and body is not None:
        try:
            decision = _recognised(context, call, target.dialect, body)
        except Exception:
            # Whatever in a request we cannot read is for the original to judge.
            _log.exception("a call could not be read")
            call.note("could not be read")
    if decision is None or body is None:
        context.figures.relayed += 1
        await relay(context, call, target, body, None)
        return
    if decision.route.to_slot and await _answered(context, call, decision):
        return
    await _from_original(context, call, target, decision, body)


def _recognised(context: Context, call: Call, dialect: Dialect, body: bytes) -> Decision | None:
    """The decision that a call asks for, and where it goes; None when it asks for none."""
    if _from_elsewhere(call.header(b"origin")):
        call.note("asked by a web page")
        return None
    parsed, asked = _understood(dialect, call, body)
    if parsed is None or asked is None:
        return None
    where = route(asked, call.headers_read(), context.book.view.slots, len(body), _broken(context))
    model_type = where.recognition.model_type
    call.notes |= {"model_type": model_type, "reason": where.reason}
    if model_type is None:
        return None
    if (
        context.waker is not None
        and (slot := context.book.view.slots.get(model_type or "")) is not None
        and slot.asleep
    ):
        # Only for what its model would be asked, were it awake.
        awake = {slot.model_type: replace(slot, closed=None)}
        if route(asked, call.headers_read(), awake, len(body), {}).slot is not None:
            context.waker.wanted(slot)
    decision = Decision(dialect, asked, where, parsed, call.id, size_bytes=len(body))
    if model_type == "coding":
        decision.asked_in, decision.asked_packed = body, joined(call.headers, b"content-encoding")
    return decision


def _from_elsewhere(origin: bytes | None) -> bool:
    """Whether a web page of another host asks. Any page a browser shows can send a call to this machine; it may not
    spend on models, nor write into the log."""
    if origin is None:
        return False
    try:
        return not is_loopback(urlsplit(origin.decode("latin-1")).hostname or "")
    except ValueError:
        return True


def _understood(dialect: Dialect, call: Call, body: bytes) -> tuple[Json | None, Asked | None]:
    """The parsed body and what it asks; (None, None) for what is not a call of the dialect: the provider may judge
    it."""
    try:
        # What goes on is never this.
        parsed = json_of(unpack(body, joined(call.headers, b"content-encoding"), LONGEST_READ_BYTES))
        return (parsed, dialect.read(parsed)) if isinstance(parsed, dict) else (None, None)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None, None


def _broken(context: Context) -> Mapping[str, str]:
    """The slots whose circuit lets nothing through now."""
    if all(circuit.state != "open" for circuit in context.circuits.values()):
        return {}
    for slot in context.book.view.slots.values():
        for filled in (slot, slot.candidate.slot if slot.candidate is not None else slot):
            _circuit(context, filled)  # which may have something else in it by now
    return {slot: OPEN for slot, circuit in context.circuits.items() if circuit.state == "open"}


async def _answered(context: Context, call: Call, decision: Decision) -> bool:
    """Let the slot's model answer; False when the original has to, with the attempt kept in the decision."""
    where = decision.route
    assert where.slot is not None
    circuit = _circuit(context, where.slot)
    if not circuit.lets_through():
        decision.route = replace(where, slot=None, reason=OPEN)
        return False
    try:
        async with _heartbeats(context, call, decision, where.slot):
            attempt = await _attempt(context, decision)
    except asyncio.CancelledError:
        circuit.abandoned()
        raise CallerLeft from None
    if attempt is None:
        circuit.abandoned()
        return False
    decision.attempt = attempt
    answer = _written(decision, attempt)
    _judge(circuit, decision.attempt)
    if answer is None:
        return False
    await _send(call, decision, answer)
    _count_only(context, call, decision, "slot")
    shadow = decision.route.shadow_route
    if shadow is None or shadow.slot is None or not _may_be_shadowed(context, shadow.slot):
        _keep(context, decision)
        return True
    circuit = _circuit(context, shadow.slot)

    async def ask_shadow() -> None:
        attempt = await _ask(context, decision, shadow)
        if isinstance(attempt, str):
            circuit.abandoned()
        else:
            _judge(circuit, attempt)
            decision.shadow_attempt = attempt
        _keep(context, decision)

    _after(context, _counted(context, shadow.slot, ask_shadow()))
    return True


def _heartbeats(context: Context, call: Call, decision: Decision, slot: SlotNow) -> AbstractAsyncContextManager[None]:
    """For while the model thinks: none where no stream is waited for, or not for long."""
    seconds = context.heartbeat_seconds
    if not decision.asked.stream or slot.deadline_seconds < 2 * seconds:
        return nullcontext()
    return heartbeats(call, decision.dialect.heartbeat, seconds)


async def _send(call: Call, decision: Decision, answer: bytes) -> None:
    """Send the model's answer. Raises CallerLeft."""
    source = (b"x-reasoning-source", b"slot")
    try:
        if decision.asked.stream:
            if not call.begun:
                await call.begin(200, [*stream_headers(call), source])
            await call.send(answer, more=False)
        else:
            headers = [(b"content-type", b"application/json"), (b"x-request-id", call.id.encode()), source]
            await call.answer(200, headers, answer)
    except asyncio.CancelledError:
        raise CallerLeft from None


def _circuit(context: Context, slot: SlotNow) -> Circuit:
    """The circuit of what is in the slot. What another model, server or setting came to says nothing of this one."""
    circuit = context.circuits.setdefault(slot.circuit, Circuit())
    if circuit.of != slot.asked:
        if circuit.of is not None:
            circuit.reset()
        circuit.of = slot.asked
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


def _written(decision: Decision, attempt: Attempt) -> bytes | None:
    """The model's answer in the caller's dialect, all of it before a byte goes out; None when the original has to."""
    if attempt.reply is None:
        return None
    try:
        if decision.asked.stream:
            return b"".join(decision.dialect.events(attempt.reply, decision.body))
        return orjson.dumps(decision.dialect.write(attempt.reply))
    except Exception as error:
        _log.exception("an answer could not be written")
        decision.attempt = replace(attempt, reply=None, failure=f"not writable: {type(error).__name__}")
        return None


def _judge(circuit: Circuit, attempt: Attempt) -> None:
    """Tell the circuit. A model that doubts itself is not broken."""
    if attempt.failure in (None, UNSURE, NO_PROBABILITIES):
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


async def _from_original(context: Context, call: Call, target: Target, decision: Decision, body: bytes) -> None:
    """Hand the call to the original provider, and capture its answer."""
    slot, circuit = decision.route.slot, None
    if decision.route.shadow and slot is not None:
        circuit = _circuit(context, slot)
    shadow = None
    if circuit is not None and slot is not None and _may_be_shadowed(context, slot):
        shadow = _counted(context, slot, _attempt(context, decision))
    try:
        await relay(context, call, target, body, decision)
    except BaseException:
        if shadow is not None and circuit is not None:
            shadow.cancel()
            circuit.abandoned()
        if decision.broken is not None and decision.is_stream:  # what came of it is billed
            decision.latency_ms = call.since_ms()
            _keep(context, decision)
        raise
    source = "fallback" if decision.attempt is not None else "original"
    if shadow is None:
        _count(context, call, decision, source)
        return
    _count_only(context, call, decision, source)

    async def finish() -> None:
        decision.attempt = await shadow
        if circuit is not None and decision.attempt is not None:
            _judge(circuit, decision.attempt)
        _keep(context, decision)

    _after(context, finish())


def _count(context: Context, call: Call, decision: Decision, source: str) -> None:
    _count_only(context, call, decision, source)
    _keep(context, decision)


def _count_only(context: Context, call: Call, decision: Decision, source: str) -> None:
    decision.latency_ms = call.since_ms()
    model_type = decision.route.recognition.model_type
    assert model_type is not None
    reason = decision.route.reason
    if source == "fallback" and decision.attempt is not None:
        reason = decision.attempt.failure or reason
    call.notes |= {"source": source, "reason": reason}
    context.figures.count(model_type, source, reason, decision.latency_ms)


def _keep(context: Context, decision: Decision) -> None:
    slot = context.book.view.slots.get(decision.route.recognition.model_type or "")
    if slot is None or slot.collect:
        context.recorder.put(decision)
