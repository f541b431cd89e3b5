"""Killed with SIGKILL at a request and typed again, a command ends well: nothing twice, nothing left, no cent astray.

Here every request that changes something, the last one, and a few of the others; benchmarks/kill_every_call.py has all,
and more commands.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.operations.killing import COMMANDS, MOMENTS, Call, Command, Killing
from tests.stores import Schemas

OTHERS = 1  # of the requests that only ask, and of the moments, for each command
TRIED = (
    "deploy",
    "replace in steps",
    "rollback",
    "start",
    "undeploy",
)


def chosen(command: Command, calls: list[Call]) -> list[tuple[Call, str]]:
    """Which calls to be killed at, and when."""
    dice = random.Random(command.name)
    others = [(dice.choice(calls), dice.choice(MOMENTS)) for _ in range(OTHERS)]
    return [*((one, "after_action") for one in calls if one.writes), (calls[-1], "before"), *others]


@pytest.mark.parametrize("name", TRIED)
def test_killed_and_typed_again(tmp_path: Path, name: str) -> None:
    (command,) = (one for one in COMMANDS if one.name == name)
    killing = Killing(tmp_path, command)
    for call, moment in dict.fromkeys(chosen(command, killing.calls())):
        verdict = killing.kill(call, moment)
        assert verdict.faults == (), verdict
        assert verdict.duplicates == verdict.orphans == 0, verdict
        assert verdict.low_cents == verdict.high_cents, "events tell the exact moments"


def test_killed_and_typed_again_with_its_store_on_postgresql(tmp_path: Path, schemas: Schemas | None) -> None:
    """Where a start is killed in the middle of what it reserved, the same again goes on, and the ledger is the
    meter's."""
    if schemas is None:
        pytest.skip("there is no PostgreSQL here")
    (command,) = (one for one in COMMANDS if one.name == "start")
    killing = Killing(tmp_path, command, schemas.url)
    scaled = next(call for call in killing.calls() if call.method == "PATCH")
    for moment in ("before", "after_action"):
        verdict = killing.kill(scaled, moment)
        assert verdict.faults == (), verdict
        assert verdict.low_cents == verdict.high_cents, verdict
