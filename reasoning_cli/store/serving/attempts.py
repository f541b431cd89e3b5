"""What a slot's model said beside the answer the agent got: as a shadow, or before the original had to be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms

# Failures of a model that doubts itself. Who is asked after it answers, as the operator wanted it: that is no fault,
# and no answer either.
UNSURE = "not confident enough"
NO_PROBABILITIES = "tells no probabilities to be confident by"
NO_FAULT = (UNSURE, NO_PROBABILITIES)


@dataclass(frozen=True)
class AttemptRecord:
    """One answer of a slot's model that the agent did not get.

    It stands beside the sample `sample_id`, which holds the original's. `failure` is why the answer was no good, None
    for a shadow's good one; `agrees` whether it decided as the original did, None when one of them decided nothing.
    Of a head `why` is what it decided by, and `named` whether the message names somebody.
    """

    sample_id: str
    at: datetime
    model_type: str
    mode: str
    model: str
    deployment_key: str | None
    decision: str | None
    agrees: bool | None
    failure: str | None
    confidence: float | None
    latency_ms: int
    prompt_tokens: int | None
    completion_tokens: int | None
    output: str
    why: str | None = None
    named: bool | None = None


_COLUMNS = tuple(field.name for field in fields(AttemptRecord))
_INSERT = f"INSERT INTO attempts({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class Attempts:
    """The attempts in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def insert_many(self, attempts: Sequence[AttemptRecord]) -> int:
        """Keep attempts, in one transaction; their samples must be there."""
        if not attempts:
            return 0
        return self._store.write_many(_INSERT, [_parameters(attempt) for attempt in attempts], exclusive=False)

    def insert_missing(self, attempts: Sequence[AttemptRecord]) -> int:
        """The same where some may be there already: those of one sample are stored together."""
        known = {attempt.sample_id for attempt in attempts if self.of_sample(attempt.sample_id)}
        return self.insert_many([attempt for attempt in attempts if attempt.sample_id not in known])

    def of_sample(self, sample_id: str) -> list[AttemptRecord]:
        """What was tried beside one sample, in order."""
        return list(self._read("WHERE sample_id=? ORDER BY number", (sample_id,)))

    def newest(self, model_type: str) -> datetime | None:
        """When a model of a type was last asked as a shadow, or in vain."""
        row = self._store.row("SELECT max(at) FROM attempts WHERE model_type=?", (model_type,))
        return from_ms(row[0]) if row is not None and row[0] is not None else None

    def since(self, model_type: str, since: datetime) -> Iterator[AttemptRecord]:
        """The attempts of one type from a moment on, oldest first."""
        return self._read("WHERE model_type=? AND at>=? ORDER BY at, number", (model_type, to_ms(since)))

    def _read(self, tail: str, parameters: tuple[Value, ...]) -> Iterator[AttemptRecord]:
        for row in self._store.rows(f"SELECT {', '.join(_COLUMNS)} FROM attempts {tail}", parameters):
            values = dict(zip(_COLUMNS, row, strict=True))
            values["at"] = from_ms(values["at"])
            values["agrees"] = None if values["agrees"] is None else bool(values["agrees"])
            values["named"] = None if values["named"] is None else bool(values["named"])
            yield AttemptRecord(**values)


def _parameters(record: AttemptRecord) -> tuple[Value, ...]:
    return tuple(to_ms(record.at) if name == "at" else getattr(record, name) for name in _COLUMNS)
