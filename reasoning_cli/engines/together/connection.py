"""One HTTP connection to Together: key, timeouts, retries of reads, paging, errors, and the service's clock."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from reasoning_cli import __version__
from reasoning_cli.addresses import is_loopback
from reasoning_cli.engines.errors import BusyError, UnreachableError
from reasoning_cli.engines.together.problems import explain
from reasoning_cli.errors import ReasoningError
from reasoning_cli.light_httpx import httpx, trusted
from reasoning_cli.redact import remember

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 60.0

Json = dict[str, object]


class Connection:
    """Sends requests and reads JSON objects.

    Only what cannot have been acted upon is sent again: reads, and anything that never reached the other side. A write
    that may have arrived raises UnreachableError with `maybe_done`.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        remember(api_key)
        self.sleep = sleep
        self._served_at: datetime | None = None
        # A proxy set for the world does not know this machine's own sandbox.
        trust_env = not is_loopback(httpx.URL(base_url).host)
        self._http = httpx.Client(
            base_url=base_url,
            headers={"authorization": f"Bearer {api_key}", "user-agent": f"reasoning/{__version__}"},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            transport=transport,
            trust_env=trust_env,
            verify=trusted(trust_env=trust_env),
        )
        self.base_url = base_url
        self.trust_env = self._http.trust_env

    def close(self) -> None:
        self._http.close()

    @property
    def served_at(self) -> datetime | None:
        """The service's own time of its last answer (whole seconds), or None before the first."""
        return self._served_at

    def request(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: Json | None = None
    ) -> Json:
        """The JSON object answered. Raises the errors of `engines.errors`."""
        return json_of(self.respond(method, path, query=query, body=body))

    def respond(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | Sequence[str]] | None = None,
        body: Json | None = None,
        form: Mapping[str, str] | None = None,
        file: tuple[str, bytes] | None = None,
        welcome: Collection[int] = (),
    ) -> httpx.Response:
        """The whole response, one of success or with a status that is `welcome` (such as a redirect, which nothing
        here follows). `form` is sent as multipart/form-data, with a `file` (its name and bytes) at its end. Raises the
        errors of `engines.errors`."""
        fields: dict[str, tuple[str | None, str | bytes]] | None = None
        if form is not None:
            fields = {name: (None, value) for name, value in form.items()} | ({"file": file} if file else {})
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            started = time.monotonic()
            try:
                response = self._http.request(method, path, params=query, json=body, files=fields)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if last:
                    raise self._unreachable(error, maybe_done=False) from error
                self.wait(attempt, None)
                continue
            except httpx.TransportError as error:
                if method != "GET" or last:
                    raise self._unreachable(error, maybe_done=method != "GET") from error
                self.wait(attempt, None)
                continue
            except httpx.InvalidURL as error:
                raise self._unreachable(error, maybe_done=False) from error
            self._note_time(response)
            request_id = response.headers.get("x-request-id")
            milliseconds = round((time.monotonic() - started) * 1000)
            log.debug("%s %s %s %d ms %s", method, path, response.status_code, milliseconds, request_id or "")
            if response.is_success or response.status_code in welcome:
                return response
            problem = self._explained(method, response)
            if isinstance(problem, BusyError) and method == "GET" and not last:
                self.wait(attempt, problem.wait_seconds)
                continue
            raise problem
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, path: str, query: Mapping[str, str | int], begin: int) -> Iterator[httpx.Response]:
        """A download from byte `begin` on, its body not read yet; asked for once. A redirect is followed, without the
        key where it leads to another host. Raises the errors of `engines.errors`, UnreachableError also for what breaks
        off.
        """
        headers = {"accept": "application/octet-stream", **({"range": f"bytes={begin}-"} if begin else {})}
        try:
            with self._http.stream("GET", path, params=query, headers=headers, follow_redirects=True) as response:
                if not response.is_success:
                    response.read()
                    raise self._explained("GET", response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error, maybe_done=False) from error

    def pages(self, path: str, query: Mapping[str, str | int] | None = None) -> Iterator[Json]:
        """All items of a list, page after page, by its cursor."""
        cursor: object = None
        while True:
            page = self.request("GET", path, query={**(query or {}), **({"after": str(cursor)} if cursor else {})})
            items = page.get("data")
            yield from (item for item in (items if isinstance(items, list) else []) if isinstance(item, dict))
            following = page.get("next_cursor")
            if not following or following == cursor:
                return
            cursor = following

    def wait(self, attempt: int, asked_seconds: float | None) -> None:
        """As long as asked for; else 0.5, 1, 2 seconds, a quarter of it by chance."""
        seconds = 0.5 * 2**attempt * random.uniform(0.75, 1) if asked_seconds is None else asked_seconds
        log.info("trying again in %.1f s", seconds)
        self.sleep(seconds)

    def _explained(self, method: str, response: httpx.Response) -> ReasoningError:
        """The error that a response is, with how long it asks to wait."""
        problem = explain(method, response.status_code, response.content, response.headers.get("x-request-id"))
        if isinstance(problem, BusyError):
            problem.wait_seconds = self._asked_to_wait(response)
        return problem

    def _asked_to_wait(self, response: httpx.Response) -> float | None:
        """`Retry-After` in seconds, within reason, by their own clock where it is a date; None for one that is past."""
        text = response.headers.get("retry-after", "").strip()
        if text.isdecimal():
            return min(float(text), LONGEST_WAIT_SECONDS)
        try:
            seconds = (parsedate_to_datetime(text) - (self._served_at or datetime.now(UTC))).total_seconds()
        except (ValueError, TypeError):  # nothing usable, or no zone
            return None
        return min(seconds, LONGEST_WAIT_SECONDS) if seconds > 0 else None

    def _note_time(self, response: httpx.Response) -> None:
        try:
            self._served_at = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError):
            log.debug("no usable Date header")

    def _unreachable(self, error: Exception, *, maybe_done: bool) -> UnreachableError:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        return UnreachableError(
            f"cannot reach Together at `{self.base_url}`: {reason}",
            "check the network and `reasoning config get together.base_url`",
            maybe_done=maybe_done,
        )


def json_of(response: httpx.Response) -> Json:
    """The JSON object of a response; nothing counts as an empty one. Raises BusyError for anything else."""
    try:
        answer = response.json() if response.content else {}
    except ValueError as error:
        raise BusyError(f"Together answered {response.status_code} with no JSON", "run the command again") from error
    if not isinstance(answer, dict):
        raise BusyError("Together answered with JSON of another shape than documented", "run the command again")
    return answer
