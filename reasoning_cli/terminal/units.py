"""Numbers as people read them: money, durations, ages, sizes. Rounding is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import floor

_SPARKS = "▁▂▃▄▅▆▇█"


def whole_cents(cents: Decimal) -> int:
    """Exact cents rounded to whole ones, half up: the only rounding an amount ever sees."""
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def money(cents: Decimal | int) -> str:
    """`1234.5` cents as `$12.35`."""
    amount = whole_cents(Decimal(cents))
    return f"{'-' if amount < 0 else ''}${abs(amount) // 100:,}.{abs(amount) % 100:02d}"


def duration(time: timedelta) -> str:
    """`41 s`, `41 min`, `3 h 02`, `6 d 4 h`."""
    seconds = max(0, int(time.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d}"
    return f"{hours // 24} d {hours % 24} h"


def clock_duration(time: timedelta) -> str:
    """`3:12`, for a wait that ticks."""
    minutes, seconds = divmod(max(0, int(time.total_seconds())), 60)
    return f"{minutes}:{seconds:02d}"


def hours(time: timedelta) -> str:
    """Hours as a bill shows them: one decimal, two below one hour."""
    number = time.total_seconds() / 3600
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def moment(at: datetime) -> str:
    """A time in the operator's zone, to the minute."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M")


def iso(at: datetime) -> str:
    """A time for machines: UTC, RFC 3339, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def size(count: int) -> str:
    """`71 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def counted(count: int, noun: str) -> str:
    """`1 sample`, `2,000 samples`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """`0.614` as `61 %`; below ten, and close to a hundred, with one decimal: what is not all is not `100 %`, and what
    is not nothing not `0.0 %`."""
    value = share * 100
    if 0 < value < 0.05:
        return "< 0.1 %"
    if 99.5 <= value < 100:
        return f"{floor(value * 10) / 10:.1f} %"
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def bar(share: float, width: int) -> str:
    """A share of one as a bar of `width` characters."""
    filled = min(width, max(0, round(share * width)))
    return "█" * filled + "░" * (width - filled)


def spark(counts: Sequence[int]) -> str:
    """Counts as a line of bars, each a character high at most; a dot for none."""
    most = max(counts, default=0)
    return "".join(_SPARKS[max(0, count * len(_SPARKS) // (most + 1))] if count else "·" for count in counts)
