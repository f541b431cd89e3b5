"""What is trained: files, what a base allows, what a job would cost, and the job from its start to its result.

A job's `status` is `pending`, `queued`, `running`, one of `FINAL`, or a word of the engine's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

FINAL = ("completed", "cancelled", "error", "user_error")
Metrics = Mapping[str, float]  # of one step: `train/global_step`, `train/loss`, `eval/loss`, … an open set


class RemoteFile(Protocol):
    """A file as the engine has it. It can be trained on when it `is_ready`; `flaw` says why it is refused."""

    @property
    def id(self) -> str: ...

    @property
    def filename(self) -> str: ...

    @property
    def bytes(self) -> int: ...

    @property
    def created_at(self) -> datetime | None: ...

    @property
    def purpose(self) -> str: ...

    @property
    def processing_status(self) -> str | None: ...

    @property
    def is_ready(self) -> bool: ...

    @property
    def is_refused(self) -> bool: ...

    @property
    def is_checked(self) -> bool: ...

    @property
    def flaw(self) -> str: ...


class BatchLimits(Protocol):
    """Sizes of a batch."""

    @property
    def min_batch_size(self) -> int: ...

    @property
    def max_batch_size(self) -> int: ...

    @property
    def max_batch_size_dpo(self) -> int: ...


class LoraLimits(BatchLimits, Protocol):
    """The same for LoRA, with its ranks."""

    @property
    def default_rank(self) -> int | None: ...

    @property
    def max_rank(self) -> int: ...


class ModelLimits(Protocol):
    """What a base model can be trained with."""

    @property
    def model_name(self) -> str: ...

    @property
    def supports_full_training(self) -> bool: ...

    @property
    def max_seq_length_sft(self) -> int: ...

    @property
    def max_seq_length_dpo(self) -> int: ...

    @property
    def max_num_epochs(self) -> int: ...

    @property
    def max_num_evals(self) -> int: ...

    @property
    def min_learning_rate(self) -> float: ...

    @property
    def max_learning_rate(self) -> float: ...

    @property
    def lora_training(self) -> LoraLimits: ...

    @property
    def full_training(self) -> BatchLimits | None: ...


class PriceEstimate(Protocol):
    """What a job would cost, in dollars; nothing but the reason when it is not `available`.

    `allowed_to_proceed` False: credit or limit do not reach; None: nobody says.
    """

    @property
    def available(self) -> bool: ...

    @property
    def unavailable_reason(self) -> str | None: ...

    @property
    def total_price(self) -> Decimal | None: ...

    @property
    def train_tokens(self) -> float | None: ...

    @property
    def eval_tokens(self) -> float | None: ...

    @property
    def user_limit(self) -> Decimal | None: ...

    @property
    def allowed_to_proceed(self) -> bool | None: ...


class JobProgress(Protocol):
    """How long it still takes, where that is told."""

    @property
    def estimate_available(self) -> bool: ...

    @property
    def seconds_remaining(self) -> float: ...


class Job(Protocol):
    """A fine-tuning job, with the models it left in the registry (`…_object_…`).

    What has no price yet costs nothing yet.
    """

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def created_at(self) -> datetime | None: ...

    @property
    def started_at(self) -> datetime | None: ...

    @property
    def updated_at(self) -> datetime | None: ...

    @property
    def model(self) -> str | None: ...

    @property
    def suffix(self) -> str | None: ...

    @property
    def from_checkpoint(self) -> str | None: ...

    @property
    def training_file(self) -> str | None: ...

    @property
    def validation_file(self) -> str | None: ...

    @property
    def n_epochs(self) -> int | None: ...

    @property
    def epochs_completed(self) -> int | None: ...

    @property
    def queue_depth(self) -> int | None: ...

    @property
    def progress(self) -> JobProgress | None: ...

    @property
    def token_count(self) -> int | None: ...

    @property
    def model_output_name(self) -> str | None: ...

    @property
    def model_object_id(self) -> str | None: ...

    @property
    def model_object_name(self) -> str | None: ...

    @property
    def adapter_object_id(self) -> str | None: ...

    @property
    def adapter_object_name(self) -> str | None: ...

    @property
    def total_price(self) -> int | None:
        """In billionths of a dollar; None or 0 while it has none."""

    @property
    def cents(self) -> Decimal: ...

    @property
    def dollars(self) -> Decimal: ...

    @property
    def is_over(self) -> bool: ...

    @property
    def is_registered(self) -> bool:
        """Whether it left something that can be deployed."""


class JobEvent(Protocol):
    """Something that happened to a job; `type` is in lower case, and of an open set."""

    @property
    def type(self) -> str: ...

    @property
    def created_at(self) -> datetime | None: ...

    @property
    def message(self) -> str: ...

    @property
    def level(self) -> str | None: ...

    @property
    def step(self) -> int | None: ...

    @property
    def total_steps(self) -> int | None: ...

    @property
    def token_count(self) -> int | None: ...

    @property
    def checkpoint_path(self) -> str | None: ...


@dataclass(frozen=True)
class JobRequest:
    """What to train. Either `model` or `from_checkpoint` (a job's id or output name, `:STEP` after it if need be).

    The defaults are those of the vendor's own client; None leaves a member to the service. Training is LoRA unless
    `full`; `suffix` must be of this one job alone, for a job whose answer was lost is found by it.
    """

    training_file: str
    suffix: str
    model: str | None = None
    from_checkpoint: str | None = None
    validation_file: str | None = None
    n_epochs: int = 1
    n_evals: int = 0
    n_checkpoints: int = 1
    batch_size: int | Literal["max"] = "max"
    learning_rate: float | None = None  # None: 1e-5, which is little for LoRA
    warmup_ratio: float = 0.0
    weight_decay: float = 0.0
    max_seq_length: int | None = None
    packing: bool = True
    full: bool = False
    lora_r: int | None = None  # with None and `lora_alpha` None, all of LoRA is left to the service
    lora_alpha: int | None = None  # None: twice the rank
    lora_dropout: float = 0.0
    method: Literal["sft", "dpo"] = "sft"
    train_on_inputs: bool | Literal["auto"] = "auto"  # sft only
    dpo_beta: float | None = None
    random_seed: int | None = None
