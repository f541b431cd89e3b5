"""Calls to providers over real sockets: kept connections, slow ends, cuts, TLS, proxies, names, silence."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from reasoning_cli.gateway.http import upstream
from reasoning_cli.gateway.http.upstream import (
    Answer,
    CertificateError,
    CutOff,
    NoSuchHost,
    NotHttp,
    ProxyRefused,
    Silent,
    TlsError,
    Unreachable,
    Upstreams,
)
from tests.gateway.certificates import self_signed

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
MB = 1024 * 1024
Run = Callable[[Coroutine[Any, Any, None]], None]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """What runs a test, on either loop."""
    return (uvloop if request.param == "uvloop" else asyncio).run


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    upstream.proxy_for.cache_clear()
    yield
    upstream.proxy_for.cache_clear()


class Server:
    """What a server saw: each request's head, and how many connections it had."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self.url = ""


@asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, Upstreams]]:
    """A server that does with each connection what `talk` says, and a pool that asks it."""
    made, tasks = Server(), set[asyncio.Task[None] | None]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        tasks.add(asyncio.current_task())
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    pool = Upstreams()
    try:
        async with asyncio.timeout(60):
            yield made, pool
    finally:
        await pool.close()
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """(head, body) of a request with a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head, await reader.readexactly(int(length or 0))


def answering(*answers: bytes, seen: list[bytes] | None = None) -> Talk:
    """A talk that gives these answers to requests over one connection, then closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head, body = await request(reader)
            if seen is not None:
                seen.append(head + body)
            writer.write(answer)
            await writer.drain()

    return talk


async def whole(answer: Answer) -> bytes:
    pieces = []
    try:
        while piece := await answer.read():
            pieces.append(piece)
    finally:
        answer.close()
    return b"".join(pieces)


async def got(pool: Upstreams, url: str, body: bytes = b"{}") -> tuple[int, bytes]:
    answer = await pool.ask("POST", f"{url}/v1/x?a=b", [(b"x-a", "é".encode())], body)
    return answer.status, await whole(answer)


async def asked(method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes | None) -> None:
    """Ask over connections that nobody asks over again."""
    pool = Upstreams()
    try:
        await pool.ask(method, url, headers, body)
    finally:
        await pool.close()


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.005)


def test_a_connection_is_kept_and_a_request_goes_as_it_is(run: Run) -> None:
    async def test() -> None:
        seen: list[bytes] = []
        async with serving(answering(*[OK] * 5, seen=seen)) as (server, pool):
            for _ in range(5):
                assert await got(pool, server.url) == (200, b"{}")
            assert server.connections == 1
            place = server.url.partition("//")[2].encode()
            assert seen[0] == (
                b"POST /v1/x?a=b HTTP/1.1\r\nHost: %b\r\nx-a: \xc3\xa9\r\nContent-Length: 2\r\n\r\n{}" % place
            )

    run(test())


@pytest.mark.parametrize(
    ("method", "url", "wanted"),
    [
        ("GET", "", b"GET / HTTP/1.1\r\nHost: H\r\n\r\n"),
        ("GET", "?q", b"GET /?q HTTP/1.1\r\nHost: H\r\n\r\n"),
        ("GET", "?q=/a", b"GET /?q=/a HTTP/1.1\r\nHost: H\r\n\r\n"),
        ("DELETE", "/a%20b/../c", b"DELETE /a%20b/../c HTTP/1.1\r\nHost: H\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_how_a_url_goes_out(run: Run, method: str, url: str, wanted: bytes) -> None:
    async def test() -> None:
        seen: list[bytes] = []
        async with serving(answering(OK, seen=seen)) as (server, pool):
            await whole(await pool.ask(method, server.url + url, [], None))
            assert seen == [wanted.replace(b"H\r", server.url.partition("//")[2].encode() + b"\r")]

    run(test())


def test_what_a_url_says_of_who_asks_goes_out_as_a_header(run: Run) -> None:
    async def test() -> None:
        seen: list[bytes] = []
        async with serving(answering(OK, seen=seen)) as (server, pool):
            url = server.url.replace("//", "//me:s%40crt@")
            await whole(await pool.ask("GET", url, [(b"authorization", b"Bearer x")], None))
            assert b"\r\nAuthorization: Basic bWU6c0BjcnQ=\r\n" in seen[0] and b"Bearer" not in seen[0]

    run(test())


@pytest.mark.parametrize("header", [b"a\r\nx-evil: 1", b"a\nx", b"a\rx"])
def test_no_header_makes_another(run: Run, header: bytes) -> None:
    async def test() -> None:
        async with serving(answering()) as (server, pool):
            with pytest.raises(ValueError, match="control character"):
                await pool.ask("GET", server.url, [(b"x", header)], None)
            with pytest.raises(ValueError, match="line's end"):
                await pool.ask("GET", f"{server.url}/a b", [], None)

    run(test())


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "x", "http://a:b:c/", "http://a:99999/"])
def test_what_is_no_url(run: Run, url: str) -> None:
    async def test() -> None:
        with pytest.raises(ValueError, match=r"names no|[Pp]ort"):
            await asked("GET", url, [], None)

    run(test())


def test_a_kept_connection_that_was_closed_is_no_loss(run: Run) -> None:
    async def test() -> None:
        async with serving(answering(OK)) as (server, pool):
            for number in range(1, 5):
                assert await got(pool, server.url) == (200, b"{}")
                assert server.connections == number

    run(test())


@pytest.mark.parametrize(("method", "most"), [("POST", 1), ("PATCH", 1), ("GET", 2)])
def test_what_has_an_effect_is_sent_once(run: Run, method: str, most: int) -> None:
    """However many connections are kept, and all of them are closed when they are asked again."""

    async def test() -> None:
        asked, held = 0, 0
        together = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked, held
            await request(reader)
            held += 1
            if held == 20:
                together.set()
            await together.wait()
            writer.write(OK)
            came = await reader.read(1)
            asked += bool(came)
            writer.transport.abort()

        async with serving(talk) as (server, pool):
            await asyncio.gather(*(got(pool, server.url) for _ in range(20)))
            assert server.connections == 20
            with pytest.raises(CutOff):
                await pool.ask(method, server.url, [], None)
            assert asked == most

    run(test())


def test_who_closes_every_connection_is_not_asked_without_end(run: Run) -> None:
    async def test() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        async with serving(talk) as (server, pool):
            for number in range(1, 51):
                with pytest.raises(CutOff):
                    await got(pool, server.url)
                assert server.connections <= 2 * number

    run(test())


@pytest.mark.parametrize("said", [b"H", OK[:-1]])
def test_once_a_byte_came_nothing_is_sent_again(run: Run, said: bytes) -> None:
    async def test() -> None:
        seen: list[bytes] = []
        async with serving(answering(OK, said, seen=seen)) as (server, pool):
            assert await got(pool, server.url) == (200, b"{}")
            with pytest.raises(CutOff):
                await got(pool, server.url)
            assert len(seen) == 2

    run(test())


@pytest.mark.parametrize("said", [OK.replace(b"{}", b"[]"), b"HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n", b"x"])
def test_what_nobody_asked_for_is_nobodys_answer(run: Run, said: bytes) -> None:
    async def test() -> None:
        closed = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(OK)
            if server.connections == 1:
                await writer.drain()
                await given.wait()
                writer.write(said)
                await reader.read()
                closed.set()

        given = asyncio.Event()
        async with serving(talk) as (server, pool):
            assert await got(pool, server.url) == (200, b"{}")
            given.set()
            await closed.wait()
            assert await got(pool, server.url) == (200, b"{}")
            assert server.connections == 2

    run(test())


def test_a_new_connection_that_is_closed_is_told(run: Run) -> None:
    async def test() -> None:
        async with serving(answering(b"")) as (server, pool):
            with pytest.raises(CutOff):
                await got(pool, server.url)
            assert server.connections == 1

    run(test())


def test_what_is_kept_too_long_is_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        closed = asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answering(OK)(reader, writer)
            if not await reader.read(1):
                closed.set()

        async with serving(talk) as (server, pool):
            await got(pool, server.url)
            await closed.wait()
            await got(pool, server.url)
            assert server.connections == 2

    monkeypatch.setattr(upstream, "IDLE_SECONDS", 0.2)
    run(test())


def test_silence_ends_and_a_reader_who_waits_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head, _ = await request(reader)
            if b"x-long" in head:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (4 * MB) + b"x" * 4 * MB)
            await reader.read()

        async with serving(talk) as (server, pool):
            with pytest.raises(Silent):
                await got(pool, server.url)
            answer = await pool.ask("GET", server.url, [(b"x-long", b"1")], None)
            await asyncio.sleep(1.5)  # nobody reads, and the server is not silent for that
            assert len(await whole(answer)) == 4 * MB

    monkeypatch.setattr(upstream, "SILENCE_SECONDS", 1.0)
    run(test())


def test_a_reader_that_waits_makes_the_server_wait(run: Run) -> None:
    async def test() -> None:
        written = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            await request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (100 * MB))
            for _ in range(100):
                writer.write(b"x" * MB)
                await writer.drain()
                written += MB

        async with serving(talk) as (server, pool):
            answer = await pool.ask("GET", server.url, [], None)
            before = -1
            while written != before:  # what the system holds of it is full
                before = written
                await asyncio.sleep(0.3)
            assert written < 40 * MB
            assert len(await whole(answer)) == 100 * MB

    run(test())


@pytest.mark.parametrize("length", [None, 100 * MB])
def test_a_server_that_waits_makes_the_sender_wait(run: Run, length: int | None) -> None:
    async def test() -> None:
        given, goes = 0, asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            nonlocal given
            for _ in range(100):
                given += MB
                yield b"x" * MB

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            assert (b"transfer-encoding: chunked" in head.lower()) is (length is None)
            await goes.wait()
            came = 0
            while size := int(await reader.readuntil(b"\r\n"), 16) if length is None else length - came:
                came += len(await reader.readexactly(min(size, MB)))
                if length is None:
                    await reader.readexactly(2)
            assert came == 100 * MB
            if length is None:
                await reader.readexactly(2)
            writer.write(OK)

        async with serving(talk) as (server, pool):
            answer = asyncio.ensure_future(pool.ask("PUT", server.url, [], body(), length))
            before = -1
            while given != before or not given:
                before = given
                await asyncio.sleep(0.3)
            assert given < 40 * MB
            goes.set()
            assert await whole(await answer) == b"{}"

    run(test())


def test_an_answer_may_come_before_the_request_is_whole(run: Run) -> None:
    async def test() -> None:
        ended = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            try:
                yield b"x"
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            if server.connections == 2:
                return
            writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
            await reader.read()

        async with serving(talk) as (server, pool):
            answer = await pool.ask("POST", server.url, [], body())
            assert (answer.status, await whole(answer)) == (413, b"{}")
            await ended.wait()
            # What is left of the request is never the next one: that goes over another connection.
            with pytest.raises(CutOff):
                await got(pool, server.url)
            assert server.connections == 2

    run(test())


def test_a_request_that_breaks_off_is_never_whole_at_the_server(run: Run) -> None:
    async def test() -> None:
        came = asyncio.get_running_loop().create_future()

        async def body() -> AsyncIterator[bytes]:
            yield b"x" * 100
            raise RuntimeError("left")

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.set_result(await reader.read())

        async with serving(talk) as (server, pool):
            with pytest.raises(CutOff):
                await pool.ask("POST", server.url, [], body())
            assert not (await came).endswith(b"0\r\n\r\n")

    run(test())


def test_who_gives_up_ends_the_connection(run: Run) -> None:
    async def test() -> None:
        closed, begun = asyncio.Event(), asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head, _ = await request(reader)
            begun.set()
            if b"x-begins" in head:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx")
            try:
                await reader.read()
            finally:
                closed.set()

        async with serving(talk) as (server, pool):
            task = asyncio.ensure_future(got(pool, server.url))
            await begun.wait()
            task.cancel()
            await closed.wait()
            closed.clear()
            answer = await pool.ask("GET", server.url, [(b"x-begins", b"1")], None)
            answer.close()
            await closed.wait()

    run(test())


def test_a_change_of_protocol_is_no_answer(run: Run) -> None:
    async def test() -> None:
        for content in (b"HTTP/1.1 101 Fine\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxx", b"HTTP/1.1 999 X\r\n\r\n"):
            async with serving(answering(content)) as (server, pool):
                with pytest.raises(NotHttp):
                    await got(pool, server.url)

    run(test())


def test_certificates_are_verified(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = self_signed(tmp_path)

    async def trusted() -> None:
        async with serving(answering(*[OK] * 2), context) as (server, pool):
            assert await got(pool, server.url) == (200, b"{}")
            assert await got(pool, server.url) == (200, b"{}")
            assert server.connections == 1
            with pytest.raises(CertificateError):  # it is for the address, not for the name
                await got(pool, server.url.replace("127.0.0.1", "localhost"))

    async def refused() -> None:
        async with serving(answering(OK), context) as (server, pool):
            with pytest.raises(CertificateError):
                await got(pool, server.url)

    async def none_at_all() -> None:
        async with serving(answering(b"I speak no TLS\r\n\r\n")) as (server, pool):
            with pytest.raises(Unreachable):
                await got(pool, server.url.replace("http:", "https:"))

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    run(trusted())
    monkeypatch.delenv("SSL_CERT_FILE")
    run(refused())
    monkeypatch.setattr(upstream, "CONNECT_SECONDS", 1.0)  # all of which is waited for
    run(none_at_all())


def test_no_tls_where_it_was_promised(run: Run) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Speak plainly\r\n\r\n")

    async def test() -> None:
        async with serving(talk) as (server, pool):
            with pytest.raises(TlsError):
                await got(pool, server.url.replace("http:", "https:"))

    run(test())


@pytest.mark.parametrize("status", [200, 407])
def test_a_tunnel(run: Run, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = self_signed(tmp_path)
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        place = heads[-1].split()[1].decode()
        if status != 200:
            writer.write(b"HTTP/1.1 407 Who?\r\ncontent-length: 3\r\n\r\nwho")
            return
        there, back = await asyncio.open_connection(*place.split(":"))
        writer.write(b"HTTP/1.1 200 Joined\r\nx: y\r\n\r\n")
        try:
            await asyncio.gather(pour(reader, back), pour(there, writer))
        finally:
            back.close()

    async def test() -> None:
        async with serving(answering(*[OK] * 3), context) as (server, pool), serving(talk) as (proxy, _):
            monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:se%20cret@"))
            place = server.url.partition("//")[2].encode()
            if status == 200:
                for _ in range(3):
                    assert await got(pool, server.url) == (200, b"{}")
            else:
                with pytest.raises(ProxyRefused, match="407"):
                    await got(pool, server.url)
            assert len(heads) == 1 and heads[0].startswith(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n" % (place, place))
            assert b"\r\nProxy-Authorization: Basic bWU6c2UgY3JldA==\r\n" in heads[0]

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    run(test())


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


def test_a_proxy_over_tls(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = self_signed(tmp_path)

    async def test() -> None:
        seen: list[bytes] = []
        async with serving(answering(OK, seen=seen), context) as (proxy, pool):
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            assert await got(pool, "http://original.invalid") == (200, b"{}")
            assert seen[0].startswith(b"POST http://original.invalid/v1/x?a=b HTTP/1.1\r\nHost: original.invalid\r\n")

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    run(test())


def test_a_proxy_of_another_kind_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with pytest.raises(ValueError, match="socks5"):
            await asked("GET", "http://original.invalid", [], None)

    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
    run(test())


def test_a_name_that_nobody_knows(run: Run) -> None:
    async def test() -> None:
        with pytest.raises(NoSuchHost):
            await asked("GET", "http://nobody.invalid", [], None)

    run(test())


def test_a_door_that_is_closed(run: Run) -> None:
    async def test() -> None:
        async with serving(answering(OK)) as (server, _):
            pass
        with pytest.raises(Unreachable):
            await asked("GET", server.url, [], None)

    run(test())


@pytest.fixture
def full() -> Iterator[tuple[str, int]]:
    """An address where connections are neither taken nor refused."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        address = door.getsockname()
        waiting = []
        for _ in range(20):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        yield address
        for one in waiting:
            one.close()


def test_who_does_not_answer_the_door(run: Run, full: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with pytest.raises(Unreachable, match="timeout"):
            await asked("GET", f"http://127.0.0.1:{full[1]}", [], None)

    monkeypatch.setattr(upstream, "CONNECT_SECONDS", 0.3)
    run(test())


def test_many_at_once(run: Run) -> None:
    async def test() -> None:
        async with serving(answering(*[OK] * 1000)) as (server, pool):
            for _ in range(3):
                assert set(await asyncio.gather(*(got(pool, server.url) for _ in range(300)))) == {(200, b"{}")}
            assert server.connections <= 300

    run(test())
