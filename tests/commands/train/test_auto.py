"""`train auto`: a type that trains itself, step by step, with an agent that goes on deciding."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.train.auto_loops import Loop, Loops
from reasoning_cli.store.train.runs import TrainingRuns
from tests.commands.town import Town, log_file, town
from tests.conftest import Run
from tests.engines.together.service import MODELS, Service
from tests.waiting import until

WEAK = MODELS["should_respond"]
AUTO = ("train", "auto", "should-respond")


@pytest.fixture
def agents(still: Service, home: Path, session_facts: dict[str, object]) -> Iterator[Town]:
    still.behave(file_check_seconds=5, queue_seconds=5, training_seconds=60, saving_seconds=5)
    with town(still, home) as one:
        one.decisions_a_pause = 0
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


@dataclass
class Hook:
    """A webhook, and what it was told."""

    url: str
    told: list[dict[str, Any]]


@pytest.fixture
def hook() -> Iterator[Hook]:
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Hook(f"http://127.0.0.1:{server.server_port}/", told)
        server.shutdown()


@pytest.fixture
def filled(agents: Town, typed: Run, tmp_path: Path) -> Town:
    """An agent's log, and a weak model in the slot, in the shadow of the original."""
    typed("data", "import", log_file(tmp_path, 400, seed=1))
    typed("models", "deploy", "should-respond", "--yes")
    typed("models", "enable", "should-respond", "--mode", "shadow")
    return agents


def loop_of(agents: Town) -> Loop:
    found = Loops(agents.service.store).get("should_respond")
    assert found is not None
    return found


def step_on(agents: Town, typed: Run, wanted: str, *, most: int = 40) -> Loop:
    """Go on with the loop until it is at a step, Together's clock going on between the looks."""
    for _ in range(most):
        typed(*AUTO, "--once")
        if loop_of(agents).step == wanted:
            return loop_of(agents)
        agents.service.advance(30)
    raise AssertionError(f"it came no further than {loop_of(agents)}")


def test_it_says_what_it_waits_for(agents: Town, typed: Run, reasoning: Run, tmp_path: Path) -> None:
    assert "Nothing trains itself" in typed("train", "auto").stderr
    refused = reasoning(*AUTO)
    assert refused.exit_code == 1
    assert "cost    $20.00 a round at most: its job, and the hours of its model" in refused.stderr
    assert "this needs a yes" in refused.stderr
    assert Loops(agents.service.store).all() == []
    typed("data", "import", log_file(tmp_path, 60, seed=1))
    done = typed(*AUTO, "--every", "12h", "--min-new", "100", "--max-cost", "5", "--yes")
    assert done.stdout == (
        "should-respond trains itself, at most every 12 hours, for $5.00 a round at most.\n"
        "should-respond: rests: 0 of 100 newly labelled or corrected samples\n"
    )
    assert typed(*AUTO, "--once").stdout == "should-respond: rests: 0 of 100 newly labelled or corrected samples\n"
    (listed,) = json.loads(typed("train", "auto", "--json").stdout)
    assert (listed["type"], listed["step"], listed["every"], listed["min_new"]) == (
        "should_respond",
        "resting",
        43200,
        100,
    )
    assert agents.service.journal("POST") == []


def test_new_conditions_are_asked_about_and_leave_the_others(agents: Town, typed: Run) -> None:
    typed(*AUTO, "--min-new", "100", "--yes")
    assert loop_of(agents).max_cost_cents == 2000
    dry = typed(*AUTO, "--count", "all", "--dry-run")
    assert "samples are new" in dry.stdout
    assert loop_of(agents).counted == "labelled"
    assert json.loads(typed(*AUTO, "--count", "all", "--dry-run", "--json").stdout)["counted"] == "all"
    (said,) = json.loads(typed(*AUTO, "--count", "all", "--unattended", "--yes", "--json").stdout)
    assert said["unattended"] is True
    found = loop_of(agents)
    assert (found.min_new, found.counted, found.unattended) == (100, "all", True)
    assert typed(*AUTO, "--off").stdout == "should-respond trains itself no longer.\n"
    assert Loops(agents.service.store).all() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "auto", "--once"), "which decisions?"),
        ((*AUTO, "--off", "--once"), "--off stands alone"),
        ((*AUTO, "--every", "often", "--yes"), "is not a length of time"),
        ((*AUTO, "--count", "some", "--yes"), "is not a way to count"),
        ((*AUTO, "--off"), "does not train itself"),
    ],
)
def test_what_makes_no_sense_is_refused(agents: Town, reasoning: Run, arguments: tuple[str, ...], said: str) -> None:
    done = reasoning(*arguments)
    assert done.exit_code in (2, 5)
    assert said in done.stderr


def test_a_round_ends_with_a_question_and_the_answer_with_a_better_model(
    filled: Town, typed: Run, reasoning: Run
) -> None:
    typed(*AUTO, "--min-new", "100", "--count", "all", "--yes")
    loop = step_on(filled, typed, "comparing")
    model = TrainingRuns(filled.service.store).all()[0].model_name
    assert loop.line == f"{model} is asked as a shadow: 0 of 50 live decisions"
    assert loop.evaluation == 1
    assert [one.detail["run"] for one in Events(filled.service.store).list() if one.action == "auto_begin"] == [1]
    filled.ask(60)
    compared = json.loads(typed("train", "compare", "should-respond", "--against", "original", "--json").stdout)
    assert compared["model"] == model
    waiting = step_on(filled, typed, "waiting")
    assert waiting.line.startswith("waits for: `reasoning train promote should-respond` (")
    assert typed("train", "status").stderr.count("waits for: `reasoning train promote should-respond`") == 1
    assert Promotions(filled.service.store).all() == [], "nobody said yes"
    filled.decisions_a_pause = 25
    typed("train", "promote", "should-respond", "--yes")
    done = step_on(filled, typed, "resting")
    assert done.line == f"round over: {model} answers should-respond"
    assert filled.agent.failed == 0
    assert len(filled.service.deployments()) == 1
    rests = typed(*AUTO, "--once").stdout
    assert f"round over: {model} answers should-respond; rests: not before" in rests


def test_unattended_it_promotes_what_passes(filled: Town, typed: Run) -> None:
    typed(*AUTO, "--min-new", "100", "--count", "all", "--unattended", "--yes")
    step_on(filled, typed, "comparing")
    filled.ask(60)
    for _ in range(20):
        typed(*AUTO, "--once")
        if loop_of(filled).step == "resting":
            break
        filled.ask(60)
    (promotion,) = Promotions(filled.service.store).all()
    assert promotion.stage == "promoted"
    assert promotion.forced_by is None
    record = Deployments(filled.service.store).get(promotion.model_key or "")
    assert record is not None
    assert loop_of(filled).outcome == f"round over: {record.model_name} answers should-respond"
    assert len(filled.service.deployments()) == 1
    assert filled.agent.failed == 0


def test_what_is_no_better_is_taken_away(agents: Town, typed: Run, tmp_path: Path) -> None:
    typed("data", "import", log_file(tmp_path, 400, seed=2, answers="coin"))
    typed("models", "deploy", "should-respond", "--yes")
    typed("models", "enable", "should-respond", "--mode", "shadow")
    typed(*AUTO, "--min-new", "100", "--count", "all", "--yes")
    done = step_on(agents, typed, "resting")
    assert "is refused by the gate: decides as the original" in done.line
    assert len(agents.service.deployments()) == 1, "what answered before goes on"
    assert Promotions(agents.service.store).all() == []
    (ended,) = [one for one in Events(agents.service.store).list() if one.action == "auto_end"]
    assert ended.actor == "loop"


def test_a_round_that_costs_too_much_is_ended(filled: Town, typed: Run) -> None:
    typed(*AUTO, "--min-new", "100", "--count", "all", "--max-cost", "1", "--yes")
    step_on(filled, typed, "comparing")
    filled.service.advance(1200)
    done = step_on(filled, typed, "resting")
    assert "live traffic brought no verdict before the round had cost $" in done.line
    assert len(filled.service.deployments()) == 1


@pytest.mark.both_engines
def test_the_first_model_of_a_slot_stands_in_the_shadow(agents: Town, typed: Run, tmp_path: Path) -> None:
    typed("data", "import", log_file(tmp_path, 400, seed=1))
    typed(*AUTO, "--min-new", "100", "--count", "all", "--yes")
    step_on(agents, typed, "comparing")
    agents.ask(60)
    assert agents.gateway.book.view.slots["should_respond"].mode == "shadow"
    figures = agents.gateway.figures
    assert figures is not None
    step_on(agents, typed, "waiting")


def test_a_training_by_hand_counts_as_a_round(filled: Town, typed: Run) -> None:
    typed("train", "start", "should-respond", "--yes")
    done = typed(*AUTO, "--min-new", "100", "--count", "all", "--yes").stdout
    assert "rests: " in done
    assert "of 100 new samples, not before " in done


def test_the_guard_goes_on_with_it_and_says_so(
    filled: Town, typed: Run, monkeypatch: pytest.MonkeyPatch, hook: Hook
) -> None:
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.05")  # what the guard begins really sleeps
    monkeypatch.setenv("REASONING_GUARD_WEBHOOK_URL", hook.url)
    filled.service.run_clock()
    typed(*AUTO, "--min-new", "100", "--count", "all", "--yes")
    typed("costs", "guard", "--once")
    until(lambda: loop_of(filled).step != "resting", "the process the guard began")
    said: list[str] = []

    def asked_as_a_shadow() -> bool:
        # Each look moves the service's clock by minutes; what the guard began needs the machine's time between them.
        time.sleep(1)
        said.append(typed("costs", "guard", "--once").stdout)
        return "is asked as a shadow: 0 of 50 live decisions" in said[-1]

    until(asked_as_a_shadow, "the evaluation")
    assert any("training run 1" in one for one in said)
    lines = [one["training"]["line"] for one in hook.told if "training" in one]
    assert "is asked as a shadow: 0 of 50 live decisions" in lines[-1]
    assert len(TrainingRuns(filled.service.store).all()) == 1
    assert len(filled.service.deployments()) == 2


def test_what_keeps_it_is_in_its_line_and_the_next_look_goes_on(filled: Town, typed: Run, reasoning: Run) -> None:
    typed(*AUTO, "--min-new", "100", "--count", "all", "--yes")
    typed("costs", "set-budget", "0.10")
    kept = reasoning(*AUTO, "--once")
    assert kept.exit_code == 6
    assert loop_of(filled).line.startswith("resting: the budget of $0.10 would be broken")
    typed("costs", "set-budget", "100")
    typed(*AUTO, "--once")
    assert loop_of(filled).step == "training"
    typed("train", "cancel", "1", "--yes")
    filled.service.advance(60)
    done = step_on(filled, typed, "resting")
    assert "training run 1 cancelled" in done.line
    assert datetime.now(UTC) - done.line_at < timedelta(minutes=5)
