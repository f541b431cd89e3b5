"""A job and its price in Together's own words."""

from __future__ import annotations

from reasoning_cli.engines.jobs import JobRequest
from reasoning_cli.engines.together.connection import Json

_LEARNING_RATE = 1e-5
_SCHEDULER: Json = {
    "lr_scheduler_type": "cosine",
    "lr_scheduler_args": {"min_lr_ratio": 0.0, "num_cycles": 0.5},
}


def job_body(request: JobRequest) -> Json:
    """As the service takes it for a job."""
    optional = {
        "model": request.model,
        "from_checkpoint": request.from_checkpoint,
        "max_seq_length": request.max_seq_length,
        "random_seed": request.random_seed,
        "training_type": _type(request),
    }
    return {
        "training_file": request.training_file,
        "validation_file": request.validation_file or "",
        "suffix": request.suffix,
        "n_epochs": request.n_epochs,
        "n_evals": request.n_evals,
        "n_checkpoints": request.n_checkpoints,
        "batch_size": request.batch_size,
        "packing": request.packing,
        "learning_rate": request.learning_rate or _LEARNING_RATE,
        "lr_scheduler": _SCHEDULER,
        "warmup_ratio": request.warmup_ratio,
        "max_grad_norm": 1.0,
        "weight_decay": request.weight_decay,
        "early_stopping_enabled": False,
        "training_method": _method(request),
        **{name: value for name, value in optional.items() if value is not None},
    }


def estimate_body(request: JobRequest) -> Json:
    """As the service takes it for a price."""
    optional: Json = {
        "model": request.model,
        "from_checkpoint": request.from_checkpoint,
        "validation_file": request.validation_file,
        "training_type": _type(request),
    }
    return {
        "training_file": request.training_file,
        "n_epochs": request.n_epochs,
        "n_evals": request.n_evals,
        "training_method": _method(request),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _type(request: JobRequest) -> Json | None:
    if request.full:
        return {"type": "Full"}
    if request.lora_r is None:
        return None
    alpha = request.lora_alpha if request.lora_alpha is not None else 2 * request.lora_r
    return {
        "type": "Lora",
        "lora_r": request.lora_r,
        "lora_alpha": alpha,
        "lora_dropout": request.lora_dropout,
        "lora_trainable_modules": "all-linear",
    }


def _method(request: JobRequest) -> Json:
    if request.method == "sft":
        return {"method": "sft", "train_on_inputs": request.train_on_inputs}
    beta: Json = {} if request.dpo_beta is None else {"dpo_beta": request.dpo_beta}
    return {"method": "dpo", **beta}
