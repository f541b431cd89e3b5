"""What of a message goes on to the original provider and back to the caller, and what ends with us."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Headers = Sequence[tuple[bytes, bytes]]

# What belongs to one connection and not to the message (RFC 9110 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Who has had a call before, in order; a gateway that meets its own name in it is met by its own call come back.
HOP_HEADER = b"x-reasoning-hop"
TOKEN_HEADER = b"x-reasoning-token"
# The client writes these itself, or they are meant for us alone.
_NOT_SENT_UP = _HOP_BY_HOP | {b"host", b"content-length", b"expect", HOP_HEADER, TOKEN_HEADER}
_NAMES_NOTHING = (b"keep-alive", b"close")
# What no server sends on in a header's value, though our client reads it.
_CONTROL, _CONTROLS = bytes({*range(32), 127} - {9}), re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_FRAMING, _LENGTH = frozenset({b"connection", b"transfer-encoding"}), frozenset({b"content-length"})


def headers_up(headers: Iterable[tuple[bytes, bytes]], hop: str) -> list[tuple[bytes, bytes]]:
    """The caller's headers as they go on."""
    made, hops = [], []
    not_sent: frozenset[bytes] | set[bytes] = _NOT_SENT_UP
    for key, value in headers:
        if key == b"connection" and value.lower() not in _NAMES_NOTHING:
            not_sent = not_sent | _named([value])
        elif key == HOP_HEADER:
            hops.append(value)
        elif key not in not_sent:
            made.append((key, value))
    if not_sent is not _NOT_SENT_UP:  # what was named may have come before its naming
        made = [header for header in made if header[0] not in not_sent]
    made.append((HOP_HEADER, b", ".join([*hops, hop.encode()])))
    return made


def unpacked(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers of a request whose answer must come in no encoding."""
    return [*(header for header in headers if header[0] != b"accept-encoding"), (b"accept-encoding", b"identity")]


def headers_down(headers: Iterable[tuple[bytes, bytes]], status: int = 200) -> list[tuple[bytes, bytes]]:
    """The provider's headers as the caller gets them. Bodies are not decoded: their length and encoding stay true."""
    made, not_sent = [], _HOP_BY_HOP | _LENGTH if status in (204, 304) else _HOP_BY_HOP
    for name, value in headers:
        key = name.lower()
        if key in _FRAMING:
            # A length beside chunks is a lie, and with no body to come a server would wait for as much.
            not_sent = not_sent | (_LENGTH if key == b"transfer-encoding" else _named([value]))
        elif value.translate(None, _CONTROL) == value:
            made.append((key, value))
        else:
            made.append((key, _CONTROLS.sub(b" ", value)))
    return [header for header in made if header[0] not in not_sent]


def joined(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The list in all headers of that (lower-case) name; empty without one."""
    return ", ".join(value.decode("latin-1") for key, value in headers if key == name)


def _named(values: Iterable[bytes]) -> set[bytes]:
    """The headers that `Connection` names: they end where it does."""
    return {name.strip() for value in values for name in value.lower().split(b",")}
