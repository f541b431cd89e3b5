"""Import past decisions from wherever they are, each once, whatever else and whatever broken is between them.

Rows are read one at a time and stored in batches, each in its own transaction, and behind each batch it is kept how
far the source was read: memory stays bounded, what was stored stays stored however the import ends, and the next
import of the source goes on there. What it may read twice is found by its id.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.data.addressing import Addresser, address_log
from reasoning_cli.operations.data.ingest.chat_jsonl import read_chat
from reasoning_cli.operations.data.ingest.dedupe import Sieve
from reasoning_cli.operations.data.ingest.elizaos_logs import BadRow, NoDecision, read_row
from reasoning_cli.operations.data.ingest.http_exchanges import ReadExchange, read_exchange_row
from reasoning_cli.operations.data.ingest.manifest import exported
from reasoning_cli.operations.data.ingest.rejects import Rejects
from reasoning_cli.operations.data.outcomes import note_outcomes
from reasoning_cli.sources.files import HINT
from reasoning_cli.sources.rows import Row, Source
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.import_cursors import Imports
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample, Samples

FORMATS = ("elizaos", "requests", "chat")
BATCH_ROWS = 500
BATCH_CHARS = 16_000_000
# So many rows without a decision are passed over before it is kept that they were.
PASSED_OVER = 5000
SHOWN_BAD_LINES = 5


@dataclass(frozen=True)
class BadLine:
    """A line that could not be read, by its number in the source."""

    number: int
    why: str


@dataclass(frozen=True)
class ImportOptions:
    """What to import, and how.

    `fmt` is one of FORMATS, None to tell it from each row. `model_type` is for chat lines whose prompt does not tell;
    without it counts what the manifest beside them says. `agent` (an id or a name), `room`, `since` and `until` keep
    others out, `limit` ends the import after so many decisions that were not stored yet. `again` reads from the start,
    `strict` stops at the first bad line, `dry_run` stores nothing. `include_forgotten` takes in what was deleted on
    request as well, and reads from the start to find it. `redact` is what each decision passes before it is stored.
    """

    fmt: str | None = None
    model_type: str | None = None
    agent: str | None = None
    room: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    again: bool = False
    include_forgotten: bool = False
    strict: bool = False
    dry_run: bool = False
    redact: Callable[[Sample], Sample] | None = None

    def key(self, source_key: str) -> str:
        """What the position of a source is kept by: another choice of rows has one of its own."""
        chosen = {"agent": self.agent, "room": self.room, "format": self.fmt, "type": self.model_type}
        return "".join([source_key, *(f" {name}={value}" for name, value in chosen.items() if value is not None)])


@dataclass(frozen=True)
class ImportReport:
    """What became of the rows: `read` = decisions + skipped + bad.

    Of the decisions so many were `added`, `already_there`, `recorded` by the gateway as they were answered, or
    `forgotten` on request and left out; `taken_back` of those added had been forgotten, and were wanted all the same.
    `by_type` counts the decisions found, new or not; `skipped` sound rows that are none or not wanted, by why;
    `bad_by_why` the bad ones, of which `bad_lines` are the first few and `rejects` the file that holds all.
    `outcomes` counts the earlier decisions of which it is now known what came of them. `went_on` says that rows before
    these were read by an import before. `undated` of the decisions say no time, and count as of now. From `begun` to
    `done` of `total` is how far the source was read, in its own units.
    """

    read: int
    added: int
    already_there: int
    recorded: int
    forgotten: int
    by_type: Mapping[str, int]
    skipped: Mapping[str, int]
    bad: int
    bad_lines: tuple[BadLine, ...]
    bad_by_why: Mapping[str, int] = field(default_factory=dict)
    rejects: Path | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    taken_back: int = 0
    undated: int = 0
    went_on: bool = False
    is_whole: bool = True
    dry_run: bool = False
    begun: int = 0
    done: int = 0
    total: int | None = None
    unit: str = "bytes"


Progress = Callable[[ImportReport], None]


def import_decisions(
    source: Source,
    store: Store,
    options: ImportOptions | None = None,
    *,
    read_exchange: ReadExchange,
    rejects: Path | None = None,
    now: datetime | None = None,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Store the decisions of a source as samples.

    `read_exchange` knows the dialects of recorded calls, `rejects` is the file bad lines are kept in, `now` the time of
    samples that tell none. `on_progress` gets the report so far after each batch. Bad lines are counted, never fatal
    unless `strict`; ReasoningError when nothing in the source can be read.
    """
    return _Import(source, store, options or ImportOptions(), read_exchange, rejects, now, on_progress).run()


class _Import:
    """One run over one source."""

    def __init__(
        self,
        source: Source,
        store: Store,
        options: ImportOptions,
        read_exchange: ReadExchange,
        rejects: Path | None,
        now: datetime | None,
        on_progress: Progress | None,
    ) -> None:
        described = exported(source.file) if source.file is not None else None
        if described is not None and options.model_type is None:
            options = replace(options, model_type=described.model_type)
        self._source, self._store, self._options = source, store, options
        self._exported_at = described.at if described is not None else None
        self._read_exchange = read_exchange
        self._now = now or datetime.now(UTC)
        self._on_progress = on_progress
        self._samples, self._imports = Samples(store), Imports(store)
        self._sieve = Sieve(store, include_forgotten=options.include_forgotten, keep=not options.dry_run)
        # A span that moves with the clock would be another choice of rows each time.
        moves = options.since is not None or options.until is not None
        self._key = None if source.key is None or moves else options.key(source.key)
        self._rejects = Rejects(None if options.dry_run else rejects)
        self._addresser, self._newest = Addresser(), datetime.min.replace(tzinfo=UTC)
        self._batch: list[Sample] = []
        self._batch_chars = self._since_stored = 0
        self._read = self._added = self._already_there = self._bad = self._new = 0
        self._recorded = self._left_out = self._taken_back = self._undated = 0
        self._by_type: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._bad_by_why: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._bad_lines: list[BadLine] = []
        self._is_whole = True
        self._begun: int | None = None

    def run(self) -> ImportReport:
        goes_on = self._key is not None and not (self._options.again or self._options.include_forgotten)
        after = self._imports.position(self._key) if goes_on and self._key is not None else None
        try:
            self._read_rows(after)
            if not self._options.dry_run:
                address_log(self._store)
        finally:
            if self._taken_back and not self._options.dry_run:
                detail: dict[str, object] = {"samples": self._taken_back, "source": self._source.name}
                Events(self._store).add(Event(self._now, "operator", "take_back_forgotten", "training log", detail))
        self._refuse_what_held_nothing()
        return self._report()

    def _read_rows(self, after: Mapping[str, object] | None) -> None:
        with contextlib.closing(self._rejects):
            with contextlib.closing(self._source.rows(after)) as rows:
                for row in self._each(rows):
                    self._take(row)
                    if self._options.limit is not None and self._new >= self._options.limit:
                        self._is_whole = False
                        break
            self._store_batch()

    def _each(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows of the source. Where it breaks off, what was read before is stored, as its error says."""
        try:
            yield from rows
        except ReasoningError:
            self._store_batch()
            raise

    def _take(self, row: Row) -> None:
        if self._begun is None:
            self._begun = self._source.done - len(row.raw or b"")
        self._read += 1
        try:
            if row.why is not None:
                raise BadRow(row.why)
            found = self._decision(row.value)
        except BadRow as error:
            self._reject(row, str(error))
            return
        if not isinstance(found, NoDecision) and (unwanted := self._unwanted(found)):
            found = NoDecision(unwanted)
        if isinstance(found, NoDecision):
            self._skipped[found.reason] += 1
            self._since_stored += 1
        else:
            found = self._addressed(found)
            found = self._options.redact(found) if self._options.redact is not None else found
            self._by_type[found.model_type] += 1
            self._undated += found.created_at is self._now
            if self._options.limit is not None:
                self._new += len(self._sieve.sift([found]).fresh)
            self._batch.append(found)
            self._batch_chars += len(found.prompt) + len(found.output)
        if len(self._batch) >= BATCH_ROWS or self._batch_chars >= BATCH_CHARS or self._since_stored >= PASSED_OVER:
            self._store_batch()

    def _addressed(self, sample: Sample) -> Sample:
        """The sample with whom its message may be meant for, which shows in those before it. Where rows come in
        another order than they were made (which the first does not tell), or go on behind those of an earlier import,
        the log tells it later."""
        newest, self._newest = self._newest, max(self._newest, sample.created_at)
        addressed = self._addresser.addressed(sample)
        in_order = self._read > 1 and not self._source.went_on and sample.created_at >= newest
        return addressed if in_order else sample

    def _decision(self, value: object) -> Sample | NoDecision:
        if not isinstance(value, dict):
            raise BadRow("not a JSON object")
        fmt = self._options.fmt or _format_of(value)
        if fmt == "chat":
            return read_chat(value, self._options.model_type, self._exported_at or self._now)
        if fmt == "requests":
            return read_exchange_row(value, self._read_exchange, self._now)
        return read_row(value)

    def _unwanted(self, sample: Sample) -> str | None:
        options = self._options
        whose = None if self._source.picks_agent else options.agent
        if whose is not None and whose not in (sample.agent_id, sample.agent_name):
            return "of another agent"
        if options.room is not None and options.room != sample.room_id:
            return "of another room"
        if options.since is not None and sample.created_at < options.since:
            return "before --since"
        if options.until is not None and sample.created_at >= options.until:
            return "after --until"
        return None

    def _reject(self, row: Row, why: str) -> None:
        if self._options.strict:
            self._key = None  # the next import is to come by this line again
            self._store_batch()
            raise DataError(
                f"{self._source.name}: line {row.number:,} cannot be read: {why}",
                hint="what stands before it is stored; without --strict such lines are kept aside",
            )
        self._bad += 1
        self._bad_by_why[why] += 1
        self._rejects.keep(row, why)
        if len(self._bad_lines) < SHOWN_BAD_LINES:
            self._bad_lines.append(BadLine(row.number, why))

    def _store_batch(self) -> None:
        batch, self._batch, self._batch_chars, self._since_stored = self._batch, [], 0, 0
        sifted = self._sieve.sift(batch)
        fresh, wanted = sifted.fresh, self._options.include_forgotten
        if self._options.dry_run:
            new = len({sample.id for sample in fresh})
        else:
            new = self._samples.insert_many(fresh) if fresh else 0
            self._outcomes.update(note_outcomes(self._store, batch))
            if wanted:
                Forgotten(self._store).lift(sifted.forgotten)
            self._rejects.flush()
            position = self._source.position()
            if self._key is not None and position is not None:
                self._imports.remember(self._key, position)
        self._added += new
        self._already_there += sifted.there + len(fresh) - new
        self._recorded += len(sifted.recorded)
        self._left_out += 0 if wanted else len(sifted.forgotten)
        self._taken_back += len(sifted.forgotten) if wanted else 0
        if self._on_progress is not None:
            self._on_progress(self._report())

    def _report(self) -> ImportReport:
        return ImportReport(
            read=self._read,
            added=self._added,
            already_there=self._already_there,
            recorded=self._recorded,
            forgotten=self._left_out,
            by_type=dict(self._by_type.most_common()),
            skipped=dict(self._skipped.most_common()),
            bad=self._bad,
            bad_lines=tuple(self._bad_lines),
            bad_by_why=dict(self._bad_by_why.most_common()),
            rejects=self._rejects.path,
            outcomes=dict(self._outcomes),
            taken_back=self._taken_back,
            undated=self._undated,
            went_on=self._source.went_on,
            is_whole=self._is_whole,
            dry_run=self._options.dry_run,
            begun=self._begun or 0,
            done=self._source.done,
            total=self._source.total,
            unit=self._source.unit,
        )

    def _refuse_what_held_nothing(self) -> None:
        if self._source.went_on or self._source.unit != "bytes":
            return
        if self._read == 0:
            raise ReasoningError(f"{self._source.name} is empty", hint=HINT)
        if self._bad == self._read:
            first = self._bad_lines[0]
            raise ReasoningError(
                f"{self._source.name} holds nothing that can be imported (line {first.number}: {first.why})", hint=HINT
            )


def _format_of(row: Mapping[str, object]) -> str:
    """The format of one row, by the names in it."""
    if "type" in row and "body" in row:
        return "elizaos"
    if "request" in row:
        return "requests"
    if "messages" in row or "preferred_output" in row:
        return "chat"
    if "trajectories" in row or "steps" in row:
        what = "a group of trajectories (GRPO)" if "trajectories" in row else "a raw trajectory"
        raise BadRow(f"{what} of elizaOS's logger, which is not read: export them for ART")
    raise BadRow("no row of ElizaOS's `logs`, no recorded request, no chat line")
