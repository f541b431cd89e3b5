"""Commands that are killed, for real: at a request, in a process of their own, with SIGKILL; then typed again, in this
process: nobody kills that."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path

import httpx
from typer.testing import CliRunner

from reasoning_cli.app import app
from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.sandbox.server import SandboxServer
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.store.open import open_store
from reasoning_cli.store.transfer import transfer
from reasoning_cli.values import DatabaseAddress
from tests.engines.together.service import KEY, MODELS, Service

OLD, NEW = MODELS["planning"], "Qwen/Qwen3-8B"
MOMENTS = ("before", "after_action", "after_answer")
STEP_SECONDS = 2  # each request takes that long
LOCAL_SECONDS = 0.02  # about what the program does between two requests
BEGIN = datetime(2030, 1, 2, tzinfo=UTC)
_DEPLOY = "models deploy planning --yes"
_REPLACE = f"models deploy {NEW} --as planning --yes"


@dataclass(frozen=True)
class Command:
    """What is typed after what, and how it ends: models with their share of the traffic in percent, and at rest.

    `toggles`: once it is done, the same again would be a new wish.
    """

    name: str
    typed: str
    before: tuple[str, ...] = ()
    serving: tuple[tuple[str, int], ...] = ()
    at_rest: tuple[str, ...] = ()
    toggles: bool = False


COMMANDS = (
    Command("deploy", _DEPLOY, serving=((OLD, 100),)),
    Command("replace", _REPLACE, (_DEPLOY,), ((NEW, 100),)),
    Command("replace in steps", f"{_REPLACE} --steps 50,100 --interval 5s", (_DEPLOY,), ((NEW, 100),)),
    Command("replace, keep old", f"{_REPLACE} --keep", (_DEPLOY,), ((NEW, 100),), (OLD,)),
    Command("canary", f"{_REPLACE} --canary 10", (_DEPLOY,), ((OLD, 90), (NEW, 10))),
    Command("promote", "models promote planning --yes", (_DEPLOY, f"{_REPLACE} --canary 10"), ((NEW, 100),)),
    Command("take back", "models rollback planning --yes", (_DEPLOY, f"{_REPLACE} --canary 10"), ((OLD, 100),)),
    Command("rollback", "models rollback planning --yes", (_DEPLOY, _REPLACE), ((OLD, 100),), toggles=True),
    Command(
        "rollback to kept",
        "models rollback planning --yes",
        (_DEPLOY, f"{_REPLACE} --keep"),
        ((OLD, 100),),
        toggles=True,
    ),
    Command("stop", "models stop planning --yes", (_DEPLOY,), at_rest=(OLD,)),
    Command("start", "models start planning --yes", (_DEPLOY, "models stop planning --yes"), ((OLD, 100),)),
    Command("undeploy", "models undeploy planning --yes", (_DEPLOY,)),
    Command("undeploy --all", "models undeploy --all --yes", (_DEPLOY, "models deploy coding --yes")),
)


@dataclass(frozen=True)
class Call:
    """A request the command makes: the `number`th, from 1."""

    number: int
    method: str
    path: str

    @property
    def writes(self) -> bool:
        return self.method != "GET" and not self.path.startswith("/v1/chat")


@dataclass(frozen=True)
class Verdict:
    """How a kill ended. `faults` says what was wrong, nothing when all was right."""

    call: Call
    moment: str
    was_killed: bool
    duplicates: int
    orphans: int
    meter_cents: Decimal
    low_cents: Decimal
    high_cents: Decimal
    reported_cents: int
    faults: tuple[str, ...]


class Killing:
    """A command, the world it begins in (made once, in `folder`), and that world after each kill."""

    def __init__(self, folder: Path, command: Command, url: str | None = None) -> None:
        """With a `url` each world has a schema of that database in the place of a file."""
        self.command = command
        self._folder, self._url = folder, url
        with world_in(self._begin, url) as world:
            world.behave(provisioning_seconds=5, scaling_seconds=5, stopping_seconds=5)
            for typed in command.before:
                code, _, err = type_in(self._begin, world, typed)
                assert code == 0, err

    def calls(self) -> list[Call]:
        """What the command asks of Together when nobody kills it; it then ends as it should."""
        with self._copy("whole") as (home, world):
            code, _, err = type_in(home, world, self.command.typed)
            assert code == 0, err
            made = [Call(number, one["method"], one["path"]) for number, one in enumerate(world.journal(), 1)]
            assert self._wrong(home, world) == []
            return made

    def kill(self, call: Call, moment: str, seed: int = 0) -> Verdict:
        """Kill the command at that call, type it again, look at what came of it, and undeploy everything."""
        with self._copy(f"{call.number}-{moment}") as (home, world):
            world.fault(".", hold=moment, skip=call.number - 1, times=1)
            pause = random.Random(f"{self.command.name} {call.number} {seed}").uniform(0, LOCAL_SECONDS)
            was_killed = run_until_held(home, world, self.command.typed, pause if moment == "after_answer" else 0)
            world.clear_faults()
            faults = [] if was_killed or moment == "after_answer" else ["it ended without being killed"]
            faults += _unsaid(home, world)
            if not (self.command.toggles and self._is_done(home, world) and _is_finished(world)):
                code, _, err = type_in(home, world, self.command.typed)
                nothing_left = code == 5 and self._is_done(home, world)
                faults += [] if code == 0 or nothing_left else [f"the second run ended with {code}: {err}"]
            faults += self._wrong(home, world)
            made, known = world.deployments(), Deployments(world.store).live()
            models = [one["model"] for one in made]
            duplicates = len(models) - len(set(models))
            orphans = len({one["id"] for one in made} ^ {one.deployment_id for one in known})
            orphans += len({one["id"] for one in world.endpoints()} ^ {one.endpoint_id for one in known})
            world.advance(3600)
            code, _, err = type_in(home, world, "models undeploy --all --yes")
            faults += [] if code == 0 and not world.endpoints() else [f"undeploying all ended with {code}: {err}"]
            money = _compare(home, world)
            return Verdict(call, moment, was_killed, duplicates, orphans, *money[:4], (*faults, *money[4]))

    @property
    def _begin(self) -> Path:
        return self._folder / "begin"

    @contextmanager
    def _copy(self, name: str) -> Iterator[tuple[Path, Service]]:
        home = self._folder / name
        copy_home(self._begin, home, self._url)
        try:
            with world_in(home, self._url) as world:
                yield home, world
        finally:
            shutil.rmtree(home)

    def _is_done(self, home: Path, world: Service) -> bool:
        return not self._wrong(home, world)

    def _wrong(self, home: Path, world: Service) -> list[str]:
        """What is not as it should be when the command has ended."""
        wanted = {model: ("READY", share) for model, share in self.command.serving}
        wanted |= dict.fromkeys(self.command.at_rest, ("STOPPED", 0))
        found: dict[str, tuple[str, int]] = {}
        wrong: list[str] = []
        with standing_still(world):
            names = {one["deploymentId"]: one["model"] for one in world.ask("GET", "/_sandbox/meter")["deployments"]}
            endpoints, made = world.endpoints(), world.deployments()
            weights = {one["deploymentId"]: one["weight"] for end in endpoints for one in end["trafficSplit"]}
            whole = sum(weights.values())
            for one in made:
                name = names[one["id"]]
                state = one["status"]["state"].removeprefix("DEPLOYMENT_STATE_")
                weight = weights.pop(one["id"], None)
                # One at rest may keep its entry: it is alone then.
                share = round(100 * weight / whole) if weight and state == "READY" else 0
                if name in found:
                    wrong.append(f"two deployments of {name}")
                found[name] = state, share
            if found != wanted:
                wrong.append(f"{found} instead of {wanted}")
            if weights:
                wrong.append(f"traffic to what is not there: {weights}")
            if len(endpoints) != bool(wanted):
                wrong.append(f"{len(endpoints)} endpoints")
            records = Deployments(world.store).live()
            if {one.deployment_id for one in records} != {one["id"] for one in made}:
                wrong.append("the store knows other deployments than Together")
            slots = {one.model_type: one.model_name for one in Deployments(world.store).slots() if one.deployment_key}
            serving = next((model for model, share in wanted.items() if share[1] >= 50 or len(wanted) == 1), None)
            if serving is not None and slots.get("planning") != serving:
                wrong.append(f"the slot has {slots.get('planning')}")
            canary = Replacements(world.store).going("planning") is not None
            if canary != (len(self.command.serving) == 2):
                wrong.append("there is a canary" if canary else "the canary is forgotten")
        return wrong


def _is_finished(world: Service) -> bool:
    last = world.store.row("SELECT finished_at FROM replacements ORDER BY number DESC LIMIT 1")
    return last is not None and last["finished_at"] is not None


def _unsaid(home: Path, world: Service) -> list[str]:
    """What is billed after a kill, and `models status` does not say; it looks through a copy of the store."""
    copy = home / "copy.db"
    with open_store(copy) as store:
        transfer(world.store, store)
    with standing_still(world):
        code, out, err = type_in(home, world, f"--db {copy} models status --json")
        spending = sum(one["burn_cents_per_hour"] for one in json.loads(out)) if code == 0 else None
        meter = world.ask("GET", "/_sandbox/meter")["deployments"]
        prices = {one["deploymentId"]: one["priceCentsPerHour"] for one in meter}
        billed = sum(prices[one["id"]] * one["status"]["readyReplicas"] for one in world.deployments())
    said = spending is not None and spending >= billed  # what is still starting is said to cost what it will
    return [] if said else [f"{billed} cents an hour are billed, status says {spending} {err}"]


def _compare(home: Path, world: Service) -> tuple[Decimal, Decimal, Decimal, int, list[str]]:
    """The meter's cents, the ledger's lowest and highest, the cents of the bill, and what does not fit."""
    wrong = []
    exact, known = world.metered(), world.usage()
    for key, cents in exact.items():
        usage = known.get(key)
        if usage is None:
            if cents:
                wrong.append(f"{cents} cents of {key} are not in the ledger")
        elif not usage.low_cents - Decimal("0.01") <= cents <= usage.high_cents + Decimal("0.01"):
            wrong.append(f"{key} cost {cents} cents, the ledger says {usage.low_cents} to {usage.high_cents}")
    meter = sum(exact.values(), Decimal(0))
    low = sum((one.low_cents for one in known.values()), Decimal(0))
    high = sum((one.high_cents for one in known.values()), Decimal(0))
    code, out, err = type_in(home, world, "costs report --since 2000-01-01 --json")
    reported = int(json.loads(out)["total"]["cost_cents"]) if code == 0 else -1
    if code != 0 or (low == high and abs(reported - meter) > Decimal("0.51")):
        wrong.append(f"the bill says {reported}, the meter {meter} {err}")
    return meter, low, high, reported, wrong


def place_of(home: Path, url: str | None) -> Path | DatabaseAddress:
    """Where the store of a home is: in it, or in a schema of its own."""
    path = home / "reasoning.db"
    if url is None:
        return path
    return DatabaseAddress(url, f"home_{blake2b(str(home).encode(), digest_size=8).hexdigest()}", path)


def copy_home(begin: Path, home: Path, url: str | None = None) -> None:
    """A home with all that is in another, its store too where that is no file in it."""
    shutil.copytree(begin, home)
    if not (home / "reasoning.db").exists():
        with open_store(place_of(begin, url)) as source, open_store(place_of(home, url)) as store:
            transfer(source, store)


@contextmanager
def world_in(home: Path, url: str | None = None) -> Iterator[Service]:
    """The sandbox and the store that are in `home`, or fresh ones. The clock moves with requests only."""
    home.mkdir(exist_ok=True)
    with ExitStack() as stack:
        server = stack.enter_context(SandboxServer(home / "sandbox.json", speed=0, start=BEGIN))
        headers = {"authorization": f"Bearer {KEY}"}
        http = stack.enter_context(httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False))
        store = stack.enter_context(open_store(place_of(home, url)))
        client = TogetherClient(server.url, KEY)
        stack.callback(client.close)
        world = Service(server.url, http, client, store, server)
        world.ask("POST", "/_sandbox/clock", {"step_seconds": STEP_SECONDS})
        yield world


@contextmanager
def standing_still(world: Service) -> Iterator[None]:
    """Meanwhile requests take no time."""
    world.ask("POST", "/_sandbox/clock", {"step_seconds": 0})
    yield
    world.ask("POST", "/_sandbox/clock", {"step_seconds": STEP_SECONDS})


def _facts(home: Path, world: Service) -> dict[str, str]:
    place = world.store.place
    shared = isinstance(place, DatabaseAddress)
    return {
        **({"REASONING_STORE_URL": place.url, "REASONING_STORE_SCHEMA": place.schema} if shared else {}),
        "REASONING_HOME": str(home),
        "TOGETHER_API_KEY": KEY,
        "TOGETHER_BASE_URL": world.url,
        "REASONING_DEPLOY_POLL_SECONDS": "0.01",
        "TZ": "UTC",
    }


def type_in(home: Path, world: Service, typed: str) -> tuple[int, str, str]:
    """Exit code and both streams of a command that nobody kills, in this process."""
    done = CliRunner(env=_facts(home, world)).invoke(app, typed.split(), prog_name="reasoning")
    return done.exit_code, done.stdout, done.stderr


@contextmanager
def _program(home: Path, world: Service, typed: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "reasoning_cli", *typed.split()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | _facts(home, world),
    ) as process:
        yield process


def run_until_held(home: Path, world: Service, typed: str, pause: float) -> bool:
    """Kill the process when the sandbox holds a request of it; False when it had ended."""
    with _program(home, world, typed) as process:
        while process.poll() is None and not world.server.service.faults.held():
            time.sleep(0.001)
        time.sleep(pause)
        process.kill()
        return process.wait(60) == -signal.SIGKILL
