"""`reasoning costs guard` and `costs schedule` as they are typed."""

from __future__ import annotations

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.commands.models.test_models import program
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.waiting import until


def state(still: Service) -> str:
    (one,) = still.deployments()
    return str(one["status"]["state"]).removeprefix("DEPLOYMENT_STATE_")


def test_one_look_at_nothing(still: Service, reasoning: Run) -> None:
    done = reasoning("costs", "guard", "--once")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.endswith("0 running, 0 deployed.  SPENT  $0.00 this month, no budget is set; spending nothing\n")


def test_one_look_stops_what_would_break_the_budget(still: Service, reasoning: Run) -> None:
    still.deploy()
    assert reasoning("costs", "set-budget", "1").exit_code == 0
    still.advance(3600)
    done = reasoning("costs", "guard", "--once")
    assert (done.exit_code, done.stdout[18:]) == (
        0,
        "stopping planning: the budget is used up: $5.49 of $1.00\n",
    )
    assert state(still) == "STOPPING"
    still.advance(60)
    line = json.loads(reasoning("costs", "guard", "--once", "--format", "jsonl").stdout)
    assert (line["running"], line["actions"], line["burn_cents_per_hour"]) == ([], [], 0)


def test_it_says_as_json_what_it_did_and_tells_the_webhook(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, object]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    still.deploy()
    still.advance(3600)
    reasoning("costs", "set-budget", "1")
    with HTTPServer(("127.0.0.1", 0), Hook) as hook:
        thread = threading.Thread(target=hook.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("REASONING_GUARD_WEBHOOK_URL", f"http://127.0.0.1:{hook.server_port}/")
        done = reasoning("costs", "guard", "--once", "--format", "jsonl")
        hook.shutdown()
        thread.join()
    line = json.loads(done.stdout)
    assert told == [line]
    assert line["actions"] == [
        {"action": "stop", "name": "planning", "why": "budget", "text": "the budget is used up: $5.49 of $1.00"}
    ]


def test_a_webhook_that_is_gone_does_not_keep_it_from_stopping(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONING_GUARD_WEBHOOK_URL", "http://127.0.0.1:9/")
    still.deploy()
    still.advance(3600)
    reasoning("costs", "set-budget", "1")
    done = reasoning("costs", "guard", "--once")
    assert "warning: the webhook was not notified" in done.stderr
    assert state(still) == "STOPPING"


def test_idle_minutes_asked_of_a_deployment_alone_win_over_those_that_are_set(still: Service, reasoning: Run) -> None:
    def looked() -> str:
        for _ in range(2):
            done = reasoning("costs", "guard", "--once")
            assert done.exit_code == 0, done.stderr
        return state(still)

    def expected() -> list[str]:
        return [entry["why"] for entry in json.loads(reasoning("costs", "outlook", "--json").stdout)["next"]]

    reasoning("models", "deploy", "planning", "--idle-minutes", "0", "--no-wait", "--yes")
    still.advance(600)
    assert looked() == "READY"
    assert expected() == []
    still.advance(3600)
    assert looked() == "READY"
    reasoning("models", "deploy", "planning", "--idle-minutes", "120", "--yes")
    still.advance(1800)
    assert looked() == "READY"
    assert expected() == ["idle"]
    reasoning("costs", "auto-shutdown", "--idle-minutes", "60")
    assert "60 idle minutes" in reasoning("costs", "outlook").stdout


def test_only_one_acts_and_after_kill_9_together_still_stops_what_is_idle(still: Service, reasoning: Run) -> None:
    still.deploy(idle_minutes=30)
    with program("costs", "guard", "--interval", "0.2s", "--format", "jsonl") as guard:
        assert guard.stdout is not None
        assert json.loads(guard.stdout.readline())["running"] == ["planning"]
        second = reasoning("costs", "guard", "--once")
        assert second.exit_code == 1
        assert second.stderr.startswith(f"error: a guard is at work already (process {guard.pid}")
        guard.kill()
        guard.wait(60)
    still.advance(29 * 60)
    assert state(still) == "READY"
    still.advance(3 * 60)
    assert state(still) == "STOPPED"
    assert reasoning("costs", "guard", "--once").exit_code == 0, "a dead guard is in nobody's way"


def test_it_ends_with_ctrl_c_and_takes_new_limits_while_it_runs(still: Service, reasoning: Run) -> None:
    still.deploy()
    still.advance(1200)  # not so long that it would be stopped for being idle
    still.forget_journal()
    with program("costs", "guard", "--interval", "0.1s") as guard:
        until(lambda: still.journal("GET"), "its first look")
        assert reasoning("costs", "set-budget", "1").exit_code == 0
        assert guard.stdout is not None
        assert guard.stdout.readline().endswith("stopping planning: the budget is used up: $1.83 of $1.00\n")
        until(lambda: state(still) == "STOPPING")
        still.advance(60)
        guard.send_signal(signal.SIGINT)
        _, err = guard.communicate(timeout=60)
    assert guard.returncode == 130, err
    assert "Traceback" not in err


@pytest.mark.sqlite("with an address from the environment it is refused: a password would be printed")
def test_what_keeps_it_running_knows_where_home_is(reasoning: Run, home: Path) -> None:
    unit = reasoning("costs", "guard", "--print-systemd")
    assert unit.exit_code == 0
    assert f'Environment="REASONING_HOME={home}"' in unit.stdout
    assert "-m reasoning_cli costs guard --format jsonl" in unit.stdout
    assert "Restart=always" in unit.stdout
    assert "it will not know the API key" in unit.stderr
    line = reasoning("costs", "guard", "--print-cron").stdout
    assert line.startswith(f"* * * * * REASONING_HOME={home} ")
    assert line.endswith("costs guard --once --format jsonl\n")


def test_hours_are_set_shown_and_taken_away(reasoning: Run) -> None:
    done = reasoning("costs", "schedule", "should-respond", "18:00-23:00")
    assert (done.exit_code, done.stdout) == (0, "should-respond runs from 18:00-23:00.\n")
    assert reasoning("config", "get", "should_respond.hours").stdout == "18:00-23:00\n"
    assert reasoning("costs", "schedule", "should-respond", "none").stdout == "should-respond runs at any hour.\n"
    assert reasoning("costs", "schedule", "planning", "noon").exit_code == 2


def test_the_guard_writes_no_table_formats(still: Service, reasoning: Run) -> None:
    assert reasoning("costs", "guard", "--once", "--format", "csv").exit_code == 2


def test_who_did_what_and_why_is_kept(still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert reasoning("costs", "events").stderr == "Nothing was done yet.\n"
    still.deploy()
    still.advance(3600)
    reasoning("costs", "set-budget", "1")
    reasoning("costs", "guard", "--once")
    records = json.loads(reasoning("costs", "events", "--json").stdout)
    done = [one for one in records if one["actor"] != "together"]
    assert {(one["actor"], one["by"], one["action"], one["subject"]) for one in done} == {
        ("operator", "ada", "deploy", "planning"),
        ("operator", "ada", "set_budget", "budget"),
        ("guard", "ada", "stop", "planning"),
    }
    stopped = next(one for one in records if one["action"] == "stop")
    assert stopped["detail"] == {"why": "budget", "text": "the budget is used up: $5.49 of $1.00"}
    assert "guard (ada)" in reasoning("costs", "events").stdout
    assert reasoning("costs", "events", "--since", "tomorrow").exit_code == 2
    assert len(reasoning("costs", "events", "--limit", "1", "-q").stdout.splitlines()) == 1
