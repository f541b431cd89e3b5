"""What an engine shows of what it serves and could serve: read-only, and satisfied by each engine's own shapes.

Prices are whole US cents an hour for one running replica. States are upper-case words: a deployment's `PENDING`,
`STARTING`, `READY`, `STOPPING`, `STOPPED`, `FAILED` or one of the engine's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


class Project(Protocol):
    """Where an account keeps its things; `slug` begins the names of its models."""

    @property
    def id(self) -> str: ...

    @property
    def slug(self) -> str: ...

    @property
    def name(self) -> str: ...


class Organization(Protocol):
    """Whom a project belongs to."""

    @property
    def id(self) -> str: ...


class Whoami(Protocol):
    """Whose the key is; a key of no project has none."""

    @property
    def project(self) -> Project | None: ...

    @property
    def organization(self) -> Organization | None: ...


class Model(Protocol):
    """A model of the registry; `name` is `slug/name`, `resource` where calls find it."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def project_id(self) -> str: ...

    @property
    def resource(self) -> str: ...

    @property
    def is_adapter(self) -> bool:
        """Whether it is a LoRA adapter, and not a whole model."""

    @property
    def description(self) -> str | None: ...

    @property
    def base_model(self) -> str | None: ...

    @property
    def base_model_id(self) -> str | None: ...

    @property
    def base_place(self) -> tuple[str, str] | None:
        """Project and id of the model it was made from; None where there is none."""


class Revision(Protocol):
    """One set of weights of a model; `status` is `SUCCESS` once they passed validation."""

    @property
    def revision_id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def status(self) -> str: ...

    @property
    def validation_errors(self) -> Sequence[object]: ...


class SupportedModel(Protocol):
    """A model of the catalogue; `model` is None when it does not say where it lives."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def base_model_id(self) -> str | None: ...

    @property
    def status(self) -> str: ...

    @property
    def products(self) -> Sequence[str]: ...

    @property
    def context_length(self) -> int | None: ...

    @property
    def model(self) -> Model | None: ...


class Config(Protocol):
    """A certified way to serve a model; `hardware` is an instance type's name."""

    @property
    def id(self) -> str: ...

    @property
    def resource(self) -> str: ...

    @property
    def hardware(self) -> str | None: ...

    @property
    def takes_adapters(self) -> bool: ...


class Headroom(Protocol):
    """Free replicas, as a number and how it is meant; None for what is not said."""

    @property
    def value(self) -> int | None: ...

    @property
    def relation(self) -> str | None: ...


class Region(Protocol):
    """Where hardware stands."""

    @property
    def name(self) -> str: ...

    @property
    def headroom(self) -> Headroom | None: ...


class InstanceType(Protocol):
    """Hardware with its price; `headroom` is free replicas, None where nobody knows."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def gpu_type(self) -> str: ...

    @property
    def gpu_count(self) -> int: ...

    @property
    def price_cents_per_hour(self) -> int: ...

    @property
    def regions(self) -> Sequence[Region]: ...

    @property
    def headroom(self) -> int | None: ...


class Autoscaling(Protocol):
    """How few and how many replicas may run."""

    @property
    def min_replicas(self) -> int: ...

    @property
    def max_replicas(self) -> int: ...


class DeploymentStatus(Protocol):
    """What the engine says of a deployment, and how many replicas are ready."""

    @property
    def message(self) -> str: ...

    @property
    def ready_replicas(self) -> int: ...


class Deployment(Protocol):
    """One deployment; its full name is `slug/endpoint/deployment`. `inactive_timeout`: minutes until it stops idle."""

    @property
    def id(self) -> str: ...

    @property
    def endpoint_id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def model(self) -> str: ...

    @property
    def model_id(self) -> str | None: ...

    @property
    def config(self) -> str: ...

    @property
    def hardware(self) -> str | None: ...

    @property
    def autoscaling(self) -> Autoscaling: ...

    @property
    def inactive_timeout(self) -> int | None: ...

    @property
    def status(self) -> DeploymentStatus: ...

    @property
    def state(self) -> str: ...


class Adapter(Protocol):
    """A LoRA adapter attached to a deployment; `failure` says why it cannot serve."""

    @property
    def id(self) -> str: ...

    @property
    def adapter_model_id(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def failure(self) -> str | None: ...


class Traffic(Protocol):
    """What share of an endpoint's traffic a deployment gets."""

    @property
    def deployment_id(self) -> str: ...

    @property
    def weight(self) -> float: ...


class Endpoint(Protocol):
    """An endpoint; `name` is `slug/endpoint`, what a question puts in `model`."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def project_id(self) -> str: ...

    @property
    def traffic_split(self) -> Sequence[Traffic]: ...


class ServingEvent(Protocol):
    """Something that happened to an endpoint; the list of types is open."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def type(self) -> str: ...

    @property
    def deployment_id(self) -> str | None: ...

    @property
    def old_replicas(self) -> int | None: ...

    @property
    def new_replicas(self) -> int | None: ...

    @property
    def message(self) -> str | None: ...

    @property
    def reason(self) -> str | None: ...


class LegacyEndpoint(Protocol):
    """An endpoint of an older API: one model on one kind of hardware."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def hardware(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def autoscaling(self) -> Autoscaling: ...


class ChatAnswer(Protocol):
    """One answer, with what was counted, None for what is not said; and whether it says how probable its tokens
    were."""

    @property
    def text(self) -> str: ...

    @property
    def finish_reason(self) -> str | None: ...

    @property
    def prompt_tokens(self) -> int | None: ...

    @property
    def completion_tokens(self) -> int | None: ...

    @property
    def tells_probabilities(self) -> bool: ...


@runtime_checkable
class ServedAnswer(ChatAnswer, Protocol):
    """An answer that also says which `model` it is of, None where the server does not say, and whether it calls a
    tool."""

    @property
    def model(self) -> str | None: ...

    @property
    def calls_tools(self) -> bool: ...


class Decided(Protocol):
    """What one that may abstain makes of a decision: without a label it abstains, and `reason` says why; `confidence`
    (0 to 1) is how sure it is of what it would have answered."""

    @property
    def label(self) -> str | None: ...

    @property
    def confidence(self) -> float: ...

    @property
    def reason(self) -> str: ...


@dataclass(frozen=True)
class ServedModel:
    """A model that a server lists, with the tokens of its context; None where the server does not say."""

    name: str
    context_tokens: int | None
