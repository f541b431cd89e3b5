"""No fault at the original or at the model leaves the agent with less than it would have had without us."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.faults import AT_THE_MODEL, AT_THE_ORIGINAL, Cell, exchange, less, original
from tests.gateway.matrix import at_the_model, at_the_original, both, no_model_there, no_original_there, other_bases
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway without models."""
    with served(tmp_path_factory.mktemp("closed"), slots=False) as running:
        yield running


def flaws(cells: list[Cell]) -> list[Cell]:
    return [one for one in cells if one.flaw is not None]


def test_faults_of_the_original(closed: Served) -> None:
    cells = at_the_original(closed)
    assert len(cells) == len(AT_THE_ORIGINAL) * 4 * 2
    assert flaws(cells) == []


def test_faults_of_the_model(tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        cells = at_the_model(gateway)
        assert len(cells) == len(AT_THE_MODEL) * 3 * 2
        assert flaws(cells) == []
        assert flaws(both(gateway)) == []


def test_nobody_there(tmp_path: Path) -> None:
    bases, server = other_bases(tmp_path)
    with served(tmp_path) as gateway:
        assert flaws(no_model_there(gateway, bases)) == []
    with served(tmp_path, slots=False) as gateway:
        assert flaws(no_original_there(gateway, bases)) == []
    server.close()


@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE", "PUT", "PATCH", "OPTIONS"])
def test_other_methods(closed: Served, method: str) -> None:
    """A HEAD is answered without a body, whatever length is told."""
    closed.original.handler = original
    body = b'{"x": 1}' if method in ("PUT", "PATCH") else b""
    chosen = ["answers well", "404", "429 with retry-after", "redirect", "gzip", "204", "304", "200 headers"]

    async def judged(fault: str) -> str | None:
        headers = {"x-fault": fault}
        direct = await exchange(closed.original.url, method, "/v1/models/a%2Fb?c=d", headers, body)
        return less(direct, await exchange(closed.url, method, "/v1/models/a%2Fb?c=d", headers, body))

    assert {fault: asyncio.run(judged(fault)) for fault in chosen} == dict.fromkeys(chosen)


_OK = b"HTTP/1.1 200 OK\r\n"
ODD = {
    "a length and chunks": _OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "two lengths": _OK + b"content-length: 3\r\ncontent-length: 5\r\n\r\nhello",
    "a second answer": _OK + b"content-length: 2\r\n\r\n{}" + _OK + b"content-length: 4\r\n\r\nevil",
    "a header of two lines": _OK + b"x-a: 1\r\n x-b: 2\r\ncontent-length: 2\r\n\r\n{}",
    "a control character": _OK + b"x-a: 1\x012\r\ncontent-length: 2\r\n\r\n{}",
    "a header without a colon": _OK + b"x-a\r\ncontent-length: 2\r\n\r\n{}",
    "a space in a name": _OK + b"x a: 1\r\ncontent-length: 2\r\n\r\n{}",
    "a length for nothing": b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nevil",
    "status 600": b"HTTP/1.1 600 What\r\ncontent-length: 2\r\n\r\n{}",
    "status 42": b"HTTP/1.1 042 What\r\ncontent-length: 2\r\n\r\n{}",
    "HTTP/2": b"HTTP/2 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    "HTTP/0.9": b"{}",
    "an encoding that is none": _OK + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    "a coding of this connection": _OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "an endless head": _OK + b"x-a: " + b"a" * 200_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
    "more than its length": _OK + b"content-length: 2\r\n\r\n{}" + b"evil" * 100,
}


@pytest.mark.parametrize("odd", ODD)
def test_an_original_that_breaks_the_protocol_does_not_break_ours(
    closed: Served, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two calls over one connection: each gets one answer, its own, whatever the original writes."""
    content = [ODD[odd]]

    async def writes(received: Received, answering: Answering) -> None:
        if received.target.endswith("/second"):
            await answering.whole(200, b"second")
            return
        await answering.raw(content[0])
        answering.closes = True

    closed.original.handler = writes
    with httpx.Client(base_url=closed.url, trust_env=False, headers={"accept-encoding": "identity"}) as client:
        with client.stream("GET", "/v1/first") as first:
            assert first.status_code in (200, 304, 502)
            try:
                body = b"".join(first.iter_raw())
            except httpx.RemoteProtocolError:
                body = b""
            assert first.status_code == 502 or body in (b"{}", b"hello", b"")
            assert b"evil" not in body
        assert client.get("/v1/second").content == b"second"
    assert [one.message for one in caplog.records if one.name.startswith("reasoning_cli")] == []
