"""Requests and tokens of an endpoint, from the chat requests that were really served or refused."""

from __future__ import annotations

from collections.abc import Iterable

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.records import Deployment
from reasoning_cli.sandbox.world.world import World

_MINUTE_MS = 60 * 1000
_DAY_MS = 24 * 60 * _MINUTE_MS
_GRANULARITIES = {"1m": _MINUTE_MS, "1h": 60 * _MINUTE_MS, "1d": _DAY_MS}
_Usage = list[int]  # successful, failed, input tokens, output tokens


def show_analytics(world: World, request: Request, endpoint_id: str) -> Json:
    """What happened between `startTime` (a day ago) and `endTime` (now), in whole virtual minutes.

    With `includeTimeSeries`, also per minute, hour or day (`granularity`); a step without requests is left out.
    """
    world.endpoint(endpoint_id)
    until = request.moment("endTime", world.now + 1)
    since = request.moment("startTime", world.now - _DAY_MS)
    granularity = request.query.get("granularity", "1d")
    if granularity not in _GRANULARITIES:
        raise bad_request("invalid granularity: must be one of " + ", ".join(_GRANULARITIES), param="granularity")
    step = _GRANULARITIES[granularity] if request.flag("includeTimeSeries") else None
    chosen = request.query.get("deploymentId")
    deployments = [
        deployment
        for deployment in world.deployments.values()
        if deployment.endpoint_id == endpoint_id and chosen in {None, deployment.id}
    ]
    span: Json = {"startTime": stamp(since), "endTime": stamp(until)}
    known_until = world.now - world.behaviour.analytics_delay_seconds * 1000
    rows = {deployment.id: _rows(deployment, since, min(until, known_until + 1)) for deployment in deployments}
    every = [row for each in rows.values() for row in each]
    each = {
        key: {"deploymentId": key, "endpointId": endpoint_id, "timeRange": span, **_metrics(own, since, until)}
        for key, own in rows.items()
    }
    result: Json = {
        "endpointId": endpoint_id,
        "timeRange": span,
        "metrics": {
            "endpointId": endpoint_id,
            "timeRange": span,
            **_metrics(every, since, until),
            "deploymentMetrics": list(each.values()),
        },
        "deploymentAnalytics": [
            {
                "deploymentId": key,
                "endpointId": endpoint_id,
                "timeRange": span,
                "metrics": metrics,
                **({"timeSeries": _series(rows[key], step)} if step else {}),
            }
            for key, metrics in each.items()
        ],
    }
    if step:
        result["timeSeries"] = _series(every, step)
    return result


def count_usage(
    world: World, deployment: Deployment, *, ok: bool, input_tokens: int = 0, output_tokens: int = 0
) -> None:
    """Add one chat request to the minute it came in."""
    minute = world.now // _MINUTE_MS
    if not deployment.usage or deployment.usage[-1][0] != minute:
        deployment.usage.append([minute, 0, 0, 0, 0])
    row = deployment.usage[-1]
    row[1 if ok else 2] += 1
    row[3] += input_tokens
    row[4] += output_tokens
    world.changed = True


def _rows(deployment: Deployment, since: int, until: int) -> list[list[int]]:
    return [row for row in deployment.usage if (row[0] + 1) * _MINUTE_MS > since and row[0] * _MINUTE_MS < until]


def _total(rows: Iterable[list[int]]) -> _Usage:
    return [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)] or [0, 0, 0, 0]


def _metrics(rows: list[list[int]], since: int, until: int) -> Json:
    ok, failed, input_tokens, output_tokens = _total(rows)
    requests = ok + failed
    seconds = max(until - since, 1) / 1000
    tokens: Json = {"totalInputTokens": str(input_tokens), "totalOutputTokens": str(output_tokens)}
    if ok:
        tokens |= {"avgInputTokens": input_tokens / ok, "avgOutputTokens": output_tokens / ok}
    return {
        "requestMetrics": {
            "totalRequests": str(requests),
            "successfulRequests": str(ok),
            "failedRequests": str(failed),
            "requestsPerSecond": requests / seconds,
            "requestsByStatusCode": {code: str(count) for code, count in (("200", ok), ("400", failed)) if count},
        },
        "tokenMetrics": tokens,
        "throughputMetrics": {
            "requestsPerSecond": requests / seconds,
            "tokensPerSecond": output_tokens / seconds,
        },
        "errorMetrics": {
            "errorRate": 100 * failed / requests if requests else 0,
            "errorsByType": {"dedicated_endpoint_not_running": str(failed)} if failed else {},
        },
    }


def _series(rows: list[list[int]], step: int) -> list[Json]:
    """One point for each `step` milliseconds of UTC in which requests came, oldest first."""
    steps: dict[int, list[list[int]]] = {}
    for row in rows:
        begin = row[0] * _MINUTE_MS
        steps.setdefault(begin - begin % step, []).append(row)
    points: list[Json] = []
    for begin in sorted(steps):
        ok, failed, input_tokens, output_tokens = _total(steps[begin])
        values = {
            "totalRequests": ok + failed,
            "successfulRequests": ok,
            "failedRequests": failed,
            "totalInputTokens": input_tokens,
            "totalOutputTokens": output_tokens,
        }
        points.append({"timestamp": stamp(begin), "values": values})
    return points
