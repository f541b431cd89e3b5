"""`reasoning status` and watching: one screen, and one that keeps itself up to date."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reasoning_cli.errors import ExitCode
from tests.commands.models.test_models import program
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.guards import guard_at_work, guard_name
from tests.waiting import PATIENCE_SECONDS

PLANNING = "moonmakesmagic/DeepSeek-Qwen-14B-planning"


def ask(still: Service) -> None:
    body = {"model": "sandbox/planning", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    still.ask("POST", "/v1/chat/completions", body)


def test_one_screen_for_everything(still: Service, reasoning: Run) -> None:
    still.deploy()
    still.advance(600)
    ask(still)
    still.advance(300)
    shown = reasoning("status")
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0] == "NAME            STATE   READY    $/H   SINCE  MONTH  REQ/H   IDLE  MODEL"
    assert lines[2] == f"planning        READY  1 of 1  $5.49  15 min  $1.37      2  5 min  {PLANNING}"
    assert lines[4:] == [
        "",
        "SPENT  $1.37 this month, no budget is set; spending $5.49/h",
        "OFF    nothing was deployed for should-respond, coding: `reasoning models deploy should-respond`",
        "GUARD  none was ever seen; Together's own idle stop is all there is: `reasoning costs guard`",
        "GATEWAY  none on port 8001: `reasoning gateway serve`",
        "DATA   0 decisions kept",
    ]


@pytest.mark.both_engines
def test_a_guard_at_work_is_seen(still: Service, reasoning: Run) -> None:
    with guard_at_work(still.store) as lock:
        lock.sign(60)
        line = rf"^GUARD  at work, {guard_name(still.store)}, last look \d s ago$"
        assert re.search(line, reasoning("status").stdout, re.M)
    assert "GUARD  none at work; the last look was" in reasoning("status").stdout


def test_budgets_of_types_and_what_is_broken_are_on_it(still: Service, reasoning: Run) -> None:
    still.deploy()
    reasoning("costs", "set-budget", "100")
    reasoning("costs", "set-budget", "20", "--model-type", "planning")
    (one,) = still.deployments()
    still.ask("POST", f"/_sandbox/deployments/{one['id']}/fail", {"message": "out of memory"})
    out = reasoning("status").stdout
    assert re.search(r"^SPENT  \$0\.\d\d of \$100\.00 this month", out, re.M)
    assert re.search(r"^SPENT  \$0\.\d\d of \$20\.00 this month", out, re.M)
    assert "planning is FAILED: out of memory\n" in out


def test_what_was_not_made_from_here_is_named(still: Service, reasoning: Run) -> None:
    still.ask("POST", "/_sandbox/endpoints", {"name": "forgotten", "model": PLANNING})
    line = next(line for line in reasoning("status").stdout.splitlines() if line.startswith("NOT OURS"))
    assert "forgotten" in line
    assert "$5.49/h that was not deployed from here: `reasoning models list --all`" in line


def test_json_is_that_of_models_status(still: Service, reasoning: Run) -> None:
    still.deploy()
    still.advance(60)
    one, other = (json.loads(reasoning(*words, "--json").stdout) for words in (["status"], ["models", "status"]))
    assert one == other
    assert (one[1]["requests_last_hour"], one[1]["quiet_seconds"]) == (1, 60)


def test_without_analytics_the_screen_shows_the_rest(still: Service, reasoning: Run) -> None:
    still.deploy()
    still.fault(r"/analytics$", status=404)
    shown = reasoning("status")
    assert shown.exit_code == 0
    assert re.search(r"^planning +READY  1 of 1  \$5\.49 +\S+ s  \S+ +–     –  ", shown.stdout, re.M)


def test_watching_through_a_pipe_adds_a_look_at_a_time_and_survives_a_lost_network(still: Service) -> None:
    still.deploy()
    with program("status", "--watch", "--interval", "0.1s", "--format", "jsonl") as watch:
        assert watch.stdout is not None
        first = json.loads(watch.stdout.readline())
        still.fault(".*", status=503, times=4)
        for _ in range(6):
            json.loads(watch.stdout.readline())
        watch.send_signal(signal.SIGINT)
        _, err = watch.communicate(timeout=60)
    assert (watch.returncode, first["name"]) == (130, "should_respond")
    assert "Traceback" not in err


@pytest.mark.parametrize("columns", [40, 80])
def test_watching_in_a_terminal_redraws_in_place_and_does_not_grow(still: Service, columns: int) -> None:
    """Many looks at sixty times speed: no line wider than the screen, nothing scrolled, memory as it was."""
    still.deploy()
    still.ask("POST", "/_sandbox/clock", {"speed": 60})
    leader, follower = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(columns), "LINES": "24", "TERM": "xterm"}
    words = [sys.executable, "-m", "reasoning_cli", "status", "--watch", "--interval", "0.1s"]
    with subprocess.Popen(words, stdin=follower, stdout=follower, stderr=follower, env=environ) as watch:
        os.close(follower)
        shown = _read(leader, 5)
        before = _memory_kilobytes(watch.pid)
        shown += _read(leader, 15)
        after = _memory_kilobytes(watch.pid)
        watch.send_signal(signal.SIGINT)
        shown += _read(leader, None)
        watch.wait(60)
    os.close(leader)
    assert watch.returncode == 130
    text = shown.decode()
    pictures = text.count("SPENT")
    assert "\x1b[2J" not in text, "the screen is never cleared whole: that flickers"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    widest = max(plain.split("\n"), key=len)
    assert len(widest) <= columns, widest
    assert "planning" in plain
    assert "READY" in plain
    assert after - before < 4000, f"{after - before} kB more after {pictures} pictures"


def _read(leader: int, pictures: int | None) -> bytes:
    """What a terminal is sent until so many more pictures are there, or until it is closed."""
    data = b""
    while pictures is None or data.count(b"SPENT") < pictures:
        assert select.select([leader], [], [], PATIENCE_SECONDS)[0], data
        try:
            part = os.read(leader, 65536)
        except OSError:  # how Linux says that the other end is closed
            part = b""
        if not part:
            assert pictures is None, data
            break
        data += part
    return data


def _memory_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("no /proc here")
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text())
    assert found is not None
    return int(found[1])


def test_a_watch_that_cannot_be_written_is_refused(reasoning: Run) -> None:
    assert reasoning("status", "--watch", "--format", "csv").exit_code == 2
    assert reasoning("status", "--watch", "--interval", "often").exit_code == 2


NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


def test_without_a_network_what_is_known_here_is_shown_and_the_rest_is_not_known(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.deploy()
    still.advance(600)
    reasoning("status")
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    for words in (["status"], ["models", "status"]):
        shown = reasoning(*words)
        assert shown.exit_code == 7
        assert re.search(r"^planning +not known, was READY ", shown.stdout, re.M), shown.stdout
        assert "SPENT  $0.92 this month" in shown.stdout
        assert re.search(r"^TOGETHER  not known: ", shown.stdout, re.M)
        assert shown.stderr.startswith("error: ")
    assert "DATA   0 decisions kept" in reasoning("status").stdout
    assert json.loads(reasoning("status", "--json").stdout)[1]["seen_at"] is not None


def test_where_all_is_served_elsewhere_nothing_of_together_is_missed(reasoning: Run) -> None:
    reasoning("config", "set", "planning.provider_url", f"{NOWHERE}/v1")
    for words in (["status"], ["models", "status"]):
        shown = reasoning(*words)
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert "Together" not in shown.stdout
        assert re.search(r"^planning +elsewhere ", shown.stdout, re.M)


@pytest.mark.both_engines
def test_the_total_has_a_row_for_models_that_are_gone_and_for_training(still: Service, reasoning: Run) -> None:
    for model_type in ("planning", "coding"):
        still.deploy(model_type)
        still.advance(3600)
        still.stop(model_type)
    still.deploy("planning")
    still.advance(3600)
    shown = reasoning("models", "status").stdout
    gone = next(line for line in shown.splitlines() if line.startswith("gone (2)"))
    month = [float(one.replace("$", "")) for one in re.findall(r"\$\d+\.\d\d", gone)]
    serving = next(line for line in shown.splitlines() if line.startswith("planning"))
    total = float(re.findall(r"SPENT  \$(\d+\.\d\d)", shown)[0])
    assert round(month[-1] + float(re.findall(r"\$(\d+\.\d\d)", serving)[-1]), 2) == total
    assert [one["name"] for one in json.loads(reasoning("models", "status", "--json").stdout)] == [
        "should_respond",
        "planning",
        "coding",
    ]
    assert "gone" not in reasoning("models", "status", "-q").stdout


def test_a_disabled_type_is_off_and_says_so(still: Service, reasoning: Run) -> None:
    still.deploy()
    reasoning("models", "disable", "planning")
    said = "OFF    planning is disabled, the original answers: `reasoning models enable planning`"
    assert said in reasoning("status").stdout


def test_a_guard_that_sees_nothing_is_not_said_to_be_at_work(
    still: Service, reasoning: Run, session_facts: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key it looks every minute, in vain, and whoever trusts it finds out by the bill."""

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    still.deploy("planning", idle_minutes=0)
    with monkeypatch.context() as patch:
        patch.delenv("TOGETHER_API_KEY")
        patch.setitem(session_facts, "sleep", interrupted)
        assert reasoning("costs", "guard").exit_code == ExitCode.INTERRUPTED
    with guard_at_work(still.store) as lock:
        if still.store.is_shared:
            lock.sign(60, "no Together API key is set")  # what the last one found is not on its list
        why = "no Together API key is set"
        line = rf"^GUARD  sees nothing, {guard_name(still.store)}, last tried \d s ago: {why}$"
        assert re.search(line, reasoning("status").stdout, re.M)
        assert "sees nothing (no Together API key is set)" in reasoning("costs", "outlook").stderr
        assert json.loads(reasoning("costs", "outlook", "--json").stdout)["guard"]["problem"]
        done = reasoning("doctor", "--json")
        (found,) = [check for check in json.loads(done.stdout) if check["name"] == "guard"]
        assert (done.exit_code, found["status"]) == (1, "fail")
        assert f"the guard ({guard_name(still.store)}) cannot look: no Together API key is set" in found["detail"]
        lock.sign(60)
        assert "GUARD  at work" in reasoning("status").stdout
