"""Fine-tuning jobs as last seen, and what they cost. Kept when Together forgets them: the money is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms

NANO_DOLLARS_PER_CENT = 10_000_000


@dataclass(frozen=True)
class FineTuneRecord:
    """One job; `model_type` is what it was trained for, None when nobody knows. What has no price yet costs nothing."""

    id: str
    created_at: datetime
    model_type: str | None
    name: str
    model: str | None
    status: str
    cost_nano_dollars: int

    @property
    def cents(self) -> Decimal:
        return Decimal(self.cost_nano_dollars) / NANO_DOLLARS_PER_CENT


_COLUMNS = tuple(field.name for field in fields(FineTuneRecord))
# A type that is known once stays known. A job whose time is not told began when it was first seen.
_UPSERT = (
    f"INSERT INTO fine_tunes({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT(id) DO UPDATE SET status=excluded.status, cost_nano_dollars=excluded.cost_nano_dollars,"
    " name=excluded.name, model_type=coalesce(fine_tunes.model_type, excluded.model_type)"
    " WHERE fine_tunes.status<>excluded.status OR fine_tunes.cost_nano_dollars<>excluded.cost_nano_dollars"
    " OR fine_tunes.name<>excluded.name OR (fine_tunes.model_type IS NULL AND excluded.model_type IS NOT NULL)"
)


class FineTunes:
    """The fine-tuning jobs in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, jobs: Sequence[FineTuneRecord]) -> None:
        """Write down jobs as they are now; what did not change writes nothing."""
        known = {record.id: record for record in self.all()}
        new = [job for job in jobs if known.get(job.id) != job]
        if new:
            self._store.write_many(
                _UPSERT,
                [
                    tuple(to_ms(job.created_at) if name == "created_at" else getattr(job, name) for name in _COLUMNS)
                    for job in new
                ],
            )

    def all(self, since: datetime | None = None, until: datetime | None = None) -> list[FineTuneRecord]:
        """Jobs made with since <= created_at < until, oldest first."""
        rows = self._store.rows(
            f"SELECT {', '.join(_COLUMNS)} FROM fine_tunes"
            " WHERE created_at >= coalesce(:since, created_at) AND created_at < coalesce(:until, created_at + 1)"
            " ORDER BY created_at, id",
            {"since": to_ms(since) if since else None, "until": to_ms(until) if until else None},
        )
        return [FineTuneRecord(job_id, from_ms(at), *rest) for job_id, at, *rest in rows]

    def cents(self, since: datetime, model_type: str | None = None) -> Decimal:
        """What the jobs made since then cost, all or those of one model type."""
        nano_dollars = self._store.number(
            "SELECT sum(cost_nano_dollars) FROM fine_tunes WHERE created_at >= ? AND ? IN (model_type, '')",
            (to_ms(since), model_type or ""),
        )
        return Decimal(nano_dollars) / NANO_DOLLARS_PER_CENT
