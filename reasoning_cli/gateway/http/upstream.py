"""Calls to providers: requests go out, and answers come back, as aiohttp carries them.

The only room that knows the HTTP library: no bytes are framed or parsed here. TLS is verified; redirects are not
followed, bodies not unpacked, cookies not kept, `.netrc` not read.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

Headers = Iterable[tuple[bytes, bytes]]

# To a connection that can be used: name, address, proxy and TLS together.
CONNECT_SECONDS = 15.0
# Until an answer begins, and between two pieces of it; a model that thinks may be silent for minutes.
SILENCE_SECONDS = 900.0
# Servers close idle connections after five seconds at the earliest (uvicorn, Node, llama.cpp): what was closed just
# before a request goes out would lose it, and a request that costs money is not sent again.
IDLE_SECONDS = 4.0
_NAMES_CACHED_SECONDS = 60
# For what comes behind the last event of an answer, so that its connection can be used again.
_LEFTOVER_SECONDS = 1.0
# What an answer may hold in its head, and how much of its body waits for the caller before the provider has to.
LONGEST_HEADER_BYTES = 32 * 1024
MOST_HEADERS = 256
_HELD_BYTES = 64 * 1024
# A longer body goes out in pieces, each of which waits for the provider.
_PIECE_BYTES = 256 * 1024


class UpstreamError(Exception):
    """No answer, or not all of it. The names of the kinds are what operators read in `gateway status`."""


class CutOff(UpstreamError):
    """The connection ended before the answer did."""


class NotHttp(UpstreamError):
    """What came is not an answer of HTTP/1.1, or one that no client can use."""


class Silent(UpstreamError):
    """Nothing came for too long."""


class Unreachable(UpstreamError):
    """There is no connection to be had."""


class NoSuchHost(Unreachable):
    """The name of the host is not known."""


class TlsError(Unreachable):
    """The other end speaks no TLS that we do."""


class CertificateError(TlsError):
    """The other end cannot prove who it is."""


class ProxyRefused(Unreachable):
    """The proxy makes no tunnel."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an HTTP server is: its URL without path, user and password, and what these say in a header."""

    tls: bool
    host: str
    port: int
    url: str
    authorization: str | None = None


@lru_cache(maxsize=256)
def place_of(url: str) -> Place:
    """The server that a URL (without a path) names. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"`{parts.scheme}://` with `{parts.hostname or ''}` names no HTTP server")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    standard = 443 if parts.scheme == "https" else 80
    port = standard if parts.port is None else parts.port
    shown = f"[{host}]" if ":" in host else host
    authorization = None
    if parts.username is not None:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(who.encode()).decode()}"
    where = f"{parts.scheme}://{shown if port == standard else f'{shown}:{port}'}"
    return Place(parts.scheme == "https", host, port, where, authorization)


@lru_cache(maxsize=64)
def proxy_for(place: Place) -> Place | None:
    """The proxy that the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) names for a place. Raises ValueError."""
    named = getproxies_environment().get("https" if place.tls else "http")
    if not named or proxy_bypass(f"{place.host}:{place.port}") or proxy_bypass(place.host):
        return None
    return place_of(named if "://" in named else f"http://{named}")


class Answer:
    """An answer: its head, its body as it comes. `ended` when all of it has come and was read."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: ClientResponse) -> None:
        self.status = response.status
        self.headers: tuple[tuple[bytes, bytes], ...] = response.raw_headers
        self._response = response

    def header(self, name: bytes) -> str:
        """The first header of that (lower-case) name; empty when there is none."""
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == name), "")

    @property
    def ended(self) -> bool:
        return self._response.content.at_eof()

    async def read(self) -> bytes:
        """What has come and was not read, at least a byte of it; empty at the end. Raises UpstreamError."""
        try:
            return await self._response.content.readany()
        except Exception as error:
            raise _error(error) from error

    def taken(self) -> bytes:
        """What has come and was not read, be it nothing. Where the answer was cut, `read` says so."""
        content = self._response.content
        return content.read_nowait() if content.exception() is None else b""

    def close(self) -> None:
        """Nobody reads on: an answer that has not come whole ends its connection."""
        if not self.ended:
            self._response.close()


class Upstreams:
    """The connections to providers, kept open between calls for a little while."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None
        self.finishing: set[asyncio.Future[None]] = set()

    async def ask(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] | None,
        length: int | None = None,
    ) -> Answer:
        """Send a request and wait for the head of its answer. Raises UpstreamError and ValueError.

        `headers` go out as they are, behind those for host and length; `length` is that of a body sent as it comes,
        which goes in chunks without it. Nothing is sent twice but what has no effect, such as a GET. Where a kept
        connection turned out closed before a byte went out, nothing was sent: that is tried once more.
        """
        from aiohttp import ClientConnectionResetError, ClientError

        place, target = _parted(url)
        made = _text(headers)
        if isinstance(body, bytes) and len(body) > _PIECE_BYTES:
            length = len(body)
            body = _sliced(body)
        if length is not None:
            made.append(("Content-Length", str(length)))
        if place.authorization is not None:
            made = [header for header in made if header[0] != "authorization"]
            made.append(("Authorization", place.authorization))
        proxy = proxy_for(place)
        for_proxy = None
        if proxy is not None and proxy.authorization is not None:
            for_proxy = [("Proxy-Authorization", proxy.authorization)]
            if not place.tls:  # it goes to the proxy itself, not through a tunnel
                made += for_proxy
        where = _url(place.url, target)
        session = self._session or self.open()
        may_try_again = body is None or isinstance(body, bytes)
        while True:
            try:
                response = await session.request(
                    method,
                    where,
                    headers=made,
                    data=body if body is None or isinstance(body, bytes) else _pieces(body),
                    allow_redirects=False,
                    proxy=proxy.url if proxy is not None else None,
                    proxy_headers=for_proxy,
                )
                break
            except (ClientError, OSError) as error:
                if not may_try_again or not isinstance(error.__cause__, ClientConnectionResetError):
                    raise _error(error) from None
                may_try_again = False
        if flaw := _flaw(response):
            response.close()
            raise NotHttp(flaw)
        return Answer(response)

    def finish(self, answer: Answer) -> None:
        """Read what little is left of an answer whose caller has left with the last event, then close it."""
        finishing = asyncio.ensure_future(_finish(answer))
        self.finishing.add(finishing)
        finishing.add_done_callback(self.finishing.discard)

    async def close(self) -> None:
        """Close all of them, those in use too."""
        for finishing in self.finishing:
            finishing.cancel()
        if self._session is not None:
            await self._session.close()

    def open(self) -> ClientSession:
        """Be ready; the first call would have to wait for it. Who asks nobody does not load the library."""
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

        from reasoning_cli.gateway.http.connections import Connector

        context = ssl.create_default_context()  # what the system trusts, or SSL_CERT_FILE says
        context.set_alpn_protocols(["http/1.1"])
        self._session = ClientSession(
            connector=Connector(
                limit=0, ssl=context, keepalive_timeout=IDLE_SECONDS, ttl_dns_cache=_NAMES_CACHED_SECONDS
            ),
            timeout=ClientTimeout(connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            max_line_size=LONGEST_HEADER_BYTES,
            max_field_size=LONGEST_HEADER_BYTES,
            max_headers=MOST_HEADERS,
            read_bufsize=_HELD_BYTES,
        )
        return self._session


async def _finish(answer: Answer) -> None:
    try:
        async with asyncio.timeout(_LEFTOVER_SECONDS):
            while not answer.ended:
                await answer.read()
    except (UpstreamError, TimeoutError):
        pass
    finally:
        answer.close()


async def _sliced(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


async def _pieces(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body as it comes. One that breaks off leaves nothing behind that holds it: the library keeps the error."""
    broken = None
    try:
        async for piece in body:
            yield piece
    except Exception as error:
        broken = type(error).__name__
    if broken is not None:
        del body
        raise ConnectionError(f"the request broke off: {broken}")


def _text(headers: Headers) -> list[tuple[str, str]]:
    """Headers as the library wants them, which sends text as UTF-8: what is UTF-8 stays byte for byte."""
    made = []
    for name, value in headers:
        try:
            made.append((name.decode(), value.decode()))
        except UnicodeDecodeError:
            made.append((name.decode("latin-1"), value.decode("latin-1")))
    return made


@lru_cache(maxsize=256)  # agents ask at the same few paths
def _parted(url: str) -> tuple[Place, str]:
    """(server, path and query) of a URL; the path is taken as it is. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if "?" in authority:
        authority, _, query = authority.partition("?")
        path, slash = f"?{query}{slash}{path}", ""
    return place_of(f"{scheme}://{authority}"), f"/{path}"


@lru_cache(maxsize=256)
def _url(base: str, target: str) -> URL:
    """A URL whose path goes out as it is written. Raises ValueError for what would be more than a path."""
    from yarl import URL

    if any(sign <= " " or sign == "\x7f" for sign in target):
        raise ValueError("a path with a space or a line's end in it")
    # No sign beyond ASCII has a place in a request's first line.
    target = "".join(sign if sign.isascii() else f"%{ord(sign):02X}" for sign in target)
    return URL(base + target.partition("#")[0], encoded=True)


def _flaw(response: ClientResponse) -> str | None:
    """Why no client can use an answer that the library took for one, or None."""
    if not 200 <= response.status < 600:
        return f"status {response.status}"
    if response.version not in ((1, 0), (1, 1)):
        return "a version of HTTP that is not ours"
    # The header that names a coding ends here, and with it what tells the caller how to read the body.
    codings = response.headers.getall("Transfer-Encoding", ())
    if any(coding.strip().lower() not in ("chunked", "identity") for coding in codings):
        return "a transfer-encoding but chunked"
    return None


def _error(error: Exception) -> UpstreamError:
    """What went wrong, in the few words that operators read."""
    import aiohttp

    match error:
        case aiohttp.ClientConnectorDNSError():
            return NoSuchHost(str(error))
        case aiohttp.ClientConnectorCertificateError():
            return CertificateError(str(error))
        case aiohttp.ClientConnectorSSLError():
            return TlsError(str(error))
        case aiohttp.ClientHttpProxyError():
            return ProxyRefused(f"the proxy makes no tunnel: status {error.status}")
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Unreachable(str(error))
        case aiohttp.InvalidURL():
            raise ValueError(str(error))
        case asyncio.TimeoutError():
            return Silent("nothing came for too long")
        case aiohttp.ClientResponseError():
            return NotHttp(error.message)
        case aiohttp.ClientPayloadError() if isinstance(error.__cause__, aiohttp.ClientResponseError):
            return NotHttp(str(error.__cause__))
        case aiohttp.ClientError() | OSError():
            return CutOff(str(error) or type(error).__name__)
    raise error
