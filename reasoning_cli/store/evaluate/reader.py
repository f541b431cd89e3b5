"""What an evaluation reads of the log: small columns to choose by, then the texts a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples, where


class ChoiceRow(NamedTuple):
    """What the choice is made by. `corrected` is there for samples that a person labelled corrected."""

    seq: int
    created_at: int
    source: str
    label: str | None
    shape_hash: bytes
    prompt_tokens: int | None
    completion_tokens: int | None
    prompt_chars: int
    output_chars: int
    corrected: str | None


class AskedRow(NamedTuple):
    """One sample as it is replayed and compared; `tests` of its metadata are a program that tests an answer's code.
    `reply_targets` and `people` are those of the sample."""

    seq: int
    model: str
    source: str
    label: str | None
    latency_ms: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_micros: int | None
    corrected: str | None
    tests: str | None
    system: str | None
    output: str
    prompt: str
    reply_targets: str | None = None
    people: int | None = None


# The correction stands behind the prompt in a row, so it is read of labelled ones alone.
_CHOICE = ", ".join(ChoiceRow._fields[:-1]) + ", CASE WHEN label = 'corrected' THEN corrected END"


class EvaluationRows:
    """The samples of a store, for evaluations of one model type."""

    def __init__(self, store: Store, model_type: str) -> None:
        self._store, self._model_type = store, model_type

    def matching(self, wanted: SampleFilter) -> Iterator[ChoiceRow]:
        """The samples that a filter matches, oldest first."""
        conditions, parameters = Samples(self._store).bounds(wanted)
        # What came before an answer in a conversation with tools cannot be asked again by a prompt alone.
        conditions.append("conversation IS NULL")
        query = f"SELECT {_CHOICE} FROM samples {where(conditions)} ORDER BY created_at, seq"
        return (ChoiceRow(*row) for row in self._store.rows(query, parameters))

    def numbered(self, numbers: Sequence[int]) -> Iterator[ChoiceRow]:
        """The samples with these numbers, in that order."""
        return (
            ChoiceRow(*row)
            for row in self._store.rows(
                f"SELECT {_CHOICE} FROM json_each(?) AS wanted CROSS JOIN samples ON seq = wanted.value",
                (json.dumps(list(numbers)),),
            )
        )

    def texts(self, numbers: Sequence[int]) -> list[AskedRow]:
        """The samples with these numbers, in that order; those that were deleted meanwhile are not there."""
        columns = ", ".join(AskedRow._fields).replace("tests", "json_extract(metadata, '$.tests')")
        # A cut answer is nobody's truth.
        columns = columns.replace("output", "CASE WHEN cut IS NULL THEN output ELSE '' END")
        return [
            AskedRow(*row)
            for row in self._store.rows(
                f"SELECT {columns} FROM json_each(?) AS wanted CROSS JOIN samples ON seq = wanted.value",
                (json.dumps(list(numbers)),),
            )
        ]

    def near_copies(self, row: ChoiceRow) -> list[int]:
        """The samples that differ from one in clocks, ids and numbers at most, without itself."""
        query = "SELECT seq FROM samples WHERE model_type = ? AND shape_hash = ? AND seq <> ?"
        return [found[0] for found in self._store.rows(query, (self._model_type, row.shape_hash, row.seq))]
