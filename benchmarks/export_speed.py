"""How fast an export is beside copying the same bytes: `python -m benchmarks.export_speed 1000000 --folder /dev/shm`.

In one run, and several times over: the limit (`cat` reads the database, `cat` copies the file that comes out), the
plain export by one process and by as many as there are processors, and one with redaction and without near-copies.
Each export is a fresh process, so its memory is its own. On a folder in memory the disk plays no part; on a disk the
limit is measured with the same wait for the disk (fsync) that an export ends with.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


class Taken(NamedTuple):
    """Seconds on the clock and of processors, and megabytes: at the start, and at the peak of the largest process."""

    wall: float
    cpu: float
    start_mb: float = 0
    peak_mb: float = 0


def export_in_here(database: Path, out: Path, options: dict[str, object]) -> None:
    """One export in this process; prints what it took as JSON."""
    from reasoning_cli.operations.data.export.render import Rules
    from reasoning_cli.operations.data.export.run import ExportRequest, export_samples, new_salt
    from reasoning_cli.store.open import open_store

    careful, workers = bool(options["careful"]), int(str(options["workers"]))
    with open_store(database) as store:
        start = _peak(resource.RUSAGE_SELF)
        request = ExportRequest(rules=Rules(salt=new_salt() if careful else None), dedupe="near" if careful else "none")
        report = export_samples(store, out, request, now=datetime.now(UTC), overwrite=True, workers=workers)
    helper = _peak(resource.RUSAGE_CHILDREN) if workers > 1 else 0
    peak = max(_peak(resource.RUSAGE_SELF), helper)
    print(json.dumps({"start": start, "peak": peak, "samples": report.written}))


def _peak(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def _timed(work: Callable[[], str]) -> tuple[Taken, str]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Taken(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), result


def _limit(database: Path, out: Path, sync: bool) -> str:
    copy = out.with_name("copy")
    wait = f" && sync '{copy}'" if sync else ""
    subprocess.run(["sh", "-c", f"cat '{database}' >/dev/null && cat '{out}' >'{copy}'{wait}"], check=True)
    copy.unlink()
    return ""


def _export(database: Path, out: Path, careful: bool, workers: int) -> str:
    options = json.dumps({"careful": careful, "workers": workers})
    command = [sys.executable, "-m", "benchmarks.export_speed", "--alone", str(database), str(out), options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure(database: Path, folder: Path, rounds: int) -> dict[str, Taken]:
    """The median of each way, taken in turn."""
    out, sync = folder / "out.jsonl", not str(folder.resolve()).startswith("/dev/shm")  # memory has no disk to wait for
    many = max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2)
    many = min(4, many)
    ways: dict[str, Callable[[], str]] = {
        "plain, 1 process": lambda: _export(database, out, False, 1),
        "limit: cat": lambda: _limit(database, out, sync),
        f"plain, {many} processes": lambda: _export(database, out, False, many),
        f"redacted, no near-copies, {many} processes": lambda: _export(database, out, True, many),
    }
    found: dict[str, list[Taken]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken, result = _timed(way)
            memory = json.loads(result) if result else {"start": 0, "peak": 0}
            found[name].append(taken._replace(start_mb=memory["start"], peak_mb=memory["peak"]))
    return {
        name: Taken(*(statistics.median(column) for column in zip(*values, strict=True)))
        for name, values in found.items()
    }


def main() -> None:
    """Build what is not there, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="?", default=100_000)
    parser.add_argument("--folder", type=Path, default=None, help="where database and files go")
    parser.add_argument("--database", type=Path, default=None, help="one that is there already")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", nargs=3, default=None, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        database, out, options = chosen.alone
        export_in_here(Path(database), Path(out), json.loads(options))
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="export-speed-") as made:
        folder = Path(made)
        database = chosen.database or folder / "log.db"
        if chosen.database is None:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.generate_log", str(database), str(chosen.rows)], check=True
            )
        found = measure(database, folder, chosen.rounds)
        size = database.stat().st_size / 1e6
        print(f"{database} ({size:,.0f} MB), medians of {chosen.rounds}, load {os.getloadavg()[0]:.1f}")
        limit = found["limit: cat"]
        print(f"{'':<44}{'wall s':>8}{'x cat':>7}{'CPU s':>8}{'start MB':>10}{'peak MB':>9}")
        for name, taken in found.items():
            print(
                f"{name:<44}{taken.wall:>8.2f}{taken.wall / limit.wall:>7.2f}{taken.cpu:>8.2f}"
                f"{taken.start_mb:>10.0f}{taken.peak_mb:>9.0f}"
            )
        plain, careful = list(found.values())[2:]
        print(
            f"redacted, deduplicated / plain: {careful.wall / plain.wall:.2f} wall, {careful.cpu / plain.cpu:.2f} CPU"
        )


if __name__ == "__main__":
    main()
