"""Whether a service keeps to the interface: ours, the guide's example, and broken ones, each told what is wrong."""

from __future__ import annotations

import importlib.metadata
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli import ConfigurationError, DecisionService, ReasoningService, open_service
from reasoning_cli.testing import NotConforming, check_service
from tests.gateway.provider import Provider
from tests.library import own

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-service.md"


def example() -> Any:
    """The class of the guide's example."""
    [code] = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "own-service.md", "exec", dont_inherit=True), names)
    return names["RuleService"]


def findings(service: Callable[[], Any]) -> str:
    with pytest.raises(NotConforming) as raised:
        check_service(service)
    return str(raised.value)


def test_ours_conforms(model: Provider) -> None:
    assert issubclass(ReasoningService, DecisionService)
    check_service(ReasoningService.open)
    model.handler = own.nonsense
    check_service(ReasoningService.open)


def test_the_example_of_the_guide_conforms() -> None:
    check_service(example())


def test_broken_ones_are_told_what_is_wrong() -> None:
    rules = example()

    class AsksTwice(rules):
        def should_respond(self, conversation: Any, *, agent: str = "Agent", baseline: Any = None) -> Any:
            baseline and baseline([{"role": "user", "content": "once more"}])
            return super().should_respond(conversation, agent=agent, baseline=baseline)

    said = findings(AsksTwice)
    assert said.startswith("AsksTwice does not conform:\n- ")
    assert "the baseline of should_respond was asked 2 times, not once" in said

    class Invents(rules):
        def plan_response(self, conversation: Any, **options: Any) -> Any:
            result = super().plan_response(conversation, **options)
            return type(result)(**(vars(result) | {"actions": ["DANCE"], "confidence": 3}))

    said = findings(Invents)
    assert "actions of planning is ['DANCE'], and should be a tuple of one or more of REPLY, IGNORE" in said
    assert "confidence of planning is 3, and should be 0 to 1, or None" in said

    class Swallows(rules):
        def generate_code(self, prompt: str, *, baseline: Any = None, **options: Any) -> Any:
            try:
                return super().generate_code(prompt, baseline=baseline, **options)
            except Exception as error:
                raise ValueError("something went wrong") from error

    said = findings(Swallows)
    assert "the baseline of coding failed, and ValueError was raised in its place" in said
    assert "coding is disabled, without a baseline: ValueError was raised, and should be ReasoningError" in said


def test_what_goes_on_after_closing_and_what_is_missing_is_named() -> None:
    ended = threading.Event()

    class GoesOn(example()):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            threading.Thread(target=ended.wait, name="goes on", daemon=True).start()

    said = findings(GoesOn)
    ended.set()
    assert said.splitlines()[1:] == ["- after it was closed these threads go on: goes on"]
    assert (
        findings(object).splitlines()[1].startswith("- it lacks should_respond, plan_response, generate_code, enable")
    )
    assert "opening it raised ZeroDivisionError: division by zero" in findings(lambda: 1 / 0)


def test_a_package_brings_a_service_by_its_name(model: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Point:
        name: str

        def load(self) -> Any:
            return example()

    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [Point("acme")] * (group == "reasoning.services")
    )
    with open_service("acme") as service:
        assert service.should_respond([("Sam", "Nova?")], agent="Nova").decision == "RESPOND"
    with open_service() as ours:
        assert isinstance(ours, ReasoningService)
    with pytest.raises(ConfigurationError, match="`other` is not a service: there are reasoning, acme"):
        open_service("other")
