"""What goes away under a running program: its working folder, and the streams it was to have."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reasoning_cli import settings as s
from reasoning_cli.paths import find_paths

COMMANDS = ["config", "status", "data stats", "data list", "costs report", "costs events", "train list",
            "gateway serve --print-systemd", "costs guard --print-cron", "config get gateway.port"]  # fmt: skip


def run(
    command: str, prepare: Callable[[], object] | None, folder: Path, text: str | None = None
) -> tuple[int, str, str]:
    """The program in a process that `prepare`, where there is one, was called in first."""
    done = subprocess.run(
        [sys.executable, "-m", "reasoning_cli", *command.split()],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        preexec_fn=prepare,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_working_folder_that_has_gone_changes_nothing(command: str, tmp_path: Path) -> None:
    gone, there = tmp_path / "gone", tmp_path / "there"
    gone.mkdir()
    there.mkdir()
    run(command, None, there)  # what is said once only
    expected = run(command, None, there)
    assert run(command, gone.rmdir, gone) == expected
    assert "No such file" not in expected[2]


def test_files_by_their_whole_paths_are_read_and_written_without_a_working_folder(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    rows = Path(__file__).parent / "data" / "elizaos-logs.jsonl"
    for command in (f"data import {rows}", f"data export -o {tmp_path}/out.jsonl", f"data backup {tmp_path}/copy.db"):
        gone.mkdir()
        code, _, err = run(command, gone.rmdir, gone)
        assert (code, "Traceback" in err) == (0, False), err
    assert (tmp_path / "out.jsonl").stat().st_size > 0


def test_what_a_folder_said_stays_when_it_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "release-1"
    gone.mkdir()
    monkeypatch.chdir(gone)
    (gone / ".env").write_text("REASONING_BUDGET_LIMIT_USD=5\n")
    paths = find_paths({"REASONING_HOME": str(tmp_path / "home")})
    limit = s.load_settings(paths, {}).resolve(s.BUDGET_LIMIT)
    assert limit.source is s.Source.DOTENV
    (gone / ".env").unlink()
    gone.rmdir()
    assert s.load_settings(paths, {}).get(s.BUDGET_LIMIT) == limit.value
    # A file that was taken away where the folder stays says nothing any more.
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert s.load_settings(paths, {}).get(s.BUDGET_LIMIT) is None


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("command", ["--version", "--help", "config", "data stats", "config get gateway.port"])
def test_closed_streams_are_nobody_there(closed: tuple[int, ...], command: str, tmp_path: Path) -> None:
    code, _, err = run(command, lambda: [os.close(number) for number in closed], tmp_path)
    assert (code, "bug" in err, "Traceback" in err) == (0, False, False), err


@pytest.mark.parametrize("command", ["setup", "data import -", "data review", "sandbox reset"])
def test_without_stdin_nobody_can_be_asked(command: str, tmp_path: Path) -> None:
    code, out, err = run(command, lambda: os.close(0), tmp_path)
    without = run(command, None, tmp_path, text="")
    assert (code, out, err) == without
    assert "bug" not in err


def test_nothing_that_is_said_goes_into_the_database(tmp_path: Path) -> None:
    rows = Path(__file__).parent / "data" / "elizaos-logs.jsonl"
    code, _, err = run(f"--db {tmp_path}/a.db data import {rows}", lambda: [os.close(1), os.close(0)], tmp_path)
    assert code == 0, err
    assert (tmp_path / "a.db").read_bytes().startswith(b"SQLite format 3\0")
    assert run(f"--db {tmp_path}/a.db data stats", None, tmp_path)[0] == 0


@pytest.mark.parametrize("command", ["status", "data stats", "doctor --offline"])
def test_a_database_named_within_a_folder_that_has_gone_is_said_to_be_so(command: str, tmp_path: Path) -> None:
    """Not made somewhere else, and not called fine."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code, out, err = run(f"--db x.db {command}", gone.rmdir, gone)
    said = " ".join((out + err).split())
    assert (code, "`x.db` (store.path) is in the working folder, and that has gone" in said) == (4, True), said
    assert "no database yet" not in said


def test_samples_for_a_closed_stdout_are_not_said_to_be_written(tmp_path: Path) -> None:
    rows = Path(__file__).parent / "data" / "elizaos-logs.jsonl"
    assert run(f"data import {rows}", None, tmp_path)[0] == 0
    code, _, err = run("data export -o -", lambda: os.close(1), tmp_path)
    assert (code, err.splitlines()[0]) == (1, "error: stdout is closed, and the samples were to go there")


@pytest.mark.parametrize(
    "command", ["config", "models list", "data stats", "--help", "models deploy --help", "config --json", "doctor"]
)
def test_whoever_has_read_enough_has_had_no_error(command: str, tmp_path: Path) -> None:
    """As `head` does: the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "reasoning_cli", *command.split()],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    os.close(writing)
    assert (done.returncode, "Broken pipe" in done.stderr, "Traceback" in done.stderr) == (0, False, False), done.stderr
