"""The gateway under load, killed or told to end, and what is left of it."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from reasoning_cli.store.database import MissingStoreError
from reasoning_cli.store.open import open_store
from tests.gateway import canned
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.waiting import until

_FACES = ("chat", "responses", "messages")


@dataclass
class Verdict:
    """What one end came to. `missing_ms` is how old the oldest answer that is not in the log was, None when none is
    missing; `holes` counts those of them that are older than one to the same caller that is there, or that were there
    at an earlier end. `lost` counts calls that were sent and not answered."""

    answered: int = 0
    missing: int = 0
    missing_ms: float | None = None
    holes: int = 0
    lost: int = 0
    ready_ms: float = 0.0
    exit_code: int = 0
    faults: list[str] = field(default_factory=list)


async def model(received: Received, answering: Answering) -> None:
    """Answers well, after what a quick model takes."""
    import asyncio

    await asyncio.sleep(random.uniform(0, 0.02))
    await canned.model(received, answering)


def prompt_of(mark: str) -> str:
    """A decision that no other is like."""
    return PROMPTS["planning"].replace("Sam:", f"Sam: [{mark}]")


class Killing:
    """One log, one load, one end after the other."""

    def __init__(self, home: Path, seed: int = 0, callers: int = 6) -> None:
        self._rng = random.Random(seed)
        self._original, self._model = Provider(canned.original), Provider(model)
        self._callers = callers
        self._program = Program(home, self._original.url, self._model.url)
        self._numbers = itertools.count()
        self._answered: dict[str, float] = {}
        self._missed: set[str] = set()

    def close(self) -> None:
        self._program.stop()
        self._original.close()
        self._model.close()

    def kill(self) -> Verdict:
        """SIGKILL at a moment by chance."""
        load = self._under_way()
        self._program.process.kill()
        at = time.monotonic()
        self._program.kill()
        load.end()
        verdict = self._again()
        self._look(load, verdict, at)
        return verdict

    def end(self) -> Verdict:
        """SIGTERM at a moment by chance: what was sent is answered, and what was answered is in the log."""
        load = self._under_way()
        code = self._program.stop()
        load.end()
        verdict = self._again()
        verdict.exit_code, verdict.lost = code, load.lost
        self._look(load, verdict, time.monotonic())
        return verdict

    def _under_way(self) -> _Load:
        """A load of which some is answered and in the log, at a moment by chance."""
        before = self._kept()
        load = _Load(self._program.port, self._callers, self._numbers)
        until(lambda: len(load.answered) > 10 and self._kept() > before, "some of the load to be in the log")
        time.sleep(self._rng.uniform(0, 0.4))
        return load

    def _kept(self) -> int:
        try:
            with open_store(self._program.database, create=False) as store:
                return store.number("SELECT count(*) FROM samples")
        except MissingStoreError:
            return 0  # nothing was written yet

    def _again(self) -> Verdict:
        """Start it again; the agent's next call works."""
        began = time.monotonic()
        self._program.start(self._program.port)
        verdict = Verdict(ready_ms=(time.monotonic() - began) * 1000)
        connection = http.client.HTTPConnection("127.0.0.1", self._program.port, timeout=60)
        connection.request("POST", PATHS["chat"], json.dumps(request("chat", prompt_of("next"))))
        answer = connection.getresponse()
        if answer.status != 200 or answer.getheader("x-reasoning-source") != "slot":
            verdict.faults.append(f"the next call got {answer.status}")
        connection.close()
        return verdict

    def _look(self, load: _Load, verdict: Verdict, at: float) -> None:
        """Every answer of before the end is in the log, whole, once."""
        self._answered |= load.answered
        verdict.answered = len(load.answered)
        with open_store(self._program.database) as store:
            rows = list(store.rows("SELECT prompt, output, decision, source FROM samples"))
            if problems := store.check().problems:
                verdict.faults.append(f"the database is corrupt: {problems[0]}")
        kept: set[str] = set()
        for prompt, output, decision, source in rows:
            mark = prompt.partition("Sam: [")[2].partition("]")[0]
            whole = prompt == prompt_of(mark) and "<thought>The model thought.</thought>" in output
            if not whole or (decision, source) != ("REPLY", "slot"):
                verdict.faults.append(f"{mark} is torn")
            elif mark != "next" and mark in kept:
                verdict.faults.append(f"{mark} is there twice")
            kept.add(mark)
        missing = self._answered.keys() - kept - self._missed
        self._missed |= missing
        verdict.missing = len(missing)
        # By caller its last answer that is in the log: marks of one caller come in the order of their numbers.
        last = dict(sorted(map(_caller_and_number, load.answered.keys() & kept)))
        verdict.holes = sum(
            mark not in load.answered or number < last.get(caller, -1)
            for mark in missing
            for caller, number in [_caller_and_number(mark)]
        )
        if missing:
            verdict.missing_ms = (at - min(self._answered[mark] for mark in missing)) * 1000


def _caller_and_number(mark: str) -> tuple[str, int]:
    caller, _, number = mark.rpartition("-")
    return caller, int(number)


class _Load:
    """Callers that ask one decision after the other over kept connections."""

    def __init__(self, port: int, callers: int, numbers: itertools.count[int]) -> None:
        self._port, self._numbers = port, numbers
        self.answered: dict[str, float] = {}
        self.lost = 0
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(_FACES[one % 3], one)) for one in range(callers)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, face: str, caller: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._ends.is_set():
            mark = f"{caller}-{next(self._numbers)}"
            body = json.dumps(request(face, prompt_of(mark), stream=random.random() < 0.5))
            try:
                connection.connect() if connection.sock is None else None
            except OSError:
                break  # nobody listens any more
            try:
                connection.request("POST", PATHS[face], body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                self.lost += 1
                break
            if answer.status == 200 and content:
                self.answered[mark] = time.monotonic()
            else:
                self.lost += 1
        connection.close()
