"""What to fine-tune, on what and how, in the service's own words for a job and for its price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reasoning_cli.engines.together.connection import Json

_LEARNING_RATE = 1e-5
_SCHEDULER: Json = {
    "lr_scheduler_type": "cosine",
    "lr_scheduler_args": {"min_lr_ratio": 0.0, "num_cycles": 0.5},
}


@dataclass(frozen=True)
class JobRequest:
    """What to train. Either `model` or `from_checkpoint` (a job's id or output name, `:STEP` after it if need be).

    The defaults are those of the vendor's own client; None leaves a member to the service. Training is LoRA unless
    `full`; `suffix` must be of this one job alone, for a job whose answer was lost is found by it.
    """

    training_file: str
    suffix: str
    model: str | None = None
    from_checkpoint: str | None = None
    validation_file: str | None = None
    n_epochs: int = 1
    n_evals: int = 0
    n_checkpoints: int = 1
    batch_size: int | Literal["max"] = "max"
    learning_rate: float | None = None  # None: 1e-5, which is little for LoRA
    warmup_ratio: float = 0.0
    weight_decay: float = 0.0
    max_seq_length: int | None = None
    packing: bool = True
    full: bool = False
    lora_r: int | None = None  # with None and `lora_alpha` None, all of LoRA is left to the service
    lora_alpha: int | None = None  # None: twice the rank
    lora_dropout: float = 0.0
    method: Literal["sft", "dpo"] = "sft"
    train_on_inputs: bool | Literal["auto"] = "auto"  # sft only
    dpo_beta: float | None = None
    random_seed: int | None = None

    def body(self) -> Json:
        """As the service takes it for a job."""
        optional = {
            "model": self.model,
            "from_checkpoint": self.from_checkpoint,
            "max_seq_length": self.max_seq_length,
            "random_seed": self.random_seed,
            "training_type": self._type(),
        }
        return {
            "training_file": self.training_file,
            "validation_file": self.validation_file or "",
            "suffix": self.suffix,
            "n_epochs": self.n_epochs,
            "n_evals": self.n_evals,
            "n_checkpoints": self.n_checkpoints,
            "batch_size": self.batch_size,
            "packing": self.packing,
            "learning_rate": self.learning_rate or _LEARNING_RATE,
            "lr_scheduler": _SCHEDULER,
            "warmup_ratio": self.warmup_ratio,
            "max_grad_norm": 1.0,
            "weight_decay": self.weight_decay,
            "early_stopping_enabled": False,
            "training_method": self._method(),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def estimate_body(self) -> Json:
        """As the service takes it for a price."""
        optional: Json = {
            "model": self.model,
            "from_checkpoint": self.from_checkpoint,
            "validation_file": self.validation_file,
            "training_type": self._type(),
        }
        return {
            "training_file": self.training_file,
            "n_epochs": self.n_epochs,
            "n_evals": self.n_evals,
            "training_method": self._method(),
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _type(self) -> Json | None:
        if self.full:
            return {"type": "Full"}
        if self.lora_r is None:
            return None
        alpha = self.lora_alpha if self.lora_alpha is not None else 2 * self.lora_r
        return {
            "type": "Lora",
            "lora_r": self.lora_r,
            "lora_alpha": alpha,
            "lora_dropout": self.lora_dropout,
            "lora_trainable_modules": "all-linear",
        }

    def _method(self) -> Json:
        if self.method == "sft":
            return {"method": "sft", "train_on_inputs": self.train_on_inputs}
        beta: Json = {} if self.dpo_beta is None else {"dpo_beta": self.dpo_beta}
        return {"method": "dpo", **beta}
