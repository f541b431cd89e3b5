"""Analytics count what the chat route really did."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import PROJECT, Api


def test_requests_and_tokens_are_counted_for_a_day(api: Api) -> None:
    deployment = api.serving()
    usage = api.chat("hello there").json()["usage"]
    api.scale(deployment, 0, 0)
    assert api.chat("hello").status_code == 400
    path = f"{PROJECT}/endpoints/{deployment['endpointId']}/analytics"
    shown = api.ok("GET", path)
    metrics = shown["metrics"]
    assert metrics["requestMetrics"]["successfulRequests"] == "1"
    assert metrics["requestMetrics"]["failedRequests"] == "1"
    assert metrics["requestMetrics"]["requestsByStatusCode"] == {"200": "1", "400": "1"}
    assert metrics["tokenMetrics"]["totalInputTokens"] == str(usage["prompt_tokens"])
    assert metrics["tokenMetrics"]["totalOutputTokens"] == str(usage["completion_tokens"])
    assert metrics["errorMetrics"] == {"errorRate": 50, "errorsByType": {"dedicated_endpoint_not_running": "1"}}
    assert "timeSeries" not in shown
    api.advance(2 * 86400)
    assert api.ok("GET", path)["metrics"]["requestMetrics"]["totalRequests"] == "0"


def test_each_deployment_has_its_own_part(api: Api) -> None:
    first = api.serving()
    endpoint = {"id": first["endpointId"]}
    second = api.deployment(endpoint, "second")
    api.advance(300)
    api.route(endpoint, **{first["id"]: 0, second["id"]: 1})
    api.chat("hello")
    api.chat("hello", model="sandbox/decisions/first")
    api.chat("hello again")
    path = f"{PROJECT}/endpoints/{endpoint['id']}/analytics"
    shown = api.ok("GET", path)
    counted = {
        one["deploymentId"]: one["metrics"]["requestMetrics"]["totalRequests"] for one in shown["deploymentAnalytics"]
    }
    assert counted == {first["id"]: "1", second["id"]: "2"}
    assert shown["metrics"]["requestMetrics"]["totalRequests"] == "3"
    only = api.ok("GET", path, deploymentId=first["id"])
    assert only["metrics"]["requestMetrics"]["totalRequests"] == "1"
    assert [one["deploymentId"] for one in only["deploymentAnalytics"]] == [first["id"]]


@pytest.mark.parametrize(
    ("granularity", "points"),
    [
        ("1m", [("2026-11-21T10:05:00.000Z", 1), ("2026-11-21T10:06:00.000Z", 1), ("2026-11-21T11:05:00.000Z", 2)]),
        ("1h", [("2026-11-21T10:00:00.000Z", 2), ("2026-11-21T11:00:00.000Z", 2)]),
        ("1d", [("2026-11-21T00:00:00.000Z", 4)]),
    ],
)
def test_a_time_series_is_cut_into_minutes_hours_or_days(granularity: str, points: list[tuple[str, int]]) -> None:
    start = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
    with SandboxServer(speed=Decimal(0), start=start) as server:
        api = Api(server.url)
        with api.http:
            deployment = api.serving()
            for wait in (60, 3540, 0, 0):
                api.chat("hello")
                api.advance(wait)
            path = f"{PROJECT}/endpoints/{deployment['endpointId']}/analytics"
            shown = api.ok("GET", path, includeTimeSeries="true", granularity=granularity)
            series = [(one["timestamp"], one["values"]["totalRequests"]) for one in shown["timeSeries"]]
            assert series == points
            assert shown["deploymentAnalytics"][0]["timeSeries"] == shown["timeSeries"]
            late = api.ok("GET", path, startTime="2026-11-21T10:06:00Z", endTime="2026-11-21T11:05:00Z")
            assert late["metrics"]["requestMetrics"]["totalRequests"] == "1", "the end is exclusive"


def test_a_bad_question_is_refused(api: Api) -> None:
    path = f"{PROJECT}/endpoints/{api.endpoint()['id']}/analytics"
    for query in ({"granularity": "5m"}, {"startTime": "yesterday"}, {"includeTimeSeries": "perhaps"}):
        assert api.error("GET", path, **query)[0] == 400
