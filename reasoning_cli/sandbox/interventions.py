"""What happens at the vendor without the client: crashes, failures, deletions, prices, and what others make.

Each is a path under /_sandbox; none of it goes through the checks that bind a client, but all of it shows in the event
feed and on the bill.
"""

from __future__ import annotations

import json
from typing import cast

from reasoning_cli.sandbox.deploy import deployments, endpoints, lifecycle
from reasoning_cli.sandbox.http.problems import bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json, integer, members, resource_name, text
from reasoning_cli.sandbox.world.catalog import INSTANCE_TYPES, configs_for
from reasoning_cli.sandbox.world.records import Deployment
from reasoning_cli.sandbox.world.world import World

_REPLICAS = integer(1, 1000)
_SECONDS = integer(0, 100_000_000)
_crash = members({"replicas": _REPLICAS, "restoreAfterSeconds": _SECONDS})
_fail = members({"message": text})
_scale = members({"desired": _REPLICAS}, required=("desired",))
_flap = members({"calls": integer(0, 1_000_000), "seconds": _SECONDS})
_foreign = members(
    {"name": resource_name, "deployment": resource_name, "model": text, "hardware": text, "replicas": _REPLICAS},
    required=("name", "model"),
)
_CENTS = integer(0, 10_000_000)


def crash(world: World, request: Request, deployment_id: str) -> Json:
    """Ready replicas go away, one unless told otherwise."""
    body = _crash(_optional(request), "")
    seconds = cast("int | None", body.get("restoreAfterSeconds"))
    deployment = _deployment(world, deployment_id)
    lifecycle.crash(world, deployment, cast(int, body.get("replicas", 1)), seconds)
    return deployments.show(world, deployment)


def restore(world: World, request: Request, deployment_id: str) -> Json:
    deployment = _deployment(world, deployment_id)
    lifecycle.restore(world, deployment)
    return deployments.show(world, deployment)


def fail(world: World, request: Request, deployment_id: str) -> Json:
    body = _fail(_optional(request), "")
    deployment = _deployment(world, deployment_id)
    lifecycle.fail(world, deployment, cast(str, body.get("message", "the deployment failed")))
    return deployments.show(world, deployment)


def scale(world: World, request: Request, deployment_id: str) -> Json:
    """As load would: within the bounds that the client set."""
    deployment = _deployment(world, deployment_id)
    lifecycle.autoscale(world, deployment, cast(int, _scale(request.body(), "")["desired"]))
    return deployments.show(world, deployment)


def flap(world: World, request: Request, deployment_id: str) -> Json:
    """The next chat requests are refused with `dedicated_endpoint_not_running`."""
    body = _flap(request.body(), "")
    deployment = _deployment(world, deployment_id)
    lifecycle.flap(world, deployment, cast(int, body.get("calls", 0)), cast(int, body.get("seconds", 0)))
    world.changed = True
    return deployments.show(world, deployment)


def delete_deployment(world: World, request: Request, deployment_id: str) -> Json:
    lifecycle.remove(world, _deployment(world, deployment_id))
    return {}


def create_endpoint(world: World, request: Request) -> Json:
    """An endpoint with one running, routed deployment that the client never asked for."""
    body = _foreign(request.body(), "")
    wanted = body["model"]
    model = next((model for model in world.models.values() if wanted in {model.id, model.name}), None)
    if model is None:
        raise not_found("model", cast(str, wanted))
    configs = [config for config in configs_for(model) if body.get("hardware", config.hardware) == config.hardware]
    config = next((config for config in configs if INSTANCE_TYPES[config.hardware].has_capacity), None)
    if config is None:
        raise bad_request("no config of the model on that hardware", param="hardware")
    replicas = body.get("replicas", 1)
    endpoint = endpoints.create_endpoint(world, _posted({"name": body["name"]}))
    endpoint_id = cast(str, endpoint["id"])
    made = deployments.create_deployment(
        world,
        _posted(
            {
                "name": body.get("deployment", "main"),
                "model": model.path,
                "config": config.path,
                "autoscaling": {"minReplicas": replicas, "maxReplicas": replicas},
            }
        ),
        endpoint_id,
    )
    deployment = world.deployment(endpoint_id, cast(str, made["id"]))
    lifecycle.hurry(world, deployment)
    world.endpoints[endpoint_id].split[deployment.id] = 1
    return {
        "endpoint": endpoints.show(world, world.endpoints[endpoint_id]),
        "deployment": deployments.show(world, deployment),
    }


def delete_endpoint(world: World, request: Request, endpoint_id: str) -> Json:
    """With everything under it."""
    endpoint = world.endpoint(endpoint_id)
    for deployment in world.live_deployments(endpoint_id):
        lifecycle.remove(world, deployment)
    endpoints.remove(world, endpoint)
    return {}


def show_prices(world: World, request: Request) -> Json:
    """Cents per hour and replica, by instance type."""
    return {name: world.price_of(name) for name in INSTANCE_TYPES}


def change_prices(world: World, request: Request) -> Json:
    """From this moment on; what was served before stays at the old price."""
    changes = members(dict.fromkeys(INSTANCE_TYPES, _CENTS))(request.body(), "")
    world.prices |= cast("dict[str, int]", changes)
    for meter in world.live_meters():
        meter.meter_until(world.now)
        meter.price_cents_per_hour = world.price_of(meter.hardware)
    world.changed = True
    return show_prices(world, request)


def _deployment(world: World, deployment_id: str) -> Deployment:
    found = next((deployment for deployment in world.live_deployments() if deployment.id == deployment_id), None)
    if found is None:
        raise not_found("deployment", deployment_id)
    return found


def _optional(request: Request) -> Json:
    return request.body() if request.raw_body else {}


def _posted(body: Json) -> Request:
    return Request("POST", "", raw_body=json.dumps(body).encode())
