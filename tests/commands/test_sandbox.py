"""`reasoning sandbox` and `--sandbox`: the stand-in runs by itself, keeps its state, and mixes with nothing real."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.operations.sandbox import find_sandbox
from reasoning_cli.paths import find_paths
from tests.conftest import Run


@pytest.fixture
def state(home: Path, process: Run) -> Iterator[Path]:
    """Where the embedded sandbox keeps its state; it is stopped at the end."""
    yield find_paths({"REASONING_HOME": str(home)}).sandbox().sandbox_state
    process("sandbox", "stop")


def whoami(url: str) -> dict[str, object]:
    request = urllib.request.Request(f"{url}/v3/whoami", headers={"authorization": "Bearer sandbox-key"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.load(answer)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_its_address_and_ends_when_asked(how: signal.Signals, home: Path) -> None:
    command = [sys.executable, "-m", "reasoning_cli", "sandbox", "serve", "--speed", "100x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert whoami(url)["project"]
        process.send_signal(how)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read() == (
            f"sandbox for Together at {url}, clock at 100x, key sandbox-key. Ctrl-C stops it.\n"
        )
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--speed", "fast"], "`fast` is not a speed like 60x"), (["--port", "99999"], "invalid value for `--port`")],
)
def test_a_wrong_option_is_a_usage_error(arguments: list[str], complaint: str, reasoning: Run) -> None:
    done = reasoning("sandbox", "serve", *arguments)
    assert (done.exit_code, done.stdout, complaint in done.stderr) == (2, "", True)


def test_the_flag_starts_one_and_finds_it_again(process: Run, state: Path) -> None:
    started = process("--sandbox", "doctor")
    assert started.exit_code == 0
    assert "its clock runs 60 times as fast as yours" in started.stderr
    first = find_sandbox(state)
    assert first is not None
    again = process("--sandbox", "doctor")
    assert (again.exit_code, "clock" in again.stderr) == (0, False)
    assert find_sandbox(state) == first


def test_every_run_in_it_says_so_on_stderr(process: Run) -> None:
    done = process("--sandbox", "config", "get", "gateway.port")
    assert (done.stdout, done.stderr) == ("8001\n", "sandbox: nothing here is real, and nothing costs money\n")


def test_no_real_key_goes_into_it(process: Run, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp_v1_zQzQzQzQzQzQzQzQzQzQ")
    monkeypatch.setenv("TOGETHER_BASE_URL", "http://127.0.0.1:9")
    done = process("--sandbox", "-vv", "doctor")
    assert done.exit_code == 0
    assert "zQzQ" not in done.stdout + done.stderr
    assert find_sandbox(state) is not None


def test_code_in_the_working_folder_is_not_run(process: Run, state: Path) -> None:
    Path("typer.py").write_text("open('ran', 'w').close()")
    assert process("--sandbox", "doctor").exit_code == 0
    assert not Path("ran").exists()


def test_stop_keeps_the_state_and_reset_does_not(process: Run, state: Path, home: Path) -> None:
    process("--sandbox", "config", "set", "gateway.port", "9001")
    assert process("--sandbox", "doctor").exit_code == 0
    assert process("sandbox", "stop").stderr == "The sandbox is stopped; its state stays.\n"
    assert (find_sandbox(state), state.exists()) == (None, True)
    assert process("sandbox", "stop").stderr == "No sandbox was running.\n"
    refused = process("sandbox", "reset")
    assert (refused.exit_code, refused.stderr.splitlines()[-1], state.exists()) == (1, "hint: add --yes", True)
    assert process("sandbox", "reset", "--yes").stderr == "The sandbox is empty again.\n"
    assert not (home / "sandbox").exists()


def test_reset_stops_what_runs_and_leaves_the_real_things(process: Run, state: Path, home: Path) -> None:
    process("config", "set", "gateway.port", "9000")
    assert process("--sandbox", "doctor").exit_code == 0
    assert process("--sandbox", "sandbox", "reset", "--yes").exit_code == 0
    assert find_sandbox(state) is None
    assert [one.name for one in home.iterdir()] == ["config.toml"]


def test_everything_it_keeps_is_private(process: Run, state: Path, home: Path) -> None:
    assert process("--sandbox", "doctor").exit_code == 0
    for one in home.rglob("*"):
        assert one.stat().st_mode & 0o077 == 0, one
