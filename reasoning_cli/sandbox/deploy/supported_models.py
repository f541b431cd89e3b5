"""The catalogue of supported models: what the platform offers, on what terms, and how each can be deployed."""

from __future__ import annotations

from dataclasses import dataclass

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.http.paging import page
from reasoning_cli.sandbox.http.problems import bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.catalog import (
    INSTANCE_TYPES,
    PLATFORM_PROJECT_ID,
    Config,
    Model,
    configs_for,
    stable_id,
)
from reasoning_cli.sandbox.world.world import World

_SERVERLESS, _DEDICATED, _FINE_TUNING = "PRODUCT_SERVERLESS", "PRODUCT_DEDICATED", "PRODUCT_FINE_TUNING"
_PRODUCTS = {_SERVERLESS, _DEDICATED, _FINE_TUNING, "PRODUCT_RESERVED"}
_MODALITIES = {"MODALITY_TEXT", "MODALITY_IMAGE", "MODALITY_AUDIO", "MODALITY_VIDEO"}
_ADAPTER_MODES = {"ADAPTER_MODE_FIXED", "ADAPTER_MODE_DYNAMIC", "ADAPTER_MODE_DISABLED"}


@dataclass(frozen=True)
class _Offer:
    """`pricing` is serverless: (input, output) in dollars per million tokens."""

    pricing: tuple[float, float] | None = None
    tuned: bool = True
    status: str = "SUPPORTED"
    features: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("MODALITY_TEXT",)


_THINKS, _TOOLS, _STRUCTURE = "FEATURE_REASONING", "FEATURE_TOOL_CALLING", "FEATURE_STRUCTURED_OUTPUT"
_OFFERS = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": _Offer(features=(_THINKS,)),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": _Offer(features=(_THINKS,)),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": _Offer(features=(_THINKS,)),
    "Qwen/Qwen3-8B": _Offer(status="RECOMMENDED", features=(_THINKS, _TOOLS, _STRUCTURE)),
    "meta-llama/Llama-3.2-3B-Instruct": _Offer(features=(_TOOLS,)),
    "meta-llama/Llama-3.3-70B-Instruct": _Offer((0.88, 0.88), features=(_TOOLS, _STRUCTURE)),
    "openai/gpt-oss-20b": _Offer((0.05, 0.2), tuned=False, status="RECOMMENDED", features=(_THINKS, _TOOLS)),
    "google/gemma-3-27b-it": _Offer(inputs=("MODALITY_TEXT", "MODALITY_IMAGE")),
    "Qwen/Qwen2.5-7B-Instruct": _Offer((0.3, 0.3), status="DEPRECATED", features=(_TOOLS,)),
}


def list_supported_models(world: World, request: Request) -> Json:
    """By part of the name, product, modality and adapter mode."""
    wanted = request.query.get("search", "").lower()
    product = _one_of(request, "product", _PRODUCTS)
    modality = _one_of(request, "modality", _MODALITIES)
    adapter_mode = _one_of(request, "adapterMode", _ADAPTER_MODES)
    found = [
        model
        for model in _offered(world)
        if wanted in model.name.lower()
        and product in {None, *_products(model)}
        and modality in {None, *_OFFERS[model.name].inputs}
        and adapter_mode in {None, *(_adapter_mode(config) for config in configs_for(model))}
    ]
    return page(found, request.query, position=lambda model: (0, model.sequence), show=_show, newest_first=False)


def get_supported_model(world: World, request: Request, supported_id: str) -> Json:
    for model in _offered(world):
        if _id(model) == supported_id:
            return _show(model)
    raise not_found("supported model", supported_id)


def tunable(world: World) -> list[Model]:
    """What can be fine-tuned, whether or not the result could be served."""
    return [model for model in _offered(world) if _FINE_TUNING in _products(model)]


def _offered(world: World) -> list[Model]:
    return [
        model for model in world.models.values() if model.project_id == PLATFORM_PROJECT_ID and model.name in _OFFERS
    ]


def _one_of(request: Request, name: str, allowed: set[str]) -> str | None:
    value = request.query.get(name)
    if value is not None and value not in allowed:
        raise bad_request(f"invalid {name}: must be one of " + ", ".join(sorted(allowed)), param=name)
    return value


def _products(model: Model) -> list[str]:
    offer = _OFFERS[model.name]
    offered = {_SERVERLESS: offer.pricing, _DEDICATED: configs_for(model), _FINE_TUNING: offer.tuned}
    return [product for product, is_offered in offered.items() if is_offered]


def _id(model: Model) -> str:
    return stable_id("sm", model.name)


def _adapter_mode(config: Config) -> str:
    return f"ADAPTER_MODE_{config.adapter_mode.upper()}"


def _show(model: Model) -> Json:
    offer = _OFFERS[model.name]
    made = stamp(model.revisions[-1].created_at)
    result: Json = {
        "id": _id(model),
        "name": model.name,
        "displayName": model.name.partition("/")[2],
        "displayType": "chat",
        "publisher": model.name.partition("/")[0],
        "baseModel": model.path,
        "baseModelId": model.id,
        "architecture": model.architecture,
        "contextLength": str(model.context_length),
        "status": f"SUPPORTED_MODEL_STATUS_{offer.status}",
        "products": _products(model),
        "capabilities": ["CAPABILITY_CHAT"],
        "features": list(offer.features),
        "inputModalities": list(offer.inputs),
        "outputModalities": ["MODALITY_TEXT"],
        "createdAt": made,
        "updatedAt": made,
        "deploymentProfiles": [_profile(model, config) for config in configs_for(model)],
    }
    if offer.pricing:
        result["pricing"] = {"input": offer.pricing[0], "output": offer.pricing[1]}
        result["serverlessEndpoint"] = model.name
    return result


def _profile(model: Model, config: Config) -> Json:
    instance = INSTANCE_TYPES[config.hardware]
    return {
        "profileId": stable_id("prof", config.id),
        "config": config.path,
        "certifiedConfigRevisionId": config.id,
        "certifiedModelRevisionId": config.revision_id,
        "model": model.path,
        "modelName": model.name,
        "gpuType": instance.title,
        "gpuCount": instance.gpu_count,
        "parallelism": f"TP{instance.gpu_count}",
        "quantization": "bf16",
        "adapterMode": _adapter_mode(config),
        "performanceBenchmarks": {"maxContextLength": str(model.context_length)},
    }
