"""What uvicorn leaves open towards callers: how long and how slow a head may be, how many connections there are, what
follows an upgrade nobody grants, HTTP/1.0, the last moment of a kept connection, packets of an answer."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# Twice what nginx takes. A little more may pass: a piece of what arrives is read before it is counted.
LONGEST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 500
# From the first byte of a connection, or of a request on it, to the end of its head.
HEAD_SECONDS = 60.0
# Without a byte of a body that was announced, though we would read it.
BODY_SILENCE_SECONDS = 120.0
_LOOK_SECONDS = 5.0
# A connection that is kept open is closed so long after the gateway was told to end: a call may be on its way.
_LAST_CALL_SECONDS = 0.3
# A call takes three files: its caller's connection, the model's and the original's.
_FILES_BESIDE, _FILES_OF_A_CALL = 200, 3
_MOST_CONNECTIONS = 10_000


def most_connections() -> int:
    """How many callers may be connected, after this process was allowed as many open files as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_CONNECTIONS * _FILES_OF_A_CALL + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _MOST_CONNECTIONS if soft < 0 else min(_MOST_CONNECTIONS, (soft - _FILES_BESIDE) // _FILES_OF_A_CALL)


class Protocol(HttpToolsProtocol):
    """One connection of a caller."""

    most = 0  # connections at once; looked up by the first one
    head_seconds, body_seconds, look_seconds = HEAD_SECONDS, BODY_SILENCE_SECONDS, _LOOK_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_head, self._head_bytes, self._completed = True, 0, False
        self._ending = self._resuming = False
        self._joined = _Joined(transport, self.loop)
        self._since = self._heard = self.loop.time()
        self._look_later: asyncio.TimerHandle | None = self.loop.call_later(self.look_seconds, self._look)
        Protocol.most = Protocol.most or most_connections()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look_later is not None:
            self._look_later.cancel()
            self._look_later = None
        super().connection_lost(exc)

    @property
    def idle_since(self) -> float | None:
        """When the last byte came, if no call is under way."""
        return self._heard if self.cycle is None or self.cycle.response_complete else None

    def _make_room(self) -> None:
        """Close the connection that was idle longest: there are too many."""
        idle = [one for one in self.connections if isinstance(one, Protocol) and one.idle_since is not None]
        min(idle, key=lambda one: one.idle_since or 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self.parser is None:  # refused already, or nothing but the answer under way is waited for
            return
        now = self.loop.time()
        if self._in_head and self._head_bytes == 0:
            self._since = now
        self._heard, self._completed = now, False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request")
        if self._in_head and not self._completed:
            self._head_bytes += len(data)
            if self._head_bytes > LONGEST_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")

    def _stay(self, rest: bytes) -> None:
        """We never change the protocol: a call that asks for it, as Java's client does at first, is answered as it is.

        The parser takes what follows for the other protocol, the body too. Another one is told how long the body is.
        """
        framing = [one for one in self.headers if one[0] in (b"content-length", b"transfer-encoding")]
        head = b"".join(b"%s: %s\r\n" % one for one in framing)
        self.parser, self._resuming = httptools.HttpRequestParser(self), True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % head)
        self._resuming = False
        if rest:
            self.data_received(rest)

    def on_message_begin(self) -> None:
        if not self._resuming:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer, which could pose as a header that a proxy before us had checked
            return
        if len(self.headers) >= MOST_HEADERS:
            raise ValueError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        self._in_head = False
        super().on_headers_complete()
        self.cycle.transport = self._joined
        if self.parser.get_http_version() == "1.0":
            self.cycle.__class__ = _UntilClosed
        if self._ending:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():  # its body comes yet
            return
        self._in_head, self._head_bytes, self._completed = True, 0, True
        super().on_message_complete()

    def _refuse(self, status: bytes) -> None:
        """Answer with an error and close. A call that came whole before is answered first: it was sound."""
        self.parser = None  # type: ignore[assignment]
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not (under_way and self.cycle.response_started):
            self.transport.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()

    def _look(self) -> None:
        """Whether the caller takes too long; every few seconds, as a timer for each call would cost each call."""
        self._look_later = self.loop.call_later(self.look_seconds, self._look)
        now, cycle = self.loop.time(), self.cycle
        if cycle is None or cycle.response_complete:
            slow = self.timeout_keep_alive_task is None and now - self._since > self.head_seconds
            if slow and self._head_bytes == 0:
                self.transport.close()
            elif slow:
                self._refuse(b"408 Request Timeout")
        elif (
            cycle.more_body
            and not (cycle.waiting_for_100_continue or self.flow.read_paused)
            and (now - self._heard > self.body_seconds)
        ):
            self._refuse(b"408 Request Timeout")

    def shutdown(self) -> None:
        """The gateway ends. A call that is on its way over a kept connection is still answered."""
        self._ending = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(_LAST_CALL_SECONDS, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class _Joined(asyncio.Transport):
    """What an answer is written to. Its head leaves together with what follows at once, in one packet; what follows
    later does not hold it back, nor a stream's first event."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop, self._head = transport, loop, b""

    def write(self, data: bytes) -> None:  # type: ignore[override]
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._flush()
        self._transport.close()


class _UntilClosed(RequestResponseCycle):
    """An answer to HTTP/1.0, which knows no chunks: what has no length ends with the connection."""

    _measured = True

    async def send(self, message: Any) -> None:
        if not self.response_started:
            self._measured = any(name.lower() == b"content-length" for name, _ in message["headers"])
            if not self._measured:
                self.chunked_encoding = False
        elif not self._measured:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
