"""Killed with SIGKILL at a request and typed again, each command from the log to a better model ends well: one file
of a kind, one job, one deployment, no cent astray.

Here a handful of requests, those that make something first; benchmarks/train_kill.py has all, at three moments each.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.operations.killing import Call
from tests.stores import Schemas
from tests.train.killing import COMMANDS, Command, Killing

TRIED = {"train start": 1, "deploy beside": 1, "train eval": 1, "train promote": 2, "train auto": 1}


def chosen(command: Command, calls: list[Call]) -> list[Call]:
    """Which calls to be killed at: of those that change something, which this test knows of best."""
    writes = [one for one in calls if one.writes] or calls
    return sorted(random.Random(command.name).sample(writes, TRIED[command.name]), key=lambda one: one.number)


@pytest.mark.parametrize("name", TRIED)
def test_killed_and_typed_again(tmp_path: Path, name: str) -> None:
    (command,) = (one for one in COMMANDS if one.name == name)
    killing = Killing(tmp_path, command)
    for call in chosen(command, killing.calls()):
        verdict = killing.kill(call, "after_action")
        assert verdict.was_killed
        assert verdict.faults == (), verdict


def test_killed_and_typed_again_with_its_store_on_postgresql(tmp_path: Path, schemas: Schemas | None) -> None:
    """Between the job at Together and what the store knows of it."""
    if schemas is None:
        pytest.skip("there is no PostgreSQL here")
    (command,) = (one for one in COMMANDS if one.name == "train start")
    killing = Killing(tmp_path, command, schemas.url)
    begun = next(call for call in killing.calls() if (call.method, call.path) == ("POST", "/v1/fine-tunes"))
    verdict = killing.kill(begun, "after_action")
    assert verdict.was_killed
    assert verdict.faults == (), verdict
