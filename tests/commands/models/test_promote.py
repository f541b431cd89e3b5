"""`models deploy` over a model that serves, `promote` and `rollback`, as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.engines.together.service import KEY, MODELS, Service, service
from tests.waiting import until

NEXT = "Qwen/Qwen3-8B"
DEPLOY = ("models", "deploy", NEXT, "--as", "planning")


@pytest.fixture
def serving(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A model serves planning."""
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
        one.deploy()
        yield one


def test_it_is_planned_asked_about_and_done(serving: Service, reasoning: Run) -> None:
    dry = reasoning(*DEPLOY, "--dry-run")
    assert (dry.exit_code, dry.stderr) == (0, "Nothing was changed.\n")
    assert f"replaces   {MODELS['planning']} (READY), which goes on serving" in dry.stdout
    assert "traffic    all of it at once" in dry.stdout
    asked = reasoning(*DEPLOY)
    assert (asked.exit_code, asked.stdout, len(serving.deployments())) == (1, "", 1)
    serving.run_clock()
    done = reasoning(*DEPLOY, "--yes")
    assert (done.exit_code, done.stdout) == (0, f"{NEXT} answers planning; {MODELS['planning']} is gone.\n")
    assert done.stderr.endswith(f"change them: `reasoning config set planning.model {NEXT}`\n")


def test_canary_promote_and_rollback(serving: Service, reasoning: Run) -> None:
    serving.run_clock()
    canary = reasoning(*DEPLOY, "--canary", "10", "--yes")
    assert (canary.exit_code, canary.stdout) == (0, f"{NEXT} answers 10 % of planning, beside {MODELS['planning']}.\n")
    shown = [one for one in json.loads(reasoning("models", "list", "--json").stdout) if one["traffic_percent"]]
    assert [(one["name"][:9], one["traffic_percent"]) for one in shown] == [("planning", 90), ("planning-", 10)]
    assert "READY, 10 %" in reasoning("models", "status").stdout
    promoted = reasoning("models", "promote", "planning", "--steps", "50,100", "--interval", "1m", "--yes", "--json")
    assert promoted.exit_code == 0, promoted.stderr
    record = json.loads(promoted.stdout)
    assert (record["percent"], record["steps"], record["old_state"]) == (100, [50, 100], "DELETED")
    back = reasoning("models", "rollback", "planning", "--yes")
    assert (back.exit_code, back.stdout) == (0, f"{MODELS['planning']} answers planning; {NEXT} is gone.\n")


def test_a_canary_is_taken_back(serving: Service, reasoning: Run) -> None:
    serving.run_clock()
    reasoning(*DEPLOY, "--canary", "10", "--yes")
    dry = json.loads(reasoning("models", "rollback", "planning", "--dry-run", "--json").stdout)
    assert dry == {"dry_run": True, "model": MODELS["planning"], "takes_back": NEXT, "percent": 10}
    assert reasoning("models", "rollback", "planning").exit_code == 1
    back = reasoning("models", "rollback", "planning", "--yes")
    assert (back.exit_code, back.stdout) == (0, f"{MODELS['planning']} answers planning again; the other is gone.\n")
    assert len(serving.deployments()) == 1


def test_a_canary_is_priced_and_goes_with_what_it_stands_beside(serving: Service, reasoning: Run) -> None:
    """It costs as much as what it stands beside; whoever types the type to undeploy has to know that two end."""
    serving.run_clock()
    canary = reasoning(*DEPLOY, "--canary", "10", "--yes")
    assert "an hour while ready" in canary.stderr, canary.stderr
    assert "both go on" in canary.stderr
    names = [one["name"] for one in json.loads(reasoning("models", "list", "--json").stdout) if one["deployment_id"]]
    second = next(name for name in names if name != "planning")
    dry = reasoning("models", "undeploy", "planning", "--dry-run")
    assert f"with it   {second}: {NEXT}" in dry.stdout, dry.stdout
    assert "they and their endpoint are deleted" in dry.stdout
    assert json.loads(reasoning("models", "undeploy", "planning", "--dry-run", "--json").stdout)["stops_too"] == [
        second
    ]
    gone = reasoning("models", "undeploy", "planning", "--yes")
    assert gone.stdout.startswith(f"planning and {second} are gone. "), gone.stdout
    assert serving.deployments() == []


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ([*DEPLOY, "--no-wait"], 2, "has to be waited for"),
        ([*DEPLOY, "--canary", "10", "--steps", "10,100"], 2, "--canary is one step"),
        ([*DEPLOY, "--steps", "ten"], 2, "not a list of percents"),
        ([*DEPLOY, "--canary", "101"], 2, "from 1 to 100"),
        (["models", "deploy", "coding", "--canary", "10"], 2, "no other model serves `coding`"),
        (["models", "promote", "planning"], 5, "has no canary"),
        (["models", "rollback", "planning"], 5, "no former model"),
    ],
)
def test_what_makes_no_sense_makes_nothing(
    serving: Service, reasoning: Run, arguments: list[str], exit_code: int, message: str
) -> None:
    shown = reasoning(*arguments, "--yes")
    assert (shown.exit_code, shown.stdout, message in shown.stderr) == (exit_code, "", True)
    assert len(serving.deployments()) == 1


@pytest.mark.parametrize("moment", ["made", "tried", "shifted"])
def test_killed_as_a_process_it_goes_on_where_it_was(serving: Service, reasoning: Run, moment: str) -> None:
    def reached() -> bool:
        splits = [one for one in serving.journal("PATCH") if "trafficSplit" in one["body"]]
        match moment:
            case "made":
                return "deployments" in serving.creations()[made:]
            case "tried":
                return len(splits) > before
        scales = [one["body"]["autoscaling"] for one in serving.journal("PATCH") if "autoscaling" in one["body"]]
        return any(one["maxReplicas"] == 0 for one in scales)

    before = len([one for one in serving.journal("PATCH") if "trafficSplit" in one["body"]])
    made = len(serving.creations())
    serving.run_clock()
    process = subprocess.Popen(
        [sys.executable, "-m", "reasoning_cli", *DEPLOY, "--yes"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(reached, moment)
    finally:
        process.kill()
        process.wait(60)
    again = reasoning(*DEPLOY, "--yes")
    assert again.exit_code == 0, again.stderr
    (deployment,), (endpoint,) = serving.deployments(), serving.endpoints()
    assert [one["deploymentId"] for one in endpoint["trafficSplit"]] == [deployment["id"]]
    assert [one["model"] for one in json.loads(reasoning("models", "list", "--json").stdout)].count(NEXT) == 1
