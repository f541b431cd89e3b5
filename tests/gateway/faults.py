"""Everything that can go wrong at the original provider and at a slot's model, and the judge of what an agent gets.

The judge asks the original directly and through the gateway, over raw sockets, and compares: through the gateway
nothing may be less than directly. The table of it is printed by `benchmarks/gateway_faults.py`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Handler, Received

DIALECTS = ("responses", "chat", "messages")
RELAYED = "relayed"
# How long nothing comes before a client of the tests gives up; far longer where something is sure to come.
SAYS_NOTHING_SECONDS, ENDS_SECONDS = 1.0, 60.0

# Not part of a message but of one connection, or the server's own.
_NOT_COMPARED = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "trailer",
    "proxy-connection",
    "x-named-by-connection",
}


@dataclass
class Got:
    """What came back: `end` is `clean`, `cut` (closed before what was promised), `silent` (nothing more for a while;
    the client gave up) or `nothing` (closed without an answer, or no connection)."""

    end: str = "nothing"
    status: int | None = None
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""

    @property
    def content(self) -> bytes:
        """The body without its encoding, as far as it came."""
        match self.headers.get("content-encoding", [""])[0]:
            case "gzip":
                return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(self.body)
        return self.body


# After how many seconds without a byte the client gives up, by what it has got.
Patience = Callable[[Got], float]


def until_the_end(got: Got) -> float:
    return ENDS_SECONDS


def after_the_first_event(got: Got) -> float:
    return SAYS_NOTHING_SECONDS if got.body else ENDS_SECONDS


def at_once(got: Got) -> float:
    return SAYS_NOTHING_SECONDS


async def exchange(
    url: str,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes = b"",
    *,
    patience: Patience = until_the_end,
) -> Got:
    """One request over a connection of its own."""
    place = urlsplit(url)
    got = Got()
    try:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
    except OSError:
        return got
    try:
        lines = {"host": place.netloc, **headers}
        if body or method == "POST":
            lines["content-length"] = str(len(body))
        head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        await read_answer(reader, method, got, patience)
    except ConnectionError:
        got.end = "cut" if got.status is not None else "nothing"
    finally:
        writer.close()
    return got


async def read_answer(reader: asyncio.StreamReader, method: str, got: Got, patience: Patience) -> None:
    """Read one answer, as patient as an agent."""

    async def soon(what: Awaitable[bytes]) -> bytes:
        async with asyncio.timeout(patience(got)):
            return await what

    try:
        while True:
            head = await soon(reader.readuntil(b"\r\n\r\n"))
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            got.status = int(first.split(" ")[1])
            if got.status >= 200:
                break
        for line in lines:
            key, _, value = line.partition(":")
            got.headers.setdefault(key.lower(), []).append(value.strip())
        got.end = "clean"
        if method == "HEAD" or got.status in (204, 304):
            return
        if got.headers.get("transfer-encoding") == ["chunked"]:
            await _chunks(reader, got, soon)
        elif length := got.headers.get("content-length"):
            while len(got.body) < int(length[0]):
                piece = await soon(reader.read(int(length[0]) - len(got.body)))
                if not piece:
                    got.end = "cut"
                    return
                got.body += piece
        else:
            while piece := await soon(reader.read(65536)):
                got.body += piece
    except TimeoutError:
        got.end = "silent"
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        got.end = "cut" if got.status is not None else "nothing"
        if got.status is not None and isinstance(error, asyncio.IncompleteReadError):
            got.body += error.partial


async def _chunks(reader: asyncio.StreamReader, got: Got, soon: Callable[[Awaitable[bytes]], Awaitable[bytes]]) -> None:
    while True:
        line = await soon(reader.readline())
        if not line:
            got.end = "cut"
            return
        left = int(line.partition(b";")[0], 16)
        if left == 0:
            while (await soon(reader.readline())).strip():
                pass
            return
        while left:
            piece = await soon(reader.read(left))
            if not piece:
                got.end = "cut"
                return
            got.body += piece
            left -= len(piece)
        await soon(reader.readexactly(2))


def less(direct: Got, got: Got) -> str | None:
    """What the agent got less through the gateway than directly; None when nothing."""
    if direct.status is None:
        # Nothing at all came directly: an error that says so, or nothing, or the same silence.
        if got.end == direct.end or (direct.end == "nothing" and got.status == 502 and got.end == "clean"):
            return None
        return f"directly {direct.end}, here {got.end} {got.status}"
    if got.status != direct.status:
        return f"status {got.status} for {direct.status}"
    if got.end != direct.end:
        return f"end {got.end} for {direct.end}"
    if got.content != direct.content:
        return f"{len(got.content)} bytes of content for {len(direct.content)}"
    for name, values in direct.headers.items():
        encoded = name in ("content-length", "content-encoding")
        if name in _NOT_COMPARED or (encoded and (got.body != direct.body or name not in got.headers)):
            continue
        if got.headers.get(name) != values:
            return f"header {name} is {got.headers.get(name)} for {values}"
    return None


# ---- what the original does ----


def answer_of(received: Received) -> tuple[bytes, list[bytes]]:
    """(a whole answer, the events of a stream) in the dialect that was asked in."""
    kind = received.target.partition("?")[0].rpartition("/")[2]
    whole, events = {
        "completions": (canned.chat_answer, canned.chat_events),
        "responses": (canned.responses_answer, canned.responses_events),
        "messages": (canned.messages_answer, canned.messages_events),
    }.get(kind, (lambda text: {"said": text}, lambda text: [canned.sse({"said": piece}) for piece in text.split()]))
    text = canned.ORIGINAL_SAYS["planning"]
    return json.dumps(whole(text)).encode(), events(text)


def _streams(received: Received) -> bool:
    return bool(received.json.get("stream")) if received.body else False


def failing(status: int, headers: dict[str, str] | None = None, body: bytes = b'{"error":{"message":"no"}}') -> Handler:
    """An answer with this status."""

    async def handler(received: Received, answering: Answering) -> None:
        await answering.whole(status, body, {"request-id": "req_1", **(headers or {})})

    return handler


async def well(received: Received, answering: Answering) -> None:
    whole, events = answer_of(received)
    if _streams(received):
        await answering.events(events, {"x-request-id": "up-1", "openai-processing-ms": "7"})
    else:
        await answering.whole(200, whole, {"x-request-id": "up-1", "set-cookie": "a=b; Path=/"})


async def html(received: Received, answering: Answering) -> None:
    await answering.whole(200, b"<html>Please wait</html>", {"content-type": "text/html"})


async def half_json(received: Received, answering: Answering) -> None:
    await answering.whole(200, answer_of(received)[0][:50])


async def never(received: Received, answering: Answering) -> None:
    await answering.until_caller_leaves()


async def closes(received: Received, answering: Answering) -> None:
    answering.closes = True


async def resets(received: Received, answering: Answering) -> None:
    answering.cut()


async def half_a_head(received: Received, answering: Answering) -> None:
    await answering.raw(b"HTTP/1.1 200 OK\r\ncontent-ty")
    answering.closes = True


async def no_http(received: Received, answering: Answering) -> None:
    await answering.raw(b"SSH-2.0-OpenSSH_9.2\r\n")
    answering.closes = True


async def cut_body(received: Received, answering: Answering) -> None:
    """In the middle: of an event, or of a whole answer with its length told before."""
    whole, events = answer_of(received)
    if _streams(received):
        await answering.head(200, {"content-type": "text/event-stream"})
        await answering.chunk(events[0])
        await answering.raw(f"{len(events[1]):x}\r\n".encode() + events[1][:20])
    else:
        await answering.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(whole)
        )
        await answering.raw(whole[:30])
    answering.closes = True


async def cut_between(received: Received, answering: Answering) -> None:
    """After a whole chunk, without the last one."""
    _, events = answer_of(received)
    await answering.head(200, {"content-type": "text/event-stream"})
    for event in events[:2]:
        await answering.chunk(event)
    answering.closes = True


async def half_a_line(received: Received, answering: Answering) -> None:
    """A stream that ends as HTTP says, in the middle of a line."""
    _, events = answer_of(received)
    await answering.events([events[0], events[1][:15]])


async def ends_early(received: Received, answering: Answering) -> None:
    """A stream that ends as HTTP says, without its last events."""
    await answering.events(answer_of(received)[1][:2])


async def stalls(received: Received, answering: Answering) -> None:
    """One event, and then nothing."""
    await answering.head(200, {"content-type": "text/event-stream"})
    await answering.chunk(answer_of(received)[1][0])
    await answering.until_caller_leaves()


async def trickles(received: Received, answering: Answering) -> None:
    """A byte at a time, each in its own packet, slower than a deadline, faster than an agent's patience."""
    whole, events = answer_of(received)
    content = b"".join(events) if _streams(received) else whole
    kind = b"text/event-stream" if _streams(received) else b"application/json"
    await answering.raw(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (kind, len(content)))
    for start in range(12):
        await answering.raw(content[start : start + 1])
        await asyncio.sleep(0.06)
    await answering.raw(content[12:])


async def redirects(received: Received, answering: Answering) -> None:
    await answering.whole(307, b"elsewhere", {"location": "http://127.0.0.1:9/v1/elsewhere"})


async def oversized(received: Received, answering: Answering) -> None:
    """More than anybody keeps, in one piece."""
    await answering.whole(200, b'{"text":"' + b"x" * 12_000_000 + b'"}')


async def wrong_type(received: Received, answering: Answering) -> None:
    whole, events = answer_of(received)
    kind = "application/octet-stream"
    await answering.whole(200, b"".join(events) if _streams(received) else whole, {"content-type": kind})


async def early_hints(received: Received, answering: Answering) -> None:
    await answering.raw(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    await well(received, answering)


async def packed(received: Received, answering: Answering) -> None:
    whole, events = answer_of(received)
    if _streams(received):
        packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
        pieces = [packer.compress(one) + packer.flush(zlib.Z_SYNC_FLUSH) for one in events]
        await answering.events([*pieces, packer.flush()], {"content-encoding": "gzip"})
    else:
        await answering.whole(200, gzip.compress(whole, mtime=0), {"content-encoding": "gzip"})


async def packed_br(received: Received, answering: Answering) -> None:
    """Bytes that only a client which asked for them can read; what they hold is nobody else's business."""
    await answering.whole(200, b"\x8b\x02\x80{}\x03", {"content-encoding": "br"})


async def no_content(received: Received, answering: Answering) -> None:
    await answering.raw(b"HTTP/1.1 204 No Content\r\nx-request-id: up-1\r\n\r\n")


async def not_modified(received: Received, answering: Answering) -> None:
    await answering.raw(b"HTTP/1.1 304 Not Modified\r\netag: abc\r\n\r\n")


async def until_closed(received: Received, answering: Answering) -> None:
    """An answer whose end is the end of the connection, as HTTP/1.0 has it."""
    kind = b"text/event-stream" if _streams(received) else b"application/json"
    whole, events = answer_of(received)
    await answering.raw(b"HTTP/1.0 200 OK\r\ncontent-type: %s\r\n\r\n" % kind)
    await answering.raw(b"".join(events) if _streams(received) else whole)
    answering.closes = True


async def trailers(received: Received, answering: Answering) -> None:
    await answering.head(200, {"content-type": "application/json", "trailer": "x-checksum"})
    await answering.chunk(answer_of(received)[0])
    await answering.raw(b"0\r\nx-checksum: 1\r\nset-cookie: evil=1\r\n\r\n")


async def named_by_connection(received: Received, answering: Answering) -> None:
    await answering.whole(200, b"{}", {"connection": "x-named-by-connection", "x-named-by-connection": "1"})


async def many_headers(received: Received, answering: Answering) -> None:
    await answering.whole(200, b"{}", {f"x-ratelimit-{number}": "9" * 50 for number in range(200)})


async def long_header(received: Received, answering: Answering) -> None:
    await answering.whole(200, b"{}", {"x-long": "y" * 30_000})


async def empty(received: Received, answering: Answering) -> None:
    await answering.whole(200, b"")


AT_THE_ORIGINAL: dict[str, Handler] = {
    "answers well": well,
    "500": failing(500),
    "503": failing(503, {"retry-after": "3"}),
    "529 overloaded": failing(529, {"x-should-retry": "true"}),
    "400": failing(400),
    "401": failing(401, {"www-authenticate": "Bearer"}),
    "404": failing(404),
    "413": failing(413),
    "429 with retry-after": failing(429, {"retry-after": "7", "retry-after-ms": "6500", "x-should-retry": "true"}),
    "HTML with 200": html,
    "half JSON": half_json,
    "nothing with 200": empty,
    "hangs": never,
    "closes at once": closes,
    "resets": resets,
    "half a head": half_a_head,
    "no HTTP": no_http,
    "cut in the middle": cut_body,
    "cut between events": cut_between,
    "half a line": half_a_line,
    "ends early": ends_early,
    "stalls between events": stalls,
    "slow trickle": trickles,
    "redirect": redirects,
    "oversized": oversized,
    "wrong content type": wrong_type,
    "1xx before": early_hints,
    "gzip": packed,
    "br": packed_br,
    "204": no_content,
    "304": not_modified,
    "until closed": until_closed,
    "trailers": trailers,
    "headers of the connection": named_by_connection,
    "200 headers": many_headers,
    "a header of 30 KB": long_header,
}


async def original(received: Received, answering: Answering) -> None:
    """The original does what the request's `x-fault` says."""
    await AT_THE_ORIGINAL[received.header("x-fault") or "answers well"](received, answering)


# ---- what the slot's model does ----


def model_says(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    return failing(status, headers, content)


async def model_trickles(received: Received, answering: Answering) -> None:
    content = json.dumps(canned.chat_answer(canned.MODEL_SAYS["planning"])).encode()
    await answering.raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content)
    )
    for start in range(len(content)):
        await answering.raw(content[start : start + 1])
        await asyncio.sleep(0.02)


async def model_oversized(received: Received, answering: Answering) -> None:
    answer = canned.chat_answer(canned.MODEL_SAYS["planning"] + "x" * 3_000_000)
    await answering.whole(200, answer)


_BOMB = gzip.compress(b" " * 20_000_000, 1)


async def model_bomb(received: Received, answering: Answering) -> None:
    await answering.whole(200, _BOMB, {"content-encoding": "gzip"})


async def model_cut(received: Received, answering: Answering) -> None:
    content = json.dumps(canned.chat_answer(canned.MODEL_SAYS["planning"])).encode()
    await answering.raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content)
    )
    await answering.raw(content[:-5])
    answering.closes = True


_GOOD = json.dumps(canned.chat_answer(canned.MODEL_SAYS["planning"])).encode()
AT_THE_MODEL: dict[str, Handler] = {
    "500": failing(500),
    "400": failing(400),
    "401": failing(401),
    "404": failing(404),
    "429": failing(429, {"retry-after": "60"}),
    "HTML with 200": html,
    "half JSON": model_says(_GOOD[:100]),
    "nothing with 200": empty,
    "JSON of another kind": model_says(b"[1, 2]"),
    "no choices": model_says(b'{"choices": []}'),
    "answer of null": model_says(b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'),
    "deep JSON": model_says(b"[" * 100_000),
    "numbers of 100 digits": model_says(b'{"choices": [{"message": {"content": 1%s}}]}' % (b"0" * 100)),
    "closes at once": closes,
    "resets": resets,
    "half a head": half_a_head,
    "no HTTP": no_http,
    "cut in the middle": model_cut,
    "hangs": never,
    "stalls between events": stalls,
    "slow trickle": model_trickles,
    "redirect": redirects,
    "oversized": model_oversized,
    "gzip bomb": model_bomb,
    "wrong content type": model_says(b"data: {}\n\n", headers={"content-type": "text/event-stream"}),
    "204": no_content,
    "until closed, cut": half_json,
}


def body_of(dialect: str, *, stream: bool, prompt: str = PROMPTS["planning"]) -> tuple[str, bytes]:
    """(path, body) of a call; of a path that is only handed through when `face` says so."""
    if dialect == RELAYED:
        return "/v1/embeddings", json.dumps({"input": "x", **({"stream": True} if stream else {})}).encode()
    return PATHS[dialect], json.dumps(request(dialect, prompt, stream=stream)).encode()


HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-1", "accept-encoding": "gzip, br"}


@dataclass(frozen=True)
class Cell:
    """One fault at one place, for one face; `flaw` is what the agent got less, None when nothing."""

    where: str
    fault: str
    dialect: str
    stream: bool
    flaw: str | None


_WHERE_NOTHING_COMES: dict[Handler | None, Patience] = {never: at_once, stalls: after_the_first_event}


async def judge_original(gateway_url: str, original_url: str, fault: str, dialect: str, stream: bool) -> Cell:
    """Directly and through the gateway, at the same time."""
    path, body = body_of(dialect, stream=stream)
    headers = {**HEADERS, "x-fault": fault}
    patience = _WHERE_NOTHING_COMES.get(AT_THE_ORIGINAL.get(fault), until_the_end)
    direct, got = await asyncio.gather(
        *(exchange(url, "POST", path, headers, body, patience=patience) for url in (original_url, gateway_url))
    )
    return Cell("original", fault, dialect, stream, less(direct, got))


async def judge_model(gateway_url: str, original_url: str, fault: str, dialect: str, stream: bool) -> Cell:
    """With the model at fault the agent gets what the original says."""
    path, body = body_of(dialect, stream=stream)
    direct, got = await asyncio.gather(
        *(exchange(url, "POST", path, HEADERS, body) for url in (original_url, gateway_url))
    )
    return Cell("model", fault, dialect, stream, less(direct, got))
