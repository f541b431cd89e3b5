"""From the log to a better model by the commands as they are typed: what is better comes in, what is worse does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.train.runs import TrainingRuns
from tests.commands.town import Town, log_file, town
from tests.conftest import SHARED, Run
from tests.engines.together.service import MODELS, Service

WEAK = MODELS["should_respond"]
RECORDED = SHARED / "traffic" / "elizaos-logs.jsonl"


@pytest.fixture
def agents(still: Service, home: Path, session_facts: dict[str, object]) -> Iterator[Town]:
    still.behave(file_check_seconds=5, queue_seconds=5, training_seconds=60, saving_seconds=5)
    with town(still, home) as one:
        session_facts["sleep"] = one.pause
        yield one


@pytest.fixture
def typed(reasoning: Run, agents: Town) -> Run:
    """A command that must end well."""

    def run(*arguments: object, **more: Any) -> Any:
        done = reasoning(*arguments, **more)
        assert done.exit_code == 0, (arguments, done.stdout, done.stderr)
        return done

    return run


def trained(agents: Town) -> str:
    run = TrainingRuns(agents.service.store).latest("should_respond")
    assert run is not None
    assert run.model_name is not None
    return run.model_name


def serving(agents: Town) -> str | None:
    deployments = Deployments(agents.service.store)
    record = deployments.get(deployments.serving("should_respond") or "")
    return record.model_name if record is not None else None


def put_in_slot(typed: Run, *, model: str = "should-respond") -> None:
    typed("models", "deploy", model, "--as", "should-respond", "--yes")
    typed("models", "enable", "should-respond", "--mode", "shadow")


def test_the_tuned_model_beats_the_weak_one_and_takes_over(
    agents: Town, typed: Run, tmp_path: Path, reasoning: Run
) -> None:
    typed("data", "import", log_file(tmp_path, 600, seed=1))
    if RECORDED.exists():  # what a real agent decided belongs to it, too
        typed("data", "import", RECORDED)
    put_in_slot(typed)
    agents.ask(100)
    weak = json.loads(typed("train", "compare", "should-respond", "--json").stdout)
    assert (weak["model"], weak["verdict"]) == (WEAK, "worse")
    assert weak["questions"][0]["estimate"] == pytest.approx(0.56, abs=0.15)
    agents.decisions_a_pause = 0
    typed("train", "start", "should-respond", "--split", "0.75/0.25", "--yes")
    model = trained(agents)
    typed("models", "deploy", model, "--as", "should-respond", "--canary", "0", "--yes")
    report = json.loads(
        typed("train", "eval", "should-respond", "--model", model, "--model", "should-respond", "--json").stdout
    )
    assert report["leaked"] == 0
    (difference,) = [one for one in report["differences"] if one["metric"] == "accuracy"]
    assert (difference["one"], difference["verdict"]) == (model, "better"), difference
    assert difference["figure"]["low"] > 0.15, difference
    agents.decisions_a_pause = 25
    seen = []

    def compare() -> None:
        going = Promotions(agents.service.store).going("should_respond")
        if going is not None and going.step == 1 and not seen:
            seen.append(json.loads(typed("train", "compare", "should-respond", "--json").stdout))

    agents.on_pause = compare
    promoted = typed("train", "promote", "should-respond", "--yes")
    assert promoted.stdout.endswith(f"{model} answers should-respond.\n")
    assert serving(agents) == model
    assert agents.agent.failed == 0
    (live,) = seen
    assert (live["model"], live["verdict"]) == (model, "better"), live
    history = json.loads(typed("train", "history", "should-respond", "--json").stdout)
    assert [one["model"] for one in history if one["state"] == "promoted"] == [model]
    assert len(agents.service.deployments()) == 1
    typed("models", "undeploy", "--all", "--yes")
    assert agents.service.deployments() == []


def test_one_that_learned_from_wrong_answers_is_refused_at_the_gate(
    agents: Town, typed: Run, tmp_path: Path, reasoning: Run
) -> None:
    agents.decisions_a_pause = 0
    typed("data", "import", log_file(tmp_path, 250, seed=2, answers="wrong", days_ago=3))
    typed("train", "start", "should-respond", "--split", "none", "--yes")
    typed("data", "import", log_file(tmp_path, 200, seed=3))
    put_in_slot(typed)
    model = trained(agents)
    typed("models", "deploy", model, "--as", "should-respond", "--canary", "0", "--yes")
    typed("train", "eval", "should-respond", "--model", model, "--model", "should-respond")
    refused = reasoning("train", "promote", "should-respond", "--yes")
    assert refused.exit_code == 6
    assert f"error: `{model}` is not promoted to should-respond:" in refused.stderr
    assert "decides as the original" in refused.stderr
    assert serving(agents) == WEAK
    assert Promotions(agents.service.store).all() == []


def test_two_that_toss_coins_are_told_apart_by_nobody(agents: Town, typed: Run, tmp_path: Path, reasoning: Run) -> None:
    agents.decisions_a_pause = 0
    models = []
    for seed, days_ago in ((5, 6.0), (6, 3.0)):
        typed("data", "import", log_file(tmp_path, 120, seed=seed, answers="coin", days_ago=days_ago))
        since = (datetime.now(UTC) - timedelta(days=days_ago + 1)).date()
        typed("train", "start", "should-respond", "--split", "none", "--since", since, "--yes")
        models.append(trained(agents))
        if len(models) == 1:
            put_in_slot(typed, model=models[0])
    typed("models", "deploy", models[1], "--as", "should-respond", "--canary", "0", "--yes")
    typed("data", "import", log_file(tmp_path, 150, seed=7))
    one, other = models
    asked = ("train", "eval", "should-respond", "--model", other, "--model", one, "--limit", "150", "--json")
    report = json.loads(typed(*asked).stdout)
    (difference,) = [found for found in report["differences"] if found["metric"] == "accuracy"]
    assert difference["verdict"] == "not known", difference
    assert difference["figure"]["low"] < 0 < difference["figure"]["high"]
    assert reasoning("train", "promote", "should-respond", "--yes").exit_code == 6
    assert serving(agents) == one


def test_a_weak_model_that_answers_live_gives_way_to_a_better_one(agents: Town, typed: Run, tmp_path: Path) -> None:
    """The two often decide otherwise, since one is often wrong: that must not send the better one back."""
    agents.decisions_a_pause = 0
    typed("data", "import", log_file(tmp_path, 400, seed=8))
    put_in_slot(typed)
    typed("models", "enable", "should-respond", "--mode", "live")
    typed("train", "start", "should-respond", "--split", "0.6/0.4", "--yes")
    model = trained(agents)
    typed("models", "deploy", model, "--as", "should-respond", "--canary", "0", "--yes")
    typed("train", "eval", "should-respond", "--model", model, "--model", "should-respond")
    agents.decisions_a_pause = 25
    typed("train", "promote", "should-respond", "--yes")
    assert serving(agents) == model
    assert agents.agent.failed == 0
