"""What is left of v1: endpoints that still run can be read, stopped and deleted; none can be made or started.

None exists unless the admin path made it. One that is started is billed like a v2 replica on the same hardware, only
that v1 tells the price in cents per minute.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND, stamp
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Empty, Request
from reasoning_cli.sandbox.http.shapes import Json, choice, integer, members, text
from reasoning_cli.sandbox.world.catalog import CONFIGS, INSTANCE_TYPES, ORGANIZATION_ID, PROJECT_SLUG, InstanceType
from reasoning_cli.sandbox.world.records import LegacyEndpoint
from reasoning_cli.sandbox.world.world import Due, World

_bounds = members(
    {"minReplicas": integer(0, 1000), "maxReplicas": integer(0, 1000)}, required=("minReplicas", "maxReplicas")
)
_update = members(
    {
        "displayName": text,
        "state": choice("STARTED", "STOPPED"),
        "autoscaling": _bounds,
        "inactiveTimeout": integer(0, 1_000_000),
    }
)
_seed = members(
    {
        "model": text,
        "hardware": text,
        "displayName": text,
        "replicas": integer(1, 1000),
        "inactiveTimeout": integer(0, 1_000_000),
    },
    required=("model",),
)


def list_endpoints(world: World, request: Request) -> Json:
    """Dedicated ones are all there are; reserved ones there are none."""
    wanted = request.query.get("type") != "serverless" and request.query.get("usage_type") != "reserved"
    found = world.live_legacy_endpoints() if wanted else []
    return {"object": "list", "data": [_show(endpoint) for endpoint in found]}


def get_endpoint(world: World, request: Request, endpoint_id: str) -> Json:
    return _show(_endpoint(world, endpoint_id))


def refuse_endpoint(world: World, request: Request) -> Json:
    raise _disabled("creating")


def update_endpoint(world: World, request: Request, endpoint_id: str) -> Json:
    endpoint = _endpoint(world, endpoint_id)
    body = _update(request.body(), "")
    if body.get("state") == "STARTED":
        raise _disabled("starting")
    bounds = cast("Json | None", body.get("autoscaling"))
    if bounds is not None:
        low, high = cast(int, bounds["minReplicas"]), cast(int, bounds["maxReplicas"])
        if not 1 <= low <= high:
            raise bad_request("min_replicas must be from 1 to max_replicas", param="autoscaling")
        endpoint.min_replicas, endpoint.max_replicas = low, high
        if endpoint.state == "STARTED":
            endpoint.meter_until(world.now)
            endpoint.ready = low
    endpoint.display_name = cast(str, body.get("displayName", endpoint.display_name))
    endpoint.inactive_minutes = cast(int, body.get("inactiveTimeout", endpoint.inactive_minutes))
    if body.get("state") == "STOPPED" and endpoint.state == "STARTED":
        _stop(world, endpoint)
    world.changed = True
    return _show(endpoint)


def delete_endpoint(world: World, request: Request, endpoint_id: str) -> Empty:
    endpoint = _endpoint(world, endpoint_id)
    endpoint.meter_until(world.now)
    endpoint.ready = 0
    endpoint.deleted_at = world.now
    world.changed = True
    return Empty(HTTPStatus.NO_CONTENT)


def list_hardware(world: World, request: Request) -> Json:
    """All of it; for one model the fitting ones only, and then with their availability."""
    fitting = list(INSTANCE_TYPES.values())
    if "model" in request.query:
        ids = {model.id for model in world.models.values() if model.name == request.query["model"]}
        names = {config.hardware for config in CONFIGS.values() if config.model_id in ids}
        fitting = [kind for kind in fitting if kind.name in names]
    data: list[Json] = []
    for kind in fitting:
        row: Json = {
            "object": "hardware",
            "id": _hardware_id(kind),
            "pricing": {"cents_per_minute": round(world.price_of(kind.name) / 60, 4)},
            "specs": {
                "gpu_type": kind.accelerator.split("-")[1],
                "gpu_link": "sxm",
                "gpu_memory": kind.gpu_memory_gib // kind.gpu_count,
                "gpu_count": kind.gpu_count,
            },
            "updated_at": stamp(world.now),
        }
        if "model" in request.query:
            row["availability"] = {"status": "available" if kind.has_capacity else "unavailable"}
        data.append(row)
    return {"object": "list", "data": data}


def list_zones(world: World, request: Request) -> Json:
    return {"avzones": sorted({region.name for kind in INSTANCE_TYPES.values() for region in kind.regions})}


def seed_endpoint(world: World, request: Request) -> Json:
    """An endpoint from the time of v1 that nobody stopped. Admin path."""
    body = _seed(request.body(), "")
    hardware = cast(str, body.get("hardware", "1x_nvidia_h100_80gb_sxm"))
    instance = next((kind for kind in INSTANCE_TYPES.values() if _hardware_id(kind) == hardware), None)
    if instance is None:
        raise bad_request("no such hardware: see GET /v1/hardware", param="hardware")
    model = cast(str, body["model"])
    replicas = cast(int, body.get("replicas", 1))
    sequence = world.next_sequence()
    endpoint = LegacyEndpoint(
        id=f"endpoint-{uuid.uuid4()}",
        name=f"{PROJECT_SLUG}/{model}-{sequence:08x}",
        display_name=cast(str, body.get("displayName", model)),
        model=model,
        hardware=instance.name,
        created_at=world.now,
        sequence=sequence,
        min_replicas=replicas,
        max_replicas=replicas,
        inactive_minutes=cast(int, body.get("inactiveTimeout", 0)),
        started_at=world.now,
        price_cents_per_hour=world.price_of(instance.name),
        metered_at=world.now,
        ready=replicas,
    )
    world.legacy_endpoints[endpoint.id] = endpoint
    world.changed = True
    return _show(endpoint)


def due(world: World, endpoint: LegacyEndpoint) -> Iterator[Due]:
    """The end of a stop, and the idle stop: no request reaches these endpoints here."""
    if endpoint.state == "STOPPING":
        at = endpoint.stopping_at + world.behaviour.stopping_seconds * MILLISECONDS_PER_SECOND
        yield Due(at, endpoint.sequence, partial(setattr, endpoint, "state", "STOPPED"))
    if endpoint.state == "STARTED" and endpoint.inactive_minutes:
        at = endpoint.started_at + endpoint.inactive_minutes * 60 * MILLISECONDS_PER_SECOND
        yield Due(at, endpoint.sequence, partial(_stop, world, endpoint))


def _stop(world: World, endpoint: LegacyEndpoint) -> None:
    endpoint.meter_until(world.now)
    endpoint.ready = 0
    endpoint.state = "STOPPING"
    endpoint.stopping_at = world.now


def _disabled(what: str) -> ApiError:
    return ApiError(
        HTTPStatus.FORBIDDEN,
        f"{what} dedicated endpoints through v1 is disabled: use v2",
        code="endpoints_v1_create_access_disabled",
    )


def _endpoint(world: World, endpoint_id: str) -> LegacyEndpoint:
    found = next((endpoint for endpoint in world.live_legacy_endpoints() if endpoint.id == endpoint_id), None)
    if found is None:
        raise not_found("endpoint", endpoint_id)
    return found


def _hardware_id(instance: InstanceType) -> str:
    """1xnvidia-h100-80gb -> 1x_nvidia_h100_80gb_sxm."""
    return f"{instance.gpu_count}x_{instance.accelerator.replace('-', '_')}_sxm"


def _show(endpoint: LegacyEndpoint) -> Json:
    return {
        "object": "endpoint",
        "id": endpoint.id,
        "name": endpoint.name,
        "display_name": endpoint.display_name,
        "model": endpoint.model,
        "hardware": _hardware_id(INSTANCE_TYPES[endpoint.hardware]),
        "type": "dedicated",
        "owner": ORGANIZATION_ID,
        "state": endpoint.state,
        "autoscaling": {"min_replicas": endpoint.min_replicas, "max_replicas": endpoint.max_replicas},
        "created_at": stamp(endpoint.created_at),
    }
