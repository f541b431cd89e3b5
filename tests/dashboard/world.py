"""A sandbox on which all that the first page can show is there at once, and whose clock stands still: what two commands
say, one after the other, is the same."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from reasoning_cli.commands.demo.synthetic_agent import AGENT, make_decisions
from reasoning_cli.operations.guard.lock import hold_guard
from reasoning_cli.operations.sandbox import find_sandbox
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.train.auto_loops import Loops
from reasoning_cli.store.train.runs import TrainingRuns
from tests.dashboard.conftest import PATIENCE_MS, Program
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Provider
from tests.heads import ruled_head
from tests.waiting import until

OWN_MODEL, COMING_MODEL = "qwen-coder", "qwen-coder-next"
IDLE_MINUTES = 25


@dataclass
class World:
    """A program with what runs beside it. `port` is where its gateway listens."""

    program: Program
    port: int


@contextmanager
def still_world(home: Path, day: Path) -> Iterator[World]:
    """`day` is the home of an account on which a day was spent; the one of this world begins as a copy of it."""
    shutil.copytree(day, home, dirs_exist_ok=True)
    program = Program(home)
    (database,) = home.rglob("reasoning.db")
    with ExitStack() as stack:
        stack.callback(program.run, "sandbox", "stop")
        original = stack.enter_context(closing(Provider(canned.original)))
        own = stack.enter_context(closing(Provider(canned.model)))
        port, nobody = (_free_port() for _ in range(2))
        for name, value in {
            "gateway.port": port,
            "gateway.openai_upstream": f"{original.url}/v1",
            "gateway.anthropic_upstream": f"http://127.0.0.1:{nobody}",
            "budget.max_cost_per_hour_usd": 60,
            "budget.period": "total",
            "planning.hours": "00:00-23:59",
            "coding.provider_url": f"{own.url}/v1",
            "coding.model": OWN_MODEL,
            "coding.token_price": "150/600",
            "should_respond.audit_percent": 100,
        }.items():
            program.must("config", "set", name, str(value))
        ruled_head(AGENT, labels=("IGNORE", "RESPOND")).save(_heads(program) / "should-respond.head")
        program.must("models", "stop", "should-respond", "--yes")
        program.must("models", "enable", "planning", "--mode", "shadow")
        program.must("models", "enable", "coding", "--mode", "live")
        program.must("models", "enable", "head/should-respond", "--share", "100")
        still = datetime.fromisoformat(_clock(home, {"speed": 0})["now"])
        _put_under_way(database, own.url)
        _answer_by_the_token(database, still)
        stack.enter_context(_guard(database))
        gateway = subprocess.Popen(
            program.command("gateway", "serve"), env=program.environ, cwd=home, stderr=subprocess.DEVNULL
        )
        stack.callback(gateway.wait, 60)
        stack.callback(gateway.terminate)
        _ask(program, port)
        _clock(home, {"advance_seconds": IDLE_MINUTES * 60})
        yield World(program, port)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _heads(program: Program) -> Path:
    (folder,) = {Path(found).parent for found in program.home.rglob("reasoning.db")}
    return folder / "heads"


def _clock(home: Path, body: dict[str, float]) -> Any:
    running = find_sandbox(home / "sandbox" / "sandbox.json")
    assert running is not None
    answer = httpx.post(f"{running.url}/_sandbox/clock", json=body, trust_env=False, timeout=PATIENCE_MS / 1000)
    answer.raise_for_status()
    return answer.json()


def _answer_by_the_token(database: Path, at: datetime) -> None:
    """What the own server's model answered in the hour of the ledger, which runs ahead of ours."""
    answers = [
        Sample(
            f"{number:032x}",
            at + timedelta(minutes=number),
            *("coding", OWN_MODEL, "slot", "gateway", "write it", "print(1)"),
            prompt_tokens=1200,
            completion_tokens=340,
            latency_ms=5,
        )
        for number in range(1, 4)
    ]
    uncounted = replace(
        answers[0], id=f"{9:032x}", prompt="write it " * 900, prompt_tokens=None, completion_tokens=None
    )
    with open_store(database, "sandbox") as store:
        Samples(store).insert_many([*answers, uncounted])


@contextmanager
def _guard(database: Path) -> Iterator[None]:
    """A guard that is at work and has looked: this process, which does nothing else as one."""
    with hold_guard(database) as lock:
        lock.sign(60.0)
        yield


def put_loop(store: Store, model_type: str, step: str, line: str) -> None:
    """A type that trains itself, and how far that is."""
    Loops(store).set(
        model_type,
        every=timedelta(days=7),
        min_new=500,
        counted="labelled",
        max_cost_cents=2000,
        unattended=False,
        max_error=None,
        by="ada",
        at=datetime.now(UTC),
    )
    Loops(store).update(model_type, step=step, line=line)


def _put_under_way(database: Path, own: str) -> None:
    """A training run, a promotion at a share of the users, a loop that goes on, and one that waits for a yes."""
    now = datetime.now(UTC)
    with open_store(database, "sandbox") as store:
        TrainingRuns(store).begin("planning", base="Qwen/Qwen3-8B", method="sft", plan={}, at=now)
        plan = {"steps": [0, 10, 50, 100], "server": f"{own}/v1", "old_model": OWN_MODEL, "old_answers": True}
        plan |= {"prompt_form": "exact"}
        Promotions(store).begin(
            "coding", COMING_MODEL, by="ada", at=now, stage="watching", plan=plan, step=1, step_at=now
        )
        put_loop(store, "planning", "training", "run 2 of 500 new samples is planned")
        put_loop(store, "should_respond", "waiting", "candidate-7b agrees in 96 of 100; passed its gate")


def _ask(program: Program, port: int) -> None:
    """What an agent asks: of each type something, of the head what the original agrees with and what not, and once what
    a provider that is out of reach would answer."""
    made = list(make_decisions(60, seed=2, planning=False))
    other = next(each.prompt for each in made if ", did you see" in each.message)  # the original disagrees
    own = next(each.prompt for each in made if each.right == "RESPOND")
    prompts = [other, own, PROMPTS["planning"], PROMPTS["planning"], PROMPTS["coding"], PROMPTS["coding"]]

    def record() -> Any:
        said = program.run("gateway", "status", "--json").stdout
        return json.loads(said) if said.strip() else None

    def ask(agent: httpx.Client, prompt: str, face: str = "chat") -> int:
        return agent.post(PATHS[face], json=request(face, prompt)).status_code

    def is_written_down() -> bool:
        said = record()
        return said["recording"]["stored"] == len(prompts) and said["in_flight"] == 0

    until(record, "the gateway", seconds=PATIENCE_MS / 1000)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_MS / 1000) as agent:
        assert [ask(agent, prompt) for prompt in prompts] == [200] * len(prompts)
        assert ask(agent, PROMPTS["other"], "messages") == 502
    until(is_written_down, "the log", seconds=PATIENCE_MS / 1000)
