"""Everything the sandbox knows at one moment, and the passing of its time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from typing import Any

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.http.problems import ApiError, not_found
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.blobs import Blobs
from reasoning_cli.sandbox.world.catalog import INSTANCE_TYPES, Model, Revision, seed_models
from reasoning_cli.sandbox.world.records import (
    Adapter,
    Behaviour,
    Deployment,
    Endpoint,
    FileUpload,
    FineTune,
    LegacyEndpoint,
    RemoteUpload,
    Rollout,
    StoredFile,
)

MAX_EVENTS_PER_ENDPOINT = 10_000
_TABLES: dict[str, type] = {
    "models": Model,
    "endpoints": Endpoint,
    "deployments": Deployment,
    "legacy_endpoints": LegacyEndpoint,
    "uploads": RemoteUpload,
    "file_uploads": FileUpload,
    "stored_files": StoredFile,
    "fine_tunes": FineTune,
    "rollouts": Rollout,
    "adapters": Adapter,
}


@dataclass(frozen=True)
class Due:
    """Something that happens by itself at a moment; `sequence` decides between things of the same moment."""

    at: int
    sequence: int
    happen: Callable[[], None]


@dataclass
class World:
    """The whole state.

    `now` is the moment up to which everything has happened; `prices` has the instance types whose price was changed;
    `changed` asks for a save.
    """

    now: int
    sequence: int = 1000  # seeds have the numbers below
    behaviour: Behaviour = field(default_factory=Behaviour)
    models: dict[str, Model] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    legacy_endpoints: dict[str, LegacyEndpoint] = field(default_factory=dict)
    uploads: dict[str, RemoteUpload] = field(default_factory=dict)
    file_uploads: dict[str, FileUpload] = field(default_factory=dict)
    stored_files: dict[str, StoredFile] = field(default_factory=dict)
    fine_tunes: dict[str, FineTune] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    events: dict[str, list[Json]] = field(default_factory=dict)
    prices: dict[str, int] = field(default_factory=dict)
    changed: bool = True
    blobs: Blobs = field(default_factory=Blobs, init=False)  # what was sent, kept apart from the rest
    least_idle_ms: int = field(default=0, init=False)  # what an idle stop waits for at least

    @classmethod
    def fresh(cls, now: int) -> World:
        return cls(now=now, models=seed_models(now))

    def next_sequence(self) -> int:
        """A number that only grows: the tie-break of everything made in the same millisecond."""
        self.sequence += 1
        return self.sequence

    def live_fine_tunes(self) -> list[FineTune]:
        return [job for job in self.fine_tunes.values() if job.deleted_at is None]

    def price_of(self, hardware: str) -> int:
        """Cents per hour and replica, at the present moment."""
        return self.prices.get(hardware, INSTANCE_TYPES[hardware].price_cents_per_hour)

    def live_endpoints(self) -> list[Endpoint]:
        return [endpoint for endpoint in self.endpoints.values() if endpoint.deleted_at is None]

    def live_deployments(self, endpoint_id: str | None = None) -> list[Deployment]:
        return [
            deployment
            for deployment in self.deployments.values()
            if deployment.deleted_at is None and endpoint_id in {None, deployment.endpoint_id}
        ]

    def live_legacy_endpoints(self) -> list[LegacyEndpoint]:
        return [endpoint for endpoint in self.legacy_endpoints.values() if endpoint.deleted_at is None]

    def live_meters(self) -> list[Deployment | LegacyEndpoint]:
        """Everything that can cost something by the hour."""
        return [*self.live_deployments(), *self.live_legacy_endpoints()]

    def active_rollout(self, endpoint_id: str) -> Rollout | None:
        """The one that has the endpoint's split in its hands."""
        return next(
            (rollout for rollout in self.rollouts.values() if rollout.endpoint_id == endpoint_id and rollout.is_active),
            None,
        )

    def require_free_split(self, endpoint_id: str) -> None:
        """Raises ApiError (409) while a rollout is at it."""
        active = self.active_rollout(endpoint_id)
        if active is not None:
            message = f"rollout {active.id} is {active.state}: it has the traffic split"
            raise ApiError(HTTPStatus.CONFLICT, message, code="conflict")

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """Raises ApiError (404) for one that was deleted or never was."""
        endpoint = self.endpoints.get(endpoint_id)
        if endpoint is None or endpoint.deleted_at is not None:
            raise not_found("endpoint", endpoint_id)
        return endpoint

    def deployment(self, endpoint_id: str, deployment_id: str) -> Deployment:
        """Raises ApiError (404), also when it belongs to another endpoint."""
        self.endpoint(endpoint_id)
        deployment = self.deployments.get(deployment_id)
        if deployment is None or deployment.deleted_at is not None or deployment.endpoint_id != endpoint_id:
            raise not_found("deployment", deployment_id)
        return deployment

    def record(
        self, event_type: str, endpoint_id: str, deployment: Deployment | None = None, **details: object
    ) -> None:
        """Append an event of the present moment to the endpoint's feed; details are wire members."""
        events = self.events.setdefault(endpoint_id, [])
        event: Json = {
            "id": new_id("evt"),
            "createdAt": stamp(self.now),
            "endpointId": endpoint_id,
            "type": event_type,
            "level": "LEVEL_INFO",
            "source": "control-plane",
            "sourceKind": "SOURCE_KIND_DEPLOYMENT" if deployment else "SOURCE_KIND_ENDPOINT",
            "version": self.next_sequence(),
        }
        if deployment:
            event["deploymentId"] = deployment.id
        events.append(event | details)
        del events[:-MAX_EVENTS_PER_ENDPOINT]
        self.changed = True

    def to_json(self) -> Json:
        """The part that outlives the process; records as they are, for `json.dumps(…, default=vars)`."""
        return {
            "now": self.now,
            "sequence": self.sequence,
            "behaviour": self.behaviour,
            "prices": self.prices,
            "events": self.events,
            **{name: list(getattr(self, name).values()) for name in _TABLES},
        }

    @classmethod
    def from_json(cls, data: dict[str, object]) -> World:
        """The inverse of `to_json`, once parsed. Raises KeyError, TypeError or ValueError for something else."""
        now, sequence, events = data["now"], data["sequence"], data["events"]
        prices = data["prices"]
        if not isinstance(now, int) or not isinstance(sequence, int):
            raise TypeError("not a saved sandbox")
        if not isinstance(events, dict) or not isinstance(prices, dict):
            raise TypeError("not a saved sandbox")
        (behaviour,) = _records([data["behaviour"]], Behaviour)
        tables = {
            name: {record.id: record for record in _records(data.get(name, []), kind)} for name, kind in _TABLES.items()
        }
        for model in tables["models"].values():
            model.revisions = _records(model.revisions, Revision)
        return cls(
            now=now, sequence=sequence, behaviour=behaviour, prices=prices, events=events, changed=False, **tables
        )


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"


def check_etag(given: str | None, current: str) -> None:
    """Optimistic concurrency: absent means overwrite. Raises ApiError (409) when stale."""
    if given is not None and given != current:
        raise ApiError(
            HTTPStatus.CONFLICT, "etag is stale: the resource was changed since it was read", code="conflict"
        )


def _records(data: object, kind: type) -> list[Any]:
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise TypeError("not a saved sandbox")
    names = {field.name for field in fields(kind)}
    if any(set(row) - names for row in data):
        raise ValueError("saved by another version")
    return [kind(**row) for row in data]
