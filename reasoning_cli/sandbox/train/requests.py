"""What a model can be fine-tuned with, what that would cost, and the request that starts it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.deploy import supported_models
from reasoning_cli.sandbox.http.problems import ApiError, bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.train.fine_tunes import show_created
from reasoning_cli.sandbox.train.job_life import begin
from reasoning_cli.sandbox.world.catalog import PROJECT_SLUG, Model
from reasoning_cli.sandbox.world.records import FineTune, StoredFile
from reasoning_cli.sandbox.world.world import World, new_id

_SUFFIX = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NANO_DOLLARS = 1_000_000_000
# Nano-dollars a token by size: up to so many parameters, for LoRA and in full. Preferences cost two and a half times.
_PRICES = ((16e9, 480, 540), (69e9, 1500, 1650), (200e9, 2900, 3200))
_PREFERENCE = 5, 2
_DEFAULT_BATCH = 8
_ECHOED = (
    "validation_file",
    "n_epochs",
    "n_evals",
    "n_checkpoints",
    "batch_size",
    "learning_rate",
    "lr_scheduler",
    "warmup_ratio",
    "max_grad_norm",
    "weight_decay",
    "max_seq_length",
    "packing",
    "random_seed",
    "from_checkpoint",
)


def get_limits(world: World, request: Request) -> Json:
    """Of a model, or of the one that a job went out from."""
    name = request.query.get("model_name", "")
    if not name:
        raise bad_request("model_name is required", param="model_name")
    job = _checkpoint(world, name)
    return _limits(_base(world, job.model if job else name))


def estimate_price(world: World, request: Request) -> Json:
    """Nothing but the reason where a file has not passed its check."""
    body = request.body()
    base = _trained(world, body)
    training, validation = _files(world, body)
    for side, file in (("train", training), ("eval", validation)):
        if file is None:
            continue
        if file.status in ("INVALID_FORMAT", "FAILED"):
            return {"estimation_available": False, "unavailable_reason": f"{side}_file_invalid"}
        if file.status != "COMPLETED":
            return {"estimation_available": False, "unavailable_reason": f"{side}_file_not_validated"}
        if (file.report or {}).get("dataset_is_multimodal"):
            return {"estimation_available": False, "unavailable_reason": "multimodal_dataset"}
    price, trained, evaluated = _price(base, body, training, validation)
    return {
        "estimation_available": True,
        "estimated_total_price": price / _NANO_DOLLARS,
        "estimated_train_token_count": trained,
        "estimated_eval_token_count": evaluated,
        "user_limit": float(world.behaviour.spending_limit_dollars),
        "allowed_to_proceed": _affordable(world, price),
    }


def create_job(world: World, request: Request) -> Json:
    body = request.body()
    base = _trained(world, body)
    training, validation = _files(world, body)
    for name, file in (("training_file", training), ("validation_file", validation)):
        if file is not None and file.status != "COMPLETED":
            raise bad_request(f"{name} {file.id} is {file.status}, not validated", param=name)
    kind, method = _check(base, body, training, validation)
    price, trained, _ = _price(base, body, training, validation)
    if world.behaviour.insufficient_balance or not _affordable(world, price):
        message = "the balance does not cover the estimated price of this job"
        raise ApiError(HTTPStatus.PAYMENT_REQUIRED, message, code="insufficient_balance")
    parent = _checkpoint(world, str(body.get("from_checkpoint") or ""))
    epochs, batch = cast(int, body.get("n_epochs", 1)), body.get("batch_size", "max")
    steps = -(-training.lines // (batch if isinstance(batch, int) else _DEFAULT_BATCH))
    sequence = world.next_sequence()
    job = FineTune(
        id=f"ft-{new_id('')[1:]}",
        model=base.name,
        suffix=str(body.get("suffix") or f"tuned-{sequence}"),
        kind=kind,
        status="pending",
        training_file=training.id,
        token_count=trained,
        total_price=0,
        created_at=world.now,
        sequence=sequence,
        base_id=base.id,
        asked={name: body[name] for name in _ECHOED if name in body} | {"training_method": method},
        full_price=price,
        lines=training.lines,
        file_bytes=training.size,
        total_steps=max(1, steps) * epochs,
        checksums=[*(parent.checksums if parent else []), training.checksum],
    )
    if isinstance(body.get("training_type"), dict):
        job.asked["training_type"] = body["training_type"]
    world.fine_tunes[job.id] = job
    begin(world, job)
    return show_created(world, job)


def _limits(base: Model) -> Json:
    small = base.parameters <= 16_000_000_000
    length = min(base.context_length, 32_768 if small else 16_384)
    most = 32 if small else 8
    return {
        "model_name": base.name,
        "supports_full_training": small,
        "supports_reasoning": base.architecture.startswith("Qwen"),
        "supports_tools": True,
        "supports_vision": False,
        "max_seq_length_sft": length,
        "max_seq_length_dpo": length // 2,
        "min_max_seq_length": 512,
        "max_num_epochs": 20,
        "max_num_evals": 100,
        "max_num_checkpoints": 20,
        "min_learning_rate": 1e-8,
        "max_learning_rate": 1e-2,
        "default_gradient_accumulation_steps": 1,
        "merge_output_lora": True,
        "lora_training": {
            "default_rank": 64,
            "max_rank": 64,
            "min_batch_size": 1,
            "max_batch_size": most,
            "max_batch_size_dpo": max(1, most // 2),
            "target_modules": ["k_proj", "o_proj", "q_proj", "v_proj"],
        },
        "full_training": {
            "min_batch_size": 1 if small else 0,
            "max_batch_size": most // 2 if small else 0,
            "max_batch_size_dpo": most // 4 if small else 0,
        },
    }


def _base(world: World, name: str) -> Model:
    """A model of the platform that can be fine-tuned. Raises ApiError (404)."""
    tunable = {
        model.name: model for model in supported_models.tunable(world) if model.name != world.behaviour.retired_base
    }
    if name not in tunable:
        raise ApiError(
            HTTPStatus.NOT_FOUND, f"model {name!r} is not available for fine-tuning", code="model_not_available"
        )
    return tunable[name]


def _trained(world: World, body: Json) -> Model:
    """The base of a request by its model or checkpoint."""
    model, checkpoint = body.get("model") or None, body.get("from_checkpoint") or None
    if (model is None) == (checkpoint is None):
        raise bad_request("either model or from_checkpoint is required", param="model")
    if checkpoint is None:
        return _base(world, str(model))
    job = _checkpoint(world, str(checkpoint))
    if job is None or job.status != "completed":
        raise bad_request(f"no finished fine-tune {checkpoint!r} to go on from", param="from_checkpoint")
    return _base(world, job.model)


def _checkpoint(world: World, name: str) -> FineTune | None:
    """The job of `JOB_ID` or output name, each perhaps with `:STEP`."""
    for job in world.live_fine_tunes():
        output = f"{PROJECT_SLUG}/{job.model.rpartition('/')[2]}:{job.suffix}:{job.id}"
        for known in (job.id, output):
            if name == known or (name.startswith(f"{known}:") and name[len(known) + 1 :].isdecimal()):
                return job
    return None


def _files(world: World, body: Json) -> tuple[StoredFile, StoredFile | None]:
    found: list[StoredFile | None] = []
    for name in ("training_file", "validation_file"):
        file_id = body.get(name)
        if not file_id:
            found.append(None)
        elif not isinstance(file_id, str) or file_id not in world.stored_files:
            raise not_found("file", str(file_id))
        else:
            found.append(world.stored_files[file_id])
    training, validation = found
    if training is None:
        raise bad_request("training_file is required", param="training_file")
    if _count(body, "n_evals", 0, 10**6) and validation is None:
        raise bad_request("n_evals needs a validation_file", param="n_evals")
    return training, validation


def _check(base: Model, body: Json, training: StoredFile, validation: StoredFile | None) -> tuple[str, Json]:
    """Kind and method of training. Raises ApiError (400) for what is beyond the limits of the model."""
    limits = _limits(base)
    _count(body, "n_epochs", 1, cast(int, limits["max_num_epochs"]))
    _count(body, "n_evals", 0, cast(int, limits["max_num_evals"]))
    _count(body, "n_checkpoints", 1, cast(int, limits["max_num_checkpoints"]))
    rate = body.get("learning_rate", 1e-5)
    low, high = cast(float, limits["min_learning_rate"]), cast(float, limits["max_learning_rate"])
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not low <= rate <= high:
        raise bad_request(f"learning_rate must be from {low} to {high}", param="learning_rate")
    suffix = body.get("suffix", "tuned")
    if not isinstance(suffix, str) or not _SUFFIX.fullmatch(suffix):
        raise bad_request("suffix must be 1 to 64 letters, digits, underscores and hyphens", param="suffix")
    method = body.get("training_method") or {"method": "sft", "train_on_inputs": "auto"}
    name = method.get("method") if isinstance(method, dict) else None
    if name not in ("sft", "dpo"):
        raise bad_request("training_method.method must be sft or dpo", param="training_method")
    length = body.get("max_seq_length", limits[f"max_seq_length_{name}"])
    _within("max_seq_length", length, limits["min_max_seq_length"], limits[f"max_seq_length_{name}"])
    for file in (training, validation):
        form = (file.report or {}).get("dataset_format") if file else None
        if file and (form == "preference_openai") != (name == "dpo"):
            raise bad_request(f"{name} cannot be trained on {form} samples, which {file.id} has", param="training_file")
    kind = _kind(limits, body.get("training_type"))
    bounds = cast(Json, limits["lora_training" if kind == "Lora" else "full_training"])
    batch = body.get("batch_size", "max")
    if batch != "max":
        most = bounds["max_batch_size_dpo" if name == "dpo" else "max_batch_size"]
        _within("batch_size", batch, bounds["min_batch_size"], most)
    return kind, cast(Json, method)


def _kind(limits: Json, given: object) -> str:
    if given is None:
        return "Lora"
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "Full":
        if not limits["supports_full_training"]:
            raise bad_request(f"{limits['model_name']} can be trained with LoRA only", param="training_type")
        return "Full"
    if kind != "Lora":
        raise bad_request("training_type.type must be Lora or Full", param="training_type")
    given = cast(Json, given)
    _within("lora_r", given.get("lora_r"), 1, cast(Json, limits["lora_training"])["max_rank"])
    _within("lora_alpha", given.get("lora_alpha"), 1, 10_000)
    return "Lora"


def _count(body: Json, name: str, low: int, high: int) -> int:
    value = body.get(name, low)
    _within(name, value, low, high)
    return cast(int, value)


def _within(name: str, value: object, low: object, high: object) -> None:
    lowest, highest = cast(int, low), cast(int, high)
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise bad_request(f"{name} must be an integer from {lowest} to {highest}", param=name)


def _price(base: Model, body: Json, training: StoredFile, validation: StoredFile | None) -> tuple[int, int, int]:
    """(nano-dollars, tokens trained on, tokens evaluated on) of the whole job."""
    trained = training.tokens * _count(body, "n_epochs", 1, 10**6)
    if body.get("packing") is False:
        trained = training.lines * cast(int, _limits(base)["max_seq_length_sft"]) * _count(body, "n_epochs", 1, 10**6)
    evaluated = validation.tokens * _count(body, "n_evals", 0, 10**6) if validation else 0
    kind, method = body.get("training_type"), body.get("training_method")
    full = isinstance(kind, dict) and kind.get("type") == "Full"
    lora_rate, full_rate = next(rates for most, *rates in _PRICES if base.parameters <= most)
    price = (trained + evaluated) * (full_rate if full else lora_rate)
    if isinstance(method, dict) and method.get("method") == "dpo":
        price = price * _PREFERENCE[0] // _PREFERENCE[1]
    return price, trained, evaluated


def _affordable(world: World, price: int) -> bool:
    return price <= world.behaviour.spending_limit_dollars * _NANO_DOLLARS
