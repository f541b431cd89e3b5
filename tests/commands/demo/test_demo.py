"""The tour: every step with its real output, in a few seconds, and nothing left behind however it ends."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reasoning_cli.commands.demo.app import HEAD, STEPS, steps_of
from reasoning_cli.terminal.console import Terminal
from tests import forking
from tests.waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the tour may put its own temporary folder."""
    made = tmp_path / "tmp"
    made.mkdir()
    return made


@contextmanager
def touring(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A tour under way, both streams in one; its process group is its own, as in an interactive shell."""
    with subprocess.Popen(
        [sys.executable, "-m", "reasoning_cli", "demo", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "TOGETHER_API_KEY": "the-operators-own-key"},
        process_group=0,
    ) as process:
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def tour(folder: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A tour that is ended on its way, perhaps while Python starts what it shows."""
    with touring(folder) as process:
        yield process


@pytest.fixture
def whole_tour(folder: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A tour that nobody interrupts."""
    with forking.further(), touring(folder) as process:
        yield process


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that have to do with `folder`: that name it, or are in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            within = str((entry / "cwd").readlink())
        except OSError:
            continue  # it has ended meanwhile
        if str(folder) in command or within.startswith(str(folder)):
            found.append(command)
    return found


def leaves_nothing(folder: Path, home: Path) -> None:
    until(lambda: not processes_of(folder), "every process that was told to end")
    assert list(folder.iterdir()) == []
    assert not home.exists()
    assert list(Path().iterdir()) == []


def test_every_step_is_shown_with_what_it_really_says(
    whole_tour: subprocess.Popen[str], folder: Path, home: Path
) -> None:
    began = time.monotonic()
    shown, _ = whole_tour.communicate(timeout=300)
    minutes = (time.monotonic() - began) / 60
    assert whole_tour.returncode == 0, shown
    parts = {}
    for part in shown.split("\n# ")[1:]:
        heading, command, *output = part.split("\n")
        typed = re.sub(r"head/\S+", HEAD, command.removeprefix("$ reasoning "))
        parts[typed] = (heading, "\n".join(output))
    assert [(heading, typed) for typed, (heading, _) in parts.items()] == [
        (step.why, step.typed) for step in unique_steps()
    ]
    said = {typed: output for typed, (_, output) in parts.items()}
    assert "price      $5.49 an hour while ready" in said["models deploy planning --dry-run"]
    assert "planning is serving as sandbox/planning" in said["models deploy planning --yes"]
    assert "1 of 1  $5.49" in said["models status"]
    assert "1,600 should-respond" in said["data import agent-logs.jsonl"]
    assert re.search(r"^  should-respond +1,600 ", said["data stats"], re.M)
    assert re.search(r"(\d+) samples \(\1 planning\) written to", said["data export -m planning -o planning.jsonl"])
    learned = said["train start should-respond --engine head --max-error 5"]
    assert re.search(r"would answer [6-9]\d % of decisions .* at most [34]\.\d % counted by rooms", learned)
    saving = said["costs compare should-respond --baseline gpt-4o"]
    assert "→ The cheapest that may answer: head, then baseline" in saving
    assert "is in line, live" in said[f"models enable {HEAD} --mode live"]
    answered = re.search(r"^should-respond +head +(\d+) +(\d+) % ", said["gateway stats --since 1h"], re.M)
    assert answered and int(answered[2]) > 60, said["gateway stats --since 1h"]
    assert "of $20.00 used this month" in said["costs set-budget 20"]
    assert "error: the budget of $20.00 would be broken" in said["models deploy coding --yes"]
    assert "You said" in said["gateway serve"]
    assert "Answered by your model in " in said["gateway serve"]
    assert re.search(r"^planning +model +400 +100 % ", said["gateway stats --since 1h"], re.M)
    assert "planning is gone" in said["models undeploy planning --yes"]
    assert "budget $20.00 a month" in said["costs report"]
    bill = re.search(r"DELETED +\$5\.49 +[\d.]+ +(\$[\d.]+) +400 +\$(\d+\.\d\d)  ", said["costs report"])
    assert bill, said["costs report"]
    # A machine on which the tour takes minutes runs up more hours in it.
    assert float(bill[2]) < 30 * max(1, minutes), "a price of a thousand that a buyer would accept"
    assert "Traceback" not in shown
    leaves_nothing(folder, home)


def test_without_what_trains_a_head_the_tour_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    terminal = Terminal(out=io.StringIO(), err=err, environ={})
    assert steps_of(terminal) == STEPS and err.getvalue() == ""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [step.typed for step in STEPS if step not in steps_of(terminal)] == [
        "train start should-respond --engine head --max-error 5",
        "costs compare should-respond --baseline gpt-4o",
        f"models enable {HEAD} --mode live",
    ]
    assert "pip install 'reasoning[head]'" in err.getvalue()


def unique_steps() -> list[object]:
    """The steps by what is typed: of one that comes twice the last, in the place of the first."""
    return list({step.typed: step for step in STEPS}.values())


@pytest.mark.parametrize(
    ("seen", "end"),
    [
        # While Python starts, and would answer with a traceback of its own; and in the middle of a command.
        ("$ reasoning models deploy planning --yes", signal.SIGINT),
        ("planning: provisioning", signal.SIGINT),
        ("$ reasoning models deploy planning --dry-run", signal.SIGTERM),
        ("A tour on a sandbox", signal.SIGHUP),
    ],
)
def test_an_end_in_the_middle_cleans_up_too(
    tour: subprocess.Popen[str], folder: Path, home: Path, seen: str, end: signal.Signals
) -> None:
    assert tour.stdout is not None
    for line in tour.stdout:
        if seen in line:
            break
    os.killpg(tour.pid, end)
    rest = tour.stdout.read()
    assert tour.wait(timeout=60) == 130
    assert "Interrupted. Nothing is left behind." in rest
    assert "Traceback" not in rest
    leaves_nothing(folder, home)


def test_an_end_before_the_sandbox_answers_leaves_none(tour: subprocess.Popen[str], folder: Path, home: Path) -> None:
    until(lambda: processes_of(folder), "the sandbox")
    os.killpg(tour.pid, signal.SIGINT)
    tour.communicate(timeout=60)
    leaves_nothing(folder, home)
