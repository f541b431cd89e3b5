"""What the operator and the guard did, and why: the answer to "who stopped my model at 3 in the morning"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.times import from_ms, to_ms


@dataclass(frozen=True)
class Event:
    """`actor` (`operator`, `guard`) did `action` (`deploy`, `undeploy`, `set_budget`, `refused`) to `subject`."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object] = field(default_factory=dict)


class Events:
    """The events in a store; never changed, never deleted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, event: Event) -> None:
        """Remember an event; `detail` must be JSON-able."""
        self._store.write(
            "INSERT INTO events(at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
            (to_ms(event.at), event.actor, event.action, event.subject, json.dumps(event.detail, sort_keys=True)),
        )

    def list(
        self, since: datetime | None = None, until: datetime | None = None, limit: int | None = None
    ) -> list[Event]:
        """The newest `limit` events (all without one) with since <= at < until, oldest of them first."""
        rows = self._store.rows(
            "SELECT * FROM (SELECT * FROM events WHERE (:since IS NULL OR at >= :since)"
            " AND (:until IS NULL OR at < :until) ORDER BY at DESC, seq DESC LIMIT :limit) ORDER BY at, seq",
            {
                "since": to_ms(since) if since else None,
                "until": to_ms(until) if until else None,
                "limit": -1 if limit is None else limit,
            },
        )
        return [
            Event(from_ms(row["at"]), row["actor"], row["action"], row["subject"], json.loads(row["detail"]))
            for row in rows
        ]
