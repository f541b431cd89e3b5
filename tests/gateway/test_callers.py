"""What callers send that no client library would: odd heads, odd bodies, odd timing, and those that just leave."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from reasoning_cli.gateway.http import limits
from reasoning_cli.gateway.http.limits import Protocol
from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.faults import AT_THE_ORIGINAL
from tests.gateway.packing import LAYERED, PACKERS, packed
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served
from tests.waiting import until

DECISION = json.dumps(request("chat", PROMPTS["planning"])).encode()
OTHER = json.dumps(request("chat", PROMPTS["other"])).encode()


@contextmanager
def connected(gateway: Served) -> Iterator[socket.socket]:
    place = urlsplit(gateway.url)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    """All that comes before the other side closes."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def sent(gateway: Served, content: bytes) -> bytes:
    """The answer to these bytes, whose last request asks for the connection to be closed."""
    with connected(gateway) as connection:
        connection.sendall(content)
        return until_closed(connection)


def post(body: bytes, *headers: str, path: str = "/v1/chat/completions", version: str = "1.1") -> bytes:
    lines = "".join(f"{one}\r\n" for one in ("host: localhost", "connection: close", *headers))
    return f"POST {path} HTTP/{version}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
)
SMUGGLED = {
    "a length of more than any": b"content-length: 18446744073709551616\r\n\r\n",
    "a length beyond what has a sign": b"content-length: 9223372036854775808\r\n\r\n",
    "a negative length": b"content-length: -1\r\n\r\n",
    "a list of lengths": b"content-length: 5, 5\r\n\r\nabcde",
    "chunks and a length": b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "chunks twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding after chunks": b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk of more than any": b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
    "a chunk longer than told": b"transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "a chunk ended by LF": b"transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "a line in what a chunk carries": b"transfer-encoding: chunked\r\n\r\n3;a=\nb\r\nabc\r\n0\r\n\r\n",
    "a trailer of two lines": b"transfer-encoding: chunked\r\n\r\n0\r\nx: 1\r\n y: 2\r\n\r\n",
    "a CR alone": b"x-a: 1\rx-b: 2\r\n\r\n",
    "a NUL in a name": b"x\0a: 1\r\n\r\n",
    "another host": b"host: 127.0.0.1\r\n\r\n",
    "a length and chunks": b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
    "the same length twice": b"content-length: 5\r\ncontent-length: 5\r\n\r\nabcde",
    "a signed length": b"content-length: +5\r\n\r\nabcde",
    "a coding before chunks": b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "a header of two lines": b"x-a: 1\r\n transfer-encoding: chunked\r\n\r\n",
    "a NUL": b"x-a: 1\0\r\n\r\n",
    "lines without CR": b"x-a: 1\n\n",
    "an odd size of a chunk": b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
}


@pytest.mark.parametrize("how", SMUGGLED)
def test_a_request_with_two_meanings_is_refused(gateway: Served, how: str) -> None:
    answer = sent(gateway, b"POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n" + SMUGGLED[how])
    assert answer.split(b" ")[1] in (b"400", b"501")
    assert gateway.original.received == []


@pytest.mark.parametrize(
    ("target", "there"),
    [
        ("//evil.example/v1/models", "/v1//evil.example/v1/models"),
        ("http://evil.example/v1/models?a=b", "/v1/models?a=b"),
        ("/v1/../../etc/passwd", "/v1/../../etc/passwd"),
        ("/v1/%2e%2e/%2F?x=%00", "/v1/%2e%2e/%2F?x=%00"),
        ("/v1/models\\..", "/v1/models\\.."),
        ("/v1/a;b=c@d:1/[]", "/v1/a;b=c@d:1/[]"),
        ("/api/hello@evil.example", "/api/hello@evil.example"),
        ("/t/no-token-here/v1/models", "/v1/models"),
    ],
)
def test_no_target_leads_elsewhere_than_to_the_original(gateway: Served, target: str, there: str) -> None:
    answer = sent(gateway, f"GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    (asked,) = gateway.original.received
    assert (asked.target, asked.header("host")) == (there, urlsplit(gateway.original.url).netloc)


@pytest.mark.parametrize("line", ["OPTIONS * HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1", "GET evil HTTP/1.1"])
def test_a_target_without_a_path_goes_nowhere(gateway: Served, line: str) -> None:
    answer = sent(gateway, f"{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert gateway.original.received == []


def test_trailers_are_no_headers(gateway: Served) -> None:
    chunks = b"%x\r\n%s\r\n0\r\nauthorization: Bearer evil\r\nx-trailer: 1\r\n\r\n" % (len(OTHER), OTHER)
    assert b" 200 " in sent(gateway, CHUNKED + chunks)
    (asked,) = gateway.original.received
    assert (asked.body, asked.header("authorization"), asked.header("x-trailer")) == (OTHER, None, None)


def test_headers_of_the_connection_end_here(gateway: Served) -> None:
    named = ("connection: x-mine, close", "x-mine: 1", "keep-alive: timeout=1", "te: trailers", "proxy-connection: a")
    assert b" 200 " in sent(gateway, post(OTHER, *named, "x-kept: ä"))
    (asked,) = gateway.original.received
    names = {key.lower() for key, _ in asked.headers}
    assert not names & {"x-mine", "keep-alive", "te", "proxy-connection", "connection"}
    assert asked.header("x-kept") == "ä".encode().decode("latin-1")  # the same bytes


def test_an_upgrade_is_not_granted_and_costs_no_body(gateway: Served) -> None:
    """As Java's client asks with each of its first calls."""
    asks = ("connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQ")
    with connected(gateway) as connection:
        connection.sendall(post(DECISION, *asks).replace(b"connection: close\r\n", b"") + post(OTHER))
        answers = until_closed(connection)
    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert b"The model thought" in answers
    assert [one.body for one in gateway.original.received] == [OTHER]
    assert gateway.original.received[0].header("upgrade") is None


def test_http_1_0_gets_no_chunks(gateway: Served) -> None:
    body = json.dumps(request("chat", PROMPTS["other"], stream=True)).encode()
    head, _, content = sent(gateway, post(body, version="1.0")).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert content == b"".join(canned.chat_events(canned.ORIGINAL_SAYS["other"]))
    assert b"content-length" in sent(gateway, post(DECISION, version="1.0"))


def test_pipelined_requests_are_answered_in_order_and_rubbish_behind_them_harms_none(gateway: Served) -> None:
    kept = post(OTHER).replace(b"connection: close\r\n", b"")
    answers = sent(gateway, kept + post(DECISION).replace(b"connection: close\r\n", b"") + kept + b"rubbish\r\n\r\n")
    said = [answers.find(text) for text in (b"A plain answer", b"The model thought")]
    assert -1 < said[0] < said[1] < answers.rfind(b"A plain answer")
    assert answers.count(b"HTTP/1.1 200 ") == answers.count(b"HTTP/1.1 ") == 3


def test_a_client_that_waits_for_100_continue_gets_it(gateway: Served) -> None:
    head, _, body = post(DECISION, "expect: 100-continue").partition(b"\r\n\r\n")
    with connected(gateway) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert b"The model thought" in until_closed(connection)


@pytest.mark.parametrize(
    ("origin", "answers"),
    [
        ("http://localhost:3000", "model"),
        ("http://127.0.0.1", "model"),
        ("https://evil.example", "original"),
        ("http://localhost.evil.example:8001", "original"),
        ("http://127.evil.example", "original"),
        ("null", "original"),
        ("http://[", "original"),
    ],
)
def test_a_web_page_gets_no_more_than_it_would_have_without_us(gateway: Served, origin: str, answers: str) -> None:
    """A browser lets any page send a call to this machine."""
    assert f"The {answers} thought".encode() in sent(gateway, post(DECISION, f"origin: {origin}"))
    assert len(gateway.original.received) == (answers == "original")
    sent(gateway, post(DECISION))
    kept = 1 + (answers == "model")
    until(lambda: gateway.gateway.recorder.figures.stored >= kept, "what came after it to be kept")
    assert gateway.gateway.recorder.figures.stored == kept


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_in_chunks_is_understood(gateway: Served, size: int) -> None:
    pieces = [DECISION[start : start + size] for start in range(0, len(DECISION), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert b"The model thought" in sent(gateway, CHUNKED + chunks)


@pytest.mark.parametrize("encoding", [*PACKERS, *LAYERED])
def test_a_packed_body_is_understood(gateway: Served, encoding: str) -> None:
    said = post(packed(DECISION, encoding), f"content-encoding: {encoding}")
    assert b"The model thought" in sent(gateway, said)
    assert gateway.original.received == []
    gateway.change("planning", mode=Mode.SHADOW)  # and goes on as it came
    gateway.original.handler = AT_THE_ORIGINAL["400"]
    sent(gateway, said)
    (asked,) = gateway.original.received
    assert (asked.body, asked.header("content-encoding")) == (packed(DECISION, encoding), encoding)


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_packed_body_that_might_be_read_otherwise_is_for_the_original_to_judge(
    gateway: Served, encoding: str
) -> None:
    gateway.original.handler = AT_THE_ORIGINAL["400"]
    once = packed(DECISION, encoding)
    for body in (once[:-1], once + b"x", once + packed(b" ", encoding), packed(b" " * 9_000_000, encoding), b"\x8b\2"):
        gateway.original.received.clear()
        assert sent(gateway, post(body, f"content-encoding: {encoding}")).startswith(b"HTTP/1.1 400 ")
        (asked,) = gateway.original.received
        assert (asked.body, asked.header("content-encoding")) == (body, encoding)


def test_a_body_of_a_million_lists_is_not_made_into_them(gateway: Served) -> None:
    """That takes seconds, in which all other calls would wait."""
    gateway.original.handler = AT_THE_ORIGINAL["400"]
    body = DECISION[:-1] + b', "metadata": [' + b"[]," * 1_000_000 + b"0]}"
    for content, encoding in ((body, "identity"), (packed(body, "zstd"), "zstd")):
        assert sent(gateway, post(content, f"content-encoding: {encoding}")).startswith(b"HTTP/1.1 400 ")
    assert [one.body for one in gateway.original.received] == [body, packed(body, "zstd")]
    assert gateway.gateway.figures.relayed == 2


@pytest.mark.parametrize("face", PATHS)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", DECISION[:-1], b"\xff\xfe{}", b"[" * 200_000, b'{"messages": {"a": 1}, "input": 7}'],
)
def test_what_is_no_request_of_the_dialect_is_for_the_original_to_judge(
    gateway: Served, face: str, body: bytes
) -> None:
    gateway.original.handler = AT_THE_ORIGINAL["400"]
    assert sent(gateway, post(body, path=PATHS[face])).startswith(b"HTTP/1.1 400 ")
    (asked,) = gateway.original.received
    assert asked.body == body


def test_long_heads_and_many_headers_are_refused(gateway: Served) -> None:
    with connected(gateway) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nx-a: ")
        for _ in range(1000):
            connection.sendall(b"a" * 65536)
    many = "".join(f"x-{number}: 1\r\n" for number in range(limits.MOST_HEADERS + 1))
    assert sent(gateway, f"GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n".encode()).startswith(b"HTTP/1.1 400 ")
    fits = "".join(f"x-{number}: 1\r\n" for number in range(limits.MOST_HEADERS - 5)) + "connection: close\r\n"
    assert sent(gateway, f"GET / HTTP/1.1\r\nhost: localhost\r\n{fits}\r\n".encode()).startswith(b"HTTP/1.1 200 ")
    assert len(gateway.original.received) == 1


def test_who_takes_too_long_is_let_go(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Protocol, "look_seconds", 0.05)
    monkeypatch.setattr(Protocol, "head_seconds", 1.5)
    monkeypatch.setattr(Protocol, "body_seconds", 1.5)
    with connected(gateway) as silent, connected(gateway) as slow, connected(gateway) as half:
        slow.sendall(b"GET / HTTP/1.1\r\nx-a: 1")
        half.sendall(post(DECISION)[:-5])
        assert until_closed(silent) == b""
        assert until_closed(slow).startswith(b"HTTP/1.1 408 ")
        assert until_closed(half).startswith(b"HTTP/1.1 408 ")
    # An answer may take its time.
    gateway.change("planning", deadline_seconds=2.0)
    gateway.model.handler = AT_THE_ORIGINAL["hangs"]
    assert b"The original thought" in sent(gateway, post(DECISION))


def test_too_many_connections_close_the_one_that_was_idle_longest(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "most", 3)
    asked = threading.Event()

    async def waits(received: Received, answering: Answering) -> None:
        asked.set()
        await AT_THE_ORIGINAL["hangs"](received, answering)

    gateway.original.handler = waits
    with connected(gateway) as busy:
        busy.sendall(post(OTHER))
        assert asked.wait(60)
        with connected(gateway) as first, connected(gateway) as second:
            for one in (first, second):
                one.sendall(b"GET /health HTTP/1.1\r\n\r\n")
                assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
                time.sleep(0.01)  # the clock of idleness has milliseconds
            with connected(gateway) as third:
                assert until_closed(first) == b""
                for one in (second, third):
                    one.sendall(b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n")
                    assert until_closed(one).startswith(b"HTTP/1.1 200 ")
        busy.setblocking(False)
        with pytest.raises(BlockingIOError):  # still open
            busy.recv(1)


def test_a_thousand_idle_connections_are_in_nobodys_way(gateway: Served) -> None:
    limits.most_connections()  # this process holds both ends
    place = urlsplit(gateway.url)
    idle = [socket.create_connection((place.hostname, place.port)) for _ in range(1000)]
    try:
        for _ in range(20):
            assert gateway.client.post(PATHS["chat"], content=DECISION, timeout=10).status_code == 200
    finally:
        for one in idle:
            one.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_leaves_in_the_middle_of_a_stream_ends_it_at_the_original(gateway: Served, method: str) -> None:
    gateway.original.handler = AT_THE_ORIGINAL["stalls between events"]
    path = "/v1/responses/resp_1?stream=true" if method == "GET" else "/v1/chat/completions"
    with connected(gateway) as connection:
        content = post(OTHER, path=path)
        connection.sendall(content if method == "POST" else f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        assert b" 200 " in connection.recv(65536)
    assert gateway.original.received[0].left.wait(60)


def test_who_leaves_in_the_middle_of_an_upload_ends_it_at_the_original(gateway: Served) -> None:
    heads: list[bytes] = []
    ended = threading.Event()
    sink = socket.create_server(("127.0.0.1", 0))

    def receive() -> None:
        connection, _ = sink.accept()
        with connection:
            heads.append(connection.recv(65536))
            until_closed(connection)
        ended.set()

    threading.Thread(target=receive, daemon=True).start()
    view = gateway.gateway.book.view
    gateway.gateway.book.view = type(view)(
        view.slots, f"http://127.0.0.1:{sink.getsockname()[1]}/v1", "http://127.0.0.1:1"
    )
    with connected(gateway) as connection:
        connection.sendall(
            b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * 100_000
        )
        until(lambda: heads, "the head")
    assert ended.wait(60)
    assert b"content-length: 1000000000" in heads[0].lower()
    assert gateway.client.get("/health").status_code == 200
    sink.close()


def test_no_event_is_held_back(gateway: Served) -> None:
    """The original sends an event only when the client has the one before."""
    seen = threading.Semaphore(0)
    count = 40

    async def paced(received: Received, answering: Answering) -> None:
        await answering.head(200, {"content-type": "text/event-stream"})
        for number in range(count):
            await answering.chunk(b"data: %d\n\n" % number)
            while not seen.acquire(blocking=False):
                await asyncio.sleep(0.001)
        await answering.chunk(b"")

    gateway.original.handler = paced
    gateway.change("planning", closed="off")
    for prompt in ("planning", "other"):
        body = request("chat", PROMPTS[prompt], stream=True)
        with gateway.client.stream("POST", PATHS["chat"], json=body, timeout=60) as answer:
            for number, piece in enumerate(answer.iter_raw()):
                assert piece == b"data: %d\n\n" % number
                seen.release()
        assert number == count - 1


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "DELETE"])
def test_a_body_is_never_taken_for_the_next_request(gateway: Served, method: str, path: str) -> None:
    """Whatever the method: a body that went on without its length would be the next request of the provider, and the
    next caller's answer would be the answer to it."""
    hidden = b"GET /v1/hidden HTTP/1.1\r\nhost: localhost\r\nx-swallows: "
    body = b"content-length: %d\r\n\r\n%b" % (len(hidden), hidden)
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n".encode()
    for _ in range(3):  # so that the provider's connection is a kept one
        with connected(gateway) as connection:
            connection.sendall(head + b"connection: close\r\n" + body)
            assert until_closed(connection).startswith(b"HTTP/1.1 200")
        answer = gateway.client.post("/v1/embeddings", json={"input": "mine"}, headers={"authorization": "Bearer mine"})
        assert answer.status_code == 200
    seen = gateway.original.received
    assert [one.method for one in seen] == [method, "POST"] * 3
    assert not [one for one in seen if "hidden" in one.target or "Bearer mine" in one.body.decode()]
    assert [one.body for one in seen if one.target == path] == [hidden] * 3
    assert {one.header("authorization") for one in seen if one.target == "/v1/embeddings"} == {"Bearer mine"}
