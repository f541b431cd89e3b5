"""Where the gateway does otherwise than nginx, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """What we do, as `judging.told` says it, and the reason."""

    ours: str
    because: str


# ---- the reasons

_STRICT_LENGTH = (
    "stricter: a length that two servers may read differently is not an answer; nginx passes what it takes it for"
)
_CUT_LENGTH = (
    "stricter: so much was promised and did not come, so that the answer is cut; nginx ignores the length and "
    "calls what came whole"
)
_HEAD_FIRST = (
    "we hand on the head before the body is judged and then cut, with what was sound before; nginx finds the "
    "flaw in the bytes that came with the head and closes. Nobody takes either for whole"
)
_STRICT_CHUNKS = "stricter: lines of chunks end by CR LF; nginx takes LF alone"
_STRICT_BOTH = "stricter: a length beside a transfer coding is how answers are smuggled; nginx drops the length"
_CODED = (
    "stricter: what names another coding than chunks cannot be told to the caller: 502; nginx passes what it "
    "takes it for"
)
_KEEP_1_0 = "we keep an HTTP/1.0 connection that says keep-alive, as it says; nginx closes it"
_INTERIM = (
    "interim answers end with us; this nginx (1.22) knows none: it takes them for the answer, and its caller hangs"
)
_SWITCH = "we never ask for another protocol: 502; nginx passes the 101 and what follows as if the caller had asked"
_HEAD_NEW = "until it closes, a GET's answer would say: our parser does not keep such a connection, nginx does"
_STRICT_HEAD = "stricter: a line that is not a header is not an answer; nginx drops or passes it"
_FOLD = (
    "a header of two lines is old but known, and nothing but whitespace is lost: joined, as Python's clients "
    "do; nginx refuses it"
)
_CONTROL = "a control character becomes a space, as no client takes it; nginx refuses NUL and passes the others"
_HOP = "what Connection names ends with us, as RFC 9110 7.6.1 says; nginx passes it, and always says keep-alive itself"
_STRICT_STATUS = "stricter: no client can use such a status; nginx passes what is not even three digits"
_STRICT_VERSION = "stricter: no version of HTTP that anybody speaks"
_NO_HTTP = (
    "we say 502 at once; nginx takes it for HTTP/0.9 and sends it to its caller as it is, whose connection stays open"
)
_EMPTY_LINES = (
    "empty lines before an answer are skipped, as RFC 9112 2.2 lets a server do; nginx takes them for HTTP/0.9"
)
_AGAIN = (
    "what has no effect, such as a GET, is asked once more, over a fresh connection too; nginx asks again "
    "over a kept one only. What has an effect is sent once by both"
)
_LINE_ENDS = "a line's end behind an answer is no second answer; nginx closes"
_TRACE = "no method is ours to refuse: the provider judges; nginx never proxies TRACE"
_METHOD = "our parser knows the methods of the registry and refuses others; nginx passes any"
_RUBBISH = "after a sound call, bytes that are no request end the connection; nginx says 400 before it closes"
_CODED_400 = "refused as by nginx; our parser says 400 where nginx says 501"
_CODED_501 = "refused as by nginx; the body was read by its chunks, so that the connection is sound for the next call"
_C_LF = (
    "stricter: a chunk's lines end by CR LF and hold nothing beside; nginx takes LF alone and spaces. The "
    "head was on its way and the provider sees it cut"
)
_BARE_LF = "stricter: lines end by CR LF; nginx takes LF alone"
_C_HEAD = "stricter: what is not a header is refused; nginx drops or passes it"
_UNDERSCORE = "a name may hold an underscore; nginx drops it, for the sake of CGI"
_C_431 = "431 says what is too long (431 for a target too); nginx says 400 or 414"
_HOST = "both refuse; ours keeps the connection"
_STAR = "refused as by nginx; but such a call was sound HTTP, so that the connection stays"
_BASE = "what has no /v1 goes behind the provider's base; nginx has no base here"
_TARGET = "a path is the provider's to judge and goes on as it came; nginx looks what it means"
_FRAGMENT = "no client sends a fragment: dropped; nginx passes it"
_EIGHT = "stricter: a target is ASCII; nginx passes the bytes"
_OLD_KEPT = "HTTP/1.0 is answered and closed; it need not be kept"
_C_VERSION = "a version that nobody speaks is refused with 400; nginx answers HTTP/1.2 as 1.1, and says 505 to HTTP/11"
_C_HOP = (
    "what belongs to the connection, and what Connection names, ends with us as RFC 9110 7.6.1 says; nginx "
    "passes on what it does not know"
)
_WAITS = (
    "a body that is short, or to be recognised, is read whole first, and the provider never hears of a call "
    "that breaks off; longer ones pass as they come, as with nginx"
)
_TRUNCATED = (
    "stricter: more came with the answer than it said, so that nothing of it is trusted: 502; nginx passes as "
    "much as was told"
)
_TRAILERS = "stricter: so much beside a body is not an answer; nginx drops trailers of any length"
_RESET = (
    "a body without a length ends with its connection, and a reset is an end to aiohttp; nginx cuts. Only "
    "where an answer says nothing of its length, which no provider's does"
)
_NO_BODY = "stricter: a body where there can be none may be the next answer: 502; nginx drops it"
_LONG_HEADER = "stricter: a header beyond 32 KB is not an answer; nginx takes as much as its buffers were set to"
_BEGUN = (
    "a second answer begun in the packet of the first is lost with it, and what follows of it closes the "
    "connection; nginx closes at once"
)
_UTF8 = (
    "a header's value goes on as UTF-8: what is none (Latin-1) is recoded, as aiohttp takes text; nginx "
    "passes the bytes"
)
_OUR_NAME = (
    "a page in the operator's browser must not reach a gateway that asks for no token: other names get a 421; "
    "nginx serves any"
)
_FALLS_BACK = (
    "426 at once, so that clients that try a WebSocket first (Codex) fall back; nginx strips the upgrade and "
    "asks the provider"
)
_OLD_CALLER = "stricter: a version that is none gets a 400"
_BAD_SIZE = "both refuse what came with its head: we say 502, nginx closes"

# ---- the differences that are meant

DIFFERENCES: dict[str, Difference] = {
    "provider: a length of 5 and 8 bytes": Difference(
        "502; caller kept; upstream new",
        _TRUNCATED,
    ),
    "provider: the same length twice": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: two lengths": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: a list of the same length": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: a list of two lengths": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: a negative length": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: a length with a plus": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: a length in hex": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: a length with a space in it": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: an empty length": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: a length of 2^63": Difference(
        "200 cut 'hello'; upstream new",
        _CUT_LENGTH,
    ),
    "provider: a length of 2^64 + 5": Difference(
        "502; caller kept; upstream new",
        _STRICT_LENGTH,
    ),
    "provider: chunks with 64 KB of trailers": Difference(
        "502; caller kept; upstream new",
        _TRAILERS,
    ),
    "provider: a size that is not hex": Difference(
        "502; caller kept; upstream new",
        _BAD_SIZE,
    ),
    "provider: a size with a minus": Difference(
        "502; caller kept; upstream new",
        _BAD_SIZE,
    ),
    "provider: a size with 0x": Difference(
        "502; caller kept; upstream new",
        _BAD_SIZE,
    ),
    "provider: an empty size": Difference(
        "502; caller kept; upstream new",
        _BAD_SIZE,
    ),
    "provider: a size of 2^63": Difference(
        "200 cut 'hello'; upstream new",
        _HEAD_FIRST,
    ),
    "provider: a size of 2^64 + 5": Difference(
        "502; caller kept; upstream new",
        _BAD_SIZE,
    ),
    "provider: a chunk longer than told": Difference(
        "502; caller kept; upstream new",
        _BAD_SIZE,
    ),
    "provider: a chunk ended by LF": Difference(
        "502; caller kept; upstream new",
        _STRICT_CHUNKS,
    ),
    "provider: a length and chunks": Difference(
        "502; caller kept; upstream new",
        _STRICT_BOTH,
    ),
    "provider: chunks and a length": Difference(
        "502; caller kept; upstream new",
        _STRICT_BOTH,
    ),
    "provider: a length that ends in the chunks": Difference(
        "502; caller kept; upstream new",
        _STRICT_BOTH,
    ),
    "provider: coded gzip, chunked": Difference(
        "502; caller kept; upstream new",
        _CODED,
    ),
    "provider: coded identity with a length": Difference(
        "502; caller kept; upstream new",
        _STRICT_BOTH,
    ),
    "provider: coded xchunked": Difference(
        "502; caller kept; upstream new",
        _CODED,
    ),
    "provider: coded chunked, chunked": Difference(
        "502; caller kept; upstream reused",
        _CODED,
    ),
    "provider: coded chunked, gzip": Difference(
        "502; caller kept; upstream new",
        _CODED,
    ),
    "provider: until it resets": Difference(
        "200 whole 'hello'; caller kept; upstream new",
        _RESET,
    ),
    "provider: HTTP/1.0 kept alive": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _KEEP_1_0,
    ),
    "provider: 100 before": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _INTERIM,
    ),
    "provider: 100 before, apart": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _INTERIM,
    ),
    "provider: 102 before": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _INTERIM,
    ),
    "provider: 103 before": Difference(
        "200 whole 'hello', link: none; caller kept; upstream reused",
        _INTERIM,
    ),
    "provider: 100 with a length": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _INTERIM,
    ),
    "provider: 100 before, 50 times": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _INTERIM,
    ),
    "provider: 100 and nothing more": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: 103 and nothing more": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: 101 unasked": Difference(
        "502; caller kept; upstream new",
        _SWITCH,
    ),
    "provider: 204 with a body": Difference(
        "502; caller kept; upstream new",
        _NO_BODY,
    ),
    "provider: 204 in chunks": Difference(
        "502; caller kept; upstream new",
        _NO_BODY,
    ),
    "provider: 304 with a body": Difference(
        "502; caller kept; upstream new",
        _NO_BODY,
    ),
    "provider: 304 in chunks": Difference(
        "502; caller kept; upstream new",
        _NO_BODY,
    ),
    "provider: to a HEAD: nothing of a length": Difference(
        "200 whole ''; caller kept; upstream new",
        _HEAD_NEW,
    ),
    "provider: to a HEAD: a body": Difference(
        "502; caller kept; upstream new",
        _NO_BODY,
    ),
    "provider: to a HEAD: chunks": Difference(
        "502; caller kept; upstream new",
        _NO_BODY,
    ),
    "provider: to a HEAD: a whole other answer": Difference(
        "502; caller kept; upstream new",
        _NO_BODY,
    ),
    "provider: a header without a colon": Difference(
        "502; caller kept; upstream new",
        _STRICT_HEAD,
    ),
    "provider: a header of two lines": Difference(
        "200 whole 'hello', x-a: '1 2'; caller kept; upstream reused",
        _FOLD,
    ),
    "provider: a TAB and a DEL in a value": Difference(
        "200 whole 'hello', x-a: '1\\t2'; caller kept; upstream reused",
        _CONTROL,
    ),
    "provider: 8-bit bytes in a name": Difference(
        "502; caller kept; upstream new",
        _STRICT_HEAD,
    ),
    "provider: headers that connection names": Difference(
        "200 whole 'hello', x-a: none, connection: none; caller kept; upstream reused",
        _HOP,
    ),
    "provider: a header of 64 KB": Difference(
        "502, x-a: none; caller kept; upstream new",
        _LONG_HEADER,
    ),
    "provider: status 99": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: status 000": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: status 099": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: status 600": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: status 999": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: status 2000": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: status abc": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: no status": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: two spaces before the status": Difference(
        "502; caller kept; upstream new",
        _STRICT_STATUS,
    ),
    "provider: HTTP/2.0": Difference(
        "502; caller kept; upstream new",
        _STRICT_VERSION,
    ),
    "provider: HTTP/1.2": Difference(
        "502; caller kept; upstream new",
        _STRICT_VERSION,
    ),
    "provider: HTTP/0.9": Difference(
        "502; caller kept; upstream new",
        _STRICT_VERSION,
    ),
    "provider: HTTP/1.10": Difference(
        "502; caller kept; upstream new",
        _STRICT_VERSION,
    ),
    "provider: http/1.1": Difference(
        "502; caller kept; upstream new",
        _STRICT_VERSION,
    ),
    "provider: HTTPS/1.1": Difference(
        "502; caller kept; upstream new",
        _STRICT_VERSION,
    ),
    "provider: no HTTP: text": Difference(
        "502; caller kept; upstream new",
        _NO_HTTP,
    ),
    "provider: no HTTP: SSH": Difference(
        "502; caller kept; upstream new",
        _NO_HTTP,
    ),
    "provider: no HTTP: an alert of TLS": Difference(
        "502; caller kept; upstream new",
        _NO_HTTP,
    ),
    "provider: empty lines before": Difference(
        "200 whole 'hello'; caller kept; upstream new",
        _EMPTY_LINES,
    ),
    "provider: closes before a byte": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: resets before a byte": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: closes before a byte, the request unread": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST other fresh, POST "
            "other kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: closes in the status line": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: closes after the status line": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: closes in a header": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: resets in a header": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: closes after the headers": Difference(
        (
            "GET other fresh, GET other kept: 502; caller kept; upstream new; asked 2 times | POST completions fresh, "
            "POST completions kept: 502; caller kept; upstream new"
        ),
        _AGAIN,
    ),
    "provider: a second answer begun": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _BEGUN,
    ),
    "provider: line ends behind the answer": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _LINE_ENDS,
    ),
    "caller: TRACE with no body": Difference(
        "provider TRACE /v1/other no body; 200; caller kept",
        _TRACE,
    ),
    "caller: TRACE with a length of zero": Difference(
        "provider TRACE /v1/other no body; 200; caller kept",
        _TRACE,
    ),
    "caller: TRACE with a length": Difference(
        "provider TRACE /v1/other 42 bytes fc52be; 200; caller kept",
        _TRACE,
    ),
    "caller: TRACE with chunks": Difference(
        "provider TRACE /v1/other 42 bytes fc52be; 200; caller kept",
        _TRACE,
    ),
    "caller: BREW with no body": Difference(
        "provider not asked; 400; closed",
        _METHOD,
    ),
    "caller: BREW with a length of zero": Difference(
        "provider not asked; 400; closed",
        _METHOD,
    ),
    "caller: BREW with a length": Difference(
        "provider not asked; 400; closed",
        _METHOD,
    ),
    "caller: BREW with chunks": Difference(
        "provider not asked; 400; closed",
        _METHOD,
    ),
    "caller: no length and a body": Difference(
        "provider POST /v1/other no body; 200; closed",
        _RUBBISH,
    ),
    "caller: coded xchunked": Difference(
        "provider not asked; 400; closed",
        _CODED_400,
    ),
    "caller: coded identity": Difference(
        "provider not asked; 400; closed",
        _CODED_400,
    ),
    "caller: coded identity, a length": Difference(
        "provider not asked; 400; closed",
        _CODED_400,
    ),
    "caller: coded gzip, chunked": Difference(
        "provider not asked; 501; caller kept",
        _CODED_501,
    ),
    "caller: coded chunked, gzip": Difference(
        "provider not asked; 400; closed",
        _CODED_400,
    ),
    "caller: coded, then a TAB": Difference(
        "provider not asked; 400; closed",
        _CODED_400,
    ),
    "caller: coded, then a vertical tab": Difference(
        "provider not asked; 400; closed",
        _CODED_400,
    ),
    "caller: a chunk ended by LF": Difference(
        "provider not asked; 400; closed",
        _C_LF,
    ),
    "caller: spaces behind a size": Difference(
        "provider not asked; 400; closed",
        _C_LF,
    ),
    "caller: lines ended by LF within": Difference(
        "provider not asked; 400; closed",
        _BARE_LF,
    ),
    "caller: lines ended by LF": Difference(
        "provider not asked; 400; closed",
        _BARE_LF,
    ),
    "caller: a control character in a value": Difference(
        "provider not asked; 400; closed",
        _C_HEAD,
    ),
    "caller: 8-bit bytes in a value": Difference(
        "provider GET /v1/other no body, x-a: '\\xc3\\xa9\\xc3\\xbf'; 200; caller kept",
        _UTF8,
    ),
    "caller: 8-bit bytes in a name": Difference(
        "provider not asked; 400; closed",
        _C_HEAD,
    ),
    "caller: a header without a colon": Difference(
        "provider not asked; 400; closed",
        _C_HEAD,
    ),
    "caller: a name with an underscore": Difference(
        "provider GET /v1/other no body, x_a: '1'; 200; caller kept",
        _UNDERSCORE,
    ),
    "caller: a header of 300 KB": Difference(
        "provider not asked; 431; closed",
        _C_431,
    ),
    "caller: no host": Difference(
        "provider not asked; 400; caller kept",
        _HOST,
    ),
    "caller: two hosts": Difference(
        "provider not asked; 400; caller kept",
        _HOST,
    ),
    "caller: an empty host": Difference(
        "provider not asked; 421; caller kept",
        _OUR_NAME,
    ),
    "caller: a host that is none": Difference(
        "provider not asked; 421; caller kept",
        _OUR_NAME,
    ),
    "caller: another host": Difference(
        "provider not asked; 421; caller kept",
        _OUR_NAME,
    ),
    "caller: an asterisk": Difference(
        "provider not asked; 400; caller kept",
        _STAR,
    ),
    "caller: OPTIONS of an asterisk": Difference(
        "provider not asked; 400; caller kept",
        _STAR,
    ),
    "caller: two slashes": Difference(
        "provider GET /v1//evil.example/v1/other no body; 200; caller kept",
        _BASE,
    ),
    "caller: dots that are escaped": Difference(
        "provider GET /v1/%2e%2e/%2e%2e/etc/passwd no body; 200; caller kept",
        _TARGET,
    ),
    "caller: a NUL that is escaped": Difference(
        "provider GET /v1/a%00b no body; 200; caller kept",
        _TARGET,
    ),
    "caller: an escape that is none": Difference(
        "provider GET /v1/a%zz no body; 200; caller kept",
        _TARGET,
    ),
    "caller: a backslash": Difference(
        "provider GET /v1/v1\\\\..\\\\other no body; 200; caller kept",
        _BASE,
    ),
    "caller: a fragment": Difference(
        "provider GET /v1/other no body; 200; caller kept",
        _FRAGMENT,
    ),
    "caller: 8-bit bytes": Difference(
        "provider not asked; 400; closed",
        _EIGHT,
    ),
    "caller: a target of 200 KB": Difference(
        "provider not asked; 431; closed",
        _C_431,
    ),
    "caller: HTTP/1.0 kept alive": Difference(
        "provider GET /v1/other no body; 200; closed",
        _OLD_KEPT,
    ),
    "caller: HTTP/0.9": Difference(
        "provider not asked; 400; closed",
        _OLD_CALLER,
    ),
    "caller: HTTP/1.2": Difference(
        "provider not asked; 400; closed",
        _C_VERSION,
    ),
    "caller: HTTP/2.0": Difference(
        "provider not asked; 400; closed",
        _OLD_CALLER,
    ),
    "caller: HTTP/11": Difference(
        "provider not asked; 400; closed",
        _C_VERSION,
    ),
    "caller: asks for a websocket": Difference(
        "provider not asked; 426; closed",
        _FALLS_BACK,
    ),
    "caller: asks for h2c": Difference(
        (
            "other fresh, other kept, other pipelined: provider POST /v1/other 'hello', upgrade: none, "
            "http2-settings: none; 200; caller kept | completions fresh, completions kept, completions pipelined: "
            "provider POST /v1/chat/completions 'hello', upgrade: none, http2-settings: none; 200; caller kept"
        ),
        _C_HOP,
    ),
    "caller: names authorization": Difference(
        "provider POST /v1/other 'hello', authorization: none; 200; caller kept",
        _C_HOP,
    ),
    "caller: keep-alive and te": Difference(
        ("provider GET /v1/other no body, keep-alive: none, te: none, proxy-connection: none; 200; caller kept"),
        _C_HOP,
    ),
    "caller: leaves after a head": Difference(
        "provider not asked",
        _WAITS,
    ),
    "caller: leaves in a body": Difference(
        "provider not asked",
        _WAITS,
    ),
    "caller: leaves in a long body": Difference(
        (
            "other fresh, other kept: provider POST /v1/other cut | completions fresh, completions kept: provider not "
            "asked"
        ),
        _WAITS,
    ),
    "caller: leaves in the line of a size": Difference(
        (
            "other fresh, other kept: provider POST /v1/other cut | completions fresh, completions kept: provider not "
            "asked"
        ),
        _WAITS,
    ),
    "caller: leaves in a chunk": Difference(
        (
            "other fresh, other kept: provider POST /v1/other cut | completions fresh, completions kept: provider not "
            "asked"
        ),
        _WAITS,
    ),
    "caller: leaves before the last chunk": Difference(
        (
            "other fresh, other kept: provider POST /v1/other cut | completions fresh, completions kept: provider not "
            "asked"
        ),
        _WAITS,
    ),
    "caller: leaves in the last chunk": Difference(
        (
            "other fresh, other kept: provider POST /v1/other cut | completions fresh, completions kept: provider not "
            "asked"
        ),
        _WAITS,
    ),
}
