"""The training log: one row a decision. Streams in and out, so a million rows need no more memory than one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Any, Protocol

from reasoning_cli.errors import DataError
from reasoning_cli.store.database import Connection, Parameters, Row, Store, Value
from reasoning_cli.store.fingerprints import masked_hash, text_hash
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class Sample:
    """One decision: what was asked, what was answered, by whom.

    `id` is stable, so storing the same decision again changes nothing. `source` is who answered (`original`, `slot`,
    `fallback`), `origin` where the row came from (`gateway`, `library`, …). `prompt` and `output` are the exact
    texts; `decision` is what was read out of the output, None when it could not be read. `corrected` is the answer a
    person put in its place, `confidence` what the model said of itself, from 0 to 1. `shape` is the part of the prompt
    two near-copies share, the whole of it when empty; only its hash is stored. `cut` is what the answer's end was
    called where the model did not come to it by itself; `cached_tokens` are those of `prompt_tokens` that the provider
    had kept; `conversation` is JSON, see `decisions.turns`. `seq` is the row's number in this database, 0 before it is
    stored. `identity` stands for the prompt where that alone does not tell a sample from others; it is hashed, not
    stored. `reply_targets` (JSON), `spoke_before`, `burst` and `people` are what `decisions.addressing` says of it; a
    `burst` of None was never looked at. Money in millionths of a dollar.
    """

    id: str
    created_at: datetime
    model_type: str
    model: str
    source: str
    origin: str
    prompt: str
    output: str
    system: str | None = None
    decision: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    room_id: str | None = None
    run_id: str | None = None
    entity_id: str | None = None
    provider: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: int | None = None
    cost_micros: int | None = None
    label: str | None = None
    feedback: str | None = None
    confidence: float | None = None
    corrected: str | None = None
    cut: str | None = None
    cached_tokens: int | None = None
    conversation: str | None = None
    reply_targets: str | None = None
    spoke_before: str | None = None
    burst: int | None = None
    people: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    seq: int = 0
    shape: str = ""
    identity: str = ""


@dataclass(frozen=True)
class SampleFilter:
    """Which samples: since <= created_at < until; `agent` is an id or a name; `limit` takes the newest so many.

    With `min_confidence` those that tell no confidence do not match. The label `none` is that of those without one.
    `decision` is what was answered, whatever a person put in its place.
    """

    model_types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    agent: str | None = None
    source: str | None = None
    origin: str | None = None
    label: str | None = None
    limit: int | None = None
    min_confidence: float | None = None
    room: str | None = None
    decision: str | None = None


EVERYTHING = SampleFilter()


@dataclass(frozen=True)
class SampleRange:
    """How many samples, and the times of the first and the last; no times when there are none."""

    count: int
    oldest: datetime | None
    newest: datetime | None


# The columns that hold a field as it is; the last three fields are made when writing or reading.
_PLAIN = tuple(part.name for part in fields(Sample) if part.name not in ("metadata", "seq", "shape", "identity"))
_STORED = (*_PLAIN, "metadata", "prompt_hash", "shape_hash", "prompt_chars", "output_chars")
_INSERT = (
    f"INSERT INTO samples({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))}) ON CONFLICT(id) DO NOTHING"
)
_INSERTS = {
    size: _INSERT.replace(") ON", ")" + f", ({', '.join('?' * len(_STORED))})" * (size - 1) + " ON")
    for size in (27, 8, 1)  # SQLite before 3.32 takes 999 parameters at the most
}
# SQLite gives a new row the number after the highest there is; where the highest is gone, it is the one after that.
_NEXT = """SELECT max(CAST(value AS INTEGER), coalesce((SELECT max(seq) FROM samples), 0)) + 1 FROM about
 WHERE name = 'last_seq' AND CAST(value AS INTEGER) > coalesce((SELECT max(seq) FROM samples), 0)"""
_INSERT_NEXT = _INSERT.replace("(id,", "(seq, id,", 1).replace("(?,", f"(({_NEXT}), ?,", 1)
_SELECT = f"SELECT {', '.join(_PLAIN)}, metadata, seq FROM samples"
_plain_of = attrgetter(*_PLAIN)
_encode = json.JSONEncoder(ensure_ascii=False).encode


def plain_columns() -> tuple[str, ...]:
    """The columns that hold a field of a sample as it is."""
    return _PLAIN


class Samples:
    """The samples in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def insert_many(self, samples: Sequence[Sample]) -> int:
        """Store samples in one transaction; how many were not there before."""
        try:
            rows = [_parameters(sample) for sample in samples]
            with self._store.transaction(exclusive=False) as connection:
                if self._store.numbers_may_return and next_number(connection) is not None:
                    return connection.executemany(_INSERT_NEXT, rows).rowcount
                return sum(
                    connection.execute(statement, parameters).rowcount for statement, parameters in _inserts(rows)
                )
        except UnicodeEncodeError as error:
            raise DataError(f"a sample holds text that is not valid Unicode: {error.reason}") from error

    def newest(self, model_type: str, *, answered_by_us: bool = True) -> datetime | None:
        """When a decision of a type was last taken, by our own model unless any counts."""
        whose = " AND source <> 'original'" if answered_by_us else ""
        row = self._store.row(f"SELECT max(created_at) FROM samples WHERE model_type=?{whose}", (model_type,))
        return from_ms(row[0]) if row is not None and row[0] is not None else None

    def newest_original(self, model_type: str) -> datetime | None:
        """The newest date of a type's decisions that the original provider answered."""
        row = self._store.row(
            "SELECT max(created_at) FROM samples WHERE model_type=? AND source <> 'slot'", (model_type,)
        )
        return from_ms(row[0]) if row is not None and row[0] is not None else None

    def get(self, sample_id: str) -> Sample | None:
        """The sample with this id."""
        row = self._store.row(f"{_SELECT} WHERE id=?", (sample_id,))
        return _sample(row) if row is not None else None

    def labelled(self) -> int:
        """How many samples somebody labelled."""
        return self._store.number("SELECT count(*) FROM samples WHERE label IS NOT NULL")

    def count(self, wanted: SampleFilter | None = None) -> int:
        """How many samples match."""
        wanted = wanted or SampleFilter()
        conditions, parameters = conditions_of(wanted)
        found = self._store.number(f"SELECT count(*) FROM samples {where(conditions)}", parameters)
        return found if wanted.limit is None else min(found, wanted.limit)

    def iterate(self, wanted: SampleFilter | None = None, *, after: int | None = None) -> Iterator[Sample]:
        """Stream the matching samples, oldest first; `after` (the `seq` of the last one seen) goes on behind it."""
        conditions, parameters = self.bounds(wanted or SampleFilter())
        if after is not None:
            conditions.append("(created_at, seq) > ((SELECT created_at FROM samples WHERE seq = :after), :after)")
            parameters |= {"after": after}
        for row in self._store.rows(f"{_SELECT} {where(conditions)} ORDER BY created_at, seq", parameters):
            yield _sample(row)

    def bounds(self, wanted: SampleFilter) -> tuple[list[str], dict[str, Value]]:
        """The filter as SQL conditions and their parameters, the limit being the place of the oldest within it."""
        return bounds_of(self._store, wanted)


class SampleReader(Protocol):
    """What is asked of samples that stand in a table: a store, or what was gathered of archives."""

    def rows(self, sql: str, parameters: Parameters = (), /) -> Iterator[Row]: ...

    def tuples(
        self, sql: str, parameters: Parameters = (), /, *, at_once: int = ...
    ) -> Iterator[list[tuple[Any, ...]]]: ...

    def row(self, sql: str, parameters: Parameters = (), /) -> Row | None: ...

    def number(self, sql: str, parameters: Parameters = (), /) -> int: ...

    def size_bytes(self) -> int: ...


def bounds_of(reader: SampleReader, wanted: SampleFilter) -> tuple[list[str], dict[str, Value]]:
    """The filter as SQL conditions and their parameters, the limit being the place of the oldest within it."""
    conditions, parameters = conditions_of(wanted)
    if wanted.limit is None:
        return conditions, parameters
    if wanted.limit <= 0:
        return [*conditions, "1 = 0"], parameters
    first = reader.row(
        f"SELECT created_at, seq FROM samples {where(conditions)}"
        " ORDER BY created_at DESC, seq DESC LIMIT 1 OFFSET :nth",
        {**parameters, "nth": wanted.limit - 1},
    )
    if first is not None:
        conditions.append("(created_at, seq) >= (:first_at, :first_seq)")
        parameters |= {"first_at": first[0], "first_seq": first[1]}
    return conditions, parameters


def _inserts(rows: Sequence[tuple[Value, ...]]) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """The statements that store rows, with their parameters: as few as can be, of few sizes.

    For each statement other threads are let run, and in a busy gateway the turn comes back only later.
    """
    start = 0
    for size, statement in _INSERTS.items():
        while len(rows) - start >= size:
            yield statement, tuple(chain.from_iterable(rows[start : start + size]))
            start += size


def next_number(connection: Connection) -> int | None:
    """The number the next new sample must be given; None when SQLite's own choice was never in use."""
    row = connection.execute(_NEXT).fetchone()
    return None if row is None else int(row[0])


def _parameters(sample: Sample) -> tuple[Value, ...]:
    sample_id, created_at, *plain = _plain_of(sample)
    metadata = _encode(sample.metadata) if sample.metadata else None
    return (sample_id, to_ms(created_at), *plain, metadata, *derived(sample))


def derived(sample: Sample) -> tuple[bytes, bytes, int, int]:
    """What is stored of a sample's texts beside them: hashes of prompt and shape, lengths of prompt and output."""
    return (
        text_hash(sample.identity or sample.prompt),
        masked_hash(sample.shape or sample.identity or sample.prompt),
        len(sample.prompt),
        len(sample.output),
    )


def _sample(row: Row) -> Sample:
    sample_id, created_at, *plain, metadata, seq = row
    return Sample(*[sample_id, from_ms(created_at), *plain, json.loads(metadata) if metadata else {}, seq])


def where(conditions: Sequence[str]) -> str:
    """Conditions as the end of a query."""
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def conditions_of(wanted: SampleFilter) -> tuple[list[str], dict[str, Value]]:
    """The filter as SQL conditions and their parameters; the limit is not part of it."""
    conditions: list[str] = []
    parameters: dict[str, Value] = {}
    types = {f"type{number}": name for number, name in enumerate(wanted.model_types)}
    if types:
        # One type is read in order from its index. For several the plus keeps that index out, since its use would
        # mean sorting whole rows; the index by time has them in order.
        column = "model_type" if len(types) == 1 else "+model_type"
        conditions.append(f"{column} IN ({', '.join(f':{name}' for name in types)})")
        parameters |= types
    for condition, name, value in (
        ("created_at >= :since", "since", to_ms(wanted.since) if wanted.since else None),
        ("created_at < :until", "until", to_ms(wanted.until) if wanted.until else None),
        (":agent IN (agent_id, agent_name)", "agent", wanted.agent),
        ("source = :source", "source", wanted.source),
        ("origin = :origin", "origin", wanted.origin),
        ("label IS NULL" if wanted.label == "none" else "label = :label", "label", wanted.label),
        ("confidence >= :min_confidence", "min_confidence", wanted.min_confidence),
        ("+room_id = :room", "room", wanted.room),  # a bare equality would be put into the expressions of indexes
        ("decision = :decision", "decision", wanted.decision),
    ):
        if value is not None:
            conditions.append(condition)
            parameters[name] = value
    return conditions, parameters
