"""An export of archives, and of the log beside them: the same samples and lines as from one log that holds them all.

Small columns of all that matches are gathered first, and by them it is chosen what goes where, as for an export of the
log. Then each partition's texts are read and rendered by themselves, by whoever is free: a shard each, in any order.
One manifest, written last, names the shards. What was done is noted beside them, so that a run that was cut off goes
on with the partitions that are missing.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import blake2b
from itertools import compress
from pathlib import Path
from typing import Any

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.data.archive.index import Index, PartitionFile, checked, damaged, log_of, need_index
from reasoning_cli.operations.data.archive.place import Place, open_place
from reasoning_cli.operations.data.archive.reader import check_columns
from reasoning_cli.operations.data.export.batches import BATCH, WORTH_WORKERS, Batcher, Facts, SideFacts
from reasoning_cli.operations.data.export.engines import LOCAL, connected, rendered
from reasoning_cli.operations.data.export.files import type_name
from reasoning_cli.operations.data.export.render import head_of
from reasoning_cli.operations.data.export.run import (
    ExportReport,
    ExportRequest,
    manifest_record,
    nothing_usable,
    report_of,
)
from reasoning_cli.operations.data.export.shards import (
    PROGRESS,
    Part,
    Rendered,
    Shard,
    ShardJob,
    is_shard,
    progress_name,
    write_shard,
)
from reasoning_cli.operations.data.export.split import choose
from reasoning_cli.operations.data.export.trainers import needs_every_tools
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.export_reader import ExportRows
from reasoning_cli.store.samples.exports import NumberSet, record_export
from reasoning_cli.store.samples.full_rows import MOST_NUMBER, WholeRows
from reasoning_cli.store.samples.gathered import SMALL, GatheredSamples, logged_rows
from reasoning_cli.store.samples.training_log import SampleFilter
from reasoning_cli.store.timestamps import from_ms, to_ms

MANIFEST = "manifest.json"
LOG = "log"
NOT_DRAWN = "not drawn"
# What an export does, one after the other where it can be counted, and what is counted.
GATHERING, RENDERING = "gathering, by day", "rendering"
PHASES = {GATHERING: "days", RENDERING: "samples"}
_STATE = f"{PROGRESS}/state.json"
_DAY_MS = 86_400_000
_SHARD_ROWS, _SHARD_BYTES = 50_000, 256_000_000
_IN_LOG = -1


@dataclass(frozen=True)
class Sources:
    """Where samples are read from: archives, each with its index, and the log if it is `with_log`."""

    archives: tuple[tuple[Place, Index], ...]
    with_log: bool

    def files(self, wanted: SampleFilter) -> list[tuple[Place, PartitionFile]]:
        """The files that may hold what is wanted, oldest day first."""
        since = to_ms(wanted.since) if wanted.since else -(1 << 62)
        until = to_ms(wanted.until) if wanted.until else 1 << 62
        found = [
            (place, file)
            for place, index in self.archives
            for file in index.files
            if (not wanted.model_types or file.model_type in wanted.model_types)
            and file.newest >= since
            and file.oldest < until
        ]
        return sorted(found, key=lambda item: item[1])


def open_sources(store: Store, addresses: Sequence[str]) -> Sources:
    """The archives at these addresses; `log` is this log. Errors for what cannot be reached or is none of ours."""
    pyarrow_of()
    places = [open_place(address) for address in dict.fromkeys(addresses) if address != LOG]
    return Sources(tuple((place, need_index(place, store.realm)) for place in places), LOG in addresses)


def gather(
    store: Store,
    sources: Sources,
    wanted: SampleFilter,
    into: GatheredSamples,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[Place, PartitionFile]]:
    """Put the small columns of what is wanted into a table; the files they are of, by `part`."""
    files, columns = sources.files(wanted), WholeRows(store).columns
    for place, _ in sources.archives:
        checked(place, [file for where, file in files if where is place])
    days: dict[str, list[int]] = {}
    for part, (_, file) in enumerate(files):
        days.setdefault(file.day, []).append(part)
    if sources.with_log:
        into.source_bytes += store.size_bytes()
        for moment in WholeRows(store).moments(1 << 62, wanted.model_types):
            days.setdefault(f"{from_ms(moment):%Y-%m-%d}", [])
    for number, (day, parts) in enumerate(sorted(days.items())):
        on_progress(number, len(days))
        into.source_bytes += sum(files[part][1].size_bytes for part in parts)
        # Without a name here, so that a day is gone before the next one is read.
        into.add_day(
            [_small_columns(*files[part], part, columns) for part in parts],
            _of_log(store, day) if sources.with_log else None,
            wanted,
        )
    return files


def export_archived(
    store: Store,
    sources: Sources,
    target: str,
    request: ExportRequest,
    *,
    now: datetime,
    engine: str = LOCAL,
    overwrite: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    on_progress: Callable[[str, int, int], None] = lambda doing, done, total: None,
) -> ExportReport:
    """Write the matching samples of archives as shards of JSON lines into a folder or a bucket, with one manifest.

    `on_progress` gets what is going on, and how much of how much is done, 0 of 0 where nobody can say. Cut off, the
    same export goes on. A dry run renders nothing: it says what would be chosen.
    """
    out = open_place(target)
    if not dry_run:
        store.require_writable()
    with (
        connected(LOCAL if dry_run else engine, lambda: on_progress(f"waiting for the cluster at {engine}", 0, 0)),
        tempfile.TemporaryDirectory(prefix="reasoning-") as made,
        GatheredSamples(Path(made)) as gathered,
    ):
        files = gather(
            store,
            sources,
            request.wanted,
            gathered,
            on_progress=lambda done, total: on_progress(GATHERING, done, total),
        )
        on_progress("choosing", 0, 0)
        run = _Run(store, sources, request, now, gathered, files, out)
        if dry_run:
            return run.planned()
        with out.locked():
            run.prepare(overwrite)
            return run.write(engine, workers, on_progress)


class _Run:
    def __init__(
        self,
        store: Store,
        sources: Sources,
        request: ExportRequest,
        now: datetime,
        gathered: GatheredSamples,
        files: list[tuple[Place, PartitionFile]],
        out: Place,
    ) -> None:
        self._store, self._sources, self._request, self._now = store, sources, request, now
        self._gathered, self._files, self._out = gathered, files, out
        rows = ExportRows(gathered, request.wanted)
        self._matching = rows.count()
        if not self._matching:
            raise ReasoningError(
                "no sample matches, so nothing was written", hint="`reasoning data stats --from` shows what there is"
            )
        self._choice = choose(
            rows, dedupe=request.dedupe, balance=request.balance, split=request.split, seed=request.seed
        )
        # Of a limit: the number of the oldest sample within it.
        self._oldest = 0 if request.wanted.limit is None else next(rows.numbers(), [0])[0]
        self._drawn = None if request.drawn is None else frozenset(rows.drawn(request.drawn, request.seed))
        rules = request.rules
        self._rules = replace(
            rules,
            head=head_of(rules.fmt, rules.preference, type_name(request.wanted)),
            every_tools=needs_every_tools(rules.trainer, preference=rules.preference) and rows.has_conversations(),
        )
        self._sides = len(request.split) or 1
        self._highest = store.highest_number("samples", "seq")
        self._unread: list[int] = []
        self._there: dict[str, int] | None = None
        self._facts = Facts([SideFacts() for _ in range(self._sides)], dict(self._choice.left_out))
        if self._drawn is not None:
            self._facts.left_out[NOT_DRAWN] = self._matching - len(self._drawn)
        # Numbers are this log's own for archives of this log alone.
        log = log_of(store) if store.read_only_for is None else ""
        self._is_ours = [
            next(index.log for where, index in sources.archives if where is place) == log for place, _ in files
        ]

    def planned(self) -> ExportReport:
        """What would be chosen, without looking at texts."""
        counts = [0] * self._sides
        oldest, newest = (self._gathered.number(f"SELECT {which}(created_at) FROM samples") for which in ("min", "max"))
        for part in range(_IN_LOG, len(self._files)):
            chosen, _ = self._chosen(part)
            for place in range(self._sides):
                counts[place] += chosen.count(place + 1)
        self._facts.oldest, self._facts.newest = oldest, newest
        for side, count in zip(self._facts.sides, counts, strict=True):
            side.samples = count
        report = report_of(self._request, self._facts, [(None, None)] * self._sides, None, self._choice.largest_group)
        return replace(report, target=self._out.address, dry_run=True)

    def prepare(self, overwrite: bool) -> None:
        """Refuse what must not be replaced; take over what an export that was cut off had done."""
        self._before = self._out.read(MANIFEST)
        if self._before is not None and not overwrite:
            raise DataError(
                f"`{self._out.address}` holds a dataset already", "replace it with `--force`, or name another folder"
            )
        if self._request.rules.salt is not None and not self._request.seeded:
            # What was rendered has placeholders of this key; the rest is to have the same.
            salt = _salt_of(self._out.read(_STATE)) or self._request.rules.salt
            self._rules = replace(self._rules, salt=salt)
            self._out.write(_STATE, json.dumps({"salt": salt}).encode())

    def write(self, engine: str, workers: int | None, on_progress: Callable[[str, int, int], None]) -> ExportReport:
        """Render what is missing, then say all of it in the manifest."""
        total = self._matching - sum(self._facts.left_out.values())
        done, shards = 0, dict[int, Shard]()
        held = dict[int, NumberSet]()
        under_way: dict[int, list[array[int]]] = {}

        def take(number: int, shard: Shard, chosen: Sequence[bytes], numbers: Sequence[array[int]]) -> None:
            nonlocal done
            done += sum(len(marks) - marks.count(0) for marks in chosen)
            shards[number], held[number] = shard, _held(shard, chosen, numbers, self._highest)
            on_progress(RENDERING, done, total)

        def missing() -> Iterator[ShardJob]:
            for job, numbers in self._jobs():
                if (known := self._known(job)) is None:
                    under_way[job.number] = numbers
                    yield job
                else:
                    take(job.number, known, [part.chosen for part in job.parts], numbers)

        on_progress(RENDERING, 0, total)
        if workers is None and engine == LOCAL and total < WORTH_WORKERS:
            workers = 1
        for job, shard in rendered(engine, missing(), workers=workers):
            take(job.number, shard, [part.chosen for part in job.parts], under_way.pop(job.number))
        self._verify_unread()
        if self._sources.with_log:
            for number, numbers, to in self._log_shards(len(held)):
                take(number, self._render_log(number, numbers, to), [b"\1" * len(numbers)], [numbers])
        if done != total:
            raise DataError(f"{total - done:,} samples were rendered by nobody", "run the same command again")
        return self._finish([shards[number] for number in sorted(shards)], held)

    def _finish(self, shards: Sequence[Shard], held: dict[int, NumberSet]) -> ExportReport:
        for shard in shards:
            self._facts.add(shard.facts)
        if not sum(side.samples for side in self._facts.sides):
            raise nothing_usable(self._matching, self._facts.left_out)
        files = [file for shard in shards for file in shard.files]
        report = replace(
            report_of(self._request, self._facts, [(None, None)] * self._sides, None, self._choice.largest_group),
            target=self._out.address,
            shards=tuple(file.path for file in files),
        )
        sizes = self._out.sizes()
        for file in files:
            if sizes.get(file.path) != file.size_bytes:
                raise DataError(
                    f"`{file.path}` of `{self._out.address}` is not there as it was written",
                    "run the same command again",
                )
        manifest = manifest_record(report, self._matching, self._now)
        sources = [{"address": place.address, "rows": index.rows} for place, index in self._sources.archives]
        sources += [{"address": LOG, "rows": None}] if self._sources.with_log else []
        whole = {**manifest, "sources": sources, "shards": [asdict(file) for file in files]}
        self._out.write(MANIFEST, json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n")
        self._clear(sizes, {file.path for file in files})
        for number, shard in enumerate(shards):
            for file in shard.files:
                where = f"{self._out.address}/{file.path}"
                record_export(
                    self._store,
                    at=self._now,
                    path=where,
                    sha256=file.sha256,
                    manifest=manifest,
                    samples=held.get(number, NumberSet()),
                )
        return report

    def _clear(self, there: Iterable[str], names: set[str]) -> None:
        """Delete what an export before this one left: its shards, and notes of what was done."""
        for name in there:
            if name.startswith(f"{PROGRESS}/") or (is_shard(name) and name not in names):
                self._out.delete(name)

    def _known(self, job: ShardJob) -> Shard | None:
        """What became of a job when it was done before, and is there still."""
        content = self._out.read(progress_name(job.number))
        if content is None:
            return None
        try:
            shard = Shard.read(content)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        if self._there is None:
            self._there = self._out.sizes()
        is_there = all(self._there.get(file.path) == file.size_bytes for file in shard.files)
        return shard if shard.digest == job.digest and is_there else None

    def _jobs(self) -> Iterator[tuple[ShardJob, list[array[int]]]]:
        """The work, a shard a job: partitions of some days, or one large one; of each part the numbers in the log."""
        parts: list[Part] = []
        numbers: list[array[int]] = []
        rows = size = made = 0
        for part, (place, file) in enumerate(self._files):
            chosen, log_numbers = self._chosen(part)
            if not any(chosen):
                self._unread.append(part)
                continue
            share = (len(chosen) - chosen.count(0)) / len(chosen)
            if parts and (rows + len(chosen) * share > _SHARD_ROWS or size + file.size_bytes * share > _SHARD_BYTES):
                yield ShardJob(made, tuple(parts), self._rules, self._sides, self._out.address), numbers
                parts, numbers, rows, size, made = [], [], 0, 0, made + 1
            parts.append(Part(place.address, file, chosen))
            numbers.append(log_numbers if self._is_ours[part] else array("q"))
            rows, size = rows + int(len(chosen) * share), size + int(file.size_bytes * share)
        if parts:
            yield ShardJob(made, tuple(parts), self._rules, self._sides, self._out.address), numbers

    def _chosen(self, part: int) -> tuple[bytes, array[int]]:
        """What is chosen of a file (of the log: -1, in the order of its samples), a byte a row, 0 for none and else the
        side and 1; and the numbers in the log of what is chosen."""
        places, seqs, log_seqs = self._gathered.of_part(part)
        marks = self._choice.marks(seqs)
        if self._oldest:
            marks = bytes(mark if seq >= self._oldest else 0 for seq, mark in zip(seqs, marks, strict=True))
        if self._drawn is not None:
            marks = bytes(mark if seq in self._drawn else 0 for seq, mark in zip(seqs, marks, strict=True))
        numbers = array("q", compress(log_seqs, marks))
        if part == _IN_LOG:
            return marks, numbers
        chosen = bytearray(self._files[part][1].rows)
        for place, mark in zip(places, marks, strict=True):
            chosen[place] = mark
        return bytes(chosen), numbers

    def _verify_unread(self) -> None:
        """Files of which nothing was taken were looked at too, and what they said counts only if they are whole."""
        for part in self._unread:
            place, file = self._files[part]
            if place.sha256(file.path) != file.sha256:
                raise damaged(place, file, "is not what the index says")

    def _log_shards(self, first: int) -> Iterator[tuple[int, array[int], bytes]]:
        """Of the log: the shard's number, and its samples with their sides."""
        chosen, numbers = self._chosen(_IN_LOG)
        to = bytes(side - 1 for side in chosen if side)
        for start in range(0, len(numbers), _SHARD_ROWS):
            yield first, numbers[start : start + _SHARD_ROWS], to[start : start + _SHARD_ROWS]
            first += 1

    def _render_log(self, number: int, numbers: array[int], to: bytes) -> Shard:
        batcher = Batcher(self._store, self._rules, self._sides)

        def pieces() -> Rendered:
            for start in range(0, len(numbers), BATCH):
                made, facts = batcher.render(numbers[start : start + BATCH].tolist(), to[start : start + BATCH])
                yield made, facts, [start + place for place in facts.skipped]

        # What is in the log may change at any time: it is rendered anew whenever an export goes on.
        digest = blake2b(secrets.token_bytes(16), digest_size=8).hexdigest()
        return write_shard(self._out.address, number, digest, self._sides, [pieces()])


def _salt_of(content: bytes | None) -> str | None:
    """What an export that was cut off made its placeholders with; None where that is not there, or damaged."""
    try:
        salt = json.loads(content or b"{}")["salt"]
        return salt if isinstance(salt, str) and bytes.fromhex(salt) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _held(shard: Shard, chosen: Sequence[bytes], numbers: Sequence[array[int]], highest: int) -> NumberSet:
    """The numbers in the log of what is in a shard; none above the highest that it ever gave, which takes memory."""
    inside = [
        number
        for marks, mine, skipped in zip(chosen, numbers, map(frozenset, shard.skipped), strict=True)
        if mine
        for place, number in zip((place for place, mark in enumerate(marks) if mark), mine, strict=True)
        if place not in skipped and number <= highest
    ]
    held = NumberSet(min(inside, default=0))
    held.update(inside)
    return held


def _small_columns(place: Place, file: PartitionFile, part: int, known: Mapping[str, str]) -> Any:
    """The small columns of a file, with `seq`, `part` and `place`, as a table of pyarrow."""
    pyarrow, parquet = pyarrow_of()
    from pyarrow import compute

    try:
        with parquet.ParquetFile(place.open(file.path), pre_buffer=True) as opened:
            if (rows := opened.metadata.num_rows) != file.rows:
                raise damaged(place, file, f"has {rows:,} rows, not {file.rows:,}")
            check_columns(f"{place.address}/{file.path}", opened.schema_arrow, known)
            there = opened.schema_arrow.names
            table = opened.read([name for name in ("seq", *SMALL) if name in there and name != "conversation"])
            talks = None
            if file.model_type == "coding" and "conversation" in there:
                groups = range(opened.num_row_groups)
                talks = pyarrow.chunked_array(
                    [
                        compute.is_valid(opened.read_row_group(group, ["conversation"]).column(0)).combine_chunks()
                        for group in groups
                    ]
                )
    except FileNotFoundError:
        raise damaged(place, file, "is missing") from None
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise damaged(place, file, f"cannot be read: {error}") from error
    columns = {name: table[name] if name in table.column_names else pyarrow.nulls(rows) for name in ("seq", *SMALL)}
    columns["created_at"] = columns["created_at"].cast(pyarrow.int64())
    bounds: dict[str, tuple[Any, Any] | None] = {
        "created_at": (file.oldest, file.newest),
        "seq": (1, MOST_NUMBER),
        "model_type": (file.model_type, file.model_type),
        "id": None,
    }
    if odd := [name for name, within in bounds.items() if not _is_within(columns[name], within)]:
        raise damaged(place, file, f"holds a row whose `{odd[0]}` no sample of it can have")
    columns["conversation"] = pyarrow.nulls(rows, pyarrow.bool_()) if talks is None else _null_or_true(talks)
    columns["part"] = pyarrow.array([part] * rows, pyarrow.int32())
    columns["place"] = pyarrow.array(range(rows), pyarrow.int32())
    return pyarrow.table(columns)


def _is_within(column: Any, bounds: tuple[Any, Any] | None) -> bool:
    """Whether a column has a value in each row, and none below or above the bounds."""
    from pyarrow import compute

    if bounds is None or column.null_count:
        return not column.null_count
    found = compute.min_max(column).as_py()
    return bool(bounds[0] <= found["min"] and found["max"] <= bounds[1])


def _null_or_true(flags: Any) -> Any:
    """True where it is true, else null: as a column that is there or not."""
    from pyarrow import compute

    return compute.if_else(flags, True, None)


def _of_log(store: Store, day: str) -> Any:
    """The small columns of the log's samples of a day."""
    pyarrow, _ = pyarrow_of()
    begin = to_ms(datetime.fromisoformat(f"{day}T00:00:00+00:00"))
    names = ["seq", *(name for name in SMALL if name != "conversation"), "conversation"]
    rows = [row for some in logged_rows(store, begin, begin + _DAY_MS) for row in some]
    types = {
        "VARCHAR": pyarrow.string(),
        "BIGINT": pyarrow.int64(),
        "DOUBLE": pyarrow.float64(),
        "BLOB": pyarrow.binary(),
    }
    columns = {
        name: pyarrow.array([row[place] for row in rows], types.get(SMALL.get(name, "BIGINT"), pyarrow.string()))
        for place, name in enumerate(names[:-1])
    }
    columns["conversation"] = pyarrow.array([True if row[-1] else None for row in rows], pyarrow.bool_())
    columns["part"] = pyarrow.array([_IN_LOG] * len(rows), pyarrow.int32())
    columns["place"] = pyarrow.array(range(len(rows)), pyarrow.int32())
    return pyarrow.table(columns)
