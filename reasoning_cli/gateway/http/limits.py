"""What uvicorn leaves open towards callers: how long and how slow a head may be, how much may come beside a body, how
many connections there are, what follows an upgrade nobody grants, what a bad request may not do to the calls before it,
HTTP/1.0, who left, the last moment of a kept connection. Requests are read and answers written by uvicorn itself."""

from __future__ import annotations

import asyncio
import math
import resource
from collections.abc import Awaitable, Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

App = Callable[[Any, Any, Any], Awaitable[None]]

# Twice what nginx takes, for a head and for what comes beside a body: sizes of chunks with what they carry, trailers. A
# little more may pass: a piece of what arrives is read before it is counted.
LONGEST_HEAD_BYTES = 64 * 1024
_BESIDE_A_BYTE = 16  # of a body in chunks; those who send it byte by byte take five
MOST_HEADERS = 500
# Requests sent ahead of the answer under way.
_MOST_AHEAD = 100
# Of a body that nobody wants any more, as its answer is out: its sender reads that when it has sent all, often.
_MOST_UNWANTED_BYTES = 64 * 1024 * 1024
# From the first byte of a connection, or of a request on it, to the end of its head; from an answer to the end of a
# body that it did not wait for.
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
        self._answering: RequestResponseCycle | None = None  # `cycle` is the newest, which may wait in the pipeline
        self._in_head, self._completed = True, False
        self._beside = self._unwanted = 0  # bytes
        self._ending = self._resuming = False
        self._since = self._read_at = self.loop.time()
        self._look_later: asyncio.TimerHandle = self.loop.call_later(self.look_seconds, self._look)
        Protocol.most = Protocol.most or most_connections()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the call under way know, and let go of what refers to itself, which only the collector would find."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._look_later.cancel()
        under_way = self._under_way
        self.pipeline.clear()
        self._answering = self.cycle = None  # type: ignore[assignment]
        if under_way is not None:
            under_way.disconnected = True
            under_way.message_event.set()
            self._left.set_result(None)

    @property
    def _under_way(self) -> RequestResponseCycle | None:
        """The call that is being answered."""
        return None if self._answering is None or self._answering.response_complete else self._answering

    @property
    def idle_since(self) -> float | None:
        """When the last byte came, if no call is under way."""
        return self._read_at if self._under_way is None else None

    def _make_room(self) -> None:
        """Close the connection that was idle longest: there are too many."""
        idle = [
            connection
            for connection in self.connections
            if isinstance(connection, Protocol) and connection.idle_since is not None
        ]
        min(idle, key=lambda connection: connection.idle_since or 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
        """As uvicorn does it, which would lose what comes behind the head of an upgrade in the same packet, and write a
        400 into an answer under way."""
        if self.parser is None:  # refused already, or nothing but the answer under way is waited for
            return
        self._unset_keepalive_if_required()
        self._read_at = self.loop.time()
        if self._in_head and self._beside == 0:
            self._since = self._read_at
        self._completed = False
        try:
            self._read(data)
        except httptools.HttpParserError:
            self._refuse(b"400 Bad Request")
        else:
            self._count(0 if self._completed else len(data))

    def _read(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay()
            self._read(data[upgrade.args[0] :])

    def _count(self, size: int) -> None:
        """What came beside a body, and for nobody, must end."""
        self._beside = max(0, self._beside + size) if size else 0
        if self._beside > LONGEST_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        if self._in_head or self._under_way is not None:
            self._unwanted = 0
        else:
            self._unwanted += size
            if self._unwanted > _MOST_UNWANTED_BYTES:
                self.transport.close()

    def _should_upgrade(self) -> bool:
        return False

    def _stay(self) -> None:
        """We never change the protocol: a call that asks for it, as Java's client does at first, is answered as it is.

        The parser takes what follows for the other protocol, the body too. Another one is told how long the body is.
        """
        framing = [header for header in self.scope["headers"] if header[0] in (b"content-length", b"transfer-encoding")]
        head = b"".join(b"%s: %s\r\n" % header for header in framing)
        self.parser, self._resuming = httptools.HttpRequestParser(self), True
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as for the one before
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % head)
        self._resuming = False

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        if len(self.headers) > MOST_HEADERS or len(self.pipeline) >= _MOST_AHEAD:
            raise ValueError("too many headers, or requests")
        version = self.parser.get_http_version()
        if version != "1.1" and (version != "1.0" or any(name == b"transfer-encoding" for name, _ in self.headers)):
            raise ValueError("a version that is not ours, or chunks before there were any")
        super().on_headers_complete()
        self._in_head, self._beside = False, 0
        # Whatever comes now is a trailer, which could pose as a header that a proxy before us had checked.
        self.headers = []
        if self._ending:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._beside -= _BESIDE_A_BYTE * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():  # its body comes yet
            return
        self._in_head = self._completed = True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: App) -> None:
        self._answering = cycle
        self._left: asyncio.Future[None] = self.loop.create_future()
        cycle.scope["extensions"] = {"left": self._left}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app if cycle.scope["http_version"] == "1.1" else _without_chunks(cycle, app))

    def on_response_complete(self) -> None:
        assert self._answering is not None
        self._answering.body.clear()  # what nobody read of it
        self._since = self._read_at = self.loop.time()
        super().on_response_complete()

    def _refuse(self, status: bytes) -> None:
        """Answer with an error and close. Calls that came whole before are answered first: they were sound."""
        self.parser = None  # type: ignore[assignment]
        if not self._in_head and self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()  # it is the body of this one that is bad
            self._in_head = True
        under_way = self._under_way
        if under_way is not None and self._in_head:
            (self.pipeline[0][0] if self.pipeline else under_way).keep_alive = False
            return
        if self._in_head or (under_way is not None and not under_way.response_started):
            self.transport.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        if under_way is not None:
            under_way.disconnected = True  # it writes no more, not even before the connection is lost
        self.transport.close()

    def _look(self) -> None:
        """Whether the caller takes too long; every few seconds, as a timer for each call would cost each call. Who
        keeps a connection for nothing is uvicorn's to close."""
        self._look_later = self.loop.call_later(self.look_seconds, self._look)
        now, under_way = self.loop.time(), self._under_way
        if self._in_head:
            late = (self._beside > 0 or self.cycle is None) and now - self._since > self.head_seconds
        elif under_way is None:
            late = now - self._since > self.head_seconds
        else:
            waits = self.cycle.waiting_for_100_continue or self.flow.read_paused
            late = not waits and now - self._read_at > self.body_seconds
        if late and self._in_head and self._beside == 0:
            self.transport.close()
        elif late:
            self._refuse(b"408 Request Timeout")

    def shutdown(self) -> None:
        """The gateway ends. A call that is on its way over a kept connection is still answered."""
        self._ending = True
        if self._under_way is None:
            self.loop.call_later(_LAST_CALL_SECONDS, self._end)
        else:
            super().shutdown()

    def _end(self) -> None:
        """Nothing is left to say: over TLS a caller who reads nothing would else be waited for, half a minute."""
        if self._under_way is None:
            self.transport.abort()
        else:
            super().shutdown()


def _without_chunks(cycle: RequestResponseCycle, app: App) -> App:
    """The same for a caller who knows no chunks, which uvicorn would send: an answer whose length was not told ends
    with the connection."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        async def sends(message: Any) -> None:
            if message["type"] == "http.response.start":
                if all(name != b"content-length" for name, _ in message["headers"]):
                    cycle.chunked_encoding, cycle.expected_content_length = False, math.inf  # type: ignore[assignment]
            elif cycle.expected_content_length == math.inf and not message.get("more_body", False):
                cycle.expected_content_length = len(message["body"])
            await send(message)

        await app(scope, receive, sends)

    return called
