"""Which function answers which path."""

from __future__ import annotations

from reasoning_cli.sandbox.chat import completions
from reasoning_cli.sandbox.deploy import deployments, endpoints, events
from reasoning_cli.sandbox.http.paths import Methods, compile_routes, match_route, unknown_path
from reasoning_cli.sandbox.http.problems import not_found
from reasoning_cli.sandbox.http.requests import Reply, Request, require_project
from reasoning_cli.sandbox.weights import registry
from reasoning_cli.sandbox.world.catalog import ORGANIZATION_ID, PLATFORM_PROJECT_ID, PROJECT_ID
from reasoning_cli.sandbox.world.world import World

_ENDPOINTS = "/v2/projects/{project_id}/endpoints"
_DEPLOYMENTS = _ENDPOINTS + "/{endpoint_id}/deployments"
_MODELS = "/v2/projects/{project_id}/models"
_ROLLOUTS = _ENDPOINTS + "/{endpoint_id}/rollouts"
_ADAPTERS = _DEPLOYMENTS + "/{deployment_id}/adapters"
_CONFIGS = "/v2/projects/{project_id}/configs"


TABLE: dict[str, Methods] = {
    "/v1/whoami": {"GET": registry.whoami_flat},
    "/v3/whoami": {"GET": registry.whoami},
    "/v1/projects": {"GET": registry.list_projects},
    "/v1/endpoints": {"GET": "deploy.legacy.list_endpoints", "POST": "deploy.legacy.refuse_endpoint"},
    "/v1/endpoints/{endpoint_id}": {
        "GET": "deploy.legacy.get_endpoint",
        "PATCH": "deploy.legacy.update_endpoint",
        "DELETE": "deploy.legacy.delete_endpoint",
    },
    "/v1/hardware": {"GET": "deploy.legacy.list_hardware"},
    "/v1/clusters/availability-zones": {"GET": "deploy.legacy.list_zones"},
    "/v1/files": {"GET": "train.files.list_files", "POST": "train.file_uploads.register"},
    "/v1/files/upload": {"POST": "train.file_uploads.upload"},
    "/v1/files/multipart/initiate": {"POST": "train.file_uploads.initiate"},
    "/v1/files/multipart/complete": {"POST": "train.file_uploads.complete"},
    "/v1/files/multipart/abort": {"POST": "train.file_uploads.abort"},
    "/v1/files/{file_id}": {"GET": "train.files.get_file", "DELETE": "train.files.delete_file"},
    "/v1/files/{file_id}/content": {"GET": "train.files.get_content"},
    "/v1/files/{file_id}/preprocess": {"POST": "train.files.preprocess"},
    "/v1/fine-tunes": {"GET": "train.fine_tunes.list_jobs", "POST": "train.requests.create_job"},
    "/v1/fine-tunes/models/limits": {"GET": "train.requests.get_limits"},
    "/v1/fine-tunes/estimate-price": {"POST": "train.requests.estimate_price"},
    "/v1/fine-tunes/preview": {"POST": "train.results.preview"},
    "/v1/fine-tunes/{job_id}": {"GET": "train.fine_tunes.get_job", "DELETE": "train.fine_tunes.delete_job"},
    "/v1/fine-tunes/{job_id}/cancel": {"POST": "train.fine_tunes.cancel_job"},
    "/v1/fine-tunes/{job_id}/events": {"GET": "train.history.list_events"},
    "/v1/fine-tunes/{job_id}/metrics": {"GET": "train.history.list_metrics"},
    "/v1/fine-tunes/{job_id}/checkpoints": {"GET": "train.history.list_checkpoints"},
    "/v1/fine-tunes/{job_id}/download-tokenized-dataset": {"GET": "train.results.locate_tokens"},
    "/v1/finetune/download": {"GET": "train.results.download"},
    "/v1/billing/usage": {"GET": "costs.billing.list_usage"},
    "/v1/chat/completions": {"POST": completions.complete},
    "/v2/public/inference-instance-types": {"GET": registry.list_instance_types},
    "/v2/public/inference-instance-types/{instance_id}": {"GET": registry.get_instance_type},
    "/v2/supported-models": {"GET": "deploy.supported_models.list_supported_models"},
    "/v2/supported-models/{supported_id}": {"GET": "deploy.supported_models.get_supported_model"},
    "/v2/organizations/{organization_id}/endpoints": {"GET": endpoints.list_endpoints},
    "/v2/organizations/{organization_id}/models": {"GET": registry.list_models},
    _MODELS: {"GET": registry.list_models, "POST": registry.create_model},
    _MODELS + "/uploads": {"GET": "weights.uploads.list_uploads", "POST": "weights.uploads.create_upload"},
    _MODELS + "/uploads/{upload_id}": {"GET": "weights.uploads.get_upload"},
    _MODELS + "/uploads/{upload_id}/events": {"GET": "weights.uploads.list_upload_events"},
    _MODELS + "/upload/create": {"POST": "weights.local_uploads.plan_upload"},
    _MODELS + "/upload/complete": {"POST": "weights.local_uploads.complete_upload"},
    _MODELS + "/{model_id}": {
        "GET": registry.get_model,
        "PATCH": registry.update_model,
        "DELETE": registry.delete_model,
    },
    _MODELS + "/{model_id}/revisions": {"GET": registry.list_revisions},
    _MODELS + "/{model_id}/files": {"GET": registry.list_files},
    _CONFIGS: {"GET": registry.list_configs},
    _CONFIGS + "/{config_id}": {"GET": registry.get_config},
    _ENDPOINTS: {"GET": endpoints.list_endpoints, "POST": endpoints.create_endpoint},
    _ENDPOINTS + "/{endpoint_id}": {
        "GET": endpoints.get_endpoint,
        "PATCH": endpoints.update_endpoint,
        "DELETE": endpoints.delete_endpoint,
    },
    _ENDPOINTS + "/{endpoint_id}/events": {"GET": events.list_events},
    _ENDPOINTS + "/{endpoint_id}/analytics": {"GET": "deploy.analytics.show_analytics"},
    _DEPLOYMENTS: {"GET": deployments.list_deployments, "POST": deployments.create_deployment},
    _DEPLOYMENTS + "/{deployment_id}": {
        "GET": deployments.get_deployment,
        "PATCH": deployments.update_deployment,
        "DELETE": deployments.delete_deployment,
    },
    _ADAPTERS: {"GET": "deploy.adapters.list_adapters", "POST": "deploy.adapters.attach_adapter"},
    _ADAPTERS + "/{adapter_id}": {
        "GET": "deploy.adapters.get_adapter",
        "PATCH": "deploy.adapters.update_adapter",
        "DELETE": "deploy.adapters.detach_adapter",
    },
    _ROLLOUTS: {"GET": "deploy.rollouts.list_rollouts", "POST": "deploy.rollouts.create_rollout"},
    _ROLLOUTS + "/preview-defaults": {"POST": "deploy.rollouts.preview"},
    _ROLLOUTS + "/{rollout_id}": {"GET": "deploy.rollouts.get_rollout", "DELETE": "deploy.rollouts.delete_rollout"},
    _ROLLOUTS + "/{rollout_id}/start": {"POST": "deploy.rollouts.start"},
    _ROLLOUTS + "/{rollout_id}/pause": {"POST": "deploy.rollouts.pause"},
    _ROLLOUTS + "/{rollout_id}/resume": {"POST": "deploy.rollouts.resume"},
    _ROLLOUTS + "/{rollout_id}/cancel": {"POST": "deploy.rollouts.cancel"},
    _ROLLOUTS + "/{rollout_id}/promote": {"POST": "deploy.rollouts.promote"},
}

_ROUTES = compile_routes(TABLE)

# What the platform owns can be read under its own project too: that is how resource paths name it.
_READABLE_OF_PLATFORM = {registry.get_model, registry.list_revisions, registry.list_files, registry.get_config}


def route(world: World, request: Request) -> Reply:
    """The answer of the matching function. Raises ApiError: 404 unknown path or project, 405 wrong method."""
    found = match_route(_ROUTES, request)
    if found is None:
        raise unknown_path(request)
    handler, names = found
    if "project_id" in names:
        allowed = {PROJECT_ID, PLATFORM_PROJECT_ID} if handler in _READABLE_OF_PLATFORM else {PROJECT_ID}
        require_project(names.pop("project_id"), *allowed)
    organization_id = names.pop("organization_id", ORGANIZATION_ID)
    if organization_id != ORGANIZATION_ID:
        raise not_found("organization", organization_id)
    return handler(world, request, **names)
