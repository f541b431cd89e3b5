"""Whose names a prompt holds, and whom nobody can make it break with."""

from __future__ import annotations

import pytest

from reasoning_cli.decisions.people import people_of
from reasoning_cli.decisions.prompts import available_actions, received_message
from reasoning_cli.decisions.recognise import recognise
from reasoning_cli.redaction.redactor import Redactor
from tests.redaction.test_redactor import PROMPT


def named(name: str) -> str:
    return PROMPT.replace("Alice: ", f"{name}: ").replace('"Alice" aka "alice"', f'"{name}" aka "al", "A. Liddell"')


def test_speakers_and_listed_people_but_not_the_agent() -> None:
    assert people_of(PROMPT.format(message="hi")) == ("Alice", "alice")
    assert people_of(named("Zoë 田中").format(message="hi")) == ("Zoë 田中", "al", "A. Liddell")
    assert "Nova" not in people_of(named("Nova").format(message="hi"))
    assert people_of("write a function") == ()


@pytest.mark.parametrize(
    "name", ["task", "RESPOND", "REPLY", "response", "Received Message", "Decide", "Focus", "providers", "name", "42"]
)
def test_who_is_called_like_the_template_keeps_the_name(name: str) -> None:
    prompt = named(name).format(message="hi")
    names = people_of(prompt)
    assert name not in names
    redacted = Redactor(b"salt").redact(prompt, names)
    assert recognise(redacted) == recognise(prompt)
    assert available_actions(redacted) == available_actions(prompt)
    assert received_message(redacted) == f"{name}: hi"
