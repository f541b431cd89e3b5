"""Which calls may come in: those by a name of ours, with the token where one is asked for and nowhere else than where
it belongs, over HTTP, and with a body that we can tell the end of."""

from __future__ import annotations

import hmac
import posixpath
import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from reasoning_cli.gateway.http.headers import TOKEN_HEADER
from reasoning_cli.gateway.target import split_path

if TYPE_CHECKING:
    from reasoning_cli.gateway.calls import Call, Headers
    from reasoning_cli.gateway.slot_cache import View

_TOKEN_PATH = "/t/"
# A shorter token may stand in a path by chance.
_SHORTEST_SOUGHT = 8
# As often as a path may be encoded once more on its way; no client encodes a path four times.
_MOST_DECODINGS = 4
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d{0,5})?", re.IGNORECASE)
# What no length can be elsewhere: where lengths have a sign.
_MOST_BYTES = 2**63
# Whoever asks for another protocol is told which one there is, and what follows is not read as that.
_HTTP_ONLY: Headers = [(b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade, close")]


def take_token(call: Call) -> bytes:
    """What a caller shows: a header, or for clients that can set none the begin of the path, `/t/TOKEN/v1/...`, which
    is taken off it, so that it is neither logged nor sent on."""
    if call.path.startswith(_TOKEN_PATH):
        shown, slash, rest = call.path[len(_TOKEN_PATH) :].partition("/")
        call.path = slash + rest
        return unquote_to_bytes(shown)
    return call.header(TOKEN_HEADER) or b""


def refusal(call: Call, view: View, shown: bytes) -> tuple[int, str, Headers] | None:
    """Why a call that showed this token is not let in: status, words, and headers of the answer."""
    hosts = [value for key, value in call.headers if key == b"host"]
    if len(hosts) != 1 and (hosts or call.version != "1.0"):
        return 400, "a request names one host", []
    if view.hosts is not None and hosts and not is_ours(hosts[0], view.hosts):
        # A page could have its own name lead here, and would then read what it asks for.
        return 421, "this gateway is not called so here: `gateway.hosts` or `--allow-host` name what it is called", []
    if b"websocket" in (call.header(b"upgrade") or b"").lower():
        return 426, "there are no WebSockets here: ask over HTTP", _HTTP_ONLY
    if _holds_token_path(call.path) or _holds(view.token, call.path, call.query):
        call.path = "(withheld)"
        call.note("a token where it would be logged and sent on")
        return 404, "the token stands at the begin of the path, as in /t/TOKEN/v1, or in x-reasoning-token", []
    if view.token is not None and not hmac.compare_digest(shown, view.token.encode()):
        return 401, "this gateway asks for its token", []
    if call.header(b"transfer-encoding") not in (None, b"chunked") and _is_coded(call.headers):
        # What it names belongs to this connection, and would be lost on the next.
        return 501, "no transfer-encoding but chunked is known here", []
    if call.announced_bytes >= _MOST_BYTES:
        return 400, "no body is that long", []
    return None


def _is_coded(headers: Headers) -> bool:
    """Whether a body comes in another form than chunks."""
    return any(key == b"transfer-encoding" and value.lower() != b"chunked" for key, value in headers)


@lru_cache(maxsize=256)  # callers call it by the same few names
def is_ours(host: bytes, names: frozenset[str]) -> bool:
    """Whether a `Host` names this machine by what no page elsewhere can be called, or is one of `names`."""
    found = _HOST.fullmatch(host.decode("latin-1"))
    if found is None:
        return False
    name = (found[1] or found[2]).lower()
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _readings(text: str) -> list[str]:
    """A path or query as it came and without what is encoded in it, once and again, the plainest last."""
    found = [text]
    while "%" in found[-1] and len(found) <= _MOST_DECODINGS:
        found.append(unquote(found[-1]))
    return found


@lru_cache(maxsize=256)
def _holds_token_path(path: str) -> bool:
    """Whether a path begins with what was meant to be `/t/TOKEN`: the token in it goes nowhere."""
    meant = posixpath.normpath("/" + _readings(path)[-1].replace("\\", "/").lstrip("/")).lower()
    return split_path(meant)[1].startswith(_TOKEN_PATH)


def _holds(token: str | None, path: str, query: bytes) -> bool:
    if token is None or len(token) < _SHORTEST_SOUGHT:
        return False
    return any(
        token in reading for reading in (*_readings(path), *(_readings(query.decode("latin-1")) if query else ()))
    )
