"""What the stand-in has on offer from the start: GPUs and prices, configs, and a few models.

Prices are those the live service was seen to charge (549 cents an hour for one H100 in October 2026); they are here
to be read through the API, never to be relied on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from reasoning_cli.sandbox.http.shapes import Json

PROJECT_ID = "proj_sandbox"
PROJECT_SLUG = "sandbox"
PROJECT_NAME = "Sandbox"
PLATFORM_PROJECT_ID = "proj_platform"
ORGANIZATION_ID = "org_sandbox"
ORGANIZATION_NAME = "Sandbox organisation"
API_KEY = "sandbox-key"
API_KEY_ID = "key_sandbox"


def stable_id(prefix: str, name: str) -> str:
    """The same id for the same name in every sandbox."""
    return f"{prefix}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _digest(name: str) -> str:
    """Stands for the MD5 of a file that does not exist."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Region:
    """`headroom` is the number of instances free, None when the service does not say."""

    name: str
    headroom: int | None


@dataclass(frozen=True)
class InstanceType:
    accelerator: str
    title: str
    gpu_count: int
    gpu_memory_gib: int
    price_cents_per_hour: int
    regions: tuple[Region, ...]

    @property
    def name(self) -> str:
        return f"{self.gpu_count}x{self.accelerator}"

    @property
    def id(self) -> str:
        return stable_id("it", self.name)

    @property
    def has_capacity(self) -> bool:
        """False only when the service knows that nothing is free."""
        return any(region.headroom != 0 for region in self.regions)

    def show(self, price_cents_per_hour: int) -> Json:
        return {
            "id": self.id,
            "name": self.name,
            "description": f"{self.gpu_count}x {self.title}",
            "gpuType": self.title,
            "gpuCount": self.gpu_count,
            "gpuMemoryGib": self.gpu_memory_gib,
            "priceCentsPerHour": price_cents_per_hour,
            "regions": [
                {"name": region.name}
                if region.headroom is None
                else {"name": region.name, "headroom": {"value": region.headroom, "relation": "RELATION_EQ"}}
                for region in self.regions
            ],
        }


def _h100(count: int, cents: int, headroom: int) -> InstanceType:
    regions = (Region("us-central-1", headroom), Region("eu-west-1", headroom // 2))
    return InstanceType("nvidia-h100-80gb", "NVIDIA H100 80GB", count, 80 * count, cents, regions)


INSTANCE_TYPES: dict[str, InstanceType] = {
    kind.name: kind
    for kind in (
        # The cheapest, and nothing free: "cheapest" and "cheapest that can start" differ.
        InstanceType("nvidia-a100-80gb", "NVIDIA A100 80GB", 1, 80, 329, (Region("us-central-1", 0),)),
        _h100(1, 549, 16),
        _h100(2, 1098, 8),
        _h100(4, 2196, 4),
        _h100(8, 4392, 2),
        InstanceType("nvidia-h200-140gb", "NVIDIA H200 140GB", 1, 140, 749, (Region("us-central-1", None),)),
    )
}


@dataclass(frozen=True)
class Config:
    """A certified way to run one model: GPU and count. It belongs to the platform, not to the caller."""

    model_id: str
    revision_id: str
    hardware: str
    adapter_mode: str = "disabled"

    @property
    def id(self) -> str:
        return stable_id("cr", f"{self.model_id} {self.hardware}")

    @property
    def path(self) -> str:
        return f"projects/{PLATFORM_PROJECT_ID}/configs/{self.id}"

    def show(self, project_id: str) -> Json:
        """`project_id` is the project of the reference model."""
        model = f"projects/{project_id}/models/{self.model_id}"
        instance = INSTANCE_TYPES[self.hardware]
        return {
            "id": self.id,
            "projectId": PLATFORM_PROJECT_ID,
            "referenceModel": model,
            "referenceModelId": self.model_id,
            "selectors": [
                {"key": "accelerator_type", "value": instance.accelerator},
                {"key": "accelerator_count", "value": str(instance.gpu_count)},
                {"key": "optimization", "value": "balanced"},
                {"key": "adapter_mode", "value": self.adapter_mode},
            ],
            "certifications": [
                {
                    "certificationType": "CERTIFICATION_TYPE_CERTIFIED",
                    "certifiedAt": "2026-09-17T00:00:00.000Z",
                    "certifiedBy": "platform",
                    "model": f"{model}/revisions/{self.revision_id}",
                    "modelRevisionId": self.revision_id,
                    "target": "CERTIFICATION_TARGET_DE_SERVERLESS",
                }
            ],
        }


@dataclass
class Revision:
    """One set of weights. `status` is PENDING, SUCCESS or FAILED, with [rule, message] of each error.

    `files` holds [path, hash, bytes]; times are virtual milliseconds.
    """

    id: str
    created_at: int
    status: str = "SUCCESS"
    validated_at: int | None = None
    errors: list[list[str]] = field(default_factory=list)
    files: list[tuple[str, str, int]] = field(default_factory=list)


@dataclass
class Model:
    """A row of the registry; `revisions` newest last, none = no weights.

    `learned` names the texts it was fine-tuned on here, by their SHA-256, newest last.
    """

    id: str
    project_id: str
    name: str
    architecture: str
    parameters: int
    base_model_id: str | None = None
    description: str | None = None
    visibility: str = "VISIBILITY_PRIVATE"
    context_length: int = 131072
    kind: str = "model"
    sequence: int = 0
    revisions: list[Revision] = field(default_factory=list)
    learned: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"projects/{self.project_id}/models/{self.id}"

    @property
    def deployable(self) -> list[Revision]:
        """The revisions that passed validation."""
        return [revision for revision in self.revisions if revision.status == "SUCCESS"]

    @property
    def is_unvalidated(self) -> bool:
        """Whether a revision still waits for its validation."""
        return any(revision.status == "PENDING" for revision in self.revisions)

    def weight_files(self) -> list[tuple[str, str, int]]:
        """What an upload of its weights would consist of."""
        if self.kind == "adapter":
            sizes = {"adapter_config.json": 800, "adapter_model.safetensors": self.parameters // 50}
        else:
            sizes = {"config.json": 700, "model.safetensors": 2 * self.parameters, "tokenizer.json": 7_000_000}
        return [(path, _digest(f"{self.id}/{path}"), size) for path, size in sizes.items()]


@dataclass(frozen=True)
class _Seed:
    name: str
    base: str | None
    architecture: str
    parameters: int
    hardware: tuple[str, ...]
    has_weights: bool = True
    adapter_mode: str = "disabled"


_SMALL = ("1xnvidia-a100-80gb", "1xnvidia-h100-80gb", "1xnvidia-h200-140gb", "2xnvidia-h100-80gb")
_MIDDLE = (*_SMALL, "4xnvidia-h100-80gb")
_LARGE = ("4xnvidia-h100-80gb", "8xnvidia-h100-80gb")
_QWEN_SMALL = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
_QWEN_MIDDLE = "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"
_LLAMA_LARGE = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"

_PLATFORM_SEEDS = (
    _Seed(_QWEN_SMALL, None, "Qwen2ForCausalLM", 1_500_000_000, _SMALL),
    _Seed(_QWEN_MIDDLE, None, "Qwen2ForCausalLM", 14_000_000_000, _MIDDLE),
    _Seed(_LLAMA_LARGE, None, "LlamaForCausalLM", 70_000_000_000, _LARGE),
    _Seed("Qwen/Qwen3-8B", None, "Qwen3ForCausalLM", 8_200_000_000, _SMALL, adapter_mode="dynamic"),
    # Answers in form and decides badly: something to be better than.
    _Seed("meta-llama/Llama-3.2-3B-Instruct", None, "LlamaForCausalLM", 3_200_000_000, _SMALL, adapter_mode="dynamic"),
    _Seed("meta-llama/Llama-3.3-70B-Instruct", None, "LlamaForCausalLM", 70_000_000_000, _LARGE),
    _Seed("openai/gpt-oss-20b", None, "GptOssForCausalLM", 21_000_000_000, _MIDDLE),
    # To be fine-tuned only, and callable serverless only.
    _Seed("google/gemma-3-27b-it", None, "Gemma3ForConditionalGeneration", 27_000_000_000, ()),
    _Seed("Qwen/Qwen2.5-7B-Instruct", None, "Qwen2ForCausalLM", 7_600_000_000, ()),
)

_PROJECT_SEEDS = (
    _Seed(
        "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond",
        _QWEN_SMALL,
        "Qwen2ForCausalLM",
        1_500_000_000,
        _SMALL,
    ),
    _Seed(
        "moonmakesmagic/DeepSeek-Qwen-14B-planning",
        _QWEN_MIDDLE,
        "Qwen2ForCausalLM",
        14_000_000_000,
        _MIDDLE,
    ),
    _Seed(
        "moonmakesmagic/DeepSeek-Llama-67B-coding",
        _LLAMA_LARGE,
        "LlamaForCausalLM",
        67_000_000_000,
        _LARGE,
    ),
    # May be fine-tuned, cannot be deployed.
    _Seed("sandbox/no-config-27b", None, "Gemma3ForCausalLM", 27_000_000_000, ()),
    _Seed("sandbox/large-only-120b", None, "GptOssForCausalLM", 120_000_000_000, _LARGE),
    # The record was made, the upload never finished.
    _Seed("sandbox/no-weights-8b", None, "LlamaForCausalLM", 8_000_000_000, _SMALL, has_weights=False),
)


def seed_models(now: int) -> dict[str, Model]:
    """The registry of a fresh sandbox, by id."""
    rows = [(seed, PLATFORM_PROJECT_ID) for seed in _PLATFORM_SEEDS] + [(seed, PROJECT_ID) for seed in _PROJECT_SEEDS]
    models = [
        Model(
            id=stable_id("ml", seed.name),
            project_id=project_id,
            name=seed.name,
            architecture=seed.architecture,
            parameters=seed.parameters,
            base_model_id=stable_id("ml", seed.base) if seed.base else None,
            visibility="VISIBILITY_INTERNAL",
            sequence=index,
            revisions=[Revision(stable_id("rv", seed.name), now, validated_at=now)] if seed.has_weights else [],
        )
        for index, (seed, project_id) in enumerate(rows, start=1)
    ]
    for model in models:
        for revision in model.revisions:
            revision.files = model.weight_files()
    return {model.id: model for model in models}


def _configs(seeds: Iterable[_Seed]) -> Iterable[Config]:
    for seed in seeds:
        for hardware in seed.hardware:
            yield Config(stable_id("ml", seed.name), stable_id("rv", seed.name), hardware, seed.adapter_mode)


CONFIGS: dict[str, Config] = {config.id: config for config in _configs((*_PLATFORM_SEEDS, *_PROJECT_SEEDS))}


def configs_for(model: Model) -> list[Config]:
    """The configs that can run `model`: its own, else those of the base it was trained from."""
    own = [config for config in CONFIGS.values() if config.model_id == model.id]
    return own or [config for config in CONFIGS.values() if config.model_id == model.base_model_id]
