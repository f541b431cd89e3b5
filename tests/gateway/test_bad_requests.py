"""A request that is bad, endless or answered before it came whole harms neither the gateway nor the calls beside it."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.gateway.http import limits
from reasoning_cli.gateway.http.limits import Protocol
from tests.gateway.prompts import PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served
from tests.gateway.test_callers import connected, sent, until_closed
from tests.waiting import until

OTHER = json.dumps(request("chat", PROMPTS["other"])).encode()
TOKEN = "the-token-of-tests"
MB = 1024 * 1024


def post(body: bytes, *headers: str, length: int | None = None, path: str = "/v1/embeddings") -> bytes:
    lines = "".join(f"{one}\r\n" for one in ("host: localhost", *headers))
    told = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\n{lines}content-length: {told}\r\n\r\n".encode() + body


CHUNKED = b"POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = post(b"{}", "connection: close", path="/v1/models")
ENDLESS = {
    "a head": (b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: ", b"a" * 65536),
    "a target": (b"GET /", b"a" * 65536),
    "a trailer": (CHUNKED + b"0\r\nx-a: ", b"a" * 65536),
    "trailers": (CHUNKED + b"0\r\n", b"x-a: 1\r\n" * 8192),
    "what a chunk carries": (CHUNKED + b"1;a=", b"a" * 65536),
    "what small chunks carry": (CHUNKED, b"1;%s\r\nx\r\n" % (b"a" * 1000) * 64),
    "an upgrade's trailers": (
        CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n0\r\n"),
        b"x-a: 1\r\n" * 8192,
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_nothing_but_a_body_may_be_endless(gateway: Served, what: str) -> None:
    begin, more = ENDLESS[what]
    with connected(gateway) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(begin)
        for _ in range(80):  # 5 MB, and what a socket holds
            connection.sendall(more)


async def _paced(received: Received, answering: Answering) -> None:
    """An answer of two pieces, with a good moment between."""
    if b"first" not in received.body:
        await answering.whole(200, b"the second answer")
        return
    await answering.head(200, {"content-type": "text/event-stream"})
    await answering.chunk(b"data: 1\n\n")
    await asyncio.sleep(0.5)
    await answering.chunk(b"data: 2\n\n")
    await answering.chunk(b"")


BAD_BEHIND = {
    "no request": b"rubbish\r\n\r\n",
    "a bad head": b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    "a bad chunk": CHUNKED + b"zz\r\n",
    "a bad chunk later": CHUNKED + b"2\r\n{}\r\n-1\r\n",
    "a long head": b"GET / HTTP/1.1\r\nx-a: " + b"a" * (2 * limits.LONGEST_HEAD_BYTES),
}


@pytest.mark.parametrize("what", BAD_BEHIND)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_bad_request_is_not_answered_into_the_answer_before_it(gateway: Served, what: str, at_once: bool) -> None:
    gateway.original.handler = _paced
    good, bad = post(b'{"the": "first"}'), BAD_BEHIND[what]
    with connected(gateway) as connection:
        connection.sendall(good + bad if at_once else good)
        if not at_once:
            found = b""
            while b"data: 1" not in found:
                found += connection.recv(65536)
            connection.sendall(bad)
            found += until_closed(connection)
        else:
            found = until_closed(connection)
    assert found.count(b"HTTP/1.1 ") == 1
    assert found.endswith(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
    assert len(gateway.original.received) == 1


def test_all_that_came_whole_before_a_bad_request_is_answered(gateway: Served) -> None:
    gateway.original.handler = _paced
    found = sent(gateway, post(b'{"the": "first"}') + post(b"{}") + CHUNKED + b"zz\r\n")
    assert found.count(b"HTTP/1.1 200 ") == found.count(b"HTTP/1.1 ") == 2
    assert found.endswith(b"the second answer")


def test_requests_sent_ahead_are_not_without_end(gateway: Served) -> None:
    gateway.original.handler = _paced
    found = sent(gateway, post(b'{"the": "first"}') + post(b"{}") * 1000)
    assert 50 < found.count(b"HTTP/1.1 200 ") == found.count(b"HTTP/1.1 ") < 200


def test_who_leaves_with_a_request_sent_ahead_ends_the_call_under_way(gateway: Served) -> None:
    began = threading.Event()

    async def never(received: Received, answering: Answering) -> None:
        began.set()
        await answering.until_caller_leaves()

    gateway.original.handler = never
    with connected(gateway) as connection:
        connection.sendall(post(b"{}") + post(b"{}"))
        assert began.wait(60)
    until(lambda: not gateway.gateway.figures.in_flight, "the end of the call")
    assert len(gateway.original.received) == 1


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    """A gateway that asks for a token."""
    with served(tmp_path, token=TOKEN) as running:
        yield running


HOPS = ", ".join(f"gateway-{number}" for number in range(9))
EARLY = {
    401: ((), "/v1/embeddings"),
    501: ((f"x-reasoning-token: {TOKEN}", "transfer-encoding: gzip, chunked"), "/v1/embeddings"),
    508: ((f"x-reasoning-token: {TOKEN}", f"x-reasoning-hop: {HOPS}"), "/v1/embeddings"),
    400: ((f"x-reasoning-token: {TOKEN}",), "*"),
}


def early(status: int, *headers: str, length: int) -> bytes:
    """The head of a call that is answered with this before its body is looked at."""
    more, path = EARLY[status]
    head = post(b"", *more, *headers, length=length, path=path)
    return head.replace(b"content-length: %d\r\n" % length, b"") if status == 501 else head


@pytest.mark.parametrize("status", EARLY)
def test_a_body_that_need_not_come_is_not_waited_for(guarded: Served, status: int) -> None:
    """Who asks whether to send it and is refused may send another call instead, and is not answered as if it were the
    body."""
    with connected(guarded) as connection:
        connection.sendall(early(status, "expect: 100-continue", length=len(LAST)))
        found = until_closed(connection)
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close\r\n" in found
    assert guarded.original.received == []


@pytest.mark.parametrize("status", [401, 508, 400])
def test_a_body_that_comes_for_nobody_is_no_call(guarded: Served, status: int) -> None:
    """Whoever sends all before reading gets the answer, over a connection that goes on."""
    smuggled = post(b"{}", f"x-reasoning-token: {TOKEN}", path="/v1/smuggled") * 100_000  # 15 MB
    with connected(guarded) as connection:
        connection.sendall(early(status, length=len(smuggled)) + smuggled)
        connection.sendall(post(b"{}", f"x-reasoning-token: {TOKEN}", "connection: close"))
        found = until_closed(connection)
    assert found.count(b"HTTP/1.1 ") == 2
    assert found.startswith(b"HTTP/1.1 %d " % status)
    assert [one.target for one in guarded.original.received] == ["/v1/embeddings"]


def test_a_body_that_comes_for_nobody_must_end(guarded: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, "look_seconds", 0.05)
    monkeypatch.setattr(Protocol, "head_seconds", 0.5)
    with connected(guarded) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(early(401, length=1000 * MB))
        for _ in range(100):
            connection.sendall(b"x" * MB)
    with connected(guarded) as slow:
        slow.sendall(early(401, length=1000 * MB))
        assert until_closed(slow).count(b"HTTP/1.1 ") == 1


def test_a_caller_with_a_bad_body_is_told_so_once(gateway: Served) -> None:
    found = sent(gateway, CHUNKED + b"2\r\n{}\r\nzz\r\n")
    assert found.count(b"HTTP/1.1 ") == found.count(b"HTTP/1.1 400 ") == 1


VERSIONS = {
    "0.9": b"GET /v1/models\r\n\r\n",
    "2.0": b"GET /v1/models HTTP/2.0\r\nhost: localhost\r\n\r\n",
    "chunks to 1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
}


@pytest.mark.parametrize("which", VERSIONS)
def test_a_version_that_is_not_ours_is_refused(gateway: Served, which: str) -> None:
    assert sent(gateway, VERSIONS[which]).startswith(b"HTTP/1.1 400 ")
    assert gateway.original.received == []


def test_what_is_no_body_behind_an_upgrade_is_refused(gateway: Served) -> None:
    asks = b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
    for framing in (b"transfer-encoding: xchunked\r\n\r\n", b"transfer-encoding: chunked\r\n\r\nzz\r\n"):
        found = sent(gateway, asks + framing)
        assert found.count(b"HTTP/1.1 ") == found.count(b"HTTP/1.1 400 ") == 1


def test_what_nobody_read_is_not_kept(guarded: Served) -> None:
    with connected(guarded) as connection:
        connection.sendall(early(401, length=200_000) + b"x" * 200_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        protocols = [one for one in gc.get_objects() if isinstance(one, Protocol) and one.cycle is not None]
        until(lambda: all(len(one.cycle.body) == 0 for one in protocols), "the body to be gone")
        assert protocols


def test_a_socket_that_is_gone_is_no_error(gateway: Served, caplog: pytest.LogCaptureFixture) -> None:
    for content in (post(b"{}"), post(b"{}", length=100), CHUNKED + b"zz\r\n", b"GET / HT"):
        with connected(gateway) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
            connection.sendall(content)
    assert gateway.client.get("/health").status_code == 200
    assert [one.message for one in caplog.records if "Fatal error" in one.message] == []
