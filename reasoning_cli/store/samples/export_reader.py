"""What an export reads: which samples in which order, what they share with each other, and their texts.

The choice reads indexes and small columns only; the texts are read a batch at a time, by number.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Literal, cast

from reasoning_cli.store.database import Parameters, Store
from reasoning_cli.store.samples.training_log import SampleFilter, SampleReader, bounds_of, where

Copies = Literal["exact", "near"]

_NUMBERS = 1000  # read at once
_HASHES: dict[Copies, str] = {"exact": "prompt_hash", "near": "shape_hash"}
# What could be trained on, as far as small columns tell.
USABLE = (
    "label IS NOT 'bad' AND (corrected IS NOT NULL OR decision IS NOT NULL)"  # of a cut answer no decision is stored
)

# seq, created_at, model_type, label, corrected, decision, system, output, the prompt in UTF-8 (it is long, and most go
# into a file without ever being a str), cut, conversation, metadata
TextRow = tuple[
    int,
    int,
    str,
    str | None,
    str | None,
    str | None,
    str | None,
    str,
    bytes,
    str | None,
    str | None,
    str | None,
]


class ExportRows:
    """The samples of one export in a store, or of what was gathered of archives."""

    def __init__(self, store: SampleReader, wanted: SampleFilter) -> None:
        self._store = store
        self._conditions, self._parameters = bounds_of(store, wanted)

    def count(self) -> int:
        """How many match."""
        return self._store.number(f"SELECT count(*) FROM samples {where(self._conditions)}", self._parameters)

    def has_conversations(self) -> bool:
        """Whether any that match came with a conversation, which may hold calls of tools."""
        conditions = [*self._conditions, "model_type = 'coding'", "conversation IS NOT NULL"]
        return self._store.row(f"SELECT 1 FROM samples {where(conditions)} LIMIT 1", self._parameters) is not None

    def numbers(self) -> Generator[list[int]]:
        """The numbers of the matching samples, oldest first, some hundreds at a time."""
        sql = f"SELECT seq FROM samples {where(self._conditions)} ORDER BY created_at, seq"
        for rows in self._store.tuples(sql, self._parameters, at_once=_NUMBERS):
            yield [number for (number,) in rows]

    def drawn(self, count: int, seed: int) -> list[int]:
        """The numbers of so many of the matching samples that can be used, by lot: in one pass, and the same ones for a
        seed as long as none come or go. Of what was gathered alone."""
        sql = f"SELECT seq FROM samples {where([*self._conditions, USABLE])} ORDER BY md5(id || :lot), seq LIMIT :drawn"
        parameters = {**self._parameters, "lot": f" {seed}", "drawn": count}
        return [row[0] for row in self._store.rows(sql, parameters)]

    def span(self) -> tuple[int, int]:
        """The smallest and the largest number in the table; 1 and 0 when it is empty."""
        row = self._store.row("SELECT (SELECT min(seq) FROM samples), (SELECT max(seq) FROM samples)")
        return (row[0], row[1]) if row is not None and row[0] is not None else (1, 0)

    def copies(self, kind: Copies) -> Generator[int]:
        """The numbers of the matching samples that are copies of another one, which is kept.

        Of each group that is a labelled one, else one whose answer can be used, else the newest. Which hashes come
        more than once an index tells, so that of the rows only theirs are read.
        """
        column = _HASHES[kind]
        group_of = f"model_type, {column}"
        several = (
            f"({group_of}) IN (SELECT {group_of} FROM samples {where(self._conditions)}"
            f" GROUP BY {group_of} HAVING count(*) > 1)"
        )
        before: tuple[str, bytes] | None = None
        for seq, model_type, value in self._store.rows(
            f"SELECT seq, model_type, {column} FROM samples {where([*self._conditions, several])}"
            f" ORDER BY model_type, {column}, (label = 'bad') IS TRUE, label IS NULL,"
            " corrected IS NULL AND decision IS NULL, created_at DESC, seq DESC",
            self._parameters,
        ):
            group = (model_type, value)
            if group == before:
                yield seq
            before = group

    def shared(self, kind: Copies) -> Generator[tuple[int, bytes, str | None, bool]]:
        """Number, hash, room and use of the matching samples, those of one hash together, of whatever type."""
        column = _HASHES[kind]
        for row in self._store.rows(
            f"SELECT seq, {column}, room_id, {USABLE} FROM samples {where(self._conditions)} ORDER BY {column}",
            self._parameters,
        ):
            yield row[0], row[1], row[2], bool(row[3])

    def decisions(self) -> Generator[tuple[int, str, str | None, str | None]]:
        """Number, type, decision and correction of the matching samples that can be used, oldest first."""
        for row in self._store.rows(
            f"SELECT seq, model_type, decision, corrected FROM samples {where([*self._conditions, USABLE])}"
            " ORDER BY created_at, seq",
            self._parameters,
        ):
            yield row[0], row[1], row[2], row[3]


def texts(store: Store, numbers: Sequence[int]) -> list[TextRow]:
    """The samples with these numbers, in that order; those that were deleted meanwhile are not there.

    Those of a range that goes up by one are read as they lie in the file.
    """
    if isinstance(numbers, range):
        source = "samples AS s WHERE s.seq BETWEEN ? AND ? ORDER BY s.seq"
        parameters: Parameters = (numbers[0], numbers[-1])
    else:
        source = "json_each(?) AS chosen CROSS JOIN samples AS s ON s.seq = chosen.value"
        parameters = (json.dumps(numbers),)
    found = store.tuples(
        "SELECT s.seq, s.created_at, s.model_type, s.label, s.corrected, s.decision, s.system, s.output,"
        " CAST(s.prompt AS BLOB), s.cut, s.conversation, CASE WHEN s.model_type = 'coding' THEN s.metadata END"
        f" FROM {source}",
        parameters,
        at_once=max(1, len(numbers)),
    )
    return [cast(TextRow, row) for rows in found for row in rows]
