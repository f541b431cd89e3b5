"""Archived samples back into the log: of a whole archive, of one of its files, or of files of earlier versions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.operations.data.archive.index import checked, read_index
from reasoning_cli.operations.data.archive.partition import whole_file
from reasoning_cli.operations.data.archive.place import Folder, open_place
from reasoning_cli.operations.data.archive.reader import HINT, check_file, read_rows
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.full_rows import WholeRows
from reasoning_cli.store.samples.import_cursors import Imports
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.store.timestamps import from_ms

# Files as they were written before there was an index: a day or a month each, of all types.
_EARLIER = re.compile(r"(\d{4}-\d{2}(?:-\d{2})?)(?:\.(\d+))?\.parquet")


@dataclass(frozen=True)
class Unarchived:
    """What came back: files read, samples in them, samples that were not in the log. Of the others so many had been
    `forgotten` on request and were left out; so many of those added had been too, and were wanted all the same."""

    files: int = 0
    read: int = 0
    added: int = 0
    forgotten: int = 0
    taken_back: int = 0


def unarchive(
    store: Store,
    source: str | Path,
    now: datetime,
    *,
    include_forgotten: bool = False,
    on_progress: Callable[[int], None] = lambda read: None,
) -> Unarchived:
    """Put the samples of a file or of an archive back as they were; what the log holds already stays as it is, and
    what was deleted on request stays away unless it is wanted."""
    pyarrow_of()
    rows = WholeRows(store)
    done = Unarchived()
    for path in _paths(store, source, rows.columns):
        done = _added(store, path, rows, done, include_forgotten, on_progress)
    if done.taken_back:
        detail: dict[str, object] = {"samples": done.taken_back, "source": open_place(source).address}
        Events(store).add(Event(now, "operator", "take_back_forgotten", "training log", detail))
    return done


def put_back(store: Store, path: Path) -> None:
    """The samples of a file into a store that is to hold nothing but them."""
    _added(store, path, WholeRows(store), Unarchived(), True, lambda read: None)


def earlier_files(folder: Path) -> list[Path]:
    """The files of an archive that has no index, oldest first."""
    if not folder.is_dir():
        return []
    named = ((_EARLIER.fullmatch(path.name), path) for path in folder.iterdir())
    return [path for _, _, path in sorted((match[1], int(match[2] or 1), path) for match, path in named if match)]


def _paths(store: Store, source: str | Path, columns: Mapping[str, str]) -> Iterator[Path]:
    """The files of a source; what cannot be read is refused before the first is given."""
    place = open_place(source)
    if isinstance(place, Folder):
        folder = place.folder
        if not folder.exists():
            raise NotFoundError(f"there is no `{source}`", "give a file or folder that `reasoning data archive` wrote")
        # Of a sample that was archived twice the later file has the later state, and the first to come back wins.
        loose = [folder] if folder.is_file() else earlier_files(folder)[::-1]
        for path in loose:
            check_file(path, columns, store.realm)
        if folder.is_file():
            yield folder
            return
    else:
        loose = []
    index = read_index(place, store.realm)
    if index is None and not loose:
        raise NotFoundError(f"`{source}` holds no archive", "give a file or folder that `reasoning data archive` wrote")
    if index is not None:
        checked(place, index.files)
        for file in index.files:
            with whole_file(place, file) as path:
                check_file(path, columns, store.realm)
                yield path
    yield from loose


def _added(
    store: Store,
    path: Path,
    rows: WholeRows,
    done: Unarchived,
    include_forgotten: bool,
    on_progress: Callable[[int], None],
) -> Unarchived:
    forgotten = Forgotten(store)
    read, added, left_out, taken_back = done.read, done.added, done.forgotten, done.taken_back
    for batch in read_rows(path, rows.columns):
        read += len(batch)
        known = Imports(store).known([row["id"] for row in batch])
        absent = [_identity(row) for row in batch if row["id"] not in known]
        gone = forgotten.among((sample, sample.created_at) for sample in absent)
        if include_forgotten:
            forgotten.lift(sample for sample in absent if sample.id in gone)
            taken_back += len(gone)
        else:
            batch = [row for row in batch if row["id"] not in gone]
            left_out += len(gone)
        added += rows.insert(batch)
        on_progress(read)
    return Unarchived(done.files + 1, read, added, left_out, taken_back)


def _identity(row: dict[str, Any]) -> Sample:
    """What of an archived row tells which sample it is. Raises DataError for one that could not be read back."""
    named = ("id", "model_type", "model", "source", "origin", "prompt", "output", "agent_id", "agent_name", "room_id")
    try:
        if not isinstance(json.loads(row["metadata"] or "{}"), dict):
            raise ValueError("its metadata is not an object")
        return Sample(
            created_at=from_ms(row["created_at"]), entity_id=row["entity_id"], **{name: row[name] for name in named}
        )
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"the archive holds a row that is none of ours: {error}", HINT) from error
