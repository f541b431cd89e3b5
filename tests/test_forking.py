"""A program that tests fork is in the state of one that they start, and does the same."""

from __future__ import annotations

import functools
import json
import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import forking
from tests.test_app import unread_bytes
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    forking.forks is None, reason="programs are forked where Linux lets a process watch another"
)

ROOT = Path(__file__).parents[1]


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "reasoning_cli", *words]


def both(run: Callable[[], Any]) -> Any:
    """What both come to; that must be the same."""
    forked = run()
    with forking.for_real():
        started = run()
    assert forked == started
    return forked


def is_forked(pid: int) -> bool:
    """It has the command line of what it was forked from."""
    return forking.forked.__file__ in Path(f"/proc/{pid}/cmdline").read_text().split("\0")


# --- the state of Python ---


def state(**options: Any) -> dict[str, Any]:
    asked = [sys.executable, "-m", "tests.state", "7", "--a word"]
    # Libraries in C put something of their own (`LINES`) into what is handed on without a word.
    done = subprocess.run(asked, **{"cwd": ROOT, "stdout": subprocess.PIPE, "env": dict(os.environ), **options})
    assert done.returncode == 7
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stdin": subprocess.PIPE, "input": None, "stderr": subprocess.PIPE},
        {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
        {"stderr": subprocess.STDOUT},
        {"start_new_session": True},
        {"process_group": 0},
        {"env": {"A": "1", "PATH": "/bin", "TZ": "Asia/Tokyo"}},
        {"env": {"PYTHONUNBUFFERED": "1"}},
        {"preexec_fn": functools.partial(os.umask, 0o77)},
    ],
    ids=lambda options: "-".join(options) or "usual",
)
def test_python_is_in_the_state_of_one_that_was_started(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "PACKAGES", {"tests"})
    usual = {name: value for name, value in os.environ.items() if name.startswith(("LANG", "LC_", "PYTHON"))}
    if "env" in options:
        options = {**options, "env": {**usual, **options["env"]}}
    both(lambda: state(**options))


@pytest.mark.parametrize("options", [{}, {"start_new_session": True}, {"process_group": 0}], ids=str)
def test_what_a_program_starts_in_turn_is_in_that_state_too(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "PACKAGES", {"tests"})
    asked = [sys.executable, "-m", "tests.state", "7", "within", json.dumps(options)]

    def run() -> list[dict[str, Any]]:
        with forking.further():
            done = subprocess.run(asked, cwd=ROOT, stdout=subprocess.PIPE, env=dict(os.environ))
        assert done.returncode == 7
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    forked = run()
    with forking.for_real():
        started = run()
    lines = [one.pop("line") for one in (*forked, *started)]
    assert [forking.forked.__file__ in line for line in lines] == [True, True, False, False]
    assert forked == started


def test_files_are_handed_on_under_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "PACKAGES", {"tests"})
    reads, writes = os.pipe()
    try:
        files = both(lambda: state(pass_fds=[writes, reads])["files"])
    finally:
        os.close(reads)
        os.close(writes)
    assert {"0", "1", "2", str(reads), str(writes)} <= set(files)


def test_a_terminal_is_one_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "PACKAGES", {"tests"})
    ours, theirs = pty.openpty()
    try:
        streams = both(lambda: state(stdin=theirs, stderr=theirs)["streams"])
    finally:
        os.close(ours)
        os.close(theirs)
    assert [is_terminal for *_, is_terminal, _ in streams] == [True, False, True]


# --- programs ---


@pytest.mark.parametrize(
    ("words", "code"),
    [("--version", 0), ("models --help", 0), ("models lst", 2), ("models list", 0), ("status", 4),
     ("config set gateway.port x", 2), ("data list --json", 0)],
)  # fmt: skip
def test_exit_code_and_both_streams_are_the_same(words: str, code: int) -> None:
    def run() -> tuple[int, str, str]:
        done = subprocess.run(command(*words.split()), capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    run()  # what is said once only
    assert both(run)[0] == code


def test_a_reader_that_has_gone_and_a_full_disk_are_met_in_the_same_way(tmp_path: Path) -> None:
    def run(words: str, stdout: int, **options: Any) -> tuple[int, list[bytes]]:
        done = subprocess.run(command(*words.split()), stdout=stdout, stderr=subprocess.PIPE, **options)
        return done.returncode, done.stderr.splitlines()[-1:]

    for words in ("--version", "--help", "config"):
        reads, writes = os.pipe()
        os.close(reads)
        both(functools.partial(run, words, writes))
        os.close(writes)
    bound = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    with (tmp_path / "out").open("wb") as file:
        assert both(functools.partial(run, "--help", file.fileno(), preexec_fn=bound))[0] != 0


@pytest.fixture
def waiting() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Programs that wait for the end of what they read, which does not come; they are gone in the end."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(**options: Any) -> subprocess.Popen[bytes]:
        words = command("config", "set", "together.api_key", "--stdin")
        begun.append(subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, **options))
        stdin = begun[-1].stdin
        assert stdin is not None
        stdin.write(b"half a line")
        stdin.flush()
        until(lambda: not unread_bytes(stdin.fileno()), "the half line to be read")
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_signals_end_it(number: int, code: int, waiting: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = waiting()
    assert is_forked(process.pid)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(number)
    assert (process.wait(60), process.poll()) == (code, code)


@pytest.mark.parametrize(
    "options",
    [
        {"umask": 0o77},
        {"close_fds": False},
        {"preexec_fn": lambda: None},
        {"env": {**os.environ, "PYTHONOPTIMIZE": "1"}},
    ],
    ids=lambda options: next(iter(options)),
)
def test_python_is_started_for_what_a_fork_would_not_do_the_same(
    options: dict[str, Any], waiting: Callable[..., subprocess.Popen[bytes]]
) -> None:
    assert not is_forked(waiting(**options).pid)


def test_python_is_started_where_there_is_nothing_to_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    there_is_none = forking.Forks()
    monkeypatch.setattr(forking, "forks", there_is_none)
    monkeypatch.setattr(forking.forked, "__file__", os.devnull)  # it ends at once
    for _ in range(3):
        assert subprocess.check_output(command("--version")).startswith(b"reasoning ")
    there_is_none.end()
