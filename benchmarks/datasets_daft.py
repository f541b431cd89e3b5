"""The job of `data export --from` as a job of Daft: `python -m benchmarks.datasets_daft FOLDER --rows 1000000`.

Of the archive that `benchmarks.datasets` makes, Daft on this machine reads the partitions, keeps the newest of each
prompt, has our function render each batch, by threads of one process or by processes of its own, and writes shards of
JSON lines. Beside it in the same run, `data export` with two processes, and DuckDB with plain texts. Wall and CPU
seconds, and the peak memory of the process that asks and of the largest worker. `pip install daft` first (153 MB; tried
with 0.7.26).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from benchmarks.datasets import TYPES, by_duckdb, make_archive, measure, say, timed

DAFT = """
import hashlib, resource, sys, time
from pathlib import Path
import daft
from daft import DataType, Window, col
from daft.functions import row_number
from daft.io import DataSink
from daft.io.sink import WriteResult
from daft.recordbatch import MicroPartition
from daft.schema import Schema
COLUMNS = ("created_at", "model_type", "label", "corrected", "decision", "system", "output", "prompt", "cut",
           "conversation", "metadata")

class Lines:
    def __init__(self):
        from reasoning_cli.operations.data.export.batches import LineMaker
        from reasoning_cli.operations.data.export.render import Rules
        self._maker = LineMaker(Rules(), 1)

    def render(self, *columns: daft.Series):
        listed = [column.to_pylist() for column in columns]
        listed[COLUMNS.index("prompt")] = [text.encode() for text in listed[COLUMNS.index("prompt")]]
        kinds, metadata = listed[COLUMNS.index("model_type")], COLUMNS.index("metadata")
        listed[metadata] = [text if kind == "coding" else None for text, kind in zip(listed[metadata], kinds)]
        rows = list(zip(range(len(kinds)), *listed))
        [lines], facts = self._maker.render_rows(rows, None, range(len(rows)), b"")
        left, made = set(facts.skipped), iter(lines)
        return [None if place in left else next(made) for place in range(len(rows))]

class Shards(DataSink):
    def __init__(self, folder):
        self._folder = Path(folder)

    def schema(self):
        return Schema.from_pydict({"lines": DataType.int64(), "bytes": DataType.int64()})

    def write(self, micropartitions):
        for part in micropartitions:
            lines = [line for line in part.to_pydict()["line"] if line is not None]
            content = b"".join(lines)
            name = hashlib.sha256(content).hexdigest()
            (self._folder / f"samples-{name[:20]}.jsonl").write_bytes(content)
            yield WriteResult((len(lines), len(content)), len(content), len(lines))

    def finalize(self, results):
        totals = [sum(result.result[place] for result in results) for place in (0, 1)]
        return MicroPartition.from_pydict({"lines": [totals[0]], "bytes": [totals[1]]})

if __name__ == "__main__":
    source, out, kinds, processes = sys.argv[1:]
    Path(out).mkdir()
    daft.set_runner_native()
    files = daft.read_parquet(source + "/type=*/day=*/*.parquet")
    wanted = files.where(col("decision").not_null() & col("model_type").is_in(kinds.split()))
    newest = Window().partition_by("model_type", "prompt_hash").order_by("created_at", desc=True)
    small = wanted.select("id", "model_type", "prompt_hash", "created_at")
    chosen = small.with_column("nth", row_number().over(newest)).where(col("nth") == 1).select("id")
    how = {"use_process": True, "max_concurrency": int(processes)} if int(processes) else {"use_process": False}
    Lines.render = daft.method.batch(return_dtype=DataType.binary(), batch_size=2000)(Lines.render)
    renderer = daft.cls(**how)(Lines)()
    columns = [col("created_at").cast(DataType.int64()), *(col(name) for name in COLUMNS[1:])]
    lines = wanted.join(chosen, on="id", how="semi").select(renderer.render(*columns).alias("line"))
    found = lines.write_sink(Shards(out)).to_pydict()
    mine, theirs = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in (mine, theirs))
    print(found["lines"][0], found["bytes"][0], cpu, mine.ru_maxrss / 1e6, theirs.ru_maxrss / 1e6)
"""


def main() -> None:
    """Print a record a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--short", action="store_true", help="prompts of 120 characters")
    parser.add_argument("--types", nargs="*", default=list(TYPES), choices=list(TYPES), help="export these alone")
    parser.add_argument("--processes", type=int, nargs="*", default=[0, 2], help="that render; 0: threads of one")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    archive, kinds, rows = make_archive(options.folder, options.rows, short=options.short), options.types, options.rows
    by_duckdb(options.folder / "plain.txt", archive, " ".join(kinds), rows)
    say(what="local", rows=rows, **measure(options.folder, archive, "local", 2, " ".join(kinds), ""))
    for processes in options.processes:
        out = options.folder / "daft"
        shutil.rmtree(out, ignore_errors=True)
        wall, found = timed(DAFT, str(archive), str(out), " ".join(kinds), str(processes))
        shutil.rmtree(out)
        figures = dict(zip(("lines", "bytes", "cpu_s", "asking_gb", "worker_gb"), found, strict=True))
        say(what="daft", processes=processes, rows=rows, wall_s=wall, **figures)


if __name__ == "__main__":
    main()
