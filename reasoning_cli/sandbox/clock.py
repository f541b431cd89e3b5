"""The sandbox's own time, which can run fast, stand still or be pushed forward."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

MILLISECONDS_PER_SECOND = 1000
_NANOSECONDS_PER_MILLISECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Virtual time = anchor + elapsed real time x speed, in whole milliseconds since 1970.

    Milliseconds, because that is what the wire shows: a time read from an event is exactly the time the meter used.
    """

    def __init__(self, start: int, speed: Decimal, tick: Callable[[], int] = time.monotonic_ns) -> None:
        self._tick = tick
        self._anchor = start * _NANOSECONDS_PER_MILLISECOND
        self._anchored_at = tick()
        self.speed = speed

    def now(self) -> int:
        """Milliseconds since 1970, virtual. Never goes back."""
        return self._nanoseconds() // _NANOSECONDS_PER_MILLISECOND

    def advance(self, seconds: Decimal) -> None:
        """Push the clock forward by virtual `seconds` (not negative)."""
        self._anchor += int(seconds * 1_000_000_000)

    def set_speed(self, speed: Decimal) -> None:
        """Virtual seconds per real second from now on; 0 stands still."""
        self._anchor = self._nanoseconds()
        self._anchored_at = self._tick()
        self.speed = speed

    def _nanoseconds(self) -> int:
        return self._anchor + int((self._tick() - self._anchored_at) * self.speed)


def real_now() -> int:
    """Milliseconds since 1970 by the machine's clock, where a fresh sandbox starts."""
    return time.time_ns() // _NANOSECONDS_PER_MILLISECOND


def stamp(milliseconds: int) -> str:
    """RFC 3339 with milliseconds; a fixed width, so stamps sort as text."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % MILLISECONDS_PER_SECOND:03d}Z"


def parse_stamp(text: str) -> int:
    """Milliseconds of an RFC 3339 time, rounded up so that `since` and `until` cut where they say.

    Raises ValueError for anything else, a time without an offset included.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, such as Z")
    return -((_EPOCH - moment) // timedelta(milliseconds=1))
