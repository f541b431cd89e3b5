"""What goes into an archive comes back to the last character, and only what is in it leaves the log."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import DataError, NotFoundError, UsageError
from reasoning_cli.operations.data import parquet_pages
from reasoning_cli.operations.data.archive import place as places
from reasoning_cli.operations.data.archive import reader
from reasoning_cli.operations.data.archive import run as archiving
from reasoning_cli.operations.data.archive.index import need_index, read_index
from reasoning_cli.operations.data.archive.place import OutOfReachError, open_place
from reasoning_cli.operations.data.archive.restore import unarchive
from reasoning_cli.operations.data.archive.run import plan_archive, run_archive
from reasoning_cli.operations.data.erasure import Request, plan_forget
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.archives import known_archives, note_archive
from reasoning_cli.store.samples.full_rows import WholeRows
from reasoning_cli.store.samples.training_log import Sample, Samples

pytestmark = pytest.mark.both_engines

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        for days in (100, 99, 40, 5):
            add(store, days)
        yield store


def add(store: Store, days: int, count: int = 3) -> None:
    made = Sample("", NOW, "planning", "m", "original", "test", "", "<a>\n\t“日本語” 🚀", agent_name="Søren")
    Samples(store).insert_many(
        [
            replace(
                made,
                id=f"{days}-{number}",
                created_at=NOW - timedelta(days=days, seconds=number),
                prompt=f"prompt {days} {number} \x1b[31m \\ \"'",
                confidence=0.1 if number else None,
                metadata={"k": [1, None, "ü"]} if number else {},
                label="corrected" if number == 1 else None,
                corrected="better" if number == 1 else None,
            )
            for number in range(count)
        ]
    )
    store.write(
        "INSERT INTO labels(sample_seq, at, by, label, answer) SELECT seq, 1, 'me', label, corrected FROM samples"
        " WHERE label IS NOT NULL AND seq NOT IN (SELECT sample_seq FROM labels)"
    )
    store.write(
        "INSERT INTO attempts(sample_id, at, model_type, mode, model, latency_ms, output)"
        " SELECT id, 2, 'planning', 'shadow', 'ours', 7, 'said' FROM samples"
        " WHERE id LIKE '%-2' AND id NOT IN (SELECT sample_id FROM attempts)"
    )


def everything(store: Store) -> list[dict[str, object]]:
    return [row for batch in WholeRows(store).read(-(1 << 60), 1 << 60, (), 10**9) for row in batch]  # type: ignore[misc]


def run(store: Store, folder: Path, days: int = 30, **options: object) -> tuple[int, int, int]:
    done = run_archive(store, plan_archive(store, NOW, days, folder), NOW, **options)  # type: ignore[arg-type]
    return done.written, done.already, done.deleted


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_what_is_archived_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    before = everything(store)
    assert any(row["labels"] for row in before) and any(row["attempts"] for row in before)
    assert run(store, folder, delete=True) == (9, 0, 9)
    days = ["day=2026-08-13", "day=2026-08-14", "day=2026-10-12"]
    assert [path.parent.relative_to(folder).parts for path in files(folder)] == [("type=planning", day) for day in days]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.rglob("*")))
    index = need_index(open_place(folder), "together")
    assert [(file.day, file.rows, file.path) for file in index.files] == [
        (path.parent.name[4:], 3, path.relative_to(folder).as_posix()) for path in files(folder)
    ]
    assert Samples(store).count() == 3
    assert store.number("SELECT count(*) FROM labels") == store.number("SELECT count(*) FROM attempts") == 1
    back = unarchive(store, folder, NOW)
    assert (back.read, back.added) == (9, 9)
    assert everything(store) == before
    assert unarchive(store, folder, NOW).added == 0


def test_archiving_again_writes_only_what_is_new_or_changed(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    assert run(store, folder) == (9, 0, 0)
    assert run(store, folder) == (0, 9, 0)
    store.write("UPDATE samples SET label='bad' WHERE id='40-0'")
    assert run(store, folder) == (1, 8, 0)
    assert len(files(folder)) == 3
    add(store, 40, 4)
    assert run(store, folder) == (2, 8, 0)  # a label of one that was there is written down, too
    store.write("DELETE FROM samples WHERE id = '40-3'")
    assert run(store, folder, delete=True) == (0, 9, 9)
    assert unarchive(store, folder, NOW).added == 10
    assert Samples(store).get("40-0").label == "bad"  # type: ignore[union-attr]


def test_a_change_between_reading_and_deleting_is_seen(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = archiving.write_partition

    def write_then_change(*arguments: Any) -> Iterator[Any]:
        yield from write(*arguments)
        if "2026-10-12" in arguments[2]:
            store.write("UPDATE samples SET label='good' WHERE id='40-0'")

    monkeypatch.setattr(archiving, "write_partition", write_then_change)
    assert run(store, tmp_path / "archive", delete=True) == (9, 0, 8)
    assert {one.id for one in Samples(store).iterate()} == {"40-0", "5-0", "5-1", "5-2"}


def test_moments_are_timestamps_and_come_back_to_the_millisecond(store: Store, tmp_path: Path) -> None:
    far = {"far": -62_167_219_200_001, "late": 253_402_300_800_001}  # before the year 1, after 9999
    store.write("UPDATE samples SET created_at = created_at + 7")
    path, table = archived(store, tmp_path / "archive")
    assert table.schema.field("created_at").type == pyarrow.timestamp("ms", tz="UTC")
    assert table["created_at"][0].as_py() == NOW - timedelta(days=40, seconds=2, milliseconds=-7)
    columns = WholeRows(store).columns
    [first, *_] = table.to_pylist()
    for moment in far.values():
        odd = pyarrow.Table.from_pylist([{**first, "created_at": moment}], table.schema)
        write(path, odd)
        assert [row["created_at"] for batch in reader.read_rows(path, columns) for row in batch] == [moment]


def as_before_there_was_an_index(folder: Path) -> list[str]:
    """Turn an archive into what earlier versions wrote: files of a day or a month, of all types, moments as numbers."""
    (folder / "index.json").unlink()
    for path in files(folder):
        table = parquet.read_table(path, partitioning=None)
        place = table.column_names.index("created_at")
        day = path.parent.name[4:]
        name = (
            f"{day[:7]}.parquet"
            if day < "2026-09" and not (folder / f"{day[:7]}.parquet").exists()
            else f"{day}.parquet"
        )
        write(folder / name, table.set_column(place, "created_at", table["created_at"].cast(pyarrow.int64())))
        path.unlink()
    return sorted(path.name for path in files(folder))


def test_files_of_earlier_versions_come_back_and_are_taken_into_partitions(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    before = everything(store)
    run(store, folder, delete=True)
    assert as_before_there_was_an_index(folder) == ["2026-08-14.parquet", "2026-08.parquet", "2026-10-12.parquet"]
    assert read_index(open_place(folder), "together") is None
    back = unarchive(store, folder, NOW)
    assert (back.files, back.added) == (3, 9)
    assert everything(store) == before
    store.write("UPDATE samples SET label='bad' WHERE id='40-0'")
    done = run_archive(store, plan_archive(store, NOW, 30, folder), NOW, delete=True)
    assert (done.taken_in, done.written, done.already, done.deleted) == (9, 1, 8, 9)
    assert [path.parent.name for path in files(folder)] == ["day=2026-08-13", "day=2026-08-14", "day=2026-10-12"]
    assert unarchive(store, folder, NOW).added == 9
    assert Samples(store).get("40-0").label == "bad"  # type: ignore[union-attr]


def test_a_partition_that_is_torn_or_edited_is_refused_by_its_name(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    run(store, folder, delete=True)
    before, torn = everything(store), files(folder)[1]
    whole = torn.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], None):
        torn.unlink() if content is None else torn.write_bytes(content)
        with pytest.raises(
            DataError, match=r"the partition `type=planning/day=2026-08-14/\w+\.parquet` of .*archive` (has|is)"
        ):
            unarchive(store, folder, NOW)
        torn.write_bytes(whole)
        store.write("DELETE FROM samples WHERE id LIKE '100-%'")  # of the day before, which is whole
        assert everything(store) == before
    assert unarchive(store, folder, NOW).added == 9
    index = folder / "index.json"
    text = index.read_text()
    changes = [("planning", "else"), ('"rows": 3', '"rows": 4'), ("type=", "../type="), ("type=", "./type="), ("{", "")]
    changes += [("type=planning/day=2026-08-14/", ""), ("day=2026-08-14/", "day=2026-08-13/")]
    changes += [("2026-08-14", day) for day in ("9999-12-31", "20260814", "2026-08-14/10:00", "2026-08-14T00:00+05:00")]
    for change in changes:
        index.write_text(text.replace(*change))
        with pytest.raises(DataError, match=r"the index of the archive in .* is damaged"):
            unarchive(store, folder, NOW)
        index.write_text(text)


def test_an_index_with_a_name_that_is_no_text_is_damaged(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "archive")
    index = tmp_path / "archive" / "index.json"
    found = json.loads(index.read_text())
    for name in ("path", "day", "sha256"):
        partition = {**found["partitions"][0], name: 5}
        index.write_text(json.dumps({**found, "partitions": [partition, *found["partitions"][1:]]}))
        with pytest.raises(DataError, match=r"the index of the archive in .* is damaged"):
            unarchive(store, tmp_path / "archive", NOW)


@pytest.mark.parametrize("column", ["id", "metadata", "seq"])
def test_a_file_without_what_tells_a_sample_is_refused(store: Store, tmp_path: Path, column: str) -> None:
    run(store, tmp_path / "archive")
    table = parquet.read_table(files(tmp_path / "archive")[0], partitioning=None)
    write(tmp_path / "2026-01.parquet", table.drop_columns([column]))
    with pytest.raises(DataError, match=f"cannot be read as an archive: there is no column `{column}`"):
        unarchive(store, tmp_path / "2026-01.parquet", NOW)


def test_a_run_that_is_cut_off_leaves_what_is_whole_and_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stops: in the log or in the archive every sample still is, and nothing is left over in the end."""
    before = everything(store)
    for step in ("write_partition", "write_index", "_delete"):
        folder = tmp_path / step
        usual, calls = getattr(archiving, step), 0

        def killed(*arguments: Any, usual: Any = usual) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KeyboardInterrupt
            return usual(*arguments)

        with monkeypatch.context() as cut:
            cut.setattr(archiving, "_PENDING_PARTITIONS", 1)
            cut.setattr(archiving, step, killed)
            with pytest.raises(KeyboardInterrupt):
                run(store, folder, delete=True)
        with open_store(tmp_path / f"{step}.db") as other:
            unarchive(other, folder, NOW)
            assert {row["id"] for row in everything(other) + everything(store)} == {row["id"] for row in before}, step
        (folder / "type=planning/day=2026-08-13/00000000000000000000.parquet").write_bytes(
            b"left by one that was killed"
        )
        written, already, deleted = run(store, folder, delete=True)
        assert written + already == deleted and Samples(store).count() == 3
        assert len(files(folder)) == 3
        unarchive(store, folder, NOW)
        assert everything(store) == before


def test_another_log_s_archive_is_left_alone(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "archive")
    before = {path: path.read_bytes() for path in (tmp_path / "archive").rglob("*.*")}
    with open_store(tmp_path / "other.db") as other:
        add(other, 50)
        with pytest.raises(UsageError, match="another training log"):
            run(other, tmp_path / "archive", delete=True)
        assert Samples(other).count() == 3
        # It is no archive of this log's from then on either, of which `data forget` would delete.
        assert known_archives(other) == []
        note_archive(other, str(tmp_path / "archive"))  # as the version before did
        [(_, why)] = plan_forget(other, Request(text="prompt")).archives.out_of_reach
        assert "another training log" in why
    assert {path: path.read_bytes() for path in (tmp_path / "archive").rglob("*.*")} == before


def test_an_archive_whose_index_is_lost_loses_nothing_more(store: Store, tmp_path: Path) -> None:
    """Its rows are in the log no more: what no index names is not left over of a run that was cut off."""
    folder = tmp_path / "archive"
    run(store, folder, delete=True)
    (folder / "index.json").rename(tmp_path / "index.json")
    before = files(folder)
    add(store, 50)
    with pytest.raises(DataError, match=r"holds 3 partition files, and no `index\.json`"):
        run(store, folder, delete=True)
    assert (files(folder), Samples(store).count()) == (before, 6)
    (tmp_path / "index.json").rename(folder / "index.json")
    assert run(store, folder, delete=True) == (3, 0, 3)
    assert unarchive(store, folder, NOW).added == 12


def test_two_runs_do_not_write_archives_of_one_log_at_once(store: Store, tmp_path: Path) -> None:
    with open_store(tmp_path / "reasoning.db") as other, other.alone("archive") as alone:
        assert alone is not None
        with pytest.raises(DataError, match="are being written now"):
            run(store, tmp_path / "archive", delete=True)
    assert run(store, tmp_path / "archive", delete=True) == (9, 0, 9)


def test_an_index_that_is_no_file_or_without_end_is_not_waited_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive"
    run(store, folder)
    monkeypatch.setattr(places, "_MOST_BYTES", 100)
    with pytest.raises(OutOfReachError, match=r"`index\.json` has more than"):
        unarchive(store, folder, NOW)
    (folder / "index.json").unlink()
    os.mkfifo(folder / "index.json")
    for use in (lambda: unarchive(store, folder, NOW), lambda: run(store, folder)):
        with pytest.raises(OutOfReachError, match=r"`index\.json` is not a file"):
            use()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("gs://bucket/x", "cannot hold datasets"),
        ("s3://key:secret@bucket/x", "keys do not belong"),
        ("s3://key:sec/secret@bucket/x", "keys do not belong"),
        ("s3:///x", "cannot hold"),
        ("s3://[", "cannot hold"),
        ("s3://../x", "cannot hold"),
        ("s3://bucket/a/../x", "leads through"),
        ("s3://bucket/./x", "leads through"),
        ("s3://bucket/a//x", "leads through"),
        ("s3:bucket/x", "neither a folder nor a bucket"),
        ("s3://bucket/\x1b[31m", "that nobody sees"),
        (" ", "is empty"),
        ("", "is empty"),
    ],
)
def test_addresses_that_are_no_place(store: Store, address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        plan_archive(store, NOW, 30, address)
    assert "secret" not in str(refused.value)


def test_numbers_that_were_given_anew_are_no_hindrance(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "archive", days=1, delete=True)
    assert Samples(store).count() == 0
    add(store, 1, 5)
    unarchive(store, tmp_path / "archive", NOW)
    found = {row["id"]: row for row in everything(store)}
    assert len(found) == 17
    assert '"label": "corrected"' in str(found["100-1"]["labels"])
    assert '"output": "said"' in str(found["100-2"]["attempts"])


def test_what_is_no_archive_of_ours_is_refused(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    run(store, folder)
    [*_, last] = files(folder)
    (folder / "2026-10-13.parquet").write_bytes(last.read_bytes()[:400])
    before = everything(store)
    with pytest.raises(DataError, match="cannot be read"):
        unarchive(store, folder, NOW)
    assert everything(store) == before
    with pytest.raises(NotFoundError):
        unarchive(store, tmp_path / "nowhere", NOW)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError):
        unarchive(store, tmp_path / "empty", NOW)
    with open_store(tmp_path / "sandbox.db", "sandbox") as other, pytest.raises(DataError, match="never mix"):
        unarchive(other, last, NOW)


@pytest.mark.parametrize("days", [0, -3, 10**9])
def test_days_that_are_none_and_folders_that_are_files(store: Store, tmp_path: Path, days: int) -> None:
    with pytest.raises(UsageError):
        plan_archive(store, NOW, days, tmp_path / "archive")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        plan_archive(store, NOW, 5, tmp_path / "file")


def archived(store: Store, folder: Path) -> tuple[Path, Any]:
    """A file of the archive, and what it holds."""
    run(store, folder)
    [*_, path] = files(folder)
    return path, parquet.read_table(path, partitioning=None)


def write(path: Path, table: Any, **options: Any) -> None:
    """A file as another would write it, that says it is of our realm."""
    named = {key: value for key, value in table.schema.metadata.items() if b"ARROW" not in key}
    with parquet.ParquetWriter(path, table.schema, store_schema=False, compression="zstd", **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({key.decode(): value.decode() for key, value in named.items()})


def repeated(table: Any, rows: int, text: str) -> Any:
    """So many rows with one prompt, which stands in the file once."""
    first = table.slice(0, 1)
    columns = {name: first[name].combine_chunks().take(pyarrow.array([0] * rows)) for name in table.column_names}
    columns["id"] = pyarrow.array([f"many-{number}" for number in range(rows)])
    columns["seq"] = pyarrow.array(range(1000, 1000 + rows), pyarrow.int64())
    columns["prompt"] = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, pyarrow.int32()), [text])
    return pyarrow.table(columns).replace_schema_metadata(table.schema.metadata)


MEASURE = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from reasoning_cli.operations.data.archive.restore import unarchive
from reasoning_cli.store.open import open_store
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_store(Path(sys.argv[1])) as store:
    unarchive(store, Path(sys.argv[2]), datetime.now(UTC))
    before = most()
    done = unarchive(store, Path(sys.argv[3]), datetime.now(UTC))
    print(done.read, (most() - before) / 1024)
"""


def test_a_text_that_stands_in_a_file_once_and_is_meant_a_thousand_times_takes_little_memory(
    store: Store, tmp_path: Path
) -> None:
    path, table = archived(store, tmp_path / "archive")
    evil = tmp_path / "evil.parquet"
    write(evil, repeated(table, 300, "x" * 1_500_000), dictionary_pagesize_limit=1 << 30)
    assert evil.stat().st_size < 50_000  # of 450 MB
    add(store, 40)
    row = Sample("", NOW, "planning", "m", "original", "test", "short", "o")
    Samples(store).insert_many([replace(row, id=f"many-{number}") for number in range(300)])  # nothing is to be stored
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(store.path), str(path), str(evil)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    read, grown = done.stdout.split()
    assert read == "300"
    assert float(grown) < 120, f"{grown} MB"


def test_rows_that_are_read_a_few_at_a_time_are_the_same(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(store)
    _, table = archived(store, tmp_path / "archive")
    big = tmp_path / "big.parquet"
    write(big, repeated(table, 50, "y" * 20_000))
    run(store, tmp_path / "archive", days=1, delete=True)
    monkeypatch.setattr(parquet_pages, "_AT_ONCE_BYTES", 30_000)
    monkeypatch.setattr(parquet_pages, "_GIVEN_BYTES", 100)
    assert unarchive(store, tmp_path / "archive", NOW).added == 12
    assert everything(store) == before
    monkeypatch.setattr(parquet_pages, "_GIVEN_BYTES", 45_000)
    with open_store(tmp_path / "other.db") as other:
        assert unarchive(other, big, NOW).added == 50
        assert {one.prompt for one in Samples(other).iterate()} == {"y" * 20_000}
    sizes = [len(part) for part in reader.read_rows(big, WholeRows(store).columns)]
    assert (set(sizes), sum(sizes)) == ({1, 2}, 50)


def test_a_row_larger_than_any_of_ours_is_refused_before_it_is_unpacked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its text stands there itself or in a dictionary, and whatever the file says of its columns."""
    _, table = archived(store, tmp_path / "archive")
    before = everything(store)
    monkeypatch.setattr(parquet_pages, "MOST_BYTES", 1_000_000, raising=False)
    monkeypatch.setattr(parquet_pages, "_AT_ONCE_BYTES", 500_000, raising=False)
    evil = tmp_path / "evil.parquet"
    for options in ({"dictionary_pagesize_limit": 1 << 30}, {"use_dictionary": False}):
        write(evil, repeated(table, 2, "x" * 1_100_000), **options)
        allocated = pyarrow.total_allocated_bytes()
        with pytest.raises(DataError, match="to read a row of it"):
            unarchive(store, evil, NOW)
        assert pyarrow.total_allocated_bytes() <= allocated + 100_000
    assert everything(store) == before


def test_a_file_written_in_other_ways_than_ours_is_refused(store: Store, tmp_path: Path) -> None:
    """Of an encoding by differences a bit is a megabyte; of lists in lists nobody knows how deep they go."""
    _, table = archived(store, tmp_path / "archive")
    before = everything(store)
    evil = tmp_path / "evil.parquet"
    other: dict[str, tuple[Any, dict[str, Any]]] = {
        "deltas": (table, {"use_dictionary": False, "column_encoding": {"prompt": "DELTA_BYTE_ARRAY"}}),
        "packed": (table, {"compression": "gzip"}),
        "lists": (_with(table, "metadata", [[["x"]]] * 3), {}),
        "numbers": (_with(table, "id", [1, 2, 3]), {}),
        "columns": (table.append_column("more", [["x"] * 3]), {}),
    }
    for name, (content, options) in other.items():
        parquet.write_table(content, evil, **{"compression": "zstd", **options})
        with pytest.raises(DataError, match=r"cannot be read as an archive|columns this database does not know"):
            unarchive(store, evil, NOW)
        assert everything(store) == before, name


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("labels", '[{"number": 1, "by) SELECT 1, 1, 1, hex(value) FROM about --": 1}]'),
        ("labels", "[" * 100_000 + "]" * 100_000),
        ("labels", '[{"number": 99999999999999999999, "at": 1, "by": "x"}]'),
        # Behind these there is no number for the next label, or the next decision.
        ("labels", '[{"number": 9223372036854775806, "at": 1, "by": "x"}]'),
        ("seq", 2**63 - 2),
        ("seq", -5),
        ("labels", '[{"number": 1, "at": [1], "by": {"a": 1}}]'),
        ("labels", "5"),
        ("labels", "no JSON"),
        ("attempts", "[1]"),
        ("model_type", "else"),
        ("created_at", 1 << 62),
        ("created_at", None),
        ("id", None),
        ("prompt", None),
        ("metadata", "[" * 100_000 + "]" * 100_000),
    ],
)
def test_a_row_that_is_none_of_ours_is_refused_and_nothing_of_it_stored(
    store: Store, tmp_path: Path, column: str, value: object
) -> None:
    _, table = archived(store, tmp_path / "archive")
    evil = tmp_path / "evil.parquet"
    parquet.write_table(_with(table, column, [value] * 3), evil, compression="zstd")
    with open_store(tmp_path / "other.db") as other:
        with pytest.raises(DataError):
            unarchive(other, evil, NOW)
        assert (Samples(other).count(), other.number("SELECT count(*) FROM labels")) == (0, 0)


def test_a_file_that_is_damaged_anywhere_is_an_error_of_ours(store: Store, tmp_path: Path) -> None:
    path, _ = archived(store, tmp_path / "archive")
    whole = path.read_bytes()
    evil = tmp_path / "evil.parquet"
    with open_store(tmp_path / "other.db") as other:
        for place in range(0, len(whole), 37):
            evil.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
            with contextlib.suppress(DataError):
                unarchive(other, evil, NOW)


def _with(table: Any, column: str, values: list[Any]) -> Any:
    fits = table.schema.field(column).type if isinstance(values[0], str | None) else None
    return table.set_column(table.column_names.index(column), column, pyarrow.array(values, fits))
