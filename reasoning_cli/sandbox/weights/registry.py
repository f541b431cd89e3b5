"""Models, their revisions, the configs that can run them, GPUs and prices, and who is asking."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.http.paging import page
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request, masked
from reasoning_cli.sandbox.http.shapes import Check, Json, choice, members, text, visibility
from reasoning_cli.sandbox.world import catalog
from reasoning_cli.sandbox.world.catalog import (
    CONFIGS,
    INSTANCE_TYPES,
    ORGANIZATION_ID,
    PLATFORM_PROJECT_ID,
    PROJECT_ID,
    PROJECT_SLUG,
    Model,
    Revision,
    configs_for,
)
from reasoning_cli.sandbox.world.world import World, new_id

_MODEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")


def _model_name(value: object, path: str) -> object:
    if not isinstance(value, str) or not _MODEL_NAME.fullmatch(value):
        raise bad_request(f"invalid value for {path}: letters, digits, dots, underscores and hyphens", param=path)
    return value


_create = members(
    {"name": _model_name, "baseModelId": text, "type": choice("model", "adapter"), "description": text},
    required=("name", "baseModelId", "type"),
)
_CHANGES: dict[str, Check] = {"name": _model_name, "description": text, "visibility": visibility}
_update = members(_CHANGES)


def whoami(world: World, request: Request) -> Json:
    return {
        "type": "project_api_key",
        "api_key": {"id": catalog.API_KEY_ID},
        "organization": {"id": ORGANIZATION_ID, "name": catalog.ORGANIZATION_NAME},
        "project": {"id": PROJECT_ID, "name": catalog.PROJECT_NAME, "slug": PROJECT_SLUG},
    }


def whoami_flat(world: World, request: Request) -> Json:
    """The older answer, of /v1."""
    return {
        "api_key_id": catalog.API_KEY_ID,
        "project_id": PROJECT_ID,
        "project_slug": PROJECT_SLUG,
        "project_name": catalog.PROJECT_NAME,
        "organization_id": ORGANIZATION_ID,
        "organization_name": catalog.ORGANIZATION_NAME,
    }


def list_projects(world: World, request: Request) -> Json:
    project: Json = {
        "id": PROJECT_ID,
        "name": catalog.PROJECT_NAME,
        "slug": PROJECT_SLUG,
        "organization_id": ORGANIZATION_ID,
        "organization_name": catalog.ORGANIZATION_NAME,
    }
    return page([project], request.query, position=lambda shown: (0, 0), show=lambda shown: shown)


def list_models(world: World, request: Request) -> Json:
    own = [model for model in world.models.values() if model.project_id == PROJECT_ID]
    return page(own, request.query, position=lambda model: (0, model.sequence), show=_show, newest_first=False)


def create_model(world: World, request: Request) -> Json:
    """A record without weights: an upload would add the first revision."""
    body = _create(request.body(), "")
    base_id = cast(str, body["baseModelId"])
    base = world.models.get(base_id)
    if base is None:
        raise not_found("base model", base_id)
    name = f"{PROJECT_SLUG}/{body['name']}"
    _check_name_free(world, name)
    model = Model(
        id=new_id("ml"),
        project_id=PROJECT_ID,
        name=name,
        architecture=base.architecture,
        parameters=base.parameters,
        base_model_id=base.id,
        description=cast("str | None", body.get("description")),
        context_length=base.context_length,
        kind=cast(str, body["type"]),
        sequence=world.next_sequence(),
    )
    world.models[model.id] = model
    world.changed = True
    return _show(model)


def get_model(world: World, request: Request, model_id: str) -> Json:
    return _show(_model(world, model_id))


def update_model(world: World, request: Request, model_id: str) -> Json:
    model = _model(world, model_id, own=True)
    body = _update(request.body(), "")
    paths = masked(request, body, _CHANGES)
    if "name" in paths and "name" in body:
        name = f"{PROJECT_SLUG}/{body['name']}"
        if name != model.name:
            _check_name_free(world, name)
        model.name = name
    if "description" in paths:
        model.description = cast("str | None", body.get("description"))
    if "visibility" in paths:
        model.visibility = cast(str, body.get("visibility", "VISIBILITY_PRIVATE"))
    world.changed = True
    return _show(model)


def delete_model(world: World, request: Request, model_id: str) -> Json:
    model = _model(world, model_id, own=True)
    if any(deployment.model_id == model.id for deployment in world.live_deployments()):
        raise bad_request("the model is deployed: delete its deployments first")
    del world.models[model.id]
    world.changed = True
    return {}


def list_revisions(world: World, request: Request, model_id: str) -> Json:
    model = _model(world, model_id)
    return {
        "object": "list",
        "data": [_show_revision(revision) for revision in reversed(model.revisions)],
        "next_cursor": None,
    }


def list_files(world: World, request: Request, model_id: str) -> Json:
    """The files of one revision, by `revisionId`, else of the newest; none before the first upload."""
    model = _model(world, model_id)
    wanted = request.query.get("revisionId")
    revision = next((revision for revision in reversed(model.revisions) if wanted in {None, revision.id}), None)
    if revision is None:
        if wanted is not None:
            raise not_found("revision", wanted)
        return {"object": "list", "data": [], "next_cursor": None}
    return {
        "object": "list",
        "data": [{"path": path, "hash": digest, "sizeBytes": str(size)} for path, digest, size in revision.files],
        "next_cursor": None,
        "revisionId": revision.id,
        "revisionCreatedAt": stamp(revision.created_at),
        "totalSizeBytes": str(sum(size for _, _, size in revision.files)),
    }


def list_configs(world: World, request: Request) -> Json:
    """Configs of one model, by `referenceModel` or the deprecated `referenceModelId`; all of them without either."""
    wanted: set[str] = set()
    if "referenceModel" in request.query:
        match = re.fullmatch(r"projects/[^/]+/models/([^/]+)", request.query["referenceModel"])
        if match is None:
            raise bad_request("referenceModel must be projects/{project}/models/{model}", param="referenceModel")
        wanted.add(match.group(1))
    if "referenceModelId" in request.query:
        wanted.add(request.query["referenceModelId"])
    if len(wanted) > 1:
        raise bad_request("referenceModel and referenceModelId name different models", param="referenceModel")
    configs = configs_for(_model(world, wanted.pop())) if wanted else list(CONFIGS.values())
    rank = {config.id: index for index, config in enumerate(CONFIGS.values())}
    return page(
        configs,
        request.query,
        position=lambda config: (0, rank[config.id]),
        show=lambda config: config.show(_project_of(world, config.model_id)),
        newest_first=False,
    )


def get_config(world: World, request: Request, config_id: str) -> Json:
    config = CONFIGS.get(config_id)
    if config is None:
        raise not_found("config", config_id)
    return config.show(_project_of(world, config.model_id))


def list_instance_types(world: World, request: Request) -> Json:
    return {
        "object": "list",
        "data": [kind.show(world.price_of(kind.name)) for kind in INSTANCE_TYPES.values()],
        "next_cursor": None,
    }


def get_instance_type(world: World, request: Request, instance_id: str) -> Json:
    for kind in INSTANCE_TYPES.values():
        if kind.id == instance_id:
            return kind.show(world.price_of(kind.name))
    raise not_found("instance type", instance_id)


def _model(world: World, model_id: str, *, own: bool = False) -> Model:
    model = world.models.get(model_id)
    if model is None or (own and model.project_id != PROJECT_ID):
        raise not_found("model", model_id)
    return model


def _project_of(world: World, model_id: str) -> str:
    """The project of a config's reference model; a deleted seed was the caller's own."""
    model = world.models.get(model_id)
    return model.project_id if model else PROJECT_ID


def _check_name_free(world: World, name: str) -> None:
    if any(model.name == name for model in world.models.values()):
        raise ApiError(HTTPStatus.CONFLICT, f"a model named {name!r} already exists", code="already_exists")


def _show(model: Model) -> Json:
    result: Json = {
        "id": model.id,
        "name": model.name,
        "organizationId": ORGANIZATION_ID,
        "projectId": model.project_id,
        "visibility": model.visibility,
        "weights": {
            "architecture": model.architecture,
            "contextLength": str(model.context_length),
            "parameters": {
                "total": str(model.parameters),
                "byDtype": [{"dtype": "BF16", "count": str(model.parameters)}],
            },
            "type": "WEIGHTS_TYPE_ADAPTER" if model.kind == "adapter" else "WEIGHTS_TYPE_DEFAULT",
        },
    }
    if model.base_model_id is not None:
        result["baseModelId"] = model.base_model_id
        result["baseModel"] = f"projects/{PLATFORM_PROJECT_ID}/models/{model.base_model_id}"
    if model.description is not None:
        result["description"] = model.description
    return result


def _show_revision(revision: Revision) -> Json:
    result: Json = {
        "revisionId": revision.id,
        "createdAt": stamp(revision.created_at),
        "validationStatus": f"REVISION_VALIDATION_STATUS_{revision.status}",
    }
    if revision.validated_at is not None:
        result["lastValidatedAt"] = stamp(revision.validated_at)
    if revision.errors:
        result["validationErrors"] = [
            {"rule": rule, "message": message, "severity": "error"} for rule, message in revision.errors
        ]
    return result
