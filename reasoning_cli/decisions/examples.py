"""A small prompt of each decision, as an ElizaOS agent would send it: to ask a model before there is a log."""

from __future__ import annotations

from reasoning_cli.decisions.compose import Message, compose

_ASKED = (Message("Sam", "Nova, what can you help me with?"),)

EXAMPLES: dict[str, str] = {
    "should_respond": compose("should_respond", "Nova", _ASKED),
    "planning": compose("planning", "Nova", _ASKED, actions=("REPLY", "IGNORE")),
    "coding": "Write a Python function that returns the first number of a list below a limit, or None.",
}
