"""The calls of Together's v2 API that `reasoning` makes, each under its own name.

v1 refuses to create endpoints since July 2026, so nothing here speaks it, except for chat, which has one path for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from reasoning_cli.errors import ConfigurationError
from reasoning_cli.together.connection import Connection, Json
from reasoning_cli.together.problems import (
    BusyError,
    ConflictError,
    MissingError,
    RequestRefusedError,
    UnreachableError,
)
from reasoning_cli.together.wire import (
    Analytics,
    ChatAnswer,
    Config,
    Deployment,
    Endpoint,
    Event,
    InstanceType,
    Model,
    Project,
    Whoami,
    Wire,
)

if TYPE_CHECKING:
    import httpx

W = TypeVar("W", bound=Wire)


class TogetherClient:
    """Together, as one account and project see it. Raises the errors of `together.problems`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        project_id: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = Connection(base_url, api_key, transport=transport, sleep=sleep)
        self._project_id = project_id

    def close(self) -> None:
        self._connection.close()

    # --- who and when ---

    def whoami(self) -> Whoami:
        return _read(Whoami, self._connection.request("GET", "/v3/whoami"))

    @cached_property
    def project(self) -> Project:
        """The project every v2 path is in: the one set, else the key's own."""
        known = self.whoami().project
        if self._project_id is not None and (known is None or known.id != self._project_id):
            return Project(id=self._project_id)
        if known is None:
            raise ConfigurationError(
                "this key belongs to an organisation, not to a project",
                "`reasoning config set together.project_id proj_…`",
            )
        return known

    def now(self) -> datetime:
        """The service's time as of its last answer, in whole seconds: the ledger's clock, whatever ours says."""
        if self._connection.served_at is None:
            self.whoami()
        return self._connection.served_at or datetime.now(UTC)

    @property
    def _root(self) -> str:
        return f"/v2/projects/{self.project.id}"

    # --- what can be deployed ---

    def models(self) -> Iterator[Model]:
        """Every model of the registry."""
        return self._list(Model, f"{self._root}/models")

    def model(self, model_id: str) -> Model:
        return _read(Model, self._connection.request("GET", f"{self._root}/models/{model_id}"))

    def configs(self, model: Model) -> list[Config]:
        """The ways `model` can be served; none means it cannot."""
        return list(self._list(Config, f"{self._root}/configs", {"referenceModel": model.resource}))

    def instance_types(self) -> list[InstanceType]:
        """Hardware with today's prices."""
        return list(self._list(InstanceType, "/v2/public/inference-instance-types"))

    # --- endpoints ---

    def endpoints(self) -> Iterator[Endpoint]:
        return self._list(Endpoint, f"{self._root}/endpoints")

    def endpoint(self, endpoint_id: str) -> Endpoint:
        return _read(Endpoint, self._connection.request("GET", f"{self._root}/endpoints/{endpoint_id}"))

    def find_endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that bare name in this project, if there is one."""
        return next((e for e in self.endpoints() if e.name.rpartition("/")[2] == name), None)

    def create_endpoint(self, name: str) -> Endpoint:
        """Make an endpoint (free by itself). When the answer is lost, looks by name instead of asking twice."""
        return self._create(Endpoint, f"{self._root}/endpoints", {"name": name}, lambda: self.find_endpoint(name))

    def route(self, endpoint_id: str, split: Mapping[str, float]) -> Endpoint:
        """Set the traffic split: deployment id to weight; an empty one routes nothing."""
        body: Json = {"trafficSplit": [{"deploymentId": one, "weight": weight} for one, weight in split.items()]}
        path = f"{self._root}/endpoints/{endpoint_id}"
        return _read(Endpoint, self._connection.request("PATCH", path, query={"updateMask": "trafficSplit"}, body=body))

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint without deployments; one that is gone already is fine."""
        self._delete(f"{self._root}/endpoints/{endpoint_id}")

    def events(self, endpoint_id: str, *, since: datetime, types: tuple[str, ...] = ()) -> list[Event]:
        """What happened since (inclusive), oldest first."""
        query: dict[str, str | int] = {
            "since": _rfc3339(since),
            "limit": 500,
        }
        if types:
            query["types"] = ",".join(types)
        found = list(self._list(Event, f"{self._root}/endpoints/{endpoint_id}/events", query))
        return sorted(found, key=lambda event: event.created_at)

    def requests(self, endpoint_id: str, deployment_id: str, since: datetime, until: datetime) -> int | None:
        """How many requests a deployment was sent, by Together's count; None when it does not say."""
        query: dict[str, str | int] = {
            "deploymentId": deployment_id,
            "startTime": _rfc3339(since),
            "endTime": _rfc3339(until),
        }
        try:
            answer = self._connection.request("GET", f"{self._root}/endpoints/{endpoint_id}/analytics", query=query)
        except (MissingError, RequestRefusedError):
            return None
        return _read(Analytics, answer).total_requests

    # --- deployments ---

    def deployments(self, endpoint_id: str) -> list[Deployment]:
        return list(self._list(Deployment, self._deployments(endpoint_id)))

    def deployment(self, endpoint_id: str, deployment_id: str) -> Deployment:
        return _read(Deployment, self._connection.request("GET", f"{self._deployments(endpoint_id)}/{deployment_id}"))

    def find_deployment(self, endpoint_id: str, name: str) -> Deployment | None:
        """The deployment of that bare name on an endpoint, if there is one."""
        return next((d for d in self.deployments(endpoint_id) if d.name.rpartition("/")[2] == name), None)

    def check_deployment(self, endpoint_id: str, body: Json) -> None:
        """Let the service check a deployment without making it. Raises what making it would."""
        self._connection.request("POST", self._deployments(endpoint_id), query={"validateOnly": "true"}, body=body)

    def create_deployment(self, endpoint_id: str, body: Json) -> Deployment:
        """Make a deployment, which starts by itself. When the answer is lost, looks by name instead of asking twice."""
        name = str(body["name"])
        return self._create(
            Deployment, self._deployments(endpoint_id), body, lambda: self.find_deployment(endpoint_id, name)
        )

    def scale(self, endpoint_id: str, deployment_id: str, min_replicas: int, max_replicas: int) -> Deployment:
        """Set both bounds; 0 and 0 stop it."""
        autoscaling = {"minReplicas": min_replicas, "maxReplicas": max_replicas}
        return self._update_deployment(endpoint_id, deployment_id, "autoscaling", autoscaling)

    def set_idle_stop(self, endpoint_id: str, deployment_id: str, idle_minutes: int) -> Deployment:
        """Let Together stop it after that many minutes without a request; 0 = never."""
        return self._update_deployment(endpoint_id, deployment_id, "inactiveTimeout", idle_minutes)

    def delete_deployment(self, endpoint_id: str, deployment_id: str) -> None:
        """Delete a stopped, unrouted deployment; one that is gone already is fine."""
        self._delete(f"{self._deployments(endpoint_id)}/{deployment_id}")

    # --- chat ---

    def chat(self, model: str, messages: list[dict[str, str]], *, max_tokens: int) -> ChatAnswer:
        """One answer of a served model at temperature 0; `model` is `slug/endpoint`."""
        body: Json = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
        return _read(ChatAnswer, self._connection.request("POST", "/v1/chat/completions", body=body))

    # --- how ---

    def _deployments(self, endpoint_id: str) -> str:
        return f"{self._root}/endpoints/{endpoint_id}/deployments"

    def _update_deployment(self, endpoint_id: str, deployment_id: str, member: str, value: object) -> Deployment:
        path = f"{self._deployments(endpoint_id)}/{deployment_id}"
        answer = self._connection.request("PATCH", path, query={"updateMask": member}, body={member: value})
        return _read(Deployment, answer)

    def _list(self, shape: type[W], path: str, query: dict[str, str | int] | None = None) -> Iterator[W]:
        return (_read(shape, item) for item in self._connection.pages(path, query))

    def _create(self, shape: type[W], path: str, body: Json, find: Callable[[], W | None]) -> W:
        """POST once. No idempotency key exists: after a lost answer or a conflict, the name is looked up."""
        try:
            return _read(shape, self._connection.request("POST", path, body=body))
        except (UnreachableError, BusyError, ConflictError) as problem:
            if isinstance(problem, UnreachableError) and not problem.maybe_done:
                raise
            found = find()
            if found is None:
                raise
            return found

    def _delete(self, path: str) -> None:
        try:
            self._connection.request("DELETE", path)
        except MissingError:
            return
        except UnreachableError as problem:
            if not problem.maybe_done:
                raise
            self._delete_again(path)

    def _delete_again(self, path: str) -> None:
        """After a lost answer: deleting twice is harmless."""
        try:
            self._connection.request("DELETE", path)
        except MissingError:
            return


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(shape: type[W], answer: Json) -> W:
    try:
        return shape.model_validate(answer)
    except ValidationError as error:
        missing = ", ".join(".".join(str(part) for part in one["loc"]) for one in error.errors())
        raise BusyError(
            f"Together's {shape.__name__.lower()} has another shape than documented: {missing}",
            "a newer `reasoning` may know it",
        ) from error
