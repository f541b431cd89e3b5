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
    "stricter: a length that two servers may read differently is no answer; nginx passes what it takes it for"
)
_CUT_LENGTH = (
    "stricter: so much was promised and did not come, so that the answer is cut; nginx ignores the "
    "length and calls what came whole"
)
_HEAD_FIRST = (
    "we hand on the head before the body is judged and then cut, with what was sound before; nginx "
    "finds the flaw in the bytes that came with the head and closes. Nobody takes either for whole"
)
_STRICT_CHUNKS = "stricter: lines of chunks end by CR LF; nginx takes LF alone"
_STRICT_BOTH = "stricter: a length beside a transfer coding is how answers are smuggled; nginx drops the length"
_CODED = (
    "a coding that is not known is passed on as if it were the content, and the header that named it "
    "is dropped: it should be a 502, or be read as nginx does"
)
_KEEP_1_0 = "we keep an HTTP/1.0 connection that says keep-alive, as it says; nginx closes it"
_INTERIM = (
    "interim answers end with us; this nginx (before 1.29) knows none: it takes them for the answer, "
    "and its caller hangs"
)
_SWITCH = "we never ask for another protocol: 502; nginx passes the 101 and what follows as if the caller had asked"
_HEAD_NEW = "until it closes, a GET's answer would say: our parser does not keep such a connection, nginx does"
_HEAD_BODY = (
    "more than a head came: what follows is not to be told from the next answer, so that we close; "
    "nginx keeps the connection after it dropped what came in the same read"
)
_STRICT_HEAD = "stricter: a line that is no header is no answer; nginx drops or passes it"
_FOLD = (
    "a header of two lines is old but known, and nothing but whitespace is lost: joined, as Python's "
    "clients do; nginx refuses it"
)
_CONTROL = "a control character becomes a space, as no client takes it; nginx refuses NUL and passes the others"
_HOP = "what Connection names ends with us, as RFC 9110 7.6.1 says; nginx passes it, and always says keep-alive itself"
_STRICT_STATUS = "stricter: no client can use such a status; nginx passes what is not even three digits"
_STRICT_VERSION = "stricter: no version of HTTP that anybody speaks"
_OLD = (
    "HTTP/0.9 has no head at all: should be a 502 as the other versions that there are not (harmless:"
    " framed as 1.1, and not kept)"
)
_NO_HTTP = (
    "we say 502 at once; nginx takes it for HTTP/0.9 and sends it to its caller as it is, whose connection stays open"
)
_EMPTY_LINES = (
    "empty lines before an answer are skipped, as RFC 9112 2.2 lets a server do; nginx takes them for HTTP/0.9"
)
_AGAIN = (
    "a POST too is sent once more when a kept connection ended within 2 s without a byte: it was "
    "closed before the request came; nginx does that for GET only"
)
_NOT_AGAIN = (
    "once a byte of the answer has come, the request was served: not asked again; nginx asks a second"
    " time over another connection"
)
_LINE_ENDS = "a line's end behind an answer is no second answer; nginx closes"

# ---- the differences that are meant

DIFFERENCES: dict[str, Difference] = {
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
    "provider: a size that is no hex": Difference(
        "200 cut 'hello'; upstream new",
        _HEAD_FIRST,
    ),
    "provider: a size with a minus": Difference(
        "200 cut ''; upstream new",
        _HEAD_FIRST,
    ),
    "provider: a size with 0x": Difference(
        "200 cut ''; upstream new",
        _HEAD_FIRST,
    ),
    "provider: an empty size": Difference(
        "200 cut ''; upstream new",
        _HEAD_FIRST,
    ),
    "provider: a size of 2^63": Difference(
        "200 cut 'hello'; upstream new",
        _HEAD_FIRST,
    ),
    "provider: a size of 2^64 + 5": Difference(
        "200 cut ''; upstream new",
        _HEAD_FIRST,
    ),
    "provider: a chunk longer than told": Difference(
        "200 cut 'hello'; upstream new",
        _HEAD_FIRST,
    ),
    "provider: a chunk ended by LF": Difference(
        "200 cut ''; upstream new",
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
    "provider: coded identity with a length": Difference(
        "502; caller kept; upstream new",
        _STRICT_BOTH,
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
        "502; caller kept; upstream new",
        _INTERIM,
    ),
    "provider: 103 and nothing more": Difference(
        "502; caller kept; upstream new",
        _INTERIM,
    ),
    "provider: 101 unasked": Difference(
        "502; caller kept; upstream new",
        _SWITCH,
    ),
    "provider: to a HEAD: nothing of a length": Difference(
        "200 whole ''; caller kept; upstream new",
        _HEAD_NEW,
    ),
    "provider: to a HEAD: a body": Difference(
        "200 whole ''; caller kept; upstream new",
        _HEAD_BODY,
    ),
    "provider: to a HEAD: chunks": Difference(
        "200 whole ''; caller kept; upstream new",
        _HEAD_BODY,
    ),
    "provider: to a HEAD: a whole other answer": Difference(
        "200 whole ''; caller kept; upstream new",
        _HEAD_BODY,
    ),
    "provider: a header without a colon": Difference(
        "502; caller kept; upstream new",
        _STRICT_HEAD,
    ),
    "provider: a header of two lines": Difference(
        "200 whole 'hello', x-a: '1 2'; caller kept; upstream reused",
        _FOLD,
    ),
    "provider: a NUL in a value": Difference(
        "200 whole 'hello', x-a: '1 2'; caller kept; upstream reused",
        _CONTROL,
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
    "provider: HTTP/1.2": Difference(
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
            "GET other fresh, POST completions fresh: 502; caller kept; upstream new | GET other kept, "
            "POST completions kept: 502; caller kept; upstream new; asked 2 times"
        ),
        _AGAIN,
    ),
    "provider: resets before a byte": Difference(
        (
            "GET other fresh, POST completions fresh: 502; caller kept; upstream new | GET other kept, "
            "POST completions kept: 502; caller kept; upstream new; asked 2 times"
        ),
        _AGAIN,
    ),
    "provider: closes before a byte, the request unread": Difference(
        (
            "GET other fresh, POST other fresh: 502; caller kept; upstream new | GET other kept, POST "
            "other kept: 502; caller kept; upstream new; asked 2 times"
        ),
        _AGAIN,
    ),
    "provider: closes in the status line": Difference(
        "502; caller kept; upstream new",
        _NOT_AGAIN,
    ),
    "provider: closes after the status line": Difference(
        "502; caller kept; upstream new",
        _NOT_AGAIN,
    ),
    "provider: closes in a header": Difference(
        "502; caller kept; upstream new",
        _NOT_AGAIN,
    ),
    "provider: resets in a header": Difference(
        "502; caller kept; upstream new",
        _NOT_AGAIN,
    ),
    "provider: closes after the headers": Difference(
        "502; caller kept; upstream new",
        _NOT_AGAIN,
    ),
    "provider: line ends behind the answer": Difference(
        "200 whole 'hello'; caller kept; upstream reused",
        _LINE_ENDS,
    ),
}

# ---- what is wrong with the client and the server of today; each must vanish

FAULTS_TODAY: dict[str, Difference] = {
    "provider: coded xchunked": Difference(
        "200 whole '5\\r\\nhello\\r\\n0\\r\\n\\r\\n'; caller kept; upstream new",
        _CODED,
    ),
    "provider: coded chunked, gzip": Difference(
        "200 whole '5\\r\\nhello\\r\\n0\\r\\n\\r\\n'; caller kept; upstream new",
        _CODED,
    ),
    "provider: HTTP/0.9": Difference(
        "200 whole 'hello'; caller kept; upstream new",
        _OLD,
    ),
}
