"""A decision's text as the result that its caller asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from reasoning_cli.decisions.answers import (
    Answer,
    CodingAnswer,
    InvalidAnswer,
    PlanningAnswer,
    ShouldRespondAnswer,
    read_answer,
)
from reasoning_cli.decisions.quick_answers import quick_answer
from reasoning_cli.library.results import (
    CodingResult,
    DecisionResult,
    PlanningResult,
    ShouldRespondResult,
    UnusableAnswerError,
)

if TYPE_CHECKING:
    from reasoning_cli.gateway.decision_path import Request

_Kind = TypeVar("_Kind", bound=Answer)

_OURS = ("slot", "head")  # whose answers are read in the short form, too


def should_respond(request: Request, result: DecisionResult) -> ShouldRespondResult:
    """Raises UnusableAnswerError for a baseline's answer that says nothing of the kind."""
    answer = _read(request, result, ShouldRespondAnswer)
    return ShouldRespondResult(answer.action, answer.reasoning, **_facts(result))  # type: ignore[arg-type]


def plan(request: Request, result: DecisionResult) -> PlanningResult:
    """The same for a plan, which may name no more than the prompt offers."""
    answer = _read(request, result, PlanningAnswer)
    return PlanningResult(answer.thought, answer.actions, answer.providers, answer.text, **_facts(result))  # type: ignore[arg-type]


def code(request: Request, result: DecisionResult) -> CodingResult:
    """The same for code, of which an answer may have none."""
    answer = _read(request, result, CodingAnswer)
    return CodingResult(answer.code, answer.explanation, answer.language, answer.text, **_facts(result))  # type: ignore[arg-type]


def _read(request: Request, result: DecisionResult, kind: type[_Kind]) -> _Kind:
    model_type = result.model_type or ""
    answer: Answer | InvalidAnswer | None = quick_answer(model_type, result.text) if result.source in _OURS else None
    answer = answer or read_answer(model_type, request.asked.text, result.text)
    if isinstance(answer, kind):
        return answer
    why = answer.reason if isinstance(answer, InvalidAnswer) else "another kind of answer"
    raise UnusableAnswerError(
        f"the baseline's answer is of no use: {why}", "it was asked for what stands in the prompt", text=result.text
    )


def _facts(result: DecisionResult) -> dict[str, object]:
    return {
        "confidence": result.confidence,
        "source": result.source,
        "model": result.model,
        "latency_ms": result.latency_ms,
        "sample_id": result.sample_id,
    }
