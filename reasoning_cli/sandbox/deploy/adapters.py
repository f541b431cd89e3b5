"""LoRA adapters attached to a running deployment whose config takes them (adapter_mode dynamic or fixed)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND, stamp
from reasoning_cli.sandbox.http.paging import page
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json, flag, members, text
from reasoning_cli.sandbox.world.catalog import CONFIGS, Model, Revision
from reasoning_cli.sandbox.world.records import Adapter, Deployment
from reasoning_cli.sandbox.world.world import Due, World, check_etag, new_id

_LOADING_SECONDS = 20
_CAPACITY = 16
_create = members({"adapterModelId": text, "adapterRevisionId": text, "force": flag}, required=("adapterModelId",))
_update = members({"adapterRevisionId": text, "etag": text}, required=("adapterRevisionId", "etag"))


def list_adapters(world: World, request: Request, endpoint_id: str, deployment_id: str) -> Json:
    deployment = world.deployment(endpoint_id, deployment_id)
    return page(
        _of(world, deployment),
        request.query,
        position=lambda adapter: (0, adapter.sequence),
        show=lambda adapter: _show(world, deployment, adapter),
    )


def attach_adapter(world: World, request: Request, endpoint_id: str, deployment_id: str) -> Json:
    """`force` evicts the oldest adapter of a deployment that has as many as it can take."""
    deployment = world.deployment(endpoint_id, deployment_id)
    body = _create(request.body(), "")
    if CONFIGS[deployment.config_id].adapter_mode == "disabled":
        raise bad_request("the deployment's config has adapter_mode disabled: deploy the adapter merged instead")
    model = _adapter_model(world, cast(str, body["adapterModelId"]))
    if model.base_model_id != _base_of(world, deployment):
        raise bad_request("the adapter was trained from another base model", param="adapterModelId")
    there = _of(world, deployment)
    if any(adapter.model_id == model.id for adapter in there):
        raise ApiError(HTTPStatus.CONFLICT, "the adapter is attached already", code="already_exists")
    revision = _revision(model, cast("str | None", body.get("adapterRevisionId")))
    if len(there) >= _CAPACITY:
        if not body.get("force"):
            raise bad_request(f"the deployment has {_CAPACITY} adapters, and takes no more")
        del world.adapters[min(there, key=lambda adapter: adapter.sequence).id]
    adapter = Adapter(
        id=new_id("dad"),
        deployment_id=deployment.id,
        model_id=model.id,
        model_path=model.path,
        revision_id=revision.id,
        created_at=world.now,
        sequence=world.next_sequence(),
        loading_since=world.now,
    )
    world.adapters[adapter.id] = adapter
    world.changed = True
    return _show(world, deployment, adapter)


def get_adapter(world: World, request: Request, endpoint_id: str, deployment_id: str, adapter_id: str) -> Json:
    deployment = world.deployment(endpoint_id, deployment_id)
    return _show(world, deployment, _adapter(world, deployment, adapter_id))


def update_adapter(world: World, request: Request, endpoint_id: str, deployment_id: str, adapter_id: str) -> Json:
    """Load another revision of the same adapter."""
    deployment = world.deployment(endpoint_id, deployment_id)
    adapter = _adapter(world, deployment, adapter_id)
    body = _update(request.body(), "")
    check_etag(cast(str, body["etag"]), adapter.etag)
    model = _adapter_model(world, adapter.model_id)
    adapter.revision_id = _revision(model, cast(str, body["adapterRevisionId"])).id
    adapter.is_loaded, adapter.loading_since = False, world.now
    adapter.version += 1
    world.changed = True
    return _show(world, deployment, adapter)


def detach_adapter(world: World, request: Request, endpoint_id: str, deployment_id: str, adapter_id: str) -> Json:
    adapter = _adapter(world, world.deployment(endpoint_id, deployment_id), adapter_id)
    if "etag" not in request.query:
        raise bad_request("etag is required", param="etag")
    check_etag(request.query["etag"], adapter.etag)
    del world.adapters[adapter.id]
    world.changed = True
    return {}


def named(world: World, deployment: Deployment, name: str) -> Adapter | None:
    """The adapter that a chat call means by the name of its model, with or without slug."""
    for adapter in _of(world, deployment):
        if (model := world.models.get(adapter.model_id)) and name in {model.name, model.name.rpartition("/")[2]}:
            return adapter
    return None


def due(world: World, adapter: Adapter) -> Iterator[Due]:
    """Loading takes its time, and replicas to load on."""
    if not adapter.is_loaded and world.deployments[adapter.deployment_id].ready:
        at = adapter.loading_since + _LOADING_SECONDS * MILLISECONDS_PER_SECOND
        yield Due(at, adapter.sequence, partial(setattr, adapter, "is_loaded", True))


def _of(world: World, deployment: Deployment) -> list[Adapter]:
    return [adapter for adapter in world.adapters.values() if adapter.deployment_id == deployment.id]


def _adapter(world: World, deployment: Deployment, adapter_id: str) -> Adapter:
    found = next((adapter for adapter in _of(world, deployment) if adapter.id == adapter_id), None)
    if found is None:
        raise not_found("adapter", adapter_id)
    return found


def _adapter_model(world: World, model_id: str) -> Model:
    model = world.models.get(model_id)
    if model is None:
        raise not_found("model", model_id)
    if model.kind != "adapter":
        raise bad_request("the model is not an adapter", param="adapterModelId")
    return model


def _revision(model: Model, revision_id: str | None) -> Revision:
    """The newest, unless named; only one that passed validation."""
    found = next((revision for revision in reversed(model.deployable) if revision_id in {None, revision.id}), None)
    if found is None:
        raise bad_request("no such validated revision of the adapter", param="adapterRevisionId")
    return found


def _base_of(world: World, deployment: Deployment) -> str:
    model = world.models.get(deployment.model_id)
    return (model.base_model_id if model else None) or deployment.model_id


def _show(world: World, deployment: Deployment, adapter: Adapter) -> Json:
    state = "READY" if adapter.is_loaded and deployment.ready else "LOADING" if deployment.ready else "PENDING"
    return {
        "id": adapter.id,
        "adapterModel": adapter.model_path,
        "adapterModelId": adapter.model_id,
        "desiredRevisionId": adapter.revision_id,
        "desiredRevision": f"{adapter.model_path}/revisions/{adapter.revision_id}",
        "etag": adapter.etag,
        "perCluster": [
            {
                "clusterId": "cluster_sandbox",
                "adapterModelId": adapter.model_id,
                "state": f"ADAPTER_LOAD_STATE_{state}",
                "readyPodCount": deployment.ready if state == "READY" else 0,
                "totalPodCount": deployment.ready,
                "failedPodCount": 0,
                "updatedAt": stamp(adapter.loading_since),
            }
        ],
    }
