"""A page of the training log, newest first, read in the order of an index whatever it is filtered by."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples, where
from reasoning_cli.store.timestamps import from_ms
from reasoning_cli.values import MODEL_TYPES

# Of a longer prompt only so much is read for a listing: the end, where the received message stands; of code, whose
# prompt is all message, the beginning.
TAIL_CHARS = 20_000

_COLUMNS = (
    "seq, samples.id, created_at, model_type, decision, corrected, label, agent_id, agent_name, room_id, source,"
    " origin, model, prompt_tokens, completion_tokens, latency_ms, cost_micros, confidence"
)
_TAIL = (
    f"CASE WHEN prompt_chars <= {TAIL_CHARS} THEN prompt WHEN model_type = 'coding'"
    f" THEN substr(prompt, 1, {TAIL_CHARS}) ELSE substr(prompt, -{TAIL_CHARS}) END"
)


@dataclass(frozen=True)
class SampleRow:
    """What a listing shows of a sample. `tail` is what of its prompt says what it is about, None when it was not asked
    for."""

    seq: int
    id: str
    created_at: datetime
    model_type: str
    decision: str | None
    corrected: str | None
    label: str | None
    agent_id: str | None
    agent_name: str | None
    room_id: str | None
    source: str
    origin: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: int | None
    cost_micros: int | None
    confidence: float | None
    tail: str | None


class Pages:
    """The samples of a store, a page at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self, wanted: SampleFilter, *, after: int | None = None, limit: int = -1, with_tail: bool = True
    ) -> list[SampleRow]:
        """At most `limit` samples (all with -1), newest first; those behind `after`, the `seq` of the last one seen."""
        found = self._stream(f"{_COLUMNS}, {_TAIL if with_tail else 'NULL'}", wanted, after, limit)
        return [_row(columns) for columns in islice(found, _most(limit))]

    def numbers(self, wanted: SampleFilter, *, after: int | None = None, limit: int = -1) -> Iterator[int]:
        """The numbers of the same, without reading more than an index where one is enough."""
        for row in islice(self._stream("seq, samples.id, created_at", wanted, after, limit), _most(limit)):
            yield row[0]

    def ids(self, wanted: SampleFilter, *, after: int | None = None, limit: int = -1) -> Iterator[str]:
        """The ids of the same."""
        for row in islice(self._stream("seq, samples.id, created_at", wanted, after, limit), _most(limit)):
            yield row[1]

    def ids_like(self, prefix: str, most: int = 5) -> list[str]:
        """The ids that begin with `prefix`, at most so many; one that is the whole of it comes first."""
        return [
            row[0]
            for row in self._store.rows(
                "SELECT id FROM samples WHERE id >= :prefix AND id < :end ORDER BY id LIMIT :most",
                {"prefix": prefix, "end": f"{prefix}{chr(0x10FFFF)}", "most": most},
            )
        ]

    def distinct_length(self, sample_id: str) -> int:
        """How many characters of an id tell it from all others."""
        row = self._store.row(
            "SELECT (SELECT max(id) FROM samples WHERE id < :id), (SELECT min(id) FROM samples WHERE id > :id)",
            {"id": sample_id},
        )
        others = [other for other in (row or ()) if other is not None]
        return 1 + max((_shared(sample_id, other) for other in others), default=0)

    def _stream(self, columns: str, wanted: SampleFilter, after: int | None, limit: int) -> Iterator[tuple[Any, ...]]:
        conditions, parameters = Samples(self._store).bounds(wanted)
        if after is not None:
            conditions.append("(created_at, seq) < ((SELECT created_at FROM samples WHERE seq = :after), :after)")
        parameters |= {"after": after, "page": limit}
        streams = [
            (
                tuple(row)
                for row in self._store.rows(
                    f"SELECT {columns} FROM samples INDEXED BY {index} {where([*conditions, *lead])}"
                    " ORDER BY created_at DESC, seq DESC LIMIT :page",
                    parameters,
                )
            )
            for index, lead in _roads(wanted)
        ]
        return heapq.merge(*streams, key=lambda row: (row[2], row[0]), reverse=True)


def sample_rows(store: Store, numbers: Sequence[int]) -> list[SampleRow]:
    """The samples with these numbers, in that order, without their prompts."""
    rows = store.rows(
        f"SELECT {_COLUMNS}, NULL FROM json_each(:numbers) AS wanted CROSS JOIN samples ON seq = wanted.value",
        {"numbers": json.dumps(numbers)},
    )
    return [_row(tuple(row)) for row in rows]


def _row(columns: Sequence[Any]) -> SampleRow:
    seq, sample_id, at, *rest = columns
    return SampleRow(seq, sample_id, from_ms(at), *rest)


def _roads(wanted: SampleFilter) -> list[tuple[str, list[str]]]:
    """The index (or the several, which share no row) to read by, and the conditions that it needs spelt its way."""
    if wanted.label is not None and wanted.label != "none":
        return [("samples_label", [])]
    if wanted.room is not None:
        return [("samples_room_time", ["substr(room_id, 1, 8) = substr(:room, 1, 8)"])]
    if wanted.decision is not None:
        types = [name for name in MODEL_TYPES if name in (wanted.model_types or MODEL_TYPES)]
        return [("samples_decision", [f"model_type = '{name}'"]) for name in types]
    if wanted.agent is not None:
        return [
            ("samples_agent_time", ["substr(agent_id, 1, 8) = substr(:agent, 1, 8)", "+agent_id = :agent"]),
            (
                "samples_name_time",
                ["substr(agent_name, 1, 8) = substr(:agent, 1, 8)", "+agent_name = :agent", "+agent_id IS NOT :agent"],
            ),
        ]
    if wanted.source is not None:
        return [("samples_source_time", [])]
    return [("samples_type_time" if len(wanted.model_types) == 1 else "samples_time", [])]


def _most(limit: int) -> int | None:
    return None if limit < 0 else limit


def _shared(first: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return next(
        (at for at, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), min(len(first), len(other))
    )
