"""What was done to models and money, by whom and why: the answer to "who stopped my model at 3 in the morning".

All of it is told by one clock, that of the ledger: the sandbox's runs ahead of ours.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from reasoning_cli.store.database import Connection, Row, Store
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class Event:
    """`actor` (`operator`, `guard`) did `action` (`deploy`, `undeploy`, `set_budget`, `stop`) to `subject`.

    What TOGETHER did is a change of state that was seen, and its action is the state (`ready`, `stopped`). `by` is the
    user of the machine it was done as; it is filled in when the event is added. `detail` has `why` or `text` where a
    reason is known.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, object] = field(default_factory=dict)
    by: str = field(default="", compare=False)


TOGETHER = "together"
# What is done to a deployment. Its endpoint mostly has the name of its slot, whose events these are not: a budget that
# is set for a slot, or a training that begins, leaves what was stopped as stopped as it was, and by whom.
DONE_TO_DEPLOYMENTS = (
    *("adopt", "attach", "deploy", "detach", "rollback", "scale", "shift", "start", "stop", "undeploy", "wake"),
)
_BY = "by"  # kept with the detail


class Events:
    """The events in a store; never changed, never deleted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, event: Event) -> None:
        """Remember an event; `detail` must be JSON-able. It is not older than what the ledger has seen already."""
        with self._store.transaction() as connection:
            insert_event(connection, event)

    @contextmanager
    def recording(self, event: Event) -> Iterator[None]:
        """Remember an event where what is done inside succeeds; where the store cannot take it, nothing is begun."""
        with self._store.transaction() as connection:
            insert_event(connection, event)
            yield

    def newest(self, subject: str, *, seen: bool) -> Event | None:
        """The newest event of the deployment `subject`: of what was `seen` of it at Together, or of what was done to it
        from here."""
        done = f"actor != ? AND action IN ({', '.join('?' * len(DONE_TO_DEPLOYMENTS))})"
        row = self._store.row(
            f"SELECT * FROM events WHERE subject = ? AND {'actor = ?' if seen else done} ORDER BY seq DESC LIMIT 1",
            (subject, TOGETHER, *(() if seen else DONE_TO_DEPLOYMENTS)),
        )
        return None if row is None else _event(row)

    def list(
        self, since: datetime | None = None, until: datetime | None = None, limit: int | None = None
    ) -> list[Event]:
        """The newest `limit` events (all without one) with since <= at < until, in the order they were added."""
        rows = self._store.rows(
            "SELECT * FROM (SELECT * FROM events WHERE (at >= :since OR :since IS NULL)"
            " AND (at < :until OR :until IS NULL) ORDER BY seq DESC LIMIT :limit) AS newest ORDER BY seq",
            {
                "since": to_ms(since) if since else None,
                "until": to_ms(until) if until else None,
                "limit": -1 if limit is None else limit,
            },
        )
        return [_event(row) for row in rows]


def insert_event(connection: Connection, event: Event) -> None:
    """Remember an event together with what else the transaction writes."""
    by = event.by or ("" if event.actor == TOGETHER else current_user())
    connection.execute(
        "INSERT INTO events(at, actor, action, subject, detail)"
        " SELECT max(moment), :actor, :action, :subject, :detail"
        " FROM (SELECT :at AS moment UNION ALL SELECT max(at) FROM readings) AS moments",
        {
            "at": to_ms(event.at),
            "actor": event.actor,
            "action": event.action,
            "subject": event.subject,
            "detail": json.dumps({**event.detail, _BY: by}, sort_keys=True),
        },
    )


def _event(row: Row) -> Event:
    detail = json.loads(row["detail"])
    by = str(detail.pop(_BY, ""))
    return Event(from_ms(row["at"]), row["actor"], row["action"], row["subject"], detail, by=by)


def current_user() -> str:
    """Who runs this program, by the machine's word."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return str(os.getuid())
