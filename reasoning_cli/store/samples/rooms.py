"""The decisions of one room in the order of time, without their texts, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms

ANSWERED, STOPPED = "answered", "stopped"


@dataclass(frozen=True)
class RoomRow:
    """One decision: `entity_id` is who wrote the message it was about, `feedback` what is known to have come of it."""

    seq: int
    created_at: datetime
    model_type: str
    decision: str | None
    run_id: str | None
    entity_id: str | None
    feedback: str | None


class Rooms:
    """The rooms in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, room_id: str, since: datetime, until: datetime) -> Iterator[RoomRow]:
        """The decisions of a room from `since` to `until`, both included. Coding has no part in a conversation."""
        for row in self._store.rows(
            "SELECT seq, created_at, model_type, decision, run_id, entity_id, feedback FROM samples"
            # The index holds the first eight characters; a bare equality would be put into its expression.
            " WHERE substr(room_id, 1, 8) = :start AND +room_id = :room"
            " AND created_at BETWEEN :since AND :until AND model_type <> 'coding' ORDER BY created_at, seq",
            {"start": room_id[:8], "room": room_id, "since": to_ms(since), "until": to_ms(until)},
        ):
            seq, created_at, *rest = row
            yield RoomRow(seq, from_ms(created_at), *rest)

    def set_feedback(self, changes: Iterable[tuple[int, str | None]]) -> int:
        """Say what came of decisions, by their numbers; other feedback than ours stays. How many were changed."""
        parameters: Sequence[tuple[str | None, int]] = [(feedback, seq) for seq, feedback in changes]
        if not parameters:
            return 0
        return self._store.write_many(
            "UPDATE samples SET feedback=? WHERE seq=?"
            f" AND (feedback IS NULL OR feedback IN ('{ANSWERED}', '{STOPPED}'))",
            parameters,
        )
