"""The commands from the log to a better model, killed for real at any request they make, and typed again.

What a command was told to do must then be there once: one file of a kind, one job, one model, one deployment of it, and
every cent of it in the ledger.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.evaluate.evaluations import Evaluations
from reasoning_cli.store.open import open_store
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.train.auto_loops import Loops
from reasoning_cli.store.train.fine_tunes import FineTunes
from reasoning_cli.store.train.runs import TrainingRuns
from tests.engines.together.service import MODELS, Service
from tests.operations.killing import (
    LOCAL_SECONDS,
    Call,
    copy_home,
    run_until_held,
    standing_still,
    type_in,
    world_in,
)

WEAK = MODELS["should_respond"]

MESSAGES = 100
_MOST_LOOKS = 60
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_WEAK = "models deploy should-respond --yes"
_START = "train start should-respond --yes"
_BESIDE = "models deploy MODEL --as should-respond --canary 0 --yes"
_EVAL = "train eval should-respond --model MODEL --model should-respond"
_PROMOTE = "train promote should-respond --mode live --hold-decisions 3 --force --yes"
_AUTO = "train auto should-respond"


@dataclass(frozen=True)
class Command:
    """What is typed after what, once or (`until`) again and again; `wrong` says what is not as it should be then.

    With `traffic` an agent gets answers of the model that comes in all the while.
    """

    name: str
    typed: str
    before: tuple[str, ...]
    wrong: Callable[[Service], list[str]]
    until: Callable[[Service], bool] = lambda world: True
    traffic: bool = False


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

    def __init__(self, folder: Path, command: Command, url: str | None = None) -> None:
        """With a `url` each world has a schema of that database in the place of a file."""
        self.command = command
        self._folder, self._url = folder, url
        self._calls: list[Call] = []
        begin = folder / "begin"
        with world_in(begin, url) as world:
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
            assert self._through(home, world) == []
            made = world.journal()[before:]
            wrong = self._wrong(home, world)
            assert not wrong, wrong
            self._calls = [Call(number, one["method"], one["path"]) for number, one in enumerate(made, 1)]
            return self._calls

    def kill(self, call: Call, moment: str, seed: int = 0) -> Verdict:
        """Kill the command at that call, type it again, and look at what came of it."""
        with self._copy(f"{call.number}-{moment}") as (home, world):
            world.fault(".", hold=moment, times=1, **self._which(call))
            pause = random.Random(f"{self.command.name} {call.number} {seed}").uniform(0, LOCAL_SECONDS)
            was_killed = False
            for _ in range(_MOST_LOOKS):
                typed = _named(world, self.command.typed)
                was_killed = run_until_held(home, world, typed, pause if moment == "after_answer" else 0)
                if was_killed or self.command.until(world):
                    break
            world.clear_faults()
            faults = [] if was_killed or moment == "after_answer" else ["it ended without being killed"]
            if was_killed:
                faults += self._through(home, world)
            faults += [*self._wrong(home, world), *wrong_with_money(home, world)]
            return Verdict(call, moment, was_killed, jobs_cents(world), tuple(faults))

    def _which(self, call: Call) -> dict[str, Any]:
        """How a call is told from others. How often a command looks before it takes away differs from run to run."""
        if call.method not in ("PATCH", "DELETE"):
            return {"skip": call.number - 1}
        before = [one for one in self._calls if one.method == call.method and one.number < call.number]
        return {"method": call.method, "skip": len(before)}

    def _through(self, home: Path, world: Service) -> list[str]:
        """Type the command until all is done; what went wrong."""
        for _ in range(_MOST_LOOKS):
            code, _, err = type_in(home, world, _named(world, self.command.typed))
            if code != 0 and not self.command.wrong(world):
                return []  # there was nothing left to do, and it says so
            if code != 0:
                return [f"it ended with {code}: {err}"]
            if self.command.until(world):
                return []
        return [f"it came to no end: {Loops(world.store).all()}"]

    def _wrong(self, home: Path, world: Service) -> list[str]:
        with standing_still(world):
            left = [path.name for path in home.rglob("training/*/*.jsonl")]
            return [*self.command.wrong(world), *([f"files are left: {left}"] if left else [])]

    @contextmanager
    def _copy(self, name: str) -> Iterator[tuple[Path, Service]]:
        home = self._folder / name
        copy_home(self._folder / "begin", home, self._url)
        try:
            with world_in(home, self._url) as world, _traffic(world) if self.command.traffic else nullcontext():
                yield home, world
        finally:
            shutil.rmtree(home)


def wrong_with_training(world: Service) -> list[str]:
    """What is not once there after a training, or not in the ledger. What no bytes came for is not a file."""
    wrong = []
    files = world.ask("GET", "/v1/files")["data"]
    sent = sorted(one["filename"].split(".")[-2] for one in files if one["bytes"])
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


def wrong_beside(world: Service) -> list[str]:
    """What is not as it should be when a model stands beside the one that answers."""
    return [*wrong_with_training(world), *_wrong_deployed(world, [WEAK, _model(world)], WEAK)]


def wrong_with_evaluation(world: Service) -> list[str]:
    found = Evaluations(world.store).all("should_respond")
    wrong = [] if [one.finished_at is not None for one in found] == [True] else [f"the evaluations are {found}"]
    for record in found:
        items = sum(1 for _ in Evaluations(world.store).items(record.number))
        answers = world.store.number("SELECT count(*) FROM evaluation_answers WHERE evaluation=?", (record.number,))
        if answers != 3 * items:  # of the original and of two models
            wrong.append(f"{answers} answers to {items} decisions")
    return [*wrong, *wrong_beside(world)]


def wrong_with_promotion(world: Service) -> list[str]:
    stages = [one.stage for one in Promotions(world.store).all()]
    wrong = [] if stages == ["promoted"] else [f"the promotions are {stages}"]
    return [*wrong, *wrong_with_training(world), *_wrong_deployed(world, [_model(world)], _model(world))]


def wrong_after_round(world: Service) -> list[str]:
    """A round whose model was refused: trained once, up once, gone again, and what answered before goes on."""
    (loop,) = Loops(world.store).all()
    wrong = [] if loop.step == "resting" and "refused by the gate" in (loop.outcome or "") else [f"it is {loop}"]
    return [*wrong, *wrong_with_training(world), *_wrong_deployed(world, [WEAK], WEAK)]


def _wrong_deployed(world: Service, models: list[str], serving: str) -> list[str]:
    wrong = []
    there = {one["id"]: one for one in world.deployments()}
    names = {one["deploymentId"]: one["model"] for one in world.ask("GET", "/_sandbox/meter")["deployments"]}
    if sorted(names[one] for one in there) != sorted(models):
        wrong.append(f"deployed are {[names[one] for one in there]}")
    deployments = Deployments(world.store)
    if {one.deployment_id for one in deployments.live()} != set(there):
        wrong.append("the store knows other deployments than Together")
    record = deployments.get(deployments.serving("should_respond") or "")
    if record is None or record.model_name != serving:
        wrong.append(f"the slot has {record.model_name if record else None}")
    return wrong


def wrong_with_money(home: Path, world: Service) -> list[str]:
    """What the ledger does not know to the cent when everything is stopped."""
    wrong = []
    code, _, err = type_in(home, world, "models undeploy --all --yes")
    if code not in (0, 5) or world.endpoints():
        wrong.append(f"undeploying all ended with {code}: {err}")
    known = world.usage()
    for key, cents in world.metered().items():
        usage = known.get(key)
        if usage is None and cents:
            wrong.append(f"{cents} cents of {key} are not in the ledger")
        elif usage and not usage.low_cents - Decimal("0.01") <= cents <= usage.high_cents + Decimal("0.01"):
            wrong.append(f"{key} cost {cents} cents, the ledger says {usage.low_cents} to {usage.high_cents}")
    return wrong


def _model(world: Service) -> str:
    return _named(world, "MODEL")


@contextmanager
def _traffic(world: Service) -> Iterator[None]:
    """An agent that goes on getting answers of what was trained last, as the gateway writes them down."""
    ended = threading.Event()

    def decide() -> None:
        with open_store(world.store.place) as store:
            run = TrainingRuns(store).latest("should_respond")
            name = run.model_name if run is not None else ""
            (key,) = [one.key for one in Deployments(store).live() if one.model_name == name]
            number = 0
            while not ended.wait(0.02):
                number += 1
                at = datetime.now(UTC)
                sample = Sample(
                    f"live-{at.timestamp()}", at, "should_respond", str(name), "slot", "gateway", f"p{number}", "said"
                )
                Samples(store).insert_many([replace(sample, metadata={"deployment": key})])

    thread = threading.Thread(target=decide, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def _rests(world: Service) -> bool:
    return Loops(world.store).all()[0].ended_at is not None


COMMANDS = (
    Command("train start", _START, (), wrong_with_training),
    Command("deploy beside", _BESIDE, (_WEAK, _START), wrong_beside),
    Command("train eval", _EVAL, (_WEAK, _START, _BESIDE), wrong_with_evaluation),
    Command("train promote", _PROMOTE, (_WEAK, _START, _BESIDE), wrong_with_promotion, traffic=True),
    Command(
        "train auto",
        f"{_AUTO} --once",
        (_WEAK, "models enable should-respond --mode shadow", f"{_AUTO} --min-new 50 --count all --yes"),
        wrong_after_round,
        until=_rests,
    ),
)
