"""The long tour: from an agent's log to a better model in its place, shown with what the commands really say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.commands.demo.full import steps
from tests import forking
from tests.commands.demo.test_demo import leaves_nothing, touring

FULL = "--full", "--speed", "900"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tmp"
    made.mkdir()
    return made


@pytest.fixture
def tour(folder: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    with touring(folder, *FULL) as process:
        yield process


@pytest.fixture
def whole_tour(folder: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    with forking.further(), touring(folder, *FULL) as process:
        yield process


def test_from_the_log_to_a_better_model(whole_tour: subprocess.Popen[str], folder: Path, home: Path) -> None:
    shown, _ = whole_tour.communicate(timeout=600)
    assert whole_tour.returncode == 0, shown
    assert "Traceback" not in shown
    model = re.search(r"sandbox/should-respond-r1-[0-9a-f]{8}", shown)
    assert model is not None
    parts = [part.split("\n", 2) for part in shown.split("\n# ")[1:]]
    assert [why for why, *_ in parts] == [why for why, _ in steps()]
    said = {command.removeprefix("$ reasoning ").replace(model[0], "MODEL"): output for _, command, output in parts}
    assert "700 added, 0 there already" in said["data import agent-logs.jsonl"]
    assert "The agent asked 100 times, and got the original's answers." in said["gateway serve &"]
    assert "does it decide as the original in at least 85 %?\n  No:" in said["train compare should-respond"]
    assert f"Run 1 is done: {model[0]} for should-respond" in said["train start should-respond --split 0.8/0.2 --yes"]
    assert "answers 0 % of should-respond" in said["models deploy MODEL --as should-respond --canary 0 --yes"]
    evaluated = said["train eval should-respond --model MODEL --model should-respond"]
    assert f"{model[0]} is better than should-respond: accuracy +" in evaluated
    promoted = said["train promote should-respond --yes"]
    assert "The gate:" in promoted and "✗" not in promoted
    assert [f"goes on to {step}" in promoted for step in ("10 %", "50 %", "all of the traffic")] == [True] * 3
    assert f"{model[0]} answers should-respond." in promoted
    assert re.search(r"Meanwhile the agent asked on: \d+ times, 0 errors\.", promoted)
    assert "promoted" in said["train history should-respond"]
    assert "model" in said["gateway stats --since 1h"]
    assert re.search(r"should-respond-r1-\w+\s+completed", said["costs report"])
    assert said["costs report"].count("DELETED") == 2
    leaves_nothing(folder, home)


def test_an_end_in_the_middle_leaves_neither_gateway_nor_provider(
    tour: subprocess.Popen[str], folder: Path, home: Path
) -> None:
    assert tour.stdout is not None
    for line in tour.stdout:
        if "$ reasoning train compare" in line:
            break
    os.killpg(tour.pid, signal.SIGINT)
    rest = tour.stdout.read()
    assert tour.wait(timeout=60) == 130
    assert "Interrupted. Nothing is left behind." in rest
    assert "Traceback" not in rest
    leaves_nothing(folder, home)
