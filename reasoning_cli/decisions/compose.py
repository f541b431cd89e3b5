"""A decision's prompt for whoever has no template: what an ElizaOS agent would send, without its rules and bio.

The lines that introduce each part are the template's own, so a prompt made here is recognised, shown and made compact
like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_NOW = "12:00"  # of a message that tells no time: no decision depends on it

_HEADS = {
    "should_respond": (
        "<task>Decide on behalf of {agent} whether they should respond to the message, ignore it or stop the"
        " conversation.</task>"
    ),
    "planning": "<task>Generate dialog and actions for the character {agent}.</task>",
}
_INSTRUCTIONS = {
    "should_respond": "Decide if {agent} should respond to the message, ignore it, or stop.",
    "planning": "Write a thought and plan for {agent}, and the text of its reply.",
}
_KEYS = {
    "should_respond": (
        ("name", "{agent}"),
        ("reasoning", "Your reasoning here"),
        ("action", "RESPOND | IGNORE | STOP"),
    ),
    "planning": (
        ("thought", "Your thought here"),
        ("actions", "ACTION1,ACTION2"),
        ("providers", "PROVIDER1"),
        ("text", "Your reply here"),
    ),
}


@dataclass(frozen=True)
class Message:
    """One message of a conversation: who said what; `entity_id` is the agent's own id of that person."""

    name: str
    text: str
    entity_id: str | None = None
    at: datetime | None = None


def compose(
    model_type: str,
    agent: str,
    conversation: Sequence[Message],
    *,
    actions: Sequence[str] = (),
    providers: Sequence[str] = (),
) -> str:
    """The prompt of a `should_respond` or `planning` decision about the last message of a conversation, which has one
    at least. A plan may name the `actions` and `providers` alone, where there are any."""
    received = f"{conversation[-1].name}: {conversation[-1].text}"
    said = "\n".join(map(_line, conversation))
    offered = f"\nPossible response actions: {', '.join(actions)}\n" if actions else ""
    if providers:
        listed = "".join(f"- **{provider}**\n" for provider in providers)
        offered += f"\nThese providers are available for the agent to select and use:\n{listed}"
    keys = "".join(f"    <{key}>{wanted}</{key}>\n" for key, wanted in _KEYS[model_type])
    return (
        f"{_HEADS[model_type].format(agent=agent)}\n"
        f"{offered}"
        f"\n<providers>\n# Conversation Messages\n{said}\n\n# Received Message\n{received}\n\n\n"
        f"# Focus your response\nYou are replying to the above message from **{conversation[-1].name}**.\n"
        "</providers>\n"
        f"\n<instructions>{_INSTRUCTIONS[model_type].format(agent=agent)}</instructions>\n"
        "\n<output>\nRespond using XML format like this:\n"
        f"<response>\n{keys.replace('{agent}', agent)}</response>\n</output>"
    )


def _line(message: Message) -> str:
    whose = f"[{message.entity_id}] " if message.entity_id else ""
    clock = message.at.strftime("%H:%M") if message.at is not None else _NOW
    return f"{clock} (just now) {whose}{message.name}: {message.text}"
