"""Deployments: one model on one config under an endpoint, with replica bounds."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.deploy import lifecycle
from reasoning_cli.sandbox.http.filters import compile_filter
from reasoning_cli.sandbox.http.paging import order, page
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request, masked
from reasoning_cli.sandbox.http.shapes import (
    Check,
    Json,
    autoscaling,
    inactive_timeout,
    int64,
    members,
    placement,
    resource_name,
    text,
)
from reasoning_cli.sandbox.world.catalog import (
    CONFIGS,
    INSTANCE_TYPES,
    PLATFORM_PROJECT_ID,
    PROJECT_ID,
    PROJECT_SLUG,
    Config,
    Model,
    configs_for,
)
from reasoning_cli.sandbox.world.records import Deployment, Endpoint
from reasoning_cli.sandbox.world.world import World, check_etag, new_id

MAX_CONCURRENT_PER_REPLICA = 256
_DEFAULT_WINDOWS: Json = {"scaleUpWindow": "0s", "scaleDownWindow": "300s"}

_CHANGES: dict[str, Check] = {
    "name": resource_name,
    "autoscaling": autoscaling,
    "inactiveTimeout": inactive_timeout,
    "maxConcurrentRequestsPerReplica": int64,
}
_update = members({**_CHANGES, "etag": text})
_create = members(
    {
        **_CHANGES,
        "model": text,
        "config": text,
        "placement": placement,
        "modelId": text,
        "modelRevisionId": text,
        "configId": text,
    },
    required=("name", "autoscaling"),
)
_MODEL_PATH = re.compile(r"projects/([^/]+)/models/([^/]+)(?:/revisions/([^/]+))?")
_CONFIG_PATH = re.compile(r"projects/([^/]+)/configs/([^/]+)")


def list_deployments(world: World, request: Request, endpoint_id: str) -> Json:
    endpoint = world.endpoint(endpoint_id)
    field, newest_first = order(request.query)
    found = world.live_deployments(endpoint_id)
    if "filter" in request.query:
        test = compile_filter(request.query["filter"])
        found = [
            deployment
            for deployment in found
            if test(
                {
                    "name": (deployment.name, full_name(endpoint, deployment)),
                    "state": (f"DEPLOYMENT_STATE_{deployment.state}",),
                    "model": (model_of(deployment), deployment.model_path),
                    "created_at": (stamp(deployment.created_at),),
                    "updated_at": (stamp(deployment.updated_at),),
                }
            )
        ]
    return page(
        found,
        request.query,
        position=lambda deployment: (
            deployment.created_at if field == "created_at" else deployment.updated_at,
            deployment.sequence,
        ),
        show=lambda deployment: show(world, deployment),
        newest_first=newest_first,
    )


def create_deployment(world: World, request: Request, endpoint_id: str) -> Json:
    endpoint = world.endpoint(endpoint_id)
    body = _create(request.body(), "")
    name = cast(str, body["name"])
    _check_name_free(world, endpoint_id, name)
    model, revision_id = _model(world, body)
    config = _config(body)
    if config not in configs_for(model):
        raise bad_request(f"config {config.id} is not compatible with model {model.id}", param="config")
    where = cast("Json | None", body.get("placement"))
    _check_placement(where, config.hardware)
    low, high, scaling = _bounds(body)
    _check_quota(world, low)
    deployment = Deployment(
        id=new_id("dep"),
        endpoint_id=endpoint_id,
        name=name,
        model_id=model.id,
        model_path=model.path,
        model_name=model.name,
        revision_id=revision_id,
        config_id=config.id,
        hardware=config.hardware,
        created_at=world.now,
        updated_at=world.now,
        sequence=world.sequence + 1,
        min_replicas=low,
        max_replicas=high,
        scaling=scaling,
        price_cents_per_hour=world.price_of(config.hardware),
        metered_at=world.now,
        inactive_minutes=cast(int, body.get("inactiveTimeout", 0)),
        max_concurrent=_concurrency(body),
        placement=where,
    )
    if request.flag("validateOnly"):
        deployment.desired = low
        return show_under(world, endpoint, deployment)
    world.next_sequence()
    world.deployments[deployment.id] = deployment
    world.record("deployment.created", endpoint_id, deployment, message=f"deployment {name} created")
    if world.behaviour.routes_first and len(world.live_deployments(endpoint_id)) == 1:
        endpoint.split[deployment.id] = 1
    lifecycle.start(world, deployment)
    return show(world, deployment)


def get_deployment(world: World, request: Request, endpoint_id: str, deployment_id: str) -> Json:
    deployment = world.deployment(endpoint_id, deployment_id)
    if world.behaviour.idle_counts == "reads":
        deployment.active_at = world.now
    return show(world, deployment)


def update_deployment(world: World, request: Request, endpoint_id: str, deployment_id: str) -> Json:
    deployment = world.deployment(endpoint_id, deployment_id)
    body = _update(request.body(), "")
    paths = masked(request, body, _CHANGES)
    check_etag(cast("str | None", body.get("etag")), deployment.etag)
    name = cast(str, body.get("name", deployment.name))
    if "name" in paths and name != deployment.name:
        _check_name_free(world, endpoint_id, name)
    if "autoscaling" in paths and "autoscaling" not in body:
        raise bad_request("autoscaling is required", param="autoscaling")
    old = autoscaling_of(deployment)
    if "autoscaling" in paths:
        low, high, scaling = _bounds(body)
        wanted = max(low, min(deployment.desired, high))
        if wanted > max(deployment.desired, deployment.scheduled):
            _check_quota(world, wanted, besides=deployment)
        lifecycle.rescale(world, deployment, low, high)
        deployment.scaling = scaling
    if "name" in paths:
        deployment.name = name
    if "inactiveTimeout" in paths:
        deployment.inactive_minutes = cast(int, body.get("inactiveTimeout", 0))
    if "maxConcurrentRequestsPerReplica" in paths:
        deployment.max_concurrent = _concurrency(body)
    deployment.version += 1
    deployment.updated_at = world.now
    new = autoscaling_of(deployment)
    world.record(
        "deployment.updated",
        endpoint_id,
        deployment,
        paths=sorted(paths),
        message=f"replicas {old['minReplicas']}/{old['maxReplicas']} -> {new['minReplicas']}/{new['maxReplicas']}"
        if "autoscaling" in paths
        else f"deployment {deployment.name} updated",
    )
    return show(world, deployment)


def delete_deployment(world: World, request: Request, endpoint_id: str, deployment_id: str) -> Json:
    deployment = world.deployment(endpoint_id, deployment_id)
    check_etag(request.query.get("etag"), deployment.etag)
    if deployment.id in world.endpoint(endpoint_id).split:
        raise bad_request("the deployment is in the endpoint's trafficSplit: take it out first")
    if deployment.state not in {"STOPPED", "FAILED"}:
        raise bad_request(f"the deployment is {deployment.state}: it must be STOPPED before it can be deleted")
    lifecycle.remove(world, deployment)
    return {}


def show(world: World, deployment: Deployment) -> Json:
    return show_under(world, world.endpoints[deployment.endpoint_id], deployment)


def show_under(world: World, endpoint: Endpoint, deployment: Deployment) -> Json:
    """The wire form; optional members are left out rather than null."""
    result: Json = {
        "id": deployment.id,
        "projectId": PROJECT_ID,
        "endpointId": deployment.endpoint_id,
        "name": full_name(endpoint, deployment),
        "createdAt": stamp(deployment.created_at),
        "updatedAt": stamp(deployment.updated_at),
        "etag": deployment.etag,
        "autoscaling": autoscaling_of(deployment),
        "config": f"projects/{PLATFORM_PROJECT_ID}/configs/{deployment.config_id}",
        "configId": deployment.config_id,
        "model": model_of(deployment),
        "modelId": deployment.model_id,
        "modelRevisionId": deployment.revision_id,
        "hardware": deployment.hardware,
        "trafficMode": "TRAFFIC_MODE_LIVE",
        "desiredReplicas": deployment.desired,
        "estimatedEffectiveTrafficShare": traffic_share(world, endpoint, deployment),
        "inactiveTimeout": deployment.inactive_minutes,
        "status": {
            "state": f"DEPLOYMENT_STATE_{deployment.state}",
            "message": deployment.message,
            "readyReplicas": deployment.ready,
            "scheduledReplicas": deployment.scheduled,
            "details": {
                "region": [
                    {
                        "region": _region(deployment),
                        "readyReplicas": deployment.ready,
                        "scheduledReplicas": deployment.scheduled,
                    }
                ]
            },
        },
    }
    if world.behaviour.extra_members:
        result |= {"preemptible": True, "trafficMode": "TRAFFIC_MODE_MIRRORED"}
    if deployment.max_concurrent is not None:
        result["maxConcurrentRequestsPerReplica"] = str(deployment.max_concurrent)
    if deployment.placement is not None:
        result["placement"] = deployment.placement
    return result


def full_name(endpoint: Endpoint, deployment: Deployment) -> str:
    return f"{PROJECT_SLUG}/{endpoint.name}/{deployment.name}"


def model_of(deployment: Deployment) -> str:
    """The pinned model resource."""
    return f"{deployment.model_path}/revisions/{deployment.revision_id}"


def autoscaling_of(deployment: Deployment) -> Json:
    return {"minReplicas": deployment.min_replicas, "maxReplicas": deployment.max_replicas, **deployment.scaling}


def traffic_share(world: World, endpoint: Endpoint, deployment: Deployment) -> float:
    """Weight x ready replicas, normalised over the split; 0 outside it."""
    weights = {
        key: weight * world.deployments[key].ready for key, weight in endpoint.split.items() if key in world.deployments
    }
    total = sum(weights.values())
    return weights.get(deployment.id, 0) / total if total else 0.0


def _bounds(body: Json) -> tuple[int, int, Json]:
    """(minReplicas, maxReplicas, the rest with its defaults) of a checked body."""
    given = dict(cast(Json, body["autoscaling"]))
    low, high = cast(int, given.pop("minReplicas")), cast(int, given.pop("maxReplicas"))
    return low, high, _DEFAULT_WINDOWS | given


def _concurrency(body: Json) -> int | None:
    given = body.get("maxConcurrentRequestsPerReplica")
    return None if given is None else min(int(cast(str, given)), MAX_CONCURRENT_PER_REPLICA)


def _model(world: World, body: Json) -> tuple[Model, str]:
    """The model and the revision to pin; without a revision segment, the newest."""
    if "model" in body:
        match = _MODEL_PATH.fullmatch(cast(str, body["model"]))
        if match is None:
            raise bad_request("model must be projects/{project}/models/{model}[/revisions/{revision}]", param="model")
        project_id, model_id, revision_id = match.groups()
    elif "modelId" in body:
        project_id, model_id = None, cast(str, body["modelId"])
        revision_id = cast("str | None", body.get("modelRevisionId"))
    else:
        raise bad_request("model is required", param="model")
    model = world.models.get(model_id)
    if model is None or project_id not in {None, model.project_id}:
        raise not_found("model", model_id)
    if revision_id is None:
        if not model.deployable:
            raise bad_request("no revisions to deploy", param="model")
        return model, model.deployable[-1].id
    revision = next((revision for revision in model.revisions if revision.id == revision_id), None)
    if revision is None:
        raise not_found("revision", revision_id)
    if revision.status != "SUCCESS":
        raise bad_request(f"revision {revision_id} has not passed validation: {revision.status}", param="model")
    return model, revision_id


def _config(body: Json) -> Config:
    """The config named; its path carries the project that owns it, which is the platform's."""
    if "config" in body:
        match = _CONFIG_PATH.fullmatch(cast(str, body["config"]))
        if match is None:
            raise bad_request("config must be projects/{project}/configs/{config}", param="config")
        project_id, config_id = match.groups()
    elif "configId" in body:
        project_id, config_id = PLATFORM_PROJECT_ID, cast(str, body["configId"])
    else:
        raise bad_request("config is required", param="config")
    config = CONFIGS.get(config_id)
    if config is None or project_id != PLATFORM_PROJECT_ID:
        raise not_found("config", config_id)
    return config


def _check_placement(where: Json | None, hardware: str) -> None:
    if where is None:
        return
    if "profile" in where:
        raise not_found("placement profile", cast(str, where["profile"]))
    inline = cast(Json, where["inline"])
    known = {region.name for region in INSTANCE_TYPES[hardware].regions}
    if inline.get("constraint") == "ENFORCEMENT_REQUIRED" and not known & set(cast("list[str]", inline["regions"])):
        raise bad_request("no such region for this config", param="placement.inline.regions")


def _region(deployment: Deployment) -> str:
    known = [region.name for region in INSTANCE_TYPES[deployment.hardware].regions]
    wanted = cast(Json, (deployment.placement or {}).get("inline", {})).get("regions", [])
    return next((region for region in cast("list[str]", wanted) if region in known), known[0])


def _check_name_free(world: World, endpoint_id: str, name: str) -> None:
    if any(deployment.name == name for deployment in world.live_deployments(endpoint_id)):
        raise ApiError(HTTPStatus.CONFLICT, f"a deployment named {name!r} already exists", code="already_exists")


def _check_quota(world: World, wanted: int, besides: Deployment | None = None) -> None:
    """Replicas wanted or still held count; STOPPED and FAILED ones hold nothing."""
    held = sum(
        max(deployment.desired, deployment.scheduled)
        for deployment in world.live_deployments()
        if deployment is not besides
    )
    quota = world.behaviour.quota_replicas
    if wanted and held + wanted > quota:
        raise ApiError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"GPU quota exceeded: {held} of {quota} replicas in use, {wanted} more wanted",
            code="quota_exceeded",
        )
