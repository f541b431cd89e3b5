"""To the original provider and back, byte for byte: the path of everything we do not answer ourselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from types import SimpleNamespace

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


def headers_up(headers: Iterable[tuple[bytes, bytes]], hop: str, own: frozenset[bytes]) -> CIMultiDict[str]:
    """The caller's headers as they go on. `own` are those meant for us alone, such as the gateway's token."""
    named = {name.strip() for key, value in headers if key == b"connection" for name in value.lower().split(b",")}
    made: CIMultiDict[str] = CIMultiDict()
    for key, value in headers:
        if key not in _NOT_SENT_UP and key not in named and key not in own:
            made.add(key.decode("latin-1"), value.decode("latin-1"))
    made[HOP_HEADER] = ", ".join([*made.getall(HOP_HEADER, []), hop])
    return made


def headers_down(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The provider's headers as the caller gets them. Bodies are not decoded: their length and encoding stay true."""
    return [(key.lower(), value) for key, value in headers if key.lower() not in _HOP_BY_HOP]


class _Trip:
    """One request on its way: whether it went over a connection that had been kept open."""

    reused = False


async def _reused(session: object, context: SimpleNamespace, parameters: object) -> None:
    context.trace_request_ctx.reused = True


def upstream_session(*, connections: int = 1000) -> aiohttp.ClientSession:
    """The one pool of connections to original providers. Proxies are taken from the environment; TLS is verified."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_reused)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=30, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        auto_decompress=False,
        trace_configs=[trace],
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_SKIPPED,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
    )


async def open_upstream(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    headers: CIMultiDict[str],
    body: bytes | AsyncIterator[bytes] | None,
) -> aiohttp.ClientResponse:
    """Send a request on and wait for the head of its answer. Raises aiohttp.ClientError and OSError.

    A connection that had been kept open may have been closed at the other end just now: what was sent whole over it,
    without a byte coming back, is sent once more.
    """
    target, trip = URL(url, encoded=True), _Trip()
    while True:
        try:
            return await session.request(
                method, target, headers=headers, data=body, allow_redirects=False, trace_request_ctx=trip
            )
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            if not trip.reused or not (body is None or isinstance(body, bytes)):
                raise
            trip = _Trip()
