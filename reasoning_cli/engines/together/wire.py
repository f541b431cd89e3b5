"""The shapes on the wire, v2: what Together answers, reduced to what is used here.

Unknown members are ignored and enums are plain strings, so that a newer service does not break us. Members are
camelCase on the wire. Prices are integer US cents an hour for one running replica of the whole instance.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    """Base of all shapes; schemas are built when first used, because start-up pays for each."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, defer_build=True
    )


class Organization(Wire):
    id: str
    name: str = ""


class Project(Wire):
    id: str
    slug: str = ""
    name: str = ""


class Whoami(Wire):
    """`GET /v3/whoami`; an organisation's key has no project."""

    type: str = ""
    organization: Organization | None = None
    project: Project | None = None


class Weights(Wire):
    type: str = ""


class Model(Wire):
    """A model of the registry; `name` is `slug/name`. `base_model` is the resource path of the one it was made from."""

    id: str
    name: str
    project_id: str
    base_model: str | None = None
    base_model_id: str | None = None
    description: str | None = None
    weights: Weights | None = None

    @property
    def is_adapter(self) -> bool:
        """Whether it is a LoRA adapter, and not a whole model."""
        return self.weights is not None and self.weights.type == "WEIGHTS_TYPE_ADAPTER"

    @property
    def base_place(self) -> tuple[str, str] | None:
        """Project (often the platform's) and id of the model it was made from; None where there is none."""
        if (place := model_place(self.base_model or "")) is not None:
            return place
        return (self.project_id, self.base_model_id) if self.base_model_id else None

    @property
    def resource(self) -> str:
        return f"projects/{self.project_id}/models/{self.id}"


class Revision(Wire):
    """One set of weights of a model, and whether it passed validation."""

    revision_id: str
    created_at: datetime
    validation_status: str = ""
    validation_errors: list[object] = Field(default_factory=list)

    @property
    def status(self) -> str:
        """`SUCCESS`, without the prefix of the wire."""
        return self.validation_status.removeprefix("REVISION_VALIDATION_STATUS_")


class RemoteUpload(Wire):
    """Weights that the service fetches from elsewhere; it restarts by itself what breaks off, up to a maximum."""

    id: str
    model_id: str
    remote_url: str = ""
    created_at: datetime
    status: str = ""
    status_message: str = ""
    restart_count: int = 0
    max_restarts: int = 0

    @property
    def state(self) -> str:
        """`RUNNING`, without the prefix of the wire."""
        return self.status.removeprefix("REMOTE_UPLOAD_STATUS_")


class SupportedModel(Wire):
    """A model of the platform's catalogue; `base_model` is the resource path under which it can be deployed."""

    id: str
    name: str
    base_model: str = ""
    base_model_id: str | None = None
    status: str = ""
    products: list[str] = Field(default_factory=list)
    context_length: int | None = None  # a string on the wire

    @property
    def model(self) -> Model | None:
        """The same as a model of the registry; None when the catalogue does not say where it lives."""
        place = model_place(self.base_model)
        return None if place is None else Model(id=place[1], name=self.name, project_id=place[0])


def model_place(resource: str) -> tuple[str, str] | None:
    """Project and id of `projects/{project}/models/{id}`, with or without a revision; None where it is not such a
    path."""
    parts = resource.split("/")
    return (parts[1], parts[3]) if len(parts) >= 4 and (parts[0], parts[2]) == ("projects", "models") else None


class Selector(Wire):
    key: str
    value: str


class Config(Wire):
    """A certified way to serve a model; its project is the one that owns the config, often the platform's."""

    id: str
    project_id: str
    selectors: list[Selector] = Field(default_factory=list)

    @property
    def resource(self) -> str:
        return f"projects/{self.project_id}/configs/{self.id}"

    @property
    def hardware(self) -> str | None:
        """The instance type it runs on, as its name."""
        facts = {selector.key: selector.value for selector in self.selectors}
        if "accelerator_type" not in facts:
            return None
        return f"{facts.get('accelerator_count', '1')}x{facts['accelerator_type']}"

    @property
    def takes_adapters(self) -> bool:
        """Whether LoRA adapters can be attached to what it serves; where it does not say so, they cannot."""
        modes = {selector.value.lower() for selector in self.selectors if selector.key == "adapter_mode"}
        return bool(modes & {"dynamic", "fixed"})


class Headroom(Wire):
    value: int | None = None
    relation: str | None = None


class Region(Wire):
    name: str
    headroom: Headroom | None = None


class InstanceType(Wire):
    id: str
    name: str
    description: str = ""
    gpu_type: str = ""
    gpu_count: int = 1
    price_cents_per_hour: int
    regions: list[Region] = Field(default_factory=list)

    @property
    def headroom(self) -> int | None:
        """Free replicas over all regions, best effort; None when a region that says nothing may have the only one."""
        known = [r.headroom.value or 0 for r in self.regions if r.headroom is not None]
        return sum(known) if any(known) or (known and len(known) == len(self.regions)) else None


class Autoscaling(Wire):
    min_replicas: int = 0
    max_replicas: int = 0


class DeploymentStatus(Wire):
    state: str = ""
    message: str = ""
    ready_replicas: int = 0


class Deployment(Wire):
    """One deployment; its full name is `slug/endpoint/deployment`."""

    id: str
    endpoint_id: str
    name: str
    created_at: datetime
    etag: str | None = None
    model: str = ""
    model_id: str | None = None
    config: str = ""
    hardware: str | None = None
    autoscaling: Autoscaling = Field(default_factory=Autoscaling)
    inactive_timeout: int | None = None
    status: DeploymentStatus = Field(default_factory=DeploymentStatus)

    @property
    def state(self) -> str:
        """`READY`, without the prefix of the wire."""
        return self.status.state.removeprefix("DEPLOYMENT_STATE_")


class AdapterLoad(Wire):
    """How far an adapter is loaded in one cluster; `adapter_valid` is missing until Together has tried it."""

    state: str = ""
    message: str | None = None
    adapter_valid: bool | None = None
    adapter_valid_reason: str | None = None


class Adapter(Wire):
    """A LoRA adapter attached to a deployment; its `id` (`dad_…`) is that of the attachment."""

    id: str
    adapter_model_id: str
    etag: str
    per_cluster: list[AdapterLoad] = Field(default_factory=list)

    @property
    def state(self) -> str:
        """`READY` where every cluster has it loaded, `FAILED` where one cannot, else how far the last one is."""
        if self.failure is not None:
            return "FAILED"
        states = {cluster.state.removeprefix("ADAPTER_LOAD_STATE_") for cluster in self.per_cluster}
        return next((state for state in ("PENDING", "LOADING", "REMOVING", "READY") if state in states), "PENDING")

    @property
    def failure(self) -> str | None:
        """Why it cannot serve, in Together's words; None while nothing says so."""
        for cluster in self.per_cluster:
            if cluster.state == "ADAPTER_LOAD_STATE_FAILED" or cluster.adapter_valid is False:
                return cluster.adapter_valid_reason or cluster.message or "Together gives no reason"
        return None


class Traffic(Wire):
    deployment_id: str
    weight: float


class Endpoint(Wire):
    """An endpoint; `name` is `slug/endpoint`, what a chat call puts in `model`."""

    id: str
    name: str
    project_id: str
    etag: str | None = None
    traffic_split: list[Traffic] = Field(default_factory=list)


class Event(Wire):
    """Something that happened to an endpoint; the list of types is open."""

    id: str
    created_at: datetime
    type: str
    deployment_id: str | None = None
    old_replicas: int | None = None
    new_replicas: int | None = None
    message: str | None = None
    reason: str | None = None


class RequestMetrics(Wire):
    total_requests: int | None = None  # a string on the wire


class Metrics(Wire):
    request_metrics: RequestMetrics | None = None


class TimeStep(Wire):
    """Counts of one step of time, under names that are not documented."""

    timestamp: datetime
    values: dict[str, float] = Field(default_factory=dict)


class Analytics(Wire):
    """Counts of an endpoint or one deployment in a span of time; every member may be missing."""

    metrics: Metrics | None = None
    time_series: list[TimeStep] | None = None

    @property
    def total_requests(self) -> int | None:
        if self.metrics is None or self.metrics.request_metrics is None:
            return None
        return self.metrics.request_metrics.total_requests


class ChatMessage(Wire):
    content: str | None = None


class ChatChoice(Wire):
    message: ChatMessage
    finish_reason: str | None = Field(default=None, alias="finish_reason")
    logprobs: dict[str, object] | None = None


class ChatUsage(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatAnswer(Wire):
    choices: list[ChatChoice] = Field(default_factory=list)
    usage: ChatUsage | None = None

    @property
    def text(self) -> str:
        return (self.choices[0].message.content or "") if self.choices else ""

    @property
    def finish_reason(self) -> str | None:
        return self.choices[0].finish_reason if self.choices else None

    @property
    def tells_probabilities(self) -> bool:
        return any((self.choices[0].logprobs or {}).values()) if self.choices else False

    @property
    def prompt_tokens(self) -> int | None:
        return self.usage.prompt_tokens if self.usage else None

    @property
    def completion_tokens(self) -> int | None:
        return self.usage.completion_tokens if self.usage else None


class Legacy(BaseModel):
    """Base of the shapes of v1, whose members are snake_case."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class LegacyPrice(Legacy):
    cents_per_minute: Decimal


class LegacyHardware(Legacy):
    id: str
    pricing: LegacyPrice


class LegacyAutoscaling(Legacy):
    min_replicas: int = 0
    max_replicas: int = 0


class LegacyEndpoint(Legacy):
    """An endpoint of v1: one model on one kind of hardware."""

    id: str
    name: str
    model: str
    hardware: str = ""
    state: str
    created_at: datetime
    autoscaling: LegacyAutoscaling = Field(default_factory=LegacyAutoscaling)
