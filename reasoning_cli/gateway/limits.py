"""What uvicorn leaves open towards callers: how long and how slow a head may be, how many connections there are, what
follows an upgrade nobody grants, HTTP/1.0, the last moment of a kept connection."""

from __future__ import annotations

import asyncio
import resource
from collections import deque

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reasoning_cli.gateway.exchange import Exchange

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

    cycle: Exchange  # type: ignore[assignment]  # None before the first request
    most = 0  # connections at once; looked up by the first one
    head_seconds, body_seconds, look_seconds = HEAD_SECONDS, BODY_SILENCE_SECONDS, _LOOK_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting = deque[Exchange]()  # sent ahead of the answer under way
        self._in_head, self._head_bytes, self._completed = True, 0, False
        self._ending = self._resuming = False
        self._since = self._heard = self.loop.time()
        self._look_later: asyncio.TimerHandle | None = self.loop.call_later(self.look_seconds, self._look)
        Protocol.most = Protocol.most or most_connections()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look_later is not None:
            self._look_later.cancel()
            self._look_later = None
        self.connections.discard(self)
        if self.cycle is not None:
            self.cycle.leaves()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment]

    @property
    def idle_since(self) -> float | None:
        """When the last byte came, if no call is under way."""
        return self._heard if self.cycle is None or self.cycle.response_complete else None

    def _make_room(self) -> None:
        """Close the connection that was idle longest: there are too many."""
        idle = [one for one in self.connections if isinstance(one, Protocol) and one.idle_since is not None]
        min(idle, key=lambda one: one.idle_since or 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
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
            self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_url(self, url: bytes) -> None:
        if not self._resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer, which could pose as a header that a proxy before us had checked
            return
        if len(self.headers) >= MOST_HEADERS:
            raise ValueError("too many headers")
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        self._in_head = False
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self.parser.get_method().decode("ascii"),
            "path": url.path.decode("latin-1"),
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
        }
        under_way = self.cycle
        self.cycle = Exchange(
            scope,
            self.transport,
            self.flow,
            self.app,
            self.on_response_complete,
            expects_100=self.expect_100_continue,
            keep_alive=version != "1.0" and not self._ending and self.parser.should_keep_alive(),
        )
        if under_way is None or under_way.response_complete:
            self._start(self.cycle)
        else:  # one after the other, however they were sent
            self.flow.pause_reading()
            self._waiting.appendleft(self.cycle)

    def _start(self, cycle: Exchange) -> None:
        task = self.loop.create_task(cycle.run())
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self.cycle.add(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():  # its body comes yet
            return
        self._in_head, self._head_bytes, self._completed = True, 0, True
        if not self.cycle.response_complete:
            self.cycle.whole()

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
            slow = now - self._since > self.head_seconds
            if self._head_bytes and slow:
                self._refuse(b"408 Request Timeout")
            elif now - self._heard > self.timeout_keep_alive if cycle is not None else slow:
                self.transport.close()
        elif (
            cycle.more_body
            and not (cycle.waiting_for_100_continue or self.flow.read_paused)
            and (now - self._heard > self.body_seconds)
        ):
            self._refuse(b"408 Request Timeout")

    def on_response_complete(self) -> None:
        """As it was, without a timer for each call: `_look` sees who stays for too long."""
        self.server_state.total_requests += 1
        self._heard = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._waiting:
            self._start(self._waiting.pop())

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
