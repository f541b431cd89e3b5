"""One connection to an upstream, and the answers that come over it: HTTP/1.1 with httptools' parser, no more than that.

An answer hands out the bytes of its body as they came. What has arrived is never lost to an error that came after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# Bytes in a row that are no body: heads, trailers, what stands beside sizes of chunks. Python's clients take 100 KB.
LONGEST_HEAD_BYTES = 96 * 1024
MOST_HEADERS = 1000
# What is held of an answer that nobody reads; then the upstream has to wait.
_MOST_HELD_BYTES = 64 * 1024
# A body up to this goes out in one piece with its head.
_JOINED_BYTES = 64 * 1024


class UpstreamError(Exception):
    """No answer, or not all of it. The names of the kinds are what operators read in `gateway status`."""


class CutOff(UpstreamError):
    """The connection ended before the answer did. `untouched`: not a byte of it had come."""

    def __init__(self, message: str = "the connection ended too early", *, untouched: bool = False) -> None:
        super().__init__(message)
        self.untouched = untouched


class NotHttp(UpstreamError):
    """What came is no answer of HTTP/1.1, or one that no client can use."""


class Silent(UpstreamError):
    """Nothing came for too long."""


class Parser(Protocol):
    """What httptools gives for answers."""

    def feed_data(self, data: bytes) -> None: ...
    def get_status_code(self) -> int: ...
    def should_keep_alive(self) -> bool: ...


class Answer:
    """An answer: its head once `head()` returned, its body as it comes. `ended` when all of it has come."""

    __slots__ = ("_connection", "_error", "_held", "_pieces", "_waiter", "ended", "headed", "headers", "status")

    def __init__(self, connection: Connection) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.headed = self.ended = False
        self._connection: Connection | None = connection
        self._pieces: list[bytes] = []
        self._held = 0
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> str:
        """The first header of that (lower-case) name; empty when there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == name), "")

    async def head(self) -> None:
        """Wait for status and headers. Raises UpstreamError."""
        while not self.headed:
            await self._more()

    async def read(self) -> bytes:
        """What has come and was not read, at least a byte of it; empty at the end. Raises UpstreamError."""
        while not self._pieces:
            if self.ended:
                return b""
            await self._more()
        return self.taken()

    def taken(self) -> bytes:
        """What has come and was not read, be it nothing."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces, self._held = [], 0
        if self._connection is not None:
            self._connection.go_on()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Nobody reads on: an answer that has not come whole ends its connection."""
        if self._connection is not None:
            self._connection.abort()

    async def _more(self) -> None:
        if self._error is not None:
            # An error holds the frames it passes, and with them what holds it.
            error, self._error = self._error, CutOff("the answer had ended")
            try:
                raise error
            finally:
                del error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def add(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self._pieces.append(piece)
        self._held += len(piece)

    @property
    def is_too_much(self) -> bool:
        """Whether more is held than should be."""
        return self._held > _MOST_HELD_BYTES

    def end(self, error: UpstreamError | None = None) -> None:
        """No more will come: it is whole, or `error` says why not."""
        self._connection = None
        if error is None:
            self.ended = True
        else:
            self._error = error
        self.wake()

    def wake(self) -> None:
        """Let who waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """A connection on which one request at a time is answered. `free` is called when it can take another one, `lost`
    when it is closed."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.free: Callable[[Connection], None] | None = None
        self.lost: Callable[[Connection], None] | None = None
        self.heard = time.monotonic()  # when something moved
        self._answer: Answer | None = None
        self._parser: Parser = self._new_parser()
        self._no_body = self._paused = self._choked = self._keeps = self._closed = False
        self._beside = 0
        self._upload: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def closed(self) -> bool:
        return self._closed or self.transport.is_closing()

    @property
    def idle(self) -> bool:
        """Whether nothing is asked of it."""
        return self._answer is None

    @property
    def waits(self) -> bool:
        """Whether the upstream is expected to say something."""
        return self._answer is not None and not self._paused

    def send(
        self, head: bytes, body: bytes | AsyncIterator[bytes] | None, *, in_chunks: bool = False, no_body: bool = False
    ) -> Answer:
        """Send a request. `no_body`: its answer has none, whatever its head says, as that to a HEAD."""
        self._answer = answer = Answer(self)
        self._no_body, self._beside, self.heard = no_body, 0, time.monotonic()
        if self.closed:
            self._fail(CutOff(untouched=True))
            return answer
        if body is None:
            self.transport.write(head)
        elif not isinstance(body, bytes):
            self.transport.write(head)
            self._upload = asyncio.ensure_future(self._send_as_it_comes(body, in_chunks))
        elif len(body) <= _JOINED_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        return answer

    async def _send_as_it_comes(self, body: AsyncIterator[bytes], in_chunks: bool) -> None:
        try:
            async for piece in body:
                if self._closed:
                    return
                self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if in_chunks else piece)
                while self._choked:
                    self._drained = asyncio.get_running_loop().create_future()
                    try:
                        await self._drained
                    finally:
                        self._drained = None
                self.heard = time.monotonic()
            if in_chunks:
                self.transport.write(b"0\r\n\r\n")
        except Exception as error:
            self._fail(CutOff(f"the request broke off: {type(error).__name__}"))
        finally:
            self._upload = None

    def abort(self) -> None:
        """Close it now, whatever was under way."""
        self._fail(CutOff("closed by us"))

    def silence(self) -> None:
        """Give up: nothing came for too long."""
        self._fail(Silent("nothing came for too long"))

    def go_on(self) -> None:
        """Read on, if it had to wait."""
        if self._paused:
            self._paused, self.heard = False, time.monotonic()
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # ---- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.heard = time.monotonic()
        answer = self._answer
        if answer is None:  # nobody asked
            self.abort()
            return
        self._beside += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(NotHttp(str(error)))  # after the end of the answer it only ends the connection
            return
        if self._answer is None:
            self._release()
            return
        if self._beside > LONGEST_HEAD_BYTES:
            self._fail(NotHttp("a head without end"))
            return
        if answer.headed:
            answer.wake()
        if answer.is_too_much and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        answer = self._answer
        if answer is not None and answer.headed and _lasts_until_closed(answer.headers):
            self._answer = None
            answer.end()
        self._fail(CutOff(untouched=self._untouched))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(CutOff(untouched=self._untouched))
        self.resume_writing()
        if self.lost is not None:
            self.lost(self)
        # What refers to itself would stay, with all it holds, until the garbage collector comes by.
        self.free = self.lost = None
        self._parser = cast(Parser, None)

    # ---- what the parser tells

    def on_message_begin(self) -> None:
        if self._answer is None:  # the answer was whole, and yet more comes
            self._close()

    def on_header(self, name: bytes, value: bytes) -> None:
        answer = self._answer
        if answer is not None and not answer.headed:  # else a trailer, which nobody passes on
            if len(answer.headers) >= MOST_HEADERS:
                raise ValueError("too many headers")
            answer.headers.append((name, value))

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:  # the answer comes yet
            answer.headers.clear()
            return
        # A head that comes whole in one piece is over before anybody counts that piece.
        if self._beside > LONGEST_HEAD_BYTES and _size(answer.headers) > LONGEST_HEAD_BYTES:
            raise ValueError("a head without end")
        answer.status, answer.headed = status, True
        if self._no_body:
            self._complete()
            self._parser = self._new_parser()  # the old one waits for the body

    def on_body(self, body: bytes) -> None:
        answer = self._answer
        if answer is None:  # to a HEAD, or after the end
            self._close()
            return
        self._beside = 0
        answer.add(body)

    def on_message_complete(self) -> None:
        if self._answer is not None and self._answer.headed:
            self._complete()

    # ---- the end of an answer

    @property
    def _untouched(self) -> bool:
        return self._beside == 0 and self._answer is not None and not self._answer.headed

    def _complete(self) -> None:
        """The answer is whole. What else there is in these bytes was not asked for: that shows when they are parsed."""
        answer, self._answer = self._answer, None
        assert answer is not None
        self._keeps = self._parser.should_keep_alive() and self._upload is None
        self.go_on()
        answer.end()

    def _release(self) -> None:
        """Be free for another request, or close. What was not read of a request is not waited for."""
        if self.free is None or self.closed:
            return
        if self._keeps and not self.transport.get_write_buffer_size():
            self.free(self)
        else:
            self._close(abort=True)

    def _fail(self, error: UpstreamError) -> None:
        answer, self._answer = self._answer, None
        self._close(abort=answer is not None)
        if answer is not None:
            answer.end(error)

    def _close(self, *, abort: bool = False) -> None:
        self._closed = True
        if self._upload is not None and self._upload is not asyncio.current_task():
            self._upload.cancel()
            self._upload = None  # one that was not begun yet does not say so itself
        if abort:
            self.transport.abort()
        else:
            self.transport.close()

    def _new_parser(self) -> Parser:
        parser: Any = HttpResponseParser(self)
        # What other clients put up with too.
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        return cast(Parser, parser)


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def _lasts_until_closed(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether an answer has no end but that of its connection."""
    named = {key.lower(): value for key, value in headers}
    coding = named.get(b"transfer-encoding")
    if coding is not None:
        return coding.rpartition(b",")[2].strip().lower() != b"chunked"
    return b"content-length" not in named
