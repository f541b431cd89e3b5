"""Endpoints: a name, and how its traffic is split."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.deploy.deployments import autoscaling_of, full_name, model_of, traffic_share
from reasoning_cli.sandbox.http.filters import compile_filter
from reasoning_cli.sandbox.http.paging import order, page
from reasoning_cli.sandbox.http.problems import ApiError, bad_request
from reasoning_cli.sandbox.http.requests import Request, masked
from reasoning_cli.sandbox.http.shapes import Check, Json, members, resource_name, text, traffic_split, visibility
from reasoning_cli.sandbox.world.catalog import PROJECT_ID, PROJECT_SLUG
from reasoning_cli.sandbox.world.records import Deployment, Endpoint
from reasoning_cli.sandbox.world.world import World, check_etag, new_id

SUMMARIES_SHOWN = 10

_create = members({"name": resource_name, "visibility": visibility}, required=("name",))
_CHANGES: dict[str, Check] = {"name": resource_name, "trafficSplit": traffic_split, "visibility": visibility}
_update = members({**_CHANGES, "etag": text})


def list_endpoints(world: World, request: Request) -> Json:
    field, newest_first = order(request.query)
    found = world.live_endpoints()
    if "filter" in request.query:
        test = compile_filter(request.query["filter"])
        found = [
            endpoint
            for endpoint in found
            if test(
                {
                    "name": (endpoint.name, f"{PROJECT_SLUG}/{endpoint.name}"),
                    "created_at": (stamp(endpoint.created_at),),
                    "updated_at": (stamp(endpoint.updated_at),),
                }
            )
        ]
    return page(
        found,
        request.query,
        position=lambda endpoint: (
            endpoint.created_at if field == "created_at" else endpoint.updated_at,
            endpoint.sequence,
        ),
        show=lambda endpoint: show(world, endpoint),
        newest_first=newest_first,
    )


def create_endpoint(world: World, request: Request) -> Json:
    body = _create(request.body(), "")
    name = cast(str, body["name"])
    _check_name_free(world, name)
    endpoint = Endpoint(
        id=new_id("ep"),
        name=name,
        created_at=world.now,
        updated_at=world.now,
        sequence=world.next_sequence(),
        visibility=cast(str, body.get("visibility", "VISIBILITY_PRIVATE")),
    )
    world.endpoints[endpoint.id] = endpoint
    world.record("endpoint.created", endpoint.id, message=f"endpoint {name} created")
    return show(world, endpoint)


def get_endpoint(world: World, request: Request, endpoint_id: str) -> Json:
    return show(world, world.endpoint(endpoint_id))


def update_endpoint(world: World, request: Request, endpoint_id: str) -> Json:
    endpoint = world.endpoint(endpoint_id)
    body = _update(request.body(), "")
    paths = masked(request, body, _CHANGES)
    check_etag(cast("str | None", body.get("etag")), endpoint.etag)
    name = cast(str, body.get("name", endpoint.name))
    if "name" in paths and name != endpoint.name:
        _check_name_free(world, name)
    if "trafficSplit" in paths:
        world.require_free_split(endpoint.id)
        if not body.get("trafficSplit") and not world.behaviour.takes_empty_split:
            raise bad_request("no fields to update")
        endpoint.split = _checked_split(world, endpoint, cast("list[Json]", body.get("trafficSplit", [])))
    if "name" in paths:
        endpoint.name = name
    if "visibility" in paths:
        endpoint.visibility = cast(str, body.get("visibility", "VISIBILITY_PRIVATE"))
    endpoint.version += 1
    endpoint.updated_at = world.now
    world.record("endpoint.updated", endpoint.id, paths=sorted(paths), message=f"endpoint {endpoint.name} updated")
    return show(world, endpoint)


def delete_endpoint(world: World, request: Request, endpoint_id: str) -> Json:
    endpoint = world.endpoint(endpoint_id)
    check_etag(request.query.get("etag"), endpoint.etag)
    if world.live_deployments(endpoint.id):
        raise bad_request("the endpoint still has deployments: delete them first")
    remove(world, endpoint)
    return {}


def remove(world: World, endpoint: Endpoint) -> None:
    endpoint.deleted_at = world.now
    world.record("endpoint.deleted", endpoint.id, message=f"endpoint {endpoint.name} deleted")


def show(world: World, endpoint: Endpoint) -> Json:
    """The wire form, with summaries of the newest deployments only."""
    newest = sorted(world.live_deployments(endpoint.id), key=lambda deployment: deployment.sequence, reverse=True)
    rollout = world.active_rollout(endpoint.id)
    return {
        "id": endpoint.id,
        "projectId": PROJECT_ID,
        "name": f"{PROJECT_SLUG}/{endpoint.name}",
        "createdAt": stamp(endpoint.created_at),
        "updatedAt": stamp(endpoint.updated_at),
        "etag": endpoint.etag,
        "trafficSplit": [{"deploymentId": key, "weight": weight} for key, weight in endpoint.split.items()],
        "visibility": endpoint.visibility,
        "endpointType": "ENDPOINT_TYPE_DEDICATED",
        "deployments": [_summary(world, endpoint, deployment) for deployment in newest[:SUMMARIES_SHOWN]],
        **({"activeRolloutId": rollout.id} if rollout else {}),
    }


def _summary(world: World, endpoint: Endpoint, deployment: Deployment) -> Json:
    return {
        "id": deployment.id,
        "name": full_name(endpoint, deployment),
        "state": f"DEPLOYMENT_STATE_{deployment.state}",
        "model": model_of(deployment),
        "modelId": deployment.model_id,
        "autoscaling": autoscaling_of(deployment),
        "createdAt": stamp(deployment.created_at),
        "trafficMode": "TRAFFIC_MODE_LIVE",
        "estimatedEffectiveTrafficShare": traffic_share(world, endpoint, deployment),
        "hardware": deployment.hardware,
        "desiredReplicas": deployment.desired,
        "readyReplicas": deployment.ready,
    }


def _check_name_free(world: World, name: str) -> None:
    if world.behaviour.unique_endpoints and any(endpoint.name == name for endpoint in world.live_endpoints()):
        raise ApiError(HTTPStatus.CONFLICT, f"an endpoint named {name!r} already exists", code="already_exists")


def _checked_split(world: World, endpoint: Endpoint, entries: list[Json]) -> dict[str, float]:
    own = {deployment.id for deployment in world.live_deployments(endpoint.id)}
    split: dict[str, float] = {}
    for entry in entries:
        deployment_id = cast(str, entry["deploymentId"])
        if deployment_id not in own:
            raise bad_request(f"deployment {deployment_id!r} does not belong to this endpoint", param="trafficSplit")
        if deployment_id in split:
            raise bad_request(f"deployment {deployment_id!r} is in the split twice", param="trafficSplit")
        split[deployment_id] = cast(float, entry["weight"])
    return split
