"""What the library costs: to import, until the first decision, and for each decision beside one through the gateway.

    python -m benchmarks.library
    python -m benchmarks.library --decisions 500 --rounds 9

Every figure is CPU time but the first decision's, which is waited for. A decision is asked of the library, with and
without asyncio, and of a gateway in a process of its own, in turn within each round; the model and the provider are one
process apart, whose time nobody counts. What counts is what a decision costs more than the agent alone that asks its
provider, as a ratio of what the gateway adds. `live` has the slot's model answer: then the library asks it in the
agent's place, whose own call (by httpx, as its clients do) is subtracted; with a gateway the agent makes that call all
the same. `off` has the baseline answer: through the gateway that is the provider, in process a function that gives a
text. Ends with 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from reasoning_cli import AsyncReasoningService, Message, ReasoningService
from reasoning_cli.decisions.compose import compose
from tests.gateway import canned
from tests.gateway.provider import Answering, Provider, Received
from tests.library import own
from tests.waiting import until

MOST_IMPORT_MS, MOST_FIRST_MS, MOST_RATIO = 60.0, 10.0, 0.5
TALK = [Message("Sam", f"Nova, what do you think of number {number}? " * 3, "entity-1") for number in range(20)]
PROMPT = [{"role": "user", "content": compose("planning", "Nova", TALK, actions=("REPLY", "IGNORE"))}]
ANSWER = canned.ORIGINAL_SAYS["planning"]
_TICKS = os.sysconf("SC_CLK_TCK")
_IMPORT = """
import time
began = time.process_time()
from reasoning_cli import ReasoningService
print((time.process_time() - began) * 1000)
"""
_FIRST = """
import time
from reasoning_cli import ReasoningService
with ReasoningService.open(baseline=lambda messages: "RESPOND") as service:
    began = time.perf_counter()
    service.should_respond([("Sam", "Nova?")], agent="Nova")
    print((time.perf_counter() - began) * 1000)
"""


async def _answer(request: Received, answering: Answering) -> None:
    """The model and the provider."""
    if request.json.get("model") == "acme/model":
        await own.model(request, answering)
    else:
        await canned.original(request, answering)


def _serve_stub() -> None:
    stub = Provider(_answer)
    sys.stdout.write(f"{stub.url}\n")
    sys.stdout.flush()
    sys.stdin.read()  # until whoever started it goes


@contextmanager
def _stub() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.library", "--stub"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


@contextmanager
def _gateway(port: int) -> Iterator[tuple[int, httpx.Client]]:
    """A gateway in a process of its own: its process id, and a client to ask it."""
    command = [sys.executable, "-m", "reasoning_cli", "gateway", "serve", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:

        def ready() -> bool:
            try:
                return client.get("/ready").status_code == 200
            except httpx.HTTPError:
                return False

        until(ready, "the gateway")
        try:
            yield process.pid, client
        finally:
            process.terminate()
            process.wait(60)


def _cpu_ms(pid: int) -> float:
    """The CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS


def _by_gateway(pid: int, client: httpx.Client, count: int) -> float:
    body = {"model": "gpt-5", "messages": PROMPT}
    before = _cpu_ms(pid)
    for _ in range(count):
        client.post("/v1/chat/completions", json=body).raise_for_status()
    time.sleep(0.2)  # what is recorded behind the answers
    return (_cpu_ms(pid) - before) / count


def _by_threads(service: ReasoningService, count: int) -> float:
    before = time.process_time()
    for _ in range(count):
        service.decide(PROMPT)
    service.status()
    return (time.process_time() - before) * 1000 / count


def _by_asyncio(count: int) -> float:
    async def main() -> float:
        async with await AsyncReasoningService.open(baseline=lambda messages: ANSWER) as service:
            await service.decide(PROMPT)
            before = time.process_time()
            for _ in range(count):
                await service.decide(PROMPT)
            await service.status()
            return (time.process_time() - before) * 1000 / count

    return asyncio.run(main())


def _by_agent_alone(url: str, count: int) -> float:
    """An agent's own call of its provider."""

    async def main() -> float:
        body = {"model": "gpt-5", "messages": PROMPT}
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
            (await client.post("/v1/chat/completions", json=body)).raise_for_status()
            before = time.process_time()
            for _ in range(count):
                (await client.post("/v1/chat/completions", json=body)).json()
            return (time.process_time() - before) * 1000 / count

    return asyncio.run(main())


def _in_turn(kinds: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, measure in kinds.items():
            found[name].append(measure())
    return found


def _fresh(code: str, times: int = 5) -> float:
    """The median of what fresh processes print."""
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(times)
    ]
    return statistics.median(float(done.stdout) for done in said)


def _measured(url: str, port: int, count: int, rounds: int) -> dict[str, list[float]]:
    """What a decision costs by each way, in each round."""
    with _gateway(port) as (pid, client), ReasoningService.open(baseline=lambda messages: ANSWER) as service:
        _by_gateway(pid, client, 20), _by_threads(service, 20)  # what only the first ones pay
        return _in_turn(
            {
                "gateway": lambda: _by_gateway(pid, client, count),
                "ReasoningService": lambda: _by_threads(service, count),
                "AsyncReasoningService": lambda: _by_asyncio(count),
                "agent alone": lambda: _by_agent_alone(url, count),
            },
            rounds,
        )


def _median(times: list[float]) -> str:
    return f"{statistics.median(times):.3f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=300, help="of each kind in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=18467, help="of the gateway that is compared")
    parser.add_argument("--stub", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.stub:
        _serve_stub()
        return 0
    console, bad = Console(), 0
    with tempfile.TemporaryDirectory() as home, _stub() as url:
        os.environ["REASONING_HOME"] = home
        own.serve_by(url)
        own.write({"gateway.openai_upstream": f"{url}/v1"})
        own.set_all(enabled="false")  # a model's time is not ours
        imported, first = _fresh(_IMPORT), _fresh(_FIRST)
        console.print(f"import {imported:.1f} ms of CPU (at most {MOST_IMPORT_MS:.0f})")
        console.print(f"first decision {first:.2f} ms after opening (at most {MOST_FIRST_MS:.0f})")
        bad += (imported > MOST_IMPORT_MS) + (first > MOST_FIRST_MS)
        table = Table("case", "decided by", "CPU ms", "added", "ratio", title=f"a decision; at most {MOST_RATIO}")
        for case in ("live", "off"):
            own.set_all(enabled="true" if case == "live" else "false")
            found = _measured(url, wanted.port, wanted.decisions, wanted.rounds)
            for name in ("ReasoningService", "AsyncReasoningService"):
                saved = found["agent alone"] if case == "live" else [0.0] * wanted.rounds
                added = [max(0.0, ours - own_call) for ours, own_call in zip(found[name], saved, strict=True)]
                ratios = [more / theirs for more, theirs in zip(added, found["gateway"], strict=True)]
                ratio, shown = statistics.median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}"
                table.add_row(case, name, _median(found[name]), _median(added), f"{ratio:.2f} ({shown})")
                bad += ratio > MOST_RATIO
            table.add_row(case, "gateway", _median(found["gateway"]), _median(found["gateway"]), "")
            table.add_row(case, "agent alone", _median(found["agent alone"]), "", "")
        console.print(table)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
