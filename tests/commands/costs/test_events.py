"""`costs events`: every change that was seen, whoever made it, with its reason, newest first and by one clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.open import open_store
from reasoning_cli.terminal.units import iso
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.store.deploy.test_meter_readings import record


def events(reasoning: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(reasoning("costs", "events", "--json").stdout)
    return found


def test_togethers_own_idle_stop_is_told_with_its_reason(still: Service, reasoning: Run) -> None:
    still.deploy(idle_minutes=45)
    still.advance(45 * 60)
    assert reasoning("models", "status").exit_code == 0
    still.advance(600)
    shown = reasoning("models", "status").stdout
    newest = events(reasoning)[0]
    assert (newest["actor"], newest["by"], newest["action"], newest["subject"]) == (
        "together",
        "",
        "stopped",
        "planning",
    )
    why = "Together's idle stop: no request for 45 minutes"
    assert newest["detail"] == {"was": "STOPPING", "why": why}
    assert reasoning("costs", "events").stdout.splitlines()[1].split()[2:] == [
        *("together", "stopped", "planning"),
        *f"{why}, was STOPPING".split(),
    ]
    line = next(line for line in shown.splitlines() if line.startswith("OFF    planning"))
    assert line.endswith(f": {why}: `reasoning models start planning`")


def test_who_asked_for_a_stop_is_its_reason(still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    still.deploy()
    still.run_clock()
    reasoning("models", "stop", "planning", "--yes")
    stopped = next(one for one in events(reasoning) if one["action"] == "stopped")
    assert stopped["detail"] == {"was": "STOPPING", "why": "the operator (ada) asked for it"}
    reasoning("models", "start", "planning", "--yes")
    reasoning("models", "undeploy", "planning", "--yes")
    reasoning("costs", "set-budget", "10", "-m", "planning")  # an event of the slot, and none of what was deleted
    assert events(reasoning)[0]["subject"] == "planning"
    shown = reasoning("models", "status").stdout
    assert "OFF    planning is off since" in shown
    assert "the operator (ada) undeployed it: `reasoning models deploy planning`" in shown


def test_what_somebody_else_stopped_or_deleted_is_said_to_be_so(still: Service, reasoning: Run) -> None:
    still.deploy()
    still.scale(0, 0)
    still.advance(600)
    assert "neither the operator nor the guard here asked for it" in reasoning("models", "status").stdout


def test_a_failure_is_an_event_with_togethers_words(still: Service, reasoning: Run) -> None:
    still.deploy()
    (made,) = still.deployments()
    still.ask("POST", f"/_sandbox/deployments/{made['id']}/fail", {"message": "out of memory"})
    reasoning("models", "status")
    reasoning("models", "status")
    failed = [one for one in events(reasoning) if one["action"] == "failed"]
    assert [one["detail"] for one in failed] == [{"was": "READY", "why": "out of memory"}]


def test_newest_first_by_one_clock_though_the_sandboxes_runs_ahead(still: Service, reasoning: Run) -> None:
    """Settings are changed by our clock, deployments by the service's, which is hours ahead here."""
    still.advance(5 * 3600)
    still.deploy()
    still.run_clock()
    reasoning("costs", "set-budget", "100")
    reasoning("models", "stop", "planning", "--yes")
    reasoning("costs", "schedule", "planning", "18:00-23:00")
    found = events(reasoning)
    assert [one["action"] for one in found if one["actor"] == "operator"] == [
        "schedule",
        "stop",
        "set_budget",
        "deploy",
    ]
    times = [datetime.fromisoformat(str(one["at"])) for one in found]
    assert times == sorted(times, reverse=True)
    assert times[-1] > datetime.now(UTC) + timedelta(hours=4)
    assert json.loads(reasoning("costs", "events", "--limit", "1", "--json").stdout)[0]["action"] == "schedule"


def test_what_was_changed_is_named_and_nothing_is_called_none(still: Service, reasoning: Run) -> None:
    reasoning("costs", "schedule", "planning", "18:00-23:00")
    reasoning("costs", "set-budget", "20", "--model-type", "coding")
    reasoning("costs", "clear-budget")
    reasoning("costs", "set-cap", "30")
    reasoning("costs", "auto-shutdown", "--minutes", "45")
    assert [(one["action"], one["subject"]) for one in events(reasoning)] == [
        ("auto_shutdown", "all models"),
        ("set_cap", "cap"),
        ("clear_budget", "budget"),
        ("set_budget", "coding"),
        ("schedule", "planning"),
    ]
    shown = reasoning("costs", "events").stdout
    assert "None" not in shown
    assert "limit usd none" in shown
    assert "hours 18:00-23:00" in shown


def test_a_sandbox_that_was_left_for_days_has_one_clock_all_the_same(
    reasoning: Run, home: Path, session_facts: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time stands still while it does not run: what is set later is not dated days after what is deployed then."""
    monkeypatch.setenv("REASONING_SANDBOX", "1")
    reasoning("config", "set", "gateway.port", "8001")
    deployed = datetime.now(UTC) - timedelta(days=3)
    (home / "sandbox").mkdir(parents=True, exist_ok=True)
    with open_store(home / "sandbox" / "reasoning.db", "sandbox") as store:
        Deployments(store).record_intent(record(created_at=deployed, state_at=deployed))
        Events(store).add(Event(deployed, "operator", "deploy", "planning"))
    reasoning("costs", "set-budget", "100")
    reasoning("models", "disable", "planning")
    assert {one["at"] for one in events(reasoning)} == {iso(deployed)}


def test_what_an_event_has_none_of_is_said_to_be_none(reasoning: Run, home: Path) -> None:
    """A line that ends in a name without a value says nothing."""
    detail = {"agent": "Ada", "samples": 1, "exports": [], "by_type": {}}
    with open_store(home / "reasoning.db") as store:
        Events(store).add(Event(datetime.now(UTC), "operator", "forget", "training log", detail))
    assert events(reasoning)[0]["detail"] == detail
    shown = " ".join(reasoning("costs", "events").stdout.split())
    assert shown.endswith(" agent Ada, by type none, exports none, samples 1")
