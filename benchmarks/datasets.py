"""Exports of archives of a million rows and more: `python -m benchmarks.datasets FOLDER --rows 1000000 5000000`.

Makes an archive of so many decisions (three thousand of `generate_log`, each many times with an id, a time, a room and
hashes of its own; 2 % are copies), and exports it with `--dedupe exact`, each run a process of its own: wall and CPU
seconds, when it had chosen and when it began to render, and the peak memory of the process that asks and of the largest
worker. Beside it in the same run, DuckDB chooses the same rows by id first and writes their plain texts. `--short` cuts
prompts to 120 characters, so that fifty million rows fit on a disk. `--ray 1 2` has clusters of so many nodes on this
host do it, too; what connecting to them and starting their workers takes is said apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import repeat
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
_FILE_ROWS, _GROUP_ROWS = 200_000, 20_000  # as `data archive` writes them
_SHORT = 120
_MESSAGE = "# Received Message"
_SALT = "00" * 16
_UP_WITHIN = 600  # seconds that a cluster may take to start on a busy machine

EXPORT = """
import resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from reasoning_cli.operations.data.export.archived import export_archived, open_sources
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.run import ExportRequest
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import SampleFilter
if __name__ == "__main__":
    home, source, out, engine, workers, kinds, salt = sys.argv[1:]
    began = time.monotonic()
    marks = {}
    with open_store(Path(home) / "reasoning.db") as store:
        request = ExportRequest(SampleFilter(tuple(kinds.split())), Rules(salt=salt or None), dedupe="exact")
        done = export_archived(
            store, open_sources(store, [source]), out, request, now=datetime.now(UTC),
            engine=engine, workers=int(workers) or None,
            on_progress=lambda doing, *_: marks.setdefault(doing, time.monotonic() - began),
        )
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in (mine, theirs))
    print(
        done.written, sum(file.size_bytes for file in done.files), marks["gathering, by day"], marks["choosing"],
        marks["rendering"], time.monotonic() - began - marks["rendering"], cpu, mine.ru_maxrss / 1e6,
        theirs.ru_maxrss / 1e6,
    )
"""
# Reaches a cluster however long it takes to start, and has each of its workers import what renders.
START = """
import sys, time
import ray
def ready(number):
    import reasoning_cli.operations.data.export.shards
    time.sleep(1)
    return number
if __name__ == "__main__":
    began = time.monotonic()
    while True:
        try:
            ray.init(sys.argv[1], logging_level="CRITICAL")
            break
        except Exception:
            if time.monotonic() - began > float(sys.argv[2]):
                raise
            time.sleep(2)
    connected = time.monotonic()
    task = ray.remote(num_cpus=1)(ready)
    ray.get([task.remote(number) for number in range(int(ray.cluster_resources()["CPU"]))])
    print(connected - began, time.monotonic() - connected - 1)
"""
DUCKDB = """
import resource, sys, time
import duckdb
if __name__ == "__main__":
    source, out, kinds = sys.argv[1:]
    kinds = tuple([*(kinds.split() or ["should_respond", "planning", "coding"]), ""])
    base = duckdb.connect(config={"memory_limit": "4GB", "threads": "2", "temp_directory": out + ".spill"})
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


def make_archive(folder: Path, rows: int, *, short: bool) -> Path:
    """An archive of so many rows, with the empty log that it is of beside it; the one that is there already."""
    made = folder / f"archive-{rows}{'-short' if short else ''}"
    if (made / "index.json").exists():
        return made
    with open_store(folder / "base.db") as base:
        if not base.number("SELECT count(*) FROM samples"):
            fill(base, Generator(_BASE))
        columns = WholeRows(base).columns
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        days = pool.map(_make_day, range(DAYS), repeat(folder), repeat(made), repeat(rows), repeat(short))
        files = [file for day in days for file in day]
    with open_store(folder / "reasoning.db") as store:
        write_index(open_place(made), None, Index("together", log_of(store), columns, tuple(sorted(files))))
    return made


def _make_day(day: int, folder: Path, made: Path, rows: int, short: bool) -> list[PartitionFile]:
    """The files of a day, by the same means whichever process makes them."""
    import numpy
    import pyarrow
    from pyarrow import compute, parquet

    columns, tables = _originals(folder, short)
    drawn, begin, files = numpy.random.default_rng([1, day]), BEGIN + timedelta(days=day), []
    hexadecimal = numpy.array([f"{byte:02x}" for byte in range(256)], "S2")

    seq = 1 + day * (rows // DAYS + len(TYPES))
    for kind, share in TYPES.items():
        left = round(rows * share / DAYS)
        moments = numpy.sort(drawn.integers(0, 86_400_000, left)) + to_ms(begin)
        while left:
            count = min(left, _FILE_ROWS)
            mine, moments, left = moments[:count], moments[count:], left - count
            path = made / f"type={kind}" / f"day={begin:%Y-%m-%d}" / "new.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            dictionary = [name for name in columns if name not in LONG]
            schema = tables[kind].schema
            with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=dictionary) as writer:
                for first in range(0, count, _GROUP_ROWS):
                    many = min(_GROUP_ROWS, count - first)
                    table = tables[kind].take(pyarrow.array(drawn.integers(0, tables[kind].num_rows, many)))
                    hashes = drawn.integers(0, 256, (many, 16), dtype=numpy.uint8)
                    copies = numpy.flatnonzero(drawn.random(many) < 0.02)
                    hashes[copies] = hashes[drawn.integers(0, many, len(copies))]
                    ids = hexadecimal[drawn.integers(0, 256, (many, 16), dtype=numpy.uint8)].view("S32").ravel()
                    buffer = pyarrow.py_buffer(hashes.tobytes())
                    prompt_hash = pyarrow.FixedSizeBinaryArray.from_buffers(pyarrow.binary(16), many, [None, buffer])
                    prompt_hash = prompt_hash.cast(pyarrow.binary())
                    rooms = pyarrow.array(drawn.integers(0, max(1, rows // 200), many)).cast(pyarrow.string())
                    new = {
                        "seq": pyarrow.array(numpy.arange(seq, seq + many)),
                        "id": pyarrow.array(ids).cast(pyarrow.string()),
                        "created_at": pyarrow.array(mine[first : first + many]).cast(pyarrow.timestamp("ms", tz="UTC")),
                        "prompt_hash": prompt_hash,
                        "shape_hash": prompt_hash,
                        "room_id": compute.binary_join_element_wise("room", rooms, "-"),
                    }
                    for name, column in new.items():
                        table = table.set_column(table.column_names.index(name), schema.field(name), column)
                    writer.write_table(table)
                    seq += many
            sha256, size = hash_of_file(path), path.stat().st_size
            name = f"type={kind}/day={begin:%Y-%m-%d}/{sha256[:20]}.parquet"
            path.rename(made / name)
            times = int(mine[0]), int(mine[-1])
            files.append(PartitionFile(f"{begin:%Y-%m-%d}", kind, *times, name, count, size, sha256))
    return files


@cache
def _originals(folder: Path, short: bool) -> tuple[Mapping[str, str], dict[str, Any]]:
    """The decisions of which all others are made, by type, and the columns of the database."""
    import pyarrow

    with open_store(folder / "base.db") as base:
        whole = WholeRows(base)
        read = [row for batch in whole.read(-(1 << 60), 1 << 60, (), 1 << 60) for row in batch]
    if short:
        for row in read:
            begin = max(0, row["prompt"].find(_MESSAGE))
            row["prompt"] = row["prompt"][begin : begin + _SHORT]
    schema = pyarrow.schema(list(types_of(whole.columns).items()), metadata={REALM: b"together"})
    return whole.columns, {
        kind: pyarrow.Table.from_pylist([row for row in read if row["model_type"] == kind], schema) for kind in TYPES
    }


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


def measure(folder: Path, archive: Path, engine: str, workers: int, kinds: str, salt: str) -> dict[str, float]:
    """Figures of one export, which is deleted again."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    wall, found = timed(EXPORT, str(folder), str(archive), str(out), engine, str(workers), kinds, salt)
    shutil.rmtree(out)
    names = ("lines", "bytes", "gathering_after_s", "choosing_after_s", "rendering_after_s", "rendering_s", "cpu_s")
    return {"wall_s": wall, **dict(zip((*names, "asking_gb", "worker_gb"), found, strict=True))}


def main() -> None:
    """Print a record a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--short", action="store_true", help="prompts of 120 characters")
    parser.add_argument("--workers", type=int, nargs="*", default=[0], help="processes of this machine, 0: all it has")
    parser.add_argument("--ray", type=int, nargs="*", default=[], help="clusters of so many nodes of one CPU")
    parser.add_argument("--types", nargs="*", default=[], choices=list(TYPES), help="export these alone")
    parser.add_argument("--redact", action="store_true", help="with placeholders for personal data")
    parser.add_argument("--no-duckdb", action="store_true", help="leave out what it is compared with")
    options = parser.parse_args()
    kinds, salt = " ".join(options.types), _SALT if options.redact else ""
    options.folder.mkdir(parents=True, exist_ok=True)
    for rows in options.rows:
        began = time.monotonic()
        archive = make_archive(options.folder, rows, short=options.short)
        size = sum(path.stat().st_size for path in archive.rglob("*.parquet"))
        say(what="archive", rows=rows, gb=size / 1e9, wall_s=time.monotonic() - began)
        plain = None if options.no_duckdb else by_duckdb(options.folder / "plain.txt", archive, kinds, rows)
        for workers in options.workers:
            figures = measure(options.folder, archive, "local", workers, kinds, salt)
            against = {} if plain is None else {"against_duckdb": figures["wall_s"] / plain}
            say(what="local", workers=workers, rows=rows, redacted=options.redact, **against, **figures)
        for nodes in options.ray:
            with cluster(nodes) as address:
                _, [connected, started] = timed(START, address, str(_UP_WITHIN))
                say(what="cluster", nodes=nodes, connected_after_s=connected, workers_start_s=started)
                figures = measure(options.folder, archive, address, 0, kinds, salt)
                say(what="ray", nodes=nodes, rows=rows, redacted=options.redact, **figures)


def by_duckdb(out: Path, archive: Path, kinds: str, rows: int) -> float:
    """The plain texts that DuckDB writes, which are deleted again; wall seconds."""
    wall, [lines, cpu, gb] = timed(DUCKDB, str(archive), str(out), kinds)
    say(what="duckdb", rows=rows, wall_s=wall, lines=lines, cpu_s=cpu, asking_gb=gb, gb=out.stat().st_size / 1e9)
    out.unlink()
    return wall


def say(**record: object) -> None:
    load = os.getloadavg()[0]
    shown = {name: round(value, 3) if isinstance(value, float) else value for name, value in record.items()}
    print(json.dumps({**shown, "load": round(load, 1)}), flush=True)


if __name__ == "__main__":
    main()
