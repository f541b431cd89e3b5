"""The gateway for as long as you like, among faults by chance: `python -m benchmarks.gateway_soak --minutes 60`.

The program itself, `reasoning gateway serve`, stands between agents that call at a steady pace, in three dialects,
whole and streamed, and an original and a model that answer, fail, stall, talk nonsense and break off; some agents leave
in the middle. Watched: memory, open files, threads, calls under way, errors that no original gave, answers cut that no
original cut, decisions answered against decisions in the log. A line a while on stdout; 1 when it ends with anything
leaked, lost or invented.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from tests.gateway import canned
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Provider, Received

_BEGUN_MB = 20.0  # what caches, pools and the allocator may take between the first line and the last
_FAULTS_SHARE = 0.2
_LEAVING_SHARE = 0.02
_MARK = {"x-by": "original"}  # an error with it is the original's own


async def stall(request: Received, answering: Answering) -> None:
    """Say nothing for a while, then answer."""
    await asyncio.sleep(0.5)
    await canned.original(request, answering)


async def cut(request: Received, answering: Answering) -> None:
    """Begin an answer and break off."""
    await answering.head(200, {"content-type": "text/event-stream", "x-by": "cut"})
    await answering.chunk(b'data: {"choices": [{"delta": {"content": "Hel')
    answering.cut()


def refusing(status: int) -> Callable[[Received, Answering], Awaitable[None]]:
    """An error of the provider's own."""

    async def refuse(request: Received, answering: Answering) -> None:
        await answering.whole(status, {"error": {"message": "busy", "type": "busy"}}, _MARK)

    return refuse


async def hang(request: Received, answering: Answering) -> None:
    """Never answer."""
    await answering.until_caller_leaves()


async def nonsense(request: Received, answering: Answering) -> None:
    """A web page instead of an answer."""
    await answering.whole(200, b"<html>Sign in</html>", {"content-type": "text/html"})


def by_chance(
    good: Callable[[Received, Answering], Awaitable[None]],
    bad: tuple[Callable[[Received, Answering], Awaitable[None]], ...],
    provider: list[Provider],
) -> Callable[[Received, Answering], Awaitable[None]]:
    """A provider that is good mostly. It forgets what it was asked, to run for hours."""

    async def answer(request: Received, answering: Answering) -> None:
        provider[0].received.clear()
        await (random.choice(bad) if random.random() < _FAULTS_SHARE else good)(request, answering)

    return answer


class Soak:
    """The load and what came of it."""

    def __init__(self, program: Program, rate: float) -> None:
        self.program, self.rate = program, rate
        self.counts: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.decisions = 0  # answered whole with 200
        self.unsure = 0  # left by their agent: the gateway may have had the answer whole
        self.milliseconds: list[float] = []

    async def run(self, minutes: float, every_seconds: float) -> None:
        """Call at the pace; a line now and then."""
        print(
            f"{'MINUTES':>8}{'CALLS':>9}{'MB':>7}{'FILES':>7}{'THREADS':>9}{'UNDER WAY':>11}{'P50 MS':>8}{'P99 MS':>8}"
        )
        began, due, shown = time.monotonic(), 0, 0.0
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as client:
            tasks: set[asyncio.Task[None]] = set()
            while (passed := time.monotonic() - began) < minutes * 60:
                if passed >= shown:
                    await self.show(client, passed)
                    shown += every_seconds
                while due <= passed * self.rate:
                    task = asyncio.ensure_future(self.call(client))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                    due += 1
                await asyncio.sleep(0.005)
            await asyncio.gather(*tasks)
            await asyncio.sleep(2)  # what agents that left had begun
            await self.show(client, time.monotonic() - began)

    async def call(self, client: httpx.AsyncClient) -> None:
        dialect, kind, stream = random.choice(list(PATHS)), random.choice(list(PROMPTS)), random.random() < 0.5
        body = request(dialect, PROMPTS[kind], stream=stream)
        leaves = random.random() < _LEAVING_SHARE
        began = time.monotonic()
        by, status = "", 0
        try:
            async with client.stream("POST", self.program.url + PATHS[dialect], json=body) as response:
                status, by = response.status_code, response.headers.get("x-by", "")
                if leaves:
                    self.counts["left"] += 1
                    self.unsure += kind != "other"
                    return
                content = await response.aread()
        except httpx.TransportError as error:
            if by == "cut":
                self.counts["cut by the original"] += 1
            else:
                self.wrong[f"cut by us: {type(error).__name__}"] += 1
            return
        self.milliseconds.append((time.monotonic() - began) * 1000)
        if status == 200:
            self.counts["answered"] += 1
            self.decisions += kind != "other" and not content.startswith(b"<html>")
        elif by == "original":
            self.counts[f"the original's {status}"] += 1
        else:
            self.wrong[f"our own {status}"] += 1

    async def show(self, client: httpx.AsyncClient, passed: float) -> None:
        stats = (await client.get(self.program.url + "/stats")).json()
        folder = Path(f"/proc/{self.program.process.pid}")
        self.files, self.threads = (len(list((folder / kind).iterdir())) for kind in ("fd", "task"))
        self.mb, self.under_way = self.program.memory_mb(), stats["in_flight"]
        self.recording = stats["recording"]
        recent = sorted(self.milliseconds) or [0.0]
        self.milliseconds = []
        p50, p99 = recent[len(recent) // 2], recent[int(len(recent) * 0.99)]
        print(
            f"{passed / 60:8.1f}{stats['requests']:9}{self.mb:7.1f}{self.files:7}{self.threads:9}{self.under_way:11}"
            f"{p50:8.1f}{p99:8.1f}",
            flush=True,
        )


def main() -> int:
    """Soak, then hold the log against what agents got."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="calls a second")
    parser.add_argument("--every", type=float, default=30, help="seconds between lines")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    with tempfile.TemporaryDirectory() as name:
        originals: list[Provider] = []
        models: list[Provider] = []
        faults = (refusing(500), refusing(429), refusing(529), stall, cut, nonsense)
        originals.append(Provider(by_chance(canned.original, faults, originals)))
        models.append(Provider(by_chance(canned.model, (refusing(500), refusing(429), cut, hang, nonsense), models)))
        program = Program(Path(name), originals[0].url, models[0].url)
        soak = Soak(program, chosen.rate)
        try:
            asyncio.run(soak.run(1, 60))  # pools, caches and the allocator at their size
            first_mb, first_threads, first = soak.mb, soak.threads, soak.decisions
            asyncio.run(soak.run(chosen.minutes, chosen.every))
        finally:
            code = program.stop()
            originals[0].close()
            models[0].close()
        with sqlite3.connect(program.database) as database:
            stored = database.execute("select count(*) from samples").fetchone()[0]
    print("; ".join(f"{count} {what}" for what, count in sorted(soak.counts.items())))
    print(
        f"decisions answered whole {soak.decisions}, in the log {stored} (up to {soak.unsure} more were left by their "
        f"agents); dropped {soak.recording['dropped']}; {first} before the first memory reading"
    )
    if soak.mb - first_mb > _BEGUN_MB or soak.mb > 100:
        soak.wrong[f"memory from {first_mb:.0f} to {soak.mb:.0f} MB"] += 1
    if soak.threads > first_threads + 2 or soak.under_way > 0:
        soak.wrong[f"threads from {first_threads} to {soak.threads}, {soak.under_way} calls under way"] += 1
    if not soak.decisions <= stored <= soak.decisions + soak.unsure:
        soak.wrong["decisions answered and decisions in the log differ"] += 1
    if code != 0:
        soak.wrong[f"ended with {code}"] += 1
    print("wrong: " + ("; ".join(f"{count} x {what}" for what, count in soak.wrong.items()) or "nothing"))
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
