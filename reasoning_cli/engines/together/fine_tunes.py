"""Fine-tuning jobs: what a model allows, what a job would cost, and the job itself from creation to its result."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reasoning_cli.engines import jobs as neutral
from reasoning_cli.engines.errors import BusyError, MissingError, UnreachableError
from reasoning_cli.engines.jobs import FINAL, JobRequest, Metrics
from reasoning_cli.engines.together.calls import Calls, read
from reasoning_cli.engines.together.connection import Json
from reasoning_cli.engines.together.downloads import Progress, download
from reasoning_cli.engines.together.fine_tune_requests import estimate_body, job_body
from reasoning_cli.errors import LimitError, ReasoningError, RemoteError

_NANO_DOLLARS_PER_CENT = 10_000_000
_DOLLARS = Decimal(1_000_000_000)
# The vendor's own client has two names for one event.
_SAME_EVENT = {"compressing_model": "model_compressing"}


def _lower(text: str) -> str:
    return text.lower()


def _event_type(text: str) -> str:
    return _SAME_EVENT.get(text.lower(), text.lower())


def _moment(value: object) -> datetime | None:
    """What is not a time with an offset is none: an event must not be lost for it."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _exact(value: object) -> object:
    """Dollars come as floats; the decimal that was meant is the one they are written as."""
    return str(value) if isinstance(value, float) else value


Open = Annotated[str, AfterValidator(_lower)]  # an open set of words, here always in lower case
Dollars = Annotated[Decimal, BeforeValidator(_exact)]


class _Shape(BaseModel):
    """v1 writes its members in snake case."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, defer_build=True, populate_by_name=True, protected_namespaces=()
    )


class BatchLimits(_Shape):
    """Of full training."""

    min_batch_size: int = 0
    max_batch_size: int = 0
    max_batch_size_dpo: int = 0


class LoraLimits(BatchLimits):
    default_rank: int | None = None
    max_rank: int = 0
    target_modules: tuple[str, ...] = ()


class ModelLimits(_Shape):
    """What a base model can be trained with. `full_training` says something only when `supports_full_training`."""

    model_name: str
    supports_full_training: bool = False
    supports_tools: bool = False
    supports_reasoning: bool = False
    supports_vision: bool = False
    max_seq_length_sft: int
    max_seq_length_dpo: int
    min_max_seq_length: int = 0
    max_num_epochs: int
    max_num_evals: int = 0
    max_num_checkpoints: int = 0
    min_learning_rate: float
    max_learning_rate: float
    default_gradient_accumulation_steps: int = 1
    merge_output_lora: bool = True
    lora_training: LoraLimits = Field(default_factory=LoraLimits)
    full_training: BatchLimits | None = None


class PriceEstimate(_Shape):
    """What a job would cost, in dollars; nothing but the reason when it is not `available`.

    `allowed_to_proceed` False: Together says that credit or limit do not reach; None: it does not say.
    """

    available: bool = Field(alias="estimation_available")
    unavailable_reason: Open | None = None
    total_price: Dollars | None = Field(None, alias="estimated_total_price")
    train_tokens: float | None = Field(None, alias="estimated_train_token_count")
    eval_tokens: float | None = Field(None, alias="estimated_eval_token_count")
    user_limit: Dollars | None = None
    allowed_to_proceed: bool | None = None


class JobProgress(_Shape):
    estimate_available: bool = False
    seconds_remaining: float = 0


class Job(_Shape):
    """A fine-tuning job. Lists leave out much of it, above all the models it left in the registry (`…_object_…`).

    What has no price yet costs nothing yet. `model_output_name` is of v1 and cannot be deployed.
    """

    id: str
    status: Open = ""  # pending, queued, running, compressing, uploading, cancel_requested, one of FINAL, or a new one
    created_at: datetime | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    model: str | None = None
    suffix: str | None = None
    from_checkpoint: str | None = None
    training_file: str | None = None
    validation_file: str | None = None
    n_epochs: int | None = None
    n_evals: int | None = None
    epochs_completed: int | None = None
    queue_depth: int | None = None
    progress: JobProgress | None = None
    token_count: int | None = None
    total_price: int | None = None  # billionths of a dollar
    model_output_name: str | None = None
    model_object_id: str | None = None
    model_object_name: str | None = None
    model_object_revision_id: str | None = None
    adapter_object_id: str | None = None
    adapter_object_name: str | None = None
    adapter_object_revision_id: str | None = None

    @property
    def cents(self) -> Decimal:
        return Decimal(self.total_price or 0) / _NANO_DOLLARS_PER_CENT

    @property
    def dollars(self) -> Decimal:
        return Decimal(self.total_price or 0) / _DOLLARS

    @property
    def is_over(self) -> bool:
        return self.status in FINAL

    @property
    def is_registered(self) -> bool:
        """Whether it left something that can be deployed."""
        return bool(self.model_object_id or self.adapter_object_id)


class JobEvent(_Shape):
    """Something that happened to a job; `type` is in lower case, and of an open set."""

    type: Annotated[str, AfterValidator(_event_type)] = ""
    created_at: Annotated[datetime | None, BeforeValidator(_moment)] = None
    message: str = ""
    level: Open | None = None
    step: int | None = None
    total_steps: int | None = None
    token_count: int | None = None
    checkpoint_path: str | None = None


class FineTunes(Calls):
    """The calls about fine-tuning jobs."""

    def limits_of(self, model_name: str) -> ModelLimits:
        """Raises MissingError for what cannot be fine-tuned."""
        path = "/v1/fine-tunes/models/limits"
        return read(ModelLimits, self._connection.request("GET", path, query={"model_name": model_name}))

    def estimate_price(self, request: JobRequest) -> PriceEstimate:
        """What that job would cost. It changes nothing, so a lost answer is asked for again."""
        path, body = "/v1/fine-tunes/estimate-price", estimate_body(request)
        try:
            return read(PriceEstimate, self._connection.request("POST", path, body=body))
        except (UnreachableError, BusyError):
            return read(PriceEstimate, self._connection.request("POST", path, body=body))

    def create_job(self, request: JobRequest) -> Job:
        """Start a job, once: one with that suffix and training file is returned as it is, also after a lost answer.

        Raises CreditError when Together wants money first, and the other errors of `engines.errors`.
        """
        there = self.find_job(request)
        if there is not None:
            return there
        return self._create(Job, "/v1/fine-tunes", job_body(request), lambda: self.find_job(request))

    def find_job(self, request: JobRequest) -> Job | None:
        """The job that was made of `request`, if there is one."""
        wanted = request.suffix, request.training_file
        return next((job for job in self.jobs() if (job.suffix, job.training_file) == wanted), None)

    def job(self, job_id: str) -> Job:
        return read(Job, self._connection.request("GET", f"/v1/fine-tunes/{job_id}"))

    def jobs(self) -> list[Job]:
        """Every job of the account."""
        return [read(Job, item) for item in self._data("/v1/fine-tunes")]

    def cancel_job(self, job_id: str) -> Job:
        """Stop a job; the steps it has done are billed. One that is over already is told as it is."""
        try:
            return read(Job, self._connection.request("POST", f"/v1/fine-tunes/{job_id}/cancel"))
        except MissingError:
            raise
        except ReasoningError as problem:
            if isinstance(problem, UnreachableError) and not problem.maybe_done:
                raise
            found = self.job(job_id)
            if found.is_over or found.status == "cancel_requested":
                return found
            raise

    def delete_job(self, job_id: str) -> None:
        """Forget a job that is over; one that is gone already is fine. Its models stay."""
        self._delete(f"/v1/fine-tunes/{job_id}")

    def job_events(self, job_id: str) -> list[JobEvent]:
        """All of them, oldest first; those of no known time stay where they came."""
        events = [read(JobEvent, item) for item in self._data(f"/v1/fine-tunes/{job_id}/events")]
        if all(event.created_at for event in events):
            events.sort(key=lambda event: event.created_at.timestamp() if event.created_at else 0)
        return events

    def job_metrics(self, job_id: str, *, since_step: int = 0) -> list[Metrics]:
        """What was measured, step by step, from `since_step` on."""
        query: dict[str, str | int] | None = {"global_step_from": since_step} if since_step else None
        found = self._data(f"/v1/fine-tunes/{job_id}/metrics", query, "metrics")
        return [
            {name: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
            for metrics in found
        ]

    def job_error(self, job: neutral.Job, events: Iterable[neutral.JobEvent] = ()) -> ReasoningError | None:
        """What `error_of` says of it."""
        return error_of(job, events)

    def download_job(
        self,
        job_id: str,
        path: Path,
        kind: Literal["merged", "adapter"] | None = None,
        on_progress: Progress = lambda received, total: None,
    ) -> int:
        """The result's weights (tar, packed with zstd) as a file that appears when it is whole; its size in bytes.

        What breaks off is gone on with. Raises DataError when it cannot be written, and the errors of `engines.errors`.
        """
        query: dict[str, str | int] = {"ft_id": job_id, **({"checkpoint": kind} if kind else {})}
        return download(self._connection, "/v1/finetune/download", query, path, on_progress)

    def _data(self, path: str, query: dict[str, str | int] | None = None, member: str = "data") -> Iterable[Json]:
        data = self._connection.request("GET", path, query=query).get(member)
        return [item for item in (data if isinstance(data, list) else []) if isinstance(item, dict)]


def error_of(job: neutral.Job, events: Iterable[neutral.JobEvent] = ()) -> ReasoningError | None:
    """Why a job that is over has no result, as an error to be shown; None for one that is completed, or goes on.

    A completed job whose result never reached the registry is a trouble as well.
    """
    events = list(events)
    bad = [event for event in events if event.type in ("job_error", "job_user_error") or event.level in ("error",)]
    said = f": {bad[-1].message}" if bad and bad[-1].message else ""
    limit = next((event for event in reversed(events) if event.type == "billing_limit"), None)
    if job.status == "completed":
        if job.is_registered:
            return None
        return RemoteError(
            f"`{job.id}` is completed, but registration failed: it left no model that can be deployed",
            "run the job again, or download its result and upload that",
        )
    if job.status in FINAL and limit is not None:
        return LimitError(
            f"Together stopped `{job.id}` at the account's spending limit: {limit.message}",
            "raise the limit or add credit at together.ai, then start again",
        )
    match job.status:
        case "cancelled":
            return ReasoningError(f"`{job.id}` was cancelled; the steps it had done are billed")
        case "user_error":
            return ReasoningError(f"Together refused what `{job.id}` was to be trained on, or with{said}")
        case "error":
            return RemoteError(f"`{job.id}` failed at Together{said}", "start it again: it was not your doing")
    return None
