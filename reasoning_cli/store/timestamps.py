"""Times as the database keeps them: integer milliseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(moment: datetime) -> int:
    """Milliseconds of an aware datetime; a naive one is a mistake of the caller."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC datetime of a stored time."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
