"""The storage host that takes files and parts of them: signed addresses, no key, and a connection of its own."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from reasoning_cli import __version__
from reasoning_cli.addresses import is_loopback
from reasoning_cli.engines.errors import BusyError, LinkExpiredError, RequestRefusedError, UnreachableError
from reasoning_cli.light_httpx import httpx, trusted

log = logging.getLogger(__name__)

ATTEMPTS = 7  # with the waits between them: about two minutes of a broken network
LONGEST_WAIT_SECONDS = 60.0
_REDIRECTS = (301, 302, 303, 307, 308)
_HOPS = 3


class Storage:
    """Sends parts, from several threads if need be. The key is never known here, so it cannot be sent."""

    def __init__(
        self, *, connections: int, trust_env: bool = True, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(
            headers={"user-agent": f"reasoning/{__version__}"},
            # The answer comes when the whole part is stored.
            timeout=httpx.Timeout(60.0, connect=10.0, read=300.0, pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=trust_env,
            verify=trusted(trust_env=trust_env),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def put(
        self,
        url: str,
        headers: Mapping[str, str],
        size: int,
        content: Callable[[], Iterable[bytes]],
        md5: str | None,
        sleep: Callable[[float], None],
    ) -> str:
        """Send one part of `size` bytes; its ETag, which must be `md5` unless that is None.

        `content` gives the bytes anew for each attempt; after a redirect they are sent again. Raises
        LinkExpiredError, RequestRefusedError, BusyError or UnreachableError, the last two after patience.
        """
        host, hops = _host(url), 0
        sent = {**headers, "content-length": str(size)}
        for attempt in range(ATTEMPTS):
            retry_after = None
            try:
                response = self._http.put(url, headers=sent, content=content())
            except httpx.TransportError as error:
                problem: Exception = UnreachableError(
                    f"cannot reach the storage host `{host}`: {error or type(error).__name__}",
                    "check the network; the same command goes on where this one was",
                    maybe_done=True,
                )
                problem.__cause__ = error
            else:
                status, etag = response.status_code, str(response.headers.get("etag", "")).strip().strip('"')
                if status in (200, 201, 204) and md5 in (None, etag):
                    return etag
                is_redirect = status in _REDIRECTS and "location" in response.headers
                if is_redirect and hops < _HOPS and attempt < ATTEMPTS - 1:
                    hops += 1
                    url = str(response.url.join(response.headers["location"]))
                    host = _host(url)
                    continue
                if status == 403:
                    raise LinkExpiredError(f"the storage host refuses the address: {_said(response)}")
                if 300 <= status < 500 and status not in (408, 429):
                    raise RequestRefusedError(f"the storage host refuses a part with {status}: {_said(response)}")
                what = (
                    f"failed with {status}: {_said(response)}" if status >= 300 else "holds other bytes than were sent"
                )
                problem = BusyError(f"the storage host `{host}` {what}", "run the same command again: it goes on")
                retry_after = response.headers.get("retry-after")
            if attempt == ATTEMPTS - 1:
                raise problem
            seconds = 2**attempt * random.uniform(0.75, 1)
            if retry_after is not None and retry_after.strip().isdigit():
                seconds = min(float(retry_after), LONGEST_WAIT_SECONDS)
            log.info("a part to %s: %s; trying again in %.1f s", host, problem, seconds)
            sleep(seconds)
        raise AssertionError("the last attempt returns or raises")


def _host(url: str) -> str:
    """The host of a part's address. Raises RequestRefusedError where anybody on the way could read the weights."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise RequestRefusedError("Together gave an address for a part that is none") from error
    if parsed.scheme != "https" and not is_loopback(parsed.host):
        raise RequestRefusedError(f"Together wants parts sent to `{parsed.host}` without encryption")
    return parsed.host


def _said(response: httpx.Response) -> str:
    return " ".join(response.text.split())[:200] or "no reason given"
