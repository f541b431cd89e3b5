"""Imports that run at once, beside a gateway that writes, and that are interrupted: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_cli.operations.data.ingest.elizaos_logs import read_row
from reasoning_cli.operations.data.ingest.pipeline import BATCH_ROWS
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.values import DatabaseAddress
from tests.operations.taking_in import import_file

ROWS = Path(__file__).parents[3] / "data" / "elizaos-logs.jsonl"
ROOT = Path(__file__).parents[4]

IMPORT = """
import sys
from pathlib import Path
from reasoning_cli.store.open import open_store
from reasoning_cli.operations.data.ingest import pipeline
from reasoning_cli.values import DatabaseAddress
from tests.operations.taking_in import import_file
pipeline.BATCH_ROWS = int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
path = Path(sys.argv[1])
with open_store(DatabaseAddress(*sys.argv[4:], path) if len(sys.argv) > 4 else path) as store:
    report = import_file(Path(sys.argv[2]), store, on_progress=lambda report: print("batch", flush=True))
print(report.added, report.already_there, report.bad)
"""


def exported(folder: Path, count: int) -> Path:
    """So many rows of an agent's log."""
    model = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[0])
    path = folder / "rows.jsonl"
    lines = (json.dumps({**model, "id": f"row-{number}"}) for number in range(count))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def started(store: Store, rows: Path, batch: int) -> subprocess.Popen[str]:
    shared = [store.place.url, store.place.schema] if isinstance(store.place, DatabaseAddress) else []
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT, str(store.path), str(rows), str(batch), *shared],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.both_engines
def test_two_imports_of_one_file_and_a_gateway_at_once(tmp_path: Path) -> None:
    batch = 100  # what they get into each other's way with is how often they write
    database, total = tmp_path / "reasoning.db", batch * 8
    rows = exported(tmp_path, total)
    sample = read_row(json.loads(ROWS.read_text(encoding="utf-8").splitlines()[1]))
    assert isinstance(sample, Sample)
    with open_store(database) as store:
        importers = [started(store, rows, batch) for _ in range(2)]
        for importer in importers:
            assert importer.stdin is not None
            importer.stdin.write("go\n")
            importer.stdin.flush()
        written = 0
        while any(importer.poll() is None for importer in importers):
            Samples(store).insert_many([replace(sample, id=f"live-{written}", origin="gateway", room_id=None)])
            written += 1
        told = [importer.communicate()[0].split() for importer in importers]
        assert [importer.returncode for importer in importers] == [0, 0]
        counts = [[int(word) for word in words[-3:]] for words in told]
        assert sum(added for added, _, _ in counts) == total
        assert all(bad == 0 for _, _, bad in counts)
        assert Samples(store).count() == total + written
        assert store.check().problems == ()
        assert import_file(rows, store).read == 0


def test_ctrl_c_says_what_stays_and_the_next_import_adds_the_rest(tmp_path: Path, home: Path) -> None:
    fifo, total = tmp_path / "fifo", BATCH_ROWS * 4
    rows = exported(tmp_path, total)
    os.mkfifo(fifo)
    command = [sys.executable, "-P", "-m", "reasoning_cli", "data", "import", str(fifo)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with fifo.open("wb") as pipe:
        content = rows.read_bytes()
        pipe.write(content[: len(content) * 3 // 4])
        pipe.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Interrupted. What was stored stays; the same command adds the rest." in err
    with open_store(home / "reasoning.db") as store:
        kept = Samples(store).count()
        assert kept % BATCH_ROWS == 0
        assert import_file(rows, store).already_there == kept
        assert Samples(store).count() == total
