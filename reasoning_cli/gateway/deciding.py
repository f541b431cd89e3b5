"""The path of one call: recognised, answered by its slot's model when that is good, else by the original provider."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import orjson

from reasoning_cli.gateway.asking import UNSURE, Attempt, ask
from reasoning_cli.gateway.calls import Call, CallerLeft
from reasoning_cli.gateway.circuit import OPEN, Circuit
from reasoning_cli.gateway.faces.forms import Asked, Face, Json, Untranslatable
from reasoning_cli.gateway.overheard import Decision
from reasoning_cli.gateway.relaying import headers_down, headers_up, open_upstream
from reasoning_cli.gateway.routing import face_of, route, split_path

if TYPE_CHECKING:
    from reasoning_cli.gateway.app import Gateway

# Of an answer longer than this nothing is kept for the log; it still passes.
_LONGEST_KEPT_BYTES = 8 * 1024 * 1024
_OWN_HEADERS = frozenset({b"x-reasoning-token"})
# Answers shorter than this that are no streams are sent on in one piece.
_WHOLE_BYTES = 256 * 1024


async def decide(gateway: Gateway, call: Call) -> None:
    """Answer a call. Raises CallerLeft."""
    face = face_of(call.method, call.path)
    body = await call.read() if face is not None else None
    if face is None or body is None:
        gateway.figures.relayed += 1
        await relay(gateway, call, None, None)
        return
    parsed, asked = _understood(face, call, body)
    if parsed is None or asked is None:
        gateway.figures.relayed += 1
        await relay(gateway, call, body, None)
        return
    where = route(asked, call.headers_by_name(), gateway.book.view.slots, len(body), _broken(gateway))
    model_type = where.recognition.model_type
    call.notes |= {"model_type": model_type, "reason": where.reason}
    if model_type is None:
        gateway.figures.relayed += 1
        await relay(gateway, call, body, None)
        return
    decision = Decision(face, asked, where, parsed, call.id, size_bytes=len(body))
    if where.to_slot and await _answered(gateway, call, decision, body):
        return
    await _from_original(gateway, call, decision, body)


def _understood(face: Face, call: Call, body: bytes) -> tuple[Json | None, Asked | None]:
    """The parsed body and what it asks; (None, None) for what is no call of the dialect: the provider may judge it."""
    try:
        content = _plain(body, call.header(b"content-encoding"))
        parsed = orjson.loads(content) if content is not None else None
        return (parsed, face.read(parsed)) if isinstance(parsed, dict) else (None, None)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None, None


def _plain(body: bytes, encoding: bytes | None) -> bytes | None:
    """A body without its content encoding, to be read; None for one we do not know. What goes on is never this."""
    match (encoding or b"").strip().lower():
        case b"" | b"identity":
            return body
        case b"gzip" | b"x-gzip":
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        case b"deflate":
            unpacker = zlib.decompressobj()
        case _:
            return None
    try:
        content = unpacker.decompress(body, 64 * 1024 * 1024)
    except (zlib.error, gzip.BadGzipFile):
        return None
    return content if unpacker.eof else None


def _broken(gateway: Gateway) -> Mapping[str, str]:
    """The slots whose circuit lets nothing through now."""
    return {one: OPEN for one, circuit in gateway.circuits.items() if circuit.state == "open"}


async def _answered(gateway: Gateway, call: Call, decision: Decision, body: bytes) -> bool:
    """Let the slot's model answer; False when the original has to, with the attempt kept in the decision."""
    face, asked, where = decision.face, decision.asked, decision.route
    assert where.slot is not None
    circuit = gateway.circuits[where.slot.model_type]
    if not circuit.lets_through():
        decision.route = replace(where, slot=None, reason=OPEN)
        return False
    try:
        attempt = await _attempt(gateway, decision)
    except asyncio.CancelledError:
        circuit.abandoned()
        raise CallerLeft from None
    if attempt is None:
        circuit.abandoned()
        return False
    decision.attempt = attempt
    _judge(circuit, attempt)
    if attempt.reply is None:
        return False
    headers = [(b"x-reasoning-source", b"slot"), (b"x-request-id", call.id.encode())]
    if asked.stream:
        await call.begin(
            200, [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"), *headers]
        )
        await call.send(b"".join(face.events(attempt.reply, decision.body)), more=False)
    else:
        await call.answer_json(200, face.write(attempt.reply), headers)
    _count(gateway, call, decision, "slot")
    return True


def _judge(circuit: Circuit, attempt: Attempt) -> None:
    """Tell the circuit. A model that doubts itself is not broken."""
    if attempt.failure is None or attempt.failure == UNSURE:
        circuit.succeeded()
    else:
        circuit.failed()


async def _attempt(gateway: Gateway, decision: Decision) -> Attempt | None:
    """Ask the model; None when the request cannot be put to it."""
    slot = decision.route.slot
    assert slot is not None
    try:
        chat = decision.face.to_chat(decision.body)
    except Untranslatable as reason:
        decision.route = replace(decision.route, slot=None, reason=str(reason))
        return None
    except (KeyError, TypeError, AttributeError, ValueError):
        decision.route = replace(decision.route, slot=None, reason="cannot be translated")
        return None
    return await ask(gateway.models, slot, decision.asked, chat, decision.route)


async def _from_original(gateway: Gateway, call: Call, decision: Decision, body: bytes) -> None:
    """Hand the call to the original provider, and listen."""
    slot, circuit = decision.route.slot, None
    if decision.route.shadow and slot is not None:
        circuit = gateway.circuits[slot.model_type]
    lets_through = circuit is not None and circuit.lets_through()
    shadow = asyncio.ensure_future(_attempt(gateway, decision)) if lets_through else None
    try:
        await relay(gateway, call, body, decision)
    except BaseException:
        if shadow is not None:
            shadow.cancel()
        if circuit is not None:
            circuit.abandoned()
        raise
    source = "fallback" if decision.attempt is not None else "original"
    if shadow is None:
        _count(gateway, call, decision, source)
        return
    _count_only(gateway, call, decision, source)

    async def finish() -> None:
        decision.attempt = await shadow
        if circuit is not None and decision.attempt is not None:
            _judge(circuit, decision.attempt)
        _keep(gateway, decision)

    task = asyncio.ensure_future(finish())
    gateway.shadows.add(task)
    task.add_done_callback(gateway.shadows.discard)


def _count(gateway: Gateway, call: Call, decision: Decision, source: str) -> None:
    _count_only(gateway, call, decision, source)
    _keep(gateway, decision)


def _count_only(gateway: Gateway, call: Call, decision: Decision, source: str) -> None:
    decision.latency_ms = call.since_ms()
    model_type = decision.route.recognition.model_type
    assert model_type is not None
    reason = decision.route.reason
    if source == "fallback" and decision.attempt is not None:
        reason = decision.attempt.failure or reason
    call.notes |= {"source": source, "reason": reason}
    gateway.figures.count(model_type, source, reason, decision.latency_ms)


def _keep(gateway: Gateway, decision: Decision) -> None:
    slot = gateway.book.view.slots.get(decision.route.recognition.model_type or "")
    if slot is None or slot.collect:
        gateway.recorder.put(decision)


async def relay(gateway: Gateway, call: Call, body: bytes | None, decision: Decision | None) -> None:
    """Send the call on as it came, and its answer back as it comes. `body` is None when it was not read whole."""
    headers = headers_up(call.headers, gateway.hop, _OWN_HEADERS)
    if decision is not None and "accept-encoding" in headers:
        # What the log has to read later must not come in an encoding that only the caller knows.
        headers["accept-encoding"] = "gzip, deflate"
    sent = body if body is not None else call.rest() if call.has_body else None
    if sent is not None and body is None and (length := call.header(b"content-length")) is not None:
        headers["content-length"] = length.decode("latin-1")
    try:
        response = await open_upstream(gateway.upstream, call.method, _target(gateway, call), headers, sent)
    except asyncio.CancelledError:
        raise CallerLeft from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        kind = type(error).__name__
        gateway.figures.upstream_errors[kind] += 1
        call.note(f"the original provider cannot be reached: {kind}")
        face = face_of(call.method, call.path)
        await call.refuse(502, f"the original provider cannot be reached ({kind})", face.error if face else None)
        return
    try:
        await _pass_back(call, response, decision)
    except asyncio.CancelledError:
        raise CallerLeft from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        # The head is out: all that can be told is that this is not the end. The server cuts the connection.
        gateway.figures.upstream_errors[type(error).__name__] += 1
        call.note(f"the original provider's answer was cut: {type(error).__name__}")
        if decision is not None:
            decision.status = None
    finally:
        response.close() if not response.content.at_eof() else response.release()


async def _pass_back(call: Call, response: aiohttp.ClientResponse, decision: Decision | None) -> None:
    headers = headers_down(response.raw_headers)
    content_type = response.headers.get("content-type", "")
    if decision is not None:
        decision.status, decision.content_type = response.status, content_type
        decision.encoding = response.headers.get("content-encoding", "")
    length = response.content_length
    if call.method == "HEAD" or response.status in (204, 304):
        await call.begin(response.status, headers)
        await call.send(b"", more=False)
        return
    if length is not None and length <= _WHOLE_BYTES and not content_type.startswith("text/event-stream"):
        whole = await response.read()
        await call.begin(response.status, headers)
        await call.send(whole, more=False)
        _listen(decision, whole)
        return
    await call.begin(response.status, headers)
    async for piece in response.content.iter_any():
        await call.send(piece, more=True)
        _listen(decision, piece)
    await call.send(b"", more=False)


def _listen(decision: Decision | None, piece: bytes) -> None:
    """Keep a piece of the answer for the log, up to a length nobody trains on."""
    if decision is None:
        return
    decision.chunks.append(piece)
    decision.size_bytes += len(piece)
    if decision.size_bytes > _LONGEST_KEPT_BYTES:
        decision.chunks.clear()
        decision.status = None


def _target(gateway: Gateway, call: Call) -> str:
    """Where a call would have gone without us: its path behind the original provider's base."""
    view = gateway.book.view
    prefix, rest = split_path(call.path)
    base = (view.anthropic_upstream if _is_anthropic(call, rest) else view.openai_upstream).rstrip("/")
    if not prefix and rest.startswith("/api/"):
        # Beside the API, as Claude Code's greeting and Ollama's own calls are.
        scheme, _, place = base.partition("://")
        base = f"{scheme}://{place.partition('/')[0]}"
    query = f"?{call.query.decode('latin-1')}" if call.query else ""
    return f"{base}{rest}{query}"


def _is_anthropic(call: Call, rest: str) -> bool:
    if rest.startswith("/messages") or rest == "/api/hello":
        return True
    if rest.startswith(("/responses", "/chat/", "/embeddings", "/api/")):
        return False
    return any(key in (b"anthropic-version", b"x-api-key") for key, _ in call.headers)
