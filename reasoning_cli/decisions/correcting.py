"""The answer a person puts in the place of a model's: whole, in its canonical form, or by another decision alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from reasoning_cli.decisions.answers import (
    ACTIONS,
    Answer,
    InvalidAnswer,
    PlanningAnswer,
    ShouldRespondAnswer,
    read_answer,
    render_answer,
)
from reasoning_cli.decisions.prompts import agent_name, available_actions

# The reason that was given speaks for the decision that was given; beside another one it would teach nonsense.
_REASONS = {
    "RESPOND": "The message is for {name}.",
    "IGNORE": "The message is not for {name}.",
    "STOP": "{name} is asked to stop.",
}


def canonical(model_type: str, prompt: str, text: str) -> str | InvalidAnswer:
    """An answer as it is kept and trained on; InvalidAnswer when the agent could not use it."""
    answer = read_answer(model_type, prompt, text)
    return answer if isinstance(answer, InvalidAnswer) else render_answer(answer)


def decisions_for(model_type: str, prompt: str) -> tuple[str, ...]:
    """What could have been decided: RESPOND, IGNORE, STOP, or the actions the prompt offers; none for coding."""
    match model_type:
        case "should_respond":
            return ACTIONS
        case "planning":
            return available_actions(prompt)
    return ()


def with_decision(model_type: str, prompt: str, output: str, decision: str) -> str | InvalidAnswer:
    """The answer with another decision (for a plan one action or more, after commas) in its canonical form.

    A plan keeps its thought and its text, except that who ignores says nothing. An answer that could not be read can
    be given a decision whether to respond, but no plan.
    """
    answer = read_answer(model_type, prompt, output)
    chosen = tuple(part.strip() for part in decision.split(",") if part.strip())
    if model_type == "should_respond":
        changed: Answer | None = _respond(prompt, answer, chosen)
    elif model_type == "planning" and isinstance(answer, PlanningAnswer):
        changed = _plan(answer, tuple(_offered(name, available_actions(prompt)) for name in chosen))
    elif model_type == "planning":
        return InvalidAnswer("the plan cannot be read: write the whole answer")
    else:
        return InvalidAnswer("an answer with code has no decision: write the whole answer")
    if changed is None or not chosen:
        return InvalidAnswer("action is none of RESPOND, IGNORE, STOP" if chosen else "no actions")
    return canonical(model_type, prompt, render_answer(changed))


def _respond(prompt: str, answer: Answer | InvalidAnswer, chosen: tuple[str, ...]) -> ShouldRespondAnswer | None:
    action = chosen[0].upper() if len(chosen) == 1 else ""
    if action not in ACTIONS:
        return None
    if isinstance(answer, ShouldRespondAnswer):
        name = answer.name or agent_name(prompt) or ""
        if answer.action == action:
            return answer
    else:
        name = agent_name(prompt) or ""
    return ShouldRespondAnswer(name, _REASONS[action].format(name=name or "the agent"), action)


def _plan(answer: PlanningAnswer, actions: tuple[str, ...]) -> PlanningAnswer:
    if actions == ("IGNORE",):
        return replace(answer, actions=actions, providers=(), text="", params="")
    return replace(answer, actions=actions, params="" if actions != answer.actions else answer.params)


def _offered(name: str, offered: Collection[str]) -> str:
    """An action as the prompt spells it."""
    return next(
        (action for action in offered if action.lower().replace("_", "") == name.lower().replace("_", "")), name
    )
