"""`models deploy` of an adapter, and what the other commands say of one, as typed."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.prompts import Choice
from tests.commands.setup.test_setup import Script
from tests.conftest import Result, Run
from tests.engines.together.service import Service

BASE, PLANNER, CODER = "Qwen/Qwen3-8B", "sandbox/planner-adapter", "sandbox/coder-adapter"


@pytest.fixture(autouse=True)
def passing_time(still: Service, session_facts: dict[str, object]) -> None:
    session_facts["sleep"] = still.sleep


def tuned(still: Service, suffix: str = "planner") -> str:
    return str(still.ask("POST", "/_sandbox/fine-tunes", {"model": BASE, "suffix": suffix})["id"])


def attach(reasoning: Run, name: str, model_type: str = "planning", *more: str) -> Result:
    return reasoning("models", "deploy", name, "--as", model_type, "--adapter", *more)


def words(text: str) -> str:
    return " ".join(text.split())


class Chooser(Script):
    """Keeps what it was offered."""

    titles: tuple[str, ...] = ()

    def choose(self, question: str, choices: list[Choice]) -> str:  # type: ignore[override]
        self.titles = tuple(choice.title for choice in choices)
        return super().choose(question, choices)


def test_on_a_terminal_the_way_is_asked_for_with_its_price(
    still: Service, reasoning: Run, session_facts: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tuned(still)
    monkeypatch.setattr(Terminal, "can_ask", True)
    session_facts["prompter"] = person = Chooser([("How is this adapter to be served?", "attached")])
    shown = reasoning("models", "deploy", job, "--as", "planning", "--dry-run")
    assert person.titles == (
        "merged, on a deployment of its own: $5.49 an hour more",
        "attached to a deployment of Qwen/Qwen3-8B: $5.49 an hour more",
    )
    assert shown.exit_code == 0 and "rides on   sandbox/qwen3-8b: a deployment of Qwen/Qwen3-8B" in shown.stdout
    session_facts["prompter"] = Chooser([("How is this adapter", "merged")])
    merged = reasoning("models", "deploy", job, "--as", "planning", "--dry-run", "--json")
    assert json.loads(merged.stdout)["model"] == "sandbox/planner"
    assert attach(reasoning, job, "planning", "--yes").exit_code == 0
    session_facts["prompter"] = person = Chooser([("How is this adapter", KeyboardInterrupt())])
    left = reasoning("models", "deploy", tuned(still, "coder"), "--as", "coding")
    assert person.titles[1] == "attached to qwen3-8b, which we have: $0.00 an hour more"
    assert left.exit_code == 130 and len(still.deployments()) == 1


def test_in_a_pipe_the_two_flags_are_named(still: Service, reasoning: Run) -> None:
    for more in ((), ("--yes",), ("--dry-run", "--json")):
        done = reasoning("models", "deploy", tuned(still, f"one-{len(more)}"), "--as", "planning", *more)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "can be merged into Qwen/Qwen3-8B or attached to it" in done.stderr
        assert "add `--merged` (on a deployment of its own, $5.49 an hour more)" in words(done.stderr)
        assert "or `--adapter` (to a deployment of Qwen/Qwen3-8B, $5.49 an hour more)" in words(done.stderr)
    assert still.creations() == []


def test_the_plan_says_what_it_rides_on_and_what_that_costs(still: Service, reasoning: Run) -> None:
    job = tuned(still)
    plan = json.loads(attach(reasoning, job, "planning", "--dry-run", "--json").stdout)
    assert {key: plan[key] for key in ("model", "rides_on", "base_model", "base_action", "added_cents_per_hour")} == {
        "model": PLANNER,
        "rides_on": "qwen3-8b",
        "base_model": BASE,
        "base_action": "create",
        "added_cents_per_hour": 549,
    }
    done = attach(reasoning, job, "planning", "--yes")
    assert done.exit_code == 0
    assert f"{PLANNER} is serving as sandbox/qwen3-8b:{PLANNER}" in words(done.stdout)
    assert "undeploy planning" in done.stderr
    beside = attach(reasoning, tuned(still, "coder"), "coding", "--dry-run")
    assert "rides on   sandbox/qwen3-8b: our deployment of Qwen/Qwen3-8B (READY)" in beside.stdout
    assert "nothing more: that costs $5.49 an hour already" in beside.stdout
    ended = json.loads(attach(reasoning, CODER, "coding", "--yes", "--json").stdout)
    assert (ended["state"], ended["rides_on"], ended["adapter_id"][:4]) == ("READY", "qwen3-8b", "dad_")
    assert attach(reasoning, CODER, "coding").exit_code == 0, "there already: nothing to be asked"


def test_the_bill_and_the_listings_know_one_deployment(still: Service, reasoning: Run) -> None:
    attach(reasoning, tuned(still), "planning", "--yes")
    attach(reasoning, tuned(still, "coder"), "coding", "--yes")
    still.advance(600)  # less than the idle stop
    lines = json.loads(reasoning("models", "status", "--json").stdout)
    assert [(one["name"], one["model"], one["burn_cents_per_hour"], one["rides_on"]) for one in lines[1:]] == [
        ("planning", PLANNER, 0, "qwen3-8b"),
        ("coding", CODER, 0, "qwen3-8b"),
        ("qwen3-8b", BASE, 549, None),
    ]
    shown = reasoning("models", "list").stdout
    assert f"on qwen3-8b: {PLANNER}" in shown and shown.count("$5.49") == 1
    report = json.loads(reasoning("costs", "report", "--json").stdout)
    exact = sum(still.metered().values(), Decimal(0))
    (bill,) = report["models"]
    assert bill["name"] == "qwen3-8b" and abs(bill["cost_cents"] - exact) <= 1
    facts = json.loads(reasoning("models", "show", PLANNER, "--json").stdout)
    assert "qwen3-8b" in json.dumps(facts["deployed"])
    asked = reasoning("models", "test", "planning", "--json")
    assert (asked.exit_code, json.loads(asked.stdout)["model"]) == (0, PLANNER)


def test_undeploy_says_what_stays_and_what_goes(still: Service, reasoning: Run) -> None:
    attach(reasoning, tuned(still), "planning", "--yes")
    attach(reasoning, tuned(still, "coder"), "coding", "--yes")
    refused = reasoning("models", "stop", "planning", "--yes")
    assert refused.exit_code == 1 and "it cannot be stopped alone" in words(refused.stderr)
    shown = reasoning("models", "undeploy", "planning", "--dry-run").stdout
    assert f"qwen3-8b goes on for {CODER}" in shown and "saves    nothing" in shown
    done = reasoning("models", "undeploy", "planning", "--yes")
    assert words(done.stdout) == f"{PLANNER} is detached. qwen3-8b goes on for {CODER}, at the same price."
    whole = json.loads(reasoning("models", "undeploy", "qwen3-8b", "--dry-run", "--json").stdout)
    assert (whole["detaches"], whole["saves_cents_per_hour"]) == ([CODER], 549)
    shown = reasoning("models", "undeploy", "coding", "--dry-run").stdout
    assert "is deleted: nothing else of ours needs it" in words(shown) and "$5.49 an hour" in shown
    done = reasoning("models", "undeploy", "coding", "--yes")
    assert words(done.stdout) == f"{CODER} is detached, and qwen3-8b is gone. It saves $5.49 an hour."
    assert still.endpoints() == []


def test_an_adapter_takes_over_at_once_or_not_at_all(still: Service, reasoning: Run) -> None:
    attach(reasoning, tuned(still), "planning", "--yes")
    job = tuned(still, "better")
    for option, said in (
        (("--canary", "10"), "an attached adapter has none of its own"),
        (("--steps", "50,100"), "an attached adapter has none of its own"),
        (("--keep",), "`models rollback` brings it back"),
        (("--no-wait",), "which has to be waited for"),
    ):
        refused = attach(reasoning, job, "planning", "--yes", *option)
        assert (refused.exit_code, said in words(refused.stderr)) == (2, True), refused.stderr
    assert "--merged" in attach(reasoning, job, "planning", "--yes", "--canary", "10").stderr
    shown = attach(reasoning, job, "planning", "--dry-run").stdout
    assert f"replaces {PLANNER}, which serves until this has answered, and is detached" in words(shown)
    assert attach(reasoning, job, "planning", "--yes").exit_code == 0
    back = reasoning("models", "rollback", "planning", "--yes")
    assert back.exit_code == 0 and f"{PLANNER} is serving" in words(back.stdout)
    assert len(still.deployments()) == 1
    plain = reasoning("models", "deploy", "planning", "--yes", "--canary", "10")
    assert plain.exit_code == 2 and "an attached adapter has none of its own" in words(plain.stderr)
    taken = reasoning("models", "deploy", "planning", "--yes")
    assert taken.exit_code == 0
    (made,) = still.deployments()
    assert made["name"].startswith("sandbox/planning/"), "the adapter went, and what it rode on with it"


def test_a_base_that_takes_none_is_said_before_anything_is_made(still: Service, reasoning: Run) -> None:
    job = str(still.ask("POST", "/_sandbox/fine-tunes", {"model": "openai/gpt-oss-20b", "suffix": "oss"})["id"])
    refused = attach(reasoning, job)
    assert refused.exit_code == 5 and "no adapter can be attached to `openai/gpt-oss-20b`" in words(refused.stderr)
    assert "--merged" in refused.stderr
    only = json.loads(reasoning("models", "deploy", job, "--as", "planning", "--dry-run", "--json").stdout)
    assert only["model"] == "sandbox/oss", "where there is one way, nobody is asked"
    still.fault(r"/adapters$", status=400, method="POST", body={"error": {"message": "not this one"}})
    late = attach(reasoning, tuned(still), "planning", "--yes")
    assert late.exit_code == 1 and "not this one" in late.stderr and "--merged" in late.stderr
    assert still.endpoints() == []
