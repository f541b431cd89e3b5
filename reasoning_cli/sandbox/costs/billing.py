"""The organisation's bill by day or hour, made from the meter. Off until enabled, as for most organisations: 404."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus

from reasoning_cli.sandbox.clock import parse_stamp, stamp
from reasoning_cli.sandbox.costs.meter import read_meters
from reasoning_cli.sandbox.http.paging import page
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.catalog import ORGANIZATION_ID
from reasoning_cli.sandbox.world.records import MILLISECONDS_PER_HOUR, Behaviour
from reasoning_cli.sandbox.world.world import World

MAX_WINDOWS_PER_PAGE = 1000
_WINDOW_MS = {"hour": MILLISECONDS_PER_HOUR, "day": 24 * MILLISECONDS_PER_HOUR}
_MINUTE_MS = 60_000
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")
_PLACES = Decimal("1e-10")

_Item = tuple[str, str, Fraction]  # product, what it was charged by, dollars per unit


def list_usage(world: World, request: Request) -> Json:
    """Windows of one month that are over and cost something, oldest first."""
    if not world.behaviour.billing_enabled:
        raise ApiError(HTTPStatus.NOT_FOUND, "usage is not enabled for this organization", code="not_found")
    if request.query.get("organization_id", ORGANIZATION_ID) != ORGANIZATION_ID:
        raise not_found("organization", request.query["organization_id"])
    granularity = request.query.get("granularity", "day")
    if granularity not in _WINDOW_MS:
        raise bad_request("invalid granularity: must be day or hour", param="granularity")
    month = request.query.get("month", stamp(world.now)[:7])
    begin, end = _bounds(month)
    size = _WINDOW_MS[granularity]
    windows: defaultdict[int, defaultdict[_Item, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for at, item, quantity in _charges(world, size):
        if begin <= at < end and at + size <= world.now:
            windows[at][item] += quantity
    shown = page(
        windows.items(),
        request.query,
        position=lambda usage: (0, usage[0]),
        show=lambda usage: _show(usage[0], size, usage[1]),
        newest_first=False,
        max_limit=MAX_WINDOWS_PER_PAGE,
    )
    span: Json = {}
    if windows:
        span = {"earliest_window_start": stamp(min(windows)), "latest_window_end": stamp(max(windows) + size)}
    return {**shown, "organization_id": ORGANIZATION_ID, "billing_period": month, "currency": "USD", **span}


def _bounds(month: str) -> tuple[int, int]:
    """Begin and end of `YYYY-MM` in milliseconds."""
    if not _MONTH.fullmatch(month):
        raise bad_request("invalid month: must be YYYY-MM", param="month")
    year, number = int(month[:4]), int(month[5:])
    if not 1970 <= year < 9999:
        raise bad_request("invalid month: out of range", param="month")
    begin = datetime(year, number, 1, tzinfo=UTC)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return parse_stamp(begin.isoformat()), parse_stamp(end.isoformat())


def _charges(world: World, size: int) -> Iterator[tuple[int, _Item, Fraction]]:
    """(begin of the window, what, how many units) of everything that was ever charged, cut at the windows."""
    for meter in read_meters(world):
        for begin, end, replicas, cents in _as_billed(meter.spans, world.behaviour):
            price = Fraction(cents * world.behaviour.billed_percent, 100 * 100)
            item = ("Dedicated Endpoints", meter.hardware, price)
            while begin < end:
                window = begin - begin % size
                cut = min(end, window + size)
                yield window, item, Fraction((cut - begin) * replicas, MILLISECONDS_PER_HOUR)
                begin = cut
    for job in world.fine_tunes.values():
        if job.total_price:
            item = ("Fine-tuning", job.model, Fraction(1, 1_000_000_000))
            yield job.created_at - job.created_at % size, item, Fraction(job.total_price)


def _as_billed(spans: list[list[int]], behaviour: Behaviour) -> list[list[int]]:
    """Times that something was ready without a break, each as long as it is billed: rounded, and no shorter than the
    minimum."""
    billed: list[list[int]] = []
    for number, (begin, end, replicas, cents) in enumerate(spans):
        if billed and number and spans[number - 1][1] == begin and billed[-1][2:] == [replicas, cents]:
            billed[-1][1] = end
        else:
            billed.append([begin, end, replicas, cents])
    for span in billed:
        milliseconds = span[1] - span[0]
        if behaviour.billing_rounding == "up":
            milliseconds = -(-milliseconds // _MINUTE_MS) * _MINUTE_MS
        elif behaviour.billing_rounding == "down":
            milliseconds = milliseconds // _MINUTE_MS * _MINUTE_MS
        span[1] = span[0] + max(milliseconds, behaviour.billing_minimum_seconds * 1000)
    return billed


def _show(begin: int, size: int, items: dict[_Item, Fraction]) -> Json:
    return {
        "date": stamp(begin)[:10],
        "start_time": stamp(begin),
        "end_time": stamp(begin + size),
        "line_items": [
            {
                "product_name": product,
                "quantity": _decimal(quantity),
                "unit_price": _decimal(price),
                "cost": _decimal(quantity * price),
                "pricing_dimensions": {"model" if product == "Fine-tuning" else "instance_type": dimension},
                "attributes": {},
            }
            for (product, dimension, price), quantity in sorted(items.items())
        ],
    }


def _decimal(value: Fraction) -> str:
    """Ten places, without what follows the last digit that counts."""
    rounded = (Decimal(value.numerator) / Decimal(value.denominator)).quantize(_PLACES)
    return f"{rounded:f}".rstrip("0").rstrip(".")
