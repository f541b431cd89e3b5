"""The questions of the wizard, answered key by key."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from reasoning_cli.terminal import prompts
from reasoning_cli.terminal.prompts import Choice, TerminalPrompter

DOWN, SPACE, ENTER, CTRL_C = "\x1b[B", " ", "\r", "\x03"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    """A keyboard; what is drawn is thrown away."""
    monkeypatch.setattr(prompts, "_stderr", DummyOutput)
    with create_pipe_input() as keyboard, create_app_session(input=keyboard):
        yield keyboard


CHOICES = [Choice("One", "1"), Choice("Two", "2", ticked=True), Choice("Three", "3")]


def test_a_text_is_stripped_and_may_be_the_default(keys: PipeInput) -> None:
    keys.send_text(f"  acme/x  {ENTER}")
    assert TerminalPrompter().text("Model:") == "acme/x"
    keys.send_text(ENTER)
    assert TerminalPrompter().text("Model:", "acme/y") == "acme/y"


def test_a_secret(keys: PipeInput) -> None:
    keys.send_text(f"tgp_v1_abc{ENTER}")
    assert TerminalPrompter().secret("Key:") == "tgp_v1_abc"


def test_one_of_several_starting_at_the_ticked_one(keys: PipeInput) -> None:
    keys.send_text(ENTER)
    assert TerminalPrompter().choose("Which?", CHOICES) == "2"
    keys.send_text(f"{DOWN}{ENTER}")
    assert TerminalPrompter().choose("Which?", CHOICES) == "3"


def test_some_of_several_starting_with_the_ticked_ones(keys: PipeInput) -> None:
    keys.send_text(f"{SPACE}{ENTER}")
    assert TerminalPrompter().tick("Which?", CHOICES) == ["1", "2"]


@pytest.mark.parametrize(("typed", "agreed"), [("y", True), ("n", False), (ENTER, True)])
def test_yes_or_no(typed: str, agreed: bool, keys: PipeInput) -> None:
    keys.send_text(typed)
    assert TerminalPrompter().confirm("Write?", default=True) is agreed


def test_ctrl_c_is_an_interrupt_not_an_answer(keys: PipeInput) -> None:
    asker = TerminalPrompter()
    for ask in (
        lambda: asker.text("?"),
        lambda: asker.secret("?"),
        lambda: asker.choose("?", CHOICES),
        lambda: asker.tick("?", CHOICES),
        lambda: asker.confirm("?"),
    ):
        keys.send_text(CTRL_C)
        with pytest.raises(KeyboardInterrupt):
            ask()


def test_questions_are_drawn_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with create_pipe_input() as keyboard, create_app_session(input=keyboard):
        keyboard.send_text(f"x{ENTER}")
        TerminalPrompter().text("Model of the planner:")
    assert (out.getvalue(), "Model of the planner:" in err.getvalue()) == ("", True)
