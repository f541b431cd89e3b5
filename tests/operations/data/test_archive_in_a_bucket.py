"""An archive in object storage: the same as in a folder, and the errors of a store that refuses or does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.operations.data.archive import place as places
from reasoning_cli.operations.data.archive.index import INDEX, need_index
from reasoning_cli.operations.data.archive.place import OutOfReachError, open_place
from reasoning_cli.operations.data.archive.restore import unarchive
from reasoning_cli.operations.data.archive.run import Archived, plan_archive, run_archive
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.full_rows import WholeRows
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.object_storage import BUCKET, object_storage

pytest.importorskip("pyarrow")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def storage() -> Iterator[Mapping[str, str]]:
    with object_storage() as variables:
        yield variables


@pytest.fixture
def bucket(storage: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in storage.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        Samples(store).insert_many(
            [
                Sample(f"{days}-{number}", NOW - timedelta(days=days), kind, "m", "original", "test", f"p{number}", "o")
                for days in (99, 40)
                for number, kind in enumerate(("planning", "coding", "coding"))
            ]
        )
        yield store


def archive(store: Store, bucket: str) -> Archived:
    return run_archive(store, plan_archive(store, NOW, 30, bucket), NOW, delete=True)


def test_a_bucket_holds_what_a_folder_does(store: Store, bucket: str, tmp_path: Path) -> None:
    before = [row for batch in WholeRows(store).read(-(1 << 60), 1 << 60, (), 10**9) for row in batch]
    in_folder = run_archive(store, plan_archive(store, NOW, 30, tmp_path / "archive"), NOW)
    done = archive(store, bucket)
    assert (done.written, done.deleted, done.files) == (6, 6, in_folder.files)
    place = open_place(bucket)
    assert need_index(place, "together") == need_index(open_place(tmp_path / "archive"), "together")
    assert set(place.sizes()) == {INDEX, *done.files}
    assert unarchive(store, bucket, NOW).added == 6
    assert [row for batch in WholeRows(store).read(-(1 << 60), 1 << 60, (), 10**9) for row in batch] == before
    store.write("UPDATE samples SET label='bad' WHERE id='40-0'")
    assert (archive(store, bucket).written, len(place.sizes())) == (1, 5)  # the file before is gone


def test_an_object_that_is_torn_or_edited_is_refused_by_its_name(store: Store, bucket: str) -> None:
    place, files = open_place(bucket), archive(store, bucket).files
    whole = place.read(files[0])
    assert whole is not None
    for content in (whole[:300], whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        place.write(files[0], content)
        with pytest.raises(DataError, match=f"the partition `{files[0]}` of `{bucket}` (has|is not)"):
            unarchive(store, bucket, NOW)
    place.delete(files[0])
    with pytest.raises(DataError, match=f"the partition `{files[0]}` of `{bucket}` is missing"):
        unarchive(store, bucket, NOW)


def test_a_store_that_refuses_or_does_not_answer(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing leaves the log, and no secret is shown."""
    with pytest.raises(OutOfReachError, match="cannot read or write `s3://nobody/x`"):
        archive(store, "s3://nobody/x")
    with pytest.raises(NotFoundError, match="holds no archive"):
        unarchive(store, bucket, NOW)
    monkeypatch.setattr(places, "_CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(places, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, and never answers
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for answers in (True, False):
            if not answers:
                silent.close()
            with pytest.raises(OutOfReachError, match=f"cannot read or write `{bucket}`") as refused:
                archive(store, bucket)
            assert "not-to-be-shown" not in str(refused.value) + str(refused.value.hint)
    assert Samples(store).count() == 6
