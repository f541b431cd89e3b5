"""Rows of the `logs` table as a running ElizaOS server gives them: newest first, in pages.

    GET /api/agents                     {"success": true, "data": {"agents": [{"id", "name", "status"}]}}
    GET /api/agents/ID/logs?type=&count=&offset=
                                        {"success": true, "data": [{"id", "createdAt", "entityId", "roomId", "type",
                                        "body"}]}

An agent's logs can be asked for while it runs. A server that has a token wants it as `X-API-KEY`. Rows that are
added while the pages are read push the others back, so a page may repeat what was read already and none is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from reasoning_cli.addresses import is_plain
from reasoning_cli.errors import ConfigurationError, NotFoundError, RemoteError, UsageError
from reasoning_cli.redact import bare_address, hide
from reasoning_cli.sources.rows import Position, Row, Wanted, parsed
from reasoning_cli.times import read_time

if TYPE_CHECKING:
    from reasoning_cli.light_httpx import httpx

TOKEN_VARIABLE = "ELIZA_SERVER_AUTH_TOKEN"
PREFIXES = ("http://", "https://")
TYPES = ("useModel:TEXT_SMALL", "useModel:TEXT_LARGE")
PAGE_ROWS = 100

_SECONDS = 60.0
_LOOK_BACK = timedelta(minutes=10)
_AGAIN = "run the command again: it goes on where it was"


@dataclass
class _Reading:
    """How far the logs of one agent and type were read.

    All up to the time `newest` is known from a reading that came to its end. One that did not began at the time `top`
    and had read `offset` rows, from there backwards.
    """

    newest: str | None = None
    top: str | None = None
    offset: int = 0


class ServerSource:
    """An ElizaOS server. `ask_token` is asked when it wants a token and none is known; None when nobody can be. With
    `plain_http` a token is sent without encryption too."""

    unit: Literal["bytes", "rows"] = "rows"
    file: Path | None = None
    picks_agent = True

    def __init__(
        self,
        url: str,
        wanted: Wanted,
        token: str | None = None,
        ask_token: Callable[[], str] | None = None,
        *,
        plain_http: bool = False,
    ) -> None:
        hide(url)
        self._url, self._wanted = url.rstrip("/").removesuffix("/api"), wanted
        self._token, self._ask_token = token, ask_token
        self._shows_token = not is_plain(self._url) or plain_http
        self.name = f"`{bare_address(self._url)}`"
        self.key: str | None = f"server:{bare_address(self._url)}"
        self.total: int | None = None
        self.done = 0
        self.went_on = False
        self._readings: dict[str, _Reading] = {}
        self._ids: set[str] = set()

    def position(self) -> Position | None:
        readings = {key: vars(reading) for key, reading in self._readings.items()}
        return {"readings": readings} if readings else None

    def rows(self, after: Position | None = None) -> Generator[Row, None, None]:
        from reasoning_cli.light_httpx import httpx

        known = after.get("readings") if after is not None else None
        if isinstance(known, Mapping):
            self._readings = {str(key): _Reading(**reading) for key, reading in known.items()}
            self.went_on = True
        with httpx.Client(timeout=_SECONDS) as client:
            for agent in self._agents(client):
                for kind in TYPES:
                    yield from self._pages(client, agent, kind)

    def _agents(self, client: httpx.Client) -> list[str]:
        """The ids of the agents that are wanted and run."""
        answer = self._get(client, "/api/agents", {})
        listed = answer.get("agents") if isinstance(answer, dict) else answer
        agents = [agent for agent in listed if isinstance(agent, dict)] if isinstance(listed, list) else []
        self._ids = {str(agent.get("id")) for agent in agents}
        if self._wanted.agent is not None:
            names = ("id", "name", "characterName")
            agents = [agent for agent in agents if self._wanted.agent in (agent.get(name) for name in names)]
            if not agents:
                raise NotFoundError(
                    f"{self.name} knows no agent `{self._wanted.agent}`", "leave --agent out to read all of them"
                )
        running = [
            str(agent["id"]) for agent in agents if agent.get("id") and agent.get("status", "active") == "active"
        ]
        if not running:
            raise NotFoundError(f"no agent runs on {self.name}", "a server gives the logs of running agents: start it")
        return running

    def _pages(self, client: httpx.Client, agent: str, kind: str) -> Iterator[Row]:
        key, path = f"{agent} {kind}", f"/api/agents/{quote(agent, safe='')}/logs"
        before = self._readings.get(key, _Reading())
        now = self._readings[key] = _Reading(newest=before.newest)
        known_from, read_before = read_time(before.top), before.offset
        stop = max((moment for moment in (_stop(before.newest), self._wanted.since) if moment), default=None)
        last_first: object = None
        while page := self._page(client, path, {"type": kind, "count": PAGE_ROWS, "offset": now.offset}):
            if page[0] == last_first:
                raise RemoteError(f"{self.name} gives the same page again and again", "does it know `offset`?")
            last_first, at = page[0], None
            for row in page:
                at = _time(row)
                if at is not None and stop is not None and at < stop:
                    self._readings[key] = _Reading(newest=now.top or before.newest)
                    return
                now.top = now.top or (at.isoformat() if at else None)
                now.offset += 1
                self.done += 1
                if not self._is_of_another(row, agent):
                    yield Row(self.done, row)
            if read_before and at is not None and known_from is not None and at <= known_from:
                # The last reading began in this page; what it had read comes next and is passed over.
                now.offset = max(now.offset, now.offset - len(page) + read_before)
                read_before = 0
        self._readings[key] = _Reading(newest=now.top or before.newest)

    def _is_of_another(self, row: object, agent: str) -> bool:
        """Newer servers give every agent's logs whichever is asked for."""
        entity = row.get("entityId") if isinstance(row, dict) else None
        return entity != agent and entity in self._ids

    def _page(self, client: httpx.Client, path: str, query: Mapping[str, Any]) -> list[object]:
        page = self._get(client, path, query)
        if not isinstance(page, list):
            raise RemoteError(f"{self.name} answered without a list of logs", "is it an ElizaOS server?")
        return page

    def _get(self, client: httpx.Client, path: str, query: Mapping[str, Any]) -> object:
        """The `data` of an answer."""
        from reasoning_cli.light_httpx import httpx

        try:
            answer = self._asked(client, path, query)
            if answer.status_code in (401, 403) and self._token is None and self._ask_token is not None:
                self._token = self._ask_token()
                answer = self._asked(client, path, query)
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"{self.name} is not an address: {error}", "such as http://127.0.0.1:3000") from error
        except httpx.HTTPError as error:
            raise RemoteError(f"cannot reach {self.name}: {error or type(error).__name__}", _AGAIN) from error
        if answer.status_code in (401, 403):
            raise ConfigurationError(
                f"{self.name} wants {'another' if self._token else 'a'} token", f"export {TOKEN_VARIABLE}=…"
            )
        if answer.status_code == 404:
            raise NotFoundError(f"{self.name} has no `{path}`", "is it an ElizaOS server, and does the agent run?")
        if not answer.is_success:
            raise RemoteError(f"{self.name} answered {answer.status_code} to `{path}`", _AGAIN)
        content, why = parsed(answer.content)
        if why is not None or not isinstance(content, dict) or "data" not in content:
            raise RemoteError(f"{self.name} did not answer `{path}` as an ElizaOS server does", "check the address")
        return content["data"]

    def _asked(self, client: httpx.Client, path: str, query: Mapping[str, Any]) -> httpx.Response:
        if self._token and not self._shows_token:
            raise ConfigurationError(
                f"{self.name} is another machine, and anybody on the way there can read a token in plain HTTP",
                "use https://; or allow it: `reasoning --allow-plain-http data import …`",
            )
        headers = {"X-API-KEY": self._token} if self._token else {}
        return client.get(f"{self._url}{path}", params=query, headers=headers)


def _stop(newest: str | None) -> datetime | None:
    """Rows before this are known from a reading that came to its end; a little is read twice, since a row gets its
    time when its transaction begins and is seen when that ends."""
    moment = read_time(newest)
    return moment - _LOOK_BACK if moment is not None else None


def _time(row: object) -> datetime | None:
    return read_time(row.get("createdAt") or row.get("created_at")) if isinstance(row, dict) else None
