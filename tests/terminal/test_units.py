"""Numbers as people read them; rounding is decided in one place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.terminal import units


@pytest.mark.parametrize(
    ("cents", "shown"),
    [
        (0, "$0.00"),
        (5, "$0.05"),
        (123456789, "$1,234,567.89"),
        (Decimal("1234.5"), "$12.35"),
        (Decimal("1234.4999"), "$12.34"),
        (Decimal("0.5"), "$0.01"),
        (-250, "-$2.50"),
    ],
)
def test_money(cents: Decimal | int, shown: str) -> None:
    assert units.money(cents) == shown


@given(st.decimals(0, 10**9, places=4))
def test_money_is_never_off_by_more_than_half_a_cent(cents: Decimal) -> None:
    shown = Decimal(units.money(cents).removeprefix("$").replace(",", "")) * 100
    assert abs(shown - cents) <= Decimal("0.5")


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=3, minutes=2), "3 h 02"),
        (timedelta(days=6, hours=4, minutes=59), "6 d 4 h"),
    ],
)
def test_durations(time: timedelta, shown: str) -> None:
    assert units.duration(time) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (71_400_000, "71 MB"), (2_500_000_000, "2.5 GB")]
)
def test_sizes(count: int, shown: str) -> None:
    assert units.size(count) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.004, "0.4 %"),
        (0.614, "61 %"),
        (0.994, "99 %"),
        (0.995, "99.5 %"),
        (0.99999, "99.9 %"),
        (1, "100 %"),
        (1.002, "100 %"),
    ],
)
def test_shares(share: float, shown: str) -> None:
    assert units.percent(share) == shown


@given(st.floats(-1, 2), st.integers(0, 60))
def test_a_bar_is_as_wide_as_it_is_meant_to_be(share: float, width: int) -> None:
    bar = units.bar(share, width)
    assert len(bar) == width
    assert set(bar) <= {"█", "░"}
    assert bar == bar.count("█") * "█" + bar.count("░") * "░"


def test_times_for_machines_are_utc_with_milliseconds() -> None:
    assert units.iso(datetime(2026, 11, 21, 3, 4, 5, 678901, tzinfo=UTC)) == "2026-11-21T03:04:05.678Z"
