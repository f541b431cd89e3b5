"""The training log: one row a decision. Streams in and out, so a million rows need no more memory than one."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import blake2b

from reasoning_cli.errors import DataError
from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.times import from_ms, to_ms

# Deleting so many rows holds the write lock for some tens of milliseconds.
DELETE_BATCH = 2000

_CHANGING = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\d+")


@dataclass(frozen=True)
class Sample:
    """One decision: what was asked, what was answered, by whom.

    `id` is stable, so storing the same decision again changes nothing. `source` is who answered (`original`, `slot`,
    `fallback`), `origin` where the row came from (`elizaos-logs`, `gateway`). `prompt` and `output` are the exact
    texts; `decision` is what was read out of the output, None when it could not be read. `seq` is the row's number
    in this database, 0 before it is stored. Money in millionths of a dollar.
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
    metadata: Mapping[str, object] = field(default_factory=dict)
    seq: int = 0


@dataclass(frozen=True)
class SampleFilter:
    """Which samples: since <= created_at < until; `agent` is an id or a name; `limit` takes the newest so many."""

    model_types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    agent: str | None = None
    source: str | None = None
    origin: str | None = None
    label: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class SampleRange:
    """How many samples, and the times of the first and the last; no times when there are none."""

    count: int
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True)
class TypeFigures:
    """What is stored of one model type.

    `decisions` counts by what was decided, without the `unparsed`; `repeats` are rows whose prompt was seen before,
    `near_repeats` those whose prompt differs from one seen before in numbers and ids alone. Lengths in characters.
    """

    range: SampleRange
    last_day: int
    decisions: Mapping[str, int]
    unparsed: int
    sources: Mapping[str, int]
    labels: Mapping[str, int]
    repeats: int
    near_repeats: int
    mean_prompt_chars: int
    max_prompt_chars: int
    mean_output_chars: int
    max_output_chars: int


@dataclass(frozen=True)
class Traffic:
    """The decisions of one type that one model answered: how many, how many of them with token counts, which sums,
    and the characters (prompt with system text, and output) of those without."""

    model_type: str
    source: str
    model: str
    decisions: int
    counted: int
    prompt_tokens: int
    completion_tokens: int
    uncounted_prompt_chars: int
    uncounted_output_chars: int


@dataclass(frozen=True)
class SampleFigures:
    """What the training log holds; `last_day` counts the last 24 hours."""

    range: SampleRange
    last_day: int
    by_type: Mapping[str, TypeFigures]
    size_bytes: int


# The columns that hold a field as it is; the last two fields are made when writing or reading.
_PLAIN = tuple(part.name for part in fields(Sample) if part.name not in ("metadata", "seq"))
_STORED = (*_PLAIN, "metadata", "prompt_hash", "shape_hash", "prompt_chars", "output_chars")
_INSERT = (
    f"INSERT INTO samples({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))}) ON CONFLICT(id) DO NOTHING"
)
_SELECT = f"SELECT {', '.join(_PLAIN)}, metadata, seq FROM samples"
_BEFORE = "FROM samples WHERE created_at < ?"


class Samples:
    """The samples in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def insert_many(self, samples: Sequence[Sample]) -> int:
        """Store samples in one transaction; how many were not there before."""
        try:
            return self._store.write_many(_INSERT, [_parameters(sample) for sample in samples])
        except UnicodeEncodeError as error:
            raise DataError(f"a sample holds text that is not valid Unicode: {error.reason}") from error

    def newest(self, model_type: str, *, answered_by_us: bool = True) -> datetime | None:
        """When a decision of a type was last taken, by our own model unless any counts."""
        whose = " AND source <> 'original'" if answered_by_us else ""
        row = self._store.row(f"SELECT max(created_at) FROM samples WHERE model_type=?{whose}", (model_type,))
        return from_ms(row[0]) if row is not None and row[0] is not None else None

    def get(self, sample_id: str) -> Sample | None:
        """The sample with this id."""
        row = self._store.row(f"{_SELECT} WHERE id=?", (sample_id,))
        return _sample(row) if row is not None else None

    def count(self, wanted: SampleFilter | None = None) -> int:
        """How many samples match."""
        wanted = wanted or SampleFilter()
        conditions, parameters = _conditions(wanted)
        found = self._store.number(f"SELECT count(*) FROM samples {_where(conditions)}", parameters)
        return found if wanted.limit is None else min(found, wanted.limit)

    def iterate(self, wanted: SampleFilter | None = None, *, after: int | None = None) -> Iterator[Sample]:
        """Stream the matching samples, oldest first; `after` (the `seq` of the last one seen) goes on behind it."""
        wanted = wanted or SampleFilter()
        conditions, parameters = _conditions(wanted)
        if wanted.limit is not None:
            if wanted.limit <= 0:
                return
            first = self._store.row(
                f"SELECT created_at, seq FROM samples {_where(conditions)}"
                " ORDER BY created_at DESC, seq DESC LIMIT 1 OFFSET :nth",
                {**parameters, "nth": wanted.limit - 1},
            )
            if first is not None:
                conditions.append("(created_at, seq) >= (:first_at, :first_seq)")
                parameters |= {"first_at": first["created_at"], "first_seq": first["seq"]}
        if after is not None:
            conditions.append("(created_at, seq) > ((SELECT created_at FROM samples WHERE seq = :after), :after)")
            parameters |= {"after": after}
        for row in self._store.rows(f"{_SELECT} {_where(conditions)} ORDER BY created_at, seq", parameters):
            yield _sample(row)

    def traffic(self, since: datetime, until: datetime) -> list[Traffic]:
        """Who answered how much from `since` to `until`, the most first."""
        known = "prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL"
        rows = self._store.rows(
            f"SELECT model_type, source, model, count(*) AS decisions, sum({known}),"
            f" coalesce(sum(iif({known}, prompt_tokens, 0)), 0), coalesce(sum(iif({known}, completion_tokens, 0)), 0),"
            f" sum(iif({known}, 0, prompt_chars + coalesce(length(system), 0))), sum(iif({known}, 0, output_chars))"
            " FROM samples WHERE created_at >= ? AND created_at < ? GROUP BY model_type, source, model"
            " ORDER BY decisions DESC, model_type, source, model",
            (to_ms(since), to_ms(until)),
        )
        return [Traffic(*row) for row in rows]

    def figures(self, day_ago: datetime) -> SampleFigures:
        """Counts, ranges, decisions, lengths and repeats; answered from indexes, without reading a prompt."""
        rows = self._store.rows
        decisions = _counts(rows("SELECT model_type, decision, count(*) FROM samples GROUP BY model_type, decision"))
        sources = _counts(rows("SELECT model_type, source, count(*) FROM samples GROUP BY model_type, source"))
        labels = _counts(
            rows("SELECT model_type, label, count(*) FROM samples WHERE label IS NOT NULL GROUP BY model_type, label")
        )
        prompts, shapes = (
            {
                row[0]: int(row[1])
                for row in rows(f"SELECT model_type, count(DISTINCT {hashed}) FROM samples GROUP BY 1")
            }
            for hashed in ("prompt_hash", "shape_hash")
        )
        by_type: dict[str, TypeFigures] = {}
        for row in rows(
            "SELECT model_type, count(*) AS total, sum(created_at >= ?) AS last_day,"
            " min(created_at) AS oldest, max(created_at) AS newest,"
            " avg(prompt_chars) AS mean_prompt, max(prompt_chars) AS max_prompt,"
            " avg(output_chars) AS mean_output, max(output_chars) AS max_output"
            " FROM samples GROUP BY model_type ORDER BY model_type",
            (to_ms(day_ago),),
        ):
            name = str(row["model_type"])
            decided = dict(decisions.get(name, {}))
            by_type[name] = TypeFigures(
                range=_range(row),
                last_day=row["last_day"],
                unparsed=decided.pop(None, 0),
                decisions={str(decision): count for decision, count in decided.items()},
                sources={str(source): count for source, count in sources.get(name, {}).items()},
                labels={str(label): count for label, count in labels.get(name, {}).items()},
                repeats=row["total"] - prompts[name],
                near_repeats=row["total"] - shapes[name],
                mean_prompt_chars=round(row["mean_prompt"]),
                max_prompt_chars=row["max_prompt"],
                mean_output_chars=round(row["mean_output"]),
                max_output_chars=row["max_output"],
            )
        ranges = [figures.range for figures in by_type.values()]
        return SampleFigures(
            range=SampleRange(
                count=sum(part.count for part in ranges),
                oldest=min((part.oldest for part in ranges if part.oldest), default=None),
                newest=max((part.newest for part in ranges if part.newest), default=None),
            ),
            last_day=sum(figures.last_day for figures in by_type.values()),
            by_type=by_type,
            size_bytes=self._store.size_bytes(),
        )

    def range_before(self, moment: datetime) -> SampleRange:
        """How many samples are older than `moment`, and from when to when."""
        row = self._store.row(
            f"SELECT count(*) AS total, min(created_at) AS oldest, max(created_at) AS newest {_BEFORE}",
            (to_ms(moment),),
        )
        return _range(row) if row is not None else SampleRange(0, None, None)

    def delete_before(self, moment: datetime) -> Iterator[int]:
        """Delete the samples older than `moment` a batch at a time, yielding how many are gone so far.

        Others can write between two batches; the space goes back to the file system in the same small steps.
        """
        gone = 0
        while batch := self._store.write(
            f"DELETE FROM samples WHERE seq IN (SELECT seq {_BEFORE} ORDER BY created_at LIMIT ?)",
            (to_ms(moment), DELETE_BATCH),
        ):
            self._store.give_back_space()
            gone += batch
            yield gone
        self._store.shorten_log()


def _parameters(sample: Sample) -> tuple[Value, ...]:
    plain = (to_ms(sample.created_at) if name == "created_at" else getattr(sample, name) for name in _PLAIN)
    return (
        *plain,
        json.dumps(sample.metadata, ensure_ascii=False) if sample.metadata else None,
        _hash(sample.prompt),
        _hash(_CHANGING.sub("0", sample.prompt)),
        len(sample.prompt),
        len(sample.output),
    )


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def _sample(row: sqlite3.Row) -> Sample:
    sample_id, created_at, *plain, metadata, seq = row
    return Sample(*[sample_id, from_ms(created_at), *plain, json.loads(metadata) if metadata else {}, seq])


def _where(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _conditions(wanted: SampleFilter) -> tuple[list[str], dict[str, Value]]:
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
        ("label = :label", "label", wanted.label),
    ):
        if value is not None:
            conditions.append(condition)
            parameters[name] = value
    return conditions, parameters


def _counts(rows: Iterator[sqlite3.Row]) -> dict[str, dict[str | None, int]]:
    """Rows of (model type, value, count), nested; the most frequent value first."""
    nested: dict[str, dict[str | None, int]] = {}
    for model_type, value, count in sorted(rows, key=lambda row: -int(row[2])):
        nested.setdefault(model_type, {})[value] = count
    return nested


def _range(row: sqlite3.Row) -> SampleRange:
    oldest, newest = row["oldest"], row["newest"]
    return SampleRange(
        row["total"],
        None if oldest is None else from_ms(oldest),
        None if newest is None else from_ms(newest),
    )
