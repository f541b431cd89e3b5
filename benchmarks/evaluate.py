"""What an evaluation costs, and that it can be killed: `python -m benchmarks.evaluate [--decisions 10000]`.

Asks a sandbox's model every decision of a made-up log, in one run: time, memory of the program at its highest, and how
quickly the stored result is shown. Then anew, killed with SIGKILL again and again, with calls that are refused for load
(429), denied by a deployment that flaps and cut off in between, and once with Ctrl-C: fails when anything kept is lost,
when more is asked again than was under way, or when the report is not that of the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.generate_log import Generator, fill
from reasoning_cli.operations.evaluate.run import _STORED_AT_ONCE
from tests.engines.together.service import KEY, Service, service

CHAT = r"^/v1/chat/completions$"
CONCURRENCY = 8
MOST_MEGABYTES = 150


@dataclass(frozen=True)
class Ran:
    """One run of the program: how it ended, what it wrote, seconds, and its memory at its highest in megabytes."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float


class RunContext:
    """A log, a sandbox, and the program between them."""

    def __init__(self, service: Service, home: Path, model_type: str, decisions: int) -> None:
        self.service, self.home = service, home
        self.environ = {
            **os.environ,
            "REASONING_HOME": str(home),
            "TOGETHER_API_KEY": KEY,
            "TOGETHER_BASE_URL": service.url,
        }
        self.arguments = ("train", "eval", model_type, "--sample", str(decisions), "--json")

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "reasoning_cli", *self.arguments, *more],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *more: str, kill_after: int | None = None, with_signal: int = signal.SIGKILL) -> Ran:
        """To its end, or until so many answers are kept, of which it brought one at least."""
        there = self.stored() if kill_after is not None else 0
        began, most = time.perf_counter(), 0.0
        running = self.start(*more)
        while running.poll() is None:
            most = max(most, _peak(running.pid))
            if kill_after is not None and self.stored() > max(kill_after, there):
                running.send_signal(with_signal)
                kill_after = None
            time.sleep(0.02)
        out, err = running.communicate()
        return Ran(running.returncode, out, err, time.perf_counter() - began, most)

    def stored(self) -> int:
        """Answers of the model that are written down, in the evaluation that is going."""
        return self.service.store.number(
            "SELECT count(*) FROM evaluation_answers WHERE place = 1"
            " AND evaluation = (SELECT number FROM evaluations WHERE finished_at IS NULL)"
        )

    def asked(self) -> int:
        """Calls that the sandbox answered so far."""
        (deployment,) = self.service.deployments()
        beginning, end = datetime.fromtimestamp(0, UTC), datetime(2100, 1, 1, tzinfo=UTC)
        return self.service.client.requests(deployment["endpointId"], deployment["id"], beginning, end) or 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=10_000)
    parser.add_argument("--prompt-bytes", type=int, default=4000)
    parser.add_argument("--type", default="planning", choices=("should_respond", "planning", "coding"))
    parser.add_argument("--kills", type=int, default=6)
    chosen = parser.parse_args()
    share = {"should_respond": 0.6, "planning": 0.32, "coding": 0.08}[chosen.type] * 0.8  # the rest answered by a slot
    wrong: list[str] = []
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what runs behind
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as sandbox:
        rows = round(chosen.decisions / share * 1.15) + 100
        fill(sandbox.store, Generator(rows, seed=7, prompt_bytes=chosen.prompt_bytes))
        sandbox.deploy(chosen.type)
        context = RunContext(sandbox, Path(folder), chosen.type, chosen.decisions)
        whole = _whole(context, chosen.decisions, wrong)
        _killed(context, chosen.decisions, chosen.kills, whole, wrong)
    for sandbox in wrong:
        print(f"WRONG: {sandbox}")
    return 1 if wrong else 0


def _whole(context: RunContext, decisions: int, wrong: list[str]) -> dict[str, object]:
    """The figures of a run that nobody disturbs."""
    before = context.asked()
    done = context.run("--again")
    if done.code:
        sys.exit(f"the evaluation failed: {done.err}")
    report: dict[str, object] = json.loads(done.out)
    asked = context.asked() - before
    print(
        f"{report['count']:,} decisions in {done.seconds:.1f} s ({decisions / done.seconds:,.0f} a second,"
        f" {CONCURRENCY} at once), {asked:,} calls, {done.megabytes:.0f} MB at the most",
        flush=True,
    )
    if not report["count"] == asked == decisions:
        wrong.append(f"{decisions} decisions, {asked} calls, {report['count']} in the report")
    if done.megabytes > MOST_MEGABYTES:
        wrong.append(f"{done.megabytes:.0f} MB are more than {MOST_MEGABYTES}")
    shown = context.run()
    print(f"the stored result in {shown.seconds:.2f} s, {context.asked() - before - asked} calls", flush=True)
    if shown.code or json.loads(shown.out) != report or context.asked() - before != asked:
        wrong.append("typed again it is not the stored result")
    return report


def _killed(context: RunContext, decisions: int, kills: int, whole: dict[str, object], wrong: list[str]) -> None:
    """The same anew, among faults, killed and interrupted and gone on with."""
    before, stored = context.asked(), 0
    began = time.perf_counter()
    refused = {"error": {"message": "slow down", "code": "rate_limit"}}
    flapping = {"error": {"message": "not running", "code": "dedicated_endpoint_not_running"}}
    for number in range(kills + 1):
        context.service.clear_faults()
        for skip in range(50, decisions, max(500, decisions // 10)):
            context.service.fault(CHAT, status=429, body=refused, skip=skip, times=3)
            context.service.fault(CHAT, status=400, body=flapping, skip=skip + 100, times=3)
            context.service.fault(CHAT, cut="before", skip=skip + 200, times=2)
        at = round(decisions * (number + 1) / (kills + 2))
        how = signal.SIGINT if number == kills else signal.SIGKILL
        done = context.run("--again", kill_after=at, with_signal=how)
        now = context.stored()
        if now <= max(stored, at):
            wrong.append(f"more than {max(stored, at)} answers were kept before a kill, {now} after it")
        if number == kills:
            said = done.err.strip().splitlines()[-1]
            found = re.search(r"([\d,]+) of ([\d,]+) answers are kept", done.err)
            print(f"Ctrl-C: exit {done.code}, {said}", flush=True)
            if done.code != 130 or found is None or int(found[1].replace(",", "")) != now:
                wrong.append(f"Ctrl-C: exit {done.code}, {now} answers are kept, said: {said}")
        stored = now
    context.service.clear_faults()
    done = context.run("--again")
    asked = context.asked() - before
    if done.code:
        sys.exit(f"the evaluation could not be gone on with: {done.err}")
    report = json.loads(done.out)
    most = decisions + kills * (2 * CONCURRENCY + 2 * _STORED_AT_ONCE)
    print(
        f"killed {kills} times and interrupted: {time.perf_counter() - began:.1f} s in all, {asked:,} calls for"
        f" {decisions:,} answers, {asked - decisions} asked twice (at most {most - decisions})",
        flush=True,
    )
    if not decisions <= asked <= most:
        wrong.append(f"{asked} calls for {decisions} decisions")
    same = ("count", "bases", "disagreements")
    if any(report[name] != whole[name] for name in same) or _figures(report) != _figures(whole):
        wrong.append("the report is another than that of an evaluation nobody disturbed")


def _figures(report: dict[str, object]) -> object:
    models = report["models"]
    assert isinstance(models, list)
    return [(model["name"], model["valid"], model["metrics"]) for model in models]


def _peak(pid: int) -> float:
    """Megabytes of a process at its highest so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
