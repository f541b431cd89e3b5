"""What both services have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from reasoning_cli.library.results import NoAnswerError

if TYPE_CHECKING:
    from reasoning_cli.gateway.log.capture import Decision

Mode = Literal["live", "canary", "shadow"]


def no_answer(decision: Decision | None) -> NoAnswerError:
    """The error of a decision that the slot's model did not answer, where no baseline is."""
    if decision is None:
        return NoAnswerError(
            "the prompt asks for no decision of ours",
            "name its `model_type`, or pass `baseline=…`",
            reason="no decision",
        )
    from reasoning_cli.gateway.decision_path import reason_of
    from reasoning_cli.values import spell_model_type

    name, reason = spell_model_type(decision.route.recognition.model_type or ""), reason_of(decision)
    return NoAnswerError(
        f"no model answered {name}: {reason}", "pass `baseline=…`; see `reasoning models status`", reason=reason
    )
