"""The ledger: what was running, at which price, when. Money is computed from it, never stored.

It is only ever added to, but for one thing: of looks that saw the same, one after another, the first and the last stay.
They say as much, and a loop that looks every minute for a year leaves a ledger as short as what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms

KnownBy = Literal["polled", "event", "inferred", "billing"]


@dataclass(frozen=True)
class Reading:
    """From `at` on, `ready_replicas` replicas were billed at this price each; `known_by` says how we know.

    `least_replicas` and `most_replicas` are set when nobody can tell what was ready since the reading before: anything
    between the two. `price_seen` is false when the price is that of an earlier reading, and was not looked up.
    """

    deployment_key: str
    at: datetime
    ready_replicas: int
    price_cents_per_hour: int
    state: str
    known_by: KnownBy
    least_replicas: int | None = None
    most_replicas: int | None = None
    price_seen: bool = True


_COLUMNS = tuple(field.name for field in fields(Reading))
_INSERT = (
    f"INSERT INTO readings({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT(deployment_key, at, known_by, ready_replicas) DO UPDATE"
    " SET price_cents_per_hour=excluded.price_cents_per_hour, price_seen=1"
    " WHERE excluded.price_seen > readings.price_seen"
)
# The last reading but one, when the one before and the one after it are looks that saw exactly the same.
_FORGET_THE_MIDDLE = """
WITH three AS (SELECT * FROM readings WHERE deployment_key=:key ORDER BY at DESC, seq DESC LIMIT 3)
DELETE FROM readings WHERE seq = (SELECT seq FROM three ORDER BY at DESC, seq DESC LIMIT 1 OFFSET 1)
  AND (SELECT sum(CASE WHEN known_by = 'polled' AND price_seen = 1 THEN 1 END) = 3 AND max(most_replicas) IS NULL
       AND min(ready_replicas) = max(ready_replicas) AND min(price_cents_per_hour) = max(price_cents_per_hour)
       AND min(state) = max(state) FROM three)
"""
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM readings"


class Ledger:
    """The readings in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_readings(self, readings: Sequence[Reading]) -> int:
        """Add readings, all or none; how many were new. The same reading again adds no more than its price."""
        if not readings:
            return 0
        new = self._store.write_many(
            _INSERT,
            [
                tuple(to_ms(reading.at) if name == "at" else getattr(reading, name) for name in _COLUMNS)
                for reading in readings
            ],
        )
        for key in {reading.deployment_key for reading in readings}:
            self._store.write(_FORGET_THE_MIDDLE, {"key": key})
        return new

    def last(self, deployment_key: str) -> Reading | None:
        """The newest reading of a deployment."""
        row = self._store.row(f"{_SELECT} WHERE deployment_key=? ORDER BY at DESC, seq DESC LIMIT 1", (deployment_key,))
        return _reading(row) if row is not None else None

    def readings(
        self, deployment_key: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> list[Reading]:
        """Readings with since <= at < until, in the order of time."""
        conditions: list[str] = []
        parameters: list[Value] = []
        for condition, value in (
            ("deployment_key = ?", deployment_key),
            ("at >= ?", to_ms(since) if since else None),
            ("at < ?", to_ms(until) if until else None),
        ):
            if value is not None:
                conditions.append(condition)
                parameters.append(value)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return [_reading(row) for row in self._store.rows(f"{_SELECT}{where} ORDER BY at, seq", parameters)]


def _reading(row: Row) -> Reading:
    key, at, ready, price, state, known_by, least, most, price_seen = row
    return Reading(key, from_ms(at), ready, price, state, known_by, least, most, bool(price_seen))
