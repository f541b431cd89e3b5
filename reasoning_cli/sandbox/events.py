"""The event feed of an endpoint, and its analytics."""

from __future__ import annotations

from typing import cast

from reasoning_cli.sandbox.clock import parse_stamp, stamp
from reasoning_cli.sandbox.paging import page
from reasoning_cli.sandbox.problems import bad_request, not_found
from reasoning_cli.sandbox.requests import Request
from reasoning_cli.sandbox.shapes import Json
from reasoning_cli.sandbox.world import Deployment, World

MAX_EVENTS_PER_PAGE = 10_000
_LEVELS = ("LEVEL_DEBUG", "LEVEL_INFO", "LEVEL_WARN", "LEVEL_ERROR")
_DAY_MS = 24 * 3600 * 1000
_MINUTE_MS = 60 * 1000


def list_events(world: World, request: Request, endpoint_id: str) -> Json:
    """Newest first. The feed outlives its endpoint, so that the deletion itself can be read."""
    if endpoint_id not in world.endpoints:
        raise not_found("endpoint", endpoint_id)
    types, kinds = set(request.items("types")), set(request.items("sourceKinds"))
    deployments = set(request.items("deploymentIds"))
    known = {one.id for one in world.deployments.values() if one.endpoint_id == endpoint_id}
    if deployments - known:
        raise bad_request("a deployment id does not belong to this endpoint", param="deploymentIds")
    level = request.query.get("minLevel", _LEVELS[0])
    if level not in _LEVELS:
        raise bad_request("invalid minLevel", param="minLevel")
    since, until = _moment(request, "since"), _moment(request, "until")

    def wanted(event: Json) -> bool:
        by_endpoint = event["sourceKind"] == "SOURCE_KIND_ENDPOINT"
        made = cast(str, event["createdAt"])
        return (
            (not types or event["type"] in types)
            and (not kinds or event["sourceKind"] in kinds)
            and (not deployments or event.get("deploymentId") in deployments or (by_endpoint and bool(kinds)))
            and _LEVELS.index(cast(str, event["level"])) >= _LEVELS.index(level)
            and ("subjectId" not in request.query or event.get("subjectId") == request.query["subjectId"])
            and (since is None or made >= stamp(since))
            and (until is None or made < stamp(until))
        )

    found = [event for event in world.events.get(endpoint_id, []) if wanted(event)]
    return page(
        found,
        request.query,
        position=lambda one: (0, cast(int, one["version"])),
        show=lambda one: one,
        max_limit=MAX_EVENTS_PER_PAGE,
    )


def show_analytics(world: World, request: Request, endpoint_id: str) -> Json:
    """Requests and tokens between `startTime` (a day ago) and `endTime` (now), in whole virtual minutes."""
    world.endpoint(endpoint_id)
    until = _moment(request, "endTime") or world.now + 1
    since = _moment(request, "startTime") or world.now - _DAY_MS
    chosen = request.query.get("deploymentId")
    deployments = [
        one for one in world.deployments.values() if one.endpoint_id == endpoint_id and chosen in {None, one.id}
    ]
    span: Json = {"startTime": stamp(since), "endTime": stamp(until)}
    each = {one.id: _usage(one, since, until) for one in deployments}
    total = [sum(column) for column in zip(*each.values(), strict=True)] or [0, 0, 0, 0]
    return {
        "endpointId": endpoint_id,
        "timeRange": span,
        "metrics": {"endpointId": endpoint_id, "timeRange": span, **_metrics(total, since, until)},
        "deploymentAnalytics": [
            {
                "deploymentId": key,
                "endpointId": endpoint_id,
                "timeRange": span,
                "metrics": {"deploymentId": key, "endpointId": endpoint_id, **_metrics(usage, since, until)},
            }
            for key, usage in each.items()
        ],
    }


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


def _usage(deployment: Deployment, since: int, until: int) -> list[int]:
    """[successful, failed, input tokens, output tokens]."""
    rows = [row for row in deployment.usage if (row[0] + 1) * _MINUTE_MS > since and row[0] * _MINUTE_MS < until]
    return [sum(row[column] for row in rows) for column in range(1, 5)]


def _metrics(usage: list[int], since: int, until: int) -> Json:
    ok, failed, input_tokens, output_tokens = usage
    seconds = max(until - since, 1) / 1000
    tokens: Json = {"totalInputTokens": str(input_tokens), "totalOutputTokens": str(output_tokens)}
    if ok:
        tokens |= {"avgInputTokens": input_tokens / ok, "avgOutputTokens": output_tokens / ok}
    return {
        "requestMetrics": {
            "totalRequests": str(ok + failed),
            "successfulRequests": str(ok),
            "failedRequests": str(failed),
            "requestsPerSecond": (ok + failed) / seconds,
        },
        "tokenMetrics": tokens,
    }


def _moment(request: Request, name: str) -> int | None:
    if name not in request.query:
        return None
    try:
        return parse_stamp(request.query[name])
    except (ValueError, OverflowError) as error:
        raise bad_request(f"invalid {name}: must be an RFC 3339 time", param=name) from error
