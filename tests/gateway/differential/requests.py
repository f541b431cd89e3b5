"""What a caller may send: raw bytes, and how."""

from __future__ import annotations

from dataclasses import dataclass

READ_WHOLE, AS_IT_COMES = b"/v1/chat/completions", b"/v1/other"
TALK = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
# As a body: whoever takes it for the next request gives it away by asking for `stolen`.
STOLEN = b"GET /v1/stolen HTTP/1.1\r\nhost: gateway\r\n\r\n"
FRESH, KEPT, PIPELINED = "fresh", "kept", "pipelined"


@dataclass(frozen=True)
class Request:
    """`pieces` are sent one after the other. `ways`: over a fresh connection, over one that had a call before, or with
    the next call in the same packet. `paths`: PATH in it becomes each of these. `leaves`: the caller closes then, once
    the provider has heard of it or does not seem to. `awaits`: the second piece is sent when 100 Continue has come.
    `shows`: the headers that are judged too, as the provider got them."""

    name: str
    pieces: tuple[bytes, ...]
    method: str = "POST"
    ways: tuple[str, ...] = (FRESH, KEPT, PIPELINED)
    paths: tuple[bytes, ...] = (AS_IT_COMES,)
    leaves: bool = False
    awaits: bool = False
    shows: tuple[str, ...] = ()


def _case(name: str, *pieces: bytes, **more: object) -> Request:
    return Request(name, pieces, **more)  # type: ignore[arg-type]


def _post(name: str, lines: bytes, body: bytes, **more: object) -> Request:
    return _case(name, b"POST PATH HTTP/1.1\r\nhost: localhost\r\n" + lines + b"\r\n" + body, **more)


def _chunked(name: str, body: bytes, **more: object) -> Request:
    return _post(name, b"transfer-encoding: chunked\r\n", body, **more)


def _get(name: str, lines: bytes, **more: object) -> Request:
    """A GET with odd lines in its head."""
    return _case(name, b"GET PATH HTTP/1.1\r\nhost: localhost\r\n" + lines + b"\r\n", method="GET", **more)


def _target(name: str, target: bytes, **more: object) -> Request:
    return _case(name, b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", method="GET", ways=(FRESH,), **more)


def _line(name: str, line: bytes, lines: bytes = b"host: localhost\r\n", **more: object) -> Request:
    return _case(name, line + b"\r\n" + lines + b"\r\n", **{"method": "GET", "ways": (FRESH,), **more})


def _in_chunks(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


_BOTH = (AS_IT_COMES, READ_WHOLE)
_LENGTH_5 = b"content-length: 5\r\n"
_BODIES = {
    "no body": (b"", b""),
    "a length of zero": (b"content-length: 0\r\n", b""),
    "a length": (b"content-length: %d\r\n" % len(STOLEN), STOLEN),
    "chunks": (b"transfer-encoding: chunked\r\n", _in_chunks(STOLEN)),
}
_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "PUT", "PATCH", "POST", "PROPFIND", "QUERY", "BREW")
_EARLY = {"leaves": True, "ways": (FRESH, KEPT), "paths": _BOTH}

REQUESTS = [
    # ---- each method with each body
    *(
        _case(
            f"{method} with {name}",
            b"%b PATH HTTP/1.1\r\nhost: localhost\r\n%b\r\n%b" % (method.encode(), lines, body),
            method=method,
            paths=_BOTH if method == "POST" else (AS_IT_COMES,),
        )
        for method in _METHODS
        for name, (lines, body) in _BODIES.items()
    ),
    _case(
        "POST of a talk",
        b"POST PATH HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(TALK) + TALK,
        paths=_BOTH,
    ),
    _case("get", b"get PATH HTTP/1.1\r\nhost: localhost\r\n\r\n", method="GET"),
    _case("G T", b"G T PATH HTTP/1.1\r\nhost: localhost\r\n\r\n", method="GET"),
    _case("CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n", method="GET", ways=(FRESH,)),
    # ---- lengths
    _post("the same length twice", _LENGTH_5 * 2, b"hello"),
    _post("two lengths", _LENGTH_5 + b"content-length: 6\r\n", b"hello1"),
    _post("a list of the same length", b"content-length: 5, 5\r\n", b"hello"),
    _post("a negative length", b"content-length: -5\r\n", b"hello"),
    _post("a length with a plus", b"content-length: +5\r\n", b"hello"),
    _post("a length in hex", b"content-length: 0x5\r\n", b"hello"),
    _post("a length with a space in it", b"content-length: 5 5\r\n", b"hello"),
    _post("a length between spaces", b"content-length:   5  \r\n", b"hello"),
    _post("a length with leading zeros", b"content-length: 0005\r\n", b"hello"),
    _post("an empty length", b"content-length:\r\n", b"hello"),
    _post("a length of 2^64 + 5", b"content-length: 18446744073709551621\r\n", b"hello"),
    _post("no length and a body", b"", b"hello"),
    # ---- lengths and chunks
    _post("a length and chunks", b"content-length: 4\r\ntransfer-encoding: chunked\r\n", _in_chunks(STOLEN)),
    _post("chunks and a length", b"transfer-encoding: chunked\r\ncontent-length: 4\r\n", _in_chunks(STOLEN)),
    _post("coded xchunked", b"transfer-encoding: xchunked\r\n", _in_chunks(STOLEN)),
    _post("coded identity", b"transfer-encoding: identity\r\n", b""),
    _post("coded identity, a length", b"transfer-encoding: identity\r\n" + _LENGTH_5, b"hello"),
    _post("coded gzip, chunked", b"transfer-encoding: gzip, chunked\r\n", _in_chunks(b"hello")),
    _post("coded chunked, gzip", b"transfer-encoding: chunked, gzip\r\n", _in_chunks(b"hello")),
    _post("coded chunked twice", b"transfer-encoding: chunked\r\n" * 2, _in_chunks(b"hello")),
    _post("coded CHUNKED", b"Transfer-Encoding: CHUNKED\r\n", _in_chunks(b"hello")),
    _post("coded, then a TAB", b"transfer-encoding:\tchunked\t\r\n", _in_chunks(b"hello")),
    _post("coded, then a vertical tab", b"transfer-encoding:\x0bchunked\r\n", _in_chunks(STOLEN)),
    _post("a space before coded's colon", b"transfer-encoding : chunked\r\n", _in_chunks(STOLEN)),
    _post("coded on a second line", b"transfer-encoding:\r\n chunked\r\n", _in_chunks(STOLEN)),
    _post("coded with an underscore", b"transfer_encoding: chunked\r\n" + _LENGTH_5, b"hello"),
    # ---- chunks
    _chunked("chunks in pieces", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", paths=_BOTH),
    _chunked("chunks with extensions", b'5;a=b;c="d e"\r\nhello\r\n0;end\r\n\r\n', paths=_BOTH),
    _chunked(
        "chunks with trailers",
        b"5\r\nhello\r\n0\r\nx-trailer: 1\r\nauthorization: evil\r\n\r\n",
        paths=_BOTH,
        shows=("x-trailer", "authorization"),
    ),
    _chunked("chunks with 64 KB of trailers", b"5\r\nhello\r\n0\r\nx-a: " + b"a" * 65536 + b"\r\n\r\n"),
    _chunked("chunks with upper-case sizes", b"A\r\nhellohello\r\n0\r\n\r\n"),
    _chunked("chunks with leading zeros", b"0005\r\nhello\r\n000\r\n\r\n"),
    _chunked("a size that is not hex", b"xyz\r\nhello\r\n0\r\n\r\n", paths=_BOTH),
    _chunked("a size with a minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    _chunked("a size with a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    _chunked("a size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    _chunked("an empty size", b"\r\nhello\r\n0\r\n\r\n"),
    _chunked("a size of 2^64 + 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    _chunked("a chunk longer than told", b"5\r\nhello123\r\n0\r\n\r\n", paths=_BOTH),
    _chunked("a second chunk that is none", b"5\r\nhello\r\nxyz\r\nhello\r\n0\r\n\r\n", paths=_BOTH),
    _chunked("a chunk ended by LF", b"5\nhello\n0\n\n"),
    _chunked("spaces behind a size", b"5  \r\nhello\r\n0\r\n\r\n"),
    # ---- heads
    _get("a header of two lines", b"x-a: 1\r\n 2\r\n", shows=("x-a",)),
    _get("lines ended by LF within", b"x-a: 1\nx-b: 2\r\n", shows=("x-a", "x-b")),
    _case("lines ended by LF", b"GET PATH HTTP/1.1\nhost: localhost\n\n", method="GET"),
    _get("a NUL in a value", b"x-a: 1\0002\r\n", shows=("x-a",)),
    _get("a CR in a value", b"x-a: 1\r2\r\n", shows=("x-a",)),
    _get("a control character in a value", b"x-a: 1\x012\x7f\r\n", shows=("x-a",)),
    _get("8-bit bytes in a value", b"x-a: \xe9\xff\r\n", shows=("x-a",)),
    _get("8-bit bytes in a name", b"x-\xe9: 1\r\n"),
    _get("a space before the colon", b"x-a : 1\r\n", shows=("x-a",)),
    _get("a space in a name", b"x a: 1\r\n"),
    _get("a header without a colon", b"x-a\r\n"),
    _get("a header without a name", b": 1\r\n"),
    _get("an empty value", b"x-a:\r\n", shows=("x-a",)),
    _get("a header twice", b"x-a: 1\r\nx-a: 2\r\n", shows=("x-a",)),
    _get("a name with an underscore", b"x_a: 1\r\n", shows=("x_a",)),
    _get("100 headers", b"".join(b"x-%d: 1\r\n" % number for number in range(100)), shows=("x-99",)),
    _get("a header of 30 KB", b"x-a: " + b"a" * 30_000 + b"\r\n", shows=("x-a",)),
    _get("a header of 300 KB", b"x-a: " + b"a" * 300_000 + b"\r\n", ways=(FRESH, KEPT)),
    _line("no host", b"GET /v1/other HTTP/1.1", b"", shows=("host",)),
    _line("two hosts", b"GET /v1/other HTTP/1.1", b"host: localhost\r\nhost: evil.example\r\n"),
    _line("an empty host", b"GET /v1/other HTTP/1.1", b"host:\r\n", shows=("host",)),
    _line("a host that is none", b"GET /v1/other HTTP/1.1", b"host: a b/c\r\n"),
    _line("another host", b"GET /v1/other HTTP/1.1", b"host: evil.example\r\n", shows=("host",)),
    _case("an empty line before", b"\r\nGET PATH HTTP/1.1\r\nhost: localhost\r\n\r\n", method="GET"),
    _case("a space before the first header", b"GET PATH HTTP/1.1\r\n x-a: 1\r\nhost: localhost\r\n\r\n", method="GET"),
    # ---- targets
    _target("a target with a query", b"/v1/other?a=b&c=%20d"),
    _target("an absolute target", b"http://evil.example/v1/other?a=b"),
    _target("an absolute target of https", b"https://evil.example/v1/other"),
    _target("an authority", b"evil.example:443"),
    _target("an asterisk", b"*"),
    _case("OPTIONS of an asterisk", b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", method="OPTIONS", ways=(FRESH,)),
    _target("two slashes", b"//evil.example/v1/other"),
    _target("two slashes within", b"/v1//other"),
    _target("dots", b"/v1/a/../../etc/passwd"),
    _target("dots that are escaped", b"/v1/%2e%2e/%2e%2e/etc/passwd"),
    _target("a slash that is escaped", b"/v1/a%2Fb"),
    _target("a NUL that is escaped", b"/v1/a%00b"),
    _target("a line's end that is escaped", b"/v1/a%0d%0aevil:%201"),
    _target("an escape that is none", b"/v1/a%zz"),
    _target("a backslash", b"/v1\\..\\other"),
    _target("a TAB", b"/v1/a\tb"),
    _target("a space", b"/v1/a b"),
    _target("a NUL in a target", b"/v1/a\0b"),
    _target("a fragment", b"/v1/other#part"),
    _target("8-bit bytes", b"/v1/\xc3\xa4\xff"),
    _target("an at", b"/v1/other@evil.example"),
    _target("brackets and quotes", b'/v1/["<a>"]{b}|^`'),
    _target("no slash", b"v1/other"),
    _target("a target of 20 KB", b"/v1/" + b"a" * 20_000),
    _target("a target of 200 KB", b"/v1/" + b"a" * 200_000),
    # ---- versions
    _line("HTTP/1.0", b"GET /v1/other HTTP/1.0"),
    _line("HTTP/1.0 kept alive", b"GET /v1/other HTTP/1.0", b"host: localhost\r\nconnection: keep-alive\r\n"),
    _line(
        "HTTP/1.0 in chunks",
        b"POST /v1/other HTTP/1.0",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        method="POST",
    ),
    _line("HTTP/0.9", b"GET /v1/other", b""),
    _line("HTTP/1.2", b"GET /v1/other HTTP/1.2"),
    _line("HTTP/2.0", b"GET /v1/other HTTP/2.0"),
    _line("http/1.1", b"GET /v1/other http/1.1"),
    _line("HTTP/11", b"GET /v1/other HTTP/11"),
    _line("the preface of HTTP/2", b"PRI * HTTP/2.0", b"\r\nSM\r\n"),
    _line("a hello of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n"),
    # ---- expectations and upgrades
    _case(
        "expects 100",
        b"POST PATH HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n" + _LENGTH_5 + b"\r\n",
        b"hello",
        awaits=True,
        ways=(FRESH, KEPT),
        paths=_BOTH,
        shows=("expect",),
    ),
    _post("expects 100 and does not wait", b"expect: 100-continue\r\n" + _LENGTH_5, b"hello", paths=_BOTH),
    _post("expects something else", b"expect: 200-ok\r\n" + _LENGTH_5, b"hello", shows=("expect",)),
    _get(
        "asks for a websocket",
        b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n",
        shows=("upgrade", "connection"),
    ),
    _post(
        "asks for h2c",
        b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n" + _LENGTH_5,
        b"hello",
        paths=_BOTH,
        shows=("upgrade", "http2-settings"),
    ),
    _post(
        "asks for h2c in chunks",
        b"connection: upgrade\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\n",
        _in_chunks(STOLEN),
    ),
    # ---- what Connection names
    _post(
        "names authorization",
        b"connection: authorization\r\nauthorization: mine\r\n" + _LENGTH_5,
        b"hello",
        shows=("authorization",),
    ),
    _post("names content-length", b"connection: content-length\r\n" + _LENGTH_5, b"hello"),
    _post(
        "names transfer-encoding",
        b"connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n",
        _in_chunks(STOLEN),
    ),
    _get("names host", b"connection: host\r\n"),
    _get("names close", b"connection: close\r\n"),
    _get(
        "keep-alive and te",
        b"keep-alive: timeout=5\r\nte: trailers\r\nproxy-connection: x\r\n",
        shows=("keep-alive", "te", "proxy-connection"),
    ),
    # ---- early ends and slow ones
    _case("leaves in the request line", b"POST PA", leaves=True),
    _case("leaves in a head", b"POST PATH HTTP/1.1\r\nhost: localhost\r\nx-", **_EARLY),
    _case("leaves after a head", b"POST PATH HTTP/1.1\r\nhost: localhost\r\n" + _LENGTH_5 + b"\r\n", **_EARLY),
    _case("leaves in a body", b"POST PATH HTTP/1.1\r\nhost: localhost\r\n" + _LENGTH_5 + b"\r\nhel", **_EARLY),
    _case(
        "leaves in a long body",
        b"POST PATH HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n" + b"a" * 500_000,
        **_EARLY,
    ),
    _chunked("leaves in the line of a size", b"5\r\nhello\r\n1", **_EARLY),
    _chunked("leaves in a chunk", b"5\r\nhel", **_EARLY),
    _chunked("leaves before the last chunk", b"5\r\nhello\r\n", **_EARLY),
    _chunked("leaves in the last chunk", b"5\r\nhello\r\n0\r\n", **_EARLY),
    _case(
        "a long body",
        b"POST PATH HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n" + b"a" * 900_000,
        paths=_BOTH,
    ),
    _case(
        "byte by byte",
        *(b"%c" % one for one in b"POST /v1/other HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello"),
        ways=(FRESH, KEPT),
    ),
    _case(
        "chunks byte by byte",
        b"POST PATH HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
        *(b"%c" % one for one in _in_chunks(b"hello")),
        ways=(FRESH, KEPT),
        paths=_BOTH,
    ),
]
