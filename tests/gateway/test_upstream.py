"""Answers as they may come over a connection: in any pieces, cut anywhere, with more around them than was asked for."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_cli.gateway.upstream import LONGEST_HEAD_BYTES, Answer, Connection, CutOff, NotHttp, UpstreamError

TEXT = b'data: {"said": "one"}\n\ndata: {"said": "two"}\n\n'
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(TEXT), TEXT)
CHUNKS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
    b'a;name="va;lue"\r\n%b\r\n%x \r\n%b\r\n0;last\r\nx-sum: 1\r\nset-cookie: evil=1\r\n\r\n'
) % (TEXT[:10], len(TEXT) - 10, TEXT[10:])
UNTIL_CLOSED = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + TEXT
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n"
FRAMED = [LENGTH, CHUNKS, INTERIM + LENGTH, INTERIM + CHUNKS, EMPTY, b"HTTP/1.1 304 Not Modified\r\netag: a\r\n\r\n"]


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.is_open, self.reads = b"", True, True

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return not self.is_open

    def close(self) -> None:
        self.is_open = False

    def abort(self) -> None:
        self.is_open = False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Asked:
    """A connection over which one request was sent; `free` tells whether it may take another."""

    def __init__(self, **options: Any) -> None:
        self.wire, self.connection, self.free = Wire(), Connection(), False
        self.connection.free = self._is_free
        self.connection.connection_made(self.wire)
        self.answer = self.connection.send(b"GET / HTTP/1.1\r\n\r\n", None, **options)

    def _is_free(self, connection: Connection) -> None:
        self.free = True

    def come(self, *pieces: bytes) -> None:
        for piece in pieces:
            if piece and self.wire.is_open:
                self.connection.data_received(piece)

    def close(self) -> None:
        if self.wire.is_open:
            self.connection.eof_received()
        self.connection.connection_lost(None)


async def all_of(answer: Answer) -> tuple[bytes, UpstreamError | None]:
    """The body as far as it came, and what ended it."""
    body = b""
    try:
        while piece := await answer.read():
            body += piece
    except UpstreamError as error:
        return body, error
    return body, None


def split(content: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return [content[a:b] for a, b in pairwise(edges)]


PLACES = st.lists(st.integers(0, 10_000), max_size=12)


@settings(max_examples=300, deadline=None)
@given(content=st.sampled_from(FRAMED), places=PLACES)
def test_an_answer_is_the_same_in_any_pieces(content: bytes, places: list[int]) -> None:
    async def run() -> None:
        asked = Asked()
        asked.come(*split(content, places))
        wanted = b"" if b" 204 " in content or b" 304 " in content else TEXT
        assert await all_of(asked.answer) == (wanted, None)
        assert asked.answer.status == int(content.rpartition(b"HTTP/1.1 ")[2][:3])
        assert asked.answer.ended and asked.free and asked.wire.is_open
        assert not {b"link", b"set-cookie", b"x-sum"} & {name.lower() for name, _ in asked.answer.headers}

    asyncio.run(run())


@settings(max_examples=300, deadline=None)
@given(content=st.sampled_from([LENGTH, CHUNKS, INTERIM + CHUNKS]), at=st.integers(0, 10_000), places=PLACES)
def test_an_answer_cut_anywhere_is_cut_and_what_came_is_not_lost(content: bytes, at: int, places: list[int]) -> None:
    async def run() -> None:
        came = content[: at % len(content)]
        asked = Asked()
        asked.come(*split(came, places))
        asked.close()
        body, error = await all_of(asked.answer)
        assert isinstance(error, CutOff) and error.untouched is (not came)
        assert TEXT.startswith(body) and not asked.answer.ended and not asked.free
        if content == LENGTH:
            assert body == came.partition(b"\r\n\r\n")[2]

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(places=PLACES)
def test_an_answer_without_a_length_ends_with_its_connection(places: list[int]) -> None:
    async def run() -> None:
        asked = Asked()
        asked.come(*split(UNTIL_CLOSED, places))
        assert not asked.answer.ended
        asked.close()
        assert await all_of(asked.answer) == (TEXT, None)
        assert not asked.free

    asyncio.run(run())


@pytest.mark.parametrize("garbage", [b"x", b"\x00\xff", LENGTH, b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("content", FRAMED)
def test_what_nobody_asked_for_costs_the_connection_and_not_the_answer(
    content: bytes, garbage: bytes, together: bool
) -> None:
    async def run() -> None:
        asked = Asked()
        asked.come(*([content + garbage] if together else [content, garbage]))
        assert (await all_of(asked.answer))[1] is None
        assert not asked.wire.is_open and asked.connection.closed
        assert asked.free is not together

    asyncio.run(run())


@pytest.mark.parametrize(
    ("head", "free"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", False),
    ],
)
def test_an_answer_to_a_head_is_over_with_its_head(head: bytes, free: bool) -> None:
    async def run() -> None:
        asked = Asked(no_body=True)
        asked.come(head)
        assert await all_of(asked.answer) == (b"", None)
        assert asked.free is free
        if free:
            again = asked.connection.send(b"GET / HTTP/1.1\r\n\r\n", None)
            asked.come(LENGTH)
            assert await all_of(again) == (TEXT, None)

    asyncio.run(run())


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1001 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * (LONGEST_HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\na: " + b"b" * LONGEST_HEAD_BYTES + b"\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" * LONGEST_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * (LONGEST_HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: " + b"x" * (LONGEST_HEAD_BYTES + 1),
    ],
    ids=range(11),
)
@pytest.mark.parametrize("size", [1000, 10_000_000])
def test_what_is_no_answer_is_told_as_such_and_never_held_for_long(content: bytes, size: int) -> None:
    async def run() -> None:
        asked = Asked()
        asked.come(*(content[start : start + size] for start in range(0, len(content), size)))
        _, error = await all_of(asked.answer)
        assert isinstance(error, NotHttp)
        assert not asked.wire.is_open and not asked.free

    asyncio.run(run())


def test_a_reader_that_waits_makes_the_upstream_wait() -> None:
    async def run() -> None:
        asked = Asked()
        asked.come(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % 1_000_000)
        pieces = 0
        while asked.wire.reads:
            asked.come(b"x" * 10_000)
            pieces += 1
        assert pieces < 40 and not asked.connection.waits
        assert len(asked.answer.taken()) == pieces * 10_000
        assert asked.wire.reads and asked.connection.waits

    asyncio.run(run())


def test_an_end_lets_a_paused_connection_read_on() -> None:
    async def run() -> None:
        asked = Asked()
        asked.come(b"HTTP/1.1 200 OK\r\ncontent-length: 600000\r\n\r\n", b"x" * 300_000)
        assert not asked.wire.reads
        asked.come(b"x" * 300_000)  # was on its way
        assert asked.wire.reads and asked.free
        assert await all_of(asked.answer) == (b"x" * 600_000, None)

    asyncio.run(run())
