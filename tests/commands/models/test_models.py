"""`reasoning models …` as it is typed: exit codes, both streams whole, and interruptions of the real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.conftest import Run
from tests.engines.together.service import KEY, PROJECT, Service, service
from tests.guards import guard_at_work
from tests.waiting import until

CODING = "moonmakesmagic/DeepSeek-Llama-67B-coding"


@pytest.fixture
def still(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Together standing still, and the operator's own store: what operations did, commands show."""
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
        yield one


def test_list_and_status_of_nothing(still: Service, reasoning: Run) -> None:
    listed = reasoning("models", "list")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert listed.stdout == (
        "NAME            STATE  $/H  MODEL                                                       SEEN\n"
        "should-respond  off      –  moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond  –\n"
        "planning        off      –  moonmakesmagic/DeepSeek-Qwen-14B-planning                   –\n"
        "coding          off      –  moonmakesmagic/DeepSeek-Llama-67B-coding                    –\n"
    )
    assert still.journal() == [], "a list asks nobody"
    status = reasoning("models", "status")
    assert (status.exit_code, status.stderr) == (0, "")
    assert status.stdout.splitlines()[-2:] == [
        "SPENT  $0.00 this month, no budget is set; spending nothing",
        "OFF    nothing was deployed for should-respond, planning, coding: `reasoning models deploy should-respond`",
    ]
    assert reasoning("models", "list", "-q").stdout == "should_respond\nplanning\ncoding\n"


def test_status_of_what_runs(still: Service, reasoning: Run) -> None:
    still.deploy("coding")
    still.advance(3600)
    shown = reasoning("models", "status")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == (
        "NAME            STATE   READY     $/H   SINCE   MONTH  REQ/H      IDLE  MODEL\n"
        "should-respond  off         –       –       –       –      –         –"
        "  …gic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond\n"
        "planning        off         –       –       –       –      –         –"
        "  moonmakesmagic/DeepSeek-Qwen-14B-planning\n"
        "coding          READY  1 of 1  $21.96  1 h 00  $21.96      1  > 1 h 00"
        "  moonmakesmagic/DeepSeek-Llama-67B-coding\n"
        "\n"
        "SPENT  $21.96 this month, no budget is set; spending $21.96/h\n"
        "OFF    nothing was deployed for should-respond, planning: `reasoning models deploy should-respond`\n"
    )
    record = json.loads(reasoning("models", "status", "--json").stdout)[2]
    made = still.deployments()[0]
    assert {key: value for key, value in record.items() if not key.endswith(("_at", "_since"))} == {
        "name": "coding",
        "state": "READY",
        "ready_replicas": 1,
        "burn_cents_per_hour": 2196,
        "ready_seconds": 3600,
        "cost_cents": 2196,
        "requests_last_hour": 1,
        "quiet_seconds": 3600,
        "model": CODING,
        "model_type": "coding",
        "enabled": True,
        "min_replicas": 1,
        "max_replicas": 1,
        "price_cents_per_hour": 2196,
        "hardware": "4xnvidia-h100-80gb",
        "serving_name": "sandbox/coding",
        "endpoint_id": made["endpointId"],
        "deployment_id": made["id"],
        "rides_on": None,
        "adapter_id": None,
        "idle_minutes": 0,
        "is_known": True,
        "ours": True,
        "traffic_percent": None,
        "mode": "live",
        "share_percent": None,
        "provider_url": None,
        "last_error": None,
        "off_why": None,
    }
    listed = json.loads(reasoning("models", "list", "--json").stdout)[2]
    assert record.keys() == listed.keys()
    assert listed.keys() <= record.keys()


def test_watching_writes_a_line_a_model_and_round(still: Service) -> None:
    with program("models", "status", "--watch", "--interval", "0.1s", "--format", "jsonl") as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(6)]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert [line["name"] for line in lines] == ["should_respond", "planning", "coding"] * 2
    assert all(line["at"].endswith("Z") for line in lines)


def test_watching_as_one_document_is_refused(still: Service, reasoning: Run) -> None:
    shown = reasoning("models", "status", "--watch", "--json")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr == "error: --watch cannot write json\nhint: use --format table or --format jsonl\n"


def test_a_dry_run_shows_the_plan_and_makes_nothing(still: Service, reasoning: Run) -> None:
    shown = reasoning("models", "deploy", "planning", "--dry-run")
    assert (shown.exit_code, shown.stderr) == (0, "Nothing was changed.\n")
    assert shown.stdout == (
        "  deploy     moonmakesmagic/DeepSeek-Qwen-14B-planning  as  planning\n"
        "  endpoint   sandbox/planning\n"
        "  hardware   1xnvidia-h100-80gb (headroom 24), cheapest of 5 that has room now\n"
        "  price      $5.49 an hour while ready; cold start is free\n"
        "  idle       Together stops it after 30 minutes without a request, even if we are gone\n"
        "  budget     none is set: `reasoning costs set-budget 100`\n"
    )
    plan = json.loads(reasoning("models", "deploy", "planning", "--dry-run", "--json").stdout)
    assert (plan["dry_run"], plan["action"], plan["model_type"]) == (True, "create", "planning")
    assert {one["method"] for one in still.journal()} == {"GET"}
    assert "planning        off" in reasoning("models", "list").stdout


def test_without_a_yes_nothing_is_made(still: Service, reasoning: Run) -> None:
    shown = reasoning("models", "deploy", "planning")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.endswith("error: this needs a yes, and nobody is there to give it\nhint: add --yes\n")
    assert {one["method"] for one in still.journal()} == {"GET"}


def test_deploy_scale_and_undeploy(still: Service, reasoning: Run) -> None:
    still.run_clock()
    made = reasoning("models", "deploy", "planning", "--yes", "--idle-minutes", "1440")
    assert made.exit_code == 0
    assert made.stdout.startswith("planning is serving as sandbox/planning (first answer in ")
    assert made.stderr.endswith(
        "planning: provisioning; cold start is not billed\n"
        "planning: scaling; cold start is not billed\n"
        "planning: ready\n"
        "hint: try it: `reasoning models test planning`\n"
        "hint: let an agent's decisions reach it: `reasoning gateway serve`\n"
        "hint: stop it: `reasoning models undeploy planning`\n"
    )
    assert still.deployments()[0]["inactiveTimeout"] == 1440
    more = reasoning("models", "deploy", "planning", "--max-replicas", "3")
    assert (more.exit_code, more.stdout) == (1, ""), "more money is asked about"
    assert "$16.47 with all 3" in more.stderr
    assert still.deployments()[0]["autoscaling"]["maxReplicas"] == 1
    kept = reasoning("models", "undeploy", "planning", "--yes", "--keep", "--json")
    assert (kept.exit_code, json.loads(kept.stdout)["state"]) == (0, "STOPPED")
    gone = reasoning("models", "undeploy", "planning", "--yes")
    assert (gone.exit_code, gone.stdout) == (0, "planning is gone. It cost nothing any more.\n")
    assert still.endpoints() == []
    again = reasoning("models", "undeploy", "planning", "--yes")
    assert (again.exit_code, again.stdout) == (5, "")
    assert again.stderr == "error: `planning` is not deployed\nhint: nothing is deployed from here\n"


def test_without_waiting_it_says_how_to_watch(still: Service, reasoning: Run) -> None:
    shown = reasoning("models", "deploy", "planning", "--yes", "--no-wait")
    assert (shown.exit_code, shown.stdout) == (0, "planning is on its way (PROVISIONING).\n")
    assert shown.stderr.endswith("hint: watch it: `reasoning models status --watch`\n")


def test_a_timeout_warns_about_money(still: Service, reasoning: Run) -> None:
    still.behave(never_ready=True)
    still.run_clock()
    shown = reasoning("models", "deploy", "planning", "--yes", "--timeout", "10m")
    assert (shown.exit_code, shown.stdout) == (7, "")
    assert "after 10 minutes; it goes on at Together and costs up to $5.49 an hour" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["sandbox/no-config-27b", "--as", "planning"], 5, "no config"),
        (["sandbox/no-weights-8b", "--as", "planning"], 1, "no revisions"),
        (["nothing/like-it", "--as", "planning"], 5, "no model"),
        (["planning", "--as", "coding"], 2, "is a model type"),
        (["sandbox/large-only-120b"], 2, "which decisions"),
        (["planning", "--hardware", "8xnvidia-h100-80gb"], 5, "cannot be served on"),
        (["planning", "--hardware", "1xnvidia-a100-80gb"], 6, "is free"),
        (["planning", "--min-replicas", "0"], 2, "0 to 0 replicas"),
        (["planning", "--idle-minutes", "1441"], 2, "is not between 0 and 1440"),
        (["planning", "--timeout", "soon"], 2, "not a length of time"),
        (["planning", "--max-replicas", "9"], 6, "cap of $40.00 an hour"),
    ],
)
def test_what_cannot_be_deployed_leaves_nothing(
    still: Service, reasoning: Run, arguments: list[str], exit_code: int, message: str
) -> None:
    shown = reasoning("models", "deploy", *arguments, "--yes")
    assert (shown.exit_code, shown.stdout) == (exit_code, "")
    (error,) = [line for line in shown.stderr.splitlines() if line.startswith("error: ")]
    assert message in error
    assert still.endpoints() == []


def test_quota_is_a_limit_and_leaves_nothing(still: Service, reasoning: Run) -> None:
    still.behave(quota_replicas=0)
    shown = reasoning("models", "deploy", "planning", "--yes")
    assert (shown.exit_code, shown.stdout) == (6, "")
    assert "GPU quota" in shown.stderr
    assert still.endpoints() == []


def test_a_dry_run_over_the_budget_shows_the_plan_then_the_refusal(still: Service, reasoning: Run) -> None:
    reasoning("costs", "set-budget", "1")
    done = reasoning("models", "deploy", "planning", "--dry-run")
    assert (done.exit_code, "  price      $5.49 an hour" in done.stdout) == (6, True)
    assert done.stderr.startswith("Nothing was changed.\nerror: the budget of $1.00 would be broken")
    record = json.loads(reasoning("models", "deploy", "planning", "--dry-run", "--json").stdout)
    assert record["refused"].startswith("the budget of $1.00 would be broken")
    assert reasoning("models", "deploy", "planning", "--yes").exit_code == 6
    assert still.deployments() == []


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ("00:00-23:59", "00:00-23:59 each day: the guard stops it at {day} 23:59"),
        ("23:00-00:30", "23:00-00:30 each day: the guard stops it at its next look"),
    ],
)
def test_a_plan_says_when_the_schedule_would_stop_it(still: Service, reasoning: Run, hours: str, said: str) -> None:
    day = still.client.now().astimezone().date().isoformat()
    still.advance(7200)
    reasoning("costs", "schedule", "planning", hours)
    shown = reasoning("models", "deploy", "planning", "--dry-run").stdout
    assert f"  hours      {said.format(day=day)}, but none is at work: `reasoning costs guard`\n" in shown
    with guard_at_work(still.store) as lock:
        lock.sign(60)
        shown = reasoning("models", "deploy", "planning", "--dry-run").stdout
    assert f"  hours      {said.format(day=day)}\n" in shown
    assert (
        "hours" not in reasoning("models", "deploy", "coding", "--dry-run").stdout.split("price")[1].split("\n", 1)[1]
    )


def test_yes_does_not_pass_the_budget(still: Service, reasoning: Run) -> None:
    assert reasoning("costs", "set-budget", "1").exit_code == 0
    shown = reasoning("models", "deploy", "planning", "--yes")
    assert (shown.exit_code, shown.stdout) == (6, "")
    assert shown.stderr == (
        "error: the budget of $1.00 would be broken: $0.00 used, `planning` costs $5.49 an hour\n"
        "hint: raise it with `reasoning costs set-budget 6`, or stop something: `reasoning models status`\n"
    )
    assert {one["method"] for one in still.journal()} <= {"GET"}


def test_enable_and_disable(still: Service, reasoning: Run) -> None:
    still.deploy()
    off = reasoning("models", "disable", "planning")
    assert (off.exit_code, off.stdout) == (
        0,
        "planning is disabled: the original answers. A gateway that runs follows within a second.\n",
    )
    assert off.stderr == "hint: it still costs $5.49 an hour; stop it: `reasoning models undeploy planning`\n"
    assert "READY, disabled" in reasoning("models", "list").stdout
    on = reasoning("models", "enable", "planning")
    assert (on.exit_code, on.stderr) == (0, "")
    assert on.stdout.startswith("planning is enabled, live: the model answers, and the original where its answer is no")
    none = reasoning("models", "enable", "coding")
    assert none.stderr == (
        "warning: no model serves coding yet: until then the original answers\n"
        "hint: `reasoning models deploy coding`; or a server of your own: "
        "`reasoning config set coding.provider_url URL`\n"
    )
    wrong = reasoning("models", "enable", "codng")
    assert (wrong.exit_code, wrong.stdout) == (2, "")


def test_a_model_is_enabled_for_a_share_or_only_to_be_compared(still: Service, reasoning: Run) -> None:
    still.deploy()
    canary = reasoning("models", "enable", "planning", "--share", "25")
    assert canary.stdout.startswith("planning is enabled, canary: the model answers 25 % of the users")
    assert "READY, canary 25 %" in reasoning("models", "list").stdout
    shadow = reasoning("models", "enable", "planning", "--mode", "shadow")
    assert shadow.stdout.startswith("planning is enabled, shadow: the original answers; the model is asked too")
    again = json.loads(reasoning("models", "status", "--json").stdout)[1]
    assert (again["mode"], again["share_percent"]) == ("shadow", None)
    assert reasoning("models", "enable", "planning").stdout.startswith("planning is enabled, shadow")
    events = json.loads(reasoning("costs", "events", "--json").stdout)
    assert [(one["subject"], one["detail"]) for one in events if one["action"] == "enable"] == [
        ("planning", {}),
        ("planning", {"mode": "shadow"}),
        ("planning", {"mode": "canary", "share_percent": "25"}),
    ]
    wrong = reasoning("models", "enable", "planning", "--mode", "live", "--share", "5")
    assert (wrong.exit_code, wrong.stderr.splitlines()[0]) == (2, "error: a live model has no share")


def test_a_model_that_another_provider_serves_needs_no_deployment(still: Service, reasoning: Run) -> None:
    reasoning("config", "set", "planning.provider_url", "http://127.0.0.1:11434/v1")
    reasoning("config", "set", "planning.model", "llama3")
    assert reasoning("models", "enable", "planning").stderr == ""
    line = next(line for line in reasoning("models", "status").stdout.splitlines() if line.startswith("planning"))
    assert "elsewhere" in line
    assert line.endswith("llama3 at http://127.0.0.1:11434/v1")
    still.deploy()
    assert "READY, not asked" in reasoning("models", "status").stdout


def test_a_variable_that_says_otherwise_is_named(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTOM_REASONING_PLANNING_ENABLED", "true")
    shown = reasoning("models", "disable", "planning")
    assert shown.stderr.startswith("warning: CUSTOM_REASONING_PLANNING_ENABLED says otherwise")


def test_without_a_key_it_says_where_to_get_one(reasoning: Run) -> None:
    shown = reasoning("models", "status")
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (4, "TOGETHER  not known: no Together API key is set")
    assert shown.stderr.startswith("error: no Together API key is set\nhint: ")


def test_the_key_of_another_project_closes_nothing(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.deploy()
    monkeypatch.setenv("TOGETHER_PROJECT_ID", "proj_other")
    shown = reasoning("models", "status")
    assert (shown.exit_code, "not known, was READY" in shown.stdout) == (4, True)
    assert "may be running there" in shown.stderr
    known = {row["name"]: row["is_known"] for row in json.loads(reasoning("models", "status", "--json").stdout)}
    assert known == {"should_respond": True, "planning": False, "coding": True}
    monkeypatch.delenv("TOGETHER_PROJECT_ID")
    assert "READY" in reasoning("models", "status").stdout


def test_every_request_in_the_log_and_the_key_in_none(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = reasoning("-vv", "models", "deploy", "planning", "--yes", "--no-wait")
    assert f"POST {PROJECT}/endpoints 200" in shown.stderr
    assert KEY not in shown.stderr


# --- the real process, interrupted ---


@contextmanager
def program(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """`reasoning …` as a process; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reasoning_cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_stops_waiting_and_says_what_goes_on(still: Service) -> None:
    with program("models", "deploy", "planning", "--yes") as process:
        until(lambda: len([one for one in still.journal("GET") if "/deployments/dep_" in one["path"]]) > 2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith(
        "Stopped waiting. planning goes on at Together and costs $5.49 an hour once it is ready.\n"
        "hint: `reasoning models status` shows it; stop it: `reasoning models undeploy planning`\n"
    )
    (made,) = still.deployments()
    assert made["status"]["state"] == "DEPLOYMENT_STATE_PROVISIONING"


@pytest.mark.parametrize("moment", ["endpoints", "deployments", "split", "waiting"])
def test_killed_it_goes_on_where_it_was(still: Service, reasoning: Run, moment: str) -> None:
    def reached() -> bool:
        match moment:
            case "split":
                return bool(still.journal("PATCH"))
            case "waiting":
                return any("/deployments/dep_" in one["path"] for one in still.journal("GET"))
        return moment in still.creations()

    with program("models", "deploy", "planning", "--yes") as process:
        until(reached)
        process.kill()
        process.wait(60)
    still.run_clock()
    again = reasoning("models", "deploy", "planning", "--yes")
    assert again.exit_code == 0
    # Where it has become READY meanwhile there is nothing left to do.
    assert again.stdout.replace("already ", "").startswith("planning is serving as sandbox/planning ")
    # What was on its way when the process died may arrive after the second run looked: the name makes it one.
    assert (len(still.endpoints()), len(still.deployments())) == (1, 1)


def test_ctrl_c_while_stopping_says_that_it_may_still_cost(still: Service) -> None:
    still.deploy()
    with program("models", "undeploy", "planning", "--yes") as process:
        until(lambda: len([one for one in still.journal("PATCH") if "/deployments/dep_" in one["path"]]) > 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "planning may still run, at up to $5.49 an hour" in err
    assert "reasoning models undeploy planning" in err


# --- the embedded sandbox ---


def sandbox(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reasoning_cli", "--sandbox", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def test_the_whole_way_on_the_embedded_sandbox(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a real key, address and budget in the environment: none of them is used."""
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp_v1_realkeyrealkeyrealkey")
    monkeypatch.setenv("TOGETHER_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("REASONING_BUDGET_LIMIT_USD", "0.01")
    monkeypatch.setenv("REASONING_SANDBOX_SPEED", "3000x")
    try:
        made = sandbox("models", "deploy", "planning", "--yes", "--idle-minutes", "0")
        assert made.returncode == 0, made.stderr
        assert made.stderr.startswith("sandbox: nothing here is real, and nothing costs money\n")
        status = json.loads(sandbox("models", "status", "--json").stdout)
        assert (status[1]["state"], status[1]["cost_cents"] > 0) == ("READY", True)
        gone = sandbox("models", "undeploy", "--yes", "planning")
        assert gone.returncode == 0, gone.stderr
        report = json.loads(sandbox("costs", "report", "--json").stdout)
        assert report["budget"]["limit_cents"] is None
        assert report["total"]["cost_cents"] == meter(home)
        assert not (home / "reasoning.db").exists(), "the real ledger was not touched"
    finally:
        stopped = sandbox("sandbox", "stop")
    assert "The sandbox is stopped; its state stays." in stopped.stderr


def meter(home: Path) -> int:
    import httpx

    (said,) = home.glob("sandbox/*.server.json")
    url = json.loads(said.read_text())["url"]
    total: dict[str, Any] = httpx.get(f"{url}/_sandbox/meter", trust_env=False).json()
    return int(total["totalCents"])


def test_a_budget_of_the_sandbox_is_not_the_real_one(home: Path, reasoning: Run) -> None:
    assert reasoning("--sandbox", "costs", "set-budget", "7").exit_code == 0
    assert "limit_usd" in (home / "sandbox" / "config.toml").read_text()
    assert not (home / "config.toml").exists()
    assert reasoning("--sandbox", "config", "get", "budget.limit_usd").stdout == "7.00\n"


def test_together_itself_is_not_reached_in_the_sandbox(together: SandboxServer, reasoning: Run) -> None:
    shown = reasoning("--sandbox", "models", "list")
    assert shown.exit_code == 0
    assert together.service.journal.entries() == []
