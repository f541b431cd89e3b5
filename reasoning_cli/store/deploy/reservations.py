"""Money that is promised to a request under way: it counts as spent before the service can have heard of it.

A reservation is written in the transaction that decides for it, so of several programs, on whatever hosts, each sees
those of the others. It stands until what it was for is seen at the service; one whose holder died, or who never learned
what became of its request, for a quarter of an hour. The clock of that is the one they all have: the store's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reasoning_cli.store.database import Connection, Store
from reasoning_cli.store.timestamps import from_ms, to_ms

LASTS = timedelta(minutes=15)


@dataclass(frozen=True)
class Reservation:
    """Cents an hour of a deployment, or cents once of something else, named by `subject`: a deployment's key, or words.

    `seen_at` is when on the service's clock what it was for had been done, as the one that asked for it saw.
    """

    key: str
    subject: str
    model_type: str | None
    cents_per_hour: int = 0
    cents: int = 0
    seen_at: datetime | None = None


class Reservations:
    """The reservations in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, connection: Connection, reservation: Reservation) -> None:
        """Reserve, in the transaction that found room for it; what stands no more is cleared away."""
        now = self._store.clock()
        connection.execute("DELETE FROM reservations WHERE until <= ?", (to_ms(now),))
        connection.execute(
            "INSERT INTO reservations(key, subject, model_type, cents_per_hour, cents, until)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                reservation.key,
                reservation.subject,
                reservation.model_type,
                reservation.cents_per_hour,
                reservation.cents,
                to_ms(now + LASTS),
            ),
        )

    def standing(self) -> list[Reservation]:
        """Those that stand, but for what was seen of their deployments since."""
        return [
            Reservation(
                row["key"],
                row["subject"],
                row["model_type"],
                row["cents_per_hour"],
                row["cents"],
                from_ms(row["seen_at"]) if row["seen_at"] is not None else None,
            )
            for row in self._store.rows("SELECT * FROM reservations WHERE until > ?", (to_ms(self._store.clock()),))
        ]

    def settle(self, key: str, seen_at: datetime) -> None:
        """What it was for has been done, and was seen: it counts by that from the next look on."""
        self._store.write("UPDATE reservations SET seen_at = ? WHERE key = ?", (to_ms(seen_at), key))

    def release(self, key: str) -> None:
        """Nothing came of it, or it counts by itself now."""
        self._store.write("DELETE FROM reservations WHERE key = ?", (key,))

    def release_settled(self, subject: str) -> None:
        """What was done has been undone; what somebody is asking for at this moment still counts."""
        self._store.write("DELETE FROM reservations WHERE subject = ? AND seen_at IS NOT NULL", (subject,))
