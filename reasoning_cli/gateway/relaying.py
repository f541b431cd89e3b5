"""To the original provider and back, byte for byte: the path of everything we do not answer ourselves."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

Headers = Sequence[tuple[bytes, bytes]]

# What belongs to one connection and not to the message (RFC 9110 7.6.1), and what the client library writes itself.
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
_NOT_SENT_UP = _HOP_BY_HOP | {b"host", b"content-length", b"expect"}
# Who has had a call before, in order; a gateway that meets its own name in it is met by its own call come back.
HOP_HEADER = "x-reasoning-hop"
_SKIPPED = ("Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Content-Type")
CONNECT_SECONDS = 15.0
# Between two pieces of an answer; a model that thinks may be silent for minutes.
SILENCE_SECONDS = 900.0
# A kept connection that is closed later than this after a request went out was not closed before it: it was served.
_STALE_SECONDS = 2.0
# What the log can read again.
_READABLE_ENCODINGS = ("gzip", "x-gzip", "deflate", "identity")
# What no server sends on: such a header of the original is none.
_NO_NAME, _NO_VALUE = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]"), re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")


def headers_up(headers: Iterable[tuple[bytes, bytes]], hop: str, own: frozenset[bytes]) -> CIMultiDict[str]:
    """The caller's headers as they go on. `own` are those meant for us alone, such as the gateway's token."""
    named = _named([value for key, value in headers if key == b"connection"])
    made: CIMultiDict[str] = CIMultiDict()
    for key, value in headers:
        if key not in _NOT_SENT_UP and key not in named and key not in own:
            made.add(key.decode("latin-1"), _text(value))
    made[HOP_HEADER] = ", ".join([*made.getall(HOP_HEADER, []), hop])
    return made


def headers_down(headers: Iterable[tuple[bytes, bytes]], status: int = 200) -> list[tuple[bytes, bytes]]:
    """The provider's headers as the caller gets them. Bodies are not decoded: their length and encoding stay true."""
    lowered = [(key.lower(), value) for key, value in headers]
    not_sent = _HOP_BY_HOP | _named([value for key, value in lowered if key == b"connection"])
    # A length beside chunks is a lie, and with no body to come a server would wait for as much.
    if status in (204, 304) or any(key == b"transfer-encoding" for key, _ in lowered):
        not_sent |= {b"content-length"}
    return [
        (key, _NO_VALUE.sub(b" ", value))
        for key, value in lowered
        if key not in not_sent and key and not _NO_NAME.search(key)
    ]


def readable(accepted: str) -> str:
    """Of the encodings a caller accepts, those that the log can read too."""
    parts = [one.strip() for one in accepted.split(",")]
    return ", ".join(one for one in parts if one.partition(";")[0].strip().lower() in _READABLE_ENCODINGS) or "identity"


def _named(values: Iterable[bytes]) -> set[bytes]:
    """The headers that `Connection` names: they end where it does."""
    return {name.strip() for value in values for name in value.lower().split(b",")}


def _text(value: bytes) -> str:
    """A header so that the client library, which writes UTF-8, writes these bytes; Latin-1 arrives as UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


class NoAnswer(aiohttp.ClientError):
    """An answer with a status that HTTP does not know, or that changes the protocol though nobody asked."""


class _Trip:
    """One request on its way: since when, and whether over a connection that had been kept open."""

    def __init__(self) -> None:
        self.reused, self.started = True, time.monotonic()

    @property
    def was_stale(self) -> bool:
        """Whether a connection that broke before an answer was closed before the request came."""
        return self.reused and time.monotonic() - self.started < _STALE_SECONDS


_trip: ContextVar[_Trip] = ContextVar("trip")


def _new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket for a trip that found no open connection. The library's own tracing would tell too, at each step of each
    call, which costs a tenth of it."""
    _trip.get().reused = False
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)


def upstream_connector(**options: Any) -> aiohttp.TCPConnector:
    """The connections that `open_upstream` needs."""
    return aiohttp.TCPConnector(ttl_dns_cache=60, socket_factory=_new_socket, **options)


def upstream_session(*, keep: bool = True) -> aiohttp.ClientSession:
    """A pool of connections to original providers, bounded by what callers may hold. TLS is verified.

    Without `keep` each connection serves one request: for bodies that are sent as they come, and cannot be sent again.
    """
    kept: dict[str, Any] = {"keepalive_timeout": 30} if keep else {"force_close": True}
    return aiohttp.ClientSession(
        connector=upstream_connector(limit=0, **kept),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_SKIPPED,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
        max_headers=1000,
    )


@lru_cache(maxsize=64)
def proxy_for(scheme: str, host: str) -> dict[str, URL | aiohttp.BasicAuth]:
    """The proxy that the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) names for a host, as aiohttp is told of one.

    Not aiohttp's own way of asking: that reads ~/.netrc at each call, and would send a password from it.
    """
    proxies = getproxies_environment()
    named = proxies.get(scheme)
    if not named or proxy_bypass(host):
        return {}
    url = URL(named if "://" in named else f"http://{named}")
    if url.user is None:
        return {"proxy": url}
    return {"proxy": url.with_user(None), "proxy_auth": aiohttp.BasicAuth(url.user, url.password or "")}


async def open_upstream(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    headers: CIMultiDict[str],
    body: bytes | AsyncIterator[bytes] | None,
) -> aiohttp.ClientResponse:
    """Send a request on and wait for the head of its answer. Raises aiohttp.ClientError, OSError and ValueError.

    A connection that had been kept open may have been closed at the other end just now: what was sent whole over it,
    without a byte coming back, is sent once more.
    """
    target = URL(url, encoded=True)
    proxy: dict[str, Any] = proxy_for(target.scheme, target.host or "")
    while True:
        _trip.set(trip := _Trip())
        try:
            response = await session.request(method, target, headers=headers, data=body, allow_redirects=False, **proxy)
        except aiohttp.ClientConnectorError:  # there was no connection yet
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError):
            if not trip.was_stale or not (body is None or isinstance(body, bytes)):
                raise
            continue
        if 200 <= response.status < 600:
            return response
        response.close()
        raise NoAnswer(f"status {response.status}")


def rest_of(response: aiohttp.ClientResponse) -> bytes:
    """What had come of an answer before it was cut, and was not read; the library only tells of the cut."""
    content: bytes = response.content._read_nowait(-1)
    return content
