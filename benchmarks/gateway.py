r"""What the gateway adds to a call, beside nginx, LiteLLM, TensorZero, Portkey and an older build of ours in one run.

    python -m benchmarks.gateway --load gwbench --peers FOLDER --rounds 3
    python -m benchmarks.gateway --load gwbench --peers FOLDER --tls --before ENVIRONMENT --out figures.json
    python -m benchmarks.gateway --load gwbench --tls --before ENVIRONMENT --only reasoning,before --rounds 0 \
        --turns 40 --cases slot --scenarios c32

`gwbench` is the load generator and the original in one: `serve ADDRESS` answers chat completions, whole or as 52
events, and `load URL -c N -d SECONDS [--rate N] [--stream] --body FILE` prints one line of JSON (`ok`, `bad`, `err`,
`p50` in microseconds). Peers are taken from FOLDER when they are there: `python -m venv FOLDER/litellm` with
`litellm[proxy]`, `FOLDER/tensorzero` with `tensorzero`, `npm install --prefix FOLDER/portkey @portkey-ai/gateway`.
ENVIRONMENT is a virtual environment with the older build in it.

Ours runs with everything on, in three cases: a call that is not a decision and passes; a decision that passes and is
recorded; a decision that its slot's model answers. Each gateway has a CPU of its own, load and original share another;
calls to the original itself are made beside every measurement, and rounds are interleaved. CPU time is the kernel's
account of the gateway's processes, and what to trust where neighbours are noisy. Ratios are taken within each round.
Afterwards ours, the older build, nginx and TensorZero run all at once and are asked in turn, half a second each
(`--turns`; the columns TURN). The targets are held against that: a build held against itself so gives 0.99 to 1.01 on
a machine where the rounds give 0.8 to 1.2.

With `--tls` the original and the slot's model stand behind nginx (the front, on the original's CPU), which speaks
TLS 1.3 with a certificate of an authority made for the run. Every gateway is told of that authority, and first of all
put before a front with a certificate of somebody else: one that gets an answer from it ends the run. The front counts
connections (CONNS, beside CALLS, of all scenarios), so that one sees that they are kept.

The load generator speaks plain HTTP, to gateways and originals. The call that a gateway is held against goes through a
plain door of the front: the same nginx, the same original, no TLS. So `+P50` is what the gateway's hop adds, with the
TLS of both ends of it, and nothing that is the same for all. Held against the original behind the front (`FROM ORIG`)
the front's own hop counts as the gateway's, which brings all nearer to each other.
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
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from benchmarks.gateway_rivals import CASES, CHAT, Original, Rival, free_port, rivals
from benchmarks.gateway_tls import Front

_GATEWAY_CPU, _LOAD_CPU = "1", "0"
_WARM_TURNS, _TURN_SECONDS = 2, 0.5
SCENARIOS = {
    "c1": ["-c", "1"],
    "c32": ["-c", "32"],
    "s1": ["-c", "1", "--stream"],
    "s8": ["-c", "8", "--stream"],
    "r50": ["-c", "32", "--rate", "50"],
}
_COLUMNS = {  # with how many digits
    "READY S": 2,
    "+P50 US": 0,
    "FROM ORIG": 0,
    "+P50 S1": 0,
    "+P50 R50": 0,
    "TURN +P50": 0,
    "TURN C1": 0,
    "TURN C32": 0,
    "TURN CALLS": 0,
    "TURN EVENT": 1,
    "CPU C1": 0,
    "CPU C32": 0,
    "CALLS/S": 0,
    "CPU/EVENT": 1,
    "IDLE MB": 0,
    "MB": 0,
    "CONNS": 0,
    "CALLS": 0,
}
Measured = dict[str, list[float]]


@dataclass(frozen=True)
class Target:
    """What is wanted of one of ours: a figure of its own, or as many times that of another gateway."""

    name: str
    column: str
    bound: float
    other: str = ""
    is_least: bool = False

    def said(self, results: dict[str, Measured]) -> str:
        """A line with the figure and whether it is there yet; nothing where it was not measured."""
        value = figure(results, self.name, self.column, self.other)
        if value is None:
            return ""
        is_hit = value >= self.bound if self.is_least else value <= self.bound
        of, bound = f" of {self.other}'s" if self.other else "", f"{'>=' if self.is_least else '<='} {self.bound:g}"
        return f"{'hit ' if is_hit else 'MISS'} {self.name}: {self.column} {value:.2f}{of} ({bound})"


TARGETS = [
    Target("reasoning by slot", "TURN C32", 0.65, "before by slot"),
    Target("reasoning recorded", "TURN C32", 0.75, "before recorded"),
    Target("reasoning passing", "TURN C32", 0.85, "before passing"),
    *(Target(f"reasoning {case}", "TURN CALLS", 1.0, "TensorZero", is_least=True) for case in CASES.values()),
    *(Target(f"reasoning {case}", "CALLS/S", 60, "LiteLLM", is_least=True) for case in CASES.values()),
    Target("reasoning passing", "TURN +P50", 1.8, "nginx"),
    Target("reasoning recorded", "TURN +P50", 1.8, "nginx"),
    Target("reasoning passing", "TURN EVENT", 8),
    Target("reasoning recorded", "TURN EVENT", 14),
    *(Target(f"reasoning {case}", "IDLE MB", 60) for case in CASES.values()),
]
_RATIOS = {
    "before": ("TURN C32", "TURN C1", "TURN EVENT", "TURN +P50", "CPU C32", "CPU/EVENT", "+P50 US", "IDLE MB"),
    "nginx": ("TURN +P50", "+P50 US", "FROM ORIG", "CPU C32"),
    "TensorZero": ("TURN CALLS", "TURN +P50", "CALLS/S", "+P50 US"),
    "LiteLLM": ("CALLS/S",),
    "LiteLLM Rust": ("CALLS/S",),
    "Portkey": ("CALLS/S",),
}


class Running:
    """A gateway that was started, ready when this returns: it answers with 200, or at all where `anyhow`."""

    def __init__(self, rival: Rival, *, anyhow: bool = False) -> None:
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
        while (status := self.status()) != 200 and not (anyhow and status):
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

    def status(self) -> int:
        """What it answers a call with; 0: it does not."""
        headers = dict(header.split(": ", 1) for header in self.rival.headers) | {"content-type": "application/json"}
        try:
            with urlopen(Request(self.url, self.rival.body.read_bytes(), headers), timeout=5) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code
        except (URLError, OSError):
            return 0

    def processes(self) -> list[Path]:
        """The gateway's processes: its session."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[3]) == self.process.pid:
                        found.append(entry)
                except (OSError, IndexError):
                    continue
        return found

    def cpu_seconds(self) -> float:
        tasks = [task for process in self.processes() for task in (process / "task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def memory_mb(self, what: str = "VmRSS") -> float:
        lines = [line for process in self.processes() for line in (process / "status").read_text().splitlines()]
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


def measure(
    rival: Rival, load: Load, original: Original, measured: Measured, scenarios: Sequence[str], *, up: str, many: int
) -> None:
    """One round of one gateway. `up`: where the original itself is."""
    running = Running(rival)
    try:
        time.sleep(0.5)
        measured["READY S"].append(running.ready_seconds)
        measured["IDLE MB"].append(running.memory_mb())
        calls = 0.0
        for name in scenarios:
            flags = SCENARIOS[name]
            calls += load(running.url, rival, flags, 0.7)["ok"]  # warms it up
            beside = load(original.plain + rival.asks, rival, flags)
            before = running.cpu_seconds()
            made = load(running.url, rival, flags)
            time.sleep(0.3)  # what is written behind the answers counts too
            calls += made["ok"]
            measured["bad"].append(made["bad"] + made["err"])
            if not made["ok"]:
                continue
            cpu = (running.cpu_seconds() - before) / made["ok"] * 1e6
            added = made["p50"] - beside["p50"]
            if name == "c32":
                measured["CPU C32"].append(cpu)
                measured["CALLS/S"].append(1e6 / cpu)
            elif name == "c1":
                measured["CPU C1"].append(cpu)
                measured["+P50 US"].append(added)
                measured["FROM ORIG"].append(made["p50"] - load(up + rival.asks, rival, flags)["p50"])
            elif name == "s8":
                measured["CPU/EVENT"].append(cpu / rival.events)
            else:
                measured[f"+P50 {name.upper()}"].append(added)
        measured["MB"].append(running.memory_mb())
        measured["CALLS"].append(calls)
        if many and rival.is_ours:
            done = 0.0
            while done < many:
                done += load(running.url, rival, SCENARIOS["c32"], 10)["ok"]
            measured["many"].append(running.memory_mb())
            load(running.url, rival, ["-c", "1000"], 10)
            measured["most"].append(running.memory_mb("VmHWM"))
    finally:
        running.stop()


def measure_in_turn(
    field: list[Rival],
    load: Load,
    original: Original,
    results: dict[str, Measured],
    scenarios: Sequence[str],
    turns: int,
) -> None:
    """All at once started, and asked one right after the other, turn by turn: what neighbours do hits all alike."""
    with ExitStack() as opened:
        all_ = []
        for rival in field:
            all_.append(Running(rival))
            opened.callback(all_[-1].stop)
        for name in scenarios:
            for number in range(_WARM_TURNS + turns):
                made: dict[str, Measured] = {}
                direct = load(original.plain + CHAT, field[0], SCENARIOS[name], _TURN_SECONDS)
                for running in all_ if number % 2 else reversed(all_):
                    before = running.cpu_seconds()
                    answered = load(running.url, running.rival, SCENARIOS[name], _TURN_SECONDS)
                    time.sleep(0.2)  # what is written behind the answers counts too
                    results[running.rival.name]["bad"].append(answered["bad"] + answered["err"])
                    if answered["ok"]:  # else the machine had no time for us
                        cpu = (running.cpu_seconds() - before) / answered["ok"] * 1e6
                        if name == "c1":
                            made[running.rival.name] = {
                                "TURN C1": [cpu],
                                "TURN +P50": [answered["p50"] - direct["p50"]],
                            }
                        elif name == "c32":
                            made[running.rival.name] = {"TURN C32": [cpu], "TURN CALLS": [1e6 / cpu]}
                        else:
                            made[running.rival.name] = {"TURN EVENT": [cpu / running.rival.events]}
                if number >= _WARM_TURNS and len(made) == len(all_):
                    for gateway, measured in made.items():
                        for column, values in measured.items():
                            results[gateway][column] += values


def is_fooled(rival: Rival, front: Front) -> bool:
    """Whether a gateway that was put before the stranger asks it, or gets an answer out of it."""
    running = Running(rival, anyhow=True)
    try:
        return running.status() == 200 or bool(front.fooled())
    finally:
        running.stop()


def main() -> int:
    """Measure in rounds; print medians, then the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", default="gwbench", help="the load generator")
    parser.add_argument("--peers", type=Path, help="folder with peers")
    parser.add_argument("--tls", action="store_true", help="the original and the slot's model behind TLS")
    parser.add_argument("--before", type=Path, help="virtual environment with an older build, to be run beside")
    parser.add_argument(
        "--turns", type=int, default=20, help="how often ours, the older build, nginx and TensorZero are asked in turn"
    )
    parser.add_argument("--only", type=_several, default=[], help="how names of gateways begin, with commas between")
    parser.add_argument("--cases", type=_several, default=list(CASES), help=f"of ours, out of {','.join(CASES)}")
    parser.add_argument("--scenarios", type=_several, default=list(SCENARIOS), help=f"out of {','.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--many", type=int, default=0, help="calls after which ours is weighed, and then overloaded")
    parser.add_argument("--out", type=Path, help="file for all figures, as JSON")
    chosen = parser.parse_args()
    for words, known in ((chosen.cases, CASES), (chosen.scenarios, SCENARIOS)):
        if unknown := set(words) - set(known):
            parser.error(f"none of {', '.join(known)}: {', '.join(unknown)}")
    load, results = Load(chosen.load, chosen.seconds), defaultdict[str, Measured](lambda: defaultdict(list))
    peers = chosen.peers.resolve() if chosen.peers else None
    before = chosen.before.absolute() if chosen.before else None
    if before is not None and _build(str(before / "bin/python")) == _build(sys.executable):
        parser.error(f"{before} has no build of its own")
    with ExitStack() as opened:
        work = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        command = ["taskset", "-c", _LOAD_CPU, chosen.load, "serve", f"127.0.0.1:{port}"]
        opened.callback(subprocess.Popen(command, stderr=subprocess.DEVNULL).kill)
        up = f"http://127.0.0.1:{port}"

        def wanted(name: str, original: Original) -> list[Rival]:
            all_ = rivals(work / name, peers, original, before, chosen.cases)
            return [rival for rival in all_ if not chosen.only or rival.name.startswith(tuple(chosen.only))]

        front, original = None, Original(up, up)
        if chosen.tls:
            front = opened.enter_context(Front(work / "front", port, _LOAD_CPU))
            original = front.trusted
            for rival in wanted("stranger", front.stranger):
                if is_fooled(rival, front):
                    raise SystemExit(f"{rival.name} does not verify certificates: {front.fooled()}")
        field = wanted("field", original)
        for number in range(chosen.rounds):
            for rival in field:
                print(f"round {number + 1}: {rival.name}", file=sys.stderr)
                connections = len(front.opened()) if front else 0
                measured = results[rival.name]
                measure(rival, load, original, measured, chosen.scenarios, up=up, many=chosen.many)
                if front:
                    measured["CONNS"].append(len(front.opened()) - connections)
        light = [rival for rival in field if rival.name.startswith(("reasoning", "before", "nginx", "TensorZero"))]
        if chosen.turns and light:
            print("in turn", file=sys.stderr)
            timed = [name for name in chosen.scenarios if name in ("c1", "c32", "s8")]
            measure_in_turn(light, load, original, results, timed, chosen.turns)
        if front:
            print(f"Nobody was fooled by a stranger. Connections: {dict(Counter(front.opened()))}")
    versions = {rival.name: rival.version for rival in field if rival.version}
    if versions:
        print("versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    targets = report(results)
    if chosen.out is not None:
        said = {key: value if not isinstance(value, Path) else value.name for key, value in vars(chosen).items()}
        chosen.out.write_text(json.dumps({**said, "versions": versions, "gateways": results, "targets": targets}))
    return 0


def _several(words: str) -> list[str]:
    return [word for word in words.split(",") if word]


def _build(python: str) -> str:
    """Where that Python finds the product."""
    code = "import reasoning_cli; print(reasoning_cli.__file__)"
    return subprocess.check_output([python, "-c", code], cwd="/", env={**os.environ, "PYTHONPATH": ""}, text=True)


def figure(results: dict[str, Measured], name: str, column: str, other: str = "") -> float | None:
    """The median of the rounds, or of the ratios to another gateway within each."""
    values = results.get(name, {}).get(column, [])
    if other:
        values = [value / of for value, of in zip(values, results.get(other, {}).get(column, []), strict=False) if of]
    return statistics.median(values) if values else None


def report(results: dict[str, Measured]) -> list[str]:
    """A line a gateway, medians of the rounds; microseconds where nothing else is said. Returns how targets are met."""
    columns = [column for column in _COLUMNS if any(column in measured for measured in results.values())]
    print(f"{'':20}" + "".join(f"{column:>11}" for column in columns) + f"{'BAD':>7}")
    for name, measured in sorted(results.items()):
        cells = [
            (figure(results, name, column), digits)
            for column, digits in ((column, _COLUMNS[column]) for column in columns)
        ]
        line = "".join(f"{'-':>11}" if value is None else f"{value:11.{digits}f}" for value, digits in cells)
        print(f"{name:20}{line}{sum(measured['bad']):7.0f}")
    for name in results:
        if (after := figure(results, name, "many")) is not None:
            most = figure(results, name, "most")
            print(f"{name}: {after:.0f} MB after the many calls, at the most {most:.0f} MB under overload")
    for case in CASES.values():
        mine = f"reasoning {case}"
        for gateway, compared in _RATIOS.items():
            other = f"before {case}" if gateway == "before" else gateway
            found = [(column, figure(results, mine, column, other)) for column in compared]
            if said := ", ".join(f"{column} {value:.2f}" for column, value in found if value is not None):
                print(f"{mine} to {other}: {said}")
    targets = [line for target in TARGETS if (line := target.said(results))]
    print("\n".join(targets))
    return targets


if __name__ == "__main__":
    sys.exit(main())
