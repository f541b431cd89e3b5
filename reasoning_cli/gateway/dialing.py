"""New connections to upstreams: names looked up, addresses tried, proxies passed, certificates verified."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from reasoning_cli.gateway.upstream import Connection, UpstreamError

# To a connection that can be used: name, address, proxy and TLS together.
CONNECT_SECONDS = 15.0
# After this an address that does not answer is not waited for alone.
_NEXT_ADDRESS_SECONDS = 0.25
_NAMES_KEPT_SECONDS = 60.0

Address = tuple[int, tuple[Any, ...]]


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
    """Where an HTTP server is. `shown` is it in a Host header, `authorization` what its URL says of who asks."""

    tls: bool
    host: str
    port: int
    shown: str
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
    return Place(parts.scheme == "https", host, port, shown if port == standard else f"{shown}:{port}", authorization)


@lru_cache(maxsize=64)
def proxy_for(place: Place) -> Place | None:
    """The proxy that the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) names for a place. Raises ValueError."""
    named = getproxies_environment().get("https" if place.tls else "http")
    if not named or proxy_bypass(f"{place.host}:{place.port}") or proxy_bypass(place.host):
        return None
    return place_of(named if "://" in named else f"http://{named}")


async def dial(place: Place) -> Connection:
    """A new connection, through the proxy where there is one. Raises UpstreamError and ValueError."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            proxy = proxy_for(place)
            if proxy is None:
                return await _joined(place)
            connection = await _joined(proxy)
            return await _tunnelled(connection, proxy, place) if place.tls else connection
    except TimeoutError:
        raise Unreachable(f"no connection to {place.shown} in {CONNECT_SECONDS:.0f} seconds") from None
    except ssl.CertificateError as error:
        raise CertificateError(str(error)) from error
    except ssl.SSLError as error:
        raise TlsError(str(error)) from error
    except OSError as error:
        raise Unreachable(str(error)) from error


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """What is trusted: what the system does, or SSL_CERT_FILE says."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _joined(place: Place) -> Connection:
    loop = asyncio.get_running_loop()
    found = await _socket(await _addresses(place.host, place.port))
    try:
        _, connection = await loop.create_connection(
            Connection,
            sock=found,
            ssl=_tls() if place.tls else None,
            server_hostname=place.host if place.tls else None,
        )
    except BaseException:
        found.close()
        raise
    return connection


async def _tunnelled(connection: Connection, proxy: Place, place: Place) -> Connection:
    try:
        where = f"[{place.host}]" if ":" in place.host else place.host
        lines = [f"CONNECT {where}:{place.port} HTTP/1.1", f"host: {where}:{place.port}"]
        if proxy.authorization is not None:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        answer = connection.send("\r\n".join([*lines, "", ""]).encode(), None, no_body=True)
        await answer.head()
        if not 200 <= answer.status < 300:
            raise ProxyRefused(f"the proxy makes no tunnel: status {answer.status}")
        transport = await asyncio.get_running_loop().start_tls(
            connection.transport, connection, _tls(), server_hostname=place.host
        )
        if transport is None:
            raise TlsError("the tunnel was closed")
        connection.transport = transport
    except BaseException:
        connection.abort()
        raise
    return connection


_names: dict[tuple[str, int], tuple[float, list[Address]]] = {}


async def _addresses(host: str, port: int) -> list[Address]:
    """Where a host is, IPv6 and IPv4 in turn, the system's first choice first. Names are kept for a minute."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [(family, address) for family, _, _, _, address in found]
    except socket.gaierror:
        pass
    until, addresses = _names.get((host, port), (0.0, []))
    if time.monotonic() >= until:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NoSuchHost(f"{host}: {error}") from error
        first = [(family, address) for family, _, _, _, address in found if family == found[0][0]]
        others = [(family, address) for family, _, _, _, address in found if family != found[0][0]]
        addresses = [one for one in chain.from_iterable(zip_longest(first, others)) if one is not None]
        if len(_names) > 1000:
            _names.clear()
        _names[host, port] = time.monotonic() + _NAMES_KEPT_SECONDS, addresses
    return addresses


async def _socket(addresses: Sequence[Address]) -> socket.socket:
    """The first socket that gets through; the next address is tried when one fails or takes long (RFC 8305)."""
    trials: list[asyncio.Task[socket.socket]] = []
    failed: BaseException = OSError("the host has no address")
    got: socket.socket | None = None
    try:
        for number in range(len(addresses) + 1):
            last = number == len(addresses)
            if not last:
                trials.append(asyncio.ensure_future(_connected(addresses[number])))
            while waiting := [one for one in trials if not one.done()]:
                done, _ = await asyncio.wait(
                    waiting, timeout=None if last else _NEXT_ADDRESS_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if not done or not last:
                    break
            for one in trials:
                if one.done() and (error := one.exception()) is None:
                    got = one.result()
                    return got
                if one.done():
                    failed = error or failed
        raise failed
    finally:
        for one in trials:
            one.cancel()
            one.add_done_callback(lambda task: _drop(task, got))


def _drop(task: asyncio.Task[socket.socket], got: socket.socket | None) -> None:
    """Close what got through too late."""
    if not task.cancelled() and task.exception() is None and task.result() is not got:
        task.result().close()


async def _connected(address: Address) -> socket.socket:
    family, where = address
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setblocking(False)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(found, where)
    except BaseException:
        found.close()
        raise
    return found
