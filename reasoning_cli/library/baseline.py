"""What answers where the slot's model does not: a function or a client of the caller's, asked once, errors and all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reasoning_cli.decisions.answers import ACTIONS, ShouldRespondAnswer, render_answer
from reasoning_cli.errors import UsageError
from reasoning_cli.gateway.dialects import chat, messages
from reasoning_cli.gateway.dialects.forms import CapturedResponse, Unreadable

if TYPE_CHECKING:
    from reasoning_cli.gateway.decision_path import Request

_ANSWER_TOKENS = 4096  # of a client that wants to be told, as Anthropic's does


def asked(baseline: Any, request: Request, model: str | None) -> Any:
    """What the baseline answers, or an awaitable of it. Its exceptions pass through; UsageError for what is none."""
    said = request.body["messages"]
    if (completions := getattr(getattr(baseline, "chat", None), "completions", None)) is not None:
        return completions.create(model=_named(model), messages=said)
    if (create := getattr(getattr(baseline, "messages", None), "create", None)) is not None:
        system = request.asked.system
        return create(
            model=_named(model),
            max_tokens=request.asked.max_tokens or _ANSWER_TOKENS,
            messages=[message for message in said if message["role"] != "system"],
            **({"system": system} if system else {}),
        )
    if callable(baseline):
        return baseline(said)
    raise UsageError(
        f"a {type(baseline).__name__} is not a baseline",
        "a function of the messages, or a client of `openai` or `anthropic`",
    )


def _named(model: str | None) -> str:
    if model is None:
        raise UsageError(
            "a client has to be told which model answers", "`baseline_model=…` where the service is opened"
        )
    return model


def read(request: Request, answer: Any, model: str | None) -> CapturedResponse:
    """What a baseline gave: the text of an answer, or an answer of OpenAI's or Anthropic's API as object or mapping.
    Raises UsageError for anything else."""
    if isinstance(answer, str):
        return CapturedResponse(_whole(request, answer), model or request.asked.model or None, None, None)
    if not isinstance(answer, Mapping) and callable(dump := getattr(answer, "model_dump", None)):
        answer = dump()
    if isinstance(answer, Mapping):
        dialect = messages.DIALECT if answer.get("type") == "message" else chat.DIALECT
        try:
            return dialect.capture(dict(answer))
        except (Unreadable, AttributeError, TypeError, KeyError):
            pass
    raise UsageError(
        f"the baseline gave {type(answer).__name__}, which is not an answer",
        "it gives the text, or an answer of OpenAI's or Anthropic's API",
    )


def _whole(request: Request, text: str) -> str:
    """The answer as the prompt asks for it: whether to respond may be told by its word alone."""
    word = text.strip().upper()
    if request.named != "should_respond" or word not in ACTIONS:
        return text
    return render_answer(ShouldRespondAnswer("", "", word))
