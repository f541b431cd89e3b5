"""The ledger: what was running, at which price, when. Only ever added to; money is computed from it, never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.times import from_ms, to_ms

KnownBy = Literal["polled", "event", "inferred", "billing"]


@dataclass(frozen=True)
class Reading:
    """From `at` on, `ready_replicas` replicas were billed at this price each; `known_by` says how we know."""

    deployment_key: str
    at: datetime
    ready_replicas: int
    price_cents_per_hour: int
    state: str
    known_by: KnownBy


class Ledger:
    """The readings in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_readings(self, readings: Sequence[Reading]) -> int:
        """Add readings, all or none; how many were new. The same reading again changes nothing."""
        if not readings:
            return 0
        return self._store.write_many(
            "INSERT INTO readings(deployment_key, at, ready_replicas, price_cents_per_hour, state, known_by)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(deployment_key, at, known_by, ready_replicas) DO NOTHING",
            [
                (
                    reading.deployment_key,
                    to_ms(reading.at),
                    reading.ready_replicas,
                    reading.price_cents_per_hour,
                    reading.state,
                    reading.known_by,
                )
                for reading in readings
            ],
        )

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
        return [
            Reading(
                deployment_key=row["deployment_key"],
                at=from_ms(row["at"]),
                ready_replicas=row["ready_replicas"],
                price_cents_per_hour=row["price_cents_per_hour"],
                state=row["state"],
                known_by=row["known_by"],
            )
            for row in self._store.rows(f"SELECT * FROM readings{where} ORDER BY at, seq", parameters)
        ]
