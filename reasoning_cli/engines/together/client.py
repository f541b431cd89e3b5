"""The calls of Together's v2 API that `reasoning` makes, each under its own name.

v1 refuses to create endpoints since July 2026, so nothing here makes one; `legacy` lists and stops what is left of it.
Chat has one path for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from reasoning_cli.engines.contract import Answer, Reads
from reasoning_cli.engines.errors import MissingError, RequestRefusedError
from reasoning_cli.engines.together.calls import read
from reasoning_cli.engines.together.connection import Json
from reasoning_cli.engines.together.files import Files
from reasoning_cli.engines.together.fine_tunes import FineTunes
from reasoning_cli.engines.together.legacy import Legacy
from reasoning_cli.engines.together.spending import Spending
from reasoning_cli.engines.together.uploads import LocalUploads
from reasoning_cli.engines.together.wire import Analytics, ChatAnswer, Deployment, Endpoint, Event


class TogetherClient(LocalUploads, Files, FineTunes, Legacy, Spending):
    """Together, as one account and project see it. Raises the errors of `engines.errors`."""

    # --- endpoints ---

    def endpoints(self) -> Iterator[Endpoint]:
        return self._list(Endpoint, f"{self._root}/endpoints")

    def endpoint(self, endpoint_id: str) -> Endpoint:
        return read(Endpoint, self._connection.request("GET", f"{self._root}/endpoints/{endpoint_id}"))

    def find_endpoint(self, name: str) -> Endpoint | None:
        """The endpoint of that bare name in this project, if there is one."""
        return next((e for e in self.endpoints() if e.name.rpartition("/")[2] == name), None)

    def create_endpoint(self, name: str) -> Endpoint:
        """Make an endpoint (free by itself). When the answer is lost, looks by name instead of asking twice."""
        return self._create(Endpoint, f"{self._root}/endpoints", {"name": name}, lambda: self.find_endpoint(name))

    def route(self, endpoint_id: str, split: Mapping[str, float]) -> Endpoint:
        """Set the traffic split: deployment id to weight; an empty one routes nothing."""
        body: Json = {
            "trafficSplit": [
                {"deploymentId": deployment_id, "weight": weight} for deployment_id, weight in split.items()
            ]
        }
        path = f"{self._root}/endpoints/{endpoint_id}"
        return read(Endpoint, self._connection.request("PATCH", path, query={"updateMask": "trafficSplit"}, body=body))

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
        found.reverse()  # they come newest first: those of one moment, too
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
        return read(Analytics, answer).total_requests

    def activity(
        self, endpoint_id: str, deployment_id: str, since: datetime, until: datetime
    ) -> tuple[int | None, datetime | None]:
        """The requests of a span, and the begin of the last minute that had any (None: none had, or it is not told)."""
        query: dict[str, str | int] = {
            "deploymentId": deployment_id,
            "startTime": _rfc3339(since),
            "endTime": _rfc3339(until),
            "granularity": "1m",
            "includeTimeSeries": "true",
        }
        path = f"{self._root}/endpoints/{endpoint_id}/analytics"
        analytics = read(Analytics, self._connection.request("GET", path, query=query))
        busy = [step.timestamp for step in analytics.time_series or [] if any(step.values.values())]
        return analytics.total_requests, max(busy, default=None)

    # --- deployments ---

    def deployments(self, endpoint_id: str) -> list[Deployment]:
        return list(self._list(Deployment, self._deployments(endpoint_id)))

    def deployment(self, endpoint_id: str, deployment_id: str) -> Deployment:
        return read(Deployment, self._connection.request("GET", f"{self._deployments(endpoint_id)}/{deployment_id}"))

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

    def chat(
        self, model: str, messages: Sequence[Mapping[str, str]], *, max_tokens: int, probabilities: bool = False
    ) -> ChatAnswer:
        """One answer of a served model at temperature 0; `model` is `slug/endpoint`."""
        body: Json = {"model": model, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0}
        if probabilities:
            body["logprobs"] = 1
        return read(ChatAnswer, self._connection.request("POST", "/v1/chat/completions", body=body))

    # --- held against its documents ---

    def read_everything(self) -> Reads:
        """Every route that is read, with what there is in the account. Raises what keeps it from asking at all."""
        from reasoning_cli.engines.together.contract.survey import read_everything

        return read_everything(self)

    def arrays_understood(self, endpoint_id: str) -> str | None:
        """How a list in a query is understood, by the events of an endpoint; None where these do not tell."""
        from reasoning_cli.engines.together.contract.survey import arrays_understood

        return arrays_understood(self, endpoint_id)

    def previewed(self, model: str, file_id: str) -> Answer:
        """How samples of a file would be read for a model; this and the next two as they are answered, refusals too."""
        body: Json = {"model": model, "training_file": file_id, "top_k": 20}
        return self.look("/v1/fine-tunes/preview", method="POST", body=body)

    def named_again(self, name: str) -> Answer:
        """What comes of making an endpoint of a name that there is."""
        return self.look(f"{self._root}/endpoints", method="POST", body={"name": name})

    def routed_nowhere(self, endpoint_id: str) -> Answer:
        """What comes of an endpoint's traffic being split among nobody."""
        path, body = f"{self._root}/endpoints/{endpoint_id}", Json(trafficSplit=[])
        return self.look(path, {"updateMask": "trafficSplit"}, method="PATCH", body=body)

    # --- how ---

    def _deployments(self, endpoint_id: str) -> str:
        return f"{self._root}/endpoints/{endpoint_id}/deployments"

    def _update_deployment(self, endpoint_id: str, deployment_id: str, member: str, value: object) -> Deployment:
        path = f"{self._deployments(endpoint_id)}/{deployment_id}"
        answer = self._connection.request("PATCH", path, query={"updateMask": member}, body={member: value})
        return read(Deployment, answer)


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
