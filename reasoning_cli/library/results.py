"""What the library gives back, and what its errors are. Loads nothing heavy: whoever imports the library imports
this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from reasoning_cli.errors import DataError, ReasoningError, RemoteError

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

ModelType = Literal["should_respond", "planning", "coding"]
TYPES: tuple[ModelType, ...] = ("should_respond", "planning", "coding")
Source = Literal["slot", "head", "fallback", "original"]


class NoAnswerError(RemoteError):
    """The slot's model did not answer, and there is no baseline to ask. `reason` says why it did not, in few words."""

    def __init__(self, message: str, hint: str | None = None, *, reason: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class UnusableAnswerError(DataError):
    """The baseline answered something else than what was asked: `text` is that. It was recorded all the same."""

    def __init__(self, message: str, hint: str | None = None, *, text: str = "") -> None:
        super().__init__(message, hint)
        self.text = text


class ServiceClosedError(ReasoningError):
    """The service was closed, belongs to the process this one was forked from, or to another event loop."""


@dataclass(frozen=True)
class DecisionResult:
    """A decision as text.

    `text` is the answer in the form the prompt asks for; `decision` the few words it comes to (`RESPOND`, the actions,
    a language), None where nobody can read it. `source` is who answered: the slot's model, a head in line, the baseline
    after a model failed (`fallback`), or the baseline alone (`original`); `reason` says why. `confidence` is from 0 to
    1, None where the model tells none; `latency_ms` is what the caller waited. `sample_id` names the sample in the log,
    None where the type is not collected. `model_type` is None for a prompt that asks for none of the three: that one
    goes to the baseline, and is not recorded.
    """

    model_type: ModelType | None
    text: str
    decision: str | None
    source: Source
    reason: str
    model: str
    confidence: float | None
    latency_ms: int
    sample_id: str | None


@dataclass(frozen=True)
class ShouldRespondResult:
    """Whether the agent speaks: `decision` is RESPOND, IGNORE or STOP. The rest is as in `DecisionResult`."""

    decision: Literal["RESPOND", "IGNORE", "STOP"]
    reasoning: str
    confidence: float | None
    source: Source
    model: str
    latency_ms: int
    sample_id: str | None


@dataclass(frozen=True)
class PlanningResult:
    """What the agent does and says: at least one action, of those offered where any were. The rest is as in
    `DecisionResult`."""

    thought: str
    actions: tuple[str, ...]
    providers: tuple[str, ...]
    text: str
    confidence: float | None
    source: Source
    model: str
    latency_ms: int
    sample_id: str | None


@dataclass(frozen=True)
class CodingResult:
    """`code` is the first fenced block of the answer and may be empty, `explanation` what stands before it, `text` all
    of it. The rest is as in `DecisionResult`."""

    code: str
    explanation: str
    language: str
    text: str
    confidence: float | None
    source: Source
    model: str
    latency_ms: int
    sample_id: str | None


@dataclass(frozen=True)
class TypeStatus:
    """How one model type does.

    `share_percent` is what a canary answers. `off` says why no decision goes to the model now, None when it may; a
    `shadow` is asked and never answers. `samples` are those in the log; `by_model`, `by_fallback` and `by_original` how
    many decisions since this service was opened were answered so. `cents` is what the model cost this month as far as
    is known, exact; None for one that the ledger does not know. A head in line counts as a model; where it is the only
    one that may answer, `model`, `mode` and `share_percent` are its own.
    """

    model_type: ModelType
    enabled: bool
    mode: Literal["live", "canary", "shadow"]
    share_percent: int
    model: str | None
    off: str | None
    circuit: Literal["closed", "open", "half-open"]
    samples: int
    by_model: int
    by_fallback: int
    by_original: int
    cents: Decimal | None


@dataclass(frozen=True)
class ServiceStatus:
    """How the service does. `problem` is why settings could not be read again, None when they could."""

    types: tuple[TypeStatus, ...]
    profile: str | None
    sandbox: bool
    database: Path
    opened_at: datetime
    dropped: int
    problem: str | None

    def of(self, model_type: str) -> TypeStatus:
        """The status of one type. Raises KeyError."""
        for status in self.types:
            if status.model_type == model_type:
                return status
        raise KeyError(model_type)


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote: `written` samples into `files`; `left_out` and `redactions` are counts by why and kind."""

    files: tuple[Path, ...]
    manifest: Path | None
    written: int
    by_type: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    redactions: Mapping[str, int] = field(default_factory=dict)
