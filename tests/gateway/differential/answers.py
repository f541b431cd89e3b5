"""What a provider may answer: raw bytes, and what it does after them."""

from __future__ import annotations

from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH_5 = OK + b"content-length: 5\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n"
GOOD = LENGTH_5 + b"\r\nhello"
SMUGGLED = OK + b"content-length: 6\r\nx-smuggled: 1\r\n\r\nstolen"
# gzip of "hello", as it must pass byte for byte.
PACKED = bytes.fromhex("1f8b08000000000002ffcb48cdc9c9070086a6103605000000")
READ_WHOLE, AS_IT_COMES = "/v1/chat/completions", "/v1/other"
GET, POST, UPLOAD = ("GET", AS_IT_COMES), ("POST", READ_WHOLE), ("POST", AS_IT_COMES)


@dataclass(frozen=True)
class Answer:
    """`pieces` are sent one after the other. Then the provider keeps the connection (`keep`), closes it (`close`), or
    resets it (`reset`). `later` is sent over the kept connection when the caller has had its answer. `early`: the
    answer goes out before the request's body is read. `hangs`: somebody waits for more, and the caller gives up.
    `shows`: the headers of the answer that are judged too. `calls`: what is asked, each over a fresh connection to the
    provider and over a kept one."""

    name: str
    pieces: tuple[bytes, ...]
    then: str = "keep"
    later: bytes = b""
    early: bool = False
    hangs: bool = False
    shows: tuple[str, ...] = ()
    calls: tuple[tuple[str, str], ...] = (GET, POST)


def _case(name: str, *pieces: bytes, then: str = "keep", **more: object) -> Answer:
    return Answer(name, pieces, then, **more)  # type: ignore[arg-type]


def _head(name: str, head: bytes, **more: object) -> Answer:
    """An odd line of the head, before a sound length and body."""
    return _case(name, OK + head + b"content-length: 5\r\n\r\nhello", **more)  # type: ignore[arg-type]


def _status(name: str, line: bytes, **more: object) -> Answer:
    return _case(name, line + b"\r\ncontent-length: 5\r\n\r\nhello", **more)  # type: ignore[arg-type]


def _length(name: str, lines: bytes, body: bytes = b"hello", **more: object) -> Answer:
    return _case(name, OK + lines + b"\r\n\r\n" + body, **more)  # type: ignore[arg-type]


def _chunks(name: str, body: bytes, **more: object) -> Answer:
    return _case(name, CHUNKED + b"\r\n" + body, **more)  # type: ignore[arg-type]


_HEAD = (("HEAD", AS_IT_COMES),)

ANSWERS = [
    # ---- lengths
    _case("a length", GOOD),
    _case("a length, byte by byte", *(GOOD[at : at + 1] for at in range(len(GOOD)))),
    _length("a length of zero", b"content-length: 0", b""),
    _length("a length of 5 and 3 bytes", b"content-length: 5", b"hel", then="close"),
    _length("a length of 5 and 3 bytes, reset", b"content-length: 5", b"hel", then="reset"),
    _length("a length of 5 and 8 bytes", b"content-length: 5", b"hello123"),
    _length("the same length twice", b"content-length: 5\r\ncontent-length: 5"),
    _length("two lengths", b"content-length: 5\r\ncontent-length: 6", then="close"),
    _length("a list of the same length", b"content-length: 5, 5"),
    _length("a list of two lengths", b"content-length: 5, 6", then="close"),
    _length("a negative length", b"content-length: -5", then="close"),
    _length("a length with a plus", b"content-length: +5", then="close"),
    _length("a length in hex", b"content-length: 0x5", then="close"),
    _length("a length with a space in it", b"content-length: 5 5", then="close"),
    _length("a length between spaces", b"content-length:   5  "),
    _length("a length with leading zeros", b"content-length: 0005"),
    _length("an empty length", b"content-length:", then="close"),
    _length("a length of 2^63", b"content-length: 9223372036854775808", then="close"),
    _length("a length of 2^64 + 5", b"content-length: 18446744073709551621", then="close"),
    _length("a length of a TB", b"content-length: 1099511627776", then="close"),
    # ---- chunks
    _chunks("chunks", b"5\r\nhello\r\n0\r\n\r\n"),
    _case("chunks, byte by byte", CHUNKED + b"\r\n", *(b"%c" % one for one in b"5\r\nhello\r\n0\r\n\r\n")),
    _chunks("chunks with extensions", b'5;a=b;c="d e"\r\nhello\r\n0;end\r\n\r\n'),
    _chunks("chunks with trailers", b"5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n", shows=("x-trailer",)),
    _chunks("chunks with 64 KB of trailers", b"5\r\nhello\r\n0\r\nx-a: " + b"a" * 65536 + b"\r\n\r\n"),
    _chunks("chunks with upper-case sizes", b"A\r\nhellohello\r\n0\r\n\r\n"),
    _chunks("chunks with leading zeros", b"0005\r\nhello\r\n000\r\n\r\n"),
    _chunks("no last chunk", b"5\r\nhello\r\n", then="close"),
    _chunks("no last chunk, reset", b"5\r\nhello\r\n", then="reset"),
    _chunks("cut in the line of a size", b"5\r\nhello\r\n1", then="close"),
    _chunks("cut in a chunk", b"5\r\nhel", then="close"),
    _chunks("cut behind a chunk's data", b"5\r\nhello", then="close"),
    _chunks("cut in the last chunk", b"5\r\nhello\r\n0\r\n", then="close"),
    _chunks("cut in the trailers", b"5\r\nhello\r\n0\r\nx-trailer: 1\r\n", then="close"),
    _chunks("a size that is not hex", b"5\r\nhello\r\nxyz\r\nhello\r\n0\r\n\r\n", then="close"),
    _chunks("a size with a minus", b"-5\r\nhello\r\n0\r\n\r\n", then="close"),
    _chunks("a size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n", then="close"),
    _chunks("an empty size", b"\r\nhello\r\n0\r\n\r\n", then="close"),
    _chunks("a size of 2^63", b"8000000000000000\r\nhello", then="close"),
    _chunks("a size of 2^64 + 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n", then="close"),
    _chunks("a chunk longer than told", b"5\r\nhello123\r\n0\r\n\r\n", then="close"),
    _chunks("a chunk ended by LF", b"5\nhello\n0\n\n", then="close"),
    _chunks("spaces behind a size", b"5  \r\nhello\r\n0\r\n\r\n"),
    _case("a length and chunks", LENGTH_5 + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _case("chunks and a length", CHUNKED + b"content-length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _case("a length that ends in the chunks", CHUNKED + b"content-length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _case(
        "coded gzip, chunked",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n19\r\n" + PACKED + b"\r\n0\r\n\r\n",
        then="close",
    ),
    _case("coded identity", OK + b"transfer-encoding: identity\r\n\r\nhello", then="close"),
    _case("coded identity with a length", LENGTH_5 + b"transfer-encoding: identity\r\n\r\nhello", then="close"),
    _case("coded xchunked", OK + b"transfer-encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", then="close"),
    _case("coded chunked twice", CHUNKED + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", then="close"),
    _case("coded chunked, chunked", OK + b"transfer-encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    _case("coded chunked, gzip", OK + b"transfer-encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n", then="close"),
    _case("coded CHUNKED", OK + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    # ---- until the connection is closed
    _case("until it closes", OK + b"\r\nhello", then="close"),
    _case("until it closes, told so", OK + b"connection: close\r\n\r\nhello", then="close"),
    _case("until it closes, in pieces", OK + b"\r\n", b"hel", b"lo", then="close"),
    _case("until it resets", OK + b"\r\n", b"hello", then="reset"),
    _case("a length and connection: close", LENGTH_5 + b"connection: close\r\n\r\nhello", then="close"),
    _case("connection: close, and it stays", LENGTH_5 + b"connection: close\r\n\r\nhello"),
    _case("HTTP/1.0 with a length", b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
    _case("HTTP/1.0 kept alive", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello"),
    _case("HTTP/1.0 until it closes", b"HTTP/1.0 200 OK\r\n\r\nhello", then="close"),
    _case(
        "HTTP/1.0 in chunks",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        then="close",
    ),
    # ---- before the answer
    _case("100 before", b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD),
    _case("100 before, apart", b"HTTP/1.1 100 Continue\r\n\r\n", GOOD),
    _case("102 before", b"HTTP/1.1 102 Processing\r\n\r\n", GOOD),
    _case("103 before", b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n", GOOD, shows=("link",)),
    _case("100 with a length", b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\n" + GOOD),
    _case("100 before, 50 times", b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + GOOD),
    _case("100 and nothing more", b"HTTP/1.1 100 Continue\r\n\r\n", then="close"),
    _case("103 and nothing more", b"HTTP/1.1 103 Early Hints\r\n\r\n", then="close"),
    _case(
        "101 unasked",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
        then="close",
    ),
    # ---- answers without a body
    _case("204", b"HTTP/1.1 204 No Content\r\n\r\n"),
    _case("204 with a length of zero", b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"),
    _case("204 with a length and no body", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", hangs=True),
    _case("204 with a body", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello"),
    _case("204 in chunks", b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    _case("304", b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\n\r\n'),
    _case("304 with a length", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", hangs=True),
    _case("304 with a body", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello"),
    _case("304 in chunks", b"HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    _case("205 with a length of zero", b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
    _case("205 with a body", b"HTTP/1.1 205 Reset Content\r\ncontent-length: 5\r\n\r\nhello"),
    _case("to a HEAD: a length", LENGTH_5 + b"\r\n", calls=_HEAD),
    _case("to a HEAD: nothing of a length", OK + b"\r\n", calls=_HEAD),
    _case("to a HEAD: a body", GOOD, calls=_HEAD),
    _case("to a HEAD: chunked", CHUNKED + b"\r\n", calls=_HEAD),
    _case("to a HEAD: chunks", CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n", calls=_HEAD),
    _case("to a HEAD: a whole other answer", LENGTH_5 + b"\r\n" + SMUGGLED, calls=_HEAD),
    # ---- heads
    _case("a head without a header", OK + b"\r\n", then="close"),
    _head("a header without a colon", b"x-a\r\n"),
    _head("a header without a name", b": 1\r\n"),
    _head("a space before the colon", b"x-a : 1\r\n", shows=("x-a",)),
    _head("a space in a name", b"x a: 1\r\n", shows=("x a",)),
    _head("a header of two lines", b"x-a: 1\r\n 2\r\n", shows=("x-a",)),
    _head("a NUL in a value", b"x-a: 1\0002\r\n", shows=("x-a",)),
    _head("a CR in a value", b"x-a: 1\r2\r\n", shows=("x-a",)),
    _head("an LF in a value", b"x-a: 1\nx-b: 2\r\n", shows=("x-a", "x-b")),
    _head("a TAB and a DEL in a value", b"x-a: 1\t2\x7f\r\n", shows=("x-a",)),
    _head("a NUL in a name", b"x\0a: 1\r\n"),
    _head("8-bit bytes in a value", b"x-a: \xe9\xff\r\n", shows=("x-a",)),
    _head("8-bit bytes in a name", b"x-\xe9: 1\r\n"),
    _head("an empty value", b"x-a:\r\n", shows=("x-a",)),
    _head("a header twice", b"set-cookie: a=1\r\nset-cookie: b=2\r\n", shows=("set-cookie",)),
    _head("headers that connection names", b"connection: x-a\r\nx-a: 1\r\n", shows=("x-a", "connection")),
    _case("lines ended by LF", b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello"),
    _head("200 headers", b"".join(b"x-%d: 1\r\n" % number for number in range(200)), shows=("x-199",)),
    _head("a header of 64 KB", b"x-a: " + b"a" * 65536 + b"\r\n", shows=("x-a",)),
    _head("a head of 300 KB", b"".join(b"x-%d: %s\r\n" % (number, b"a" * 1000) for number in range(300))),
    _case("a head without end", OK, *([b"x-a: " + b"a" * 65536 + b"\r\n"] * 64), then="close"),
    _case("a status line without end", b"HTTP/1.1 200 ", *([b"a" * 65536] * 64), then="close"),
    # ---- status lines
    _status("no reason", b"HTTP/1.1 200"),
    _status("an empty reason", b"HTTP/1.1 200 "),
    _status("8-bit bytes in the reason", b"HTTP/1.1 200 \xe9\xff"),
    _status("status 99", b"HTTP/1.1 99 Low", then="close"),
    _status("status 000", b"HTTP/1.1 000 Zero", then="close"),
    _status("status 099", b"HTTP/1.1 099 Low", then="close"),
    _status("status 299", b"HTTP/1.1 299 Odd"),
    _status("status 418", b"HTTP/1.1 418 Teapot"),
    _status("status 599", b"HTTP/1.1 599 Odd"),
    _status("status 600", b"HTTP/1.1 600 High", then="close"),
    _status("status 999", b"HTTP/1.1 999 High", then="close"),
    _status("status 2000", b"HTTP/1.1 2000 Long", then="close"),
    _status("status abc", b"HTTP/1.1 abc Odd", then="close"),
    _status("no status", b"HTTP/1.1", then="close"),
    _status("two spaces before the status", b"HTTP/1.1  200 OK", then="close"),
    _status("HTTP/2.0", b"HTTP/2.0 200 OK", then="close"),
    _status("HTTP/1.2", b"HTTP/1.2 200 OK", then="close"),
    _status("HTTP/0.9", b"HTTP/0.9 200 OK", then="close"),
    _status("HTTP/1.10", b"HTTP/1.10 200 OK", then="close"),
    _status("http/1.1", b"http/1.1 200 OK", then="close"),
    _status("HTTPS/1.1", b"HTTPS/1.1 200 OK", then="close"),
    _case("no HTTP: text", b"hello", then="close"),
    _case("no HTTP: SSH", b"SSH-2.0-OpenSSH_9.2\r\n", then="close"),
    _case("no HTTP: an alert of TLS", b"\x15\x03\x01\x00\x02\x02\x0a", then="close"),
    _case("empty lines before", b"\r\n\r\n" + GOOD, then="close"),
    # ---- early ends
    _case("closes before a byte", then="close"),
    _case("resets before a byte", then="reset"),
    _case("closes before a byte, the request unread", then="close", early=True, calls=(GET, UPLOAD)),
    _case("closes in the status line", b"HTTP/1.1 20", then="close"),
    _case("closes after the status line", OK, then="close"),
    _case("closes in a header", OK + b"content-le", then="close"),
    _case("resets in a header", OK + b"content-le", then="reset"),
    _case("closes after the headers", LENGTH_5, then="close"),
    _case("closes after the head", LENGTH_5 + b"\r\n", then="close"),
    _case("resets after the head", LENGTH_5 + b"\r\n", then="reset"),
    _case("closes after the whole answer", GOOD, then="close"),
    _case("resets after the whole answer", GOOD, then="reset"),
    _case("nothing ever", hangs=True),
    _case("a head and nothing ever", LENGTH_5 + b"\r\n", hangs=True),
    # ---- more than was asked for; what comes only when the next request is out is that one's answer to everybody
    _case("a second answer at once", GOOD + SMUGGLED),
    _case("a second answer later", GOOD, later=SMUGGLED),
    _case("a second answer behind chunks", CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    _case("a second answer behind a 204", b"HTTP/1.1 204 No Content\r\n\r\n" + SMUGGLED),
    _case("a second answer behind a 304", b"HTTP/1.1 304 Not Modified\r\n\r\n" + SMUGGLED),
    _case("a second answer begun", GOOD + b"HTTP/1.1 2"),
    _case("line ends behind the answer", GOOD + b"\r\n\r\n"),
    _case("a 408 later", GOOD, later=b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"),
    # ---- timing and content
    _case("an answer before the body was read", GOOD, early=True, calls=(POST, UPLOAD)),
    _case(
        "an error before the body was read, closed",
        b"HTTP/1.1 413 Too Large\r\n" + GOOD[len(OK) :],
        then="close",
        early=True,
        calls=(POST, UPLOAD),
    ),
    _case(
        "packed content",
        OK + b"content-encoding: gzip\r\ncontent-length: 25\r\n\r\n" + PACKED,
        shows=("content-encoding",),
    ),
    _case(
        "events",
        CHUNKED + b"content-type: text/event-stream\r\n\r\n",
        b"9\r\ndata: 1\n\n\r\n",
        b"9\r\ndata: 2\n\n\r\n",
        b"0\r\n\r\n",
        shows=("content-type",),
    ),
    _case(
        "events until it closes",
        OK + b"content-type: text/event-stream\r\n\r\n",
        b"data: 1\n\n",
        b"data: 2\n\n",
        then="close",
        shows=("content-type",),
    ),
    _case(
        "an error with retry-after",
        b"HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n{}",
        shows=("retry-after",),
    ),
    _case(
        "a redirect",
        b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n",
        shows=("location",),
    ),
    _length("1 MB", b"content-length: 1048576", b"a" * 1048576),
]
