"""Connections to upstreams, kept open between calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial

from reasoning_cli.gateway.dialing import Place, dial, place_of, proxy_for
from reasoning_cli.gateway.upstream import Answer, Connection, CutOff, NotHttp

Headers = Iterable[tuple[bytes, bytes]]

# How long a connection stays open that nobody uses, and how many do for one place.
_KEPT_SECONDS, _MOST_KEPT = 30.0, 256
# Until an answer begins, and between two pieces of it; a model that thinks may be silent for minutes.
SILENCE_SECONDS = 900.0
# A kept connection that is closed later than this after a request went out was not closed before it: it was served.
_STALE_SECONDS = 2.0
_LOOK_SECONDS = 5.0
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Upstreams:
    """A pool of connections. TLS is verified; redirects are not followed, bodies not unpacked, cookies not kept."""

    def __init__(self) -> None:
        self._kept: dict[Place, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._look_later: asyncio.TimerHandle | None = None

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
        which goes in chunks without it. A kept connection may have been closed at the other end just now: what was
        sent whole over it, without a byte coming back, is sent once more.
        """
        place, target = _parted(url)
        streamed = body is not None and not isinstance(body, bytes)
        if isinstance(body, bytes) and body:
            # Whatever the method: a body whose length is not told is the next request to who reads it.
            length = len(body)
        elif not streamed:
            length = None if method in _WITHOUT_BODY else 0
        in_chunks = streamed and length is None
        head = _head(method, place, target, headers, length, in_chunks)
        while True:
            kept = None if streamed else self._take(place)
            connection, began = kept or await self._new(place), time.monotonic()
            answer = connection.send(head, body, in_chunks=in_chunks, no_body=method == "HEAD")
            try:
                await answer.head()
            except CutOff as error:
                stale = error.untouched and time.monotonic() - began < _STALE_SECONDS
                if kept is None or not stale:
                    raise
                continue
            except BaseException:
                answer.close()
                raise
            if 200 <= answer.status < 600:
                return answer
            answer.close()
            raise NotHttp(f"status {answer.status}")

    def close(self) -> None:
        """Close all of them, those in use too."""
        if self._look_later is not None:
            self._look_later.cancel()
        for one in list(self._open):
            one.abort()

    def _take(self, place: Place) -> Connection | None:
        """A kept connection, the one used last."""
        kept = self._kept.get(place)
        while kept:
            connection = kept.pop()
            if not connection.closed and time.monotonic() - connection.heard < _KEPT_SECONDS:
                return connection
            connection.abort()
        return None

    async def _new(self, place: Place) -> Connection:
        connection = await dial(place)
        connection.free, connection.lost = partial(self._keep, place), self._open.discard
        self._open.add(connection)
        if self._look_later is None:
            self._look_later = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)
        return connection

    def _keep(self, place: Place, connection: Connection) -> None:
        kept = self._kept.setdefault(place, [])
        if len(kept) < _MOST_KEPT:
            kept.append(connection)
        else:
            connection.abort()

    def _look(self) -> None:
        """Close what is kept for too long, and give up what is silent: one timer for all, as one each costs each."""
        now = time.monotonic()
        for one in list(self._open):
            if one.closed:
                self._open.discard(one)
            elif one.waits and now - one.heard > SILENCE_SECONDS:
                one.silence()
            elif one.idle and now - one.heard > _KEPT_SECONDS:
                one.abort()
        for place, kept in list(self._kept.items()):
            kept[:] = [one for one in kept if not one.closed]
            if not kept:
                del self._kept[place]
        again = bool(self._open)
        self._look_later = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look) if again else None


def _parted(url: str) -> tuple[Place, str]:
    """(server, path and query) of a URL; the path is taken as it is. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if "?" in authority:
        authority, _, query = authority.partition("?")
        path, slash = f"?{query}{slash}{path}", ""
    return place_of(f"{scheme}://{authority}"), f"/{path}"


def _head(method: str, place: Place, target: str, headers: Headers, length: int | None, in_chunks: bool) -> bytes:
    """The head of a request as it goes out. Raises ValueError for what would be more than a head."""
    proxy = None if place.tls else proxy_for(place)
    if proxy is not None:
        target = f"http://{place.shown}{target}"
    lines = [f"{method} {target} HTTP/1.1\r\nhost: {place.shown}\r\n".encode("latin-1")]
    if length is not None:
        lines.append(b"content-length: %d\r\n" % length)
    elif in_chunks:
        lines.append(b"transfer-encoding: chunked\r\n")
    if proxy is not None and proxy.authorization is not None:
        lines.append(b"proxy-authorization: %b\r\n" % proxy.authorization.encode())
    if place.authorization is not None:
        lines.append(b"authorization: %b\r\n" % place.authorization.encode())
        headers = [one for one in headers if one[0] != b"authorization"]
    lines += [b"%b: %b\r\n" % one for one in headers]
    head = b"".join(lines)
    breaks = len(lines) + 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or target.count(" "):
        raise ValueError("a header or a path with a line's end in it")
    return head + b"\r\n"
