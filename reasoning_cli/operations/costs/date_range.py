"""From when to when a bill goes, as people type it, and the days and hours in between, in the operator's zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo

from reasoning_cli.errors import UsageError
from reasoning_cli.times import in_zone, midnight

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_BACK = re.compile(r"(\d{1,5})\s*([hdw])")
_EXAMPLES = "for example 2026-11-01, 2026-11-01T18:00:00Z, 7d or 24h"


def parse_span(
    since: str | None, until: str | None, at: datetime, default: datetime, zone: tzinfo | None = None
) -> tuple[datetime, datetime]:
    """`--since` and `--until` as [since, until), UTC, up to `at`, which is now; without them from `default` to `at`."""
    begin, end = parse_bounds(since, until, at, zone)
    begin, end = default if begin is None else begin, at if end is None else min(at, end)
    if begin >= end:
        raise UsageError(f"--until `{until}` is not after the beginning", _EXAMPLES)
    return begin, end


def parse_bounds(
    since: str | None, until: str | None, at: datetime, zone: tzinfo | None = None
) -> tuple[datetime | None, datetime | None]:
    """`--since` and `--until` as the bounds [since, until) of a filter, UTC; None is no bound. `at` is now.

    Each is a day in `zone` (the system's when None; the day of `until` counts whole), a moment in RFC 3339 (in `zone`
    where it says none), or so many hours, days or weeks ago. A day ago is the same time of yesterday, also where
    the clock was changed in between.
    """
    begin = None if since is None else _moment(since, "--since", at, zone, end_of_day=False)
    end = None if until is None else _moment(until, "--until", at, zone, end_of_day=True)
    if begin is not None and begin >= at:
        raise UsageError(f"--since `{since}` is in the future", _EXAMPLES)
    if begin is not None and end is not None and begin >= end:
        raise UsageError(f"--until `{until}` is not after the beginning", _EXAMPLES)
    return begin, end


def day_edges(since: datetime, until: datetime, zone: tzinfo | None = None) -> list[datetime]:
    """`since`, each beginning of a day after it, and `until`; days have 23 to 25 hours where clocks are changed."""
    day = since.astimezone(zone).date()
    return _edges(since, until, lambda number: midnight(day + timedelta(days=number), zone))


def hour_edges(since: datetime, until: datetime, zone: tzinfo | None = None) -> list[datetime]:
    """`since`, each full hour after it, and `until`."""
    local = since.astimezone(zone)
    full = since - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return _edges(since, until, lambda number: full + timedelta(hours=number))


def _edges(since: datetime, until: datetime, edge: Callable[[int], datetime]) -> list[datetime]:
    edges, number = [since], 1
    while (following := edge(number)) < until:
        edges.append(following)
        number += 1
    return [*edges, until]


def _moment(text: str, option: str, at: datetime, zone: tzinfo | None, *, end_of_day: bool) -> datetime:
    typed = text.strip()
    problem = UsageError(f"`{text}` is not a time for {option}", _EXAMPLES)
    try:
        if found := _BACK.fullmatch(typed.lower()):
            return _back(at, int(found[1]), found[2], zone)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", typed):
            return midnight(date.fromisoformat(typed) + timedelta(days=end_of_day), zone)
        if not _MOMENT.match(typed):
            raise problem
        moment = datetime.fromisoformat(typed)
        return in_zone(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise problem from None


def _back(at: datetime, count: int, unit: str, zone: tzinfo | None) -> datetime:
    if unit == "h":
        return at - timedelta(hours=count)
    local = at.astimezone(zone)
    wall = local.replace(tzinfo=None) - timedelta(days=count * (7 if unit == "w" else 1))
    return in_zone(wall, zone)
