"""`train promote` and `train rollback` as they are typed, with agents that go on deciding through a real gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reasoning_cli.gateway.circuit import Circuit
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import environment, write_settings
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.promote.promotions import Promotions
from tests.commands.promoting import CONTRARY, GOOD, HANGS, JUNK, World, is_watched, world
from tests.conftest import Run
from tests.engines.together.service import MODELS, Service
from tests.waiting import until

OLD, NEW = MODELS["planning"], "Qwen/Qwen3-8B"
PROMOTE = ("train", "promote", "planning", "--to", NEW, "--hold-decisions", "20", "--force", "--yes")


@pytest.fixture
def agents(still: Service, home: Path, reasoning: Run, session_facts: dict[str, object]) -> Iterator[World]:
    """Agents that decide each time the program sleeps."""
    # The sandbox sees nobody ask: the answers come from elsewhere.
    assert reasoning("config", "set", "deploy.idle_minutes", "0").exit_code == 0
    with world(still, home) as one:
        session_facts["sleep"] = one.pause
        yield one


@pytest.fixture
def serving(agents: World, reasoning: Run) -> World:
    """A model answers planning already."""
    agents.service.deploy()
    assert reasoning("models", "enable", "planning", "--mode", "live").exit_code == 0
    agents.gateway.book.look()
    return agents


def promotion(agents: World) -> dict[str, object]:
    latest = Promotions(agents.service.store).latest("planning")
    assert latest is not None
    return vars(latest)


def in_slot(agents: World) -> str:
    key = Deployments(agents.service.store).serving("planning")
    record = Deployments(agents.service.store).get(key or "")
    return record.model_name if record is not None else ""


def test_a_good_model_takes_over_from_another_step_by_step(serving: World, reasoning: Run) -> None:
    done = reasoning(*PROMOTE)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{NEW} answers planning.\n"
    assert (promotion(serving)["stage"], in_slot(serving)) == ("promoted", NEW)
    assert set(serving.statuses) == {200}
    assert len(serving.service.deployments()) == 1
    steps = [one.detail.get("percent") for one in Events(serving.service.store).list() if one.action == "promote_step"]
    assert steps == [0, 10, 50, 100]


def test_a_good_model_takes_over_from_the_original(agents: World, reasoning: Run) -> None:
    done = reasoning(*PROMOTE)
    assert done.exit_code == 0, done.stderr
    assert (promotion(agents)["stage"], in_slot(agents)) == ("promoted", NEW)
    assert set(agents.statuses) == {200}
    assert agents.gateway.book.view.slots["planning"].mode == "live"


@pytest.mark.parametrize("bad", [JUNK, "500", HANGS])
def test_one_that_turns_bad_goes_back_by_itself_and_no_agent_sees_it(
    serving: World, reasoning: Run, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    # However slow the machine, the candidate's circuit tries it no more once it is open.
    monkeypatch.setattr("reasoning_cli.gateway.decision_path.Circuit", lambda: Circuit(clock=lambda: 0.0))
    asked_before: list[int] = []

    def turn() -> None:
        if Promotions(serving.service.store).going("planning").step == 2:  # type: ignore[union-attr]
            serving.says[NEW] = bad
            if bad == HANGS:  # what answers in time has all the time it needs until then
                write_settings(find_paths(environment()), {"planning.deadline_ms": "1500"})
            asked_before.append(serving.asked_of(NEW))

    serving.on_pause = turn
    done = reasoning(*PROMOTE)
    assert done.exit_code == 1, done.stderr
    assert "its last 5 answers were no good" in done.stderr
    assert serving.asked_of(NEW) == asked_before[0] + 5, "no more than was promised"
    found = promotion(serving)
    assert (found["stage"], in_slot(serving)) == ("returned", OLD)
    assert set(serving.statuses) == {200}
    assert len(serving.service.deployments()) == 1
    serving.gateway.book.look()
    before = serving.asked_of(NEW)
    serving.ask(20)
    assert serving.asked_of(NEW) == before
    assert all(GOOD[:20] in text or "model" in text for text in serving.texts)


@pytest.mark.both_engines
def test_one_that_decides_the_contrary_goes_back(agents: World, reasoning: Run) -> None:
    agents.says[NEW] = CONTRARY
    done = reasoning(*PROMOTE)
    assert done.exit_code == 1
    assert "it agreed in only 0 %" in done.stderr
    assert (promotion(agents)["stage"], in_slot(agents)) == ("returned", "")
    assert agents.service.deployments() == []
    assert set(agents.statuses) == {200}


def test_the_guard_takes_back_what_its_command_left_behind(serving: World, reasoning: Run) -> None:
    def closed() -> None:
        if Promotions(serving.service.store).going("planning").step == 2:  # type: ignore[union-attr]
            raise KeyboardInterrupt

    serving.on_pause = closed
    assert reasoning("costs", "set-budget", "500").exit_code == 0
    left = reasoning(*PROMOTE)
    assert left.exit_code == 130
    assert "nobody watches, and nothing stops what runs at the budget of $500.00." in left.stderr
    assert f"Stopped watching. {NEW} stays at 50 % of the users. Nobody watches it now." in left.stderr
    serving.on_pause = lambda: None
    serving.gateway.book.look()
    serving.says[NEW] = "500"
    serving.ask(20)
    looked = reasoning("costs", "guard", "--once")
    assert f"planning: {NEW} goes back: its last 5 answers were no good" in looked.stdout
    serving.gateway.book.look()
    before = serving.asked_of(NEW)
    serving.ask(10)
    assert serving.asked_of(NEW) == before, "at once, whatever Together takes to stop it"
    for _ in range(4):
        serving.service.advance(60)
        reasoning("costs", "guard", "--once")
    assert promotion(serving)["stage"] == "returned"
    assert len(serving.service.deployments()) == 1
    assert set(serving.statuses) == {200}


def test_a_good_one_is_gone_on_with_by_the_guard_and_by_the_command_again(serving: World, reasoning: Run) -> None:
    def closed() -> None:
        if Promotions(serving.service.store).going("planning").step == 1:  # type: ignore[union-attr]
            raise KeyboardInterrupt

    serving.on_pause = closed
    assert reasoning(*PROMOTE).exit_code == 130
    serving.on_pause = lambda: None
    serving.gateway.book.look()
    serving.ask(300)
    looked = reasoning("costs", "guard", "--once")
    assert f"planning: {NEW} goes on to 50 % of the users" in looked.stdout
    done = reasoning("train", "promote", "planning", "--yes")
    assert done.exit_code == 0, done.stderr
    assert f"Going on with the promotion of {NEW}" in done.stderr
    assert in_slot(serving) == NEW


def test_the_slot_changed_by_somebody_else_ends_it_and_is_told(agents: World, reasoning: Run) -> None:
    def somebody() -> None:
        if Promotions(agents.service.store).going("planning").step == 1:  # type: ignore[union-attr]
            assert reasoning("models", "disable", "planning").exit_code == 0

    agents.on_pause = somebody
    done = reasoning(*PROMOTE)
    assert done.exit_code == 1
    assert "the slot was changed meanwhile: it is disabled" in done.stderr
    assert promotion(agents)["stage"] == "left"
    assert len(agents.service.deployments()) == 1, "nothing more is done to what somebody else decided about"


def test_without_an_evaluation_the_gate_refuses_and_says_what_helps(serving: World, reasoning: Run) -> None:
    refused = reasoning(*(one for one in PROMOTE if one != "--force"))
    assert (refused.exit_code, refused.stdout) == (6, "")
    assert (
        f"error: `{NEW}` is not promoted to planning: an evaluation: none, wanted one of at least 100" in refused.stderr
    )
    assert f"`reasoning train eval planning --model {NEW} --model {OLD}`" in refused.stderr
    assert Promotions(serving.service.store).latest("planning") is None
    dry = reasoning(*PROMOTE, "--dry-run")
    assert (dry.exit_code, len(serving.service.deployments())) == (0, 1)
    assert "by itself after 5 answers in a row that are no good" in dry.stdout.replace("\n", " ").replace("  ", " ")
    forced = json.loads(reasoning(*PROMOTE, "--json").stdout)
    assert forced["forced_by"]
    assert "force_promote" in [one.action for one in Events(serving.service.store).list()]


def test_back_to_the_former_model_and_to_the_original(serving: World, reasoning: Run) -> None:
    assert reasoning(*PROMOTE).exit_code == 0
    back = reasoning("train", "rollback", "planning", "--yes")
    assert back.exit_code == 0, back.stderr
    assert back.stdout == f"{OLD} answers planning again; {NEW} is gone.\n"
    assert in_slot(serving) == OLD
    again = reasoning("train", "rollback", "planning", "--yes")
    assert (again.exit_code, "was taken back" in again.stderr) == (5, True)


def test_back_to_the_original(agents: World, reasoning: Run) -> None:
    assert reasoning(*PROMOTE).exit_code == 0
    assert reasoning("train", "rollback", "planning", "--yes").exit_code == 0
    assert agents.service.deployments() == []
    agents.gateway.book.look()
    agents.ask(5)
    assert set(agents.statuses) == {200}


def program(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "reasoning_cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("moment", ["bringing it up", "10 %", "all", "going back"])
def test_killed_anywhere_the_same_command_goes_on(serving: World, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
    serving.service.run_clock()
    store, bad = serving.service.store, moment == "going back"

    def reached() -> bool:
        one = Promotions(store).latest("planning")
        if one is None or moment == "bringing it up":
            return one is not None and len(serving.service.deployments()) == 2
        if bad:
            return one.stage in ("returning", "returned")
        return one.stage == "watching" and one.step == {"10 %": 1, "all": 3}[moment]

    def on(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
        """Agents decide until something has happened, or the program has ended."""

        def once() -> bool:
            serving.gateway.book.look()
            going = Promotions(store).going("planning")
            if bad and going is not None and going.step == 1:
                serving.says[NEW] = "500"
            serving.ask(5 if is_watched(store) else 1)
            return happened() or process.poll() is not None

        until(once, moment)

    began = program(*PROMOTE)
    on(began, reached)
    began.kill()
    began.communicate()
    again = program("train", "promote", "planning", "--to", NEW, "--force", "--yes")
    on(again, lambda: False)
    out, err = again.communicate()
    latest = Promotions(store).latest("planning")
    assert latest is not None
    if bad:
        # Killed when it was back already, the second run is a promotion of its own, and fares the same.
        assert (again.returncode, latest.stage, in_slot(serving)) == (1, "returned", OLD), err
    else:
        assert (again.returncode, latest.number, latest.stage) == (0, 1, "promoted"), err
        assert (out, in_slot(serving)) == (f"{NEW} answers planning.\n", NEW)
    assert len(serving.service.deployments()) == 1
    assert set(serving.statuses) == {200}


def test_one_on_its_way_is_sent_back_by_hand(serving: World, reasoning: Run) -> None:
    def closed() -> None:
        if Promotions(serving.service.store).going("planning").step == 1:  # type: ignore[union-attr]
            raise KeyboardInterrupt

    serving.on_pause = closed
    assert reasoning(*PROMOTE).exit_code == 130
    serving.on_pause = lambda: None
    before = promotion(serving)
    planned = reasoning("train", "promote", "planning", "--dry-run", "--json")
    assert (planned.exit_code, json.loads(planned.stdout)["dry_run"]) == (0, True), planned.stderr
    assert promotion(serving) == before, "a plan looks at no step, and goes on to none"
    other = reasoning("train", "promote", "planning", "--to", "acme/other", "--yes")
    assert (other.exit_code, f"`{NEW}` is on its way into planning" in other.stderr) == (1, True)
    dry = reasoning("train", "rollback", "planning", "--dry-run")
    assert (dry.exit_code, OLD in dry.stdout) == (0, True)
    back = reasoning("train", "rollback", "planning", "--yes", "--json")
    assert back.exit_code == 0, back.stderr
    assert json.loads(back.stdout)["stage"] == "returned"
    assert in_slot(serving) == OLD
    assert len(serving.service.deployments()) == 1
    kept = json.loads(reasoning("train", "history", "planning", "--json").stdout)
    assert [(one["model"], one["state"]) for one in kept if one["model"] == NEW] == [(NEW, "sent back, forced")]
    assert "sent it back" in next(one["why"] for one in kept if one["model"] == NEW)
