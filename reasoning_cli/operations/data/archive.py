"""Old samples into Parquet files and back: a file a day or month, zstd, read back before anything is deleted.

A sample is in the archive when a file of its time holds it as it is now; so archiving again writes what is new or was
changed since, into a file beside the others, and a way back takes the newest state of each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from reasoning_cli.errors import DataError, NotFoundError, UsageError
from reasoning_cli.operations.data.archive_reader import HINT, REALM, check_file, read_rows, types_of
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.paths import make_private_dir, replacing
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.full_rows import WholeRow, WholeRows, hash_of
from reasoning_cli.store.samples.import_cursors import Imports
from reasoning_cli.store.samples.retention import small_steps
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.store.timestamps import from_ms, to_ms

Period = Literal["day", "month"]

_NAME = re.compile(r"(\d{4}-\d{2}(?:-\d{2})?)(?:\.(\d+))?\.parquet")
_BATCH_BYTES = 32_000_000


@dataclass(frozen=True)
class ArchivePlan:
    """What an archiving run looks at: samples from before `before`, by day or month (UTC), into `folder`."""

    folder: Path
    before: datetime
    period: Period
    model_types: tuple[str, ...]
    periods: tuple[str, ...]


@dataclass(frozen=True)
class Archived:
    """What became of it: files written, samples in them, samples that were there already, samples deleted."""

    files: tuple[Path, ...]
    written: int
    already: int
    deleted: int


@dataclass(frozen=True)
class Unarchived:
    """What came back: files read, samples in them, samples that were not in the log. Of the others so many had been
    `forgotten` on request and were left out; so many of those added had been too, and were wanted all the same."""

    files: int
    read: int
    added: int
    forgotten: int
    taken_back: int


def plan_archive(
    store: Store, now: datetime, days: int, folder: Path, *, period: Period = "day", model_types: Sequence[str] = ()
) -> ArchivePlan:
    """Which days or months hold samples older than so many days; writes nothing."""
    pyarrow_of()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"`{folder}` is not a folder", "an archive is a folder of files")
    try:
        if days <= 0:
            raise ValueError
        before = now - timedelta(days=days)
    except (ValueError, OverflowError):
        raise UsageError(
            f"`{days}` is not a number of days", "give a whole number from 1 on, such as `--older-than 90`"
        ) from None
    moments = WholeRows(store).moments(to_ms(before), model_types)
    periods = dict.fromkeys(_period_of(from_ms(moment), period) for moment in moments)
    return ArchivePlan(folder, before, period, tuple(model_types), tuple(periods))


def run_archive(
    store: Store,
    plan: ArchivePlan,
    now: datetime,
    *,
    delete: bool = False,
    on_progress: Callable[[str, int], None] = lambda period, done: None,
) -> Archived:
    """Write what the archive does not hold yet, read it back, and (with `delete`) delete what is in it from the log.

    `on_progress` gets the day or month and the samples done so far. Stopping keeps the files that are whole; running
    it again goes on.
    """
    make_private_dir(plan.folder)
    rows = WholeRows(store)
    files: list[Path] = []
    written = already = deleted = 0
    try:
        for name in plan.periods:
            on_progress(name, written + already)
            begin, end = _bounds(name)
            hashes: dict[int, bytes] = {}
            held = _held(plan.folder, name, rows.columns)
            fresh = _Fresh(
                rows.read(to_ms(begin), min(to_ms(end), to_ms(plan.before)), plan.model_types, _BATCH_BYTES),
                held,
                hashes,
            )
            path = _next_path(plan.folder, name)
            count = _write(path, fresh, rows.columns, store.realm)
            if count:
                files.append(path)
            written, already = written + count, already + len(hashes) - count
            if delete:
                deleted += _delete(store, rows, hashes)
    finally:
        if deleted:
            detail: dict[str, object] = {"deleted": deleted, "folder": str(plan.folder.absolute())}
            Events(store).add(Event(now, "operator", "archive", "training log", detail))
    return Archived(tuple(files), written, already, deleted)


def unarchive(
    store: Store,
    source: Path,
    now: datetime,
    *,
    include_forgotten: bool = False,
    on_progress: Callable[[int], None] = lambda read: None,
) -> Unarchived:
    """Put the samples of a file or a folder of files back as they were; what the log holds already stays as it is, and
    what was deleted on request stays away unless it is wanted."""
    pyarrow_of()
    if not source.exists():
        raise NotFoundError(f"there is no `{source}`", "give a file or folder that `reasoning data archive` wrote")
    # Of a sample that was archived twice the later file has the later state, and the first to come back wins.
    files = [source] if source.is_file() else [path for _, _, path in sorted(_files(source), reverse=True)]
    if not files:
        raise NotFoundError(f"`{source}` holds no archive", "give a file or folder that `reasoning data archive` wrote")
    rows, forgotten = WholeRows(store), Forgotten(store)
    read = added = left_out = taken_back = 0
    for path in files:
        check_file(path, rows.columns, store.realm)
    for path in files:
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
    if taken_back:
        detail: dict[str, object] = {"samples": taken_back, "source": str(source.absolute())}
        Events(store).add(Event(now, "operator", "take_back_forgotten", "training log", detail))
    return Unarchived(len(files), read, added, left_out, taken_back)


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


class _Fresh:
    """The rows the archive does not hold yet, in batches; all that pass, new or not, are noted with their hashes."""

    def __init__(self, batches: Iterator[list[WholeRow]], held: set[bytes], hashes: dict[int, bytes]) -> None:
        self._batches, self._held, self._hashes = batches, held, hashes

    def __iter__(self) -> Iterator[list[WholeRow]]:
        for batch in self._batches:
            made = [(row, hash_of(row)) for row in batch]
            self._hashes.update((int(row["seq"] or 0), digest) for row, digest in made)
            if fresh := [row for row, digest in made if digest not in self._held]:
                yield fresh


def _write(path: Path, batches: _Fresh, columns: dict[str, str], realm: str) -> int:
    """Write batches as one file and read it back; the number of rows, 0 and no file for none."""
    pyarrow, parquet = pyarrow_of()
    schema = pyarrow.schema(list(types_of(columns).items()), metadata={REALM: realm.encode()})
    count, hashes = 0, []
    first = next(iterator := iter(batches), None)
    if first is None:
        return 0
    try:
        with replacing(path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            batch: list[WholeRow] | None = first
            while batch is not None:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema))
                hashes += [hash_of(row) for row in batch]
                count += len(batch)
                batch = next(iterator, None)
    except OSError as error:
        raise DataError(f"cannot write `{path}`: {error.strerror or error}", "nothing was deleted") from error
    if [hash_of(row) for part in read_rows(path, columns) for row in part] != hashes:
        path.unlink(missing_ok=True)
        raise DataError(f"`{path}` does not read back as it was written", "nothing was deleted; try another disk")
    return count


def _delete(store: Store, rows: WholeRows, hashes: dict[int, bytes]) -> int:
    left = dict(sorted(hashes.items()))
    gone = 0
    with small_steps(store) as step:
        numbers = list(left)
        while numbers:
            part, numbers = numbers[: step.rows], numbers[step.rows :]
            gone += rows.delete_unchanged(step, {number: left[number] for number in part})
    return gone


def _held(folder: Path, name: str, columns: dict[str, str]) -> set[bytes]:
    """The hashes of all rows that files of this day or month hold."""
    paths = [path for period, _, path in _files(folder) if period == name]
    return {hash_of(row) for path in paths for part in read_rows(path, columns) for row in part}


def _files(folder: Path) -> Iterator[tuple[str, int, Path]]:
    for path in folder.iterdir():
        if found := _NAME.fullmatch(path.name):
            yield found[1], int(found[2] or 1), path


def _next_path(folder: Path, name: str) -> Path:
    last = max((number for period, number, _ in _files(folder) if period == name), default=0)
    return folder / (f"{name}.{last + 1}.parquet" if last else f"{name}.parquet")


def _period_of(moment: datetime, period: Period) -> str:
    return f"{moment:%Y-%m-%d}" if period == "day" else f"{moment:%Y-%m}"


def _bounds(name: str) -> tuple[datetime, datetime]:
    """The first moment of a day or month, and the first after it."""
    if len(name) == 10:
        begin = datetime.fromisoformat(name).replace(tzinfo=UTC)
        return begin, begin + timedelta(days=1)
    begin = datetime.fromisoformat(f"{name}-01").replace(tzinfo=UTC)
    return begin, (begin + timedelta(days=32)).replace(day=1)
