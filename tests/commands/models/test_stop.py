"""`models stop`, `start` and `undeploy --all` as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.engines.together.service import KEY, Service, service


@pytest.fixture
def fast(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Together with a fast clock, and the operator's own store."""
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
        yield one


def test_stopped_and_started_it_is_the_same_deployment(fast: Service, reasoning: Run) -> None:
    fast.deploy(hardware="2xnvidia-h100-80gb", idle_minutes=45)
    (before,) = fast.deployments()
    fast.run_clock()
    stopped = reasoning("models", "stop", "planning", "--yes")
    assert (stopped.exit_code, stopped.stdout) == (0, "planning is stopped, and kept. It saves $10.98 an hour.\n")
    assert stopped.stderr.endswith("hint: start it again: `reasoning models start planning`\n")
    (made,) = fast.deployments()
    assert made["status"]["state"] == "DEPLOYMENT_STATE_STOPPED"
    started = reasoning("models", "start", "planning", "--yes", "--json")
    assert started.exit_code == 0, started.stderr
    record = json.loads(started.stdout)
    assert (record["action"], record["state"], record["deployment_id"]) == ("restart", "READY", before["id"])
    assert (record["hardware"], record["idle_minutes"]) == ("2xnvidia-h100-80gb", 45)
    again = reasoning("models", "start", "planning")
    assert (again.exit_code, again.stdout[:27]) == (0, "planning is already serving")


def test_a_start_is_asked_about_and_passes_the_budget(fast: Service, reasoning: Run) -> None:
    fast.deploy()
    fast.stop(keep=True)
    asked = reasoning("models", "start", "planning")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "$5.49 an hour" in asked.stderr
    reasoning("costs", "set-budget", "1")
    refused = reasoning("models", "start", "planning", "--yes")
    assert (refused.exit_code, refused.stdout) == (6, "")
    (made,) = fast.deployments()
    assert made["status"]["state"] == "DEPLOYMENT_STATE_STOPPED"


def test_what_was_never_deployed_cannot_be_started(fast: Service, reasoning: Run) -> None:
    shown = reasoning("models", "start", "planning", "--yes")
    assert (shown.exit_code, shown.stderr.splitlines()[0]) == (5, "error: `planning` is not deployed")
    assert fast.creations() == []


def test_all_are_listed_asked_about_once_and_taken_away(fast: Service, reasoning: Run) -> None:
    fast.deploy("planning")
    fast.deploy("should-respond")
    asked = reasoning("models", "undeploy", "--all")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert [line.split(",")[-1].strip() for line in asked.stderr.splitlines()[:3]] == [
        "$5.49 an hour",
        "$5.49 an hour",
        "saves   $10.98 an hour",
    ]
    fast.run_clock()
    done = reasoning("models", "undeploy", "--all", "--yes")
    assert (done.exit_code, done.stdout) == (
        0,
        "planning is gone. It saves $5.49 an hour.\nshould-respond is gone. It saves $5.49 an hour.\n",
    )
    assert fast.endpoints() == []
    none = reasoning("models", "undeploy", "--all", "--yes")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "Nothing is deployed from here.\n")


def test_one_that_cannot_be_stopped_does_not_keep_the_others_running(fast: Service, reasoning: Run) -> None:
    stuck = fast.deploy("planning").record
    fast.deploy("should-respond")
    fast.fault(rf"/deployments/{stuck.deployment_id}", method="PATCH", status=503)
    fast.run_clock()
    shown = reasoning("models", "undeploy", "--all", "--yes", "--json")
    assert shown.exit_code == 7
    assert "may still run" in shown.stderr
    records = json.loads(shown.stdout)
    assert [(one["name"], one["state"], one["error"] is None) for one in records] == [
        ("planning", "READY", False),
        ("should-respond", "DELETED", True),
    ]
    assert [one["name"] for one in fast.endpoints()] == ["sandbox/planning"]
    fast.clear_faults()
    assert reasoning("models", "undeploy", "--all", "--yes").exit_code == 0
    assert fast.endpoints() == []


def test_all_can_be_stopped_and_kept(fast: Service, reasoning: Run) -> None:
    fast.deploy("planning")
    fast.deploy("should-respond")
    fast.stop("should-respond", keep=True)
    dry = json.loads(reasoning("models", "undeploy", "--all", "--keep", "--dry-run", "--json").stdout)
    assert [(one["name"], one["keep"]) for one in dry] == [("planning", True)], "the other is stopped already"
    fast.run_clock()
    assert reasoning("models", "undeploy", "--all", "--keep", "--yes").exit_code == 0
    assert {one["status"]["state"] for one in fast.deployments()} == {"DEPLOYMENT_STATE_STOPPED"}


@pytest.mark.parametrize("arguments", [[], ["planning", "--all"]], ids=["neither", "both"])
def test_one_or_all_has_to_be_said(reasoning: Run, arguments: list[str]) -> None:
    shown = reasoning("models", "undeploy", *arguments, "--yes")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "or say --all" in shown.stderr


def test_a_stop_goes_on_though_nobody_reads_what_it_says(fast: Service) -> None:
    """`reasoning models undeploy --all --yes | head -1` leaves nothing running that it was to stop."""
    for model_type in ("planning", "coding", "should_respond"):
        fast.deploy(model_type)
    fast.run_clock()
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "reasoning_cli", "models", "undeploy", "--all", "--yes"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    os.close(writing)
    assert (done.returncode, fast.deployments()) == (0, []), done.stderr
