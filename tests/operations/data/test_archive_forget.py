"""What is forgotten leaves the archives as well, and where it cannot, that is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.operations.data.archive import erase
from reasoning_cli.operations.data.archive.index import need_index
from reasoning_cli.operations.data.archive.place import open_place
from reasoning_cli.operations.data.archive.restore import unarchive
from reasoning_cli.operations.data.archive.run import plan_archive, run_archive
from reasoning_cli.operations.data.erasure import ForgetReport, Request, plan_forget, run_forget
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.conftest import Run

parquet = pytest.importorskip("pyarrow.parquet")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "Erika Mustermann"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A log of three days, and an archive of two of them that holds twelve samples more."""
    with open_store(tmp_path / "reasoning.db") as store:
        made = Sample("", NOW, "planning", "m", "original", "test", "hi", "<a>")
        Samples(store).insert_many(
            [
                replace(
                    made,
                    id=f"{days}-{number}",
                    created_at=NOW - timedelta(days=days, seconds=number),
                    room_id=f"room-{number % 3}",
                    prompt=f"{SECRET} asks {days} {number}" if number == 4 else f"hi {number}",
                    model_type=kind,
                )
                for days in (50, 40, 3)
                for number, kind in enumerate(("planning", "planning", "coding") * 2)
            ]
        )
        run_archive(store, plan_archive(store, NOW, 30, tmp_path / "archive"), NOW, delete=True)
        yield store


def forget(store: Store, **named: str) -> ForgetReport:
    return run_forget(store, plan_forget(store, Request(**named)), NOW)


def archived(folder: Path) -> list[dict[str, Any]]:
    index = need_index(open_place(folder), "together")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")) == sorted(
        file.path for file in index.files
    )
    return [
        row for file in index.files for row in parquet.read_table(folder / file.path, partitioning=None).to_pylist()
    ]


@pytest.mark.parametrize(
    ("named", "gone", "of_archive"),
    [({"room": "room-1"}, 2, 4), ({"text": "erika"}, 1, 2), ({"sample_id": "50-0"}, 0, 1)],
)
def test_partitions_that_hold_it_are_written_anew(
    store: Store, tmp_path: Path, named: dict[str, str], gone: int, of_archive: int
) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "archive").rglob("*.parquet")}
    found = forget(store, **named)
    assert (found.deleted, found.archived, found.left) == (gone, of_archive, ())
    rows = archived(tmp_path / "archive")
    assert len(rows) == 12 - of_archive
    assert not any(row["room_id"] == named.get("room") or row["id"] == named.get("sample_id") for row in rows)
    if "text" in named:
        assert not any(SECRET in row["prompt"] for row in rows)
        # Of a file that holds none of it nothing was changed.
        assert sum(path.exists() and path.read_bytes() == content for path, content in before.items()) == 2
    assert (forget(store, **named).archived, len(archived(tmp_path / "archive"))) == (0, 12 - of_archive)


def test_an_archive_that_was_copied_before_brings_nothing_back(store: Store, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    forget(store, text="erika")
    back = unarchive(store, tmp_path / "copy", NOW)
    assert (back.read, back.added, back.forgotten) == (12, 10, 2)


def test_one_that_is_cut_off_goes_on(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("write_partition", "write_index"):

        def cut_off(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as cut:
            cut.setattr(erase, step, cut_off)
            with pytest.raises(KeyboardInterrupt):
                forget(store, room="room-2")
        named = {file.path for file in need_index(open_place(tmp_path / "archive"), "together").files}
        assert all((tmp_path / "archive" / name).exists() for name in named)
    assert forget(store, room="room-2").archived == 4
    assert len(archived(tmp_path / "archive")) == 8


def test_what_could_not_be_deleted_is_deleted_by_the_next_request(store: Store, tmp_path: Path) -> None:
    """A store may refuse to delete the file that was there before: no index names it, and it holds all of it."""
    [first, *_] = sorted((tmp_path / "archive" / "type=planning").rglob("*.parquet"))
    before = first.read_bytes()
    found = forget(store, room="room-1")
    assert found.is_erased  # nobody else reads the log
    first.write_bytes(before)
    plan = plan_forget(store, Request(room="room-1"))
    assert (len(plan.numbers), plan.archives.count, plan.archives.unnamed) == (0, 0, 1)
    assert run_forget(store, plan, NOW).left == ()
    assert len(archived(tmp_path / "archive")) == 8


def test_an_archive_out_of_reach_is_named_and_the_command_fails(reasoning: Run, home: Path, tmp_path: Path) -> None:
    home.mkdir(exist_ok=True)
    with open_store(home / "reasoning.db") as store:
        made = Sample("a", datetime.now(UTC) - timedelta(days=9), "planning", "m", "original", "test", "hi", "o")
        Samples(store).insert_many([replace(made, id=str(n), room_id="r") for n in range(3)])
    assert reasoning("data", "archive", "--older-than", "5", "-o", "archive", "--delete", "--yes").exit_code == 0
    Path("archive").rename("elsewhere")
    said = reasoning("data", "forget", "--room", "r", "--yes")
    assert said.exit_code == 1
    assert "error: 1 archive could not be cleared" in said.stderr
    assert f"the archive in {Path('archive').absolute()} may still hold it" in said.stderr
    Path("elsewhere").rename("archive")
    done = json.loads(reasoning("data", "forget", "--room", "r", "--yes", "--json").stdout)
    assert (done["deleted"], done["deleted_from_archives"]) == (0, 3)
    shutil.rmtree("archive")
    assert reasoning("data", "forget", "--room", "r", "--yes", "--gone", "other").exit_code == 5
    assert reasoning("data", "forget", "--room", "r", "--yes", "--gone", "archive").exit_code == 0
