"""A decision as a person reads it: what was said, to whom, what was answered; without the template around it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reasoning_cli.decisions.answers import (
    Answer,
    CodingAnswer,
    PlanningAnswer,
    ShouldRespondAnswer,
    parse_response,
    strip_thinking,
)
from reasoning_cli.decisions.prompts import conversation, received_message, shape_of
from reasoning_cli.decisions.recognise import users_words

Parts = tuple[tuple[str, str], ...]

# `10:29 (5 minutes ago) [9af3f5b3-…] Alice: …`: the clock tells the age, and the id nothing.
_OPENING = re.compile(r"^(?P<clock>\d\d:\d\d )?(?:\([^()\n]{1,40}\) )?\[[\w-]{1,64}\] ?", re.MULTILINE)
_RECEIVED = re.compile(r"^# Received Message\n", re.MULTILINE)
_TASK = re.compile(r"\s*<task>(.{1,500}?)</task>")
_HEADING = "# Conversation Messages\n"


def message_of(model_type: str, prompt: str) -> str:
    """What the decision is about: the received message, for code the whole request.

    A prompt that marks none gives the last line of its conversation; of one without a conversation, such as for a post,
    the agent's task is all there is to say, and of any other text its end.
    """
    if model_type == "coding":
        return users_words(prompt).strip()
    received = received_message(prompt)
    if received is not None:
        return received.strip()
    if lines := talk_of(prompt):
        return lines[-1]
    task = _TASK.match(prompt)
    return task[1].strip() if task is not None else prompt.strip()[-500:]


def talk_of(prompt: str) -> tuple[str, ...]:
    """The lines of the conversation, the received message among them, without ids and ages."""
    text = conversation(prompt)
    if text is None:
        text = _RECEIVED.split(shape_of(prompt).removeprefix(_HEADING))[0]
    return tuple(line for line in _OPENING.sub(lambda found: found["clock"] or "", text).splitlines() if line.strip())


def parts_of(answer: Answer) -> Parts:
    """An answer's parts by name, those that are empty left out."""
    match answer:
        case ShouldRespondAnswer():
            parts = [("action", answer.action), ("reasoning", answer.reasoning)]
        case PlanningAnswer():
            parts = [
                ("actions", ", ".join(answer.actions)),
                ("providers", ", ".join(answer.providers)),
                ("thought", answer.thought),
                ("params", answer.params),
                ("text", answer.text),
            ]
        case CodingAnswer():
            parts = [("answer", answer.text)]
    return tuple((name, value) for name, value in parts if value)


def words_of(model_type: str, output: str) -> str:
    """What an answer says, for a search: without its tags, names of actions included; all of one nobody can read."""
    bare = strip_thinking(output)
    if model_type == "coding":
        return bare
    values = parse_response(bare)
    return "\n".join(_worth_finding(values)) if values else bare


def _worth_finding(values: dict[str, str]) -> Iterator[str]:
    for name, value in values.items():
        if value and name != "name" and not name.startswith("one_"):
            yield value
