"""A disk that gets full at any byte: told in two lines, nothing half-written, and the same command goes on later."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks.generate_log import Generator
from benchmarks.kill_log import import_file
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples

ROWS = 150


@pytest.fixture
def database(home: Path) -> Path:
    home.mkdir()
    path = home / "reasoning.db"
    with open_store(path) as store:
        Samples(store).insert_many(list(Generator(ROWS, seed=3, prompt_bytes=1500, copies=0, secrets=0)))
        store.shorten_log()
    return path


def run(*command: str, limit: int | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program as a process that can write no file beyond `limit` bytes."""
    bound = (
        None if limit is None else partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    )
    return subprocess.run(
        [sys.executable, "-m", "reasoning_cli", *command],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=bound,
    )


def told(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert [line.split(":")[0] for line in done.stderr.splitlines()[-2:]] == ["error", "hint"], done.stderr
    assert "Traceback" not in done.stderr and "unexpected" not in done.stderr, done.stderr


def whole(database: Path) -> int:
    with open_store(database) as store:
        assert store.check().problems == ()
        return store.number("SELECT count(*) FROM samples")


COMMANDS = {
    "import": ("data", "import", "rows.jsonl"),
    "label": ("data", "label", "--from", "labels.csv"),
    "cleanup": ("data", "cleanup", "--max-samples", "1", "--no-keep-labelled", "--yes"),
    "backup": ("data", "backup", "copy.db"),
    "export": ("data", "export", "--all", "-o", "out.jsonl"),
    "archive": ("data", "archive", "--older-than", "1", "-o", "old", "--delete", "--yes"),
}


def prepare(database: Path) -> None:
    import_file(Path("rows.jsonl"), Generator(ROWS, seed=4, prompt_bytes=1500, copies=0, secrets=0))
    with open_store(database) as store:
        ids = [one.id for one in Samples(store).iterate()]
    Path("labels.csv").write_text("id,label\n" + "\n".join(f"{one},good" for one in ids))


@pytest.mark.parametrize("limit", [0, 40_000])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_full_at_any_byte(name: str, limit: int, database: Path, store_engine: str) -> None:
    """Files grow no further than `limit`: the write-ahead log and what is written beside."""
    prepare(database)
    done = run(*COMMANDS[name], limit=limit)
    left = [one.name for one in Path().iterdir() if one.name not in ("rows.jsonl", "labels.csv")]
    if done.returncode == 0:
        elsewhere = ("import",) if store_engine == "postgresql" else ()
        assert name in ("archive", "cleanup", "label", *elsewhere), name  # small enough to fit
    else:
        told(done)
        assert [one for one in left if one.endswith((".part", ".db", "out.jsonl"))] == []
    count = whole(database)
    assert count >= ROWS or name in ("cleanup", "archive")
    again = run(*COMMANDS[name])
    assert again.returncode == 0, again.stderr
    whole(database)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes, where the machine lets the test make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.sqlite("a disk that holds the file is full")
@pytest.mark.parametrize("name", ["import", "backup", "export"])
def test_a_whole_file_system_that_is_full(name: str, database: Path, small_disk: Path) -> None:
    prepare(database)
    moved = small_disk / "reasoning.db"
    shutil.copy(database, moved)
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        free = shutil.disk_usage(small_disk).free
        file.write(b"\0" * (free - 90_000))
    command = [part.replace("copy.db", str(small_disk / "copy.db")) for part in COMMANDS[name]]
    command = [part.replace("out.jsonl", str(small_disk / "out.jsonl")) for part in command]
    done = run("--db", str(moved), *command)
    if done.returncode:
        told(done)
    else:
        assert name in ("cleanup", "label")
    assert sorted(one.suffix for one in small_disk.iterdir() if one.suffix in (".part", ".jsonl")) == []
    assert not (small_disk / "copy.db").exists()
    whole(moved)
    ballast.unlink()
    if name == "import":
        assert run("--db", str(moved), *command).returncode == 0
        assert whole(moved) > ROWS
