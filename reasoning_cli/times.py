"""Times of others, read whatever way they are written; and times on the wall of a zone as moments, on days that begin
late too. What is not a time is None, never the present."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A count since 1970 is told by its size: each unit has a thousand times the digits of the one before, and what no
# unit puts between these years is not a time.
_UNITS_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
_EARLIEST, _LATEST = 100_000_000, 7_258_118_400  # 1973 and 2200
_NUMBER = re.compile(r"(\d{9,20})(?:\.\d*)?")
_ZONE_WORD = re.compile(r"\s*(?:UTC|GMT|Z)\Z", re.IGNORECASE)
_RFC_2822 = re.compile(r"(?:[A-Za-z]{3,9},?\s+)?\d{1,2}[ -][A-Za-z]{3}[ -]\d{2,4}\s+\d{1,2}:\d{2}")


def read_time(value: object) -> datetime | None:
    """A moment in UTC: RFC 3339 and ISO 8601 (UTC where no zone is said), RFC 2822, or a count of seconds,
    milliseconds, microseconds or nanoseconds since 1970, as a number or as text."""
    try:
        if isinstance(value, str):
            return _of_text(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _of_count(value)
    except (ValueError, OverflowError):
        pass
    return None


def _of_count(count: int | float) -> datetime | None:
    for per_second in _UNITS_PER_SECOND:
        if _EARLIEST <= count / per_second <= _LATEST:
            if isinstance(count, float):
                return _EPOCH + timedelta(seconds=count / per_second)
            return _EPOCH + timedelta(microseconds=count * 1_000_000 // per_second)
    return None


def _of_text(text: str) -> datetime | None:
    if found := _NUMBER.fullmatch(text):
        counted = _of_count(float(text) if "." in text else int(found[1]))
        if counted is not None:
            return counted
    try:
        moment = datetime.fromisoformat(_ZONE_WORD.sub("+00:00", text))
    except ValueError:
        if _RFC_2822.match(text) is None:
            return None
        from email.utils import parsedate_to_datetime

        moment = parsedate_to_datetime(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def midnight(day: date, zone: tzinfo | None) -> datetime:
    """When a day begins in `zone` (the system's when None): an hour late where the clock is put forward at midnight."""
    return in_zone(datetime.combine(day, time()), zone)


def in_zone(wall: datetime, zone: tzinfo | None) -> datetime:
    """A time on the wall of `zone` (the system's when None) as a moment in UTC: the first of two where the clock is put
    back, and where it is put forward the first moment after the gap."""

    def seen(moment: datetime) -> datetime:
        return moment.astimezone(zone).replace(tzinfo=None)

    # The system's zone has no rules that Python can ask: only what its clock shows at a moment is known.
    as_utc = wall.replace(tzinfo=UTC, fold=0)
    guesses = {as_utc - (seen(near) - near.replace(tzinfo=None)) for near in _around(as_utc)}
    right = [moment for moment in guesses if seen(moment) == wall.replace(fold=0)]
    return min(right) if right else _first(lambda moment: seen(moment) >= wall, min(guesses), max(guesses))


def _around(moment: datetime) -> tuple[datetime, datetime]:
    """A day before and a day after, or the moment itself at the ends of the calendar."""
    day = timedelta(days=1)
    before = moment - day if moment - datetime.min.replace(tzinfo=UTC) > 2 * day else moment
    after = moment + day if datetime.max.replace(tzinfo=UTC) - moment > 2 * day else moment
    return before, after


def _first(holds: Callable[[datetime], bool], low: datetime, high: datetime) -> datetime:
    """The first whole second from `low` to `high` at which something holds that holds from then on."""
    seconds = 0, round((high - low).total_seconds())
    while seconds[0] < seconds[1]:
        middle = (seconds[0] + seconds[1]) // 2
        seconds = (seconds[0], middle) if holds(low + timedelta(seconds=middle)) else (middle + 1, seconds[1])
    return low + timedelta(seconds=seconds[1])
