"""Lists: order, cursor, limit. The cursor names the last item seen, so a list that grows meanwhile stays whole."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from reasoning_cli.sandbox.http.problems import ApiError, bad_request
from reasoning_cli.sandbox.http.shapes import Json

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

Item = TypeVar("Item")
Position = tuple[int, int]


def page(
    items: Iterable[Item],
    query: Mapping[str, str],
    *,
    position: Callable[[Item], Position],
    show: Callable[[Item], Json],
    newest_first: bool = True,
    max_limit: int = MAX_LIMIT,
) -> Json:
    """One page as the vendor's list object.

    `position` is (time or rank, unique number): what the list is sorted by. Raises ApiError for a bad limit or cursor.
    """
    limit = _limit(query, max_limit)
    ordered = sorted(items, key=position, reverse=newest_first)
    if "after" in query:
        last = _decode(query["after"])
        ordered = [item for item in ordered if (position(item) < last if newest_first else position(item) > last)]
    shown = ordered[:limit]
    more = len(ordered) > limit
    return {
        "object": "list",
        "data": [show(item) for item in shown],
        "next_cursor": _encode(position(shown[-1])) if more else None,
    }


def order(query: Mapping[str, str]) -> tuple[str, bool]:
    """(`created_at` or `updated_at`, newest first) of `orderBy`."""
    field, _, direction = query.get("orderBy", "created_at desc").partition(" ")
    if field not in {"created_at", "updated_at"} or direction not in {"", "asc", "desc"}:
        raise bad_request("invalid orderBy: use created_at or updated_at, then asc or desc", param="orderBy")
    return field, direction == "desc"


def _limit(query: Mapping[str, str], max_limit: int) -> int:
    given = query.get("limit", str(DEFAULT_LIMIT))
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given) <= max_limit:
        raise bad_request(f"invalid limit: must be from 1 to {max_limit}", param="limit")
    return int(given)


def _encode(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _decode(cursor: str) -> Position:
    try:
        first, second = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return int(first), int(second)
    except (ValueError, TypeError, binascii.Error) as error:
        raise _bad_cursor() from error


def _bad_cursor() -> ApiError:
    return bad_request("invalid cursor", param="after")
