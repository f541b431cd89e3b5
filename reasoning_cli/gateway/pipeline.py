"""The path of one call: recognised, answered by its slot's model when that is good, else by the original provider."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from reasoning_cli.addresses import is_loopback
from reasoning_cli.gateway.calls import LONGEST_READ_BYTES, Call, CallerLeft
from reasoning_cli.gateway.decision_path import (
    Request,
    answer_from_head,
    answer_from_slot,
    answered_by_original,
    answered_by_slot,
    begin_shadow,
    decision_of,
    reason_of,
    record,
    route_of,
)
from reasoning_cli.gateway.dialects.forms import Asked, Dialect, Json, Reply, json_of
from reasoning_cli.gateway.heartbeat import heartbeats, stream_headers
from reasoning_cli.gateway.http.headers import joined
from reasoning_cli.gateway.http.unpacking import unpack
from reasoning_cli.gateway.log.capture import Decision, place_of
from reasoning_cli.gateway.relay import relay

if TYPE_CHECKING:
    from reasoning_cli.gateway.context import Context
    from reasoning_cli.gateway.target import Target
    from reasoning_cli.operations.deploy.slots import SlotNow

_log = logging.getLogger(__name__)


async def decide(context: Context, call: Call, target: Target) -> None:
    """Answer a call: target, request, decision, route, answer, sample, each made of the one before. Raises
    CallerLeft."""
    body = await call.read() if target.dialect is not None else None
    decision: Decision | None = None
    if target.dialect is not None and body is not None:
        try:
            decision, body = _recognised(context, call, target.dialect, body)
        except Exception:
            # Whatever in a request we cannot read is for the original to judge.
            _log.exception("a call could not be read")
            call.note("could not be read")
    if decision is None or body is None:
        context.figures.relayed += 1
        await relay(context, call, target, body, None)
        return
    if await _answered_by_head(context, call, decision):
        return
    if decision.route.to_slot and await _answered(context, call, decision):
        return
    await _from_original(context, call, target, decision, body)


def _recognised(context: Context, call: Call, dialect: Dialect, body: bytes) -> tuple[Decision | None, bytes]:
    """The decision that a call asks for, and where it goes, None when it asks for none; and its body as it goes on."""
    if _from_elsewhere(call.header(b"origin")):
        call.note("asked by a web page")
        return None, body
    packed = joined(call.headers, b"content-encoding")
    parsed = _parsed(body, packed)
    if parsed is not None and (whole := _restored(dialect, parsed)) is not None:
        parsed, body, packed = whole, orjson.dumps(whole), ""
        call.headers = [header for header in call.headers if header[0] != b"content-encoding"]
        call.note("names what our model said")
    asked = _asked(dialect, parsed)
    if parsed is None or asked is None:
        return None, body
    request = Request(call.id, dialect, asked, parsed, call.headers_read(), len(body), body, packed)
    where = route_of(context, request)
    call.notes |= {"model_type": where.recognition.model_type, "reason": where.reason}
    return decision_of(request, where), body


def _from_elsewhere(origin: bytes | None) -> bool:
    """Whether a web page of another host asks. Any page a browser shows can send a call to this machine; it may not
    spend on models, nor write into the log."""
    if origin is None:
        return False
    try:
        return not is_loopback(urlsplit(origin.decode("latin-1")).hostname or "")
    except ValueError:
        return True


def _parsed(body: bytes, packed: str) -> Json | None:
    """The body of a call; None for one that the provider may judge. It goes on as it came."""
    try:
        parsed = json_of(unpack(body, packed, LONGEST_READ_BYTES))
    except (ValueError, TypeError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _restored(dialect: Dialect, parsed: Json) -> Json | None:
    """A body that names what our model said, with that in its place; None for any other."""
    try:
        return dialect.restored(parsed)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _asked(dialect: Dialect, parsed: Json | None) -> Asked | None:
    """What a body asks; None for what is not a call of the dialect."""
    try:
        return dialect.read(parsed) if parsed is not None else None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


async def _answered_by_head(context: Context, call: Call, decision: Decision) -> bool:
    """Let the head in line answer; False when another has to."""
    answer = answer_from_head(context, decision, _written)
    if answer is None:
        return False
    await _send(call, decision, answer)
    _note(call, decision)
    answered_by_slot(context, decision, call.since_ms())
    return True


async def _answered(context: Context, call: Call, decision: Decision) -> bool:
    """Let the slot's model answer; False when the original has to."""
    slot = decision.route.slot
    assert slot is not None
    try:
        async with _heartbeats(context, call, decision, slot):
            answer = await answer_from_slot(context, decision, _written)
    except asyncio.CancelledError:
        raise CallerLeft from None
    if answer is None:
        return False
    await _send(call, decision, answer)
    _note(call, decision)
    answered_by_slot(context, decision, call.since_ms())
    return True


def _heartbeats(context: Context, call: Call, decision: Decision, slot: SlotNow) -> AbstractAsyncContextManager[None]:
    """For while the model thinks: none where no stream is waited for, or not for long."""
    seconds = context.heartbeat_seconds
    if not decision.asked.stream or slot.deadline_seconds < 2 * seconds:
        return nullcontext()
    return heartbeats(call, decision.dialect.heartbeat, seconds)


def _written(decision: Decision, reply: Reply) -> bytes:
    """The model's answer in the caller's dialect."""
    if decision.asked.stream:
        return b"".join(decision.dialect.events(reply, decision.body))
    return orjson.dumps(decision.dialect.write(reply, decision.body))


async def _send(call: Call, decision: Decision, answer: bytes) -> None:
    """Send the answer of a model or of the head. Raises CallerLeft."""
    source = (b"x-reasoning-source", place_of(decision).encode())
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


async def _from_original(context: Context, call: Call, target: Target, decision: Decision, body: bytes) -> None:
    """Hand the call to the original provider, and capture its answer."""
    shadow = begin_shadow(context, decision)
    try:
        await relay(context, call, target, body, decision)
    except BaseException:
        if shadow is not None:
            shadow.abandon()
        if decision.broken is not None and decision.is_stream:  # what came of it is billed
            decision.latency_ms = call.since_ms()
            record(context, decision)
        raise
    _note(call, decision)
    answered_by_original(context, decision, shadow, call.since_ms())


def _note(call: Call, decision: Decision) -> None:
    """Say in the log of calls who answered, and why."""
    call.notes |= {"source": place_of(decision), "reason": reason_of(decision)}
