"""Old samples out of the log into partitions of a type and a day, and back.

A sample is in the archive as it was when it was last archived: archiving again writes anew the partitions that got
more or in which something changed since. A row leaves the log when the file it stands in and the index that names it
are in place and were read back, and never before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from reasoning_cli.errors import DataError, UsageError
from reasoning_cli.operations.data.archive.index import (
    INDEX,
    Index,
    PartitionFile,
    check_log,
    checked,
    day_bounds,
    is_ours,
    log_of,
    read_index,
    write_index,
)
from reasoning_cli.operations.data.archive.partition import merged, partition_rows, write_partition
from reasoning_cli.operations.data.archive.place import Folder, Place, open_place
from reasoning_cli.operations.data.archive.reader import check_file
from reasoning_cli.operations.data.archive.restore import earlier_files, put_back
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.archives import note_archive
from reasoning_cli.store.samples.full_rows import WholeRow, WholeRows, hash_of
from reasoning_cli.store.samples.retention import small_steps
from reasoning_cli.store.timestamps import from_ms, to_ms
from reasoning_cli.values import MODEL_TYPES

_BATCH_BYTES = 32_000_000
# What is written before the index names it and rows leave the log: for so much a run that is killed begins again.
_PENDING_ROWS, _PENDING_PARTITIONS = 200_000, 64


@dataclass(frozen=True)
class ArchivePlan:
    """What an archiving run looks at: samples from before `before`, by type and day (UTC), into a place. `earlier` are
    files there without an index, which it takes into one."""

    place: Place
    before: datetime
    partitions: tuple[tuple[str, str], ...]
    earlier: tuple[str, ...] = ()

    @property
    def days(self) -> tuple[str, ...]:
        return tuple(sorted({day for _, day in self.partitions}))


@dataclass(frozen=True)
class Archived:
    """What became of it: files written, samples that are new or changed in them, samples that were there already,
    samples deleted, samples that earlier files without an index held."""

    files: tuple[str, ...]
    written: int
    already: int
    deleted: int
    taken_in: int = 0


def plan_archive(
    store: Store, now: datetime, days: int, address: str | Path, *, model_types: Sequence[str] = ()
) -> ArchivePlan:
    """Which partitions samples older than so many days are of; writes nothing."""
    pyarrow_of()
    place = open_place(address)
    if isinstance(place, Folder) and place.folder.exists() and not place.folder.is_dir():
        raise UsageError(f"`{address}` is not a folder", "an archive is a folder of files")
    try:
        if days <= 0:
            raise ValueError
        before = now - timedelta(days=days)
    except (ValueError, OverflowError):
        raise UsageError(
            f"`{days}` is not a number of days", "give a whole number from 1 on, such as `--older-than 90`"
        ) from None
    earlier = tuple(path.name for path in earlier_files(place.folder)) if isinstance(place, Folder) else ()
    return ArchivePlan(place, before, _partitions(store, to_ms(before), model_types), earlier)


def run_archive(
    store: Store,
    plan: ArchivePlan,
    now: datetime,
    *,
    delete: bool = False,
    on_progress: Callable[[str, int], None] = lambda day, done: None,
) -> Archived:
    """Write what the archive does not hold yet as it is, and (with `delete`) delete what is in it from the log.

    `on_progress` gets the day and the samples done so far. Stopping keeps what the index names; running it again goes
    on from there.
    """
    store.require_writable()
    with changing(store, plan.place):
        index = read_index(plan.place, store.realm)
        if index is not None:
            check_log(plan.place, index, store)
            checked(plan.place, index.files)
            sweep(plan.place, index)
        elif plan.partitions or plan.earlier:
            index = _begin(store, plan.place)
        note_archive(store, plan.place.address)
        taken_in = _take_in(store, plan, index) if plan.earlier else 0
        run = _Run(store, plan.place, log_of(store), to_ms(plan.before), delete=delete)
        try:
            for model_type, day in plan.partitions:
                on_progress(day, run.written + run.already)
                run.archive(model_type, day)
            run.finish()
        finally:
            if run.deleted:
                detail: dict[str, object] = {"deleted": run.deleted, "folder": plan.place.address}
                Events(store).add(Event(now, "operator", "archive", "training log", detail))
    return Archived(tuple(run.files), run.written, run.already, run.deleted, taken_in)


@dataclass
class _Partition:
    """A partition that is written and not in the index yet: its files now, those it had, and what may leave the log by
    number and hash."""

    name: tuple[str, str]
    files: tuple[PartitionFile, ...]
    before: tuple[PartitionFile, ...]
    hashes: dict[int, bytes] = field(default_factory=dict)


class _Run:
    def __init__(self, store: Store, place: Place, log: str, before_ms: int, *, delete: bool) -> None:
        self._store, self._place, self._before, self._delete = store, place, before_ms, delete
        self._rows = WholeRows(store)
        found = read_index(place, store.realm)
        self._found = found
        self._index = found or Index(store.realm, log, {})
        self._pending: list[_Partition] = []
        self.files: list[str] = []
        self.written = self.already = self.deleted = 0

    def archive(self, model_type: str, day: str) -> None:
        """Write what is new or was changed of a type and a day."""
        before = self._index.of(model_type, day)
        archived = {str(row["id"]): hash_of(row) for row in self._archived(before)}
        hashes: dict[int, bytes] = {}
        fresh: set[str] = set()
        for row in self._logged(model_type, day):
            digest = hash_of(row)
            if archived.get(str(row["id"])) == digest:
                hashes[int(row["seq"] or 0)] = digest
            else:
                fresh.add(str(row["id"]))
        self.already += len(hashes)
        files = before
        if fresh:
            with self._place.spool() as spool:
                unchanged = (row for row in self._archived(before) if row["id"] not in fresh)
                rows = merged(unchanged, self._noted(model_type, day, fresh, hashes))
                made = write_partition(
                    self._place, spool, (model_type, day), rows, self._rows.columns, self._store.realm
                )
                files = tuple(made)
            self.files += [file.path for file in files]
        self._pending.append(_Partition((model_type, day), files, before, hashes))
        if (
            sum(len(partition.hashes) for partition in self._pending) >= _PENDING_ROWS
            or len(self._pending) >= _PENDING_PARTITIONS
        ):
            self.finish()

    def finish(self) -> None:
        """Have the index name what was written; then, what stood there before and the rows in the log may go."""
        index = self._index
        for partition in self._pending:
            if partition.files != partition.before:
                index = index.with_partition(*partition.name, partition.files)
        if index is not self._index:
            index = Index(index.realm, index.log, self._rows.columns, index.files)
            write_index(self._place, self._found, index)
            self._index = self._found = index
        for partition in self._pending:
            for file in {*partition.before} - {*partition.files}:
                self._place.delete(file.path)
            if self._delete:
                self.deleted += _delete(self._store, self._rows, partition.hashes)
        self._pending = []

    def _archived(self, files: Sequence[PartitionFile]) -> Iterator[WholeRow]:
        return partition_rows(self._place, files, self._rows.columns)

    def _logged(self, model_type: str, day: str) -> Iterator[WholeRow]:
        begin, end = (to_ms(moment) for moment in day_bounds(day))
        for batch in self._rows.read(begin, min(end, self._before), (model_type,), _BATCH_BYTES):
            yield from batch

    def _noted(self, model_type: str, day: str, fresh: set[str], hashes: dict[int, bytes]) -> Iterator[WholeRow]:
        """The fresh rows as they are now, their hashes noted."""
        for row in self._logged(model_type, day):
            if row["id"] in fresh:
                self.written += 1
                hashes[int(row["seq"] or 0)] = hash_of(row)
                yield row


def _partitions(store: Store, before_ms: int, model_types: Sequence[str]) -> tuple[tuple[str, str], ...]:
    rows = WholeRows(store)
    found = {
        (f"{from_ms(moment):%Y-%m-%d}", name)
        for name in model_types or MODEL_TYPES
        for moment in rows.moments(before_ms, [name])
    }
    return tuple((name, day) for day, name in sorted(found))


@contextmanager
def changing(store: Store, place: Place) -> Iterator[None]:
    """For the time of a `with`, nobody else changes archives of this log: in a bucket nobody sees who else is at work,
    and two that each write an index would lose what the other's names."""
    with place.locked(), store.alone("archive") as alone:
        if alone is None:
            raise DataError("archives of this log are being written now", "wait for it, and run the command again")
        yield


def _begin(store: Store, place: Place) -> Index:
    """An index of nothing, before the first file is there: files without an index are those of one that was lost, and
    in the log their rows may be no more."""
    files = [name for name in place.sizes() if is_ours(name)]
    if files:
        raise DataError(
            f"`{place.address}` holds {len(files):,} partition files, and no `{INDEX}` that names them",
            f"put `{INDEX}` back from a copy, or bring each back with `reasoning data unarchive FILE` and archive anew",
        )
    index = Index(store.realm, log_of(store), WholeRows(store).columns)
    write_index(place, None, index)
    return index


def unnamed(place: Place, index: Index) -> list[str]:
    """Files of ours that the index does not name and nobody is at work on."""
    return place.left_over({name for name in place.sizes() if is_ours(name)} - {file.path for file in index.files})


def sweep(place: Place, index: Index) -> None:
    """Delete files of ours that the index does not name: a run that was cut off left them, personal data and all."""
    for name in unnamed(place, index):
        place.delete(name)


def _take_in(store: Store, plan: ArchivePlan, index: Index | None) -> int:
    """Put files of earlier versions into partitions, and delete them; how many samples they held."""
    assert isinstance(plan.place, Folder)
    files = [plan.place.folder / name for name in plan.earlier]
    for file in files:
        check_file(file, WholeRows(store).columns, store.realm)
    with (
        tempfile.TemporaryDirectory(prefix=".part-", dir=plan.place.folder) as made,
        open_store(Path(made) / "earlier.part", store.realm) as earlier,
    ):
        rows = WholeRows(earlier)
        for file in reversed(files):  # of a sample that stands there twice, the later file has the later state
            put_back(earlier, file)
        if index is not None:  # which has a later state of what it has
            for archived in partition_rows(plan.place, index.files, rows.columns):
                rows.drop(str(archived["id"]))
        run = _Run(earlier, plan.place, log_of(store), 1 << 62, delete=False)
        for model_type, day in _partitions(earlier, 1 << 62, ()):
            run.archive(model_type, day)
        run.finish()
    for file in files:
        file.unlink()
    return run.written


def _delete(store: Store, rows: WholeRows, hashes: dict[int, bytes]) -> int:
    left = dict(sorted(hashes.items()))
    gone, numbers = 0, list(left)
    if not numbers:
        return 0
    with small_steps(store) as step:
        while numbers:
            part, numbers = numbers[: step.rows], numbers[step.rows :]
            gone += rows.delete_unchanged(step, {number: left[number] for number in part})
    return gone
