"""`store copy` of a large log to PostgreSQL and back, killed on the way: `python -m benchmarks.store_copy --rows N`.

Each way the program is killed with SIGKILL at moments spread over all of the copy, the last while it compares, and
typed again; then nobody kills it. 1 when a table's hash differs, a row is missing or doubled, or the ledger is another.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.meter_readings import Ledger, Reading
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.timestamps import to_ms
from reasoning_cli.values import DatabaseAddress
from tests.operations.advice.scenes import deployed
from tests.sources.postgres_server import postgres_server

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Copied:
    """What one way came to: seconds of CPU of our program and wall over all its runs, and the largest of them."""

    kills: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    done: dict[str, Any]


def fill(path: Path, rows: int, prompt_bytes: int) -> None:
    """A log of so many decisions, with deployments that were billed."""
    with open_store(path) as store:
        prompt = "Ünïcode and \0 and words. " * (prompt_bytes // 25 + 1)
        first = Sample("id-0", BEGIN, "planning", "m", "original", "gateway", prompt, "<response/>", decision="REPLY")
        Samples(store).insert_many([first])
        names = [column.name for column in store.columns("samples") if column.name != "seq"]
        made = {"id": "'id-' || n", "created_at": f"{to_ms(BEGIN)} + n * 1000", "prompt": "prompt || n"}
        for start in range(1, rows, 50_000):
            store.write(
                f"INSERT INTO samples({', '.join(names)}) WITH RECURSIVE many(n) AS (SELECT {start} UNION ALL"
                f" SELECT n + 1 FROM many WHERE n + 1 < {min(rows, start + 50_000)})"
                f" SELECT {', '.join(made.get(name, name) for name in names)} FROM many JOIN samples ON seq = 1"
            )
        deployed(store, BEGIN)
        readings = [(BEGIN + timedelta(minutes=minutes), ready) for minutes, ready in ((0, 1), (30, 2), (95, 0))]
        Ledger(store).add_readings([Reading("k1", at, ready, 549, "READY", "event") for at, ready in readings])


def copy(
    source: str, target: str, folder: Path, schema: str, place: Callable[[], Store], rows: int, kills: int
) -> Copied:
    """Copy, killed so many times, then to the end."""
    command = [sys.executable, "-m", "reasoning_cli", "store", "copy", source, target, "--json"]
    environ = os.environ | {"REASONING_HOME": str(folder), "REASONING_STORE_SCHEMA": schema}
    cpu, peak, killed, began = 0.0, 0, 0, time.monotonic()
    for number in range(kills + 1):
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(command, env=environ, stdout=out)
            while number < kills and process.poll() is None:
                if _copied(place) >= rows * (number + 1) // kills:
                    if number == kills - 1:
                        time.sleep(1)  # into comparing
                    process.kill()
                    killed += 1
                    break
                time.sleep(0.3)
            _, status, used = os.wait4(process.pid, 0)
            cpu += used.ru_utime + used.ru_stime
            peak = max(peak, used.ru_maxrss * 1024)
            out.seek(0)
            said = out.read()
    assert os.waitstatus_to_exitcode(status) == 0, said
    return Copied(killed, cpu, time.monotonic() - began, peak, json.loads(said))


def _copied(place: Callable[[], Store]) -> int:
    """Up to which row a copy has come, as it notes itself."""
    try:
        with place() as store:
            row = store.row("SELECT value FROM about WHERE name = 'copy'")
            done = json.loads(row[0]) if row is not None else None
            last = store.number("SELECT max(seq) FROM samples")
    except Exception:  # it is being made
        return 0
    return last if done is not None else 0


def main() -> int:
    """Copy both ways and say what it took; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10, help="over both ways")
    parser.add_argument("--prompt-bytes", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="for the files; by default a new one of the system's")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=chosen.folder))
    try:
        with postgres_server() as url:
            first, last = folder / "first.db", folder / "last.db"
            fill(first, chosen.rows, chosen.prompt_bytes)
            print(f"{chosen.rows:,} decisions, {first.stat().st_size / 1e6:.0f} MB", flush=True)
            there = DatabaseAddress(url, "copied", folder / "beside.db")
            half = (chosen.kills + 1) // 2
            out = copy(str(first), url, folder, "copied", lambda: open_store(there, create=False), chosen.rows, half)
            show("SQLite to PostgreSQL", out)
            back = copy(
                url,
                str(last),
                folder,
                "copied",
                lambda: open_store(last, create=False),
                chosen.rows,
                chosen.kills - half,
            )
            show("PostgreSQL to SQLite", back)
        same = out.done["tables"] == back.done["tables"] and out.done["spent_usd"] == back.done["spent_usd"]
        whole = out.done["rows"] == back.done["rows"] >= chosen.rows
        print(f"hashes of {len(out.done['tables'])} tables {'equal' if same else 'DIFFER'}, ${out.done['spent_usd']}")
        return 0 if same and whole else 1
    finally:
        shutil.rmtree(folder)


def show(way: str, copied: Copied) -> None:
    """One line."""
    rows = copied.done["rows"]
    print(
        f"{way}: {rows:,} rows, killed {copied.kills} times, {copied.done['changed']} brought over again;"
        f" {copied.cpu_seconds:.1f} s of CPU ({rows / copied.cpu_seconds:,.0f} rows a second of it),"
        f" {copied.wall_seconds:.0f} s in all, {copied.peak_bytes / 1e6:.0f} MB at the most",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
