"""Decisions of which nobody has looked yet whom their messages may be meant for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms

_OPEN = "FROM samples WHERE model_type = 'should_respond' AND burst IS NULL"


def oldest_unaddressed(store: Store, since: datetime | None = None) -> datetime | None:
    """When the oldest of them was made, of those that are not before `since`; None where there is none."""
    row = store.row(f"SELECT min(created_at) {_OPEN} AND created_at >= ?", (to_ms(since) if since else 0,))
    return from_ms(row[0]) if row is not None and row[0] is not None else None


def address(store: Store, found: Iterable[tuple[str | None, str | None, int, int | None, int]]) -> int:
    """Keep what was found, each with the sample's number at its end, in one transaction; how many were changed."""
    return store.write_many(
        "UPDATE samples SET reply_targets=?, spoke_before=?, burst=?, people=? WHERE seq=? AND burst IS NULL", found
    )
