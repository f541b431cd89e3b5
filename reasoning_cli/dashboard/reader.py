"""One reader for all tabs: it asks the same commands every few seconds, less often while nothing happens, and only
while somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reasoning_cli.dashboard.program import Answer, Program

TICK_SECONDS = 4.0
# What is older says so. A tick and the time that asking takes make less.
FRESH_SECONDS = 5.0
# After so many rounds in which nothing happened it waits that many ticks, and says so: a page that is left open asks
# an account for days.
CALM_ROUNDS, CALM_TICKS = 3, 3
# No question takes more of a core: one that a long log makes expensive is asked less often, and shown with its age.
MOST_SHARE = 0.05

# In a first round in this order: what lies here first; what is asked over the network after it.
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "report": ("costs", "report", "--offline"),
    "outlook": ("costs", "outlook"),
    "events": ("costs", "events", "--limit", "10"),
    "trained": ("train", "list", "--offline"),
    "loops": ("train", "auto"),
    "promotions": ("train", "history"),
    "gateway": ("gateway", "status"),
    "status": ("status",),
}


@dataclass(frozen=True)
class Seen:
    """What a question was answered last, and the last answer that had something to show: the same unless there is a
    problem now."""

    last: Answer
    good: Answer

    @property
    def problem(self) -> str | None:
        return self.last.problem

    def age_seconds(self) -> float:
        return (datetime.now(UTC) - self.good.at).total_seconds()


class Reader:
    """Asks while there are `listeners`, each called after every round on the loop that `run` is on.

    `worked` says how many seconds of CPU the thread that calls it has taken.
    """

    def __init__(
        self, program: Program, tick_seconds: float = TICK_SECONDS, worked: Callable[[], float] = time.thread_time
    ) -> None:
        self._program, self._tick, self._worked = program, tick_seconds, worked
        self._due: dict[str, float] = {}
        self._thread = ThreadPoolExecutor(1, "reader")
        self._wanted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._round = asyncio.Condition()
        self._listeners: dict[object, Callable[[], None]] = {}
        self._quiet_rounds = 0
        self.seen: dict[str, Seen] = {}
        self.rounds = 0

    @property
    def is_calm(self) -> bool:
        """Whether nothing happened for a while."""
        return self._quiet_rounds >= CALM_ROUNDS

    @property
    def every_seconds(self) -> float:
        """How long it waits from round to round now."""
        return self._tick * (CALM_TICKS if self.is_calm else 1)

    @property
    def fresh_seconds(self) -> float:
        """What is older than this is older than the page says."""
        return self.every_seconds + FRESH_SECONDS - TICK_SECONDS

    def subscribe(self, key: object, listener: Callable[[], None]) -> None:
        self._listeners[key] = listener
        self._wanted.set()

    def unsubscribe(self, key: object) -> None:
        self._listeners.pop(key, None)
        if not self._listeners:
            self._wanted.clear()

    def is_subscribed(self, key: object) -> bool:
        return key in self._listeners

    async def fresh(self, seconds: float) -> None:
        """Wait until there is something to show that is not old, so long at the most."""
        if self.seen and all(seen.age_seconds() < FRESH_SECONDS for seen in self.seen.values()):
            return
        self._wanted.set()
        self.look_now()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._round:
                await self._round.wait()

    def look_now(self) -> None:
        """Begin the next round at once, after something was done."""
        self._hurry.set()

    async def watch_age(self) -> None:
        """Let listeners say how old it is while a round takes long, as where the database is locked."""
        while True:
            await asyncio.sleep(FRESH_SECONDS / 2)
            if any(seen.age_seconds() > self.fresh_seconds for seen in self.seen.values()):
                self._notify()

    def _notify(self) -> None:
        for listener in list(self._listeners.values()):
            listener()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        hurried = False
        while True:
            await self._wanted.wait()
            began, before = loop.time(), self._happened()
            for name, words in self._in_order():
                if not hurried and loop.time() < self._due.get(name, 0.0):
                    continue
                answer, spent = await loop.run_in_executor(self._thread, self._ask, words)
                self._note(name, answer)
                self._due[name] = loop.time() + spent / MOST_SHARE
            self.rounds += 1
            self._quiet_rounds = self._quiet_rounds + 1 if self._happened() == before and not hurried else 0
            async with self._round:
                self._round.notify_all()
            self._notify()
            if not self._listeners:  # somebody asked for one round only
                self._wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self._tick / 8, self.every_seconds - (loop.time() - began))):
                    await self._hurry.wait()
            hurried = self._hurry.is_set()
            self._hurry.clear()

    def _in_order(self) -> list[tuple[str, tuple[str, ...]]]:
        """The questions of a round. In the first, what lies here is there at once; then the one that looks comes before
        those that count from its look: money would be of the look before, a round older than the rest."""
        return sorted(QUESTIONS.items(), key=lambda question: self.rounds > 0 and question[0] != "status")

    def _happened(self) -> object:
        """What is another after something happened, and not for time alone that went by."""
        known: dict[str, Any] = {name: seen.good.document for name, seen in self.seen.items()}
        states = [(row["name"], row["state"], row["ready_replicas"]) for row in known.get("status") or ()]
        requests = (known.get("gateway") or {}).get("requests")
        rest = [known.get(name) for name in ("events", "trained", "loops", "promotions")]
        return states, requests, rest, [seen.problem for seen in self.seen.values()]

    def _ask(self, words: tuple[str, ...]) -> tuple[Answer, float]:
        """What a command says, and the CPU that took."""
        before = self._worked()
        answer = self._program.read(*words)
        return answer, self._worked() - before

    def _note(self, name: str, answer: Answer) -> None:
        before = self.seen.get(name)
        is_empty = answer.problem is not None and answer.document is None
        good = before.good if is_empty and before is not None and before.good.document is not None else answer
        self.seen[name] = Seen(answer, good)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
