"""Python elizaOS 2.0, the runtime itself, at each of its validation levels: no message unanswered because of us.

`benchmarks/eliza_py_agent.py` tries more messages, in shadow too, at every level and way.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway import eliza_py
from tests.gateway.eliza_py import Answer
from tests.gateway.serving import served
from tests.waiting import until

MESSAGES = (("GROUP", "Hi Nova! Who are you?"), ("DM", "Write a function. <b>x</b> & y ✨"), ("GROUP", eliza_py.QUOTED))
MODEL_SAYS = "Hello from the model ✨ <3"


@pytest.fixture(scope="module")
def python() -> Path:
    return eliza_py.python()


@pytest.mark.parametrize("level", eliza_py.LEVELS)
@pytest.mark.parametrize("slots", [False, True], ids=["original", "slot"])
def test_no_message_goes_unanswered(python: Path, tmp_path: Path, level: str, slots: bool) -> None:
    with served(tmp_path, slots=slots) as gateway:
        gateway.original.handler = eliza_py.original
        answer = Answer(True, MODEL_SAYS if slots else eliza_py.ORIGINAL_SAYS)
        assert eliza_py.run_agent(python, gateway.url, level, "whole", MESSAGES) == [answer] * len(MESSAGES)
        samples = gateway.samples(len(MESSAGES))
        source = "slot" if slots else "original"
        assert [(sample.model_type, sample.source) for sample in samples] == [("planning", source)] * len(MESSAGES)
        until(lambda: gateway.gateway.figures.in_flight == 0, "the end of all calls")
        # And nothing was asked twice.
        assert len(gateway.original.asked("chat")) == (0 if slots else len(MESSAGES))


@pytest.mark.parametrize("slots", [False, True], ids=["original", "slot"])
def test_an_answer_that_the_runtime_validates_while_it_streams_goes_through_whole(
    python: Path, tmp_path: Path, slots: bool
) -> None:
    with served(tmp_path, slots=slots) as gateway:
        gateway.original.handler = eliza_py.original
        said = MODEL_SAYS if slots else eliza_py.ORIGINAL_SAYS
        answers = eliza_py.run_agent(python, gateway.url, "strict", "validated", MESSAGES)
        assert [(answer.answered, answer.text) for answer in answers] == [(True, said)] * len(MESSAGES)
        assert all(answer.chunks for answer in answers), "the runtime let them through while they came"
        assert [sample.source for sample in gateway.samples(len(MESSAGES))] == (
            ["slot" if slots else "original"] * len(MESSAGES)
        )


def test_an_answer_that_the_runtime_passes_on_as_it_comes_is_the_models(python: Path, tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        answers = eliza_py.run_agent(python, gateway.url, "default", "streamed", MESSAGES)
        assert all("<text>Hello from the model ✨ &lt;3</text>" in (answer.text or "") for answer in answers)
        assert not gateway.original.asked("chat")
