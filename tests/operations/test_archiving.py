"""What goes into an archive comes back to the last character, and only what is in it leaves the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, NotFoundError, UsageError
from reasoning_cli.operations.archiving import plan_archive, run_archive, unarchive
from reasoning_cli.store.database import Store, open_store
from reasoning_cli.store.samples import Sample, Samples
from reasoning_cli.store.whole_rows import WholeRows

pytest.importorskip("pyarrow")

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
    period = options.pop("period", "day")
    done = run_archive(store, plan_archive(store, NOW, days, folder, period=period), NOW, **options)  # type: ignore[arg-type]
    return done.written, done.already, done.deleted


@pytest.mark.parametrize("period", ["day", "month"])
def test_what_is_archived_comes_back_as_it_was(store: Store, tmp_path: Path, period: str) -> None:
    folder = tmp_path / "archive"
    before = everything(store)
    assert any(row["labels"] for row in before) and any(row["attempts"] for row in before)
    assert run(store, folder, delete=True, period=period) == (9, 0, 9)
    names = ["2026-08-13.parquet", "2026-08-14.parquet", "2026-10-12.parquet"]
    assert sorted(one.name for one in folder.iterdir()) == (
        names if period == "day" else ["2026-08.parquet", "2026-10.parquet"]
    )
    assert all(one.stat().st_mode & 0o077 == 0 for one in (folder, *folder.iterdir()))
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
    assert (folder / "2026-10-12.2.parquet").exists()
    assert run(store, folder, delete=True) == (0, 9, 9)
    assert unarchive(store, folder, NOW).added == 9
    assert Samples(store).get("40-0").label == "bad"  # type: ignore[union-attr]


def test_a_change_between_reading_and_deleting_is_seen(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reasoning_cli.operations import archiving

    write = archiving._write

    def write_then_change(*arguments: object) -> int:
        count = write(*arguments)  # type: ignore[arg-type]
        if "2026-10" in str(arguments[0]):
            store.write("UPDATE samples SET label='good' WHERE id='40-0'")
        return count

    monkeypatch.setattr(archiving, "_write", write_then_change)
    assert run(store, tmp_path / "archive", delete=True) == (9, 0, 8)
    assert {one.id for one in Samples(store).iterate()} == {"40-0", "5-0", "5-1", "5-2"}


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
    whole = (folder / "2026-10-12.parquet").read_bytes()
    (folder / "2026-10-13.parquet").write_bytes(whole[: len(whole) // 2])
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
        unarchive(other, folder / "2026-10-12.parquet", NOW)


@pytest.mark.parametrize("days", [0, -3, 10**9])
def test_days_that_are_none_and_folders_that_are_files(store: Store, tmp_path: Path, days: int) -> None:
    with pytest.raises(UsageError):
        plan_archive(store, NOW, days, tmp_path / "archive")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        plan_archive(store, NOW, 5, tmp_path / "file")
