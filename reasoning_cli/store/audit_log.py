"""What the operator and the guard did, and why: the answer to "who stopped my model at 3 in the morning"."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class Event:
    """`actor` (`operator`, `guard`) did `action` (`deploy`, `undeploy`, `set_budget`, `stop`) to `subject`.

    `by` is the user of the machine it was done as; it is filled in when the event is added.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object] = field(default_factory=dict)
    by: str = field(default="", compare=False)


_BY = "by"  # kept with the detail


class Events:
    """The events in a store; never changed, never deleted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, event: Event) -> None:
        """Remember an event; `detail` must be JSON-able."""
        self._store.write(
            "INSERT INTO events(at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
            (
                *(to_ms(event.at), event.actor, event.action, event.subject),
                json.dumps({**event.detail, _BY: event.by or current_user()}, sort_keys=True),
            ),
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
            Event(from_ms(at), actor, action, subject, detail, by=str(detail.pop(_BY, "")))
            for at, actor, action, subject, detail in (
                (row["at"], row["actor"], row["action"], row["subject"], json.loads(row["detail"])) for row in rows
            )
        ]


def current_user() -> str:
    """Who runs this program, by the machine's word."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return str(os.getuid())
