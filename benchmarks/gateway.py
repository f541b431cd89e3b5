"""What the gateway adds to a call, beside nginx, LiteLLM, TensorZero and Portkey in one run.

    python -m benchmarks.gateway --load gwbench --peers FOLDER --rounds 3

`gwbench` is the load generator and the original in one: `serve ADDRESS` answers chat completions, whole or as 52
events, and `load URL -c N -d SECONDS [--rate N] [--stream] --body FILE` prints one line of JSON (`ok`, `bad`, `err`,
`p50` in microseconds). Peers are taken from FOLDER when they are there: `python -m venv FOLDER/litellm` with
`litellm[proxy]`, `FOLDER/tensorzero` with `tensorzero`, `npm install --prefix FOLDER/portkey @portkey-ai/gateway`.

Ours runs with everything on, in three cases: a call that is no decision and passes; a decision that passes and is
recorded; a decision that its slot's model answers. Each gateway has a CPU of its own, load and original share another;
calls to the original itself are made beside every measurement, and rounds are interleaved. CPU time is the kernel's
account of the gateway's processes, and what to trust where neighbours are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from benchmarks.gateway_rivals import Rival, free_port, rivals

_EVENTS = 52
_GATEWAY_CPU, _LOAD_CPU = "1", "0"
SCENARIOS = {
    "c1": ["-c", "1"],
    "c32": ["-c", "32"],
    "s1": ["-c", "1", "--stream"],
    "s8": ["-c", "8", "--stream"],
    "r50": ["-c", "32", "--rate", "50"],
}
_COLUMNS = ("READY S", "+P50 US", "+P50 S1", "+P50 R50", "CPU C1", "CPU C32", "CALLS/S", "CPU/EVENT", "IDLE MB", "MB")
Measured = dict[str, list[float]]


class Running:
    """A gateway that was started, ready when this returns."""

    def __init__(self, rival: Rival) -> None:
        self.rival = rival
        began = time.monotonic()
        if rival.says is not None:
            rival.says.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["taskset", "-c", _GATEWAY_CPU, *rival.command],
            cwd=rival.folder,
            env={**os.environ, **rival.environ},
            stdout=subprocess.DEVNULL,
            stderr=(rival.folder / "stderr").open("w"),
            start_new_session=True,
        )
        while not self._answers():
            if time.monotonic() - began > 60:
                self.stop()
                raise TimeoutError(f"{rival.name} does not answer: {(rival.folder / 'stderr').read_text()[-500:]}")
            time.sleep(0.01)
        self.ready_seconds = time.monotonic() - began

    @property
    def url(self) -> str:
        base = f"http://127.0.0.1:{self.rival.port}"
        if self.rival.says is not None:
            base = self.rival.says.read_text() if self.rival.says.exists() else "http://127.0.0.1:1"
            base = f"http://127.0.0.1:{urlsplit(base).port}"
        return base + self.rival.path

    def _answers(self) -> bool:
        headers = dict(one.split(": ", 1) for one in self.rival.headers) | {"content-type": "application/json"}
        try:
            with urlopen(Request(self.url, self.rival.body.read_bytes(), headers), timeout=5) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False

    def processes(self) -> list[Path]:
        """The gateway's processes: its session."""
        found = []
        for one in Path("/proc").iterdir():
            if one.name.isdigit():
                try:
                    if int((one / "stat").read_text().rsplit(")", 1)[1].split()[3]) == self.process.pid:
                        found.append(one)
                except (OSError, IndexError):
                    continue
        return found

    def cpu_seconds(self) -> float:
        tasks = [task for one in self.processes() for task in (one / "task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory_mb(self, what: str = "VmRSS") -> float:
        lines = [line for one in self.processes() for line in (one / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Load:
    """The load generator."""

    def __init__(self, program: str, seconds: float) -> None:
        self.program, self.seconds = program, seconds

    def __call__(self, url: str, rival: Rival, flags: list[str], seconds: float | None = None) -> dict[str, float]:
        command = ["taskset", "-c", _LOAD_CPU, self.program, "load", url, "-w", "0", "-d", str(seconds or self.seconds)]
        command += ["--body", str(rival.body), *flags]
        for header in rival.headers:
            command += ["-H", header]
        made: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return made


def measure(rival: Rival, load: Load, direct: str, measured: Measured, many: int) -> None:
    """One round of one gateway."""
    running = Running(rival)
    try:
        time.sleep(0.5)
        measured["READY S"].append(running.ready_seconds)
        measured["IDLE MB"].append(running.memory_mb())
        for name, flags in SCENARIOS.items():
            load(running.url, rival, flags, 0.7)  # warms it up
            beside = load(direct, rival, flags)
            before = running.cpu_seconds()
            made = load(running.url, rival, flags)
            time.sleep(0.3)  # what is written behind the answers counts too
            calls = max(made["ok"], 1)
            cpu = (running.cpu_seconds() - before) / calls * 1e6
            added = made["p50"] - beside["p50"]
            measured["bad"].append(made["bad"] + made["err"])
            if name == "c32":
                measured["CPU C32"].append(cpu)
                measured["CALLS/S"].append(1e6 / cpu)
            elif name == "c1":
                measured["CPU C1"].append(cpu)
                measured["+P50 US"].append(added)
            elif name == "s8":
                measured["CPU/EVENT"].append(cpu / _EVENTS)
            else:
                measured[f"+P50 {name.upper()}"].append(added)
        measured["MB"].append(running.memory_mb())
        if many and rival.is_ours:
            done = 0.0
            while done < many:
                done += load(running.url, rival, SCENARIOS["c32"], 10)["ok"]
            measured["many"].append(running.memory_mb())
            load(running.url, rival, ["-c", "1000"], 10)
            measured["most"].append(running.memory_mb("VmHWM"))
    finally:
        running.stop()


def main() -> int:
    """Measure in rounds; print medians, then the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", default="gwbench", help="the load generator")
    parser.add_argument("--peers", type=Path, help="folder with peers")
    parser.add_argument("--only", default="", help="names of gateways, with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--many", type=int, default=0, help="calls after which ours is weighed, and then overloaded")
    chosen = parser.parse_args()
    load, results = Load(chosen.load, chosen.seconds), defaultdict[str, Measured](lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as name:
        up = free_port()
        command = ["taskset", "-c", _LOAD_CPU, chosen.load, "serve", f"127.0.0.1:{up}"]
        original = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wanted = [one for one in chosen.only.split(",") if one]
            peers = chosen.peers.resolve() if chosen.peers else None
            field = [one for one in rivals(Path(name), peers, up) if not wanted or one.name in wanted]
            direct = f"http://127.0.0.1:{up}/v1/chat/completions"
            for number in range(chosen.rounds):
                for rival in field:
                    print(f"round {number + 1}: {rival.name}", file=sys.stderr)
                    measure(rival, load, direct, results[rival.name], chosen.many)
        finally:
            original.kill()
    report(results)
    return 0


def report(results: dict[str, Measured]) -> None:
    """A line a gateway, medians of the rounds; microseconds where nothing else is said."""
    print(f"{'':20}" + "".join(f"{column:>10}" for column in _COLUMNS) + f"{'BAD':>7}")
    medians = {name: {key: statistics.median(all_) for key, all_ in one.items()} for name, one in results.items()}
    for name, one in medians.items():
        digits = {"READY S": 2, "CPU/EVENT": 1}
        cells = "".join(f"{one[column]:10.{digits.get(column, 0)}f}" for column in _COLUMNS)
        print(f"{name:20}{cells}{sum(results[name]['bad']):7.0f}")
    for name, one in medians.items():
        if "many" in one:
            print(f"{name}: {one['many']:.0f} MB after the many calls, at the most {one['most']:.0f} MB under overload")
    for mine, ours in medians.items():
        for name, other in medians.items():
            if mine.startswith("reasoning") and not name.startswith("reasoning"):
                print(
                    f"{mine} to {name}: added p50 {ours['+P50 US'] / other['+P50 US']:.2f}, "
                    f"calls a second of CPU {ours['CALLS/S'] / other['CALLS/S']:.2f}"
                )


if __name__ == "__main__":
    sys.exit(main())
