"""Which deployment takes the place of which: how far a replacement has come, and where a rollback goes back to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class Replacement:
    """A new deployment beside an old one on the same endpoint.

    `percent` is the share of the traffic that the new one was last seen to get. Finished: the old one is stopped, or
    the new one was taken back.
    """

    number: int
    model_type: str
    old_key: str
    new_key: str
    percent: int
    started_at: datetime
    finished_at: datetime | None
    is_rollback: bool


class Replacements:
    """The replacements in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self, model_type: str, old_key: str, new_key: str, at: datetime, *, is_rollback: bool = False
    ) -> Replacement:
        """Remember a replacement before its first shift; one of the same two that is not finished goes on."""
        going = self._first("WHERE old_key=? AND new_key=? AND finished_at IS NULL", old_key, new_key)
        if going is not None:
            return going
        self._store.write(
            "INSERT INTO replacements(model_type, old_key, new_key, percent, started_at, is_rollback)"
            " VALUES (?, ?, ?, 0, ?, ?)",
            (model_type, old_key, new_key, to_ms(at), is_rollback),
        )
        begun = self.going(model_type)
        assert begun is not None
        return begun

    def going(self, model_type: str) -> Replacement | None:
        """The partial one: not finished, and both of its deployments are still there."""
        return self._first(
            "JOIN deployments AS old ON old.key = old_key AND old.deleted_at IS NULL"
            " JOIN deployments AS new ON new.key = new_key AND new.deleted_at IS NULL"
            " WHERE replacements.model_type=? AND finished_at IS NULL",
            model_type,
        )

    def latest_to(self, new_key: str) -> Replacement | None:
        """The replacement that brought a deployment into its place."""
        return self._first("WHERE new_key=?", new_key)

    def unfinished_to(self, new_key: str) -> Replacement | None:
        """The one that brings a deployment into its place and is not finished, even where the old one is gone."""
        return self._first("WHERE new_key=? AND finished_at IS NULL", new_key)

    def set_percent(self, number: int, percent: int) -> None:
        """The share of the new one, as read back from the service."""
        self._store.write("UPDATE replacements SET percent=? WHERE number=?", (percent, number))

    def finish(self, number: int, at: datetime) -> None:
        self._store.write("UPDATE replacements SET finished_at=? WHERE number=?", (to_ms(at), number))

    def _first(self, tail: str, *parameters: Value) -> Replacement | None:
        row = self._store.row(
            f"SELECT replacements.* FROM replacements {tail} ORDER BY number DESC LIMIT 1", parameters
        )
        return _replacement(row) if row is not None else None


def _replacement(row: Row) -> Replacement:
    return Replacement(
        number=row["number"],
        model_type=row["model_type"],
        old_key=row["old_key"],
        new_key=row["new_key"],
        percent=row["percent"],
        started_at=from_ms(row["started_at"]),
        finished_at=None if row["finished_at"] is None else from_ms(row["finished_at"]),
        is_rollback=bool(row["is_rollback"]),
    )
