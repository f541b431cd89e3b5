"""Exports of archives of a million rows and more: `python -m benchmarks.datasets FOLDER --rows 1000000 5000000`.

Makes an archive of so many decisions (a thousand real ones of `generate_log` a type, each many times with ids, times,
rooms and hashes of its own; 2 % are copies), and exports it with `--dedupe exact --no-redact`, each run a process of
its own: wall and CPU seconds, and the peak memory of the process that asks and of the largest worker. Beside it in the
same run, DuckDB chooses the same rows by id first and writes their plain texts. `--ray 1 2` has clusters of so many
nodes on this host do it, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.generate_log import Generator, fill
from reasoning_cli.operations.data.archive.index import Index, PartitionFile, log_of, write_index
from reasoning_cli.operations.data.archive.partition import LONG
from reasoning_cli.operations.data.archive.place import hash_of_file, open_place
from reasoning_cli.operations.data.archive.reader import REALM, types_of
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.full_rows import WholeRows
from reasoning_cli.store.timestamps import to_ms

TYPES = {"should_respond": 0.60, "planning": 0.32, "coding": 0.08}
DAYS = 60
BEGIN = datetime(2026, 8, 1, tzinfo=UTC)
_BASE = 3000

EXPORT = """
import resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from reasoning_cli.operations.data.export.archived import export_archived, open_sources
from reasoning_cli.operations.data.export.run import ExportRequest
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import SampleFilter
if __name__ == "__main__":
    home, source, out, engine, workers, kinds = sys.argv[1:]
    began = time.monotonic()
    marks = {}
    with open_store(Path(home) / "reasoning.db") as store:
        request = ExportRequest(SampleFilter(tuple(kinds.split())), dedupe="exact")
        done = export_archived(
            store, open_sources(store, [source]), out, request, now=datetime.now(UTC),
            engine=engine, workers=int(workers) or None,
            on_progress=lambda doing, *_: marks.setdefault(doing, time.monotonic() - began),
        )
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in (mine, theirs))
    print(done.written, done.size_bytes, marks.get("rendering", 0), cpu, mine.ru_maxrss / 1e6, theirs.ru_maxrss / 1e6)
"""
DUCKDB = """
import resource, sys, time
import duckdb
if __name__ == "__main__":
    source, out, kinds = sys.argv[1:]
    kinds = tuple([*(kinds.split() or ["should_respond", "planning", "coding"]), ""])
    base = duckdb.connect(config={"memory_limit": "1GB", "threads": "2", "temp_directory": out + ".spill"})
    files = f"read_parquet('{source}/type=*/day=*/*.parquet', hive_partitioning=false)"
    base.execute(
        f"CREATE TABLE ids AS SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY model_type, prompt_hash"
        f" ORDER BY created_at DESC) AS nth FROM {files} WHERE decision IS NOT NULL AND model_type IN {kinds})"
        " WHERE nth = 1"
    )
    base.execute(
        f"COPY (SELECT system, prompt, output FROM {files} WHERE id IN (SELECT id FROM ids))"
        f" TO '{out}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\\x01')"
    )
    mine = resource.getrusage(resource.RUSAGE_SELF)
    print(base.execute("SELECT count(*) FROM ids").fetchone()[0], mine.ru_utime + mine.ru_stime, mine.ru_maxrss / 1e6)
"""


def make_archive(folder: Path, rows: int) -> Path:
    """An archive of so many rows, with the empty log that it is of beside it; the one that is there already."""
    made = folder / f"archive-{rows}"
    if (made / "index.json").exists():
        return made
    import numpy
    import pyarrow
    from pyarrow import parquet

    with open_store(folder / "base.db") as base:
        if not base.number("SELECT count(*) FROM samples"):
            fill(base, Generator(_BASE))
        whole = WholeRows(base)
        read = [row for batch in whole.read(-(1 << 60), 1 << 60, (), 1 << 60) for row in batch]
        columns = whole.columns
    schema = pyarrow.schema(list(types_of(columns).items()), metadata={REALM: b"together"})
    tables = {
        kind: pyarrow.Table.from_pylist([row for row in read if row["model_type"] == kind], schema) for kind in TYPES
    }
    drawn, files, seq = numpy.random.default_rng(1), [], 1
    for day in range(DAYS):
        begin = BEGIN + timedelta(days=day)
        for kind, share in TYPES.items():
            count = round(rows * share / DAYS)
            if not count:
                continue
            table = tables[kind].take(pyarrow.array(drawn.integers(0, tables[kind].num_rows, count)))
            hashes = drawn.integers(0, 256, (count, 16), dtype=numpy.uint8)
            copies = numpy.flatnonzero(drawn.random(count) < 0.02)
            hashes[copies] = hashes[drawn.integers(0, count, len(copies))]
            prompt_hash = pyarrow.array([row.tobytes() for row in hashes])
            moments = numpy.sort(drawn.integers(0, 86_400_000, count)) + to_ms(begin)
            new = {
                "seq": pyarrow.array(range(seq, seq + count)),
                "id": pyarrow.array([f"{number:032x}" for number in range(seq, seq + count)]),
                "created_at": pyarrow.array(moments).cast(pyarrow.timestamp("ms", tz="UTC")),
                "prompt_hash": prompt_hash,
                "shape_hash": prompt_hash,
                "room_id": pyarrow.array([f"room-{room}" for room in drawn.integers(0, max(1, rows // 200), count)]),
            }
            for name, column in new.items():
                table = table.set_column(table.column_names.index(name), name, column)
            seq += count
            path = made / f"type={kind}" / f"day={begin:%Y-%m-%d}" / "new.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            short = [name for name in columns if name not in LONG]
            parquet.write_table(
                table.cast(schema), path, compression="zstd", use_dictionary=short, row_group_size=15_000
            )
            sha256 = hash_of_file(path)
            name = f"type={kind}/day={begin:%Y-%m-%d}/{sha256[:20]}.parquet"
            path.rename(made / name)
            size = (made / name).stat().st_size
            times = int(moments[0]), int(moments[-1])
            files.append(PartitionFile(f"{begin:%Y-%m-%d}", kind, *times, name, count, size, sha256))
    with open_store(folder / "reasoning.db") as store:
        write_index(open_place(made), None, Index("together", log_of(store), columns, tuple(sorted(files))))
    return made


def timed(script: str, *arguments: str) -> tuple[float, list[float]]:
    """Wall seconds of a process of its own, and the figures it says."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        began = time.monotonic()
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, file.name, *arguments], stdout=subprocess.PIPE, text=True, check=True, env=environ
        )
        return time.monotonic() - began, [float(figure) for figure in done.stdout.split()]


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """A cluster of so many nodes of one CPU on this host."""
    from ray.cluster_utils import Cluster

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    node = {"num_cpus": 1, "object_store_memory": 200_000_000}
    made: Any = Cluster(
        initialize_head=True, head_node_args={**node, "include_dashboard": False, "ray_client_server_port": port}
    )
    try:
        for _ in range(nodes - 1):
            made.add_node(**node)
        yield f"ray://127.0.0.1:{port}"
    finally:
        made.shutdown()


def measure(folder: Path, archive: Path, engine: str, workers: int, kinds: str) -> dict[str, float]:
    """Figures of one export, which is deleted again."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    wall, found = timed(EXPORT, str(folder), str(archive), str(out), engine, str(workers), kinds)
    shutil.rmtree(out)
    names = ("lines", "bytes", "chosen_after_s", "cpu_s", "asking_gb", "worker_gb")
    return {"wall_s": wall, **dict(zip(names, found, strict=True))}


def main() -> None:
    """Print a record a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--ray", type=int, nargs="*", default=[])
    parser.add_argument("--types", nargs="*", default=[], choices=list(TYPES), help="export these alone")
    options = parser.parse_args()
    kinds = " ".join(options.types)
    options.folder.mkdir(parents=True, exist_ok=True)
    for rows in options.rows:
        began = time.monotonic()
        archive = make_archive(options.folder, rows)
        size = sum(path.stat().st_size for path in archive.rglob("*.parquet"))
        say(what="archive", rows=rows, gb=size / 1e9, wall_s=time.monotonic() - began)
        out = options.folder / "plain.txt"
        wall, [lines, cpu, gb] = timed(DUCKDB, str(archive), str(out), kinds)
        say(what="duckdb", rows=rows, wall_s=wall, lines=lines, cpu_s=cpu, asking_gb=gb, gb=out.stat().st_size / 1e9)
        out.unlink()
        for workers in options.workers:
            figures = measure(options.folder, archive, "local", workers, kinds)
            say(what="local", workers=workers, rows=rows, against_duckdb=figures["wall_s"] / wall, **figures)
        for nodes in options.ray:
            with cluster(nodes) as address:
                say(what="ray", nodes=nodes, rows=rows, **measure(options.folder, archive, address, 0, kinds))


def say(**record: object) -> None:
    load = os.getloadavg()[0]
    shown = {name: round(value, 3) if isinstance(value, float) else value for name, value in record.items()}
    print(json.dumps({**shown, "load": round(load, 1)}), flush=True)


if __name__ == "__main__":
    main()
