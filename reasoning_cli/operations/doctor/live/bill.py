"""What Together billed for a probe: read off the organisation's bill by hour, where that is enabled.

The bill is everybody's in the organisation. Only what is on it in the hours of the probe, and in none of the day
before, is taken for the probe's; where others ran the same, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from reasoning_cli.engines.bills import LineItem, UsageWindow
from reasoning_cli.engines.clients import Billing
from reasoning_cli.engines.errors import MissingError
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.doctor.live.evidence import Billed, Measured

_HOUR = timedelta(hours=1)
_BEFORE = timedelta(hours=24)
_LATE = timedelta(hours=2)  # that the bill may lag behind its hour
_UNITS = (Decimal(1), Decimal(60), Decimal(3600))  # of a quantity, in one hour: hours, minutes, seconds

_Key = tuple[str, Decimal, tuple[tuple[str, str], ...]]


def read_bill(client: Billing, measured: Measured, at: datetime) -> Billed:
    """What the bill says of a probe at this time, or why it does not say."""
    if measured.created_at is None or measured.gone_at is None or not measured.stopped:
        return Billed(why="its replica was never seen ready and stopped, so there is no bill to read")
    begin = measured.created_at.replace(minute=0, second=0, microsecond=0)
    end = measured.gone_at.replace(minute=0, second=0, microsecond=0) + _HOUR
    known_at = end + _LATE
    if at < known_at:
        return Billed(
            why=f"the bill lags: `reasoning doctor --live` again after {known_at:%Y-%m-%d %H:%M} UTC reads it"
        )
    try:
        months = sorted({f"{item:%Y-%m}" for item in (begin - _BEFORE, begin, end + _HOUR)})
        windows = [window for month in months for window in client.billing_usage(month, "hour")]
    except MissingError:
        return Billed(why="Together does not show this organisation its bill: ask their support to enable it")
    except ReasoningError as problem:
        return Billed(why=f"the bill could not be read ({type(problem).__name__})")
    return _billed(measured, _between(windows, begin, known_at), _between(windows, begin - _BEFORE, begin))


def _between(windows: Iterable[UsageWindow], begin: datetime, end: datetime) -> list[LineItem]:
    return [item for window in windows if begin <= window.start_time < end for item in window.line_items]


def _billed(measured: Measured, items: Sequence[LineItem], before: Sequence[LineItem]) -> Billed:
    others = {_key(item) for item in before}
    ours = [item for item in items if item.unit_price and item.quantity is not None and _key(item) not in others]
    keys = {_key(item) for item in ours}
    if len(keys) != 1:
        why = "nothing on it is the probe's alone" if not keys else "several things on it could be the probe's"
        return Billed(why=f"the bill does not tell: {why}")
    ((_, unit_price, _),) = keys
    units = min(_UNITS, key=lambda unit: abs(math.log(unit_price * 100 * unit / measured.price_cents_per_hour)))
    quantity = sum((item.quantity or Decimal(0) for item in ours), Decimal(0))
    return Billed(seconds=quantity * 3600 / units, cents_per_hour=unit_price * 100 * units)


def _key(item: LineItem) -> _Key:
    return item.product_name, item.unit_price or Decimal(0), tuple(sorted(item.pricing_dimensions.items()))
