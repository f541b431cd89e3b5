"""Ask everything that can be read, and hold each answer against the contract. Nothing is changed, nothing costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from reasoning_cli.engines.clients import Hosting, Json
from reasoning_cli.engines.contract import Answer, Answered, Deviation, Feed, Reads
from reasoning_cli.engines.errors import BusyError
from reasoning_cli.engines.serving import Organization
from reasoning_cli.engines.together import wire
from reasoning_cli.engines.together.calls import read
from reasoning_cli.engines.together.contract.shapes import deviations
from reasoning_cli.engines.together.file_types import RemoteFile
from reasoning_cli.engines.together.fine_tunes import Job
from reasoning_cli.errors import ReasoningError, RemoteError


class Surveyed(Hosting, Protocol):
    """What is asked: the account's endpoints, and any route as it is."""

    def look(
        self,
        path: str,
        query: Mapping[str, str | int | Sequence[str]] | None = None,
        *,
        method: str = "GET",
        body: Json | None = None,
    ) -> Answer: ...


NO_ANSWER = 0  # in the place of a status, where the service failed or did not answer
LOOKED_AT = 5  # of a kind, that are looked at one by one
_PAGE = 500
_P = "/v2/projects/{}"
# What the program itself reads of an answer, or of each item in its `data`.
_SHAPES: Mapping[str, type[Any]] = {
    "/v3/whoami": wire.Whoami,
    f"{_P}/endpoints": wire.Endpoint,
    f"{_P}/endpoints/{{}}/events": wire.Event,
    f"{_P}/endpoints/{{}}/analytics": wire.Analytics,
    f"{_P}/endpoints/{{}}/deployments": wire.Deployment,
    f"{_P}/endpoints/{{}}/deployments/{{}}/adapters": wire.Adapter,
    f"{_P}/models": wire.Model,
    f"{_P}/models/uploads": wire.RemoteUpload,
    f"{_P}/models/{{}}/revisions": wire.Revision,
    f"{_P}/configs": wire.Config,
    "/v2/supported-models": wire.SupportedModel,
    "/v2/public/inference-instance-types": wire.InstanceType,
    "/v1/files": RemoteFile,
    "/v1/fine-tunes": Job,
    "/v1/endpoints": wire.LegacyEndpoint,
    "/v1/hardware": wire.LegacyHardware,
}
_PRIVATE = re.compile(r"(?:^|_)(?:id|name|slug|email|suffix|owner|user)$|(?:Id|Name)$|^filename$")
_SHORTEST_NAME = 3


@dataclass
class Reader:
    """Asks, and remembers by route how it was answered."""

    client: Surveyed
    statuses: dict[str, list[int]] = field(default_factory=dict)
    found: dict[str, set[Deviation]] = field(default_factory=dict)
    unreadable: dict[str, set[str]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)

    def ask(self, route: str, *ids: str, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """The answer of a route whose braces are filled in with `ids`; empty when it was refused."""
        try:
            answer = self.client.look(route.format(*ids), query)
        except RemoteError:
            answer = Answer(NO_ANSWER, None)  # one route that is down tells nothing of the others
        self.note(route, answer)
        return answer.body if answer.status == 200 and isinstance(answer.body, dict) else {}

    def items(
        self, route: str, *ids: str, query: Mapping[str, str | int] | None = None, paged: bool = True
    ) -> list[dict[str, Any]]:
        """The items of a list: the first page of it."""
        limit = {"limit": _PAGE} if paged else {}
        data = self.ask(route, *ids, query={**limit, **(query or {})}).get("data")
        return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []

    def note(self, route: str, answer: Answer) -> None:
        self.statuses.setdefault(route, []).append(answer.status)
        if answer.status != 200:
            return
        self.private.update(_names(answer.body))
        self.found.setdefault(route, set()).update(deviations(route, answer.body))
        if (shape := _SHAPES.get(route)) is None or not isinstance(answer.body, dict):
            return
        data = answer.body.get("data")
        for item in data if isinstance(data, list) else [answer.body]:
            try:
                read(shape, item)
            except BusyError as problem:
                self.unreadable.setdefault(route, set()).add(problem.message)

    def answered(self) -> tuple[Answered, ...]:
        return tuple(
            Answered(
                route,
                tuple(sorted(set(statuses))),
                len(statuses),
                tuple(sorted(self.found.get(route, ()))),
                tuple(sorted(self.unreadable.get(route, ()))),
            )
            for route, statuses in self.statuses.items()
        )


def read_everything(client: Surveyed) -> Reads:
    """Every route the program reads, with what there is in the account. Raises what keeps it from asking at all."""
    project = client.project.id  # raises where the key is refused
    reader = Reader(client)
    reader.ask("/v3/whoami")
    reader.items("/v2/public/inference-instance-types", paged=False)
    offered = reader.items("/v2/supported-models", query={"limit": 100})
    models = reader.items(f"{_P}/models", project)
    reader.items(f"{_P}/models/uploads", project)
    for model in models[:LOOKED_AT]:
        for what in ("revisions", "files"):
            reader.items(f"{_P}/models/{{}}/{what}", project, str(model.get("id")), paged=False)
    for place in [str(item.get("baseModel")) for item in offered if item.get("baseModel")][:LOOKED_AT]:
        reader.items(f"{_P}/configs", project, query={"referenceModel": place})
    endpoints = reader.items(f"{_P}/endpoints", project)
    for endpoint in endpoints[:LOOKED_AT]:
        _look_at(reader, project, str(endpoint.get("id")))
    reader.items("/v1/files", paged=False)
    jobs = reader.items("/v1/fine-tunes", paged=False)
    for job in jobs[:LOOKED_AT]:
        for below in ("", "/events", "/checkpoints", "/metrics"):
            reader.ask(f"/v1/fine-tunes/{{}}{below}", str(job.get("id")))
    reader.ask("/v1/billing/usage", query={"granularity": "day", "limit": 1000})
    reader.ask("/v1/endpoints", query={"type": "dedicated"})
    reader.ask("/v1/hardware")
    _ask_the_rest(reader, project, client.whoami().organization)
    names = [endpoint.get("name") for endpoint in endpoints]
    at = client.now()
    oldest_first = sorted(endpoints, key=lambda endpoint: str(endpoint.get("createdAt")))
    arrays = (arrays_understood(client, str(item.get("id"))) for item in oldest_first[:LOOKED_AT])
    return Reads(
        at=at,
        answered=reader.answered(),
        feeds=tuple(_feeds(client, oldest_first[:LOOKED_AT], at)),
        arrays=next((array for array in arrays if array is not None), None),
        twins=len(names) != len(set(names)),
        private=frozenset(reader.private),
    )


def _ask_the_rest(reader: Reader, project: str, organization: Organization | None) -> None:
    """What the program itself asks for nowhere, and the contract has."""
    for route in ("/v1/projects", "/v1/batches", "/v1/evaluation"):
        reader.ask(route)
    reader.ask(f"{_P}/placement-profiles", project)
    if organization is not None:
        for what in ("endpoints", "models"):
            reader.ask(f"/v2/organizations/{{}}/{what}", organization.id)


def _look_at(reader: Reader, project: str, endpoint: str) -> None:
    """One endpoint with all that belongs to it."""
    reader.ask(f"{_P}/endpoints/{{}}", project, endpoint)
    reader.items(f"{_P}/endpoints/{{}}/events", project, endpoint)
    query: dict[str, str | int] = {"granularity": "1h", "includeTimeSeries": "true"}
    reader.ask(f"{_P}/endpoints/{{}}/analytics", project, endpoint, query=query)
    for what in ("rollouts", "abExperiments", "shadowExperiments"):
        reader.items(f"{_P}/endpoints/{{}}/{what}", project, endpoint)
    for deployment in reader.items(f"{_P}/endpoints/{{}}/deployments", project, endpoint)[:LOOKED_AT]:
        ids = project, endpoint, str(deployment.get("id"))
        reader.ask(f"{_P}/endpoints/{{}}/deployments/{{}}", *ids)
        reader.items(f"{_P}/endpoints/{{}}/deployments/{{}}/adapters", *ids)


def arrays_understood(client: Surveyed, endpoint_id: str) -> str | None:
    """How a list in a query is understood, by the events of an endpoint; None when these have too few types to tell, or
    cannot be read."""
    try:
        return _arrays(client, endpoint_id)
    except RemoteError:
        return None


def _arrays(client: Surveyed, endpoint_id: str) -> str | None:
    path = f"/v2/projects/{client.project.id}/endpoints/{endpoint_id}/events"
    every = _events(client.look(path, {"limit": _PAGE}))
    kinds = sorted(set(every.values()))
    if len(kinds) < 3:
        return None  # that a filter leaves something out must be seen, too
    kinds = kinds[:2]
    wanted = {name for name, kind in every.items() if kind in kinds}

    def gives_all(types: str | Sequence[str]) -> bool:
        seen = _events(client.look(path, {"limit": _PAGE, "types": types}))
        return wanted <= seen.keys() and set(seen.values()) <= set(kinds)

    comma, repeated = gives_all(",".join(kinds)), gives_all(kinds)
    return "both" if comma and repeated else "comma" if comma else "repeated" if repeated else "neither"


def _events(answer: Answer) -> dict[str, str]:
    """Types of events by their ids."""
    data = answer.body.get("data") if answer.status == 200 and isinstance(answer.body, dict) else None
    rows = data if isinstance(data, list) else []
    return {str(row.get("id")): str(row.get("type")) for row in rows if isinstance(row, dict)}


def _feeds(client: Surveyed, endpoints: Sequence[Mapping[str, Any]], at: datetime) -> Iterator[Feed]:
    """How far back the events of the oldest endpoints go."""
    for endpoint in endpoints:
        try:
            created = datetime.fromisoformat(str(endpoint.get("createdAt")))
            events = client.events(str(endpoint.get("id")), since=created - timedelta(hours=1))
        except (ValueError, ReasoningError):
            continue
        oldest = events[0].created_at if events else None
        has_beginning = oldest is not None and oldest <= created + timedelta(minutes=1)
        yield Feed(at - created, has_beginning, at - oldest if oldest is not None else None)


def _names(body: object) -> Iterator[str]:
    """Every name and id in an answer, and each part of what has several (`slug/endpoint`)."""
    if isinstance(body, list):
        for item in body:
            yield from _names(item)
    elif isinstance(body, dict):
        for name, value in body.items():
            if isinstance(value, str) and _PRIVATE.search(name):
                yield from (part for part in (value, *value.split("/")) if len(part) >= _SHORTEST_NAME)
            else:
                yield from _names(value)
