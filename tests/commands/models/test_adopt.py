"""What was not made from here, as it is typed: seen, taken over, and stopped only by its own name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.store.deploy.deployments import Deployments
from tests.conftest import Run
from tests.engines.together.service import KEY, MODELS, Service, service


@pytest.fixture
def theirs(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A project in which somebody else's model has been running for two hours."""
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
        one.ask("POST", "/_sandbox/endpoints", {"name": "old-test", "model": "Qwen/Qwen3-8B"})
        one.advance(7200)
        yield one


def listed(reasoning: Run) -> list[dict[str, Any]]:
    shown = reasoning("models", "list", "--all", "--json")
    assert shown.exit_code == 0, shown.stderr
    records: list[dict[str, Any]] = json.loads(shown.stdout)
    return records


def test_what_is_not_ours_is_listed_with_what_it_cost_so_far(theirs: Service, reasoning: Run) -> None:
    assert [one["name"] for one in json.loads(reasoning("models", "list", "--json").stdout)] == list(MODELS)
    *slots, other = listed(reasoning)
    assert [one["ours"] for one in slots] == [True] * 3
    (cents,) = theirs.metered().values()
    assert (other["name"], other["ours"], other["state"]) == ("old-test", False, "READY")
    assert (other["model"], other["burn_cents_per_hour"]) == ("Qwen/Qwen3-8B", 549)
    assert abs(other["cost_cents"] - cents) <= 1
    shown = reasoning("models", "list", "--all")
    assert "old-test        not ours  READY  $5.49" in shown.stdout
    assert "hint: not ours costs $5.49 an hour; stop one by its name: `reasoning models stop old-test`" in shown.stderr
    assert Deployments(theirs.store).all() == [], "a look takes nothing over"


@pytest.mark.parametrize("name", ["old-test", "sandbox/old-test", "endpoint", "deployment"])
def test_adopted_it_serves_a_slot_and_counts_from_now_on(theirs: Service, reasoning: Run, name: str) -> None:
    (made,) = theirs.deployments()
    name = {"endpoint": made["endpointId"], "deployment": made["id"]}.get(name, name)
    (before,) = theirs.metered().values()
    done = reasoning("models", "adopt", name, "--as", "planning", "--yes")
    assert (done.exit_code, done.stdout) == (0, "old-test is ours now, as planning (READY).\n")
    theirs.advance(3600)
    status = json.loads(reasoning("models", "status", "--json").stdout)
    assert (status[1]["serving_name"], status[1]["cost_cents"]) == ("sandbox/old-test", 549)
    (usage,), (after,) = theirs.usage().values(), theirs.metered().values()
    assert usage.low_cents == usage.high_cents
    assert abs(usage.cents - (after - before)) < Decimal(1)
    assert [one["ours"] for one in listed(reasoning)] == [True] * 3
    theirs.run_clock()
    assert reasoning("models", "undeploy", "planning", "--yes").exit_code == 0
    assert theirs.endpoints() == []


def test_adoption_asks_and_passes_the_budget(theirs: Service, reasoning: Run) -> None:
    asked = reasoning("models", "adopt", "old-test", "--as", "planning")
    assert (asked.exit_code, asked.stdout) == (1, "")
    reasoning("costs", "set-budget", "1")
    dry = reasoning("models", "adopt", "old-test", "--as", "planning", "--dry-run")
    assert (dry.exit_code, "old-test" in dry.stdout, "would be broken" in dry.stderr) == (6, True, True)
    assert reasoning("models", "adopt", "old-test", "--as", "planning", "--yes").exit_code == 6
    assert reasoning("models", "adopt", "nothing", "--as", "planning", "--yes").exit_code == 5
    assert Deployments(theirs.store).all() == []


def test_undeploy_of_a_foreign_one_says_whose_it_is(theirs: Service, reasoning: Run) -> None:
    asked = reasoning("models", "undeploy", "old-test")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "whose   not ours: it was made elsewhere in this project" in asked.stderr
    assert len(theirs.deployments()) == 1
    theirs.run_clock()
    done = reasoning("models", "undeploy", "old-test", "--yes")
    assert (done.exit_code, done.stdout) == (0, "old-test is gone. It saves $5.49 an hour.\n")
    assert theirs.endpoints() == []


def test_all_never_means_what_is_not_ours(theirs: Service, reasoning: Run) -> None:
    theirs.deploy()
    theirs.run_clock()
    assert reasoning("models", "undeploy", "--all", "--yes").exit_code == 0
    assert [one["name"] for one in theirs.endpoints()] == ["sandbox/old-test"]


def test_a_name_for_several_deployments_is_none(theirs: Service, reasoning: Run) -> None:
    (made,) = theirs.deployments()
    body = {"name": "second", "config": made["config"], "model": made["model"], "autoscaling": made["autoscaling"]}
    body["autoscaling"] = {"minReplicas": 1, "maxReplicas": 1}
    theirs.ask("POST", f"/v2/projects/proj_sandbox/endpoints/{made['endpointId']}/deployments", body)
    shown = reasoning("models", "stop", "old-test", "--yes")
    assert (shown.exit_code, "holds several deployments" in shown.stderr) == (5, True)
    theirs.run_clock()
    assert reasoning("models", "stop", "old-test/second", "--yes").exit_code == 0


def test_what_is_left_of_v1_is_listed_and_can_only_end(theirs: Service, reasoning: Run) -> None:
    seeded = theirs.ask("POST", "/_sandbox/v1/endpoints", {"model": "Qwen/Qwen3-8B"})
    theirs.advance(3600)
    shown = next(one for one in listed(reasoning) if one["name"] == seeded["id"])
    assert (shown["state"], shown["burn_cents_per_hour"], shown["ours"]) == ("STARTED", 549, False)
    assert "up to $5.49" in reasoning("models", "list", "--all").stdout
    started = reasoning("models", "start", seeded["id"], "--yes")
    assert (started.exit_code, "v1" in started.stderr) == (1, True)
    adopted = reasoning("models", "adopt", seeded["id"], "--as", "planning", "--yes")
    assert (adopted.exit_code, "v1" in adopted.stderr) == (1, True)
    theirs.run_clock()
    stopped = reasoning("models", "stop", seeded["id"], "--yes", "--json")
    assert (stopped.exit_code, json.loads(stopped.stdout)["state"]) == (0, "STOPPED")
    gone = reasoning("models", "undeploy", seeded["id"], "--yes")
    assert (gone.exit_code, gone.stdout.endswith("gone. It cost nothing any more.\n")) == (0, True)
    assert theirs.ask("GET", "/v1/endpoints")["data"] == []


def test_without_v1_there_is_nothing_of_it(theirs: Service, reasoning: Run) -> None:
    theirs.fault("/v1/", status=404, body={"error": {"message": "no such path"}})
    assert [one["name"] for one in listed(reasoning)][3:] == ["old-test"]
