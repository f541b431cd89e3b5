"""`models test`: a real decision, judged as the agent would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.decisions.recognise import recognise
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.conftest import Run
from tests.engines.together.service import KEY, Service, service


@pytest.fixture
def together(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        yield one


@pytest.mark.parametrize("model_type", EXAMPLES)
def test_the_built_in_examples_are_what_they_are_for(model_type: str) -> None:
    assert recognise(EXAMPLES[model_type]).model_type == model_type


@pytest.mark.parametrize("model_type", EXAMPLES)
def test_a_good_model_passes(together: Service, reasoning: Run, model_type: str) -> None:
    together.deploy(model_type)
    shown = reasoning("models", "test", model_type)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "a built-in example" in shown.stdout
    record = json.loads(reasoning("models", "test", model_type, "--json").stdout)
    assert (record["valid"], record["serving_name"]) == (True, f"sandbox/{model_type.replace('_', '-')}")
    assert record["prompt_tokens"] > 0 and record["completion_tokens"] > 0
    if model_type != "coding":
        assert record["decision"] == {"should_respond": "RESPOND", "planning": "REPLY"}[model_type]


def test_the_newest_decision_of_the_log_is_asked(together: Service, reasoning: Run) -> None:
    together.deploy()
    at = datetime(2026, 11, 1, tzinfo=UTC)
    prompt = EXAMPLES["planning"].replace("what can you help me with?", "stop it")
    sample = Sample(
        "one", at, "planning", "gpt-4o", "original", "gateway", prompt, "<response/>", system="You are Nova."
    )
    Samples(together.store).insert_many([sample])
    record = json.loads(reasoning("models", "test", "planning", "--json").stdout)
    assert (record["asked"], record["decision"]) == ("the newest sample", "IGNORE")
    (asked,) = [one for one in together.journal("POST") if one["path"].endswith("completions")][-1:]
    assert asked["body"]["messages"][0] == {"role": "system", "content": "You are Nova."}


def test_an_answer_the_agent_could_not_use_fails(together: Service, reasoning: Run, tmp_path: Path) -> None:
    together.deploy()
    file = tmp_path / "prompt.txt"
    file.write_text("hello")
    shown = reasoning("models", "test", "planning", "--prompt", file)
    assert (shown.exit_code, "INVALID" in shown.stdout, "no XML answer" in shown.stdout) == (1, True, True)
    record = json.loads(reasoning("models", "test", "planning", "--prompt", file, "--json").stdout)
    assert (record["valid"], record["decision"], record["answer"]) == (False, None, {"reason": "no XML answer"})


def test_what_cannot_be_asked_says_why(together: Service, reasoning: Run, tmp_path: Path) -> None:
    assert reasoning("models", "test", "planning").exit_code == 5
    together.deploy()
    missing = reasoning("models", "test", "planning", "--prompt", tmp_path / "none")
    assert (missing.exit_code, missing.stdout) == (1, "")
    together.stop(keep=True)
    stopped = reasoning("models", "test", "planning")
    assert (stopped.exit_code, "not being served" in stopped.stderr) == (1, True)
