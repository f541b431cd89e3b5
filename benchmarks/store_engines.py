"""The store on PostgreSQL beside the store in a file, ratios within one run: `python -m benchmarks.store_engines`.

- CPU of the gateway a recorded decision, and recorded decisions a second of one core of it (PostgreSQL has others);
  two gateways, one on each, are asked in turns;
- what the gateway adds to a call in the median while the server stands still, against while it answers, in turns;
- `data export` of the same decisions from each, wall, CPU and memory; the two files must be the same;
- CPU of `--help` and of `models list` on a file against the same where psycopg cannot be imported.

Prints what was found beside its target; 1 when the gateway imported, lost or doubled what it must not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import httpx
import psycopg

from benchmarks.generate_log import Generator
from benchmarks.startup import cpu_milliseconds
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.postgres import PostgresStore
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.transfer import transfer
from reasoning_cli.values import DatabaseAddress
from tests.gateway import canned
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Provider
from tests.sources.postgres_server import Server

_MADE = 20_000  # decisions that are made up; a larger log has them several times
_TICKS = os.sysconf("SC_CLK_TCK")
_AT_ONCE = 16  # agents that call at the same time
_BLOCK, _BLOCKS = 15, 12  # calls of which a median is taken, and how many of these in a row
BODY = request("chat", PROMPTS["should_respond"])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def undisturbed(medians: list[float]) -> float:
    """Of the medians of many short blocks the one that a fifth is below: others took the processor in the rest."""
    return statistics.quantiles(medians, n=5)[0]


def call(client: httpx.Client, url: str, count: int) -> list[float]:
    """So many calls one after the other; what each took, in milliseconds."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        assert client.post(url + PATHS["chat"], json=BODY).status_code == 200
        found.append((time.perf_counter() - began) * 1000)
    return found


@contextmanager
def gateways(folder: Path, server: Server, original: str) -> Iterator[dict[str, Program]]:
    """One on a file, one on a schema of the server."""
    environs = {
        "SQLite": {},
        "PostgreSQL": {"REASONING_STORE_URL": server.url, "REASONING_STORE_SCHEMA": "gateway"},
    }
    programs: dict[str, Program] = {}
    try:
        for name, environ in environs.items():
            home = folder / name
            home.mkdir()
            programs[name] = Program(home, original, None, environ)
        yield programs
    finally:
        for program in programs.values():
            program.stop()


def gateway_costs(folder: Path, server: Server, calls: int, rounds: int) -> int:
    """CPU of a recorded decision, and what is added while the server stands still; how many decisions are amiss."""
    cpu: dict[str, list[float]] = {"SQLite": [], "PostgreSQL": []}
    direct: list[float] = []
    added: dict[str, list[float]] = {"answers": [], "stands still": []}
    made = dict.fromkeys(cpu, 0)
    with (
        closing(Provider(canned.original)) as provider,
        gateways(folder, server, provider.url) as programs,
        httpx.Client(timeout=60, trust_env=False) as client,
    ):
        for name, program in programs.items():
            call(client, program.url, 200)
            made[name] += 200
        for _ in range(rounds):
            for name, program in programs.items():
                before = cpu_seconds(program.process.pid)
                with ThreadPoolExecutor(_AT_ONCE) as agents:
                    list(agents.map(lambda url: call(client, url, calls // _AT_ONCE), [program.url] * _AT_ONCE))
                time.sleep(1)  # what is queued is written
                done = calls // _AT_ONCE * _AT_ONCE
                cpu[name].append((cpu_seconds(program.process.pid) - before) / done)
                made[name] += done
                provider.received.clear()
        shared = programs["PostgreSQL"]
        for _ in range(rounds):
            for state, found in added.items():
                if state == "stands still":
                    server.freeze()
                try:
                    for _ in range(_BLOCKS):
                        direct.append(statistics.median(call(client, provider.url, _BLOCK)))
                        found.append(statistics.median(call(client, shared.url, _BLOCK)))
                finally:
                    server.thaw()
                made["PostgreSQL"] += _BLOCKS * _BLOCK
            provider.received.clear()
            time.sleep(1)
        places = {
            "SQLite": folder / "SQLite" / "reasoning.db",
            "PostgreSQL": DatabaseAddress(server.url, "gateway", folder / "PostgreSQL" / "reasoning.db"),
        }
    amiss = 0
    for name, place in places.items():
        with open_store(place) as store:
            amiss += abs(store.number("SELECT count(*) FROM samples") - made[name])
    each = {name: statistics.median(seconds) * 1e6 for name, seconds in cpu.items()}
    ratios = [ours / theirs for ours, theirs in zip(cpu["PostgreSQL"], cpu["SQLite"], strict=True)]
    ratio = each["PostgreSQL"] / each["SQLite"]
    show("CPU a recorded decision", f"{each['PostgreSQL']:.0f} µs, {each['SQLite']:.0f} on a file", ratio, "≤ 1.25")
    show("  the worst round", "", max(ratios), "")
    show("recorded decisions a second of one core", f"{1e6 / each['PostgreSQL']:,.0f}", 1 / ratio, "≥ 0.85")
    medians = {name: undisturbed(found) - undisturbed(direct) for name, found in added.items()}
    frozen = medians["stands still"] / medians["answers"]
    show(
        "added p50, server standing still",
        f"{medians['stands still'] * 1000:.0f} µs, {medians['answers'] * 1000:.0f} while it answers",
        frozen,
        "≤ 1.2",
    )
    show("decisions lost or doubled", str(amiss), None, "0")
    return amiss


def fill(store: Store, made: int, rows: int) -> None:
    """More decisions than were made: the same again, later and under other names. The indexes come last: as many rows
    take a tenth of the time without."""
    if isinstance(store, PostgresStore):
        found = store.rows(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'samples'"
            " AND indexname NOT IN ('samples_pkey', 'samples_id')"
        )
    else:
        store.connection.execute("PRAGMA synchronous=OFF")
        found = store.rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'samples' AND sql IS NOT NULL"
            " AND name <> 'samples_id'"
        )
    indexes = [(row[0], row[1]) for row in found]
    for name, _ in indexes:
        store.write(f"DROP INDEX {name}")
    names = [column.name for column in store.columns("samples")]
    changed = {"seq": "seq + :by", "id": "id || :mark", "created_at": "created_at + :later"}
    again = (
        f"INSERT INTO samples({', '.join(names)}) SELECT {', '.join(changed.get(name, name) for name in names)}"
        " FROM samples WHERE seq <= :most ORDER BY seq"
    )
    span = store.number("SELECT max(created_at) - min(created_at) FROM samples") + 1000
    for number, by in enumerate(range(made, rows, made), 1):
        values = {"by": by, "mark": f"-{number}", "later": number * span, "most": min(made, rows - by)}
        store.write(again, values)
    for _, sql in indexes:
        store.write(sql)


def exports(folder: Path, server: Server, rows: int, rounds: int) -> None:
    """The same log from each engine, in turns."""
    path = folder / "log.db"
    made = min(rows, _MADE)
    with open_store(path) as store:
        decisions = iter(Generator(made, seed=1, prompt_bytes=1500, copies=0, secrets=0))
        while batch := list(islice(decisions, 1000)):
            Samples(store).insert_many(batch)
    with open_store(path) as store, open_store(DatabaseAddress(server.url, "exported", path)) as there:
        transfer(store, there)
        for engine in (store, there):
            fill(engine, made, rows)
        store.write_back()
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("VACUUM (ANALYZE) exported.samples")
    environs = {
        "SQLite": {"REASONING_STORE_PATH": str(path)},
        "PostgreSQL": {"REASONING_STORE_URL": server.url, "REASONING_STORE_SCHEMA": "exported"},
    }
    wall: dict[str, list[float]] = {name: [] for name in environs}
    cpu: dict[str, list[float]] = {name: [] for name in environs}
    peak = dict.fromkeys(environs, 0)
    hashes = dict.fromkeys(environs, "")
    for _ in range(rounds):
        for name, environ in environs.items():
            out = folder / f"{name}.jsonl"
            home = os.environ | environ | {"REASONING_HOME": str(folder)}
            command = [sys.executable, "-m", "reasoning_cli", "data", "export", "--no-redact", "-o", str(out)]
            began = time.monotonic()
            process = subprocess.Popen(command, env=home, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)  # of the processes it had started, too
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            wall[name].append(time.monotonic() - began)
            cpu[name].append(used.ru_utime + used.ru_stime)
            peak[name] = max(peak[name], used.ru_maxrss)
            with out.open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
            for left in folder.glob(f"{name}.jsonl*"):
                left.unlink()
    assert hashes["SQLite"] == hashes["PostgreSQL"], "the two files differ"
    for what, found in (("wall", wall), ("CPU of ours", cpu)):
        seconds = {name: statistics.median(times) for name, times in found.items()}
        said = f"{seconds['PostgreSQL']:.1f} s, {seconds['SQLite']:.1f} from a file"
        ratios = [ours / theirs for ours, theirs in zip(found["PostgreSQL"], found["SQLite"], strict=True)]
        target = "≤ 1.3" if what == "wall" else ""
        show(f"export of {rows:,}, {what}", said, statistics.median(ratios), target)
    show(
        "  memory of the largest process",
        f"{peak['PostgreSQL'] >> 10} MB, {peak['SQLite'] >> 10} from a file",
        None,
        "",
    )


def starts(folder: Path, runs: int) -> int:
    """Programs on a file where psycopg is there and where it is not; whether it was imported."""
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "psycopg.py").write_text("raise ImportError('hidden')\n")
    home = os.environ | {"REASONING_HOME": str(folder / "start"), "TOGETHER_API_KEY": ""}
    imported = 0
    for words in (["--help"], ["models", "list"]):
        command = [sys.executable, "-m", "reasoning_cli", *words]
        subprocess.run(command, env=home, capture_output=True, check=False)
        said = subprocess.run(
            [sys.executable, "-X", "importtime", *command[1:]], env=home, capture_output=True, text=True, check=False
        ).stderr
        imported += "psycopg" in said
        ratios, there, away = [], [], []
        for _ in range(3):
            there.append(cpu_milliseconds(command, runs, home))
            away.append(cpu_milliseconds(command, runs, home | {"PYTHONPATH": str(hidden)}))
            ratios.append(there[-1] / away[-1])
        ratio = statistics.median(ratios)
        show(f"reasoning {' '.join(words)}", f"{statistics.median(there):.0f} ms of CPU", ratio, "≤ 1.02")
    show("psycopg imported on a file", str(imported), None, "0")
    return imported


def show(what: str, found: str, ratio: float | None, target: str) -> None:
    """One line."""
    print(f"{what:42}{found:44}{'' if ratio is None else f'{ratio:.2f}':>8}  {target}", flush=True)


def main() -> int:
    """All of it, or what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=("gateway", "export", "start", []), default=[])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--apart", action="store_true", help="the server on one processor, all else on the others")
    parser.add_argument("--folder", type=Path, help="for the files; by default the system's")
    chosen = parser.parse_args()
    wanted = chosen.what or ["gateway", "export", "start"]
    amiss = 0
    server = Server()
    if chosen.apart:  # as if it ran on another host: what is started later is where its parent is
        first, *others = sorted(os.sched_getaffinity(0))
        for pid in server.processes():
            os.sched_setaffinity(pid, {first})
        os.sched_setaffinity(0, others)
    try:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
            folder = Path(name)
            if "gateway" in wanted:
                amiss += gateway_costs(folder, server, chosen.calls, chosen.rounds)
            if "export" in wanted:
                exports(folder, server, chosen.rows, chosen.rounds)
            if "start" in wanted:
                amiss += starts(folder, 9)
    finally:
        server.stop()
    return 1 if amiss else 0


if __name__ == "__main__":
    sys.exit(main())
