"""What can be asked of an engine that is connected to: a Protocol for each thing that one may be able to do.

Operations name the narrowest that does for them; `Cloud` is one that does it all, as the first engine does. Every call
raises the errors of `engines.errors`. What makes something can be called again after a lost answer: it looks for what
is there first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from reasoning_cli.engines.bills import UsageWindow
from reasoning_cli.engines.contract import Answer, Reads
from reasoning_cli.engines.jobs import Job, JobEvent, JobRequest, Metrics, ModelLimits, PriceEstimate, RemoteFile
from reasoning_cli.engines.serving import (
    Adapter,
    ChatAnswer,
    Config,
    Decided,
    Deployment,
    Endpoint,
    InstanceType,
    LegacyEndpoint,
    Model,
    Project,
    Revision,
    ServedAnswer,
    ServedModel,
    ServingEvent,
    SupportedModel,
    Whoami,
)
from reasoning_cli.engines.weights import FileLinks, ModelFile, RemoteUpload, SentFile, Storage
from reasoning_cli.errors import ReasoningError

Json = dict[str, object]
Sent = Callable[[int, int], None]  # bytes sent so far, of how many
Received = Callable[[int, int | None], None]  # bytes received so far, of how many when that is known


@runtime_checkable
class Client(Protocol):
    """A connection that its maker closes."""

    def close(self) -> None: ...


@runtime_checkable
class Answering(Client, Protocol):
    """Answers questions."""

    def chat(
        self, model: str, messages: Sequence[Mapping[str, str]], *, max_tokens: int, probabilities: bool = False
    ) -> ChatAnswer:
        """One answer of a served model at temperature 0, with how probable its tokens were where that is asked for."""
        ...


@runtime_checkable
class Deciding(Client, Protocol):
    """Decides in this process, and abstains from what it is not sure of."""

    def decide(self, prompt: str, system: str | None = None) -> Decided:
        """What it makes of an agent's prompt; of one it cannot read, that it abstains. Never raises."""
        ...


@runtime_checkable
class ListingServer(Answering, Protocol):
    """A server of the operator's own, that says what it serves and can be looked at."""

    def models(self) -> Sequence[ServedModel]: ...

    def chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        probabilities: bool = False,
        tools: Sequence[Mapping[str, object]] = (),
    ) -> ServedAnswer:
        """The same; of `tools`, where there are any, one must be called."""
        ...

    def keeps_max_tokens(self, model: str) -> bool:
        """Whether it ends an answer at the limit it is given."""
        ...

    def takes_tokens(self, model: str, tokens: int, patience_seconds: float) -> bool | None:
        """Whether it takes a prompt of so many tokens, None where that is not known in time. RequestRefusedError where
        it does not."""
        ...

    def takes_two(self, model: str, patience_seconds: float) -> bool | None:
        """Whether it answers two questions at a time; None where that cannot be told."""
        ...


@runtime_checkable
class Account(Client, Protocol):
    """Knows whose the key is, and what time it is there: the ledger's clock."""

    @property
    def project(self) -> Project: ...

    def whoami(self) -> Whoami: ...

    def now(self) -> datetime:
        """The engine's time as of its last answer, in whole seconds."""
        ...


@runtime_checkable
class Catalog(Account, Protocol):
    """Knows what can be served, how, on what, and at which price by the hour."""

    def models(self) -> Iterator[Model]: ...

    def model(self, model_id: str, project_id: str | None = None) -> Model: ...

    def configs(self, model: Model) -> Sequence[Config]:
        """The ways `model` can be served; none means it cannot."""
        ...

    def instance_types(self) -> Sequence[InstanceType]: ...

    def revisions(self, model: Model) -> Sequence[Revision]: ...

    def supported_models(self, search: str = "") -> Iterator[SupportedModel]: ...


@runtime_checkable
class Hosting(Catalog, Answering, Protocol):
    """Serves models on hardware by the hour: endpoints, their deployments, and adapters attached to these."""

    def endpoints(self) -> Iterator[Endpoint]: ...

    def endpoint(self, endpoint_id: str) -> Endpoint: ...

    def find_endpoint(self, name: str) -> Endpoint | None: ...

    def create_endpoint(self, name: str) -> Endpoint:
        """Make an endpoint, which is free by itself."""
        ...

    def route(self, endpoint_id: str, split: Mapping[str, float]) -> Endpoint:
        """Set the traffic split: deployment id to weight; an empty one routes nothing."""
        ...

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint without deployments; one that is gone already is fine."""
        ...

    def events(self, endpoint_id: str, *, since: datetime, types: tuple[str, ...] = ()) -> Sequence[ServingEvent]:
        """What happened since (inclusive), oldest first."""
        ...

    def requests(self, endpoint_id: str, deployment_id: str, since: datetime, until: datetime) -> int | None:
        """How many requests a deployment was sent; None when nobody says."""
        ...

    def activity(
        self, endpoint_id: str, deployment_id: str, since: datetime, until: datetime
    ) -> tuple[int | None, datetime | None]:
        """The requests of a span, and the begin of the last minute that had any."""
        ...

    def deployments(self, endpoint_id: str) -> Sequence[Deployment]: ...

    def deployment(self, endpoint_id: str, deployment_id: str) -> Deployment: ...

    def find_deployment(self, endpoint_id: str, name: str) -> Deployment | None: ...

    def check_deployment(self, endpoint_id: str, body: Json) -> None:
        """Let a deployment be checked without making it. Raises what making it would."""
        ...

    def create_deployment(self, endpoint_id: str, body: Json) -> Deployment:
        """Make a deployment, which starts by itself."""
        ...

    def scale(self, endpoint_id: str, deployment_id: str, min_replicas: int, max_replicas: int) -> Deployment:
        """Set both bounds; 0 and 0 stop it."""
        ...

    def set_idle_stop(self, endpoint_id: str, deployment_id: str, idle_minutes: int) -> Deployment:
        """Let it be stopped after that many minutes without a request; 0 = never."""
        ...

    def delete_deployment(self, endpoint_id: str, deployment_id: str) -> None:
        """Delete a stopped, unrouted deployment; one that is gone already is fine."""
        ...

    def adapter(self, endpoint_id: str, deployment_id: str, adapter_id: str) -> Adapter: ...

    def find_adapter(self, endpoint_id: str, deployment_id: str, model_id: str) -> Adapter | None: ...

    def attach(self, endpoint_id: str, deployment_id: str, model_id: str) -> Adapter:
        """Attach an adapter's latest weights."""
        ...

    def detach(self, endpoint_id: str, deployment_id: str, adapter_id: str) -> None:
        """Take an adapter off; one that is gone already is fine."""
        ...


@runtime_checkable
class LegacyHosting(Account, Protocol):
    """Still has endpoints of an older API, which can be listed, stopped and deleted, and nothing else."""

    def legacy_endpoints(self) -> Sequence[LegacyEndpoint]: ...

    def legacy_endpoint(self, endpoint_id: str) -> LegacyEndpoint: ...

    def legacy_prices(self) -> Mapping[str, int]:
        """Cents an hour by the name that API has for hardware."""
        ...

    def stop_legacy(self, endpoint_id: str) -> LegacyEndpoint:
        """Tell it to stop; there is no way to start it again."""
        ...

    def delete_legacy(self, endpoint_id: str) -> None: ...


@runtime_checkable
class Training(Catalog, Protocol):
    """Trains models on files it was sent."""

    def file(self, file_id: str) -> RemoteFile: ...

    def delete_file(self, file_id: str) -> None:
        """Delete a file; one that is gone already is fine. Jobs that run have read it."""
        ...

    def upload_file(self, path: Path, *, purpose: str = ..., sha256: str | None = ..., on_progress: Sent = ...) -> str:
        """Send a file and let it be checked; its id. Calling again after a failure goes on, or finds it there.

        Raises FileChangedError when it is not or does not stay what `sha256` says, DataError when it cannot be read.
        """
        ...

    def preprocess(self, file_id: str) -> RemoteFile:
        """Let what was sent be checked."""
        ...

    def limits_of(self, model_name: str) -> ModelLimits:
        """Raises MissingError for what cannot be fine-tuned."""
        ...

    def estimate_price(self, request: JobRequest) -> PriceEstimate: ...

    def create_job(self, request: JobRequest) -> Job:
        """Start a job, once: one with that suffix and training file is returned as it is. Raises CreditError."""
        ...

    def find_job(self, request: JobRequest) -> Job | None: ...

    def job(self, job_id: str) -> Job: ...

    def jobs(self) -> Sequence[Job]: ...

    def cancel_job(self, job_id: str) -> Job:
        """Stop a job; the steps it has done are billed. One that is over already is shown as it is."""
        ...

    def delete_job(self, job_id: str) -> None:
        """Forget a job that is over; one that is gone already is fine. Its models stay."""
        ...

    def job_events(self, job_id: str) -> Sequence[JobEvent]: ...

    def job_metrics(self, job_id: str, *, since_step: int = 0) -> Sequence[Metrics]: ...

    def job_error(self, job: Job, events: Iterable[JobEvent] = ()) -> ReasoningError | None:
        """Why a job that is over has no result, to be shown; None for one that is completed, or goes on."""
        ...

    def download_job(
        self, job_id: str, path: Path, kind: Literal["merged", "adapter"] | None = None, on_progress: Received = ...
    ) -> int:
        """The result's weights as a file that appears when it is whole; its size in bytes."""
        ...


@runtime_checkable
class Uploading(Catalog, Protocol):
    """Takes weights, from an address or from here."""

    def create_model(self, name: str, base_model_id: str, kind: str) -> Model:
        """Make a record without weights; `kind` is `model` or `adapter`."""
        ...

    def find_model_record(self, name: str) -> Model | None: ...

    def delete_model(self, model_id: str) -> None: ...

    def uploads(self, model_id: str) -> Sequence[RemoteUpload]: ...

    def upload(self, upload_id: str) -> RemoteUpload: ...

    def create_upload(self, model_id: str, url: str, token: str | None) -> RemoteUpload:
        """Let the weights at `url` be fetched."""
        ...

    def model_files(self, model: Model, revision_id: str) -> Sequence[ModelFile]: ...

    def begin_files(self, model_id: str, files: Sequence[tuple[str, str, int]]) -> Sequence[FileLinks]:
        """Addresses for files of (path, hash, number of parts)."""
        ...

    def complete_files(self, model: Model, files: Sequence[SentFile]) -> str:
        """Make a revision of what was sent; its id."""
        ...

    def storage(self, connections: int) -> Storage: ...


@runtime_checkable
class Billing(Account, Protocol):
    """Shows its bill."""

    def billing_usage(self, month: str, granularity: str = "day") -> Sequence[UsageWindow]:
        """The bill of a month (`2026-11`) by `day` or `hour`. MissingError where it is not enabled."""
        ...


@runtime_checkable
class Documented(Account, Protocol):
    """Has an API whose documents can be held against its answers, as `doctor --live` does."""

    def read_everything(self) -> Reads:
        """Every route that is read, with what there is in the account; nothing is changed."""
        ...

    def arrays_understood(self, endpoint_id: str) -> str | None:
        """How a list in a query is understood, by the events of an endpoint; None where these do not tell."""
        ...

    def previewed(self, model: str, file_id: str) -> Answer:
        """How samples of a file would be read for a model; this and the next two as they are answered, refusals too.
        Raises RemoteError."""
        ...

    def named_again(self, name: str) -> Answer:
        """What comes of making an endpoint of a name that there is; one that is made is the caller's to delete."""
        ...

    def routed_nowhere(self, endpoint_id: str) -> Answer:
        """What comes of an endpoint's traffic being split among nobody."""
        ...

    def upload_at_once(self, name: str, content: bytes, purpose: str = "fine-tune") -> RemoteFile:
        """Send a small file in one request. Nothing asks for its check."""
        ...


@runtime_checkable
class Cloud(Hosting, Training, Uploading, Billing, LegacyHosting, Documented, Protocol):
    """Does it all."""
