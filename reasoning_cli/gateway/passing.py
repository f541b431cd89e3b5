"""A call handed through: on to the original provider as it came, and its answer back as it comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from reasoning_cli.gateway.calls import Call, CallerLeft
from reasoning_cli.gateway.overheard import Decision
from reasoning_cli.gateway.relaying import headers_down, headers_up, open_upstream, readable, rest_of
from reasoning_cli.gateway.routing import face_of, split_path

if TYPE_CHECKING:
    from reasoning_cli.gateway.app import Gateway

# Of an answer longer than this nothing is kept for the log; it still passes.
_LONGEST_KEPT_BYTES = 8 * 1024 * 1024
# A short body is held until it is sent, to be sent again over another connection when a kept one was closed just then.
_SENT_AGAIN_BYTES = 256 * 1024
_OWN_HEADERS = frozenset({b"x-reasoning-token"})


async def relay(gateway: Gateway, call: Call, body: bytes | None, decision: Decision | None) -> None:
    """Hand a call through. `body` is None when it was not read whole. Raises CallerLeft.

    What cannot be begun is answered with 502; what is cut at the original is cut here, so that nobody takes it for
    whole.
    """
    target = _target(gateway, call)
    if target is None:
        await call.refuse(400, "a call needs a path", None)
        return
    headers = headers_up(call.headers, gateway.hop, _OWN_HEADERS)
    if decision is not None and "accept-encoding" in headers:
        # What the log has to read later must not come in an encoding that only the caller knows.
        headers["accept-encoding"] = readable(",".join(headers.getall("accept-encoding")))
    if body is None and call.has_body and 0 < call.announced_bytes <= _SENT_AGAIN_BYTES:
        body = await call.read(_SENT_AGAIN_BYTES)
    streamed = body is None and call.has_body
    if streamed and call.announced_bytes >= 0:
        headers["content-length"] = str(call.announced_bytes)
    session = gateway.uploads if streamed else gateway.upstream
    if not streamed:
        call.watch()
    try:
        response = await open_upstream(session, call.method, target, headers, call.rest() if streamed else body)
    except asyncio.CancelledError:
        raise CallerLeft from None
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        if call.left:  # in the middle of its body
            raise CallerLeft from None
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
        if rest := rest_of(response):
            await call.send(rest, more=True)
    finally:
        response.close() if not response.content.at_eof() else response.release()


async def _pass_back(call: Call, response: aiohttp.ClientResponse, decision: Decision | None) -> None:
    if decision is not None:
        decision.status, decision.content_type = response.status, response.headers.get("content-type", "")
        decision.encoding = response.headers.get("content-encoding", "")
    await call.begin(response.status, headers_down(response.raw_headers, response.status))
    if call.method == "HEAD" or response.status in (204, 304):
        await call.send(b"", more=False)
        return
    content = response.content
    if content.is_eof() and content.exception() is None:  # short answers come together with their head
        piece = content.read_nowait()
        await call.send(piece, more=False)
        _listen(decision, piece)
        return
    async for piece in content.iter_any():
        await call.send(piece, more=True)
        _listen(decision, piece)
    await call.send(b"", more=False)


def _listen(decision: Decision | None, piece: bytes) -> None:
    """Keep a piece of the answer for the log, up to a length nobody trains on."""
    if decision is None or decision.status is None:
        return
    decision.chunks.append(piece)
    decision.size_bytes += len(piece)
    if decision.size_bytes > _LONGEST_KEPT_BYTES:
        decision.chunks.clear()
        decision.status = None


def _target(gateway: Gateway, call: Call) -> str | None:
    """Where a call would have gone without us: its path behind the original provider's base; None without a path."""
    view = gateway.book.view
    prefix, rest = split_path(call.path)
    if rest and not rest.startswith("/"):
        return None
    base = (view.anthropic_upstream if _is_anthropic(call, rest) else view.openai_upstream).rstrip("/")
    if not prefix and (rest == "/" or rest.startswith("/api/")):
        # Beside the API, as Claude Code's greetings and Ollama's own calls are.
        scheme, _, place = base.partition("://")
        base = f"{scheme}://{place.partition('/')[0]}"
    query = f"?{call.query.decode('latin-1')}" if call.query else ""
    return f"{base}{rest}{query}"


def _is_anthropic(call: Call, rest: str) -> bool:
    if rest.startswith("/messages") or rest == "/api/hello":
        return True
    if rest.startswith(("/responses", "/chat/", "/embeddings", "/api/")):
        return False
    return any(
        key in (b"anthropic-version", b"x-api-key") or (key == b"user-agent" and value.startswith(b"claude-cli/"))
        for key, value in call.headers
    )
