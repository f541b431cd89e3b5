"""The commands from the log to a better model, killed for real at any request they make, and typed again.

What a command was told to do must then be there once: one file of a kind, one job, one model, one deployment of it, and
every cent of it in the ledger.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from reasoning_cli.commands.demo_agent import agent_log, make_decisions
from reasoning_cli.store.fine_tunes import FineTunes
from reasoning_cli.store.training_runs import TrainingRuns
from tests.operations.killing import (
    LOCAL_SECONDS,
    Call,
    run_in,
    run_until_held,
    standing_still,
    type_in,
    world_in,
)
from tests.together.service import Service

MESSAGES = 100
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_START = "train start should-respond --yes"


@dataclass(frozen=True)
class Command:
    """What is typed after what; `wrong` says what is not as it should be when it is done."""

    name: str
    typed: str
    before: tuple[str, ...]
    wrong: Callable[[Service], list[str]]


@dataclass(frozen=True)
class Verdict:
    """How a kill ended. `faults` says what was wrong, nothing when all was right."""

    call: Call
    moment: str
    was_killed: bool
    cents: Decimal
    faults: tuple[str, ...]


class Killing:
    """A command, the world it begins in (made once, in `folder`), and that world after each kill."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.command = command
        self._folder = folder
        begin = folder / "begin"
        with world_in(begin) as world:
            world.behave(provisioning_seconds=5, scaling_seconds=5, stopping_seconds=5)
            world.behave(file_check_seconds=2, queue_seconds=2, training_seconds=6, saving_seconds=2)
            log = begin / "log.jsonl"
            log.write_text(agent_log(make_decisions(MESSAGES, until=_NOW)), encoding="utf-8")
            for typed in (f"data import {log}", *command.before):
                code, _, err = type_in(begin, world, _named(world, typed))
                assert code == 0, (typed, err)

    def calls(self) -> list[Call]:
        """What the command asks of Together when nobody kills it; it then ends as it should."""
        with self._copy("whole") as (home, world):
            before = len(world.journal())
            code, _, err = type_in(home, world, _named(world, self.command.typed))
            assert code == 0, err
            made = world.journal()[before:]
            assert self._wrong(home, world) == []
            return [Call(number, one["method"], one["path"]) for number, one in enumerate(made, 1)]

    def kill(self, call: Call, moment: str, seed: int = 0) -> Verdict:
        """Kill the command at that call, type it again, and look at what came of it."""
        with self._copy(f"{call.number}-{moment}") as (home, world):
            typed = _named(world, self.command.typed)
            world.fault(".", hold=moment, skip=call.number - 1, times=1)
            pause = random.Random(f"{self.command.name} {call.number} {seed}").uniform(0, LOCAL_SECONDS)
            was_killed = run_until_held(home, world, typed, pause if moment == "after_answer" else 0)
            world.clear_faults()
            faults = [] if was_killed or moment == "after_answer" else ["it ended without being killed"]
            if was_killed:
                code, err = run_in(home, world, typed)
                faults += [] if code == 0 else [f"the second run ended with {code}: {err}"]
            faults += self._wrong(home, world)
            return Verdict(call, moment, was_killed, jobs_cents(world), tuple(faults))

    def _wrong(self, home: Path, world: Service) -> list[str]:
        with standing_still(world):
            left = [path.name for path in home.rglob("training/*/*.jsonl")]
            return [*self.command.wrong(world), *([f"files are left: {left}"] if left else [])]

    @contextmanager
    def _copy(self, name: str) -> Iterator[tuple[Path, Service]]:
        home = self._folder / name
        shutil.copytree(self._folder / "begin", home)
        try:
            with world_in(home) as world:
                yield home, world
        finally:
            shutil.rmtree(home)


def wrong_with_training(world: Service) -> list[str]:
    """What is not once there after a training, or not in the ledger."""
    wrong = []
    sent = sorted(one["filename"].split(".")[-2] for one in world.ask("GET", "/v1/files")["data"])
    if sent != ["train", "validation"]:
        wrong.append(f"the files at Together are {sent}")
    jobs = world.ask("GET", "/v1/fine-tunes")["data"]
    if [one["status"] for one in jobs] != ["completed"]:
        wrong.append(f"the jobs are {[one['status'] for one in jobs]}")
    runs = TrainingRuns(world.store).all()
    if [(one.stage, one.job_id) for one in runs] != [("done", jobs[0]["id"])]:
        wrong.append(f"the store knows of {[(one.stage, one.job_id) for one in runs]}")
    known = FineTunes(world.store).cents(datetime(2000, 1, 1, tzinfo=UTC))
    if known != jobs_cents(world) or not known:
        wrong.append(f"the jobs cost {jobs_cents(world)} cents, the ledger says {known}")
    return wrong


def jobs_cents(world: Service) -> Decimal:
    """What the jobs cost, as Together has it (it counts billionths of a dollar)."""
    with standing_still(world):
        jobs = world.ask("GET", "/v1/fine-tunes")["data"]
    return sum((Decimal(one["total_price"]) / 10_000_000 for one in jobs), Decimal(0))


def _named(world: Service, typed: str) -> str:
    """With the name of the model that was trained last in the place of `MODEL`."""
    run = TrainingRuns(world.store).latest("should_respond")
    return typed.replace("MODEL", run.model_name or "" if run else "")


COMMANDS = (Command("train start", _START, (), wrong_with_training),)
