"""A slot at an engine of another package that only a connection asks: the gateway asks it in threads."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.operations.deploy.own_server import OwnServer
from tests.engines.third_party import install
from tests.gateway.canned import MODEL_SAYS
from tests.gateway.serving import Served
from tests.gateway.test_own_servers import ask, reasons
from tests.waiting import until

# By the name of its model it answers well, waits to be let go, breaks, or knows no such model.
SOURCE = """
import threading
from dataclasses import dataclass

from reasoning_cli.engines.errors import MissingError, UnreachableError
from reasoning_cli.engines.features import Feature

GO, ASKED = threading.Event(), []


@dataclass(frozen=True)
class Said:
    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 7
    completion_tokens: int = 3
    tells_probabilities: bool = False


class Client:
    def close(self):
        pass

    def chat(self, model, messages, *, max_tokens, probabilities=False):
        ASKED.append((model, messages[-1]["content"], max_tokens))
        if model == "slow":
            GO.wait(60)
        if model == "broken":
            raise ZeroDivisionError("a fault of its own")
        if model == "away":
            raise UnreachableError("nobody answers", maybe_done=False)
        if model == "missing":
            raise MissingError("no such model")
        return Said(SAYS, "length" if model == "cut" else "stop")


class Acme:
    name, title, features = NAME, "Acme", frozenset({Feature.ANSWER})

    def address(self, access):
        return None

    def connect(self, access):
        return Client()


ENGINE = Acme()
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of an engine that is installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "acme", SOURCE.replace("SAYS", repr(MODEL_SAYS["should_respond"])), package="acme_waits")
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("acme_waits")
    sys.modules.pop("acme_waits", None)


def put(gateway: Served, model: str, **changes: object) -> None:
    server = OwnServer("should_respond", "", None, model, 512, engine="acme")
    slot = {"own_server": True, "deployment_key": None, "url": "", "model": model, "connection": server}
    gateway.change("should_respond", **slot | changes)


def test_it_answers_and_its_tokens_are_counted(gateway: Served, acme: Any) -> None:
    put(gateway, "m")
    assert ask(gateway) == "slot"
    ((model, prompt, most),) = acme.ASKED
    assert (model, prompt.startswith("<task>"), most > 0) == ("m", True, True)
    (sample,) = gateway.samples(1)
    assert (sample.source, sample.prompt_tokens, sample.completion_tokens) == ("slot", 7, 3)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("broken", "not an answer of a model"),
        ("away", "unreachable: Unreachable"),
        ("missing", "refused: MissingError"),
        ("cut", "invalid: cut at the token limit"),
    ],
)
def test_whatever_it_raises_the_baseline_answers(gateway: Served, acme: Any, model: str, why: str) -> None:
    put(gateway, model)
    assert ask(gateway) == "original"
    assert reasons(gateway) == {why: 1}


def test_a_question_that_is_too_late_counts_until_the_engine_is_through(gateway: Served, acme: Any) -> None:
    put(gateway, "slow", deadline_seconds=0.3, parallel=1)
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"too late": 1}
    put(gateway, "m", parallel=1)
    assert ask(gateway) == "original"
    assert reasons(gateway, "original") == {"its server has as many questions as it takes": 1}
    assert threading.active_count() < 50
    acme.GO.set()
    until(lambda: ask(gateway) == "slot", "the engine's next answer")
