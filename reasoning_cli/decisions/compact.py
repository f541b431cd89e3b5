"""The compact form of a decision's prompt: what the decision depends on, without the template's rules and the bio.

A fine-tuned model has the rules in its weights; what is left is who decides, what may be chosen, the conversation and
the message. Training and serving use this one function, so that a model is asked what it was trained on. The parts keep
the lines they are introduced by in the template, so whatever reads a prompt reads both forms, and the answer's format
does not change.
"""

from __future__ import annotations

import re

from reasoning_cli.decisions.prompts import (
    agent_name,
    available_actions,
    available_providers,
    compact_head,
    conversation,
    received_message,
)
from reasoning_cli.decisions.recognise import users_words

# The marks before each message, which say nothing about the decision: `09:15 (2 hours ago) [5a0a03a7-…] `.
_MARKS = re.compile(r"^\d\d:\d\d \([^()\n]{1,40}\) (?:\[[0-9a-fA-F-]{8,36}\] )?", re.MULTILINE)


def compact(model_type: str, prompt: str) -> str | None:
    """The compact form of a prompt; None when it lacks a part that the form needs.

    A request for code has no template around it: its compact form is what the user typed, without what the agent's
    program put beside it. A prompt that is compact already is its own.
    """
    if model_type == "coding":
        return users_words(prompt)
    if compact_head(prompt) is not None:
        return prompt
    name, said, received = agent_name(prompt), conversation(prompt), received_message(prompt)
    if name is None or said is None or received is None or not received.strip():
        return None
    parts = [f"# Decision for {name}: {model_type}\n"]
    if actions := available_actions(prompt):
        parts.append(f"\nPossible response actions: {', '.join(actions)}\n")
    if providers := available_providers(prompt):
        offered = "".join(f"- **{provider}**\n" for provider in providers)
        parts.append(f"\nThese providers are available for the agent to select and use:\n{offered}")
    parts.append(
        f"\n# Conversation Messages\n{_MARKS.sub('', said).rstrip()}\n"
        f"\n# Received Message\n{received.rstrip()}\n\n\n# Focus your response"
    )
    return "".join(parts)
