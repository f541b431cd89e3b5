"""Everything the sandbox knows at one moment, and the passing of its time."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from http import HTTPStatus
from typing import Any

from reasoning_cli.sandbox.catalogue import INSTANCE_TYPES, Model, seed_models
from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.problems import ApiError, not_found
from reasoning_cli.sandbox.shapes import Json

MAX_EVENTS_PER_ENDPOINT = 10_000


@dataclass
class Behaviour:
    """How the stand-in acts; all of it can be changed while it runs. Seconds are virtual."""

    provisioning_seconds: int = 120
    scaling_seconds: int = 180
    stopping_seconds: int = 60
    never_ready: bool = False
    fail_start: bool = False
    quota_replicas: int = 8


@dataclass
class Endpoint:
    """Times in virtual milliseconds; `split` maps deployment ids to weights, in the order given."""

    id: str
    name: str
    created_at: int
    updated_at: int
    sequence: int
    visibility: str = "VISIBILITY_PRIVATE"
    split: dict[str, float] = field(default_factory=dict)
    version: int = 1
    deleted_at: int | None = None

    @property
    def etag(self) -> str:
        return f"{self.id}-{self.version}"


@dataclass
class Deployment:
    """One deployment, its life and its meter. Times in virtual milliseconds.

    `transition_at` is when the present state ends by itself, `started_at` when the present start began, `active_at`
    the later of becoming ready and the last chat request. `metered_replica_ms` counts ready replicas x time up to
    `metered_at`. `usage` holds [minute, successful, failed, input tokens, output tokens].
    """

    id: str
    endpoint_id: str
    name: str
    model_id: str
    model_path: str
    model_name: str
    revision_id: str
    config_id: str
    hardware: str
    created_at: int
    updated_at: int
    sequence: int
    min_replicas: int
    max_replicas: int
    scaling: Json
    metered_at: int
    inactive_minutes: int = 0
    max_concurrent: int | None = None
    placement: Json | None = None
    version: int = 1
    state: str = "PROVISIONING"
    message: str = ""
    desired: int = 0
    scheduled: int = 0
    ready: int = 0
    transition_at: int | None = None
    started_at: int = 0
    active_at: int = 0
    metered_replica_ms: int = 0
    usage: list[list[int]] = field(default_factory=list)
    deleted_at: int | None = None

    @property
    def etag(self) -> str:
        return f"{self.id}-{self.version}"

    @property
    def price_cents_per_hour(self) -> int:
        return INSTANCE_TYPES[self.hardware].price_cents_per_hour

    def cost_cents(self) -> Fraction:
        """What the meter shows so far, exact."""
        return Fraction(self.metered_replica_ms * self.price_cents_per_hour, 3_600_000)

    def meter_until(self, at: int) -> None:
        """Bring the meter up to `at` with the replicas ready until now; to be called before `ready` changes."""
        self.metered_replica_ms += self.ready * (at - self.metered_at)
        self.metered_at = at


@dataclass
class World:
    """The whole state. `now` is the moment up to which everything has happened; `changed` asks for a save."""

    now: int
    sequence: int = 1000  # seeds have the numbers below
    behaviour: Behaviour = field(default_factory=Behaviour)
    models: dict[str, Model] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    events: dict[str, list[Json]] = field(default_factory=dict)
    changed: bool = True

    @classmethod
    def fresh(cls, now: int) -> World:
        return cls(now=now, models=seed_models(now))

    def next_sequence(self) -> int:
        """A number that only grows: the tie-break of everything made in the same millisecond."""
        self.sequence += 1
        return self.sequence

    def live_endpoints(self) -> list[Endpoint]:
        return [endpoint for endpoint in self.endpoints.values() if endpoint.deleted_at is None]

    def live_deployments(self, endpoint_id: str | None = None) -> list[Deployment]:
        return [
            deployment
            for deployment in self.deployments.values()
            if deployment.deleted_at is None and endpoint_id in {None, deployment.endpoint_id}
        ]

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
        """The part that outlives the process."""
        return {
            "now": self.now,
            "sequence": self.sequence,
            "behaviour": asdict(self.behaviour),
            "models": [asdict(model) for model in self.models.values()],
            "endpoints": [asdict(endpoint) for endpoint in self.endpoints.values()],
            "deployments": [asdict(deployment) for deployment in self.deployments.values()],
            "events": self.events,
        }

    @classmethod
    def from_json(cls, data: dict[str, object]) -> World:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError when `data` is something else."""
        now, sequence, events = data["now"], data["sequence"], data["events"]
        if not isinstance(now, int) or not isinstance(sequence, int) or not isinstance(events, dict):
            raise TypeError("not a saved sandbox")
        models = [Model(**row) for row in _rows(data["models"], Model)]
        for model in models:
            model.revisions = [(revision, made) for revision, made in model.revisions]
        endpoints = [Endpoint(**row) for row in _rows(data["endpoints"], Endpoint)]
        deployments = [Deployment(**row) for row in _rows(data["deployments"], Deployment)]
        (behaviour,) = _rows([data["behaviour"]], Behaviour)
        return cls(
            now=now,
            sequence=sequence,
            behaviour=Behaviour(**behaviour),
            models={model.id: model for model in models},
            endpoints={endpoint.id: endpoint for endpoint in endpoints},
            deployments={deployment.id: deployment for deployment in deployments},
            events=events,
            changed=False,
        )


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"


def check_etag(given: str | None, current: str) -> None:
    """Optimistic concurrency: absent means overwrite. Raises ApiError (409) when stale."""
    if given is not None and given != current:
        raise ApiError(
            HTTPStatus.CONFLICT, "etag is stale: the resource was changed since it was read", code="conflict"
        )


def _rows(data: object, kind: type) -> list[dict[str, Any]]:
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise TypeError("not a saved sandbox")
    names = {one.name for one in fields(kind)}
    if any(set(row) - names for row in data):
        raise ValueError("saved by another version")
    return data
