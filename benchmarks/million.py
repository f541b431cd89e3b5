"""What a log of a million decisions costs to use: `python -m benchmarks.million [--db FILE] [--rows 1000000]`.

Makes the log (6 GB; `--db` takes one of `generate_log` instead, and its oldest rows go), and prints in one run: export
by one process and by several against the `cat` limit, which is reading the log and copying the file with both in memory
already, and against that with its bytes on the disk, where an export ends with them; with redaction and removal of
near-copies, memory at 10,000 rows and at all, `stats`, a filtered page, and how long a clean-up holds the lock while
another program writes.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.listing import Pages
from reasoning_cli.store.samples.retention import Cut, delete_cut, small_steps
from reasoning_cli.store.samples.training_log import SampleFilter
from reasoning_cli.store.timestamps import from_ms
from reasoning_cli.values import MODEL_TYPES

CLI = (sys.executable, "-m", "reasoning_cli")

# One row a commit, as a gateway writes; prints how long the longest of them had to wait, in milliseconds.
WRITER = """
import signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
waits = []
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in its background without
with open_store(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    try:
        for number in range(10**9):
            name = f"w{time.time_ns()}"
            made = Sample(name, datetime.now(UTC), "planning", "m", "original", "writer", "x" * 3000, "o")
            began = time.perf_counter()
            Samples(store).insert_many([made])
            waits.append((time.perf_counter() - began) * 1000)
            time.sleep(0.005)
    except KeyboardInterrupt:
        pass
waits.sort()
print(len(waits), waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1], flush=True)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall, seconds of CPU, and the highest memory: of the largest process, and of all together."""

    wall: float
    cpu: float
    largest: float
    together: float


def measure(command: Sequence[str], **options: object) -> Cost:
    """Run a command to its end; fails when it does."""
    began = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    largest, together, looks = 0.0, 0.0, 0
    while True:
        ended, status, used = os.wait4(running.pid, os.WNOHANG)  # what it waited for counts with it
        if ended:
            break
        # Seldom in the long run: looking takes time from what is looked at.
        if (looks < 50 or looks % 8 == 0) and (found := _memory(running.pid)):
            largest = max(largest, *(resident for resident, _ in found))
            together = max(together, sum(share for _, share in found))
        looks += 1
        time.sleep(0.02)
    took = time.perf_counter() - began
    running.returncode = os.waitstatus_to_exitcode(status)
    with running.stderr as errors:
        if running.returncode:
            sys.exit(f"{' '.join(command)} failed: {errors.read()}")
    return Cost(took, used.ru_utime + used.ru_stime, largest, together)


def _memory(pid: int) -> list[tuple[float, float]]:
    """Megabytes of a process and of each it started: resident, and with pages they share divided among them."""
    try:
        found = dict(line.split()[:2] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        own = (int(found["Rss:"]) * 1024 / 1e6, int(found["Pss:"]) * 1024 / 1e6)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, KeyError):  # it ended
        return []
    return [own, *(part for child in children for part in _memory(int(child)))]


def median(runs: Sequence[Cost]) -> Cost:
    """The one in the middle by the wall."""
    return sorted(runs, key=lambda cost: cost.wall)[len(runs) // 2]


def best(times: int, what: Callable[[], Cost]) -> Cost:
    """The median of several runs."""
    return median([what() for _ in range(times)])


def show(what: str, found: str, target: str) -> None:
    print(f"{what:54}{found:>34}   {target}", flush=True)


def exports(database: Path, folder: Path, times: int) -> None:
    """Export in several ways, against reading the database and writing the file with `cat`.

    Each in turn, so that all meet the same machine; each writes a new file, since what replaces one pays for its end as
    well; and `cat` finds both of its files in memory, as it would not the export, which goes around that.
    """
    out, copy = folder / "out.jsonl", folder / "copy"

    def export(source: Path, *more: str) -> Callable[[], Cost]:
        return lambda: fresh((*CLI, "--db", str(source), "data", "export", "--all", "-o", str(out), *more))

    def fresh(command: Sequence[str]) -> Cost:
        for left in (*folder.glob("out*"), *folder.glob("copy")):
            left.unlink()
        return measure(command)

    def cat(more: str) -> Cost:
        copy.unlink(missing_ok=True)
        return measure(("sh", "-c", f"cat {database} > /dev/null; cat {out} > {copy}{more}"))

    alone = (sys.executable, "-m", "benchmarks.export_speed", "--alone", str(database), str(out))
    found: dict[str, list[Cost]] = {name: [] for name in ("one", "plain", "limit", "synced", "full")}
    for _ in range(times):
        found["full"].append(export(database, "--redact", "--dedupe", "near")())
        found["one"].append(fresh((*alone, '{"careful": false, "workers": 1}')))
        found["plain"].append(export(database, "--no-redact")())
        _, lines = lines_of(database), lines_of(out)
        found["limit"].append(cat(""))
        found["synced"].append(cat(f"; sync {copy}"))
    taken, plain, limit, synced, full = (median(found[name]) for name in ("one", "plain", "limit", "synced", "full"))
    for name, what in (("limit", "cat limit"), ("synced", "the same with its bytes on the disk")):
        walls = sorted(cost.wall for cost in found[name])
        show(what, f"{median(found[name]).wall:.1f} s", f"{walls[0]:.1f} to {walls[-1]:.1f} s")
    size = out.stat().st_size
    for name, cost, target in (("two processes", plain, "<= 2x"), ("one", taken, "<= 3x")):
        show(
            f"export of {lines:,} lines, {size / 1e9:.1f} GB, {name}",
            f"{cost.wall:.1f} s, {cost.cpu:.1f} s CPU",
            f"{cost.wall / limit.wall:.2f}x cat ({target}), {cost.wall / synced.wall:.2f}x on the disk",
        )
    show(
        "redaction, near-copies left out, two processes",
        f"{full.wall:.1f} s, {full.cpu:.1f} s CPU",
        f"{full.wall / plain.wall:.2f}x plain (<= 2.5x), {full.cpu / plain.cpu:.2f}x its CPU",
    )
    start = best(3, lambda: measure((*CLI, "data", "export", "--help")))
    few = best(3, export(database, "--no-redact", "-l", "10000"))
    runs = (start, few, plain, full)
    for kind, sizes in {
        "largest process": [run.largest for run in runs],
        "together": [run.together for run in runs],
    }.items():
        show(
            f"memory, {kind}: start, 10,000, all, redacted",
            f"{', '.join(f'{size:.0f}' for size in sizes)} MB",
            "<= 40 MB over start, flat" if kind == "largest process" else "pages shared counted once",
        )
    for left in (*folder.glob("out*"), *folder.glob("copy")):
        left.unlink()


def lines_of(file: Path) -> int:
    """How many line ends there are in a file, which stays in memory."""
    lines = 0
    with file.open("rb") as content:
        while chunk := content.read(1 << 24):
            lines += chunk.count(b"\n")
    return lines


def questions(database: Path) -> None:
    """Statistics as a command, and pages as the listing reads them."""
    stats = best(3, lambda: measure((*CLI, "--db", str(database), "data", "stats")))
    show("data stats", f"{stats.wall:.2f} s, {stats.cpu:.2f} s CPU", "<= 2 s")
    now = datetime.now(UTC)
    with open_store(database) as store:
        pages = Pages(store)
        for name, wanted in {
            "a type, 7 days": SampleFilter(("planning",), since=now - timedelta(days=7)),
            "an agent": SampleFilter(agent="Mira"),
            "a label of a type": SampleFilter(("should_respond",), label="good"),
        }.items():
            took = []
            for _ in range(5):
                began = time.perf_counter()
                count = len(pages.page(wanted, limit=50))
                took.append((time.perf_counter() - began) * 1000)
            show(f"page of {count}: {name}", f"{statistics.median(took):.1f} ms", "<= 20 ms")


def cleanup(database: Path) -> None:
    """Delete the oldest tenth of what has no label while another program writes."""
    with open_store(database) as store:
        tenth = store.number("SELECT count(*) FROM samples") // 10
        until = store.number(
            "SELECT created_at FROM samples WHERE label IS NULL ORDER BY created_at LIMIT 1 OFFSET ?", (tenth,)
        )
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(database)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        began, gone, log = time.perf_counter(), 0, 0
        with small_steps(store) as step:
            for name in MODEL_TYPES:
                steps = [(0, 0)]
                for count in delete_cut(store, step, Cut(name, from_ms(until)), keep_labelled=True):
                    steps.append((count, store.log_bytes()))
                gone += steps[-1][0]
                log = max(log, *(size for _, size in steps))
        took = time.perf_counter() - began
        writer.send_signal(signal.SIGINT)
        count, middle, late, longest = writer.communicate()[0].split()
    show(
        f"cleanup of {gone:,} rows", f"{took:.0f} s, {gone / took:,.0f} rows/s, log {log / 1e6:.0f} MB", "log <= 32 MB"
    )
    show("longest transaction", f"{step.longest_seconds * 1000:.0f} ms", "<= 100 ms")
    waits = f"{float(middle):.1f}, {float(late):.1f}, {float(longest):.0f} ms"
    show(f"{int(count):,} writes beside: p50, p99, longest", waits, "")


def main() -> int:
    """All of it in one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path, help="a log of generate_log; default: make one")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3, help="runs of each export, of which the median counts")
    parser.add_argument("--only", choices=("exports", "questions", "cleanup"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = chosen.db or folder / "million.db"
        if chosen.db is None:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.generate_log", str(database), str(chosen.rows)], check=True
            )
        open_store(database).close()
        load = os.getloadavg()[0]
        print(f"{database.stat().st_size / 1e9:.1f} GB, load {load:.1f} on {os.cpu_count()} processors")
        if chosen.only in (None, "exports"):
            exports(database, folder, chosen.times)
        if chosen.only in (None, "questions"):
            questions(database)
        if chosen.only in (None, "cleanup"):
            cleanup(database)
    return 0


if __name__ == "__main__":
    sys.exit(main())
