"""The bill of the organisation tells what the meter tells, cut into windows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import CODING, Api

_PATH = "/v1/billing/usage"


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    """Half an hour before midnight, half a day before the month ends."""
    with SandboxServer(speed=Decimal(0), start=datetime(2026, 11, 29, 23, 30, tzinfo=UTC)) as server:
        yield server


def _enable(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"billing_enabled": True})


def _cost(windows: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(item["cost"]) for one in windows for item in one["line_items"]), Decimal(0))


def test_it_is_off_by_default(api: Api) -> None:
    assert api.error("GET", _PATH)[0] == 404
    _enable(api)
    assert api.ok("GET", _PATH)["data"] == []


def test_days_and_months_cut_what_ran_through_them(api: Api) -> None:
    _enable(api)
    api.serving()  # ready at 23:35
    api.advance(25 * 60)
    november = api.ok("GET", _PATH)
    assert (november["billing_period"], november["currency"]) == ("2026-11", "USD")
    (day,) = november["data"]
    assert (day["date"], day["end_time"]) == ("2026-11-29", "2026-11-30T00:00:00.000Z")
    (item,) = day["line_items"]
    assert item["pricing_dimensions"] == {"instance_type": "1xnvidia-h100-80gb"}
    assert (item["unit_price"], item["cost"]) == ("5.49", "2.2875")
    api.advance(36 * 3600)
    assert api.ok("GET", _PATH)["data"] == [], "this month is December, and its first day is not over"
    windows = api.ok("GET", _PATH, month="2026-11")["data"]
    assert [one["date"] for one in windows] == ["2026-11-29", "2026-11-30"]
    assert windows[1]["line_items"][0]["quantity"] == "24"
    assert api.ok("GET", _PATH, month="2026-10")["data"] == []


def test_hours_add_up_to_the_meter_whatever_the_price(api: Api) -> None:
    _enable(api)
    api.serving(autoscaling={"minReplicas": 2, "maxReplicas": 2})
    api.serving(model=CODING, name="other")
    api.advance(1000.5)
    api.ok("POST", "/_sandbox/prices", {"1xnvidia-h100-80gb": 399})
    api.advance(7200)
    api.ok("POST", "/_sandbox/fine-tunes", {"model": CODING, "totalPriceNanoDollars": 1_250_000_000})
    for path in api.meter()["deployments"]:
        api.ok("DELETE", f"/_sandbox/deployments/{path['deploymentId']}")
    api.advance(3600)
    windows = api.ok("GET", _PATH, granularity="hour")["data"]
    prices = {item["unit_price"] for one in windows for item in one["line_items"]}
    assert prices == {"5.49", "3.99", "21.96", "0.000000001"}
    meter = sum((Decimal(one["costCents"]) for one in api.meter()["deployments"]), Decimal(0)) / 100
    assert abs(_cost(windows) - meter - Decimal("1.25")) < Decimal("1e-8")


def test_windows_are_paged(api: Api) -> None:
    _enable(api)
    api.serving()
    api.advance(10 * 3600)
    whole = api.ok("GET", _PATH, granularity="hour")["data"]
    first = api.ok("GET", _PATH, granularity="hour", limit=6)
    rest = api.ok("GET", _PATH, granularity="hour", limit=6, after=first["next_cursor"])
    assert (first["data"] + rest["data"], rest["next_cursor"]) == (whole, None)
    assert len(whole) == 10


@pytest.mark.parametrize("query", [{"granularity": "week"}, {"month": "2026-13"}, {"month": "now"}, {"limit": 1001}])
def test_a_bad_question_is_refused(api: Api, query: dict[str, Any]) -> None:
    _enable(api)
    assert api.error("GET", _PATH, **query)[0] == 400
    assert api.error("GET", _PATH, organization_id="org_other")[0] == 404
