"""Times of others are read as what they are, and days begin when their zone says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reasoning_cli.times import in_zone, midnight, read_time

TEN = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        1795168800,
        1795168800.0,
        1795168800000,
        1795168800000000,
        1795168800000000000,
        "1795168800",
        "1795168800.000",
        "1795168800000",
        "1795168800000000",
        "1795168800000000000",
        "Fri, 20 Nov 2026 10:00:00 +0000",
        "Fri, 20 Nov 2026 10:00:00 GMT",
        "20 Nov 2026 12:00:00 +0200",
        "2026-11-20T10:00:00Z",
        " 2026-11-20T12:00:00+02:00 ",
        "2026-11-20 10:00:00+00",
        "2026-11-20 10:00:00.000000000Z",
        "2026-11-20 10:00:00 UTC",
        "2026-11-20T10:00:00",
        "20261120T100000Z",
    ],
)
def test_one_moment_in_many_spellings(text: object) -> None:
    assert read_time(text) == TEN


@pytest.mark.parametrize(
    "text",
    ["soon", "", "0", 0, -1, 1, 12345, "12:00", None, True, [], {}, "infinity", "-infinity", float("nan"), float("inf"),
     10**30, "9" * 5000, "20 Foo 2026 10:00:00", "2026-13-01", "99 Nov 2026 10:00:00 +0000"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: object) -> None:
    assert read_time(text) is None


def test_the_shared_cases(shared: Path) -> None:
    for line in (shared / "cases" / "times.jsonl").read_text().splitlines():
        case = json.loads(line)
        right = case["right"] and datetime.fromisoformat(case["right"])
        assert read_time(case["at"]) == right, case["what"]


# --- days ---

# A zone, a day on which no clock shows 00:00, and when it begins.
LATE = [
    ("Africa/Cairo", "2026-04-24", "2026-04-24T01:00+03:00"),
    ("America/Santiago", "2026-09-06", "2026-09-06T01:00-03:00"),
    ("Asia/Beirut", "2026-03-29", "2026-03-29T01:00+03:00"),
    ("America/Havana", "2026-03-08", "2026-03-08T01:00-04:00"),
    ("America/Toronto", "1919-03-31", "1919-03-31T00:30-04:00"),  # from 23:30 on
    ("Pacific/Apia", "2011-12-30", "2011-12-31T00:00+14:00"),  # a day that was left out
]
OTHERS = [
    ("America/Havana", "2026-11-01", "2026-11-01T00:00-04:00"),  # 00:00 comes twice
    ("Africa/Cairo", "2026-10-30", "2026-10-30T00:00+02:00"),  # 23:00 of the day before comes twice
    ("Europe/Berlin", "2026-03-29", "2026-03-29T00:00+01:00"),
    ("UTC", "2026-03-29", "2026-03-29T00:00+00:00"),
    ("Asia/Kathmandu", "1986-01-01", "1986-01-01T00:15+05:45"),
]


@pytest.fixture
def system_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("by", ["name", "system"])
@pytest.mark.parametrize(("zone", "day", "begin"), LATE + OTHERS)
def test_a_day_begins_when_it_begins(zone: str, day: str, begin: str, by: str, system_zone: pytest.MonkeyPatch) -> None:
    chosen: tzinfo | None = ZoneInfo(zone)
    if by == "system":
        system_zone.setenv("TZ", zone)
        time.tzset()
        chosen = None
    assert midnight(date.fromisoformat(day), chosen) == datetime.fromisoformat(begin)


@pytest.mark.parametrize("zone", ["Africa/Cairo", "America/Santiago", "Australia/Lord_Howe", "Europe/Berlin"])
def test_every_hour_of_a_year_comes_back(zone: str) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(366 * 48):
        at += timedelta(minutes=30)
        wall = at.astimezone(ZoneInfo(zone))
        if not wall.fold:
            assert in_zone(wall.replace(tzinfo=None), ZoneInfo(zone)) == at


def test_the_ends_of_the_calendar() -> None:
    assert midnight(date(1, 1, 1), UTC) == datetime(1, 1, 1, tzinfo=UTC)
    assert midnight(date(9999, 12, 31), UTC) == datetime(9999, 12, 31, tzinfo=UTC)
