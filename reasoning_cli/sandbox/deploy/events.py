"""The event feed of an endpoint."""

from __future__ import annotations

from typing import cast

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.http.paging import page
from reasoning_cli.sandbox.http.problems import bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.world import World

MAX_EVENTS_PER_PAGE = 10_000
_DAY_MS = 24 * 3_600_000
_LEVELS = ("LEVEL_DEBUG", "LEVEL_INFO", "LEVEL_WARN", "LEVEL_ERROR")


def list_events(world: World, request: Request, endpoint_id: str) -> Json:
    """Newest first. The feed outlives its endpoint, so that the deletion itself can be read."""
    if endpoint_id not in world.endpoints:
        raise not_found("endpoint", endpoint_id)
    separate = world.behaviour.separate_arrays
    types, kinds = (set(request.items(name, separate=separate)) for name in ("types", "sourceKinds"))
    deployments = set(request.items("deploymentIds", separate=separate))
    known = {deployment.id for deployment in world.deployments.values() if deployment.endpoint_id == endpoint_id}
    if deployments - known:
        raise bad_request("a deployment id does not belong to this endpoint", param="deploymentIds")
    level = request.query.get("minLevel", _LEVELS[0])
    if level not in _LEVELS:
        raise bad_request("invalid minLevel", param="minLevel")
    since, until = request.moment("since"), request.moment("until")
    if world.behaviour.event_days:
        since = max(since or 0, world.now - world.behaviour.event_days * _DAY_MS)

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
        position=lambda event: (0, cast(int, event["version"])),
        show=lambda event: event,
        max_limit=MAX_EVENTS_PER_PAGE,
    )
