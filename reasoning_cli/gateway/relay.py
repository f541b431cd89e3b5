"""A call handed through: on to the original provider as it came, and its answer back as it comes."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from reasoning_cli.gateway.calls import Call, CallerLeft
from reasoning_cli.gateway.dialects.forms import json_of
from reasoning_cli.gateway.heartbeat import heartbeats
from reasoning_cli.gateway.http.headers import headers_down, headers_up, joined, unpacked
from reasoning_cli.gateway.http.unpacking import unpack
from reasoning_cli.gateway.http.upstream import Answer, UpstreamError
from reasoning_cli.gateway.log.capture import LONGEST_STORED_BYTES, Decision, is_over
from reasoning_cli.gateway.log.dating import Dated
from reasoning_cli.gateway.target import Target

if TYPE_CHECKING:
    from reasoning_cli.gateway.context import Context

# A short body goes out in one piece with its head.
_IN_ONE_PIECE_BYTES = 64 * 1024
_NO_ENCODING = ("", "identity")
_LONGEST_REFUSAL_BYTES = 64 * 1024


async def relay(context: Context, call: Call, target: Target, body: bytes | None, decision: Decision | None) -> None:
    """Hand a call through. `body` is None when it was not read whole. Raises CallerLeft, but not where the original had
    said all of its answer to a decision: that one is made.

    What cannot be begun is answered with 502; what is cut at the original is cut here, so that nobody takes it for
    whole. Where the caller's stream was begun already, the original's events go on in it, and what it refuses, or why
    it cannot be reached, is the event of an error there.
    """
    if target.url is None:
        await call.refuse(400, "a call needs a path", None)
        return
    headers = headers_up(call.headers, context.hop)
    waiting: AbstractAsyncContextManager[None] = nullcontext()
    if call.begun and decision is not None:
        headers = unpacked(headers)
        waiting = heartbeats(call, decision.dialect.heartbeat, context.heartbeat_seconds)
    if body is None and _comes_in_one_piece(call):
        body = await call.read(_IN_ONE_PIECE_BYTES)
    streamed = body is None and call.has_body
    length = call.announced_bytes if streamed and call.announced_bytes >= 0 else None
    if not streamed:
        call.watch()
    try:
        async with waiting:
            rest = call.rest() if streamed else body
            answer = await context.upstream.ask(call.method, target.url, headers, rest, length)
    except asyncio.CancelledError:
        raise CallerLeft from None
    except (UpstreamError, ValueError) as error:
        if call.left:  # in the middle of its body
            raise CallerLeft from None
        await _refuse_unreached(context, call, target, decision, error)
        return
    context.figures.reached(target.url)
    end = answer.close
    try:
        await _pass_back(call, answer, decision, certain=target.url.startswith("https:"))
    except asyncio.CancelledError:
        if decision is None or not _is_over(decision, answer):
            if decision is not None:
                decision.broken = "the caller left"
            raise CallerLeft from None
        call.note("caller left at the end of its answer")
        end = partial(context.upstream.finish, answer)
    except UpstreamError as error:
        _note_cut(context, call, target.url, answer, decision, error)
    finally:
        end()


def _comes_in_one_piece(call: Call) -> bool:
    """Whether a body is short enough to be read before anything is sent on."""
    return call.has_body and 0 < call.announced_bytes <= _IN_ONE_PIECE_BYTES


async def _refuse_unreached(
    context: Context, call: Call, target: Target, decision: Decision | None, error: Exception
) -> None:
    """Tell the caller that the original provider cannot be reached, in the stream where one was begun."""
    kind = type(error).__name__
    context.figures.reached(target.url or "", kind)
    call.note(f"the original provider cannot be reached: {kind}")
    if decision is not None:
        decision.lost = "no answer"
    dialect = target.dialect
    why = f"the original provider cannot be reached ({kind})"
    if call.begun and dialect is not None:
        await call.send(dialect.error_event(dialect.error(502, why)), more=False)
    await call.refuse(502, why, dialect.error if dialect else None)  # unless the answer was begun


def _note_cut(
    context: Context, call: Call, url: str, answer: Answer, decision: Decision | None, error: UpstreamError
) -> None:
    """Note an answer that was cut at the original. The head is out: all that can be told is that this is not the end.
    The server cuts the connection."""
    context.figures.reached(url, type(error).__name__)
    call.note(f"the original provider's answer was cut: {type(error).__name__}")
    if decision is not None and not _is_over(decision, answer):
        decision.broken = "broken off at the original"


async def _pass_back(call: Call, answer: Answer, decision: Decision | None, *, certain: bool) -> None:
    """The answer as it comes; `certain` where the provider proved who it is."""
    headers = headers_down(answer.headers, answer.status)
    if decision is not None:
        decision.status, named = answer.status, dict(reversed(headers))
        decision.content_type = named.get(b"content-type", b"").decode("latin-1")
        if date := named.get(b"date"):
            decision.dated = Dated(date, datetime.now(UTC), time.perf_counter(), certain)
        decision.encoding = joined(headers, b"content-encoding")
    if not call.begun:
        await call.begin(answer.status, headers)
    elif decision is not None and not _goes_on(decision, answer):
        await _refuse_in_stream(call, answer, decision)
        return
    piece, more = answer.taken(), not answer.ended  # nothing of the body yet: its head goes alone
    _capture(decision, piece)
    await call.send(piece, more=more)
    while more:
        piece, more = await answer.read(), not answer.ended
        _capture(decision, piece)  # a caller may leave while it is sent
        await call.send(piece, more=more)


async def _refuse_in_stream(call: Call, answer: Answer, decision: Decision) -> None:
    """End a stream that was begun with what the original said instead of one."""
    call.note(f"the original provider refused, in a stream that was begun: status {answer.status}")
    said = b""
    while len(said) < _LONGEST_REFUSAL_BYTES and (piece := await answer.read()):
        said += piece
    try:
        payload = json_of(unpack(said, decision.encoding, _LONGEST_REFUSAL_BYTES))
    except ValueError:
        payload = None
    if answer.status < 400 or not (isinstance(payload, dict) and isinstance(payload.get("error"), dict)):
        payload = decision.dialect.error(answer.status, f"the original provider answered with status {answer.status}")
    await call.send(decision.dialect.error_event(payload), more=False)


def _goes_on(decision: Decision, answer: Answer) -> bool:
    """Whether an answer's events can follow what was sent of a stream already."""
    return answer.status == 200 and decision.is_stream and decision.encoding in _NO_ENCODING


def _is_over(decision: Decision, answer: Answer) -> bool:
    """Whether all of an answer that passes no further was captured."""
    _capture(decision, answer.taken())
    decision.cut = not answer.ended
    return answer.ended or is_over(decision)


def _capture(decision: Decision | None, piece: bytes) -> None:
    """Keep a piece of the answer for the log, up to a length nobody trains on."""
    if decision is None or decision.lost is not None:
        return
    decision.chunks.append(piece)
    decision.size_bytes += len(piece)
    if decision.size_bytes > LONGEST_STORED_BYTES:
        decision.chunks.clear()
        decision.lost = "too long"
