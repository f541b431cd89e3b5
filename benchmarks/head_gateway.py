"""What a head in line costs the gateway, and how soon its audits take it out when people stop naming whom they mean.

    python -m benchmarks.head_gateway                  # both, some minutes
    python -m benchmarks.head_gateway --only speed
    python -m benchmarks.head_gateway --only drift

Speed: a real gateway process between this one and a provider on loopback, each call on one connection that stays open,
in turns of calls that the head answers and calls that pass to the provider, all recorded. Drift: a head trained on a
made-up agent of whose messages a share names somebody, then none; audits are drawn as the gateway draws them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx

from reasoning_cli.commands.demo.synthetic_agent import AGENT, Made, agent_log, make_decisions
from reasoning_cli.decisions.addressing import AnsweredMessages, addressing_of
from reasoning_cli.engines.head.features import named_in
from reasoning_cli.engines.head.model import Head
from reasoning_cli.engines.head.moment import moment_of
from reasoning_cli.operations.data.head_facts import facts_from
from reasoning_cli.operations.evaluate.head_watch import HeadWatch

NAMES = (AGENT, "Ben", "Cleo", "Dana", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jule", "Kofi")
_NAMED = re.compile(rf"^(?:{'|'.join(NAMES)}), |,? (?:{'|'.join(NAMES)})(?=[?.,]|$)|\b(?:{'|'.join(NAMES)}) ")
ANSWER = "<response><name>Ada</name><reasoning>Not for me.</reasoning><action>IGNORE</action></response>"
CALLS = 400  # of each kind in a turn
AUDIT = 0.05
RUNS = 30
STATED = 150  # audits within which docs/explanation/head-in-line.md says it is seen
BEFORE = 1000  # decisions before the change
LEFT = 0.3  # of the messages that name somebody so many are left as they are: 20 % of all do then


def provider() -> None:
    """A provider that answers at once, on the port it prints."""
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 900, "completion_tokens": 30, "total_tokens": 930},
        }
    ).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (head := await _head(reader)) is not None:
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(answer)

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    """The head of the next request; None when the caller has hung up."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def program(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "reasoning_cli", *arguments],
        env={**os.environ, "REASONING_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def trained(home: Path, made: list[Made]) -> str:
    """The name of a head learned from these decisions by the commands that do so."""
    log = home / "log.jsonl"
    log.write_text(agent_log(iter(made)))
    program(home, "data", "import", str(log))
    program(home, "train", "start", "should-respond", "--engine", "head", "--max-error", "5", "--yes")
    return max((home / "heads").glob("*.head"), key=lambda path: path.stat().st_mtime).stem


class Served:
    """A gateway process of a home."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reasoning_cli", "gateway", "serve", "--port", str(port)],
            env={**os.environ, "REASONING_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        for _ in range(200):
            try:
                if self.client.get("/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise SystemExit("the gateway did not start")

    def ask(self, body: bytes) -> str:
        answer = self.client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
        return answer.headers.get("x-reasoning-source", "original")

    def settled(self) -> None:
        """Wait until all is written."""
        while self.client.get("/stats").json()["recording"]["waiting_bytes"]:
            time.sleep(0.02)
        time.sleep(0.2)

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(30)


def request(made: Made) -> bytes:
    messages = [{"role": "system", "content": "You are Ada."}, {"role": "user", "content": made.prompt}]
    return json.dumps({"model": "gpt-4o-mini", "messages": messages, "temperature": 0.7}).encode()


def speed(rounds: int) -> dict[str, float]:
    """Medians of latency (ms) and CPU (ms a call, recorded) of both kinds, and memory (MiB) with and without a head."""
    made = list(make_decisions(6000, seed=3))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        name = trained(home, made)
        upstream = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.head_gateway", "--provider"], stdout=subprocess.PIPE, text=True
        )
        assert upstream.stdout is not None
        url = f"http://127.0.0.1:{int(upstream.stdout.readline())}/v1"
        for setting, value in (("gateway.openai_upstream", url), ("should_respond.audit_percent", "1")):
            program(home, "config", "set", setting, value)
        fresh = [each for each in make_decisions(1500, seed=8) if each.model_type == "should_respond"]
        try:
            plain = Served(home)
            for each in fresh[:CALLS]:
                plain.ask(request(each))
            plain.settled()
            without = resident_mib(plain.process.pid)
            plain.close()
            program(home, "models", "enable", f"head/{name}", "--mode", "live")
            return {**_in_turns(home, fresh, rounds), "mib_without": without}
        finally:
            upstream.terminate()


def _in_turns(home: Path, fresh: list[Made], rounds: int) -> dict[str, float]:
    served = Served(home)
    try:
        kinds: dict[str, list[bytes]] = {"head": [], "original": []}
        for each in fresh[:CALLS]:
            kinds[served.ask(request(each))].append(request(each))
        served.settled()
        mib = resident_mib(served.process.pid)
        answered = len(kinds["head"]) / CALLS
        latencies: dict[str, list[float]] = {kind: [] for kind in kinds}
        spent: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for number in range(CALLS):  # one of each kind in turn: whatever else the machine does meets both
                for kind, bodies in kinds.items():
                    began = time.perf_counter()
                    if served.ask(bodies[number % len(bodies)]) == kind:
                        latencies[kind].append(time.perf_counter() - began)
            for kind, bodies in [*kinds.items()] * 2:
                served.settled()
                before = cpu_seconds(served.process.pid)
                for number in range(CALLS):
                    served.ask(bodies[number % len(bodies)])
                served.settled()
                spent[kind].append((cpu_seconds(served.process.pid) - before) / CALLS)
        return {
            "answered": answered,
            "mib_with": mib,
            **{f"{kind}_p50_ms": statistics.median(values) * 1000 for kind, values in latencies.items()},
            **{f"{kind}_cpu_ms": statistics.median(values) * 1000 for kind, values in spent.items()},
        }
    finally:
        served.close()


def naming(made: Iterator[Made], share: float, dice: random.Random) -> Iterator[Made]:
    """The same decisions, but of the messages only a share names somebody; of the others the names are left out."""
    left_out: dict[str, str] = {}
    for each in made:
        if each.model_type == "should_respond" and dice.random() >= share:
            left_out[each.message] = _NAMED.sub("", each.message).strip(" ,") or each.message
        prompt = each.prompt
        for message, instead in left_out.items():
            if message in prompt:
                prompt = prompt.replace(message, instead)
        if len(left_out) > 400:
            left_out.pop(next(iter(left_out)))
        yield replace(each, prompt=prompt)


def drift(runs: int) -> list[tuple[int | None, int]]:
    """Of each run: after how many audits the head was taken out, counted from the change (None: before it), and how
    many decisions that took."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        name = trained(home, list(naming(make_decisions(6000, seed=1), LEFT, random.Random(1))))
        head = Head.load(home / "heads" / f"{name}.head")
    print(f"of the messages it learned from {head.facts['named']:.0%} name somebody")
    return [_run(head, seed) for seed in range(100, 100 + runs)]


def _run(head: Head, seed: int) -> tuple[int | None, int]:
    dice, answered = random.Random(seed), AnsweredMessages()
    watch = HeadWatch("should_respond", head.model, datetime.now(UTC), head.max_error, head.facts.get("named"))
    audits = decisions = 0
    stream = make_decisions(8000, seed=seed, planning=False)
    parts = ((LEFT, BEFORE), (0.0, 7000))
    for share, count in parts:
        left = count
        for each in naming(stream, share, dice):
            decisions += share == 0
            if dice.random() < AUDIT:
                around = addressing_of(each.prompt, AGENT, answered)
                moment = moment_of(each.prompt, None, facts_from(around))
                assert moment is not None
                verdict = head.judge(moment)
                audits += share == 0
                watch.named.append(named_in(moment).somebody)
                if verdict.label is not None:
                    watch.agreed.append(verdict.label == each.right)
                if watch.verdict() is not None:
                    return (None if share else audits), decisions
            if each.right == "RESPOND":
                answered.note(AGENT, each.prompt)
            left -= 1
            if not left:
                break
    return 10_000, decisions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=("speed", "drift"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    if given.provider:
        provider()
        return 0
    if given.only != "drift":
        found = speed(given.rounds)
        print(f"answered by the head: {found['answered']:.0%} of the decisions")
        for what, ours, theirs in (
            ("p50 of a call, ms", found["head_p50_ms"], found["original_p50_ms"]),
            ("CPU of a recorded call, ms", found["head_cpu_ms"], found["original_cpu_ms"]),
        ):
            print(f"{what}: head {ours:.2f}, passes {theirs:.2f}: {ours / theirs:.2f}")
        print(
            f"memory, MiB: with a head {found['mib_with']:.1f}, without {found['mib_without']:.1f}:"
            f" +{found['mib_with'] - found['mib_without']:.1f}"
        )
    if given.only != "speed":
        outcomes = drift(given.runs)
        after = sorted(audits for audits, _ in outcomes if audits is not None)
        too_early = len(outcomes) - len(after)
        within = sum(audits <= STATED for audits in after)
        print(f"taken out within {STATED} audits of the change: {within} of {len(outcomes)}, before it: {too_early}")
        if after:
            took = sorted(decisions for audits, decisions in outcomes if audits is not None)
            print(
                f"audits: median {after[len(after) // 2]}, most {after[-1]}; decisions: median {took[len(took) // 2]}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
