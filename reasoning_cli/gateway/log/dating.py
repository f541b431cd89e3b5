"""When a decision was made: by our clock, or by the provider's where ours is wrong.

A machine whose clock was wrong for a while, as after a start without network, would else have decisions that are months
old, or of a day to come, for ever: too old to be compared, and deleted as such.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

_log = logging.getLogger(__name__)

# By which a clock is called wrong. What differs less is not a matter for what is counted in days.
WRONG = timedelta(hours=1)
# No decision was made before there was this program.
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Dated:
    """The Date of an answer's head, with our clock and the steady one (seconds) when that came. `certain` where the
    provider proved who it is: any other may be as wrong as we are."""

    date: bytes
    at: datetime
    ticks: float
    certain: bool


class Dating:
    """Dates decisions, and remembers how wrong our clock was for those that no provider's answer dates."""

    def __init__(self) -> None:
        self._last: tuple[Dated, timedelta] | None = None

    def date_of(self, at: datetime, ticks: float, dated: Dated | None) -> datetime:
        """When a decision was made that began `at` our time, `ticks` by the steady clock."""
        theirs = _read(dated)
        if dated is not None and theirs is not None:
            self._learn(dated, theirs - dated.at)
            made = theirs - timedelta(seconds=dated.ticks - ticks)
            return made if abs(made - at) > WRONG else at
        if self._last is None:
            return at
        last, ahead = self._last
        # Our clock may have been set right since, or the machine slept: then what was learnt holds no more.
        steady = abs((at - last.at) - timedelta(seconds=ticks - last.ticks)) < WRONG
        return at + ahead if steady and abs(ahead) > WRONG else at

    def _learn(self, dated: Dated, ahead: timedelta) -> None:
        was_wrong = self._last is not None and abs(self._last[1]) > WRONG
        self._last = (dated, ahead)
        if abs(ahead) > WRONG and not was_wrong:
            side = "behind" if ahead > timedelta() else "ahead of"
            hours = abs(ahead) // timedelta(hours=1)
            _log.warning("this clock is %d h %s the provider's: decisions are dated by theirs", hours, side)


def _read(dated: Dated | None) -> datetime | None:
    """The provider's time, where it can be relied on: it is certain, or ours cannot be."""
    if dated is None or not (dated.certain or dated.at < _FIRST):
        return None
    return _moment(dated.date)


@lru_cache(maxsize=16)  # the answers of one second say the same
def _moment(date: bytes) -> datetime | None:
    try:
        theirs = parsedate_to_datetime(date.decode("latin-1")).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return theirs if theirs >= _FIRST else None
