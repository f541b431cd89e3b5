"""What is to be forgotten, out of archives: the partitions that hold any of it are written anew without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.data.archive.index import (
    PartitionFile,
    check_log,
    checked,
    damaged,
    need_index,
    write_index,
)
from reasoning_cli.operations.data.archive.partition import partition_rows, write_partition
from reasoning_cli.operations.data.archive.place import Folder, OutOfReachError, Place, open_place
from reasoning_cli.operations.data.archive.restore import earlier_files
from reasoning_cli.operations.data.archive.run import changing, sweep, unnamed
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.archives import known_archives
from reasoning_cli.store.samples.full_rows import WholeRow, WholeRows
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample, plain_columns
from reasoning_cli.store.timestamps import from_ms

# Whether a sample is to go, by it and by the texts of what hangs on it.
Fits = Callable[[Sample, list[str]], bool]
# The tables that hang on a sample, and their columns with text of it.
_BESIDE = {"labels": ("answer", "was_answer", "note"), "attempts": ("output",), "evaluation_answers": ("output",)}


@dataclass(frozen=True)
class ArchivedMatches:
    """What of an archive is to go: its partition files that hold any, with how many, and the numbers in the log.
    `unnamed` are files that its index no longer names, of an earlier run that could not delete them."""

    address: str
    files: tuple[tuple[PartitionFile, int], ...]
    numbers: tuple[int, ...]
    unnamed: int = 0

    @property
    def count(self) -> int:
        return sum(count for _, count in self.files)


@dataclass(frozen=True)
class ArchivePart:
    """What was found in the archives of a log; `out_of_reach` are the addresses of those that could not be read, with
    why."""

    found: tuple[ArchivedMatches, ...] = ()
    out_of_reach: tuple[tuple[str, str], ...] = ()

    @property
    def count(self) -> int:
        return sum(archive.count for archive in self.found)

    @property
    def unnamed(self) -> int:
        return sum(archive.unnamed for archive in self.found)


def find_in_archives(
    store: Store, fits: Fits, *, on_progress: Callable[[int], None] = lambda looked_at: None
) -> ArchivePart:
    """Look for what fits in all archives that were written from this log; nothing is changed."""
    found, out_of_reach, looked_at = list[ArchivedMatches](), list[tuple[str, str]](), 0
    for address in known_archives(store):
        try:
            pyarrow_of()
            place = open_place(address)
            index = need_index(place, store.realm)
            check_log(place, index, store)
            checked(place, index.files)
            if isinstance(place, Folder) and earlier_files(place.folder):
                raise DataError("it holds files of an earlier version, which `reasoning data archive` takes in first")
            files, numbers = [], list[int]()
            for file in index.files:
                rows = [row for row in _rows(store, place, file) if fits(*_sample(row))]
                looked_at += file.rows
                on_progress(looked_at)
                if rows:
                    files.append((file, len(rows)))
                    numbers += [int(row["seq"] or 0) for row in rows]
            found.append(ArchivedMatches(address, tuple(files), tuple(numbers), len(unnamed(place, index))))
        except ReasoningError as error:
            out_of_reach.append((address, error.message))
    return ArchivePart(tuple(found), tuple(out_of_reach))


def erase_from_archive(store: Store, found: ArchivedMatches, fits: Fits, now: datetime) -> int:
    """Write the partitions anew without what fits, and have the index name these; how many rows went. They are kept as
    forgotten. Cut off, the archive is as before or as after; the same again goes on."""
    place = open_place(found.address)
    gone = 0
    with changing(store, place):
        before = index = need_index(place, store.realm)
        check_log(place, index, store)
        sweep(place, index)
        if still := unnamed(place, index):
            raise OutOfReachError(f"`{still[0]}` of `{place.address}` could not be deleted", "delete it by hand")
        columns = WholeRows(store).columns
        for model_type, day in dict.fromkeys((file.model_type, file.day) for file, _ in found.files):
            going = list[tuple[str, str, bytes]]()

            def staying(
                files: tuple[PartitionFile, ...], going: list[tuple[str, str, bytes]] = going
            ) -> Iterator[WholeRow]:
                for row in partition_rows(place, files, columns):
                    if fits(*_sample(row)):
                        going.append(_mark_of(row))
                    else:
                        yield row

            with place.spool() as spool:
                rows = staying(index.of(model_type, day))
                files = list(write_partition(place, spool, (model_type, day), rows, columns, store.realm))
            Forgotten(store).keep(going, now)
            gone += len(going)
            index = replace(index.with_partition(model_type, day, files), columns=columns)
        if index.files != before.files:
            write_index(place, before, index)
        for file in {*before.files} - {*index.files}:
            place.delete(file.path)
        left = {file.path for file in before.files} - {file.path for file in index.files}
        if still := sorted(left & set(place.sizes())):
            raise OutOfReachError(f"`{still[0]}` of `{place.address}` could not be deleted", "delete it by hand")
    return gone


def _rows(store: Store, place: Place, file: PartitionFile) -> Iterator[WholeRow]:
    try:
        yield from partition_rows(place, [file], WholeRows(store).columns)
    except OSError as error:
        raise damaged(place, file, f"cannot be read: {error}") from error


def _mark_of(row: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """What of a sample is kept to know it by."""
    return row["id"], row["model_type"], row["prompt_hash"]


def _sample(row: Mapping[str, Any]) -> tuple[Sample, list[str]]:
    """An archived row as a sample, and the texts of what hangs on it."""
    plain: dict[str, Any] = {name: row.get(name) for name in plain_columns() if name != "created_at"}
    sample = Sample(
        created_at=from_ms(row["created_at"]), metadata=json.loads(row["metadata"] or "{}"), seq=row["seq"], **plain
    )
    texts = [
        text
        for table, names in _BESIDE.items()
        for item in json.loads(row.get(table) or "[]")
        for name in names
        if isinstance(text := item.get(name), str)
    ]
    return sample, texts
