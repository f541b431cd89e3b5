"""What can be deployed, on which hardware, at which price today."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, UsageError
from reasoning_cli.values import MODEL_TYPES, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient
    from reasoning_cli.together.wire import InstanceType, Model


@dataclass(frozen=True)
class Hardware:
    """One way to serve a model: a certified config, its instance type and the price of one running replica."""

    config: str
    config_id: str
    name: str
    description: str
    price_cents_per_hour: int
    headroom: int | None

    @property
    def is_free(self) -> bool:
        """Whether a replica can be had now, as far as is known."""
        return self.headroom is None or self.headroom > 0


@dataclass(frozen=True)
class HardwareChoice:
    """What was chosen, among how many, and why."""

    hardware: Hardware
    candidates: int
    reason: str


def find_model(client: TogetherClient, wanted: str, *, merged: bool | None = None) -> Model:
    """The model an operator means: an `ml_` id, a fine-tuning job's `ft-` id, `slug/name` or the name without slug.

    The registry wins over the platform's catalogue. `merged` says which of its two results of a job is meant. Raises
    NotFoundError.
    """
    if wanted.startswith("ml_"):
        return client.model(wanted)
    if wanted.startswith("ft-"):
        return _tuned(client, wanted, merged)
    models = list(client.models())
    for found in ([m for m in models if m.name == wanted], [m for m in models if m.name.rpartition("/")[2] == wanted]):
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(f"{model.name} ({model.id})" for model in found)
            raise ReasoningError(f"`{wanted}` could be several models: {ids}", "name it by its `ml_…` id")
    offered = [one for one in client.supported_models(wanted) if one.name == wanted]
    if offered and (model := offered[0].model) is not None:
        return model
    known = [*(model.name for model in models), *(spell_model_type(one) for one in MODEL_TYPES)]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    if near and near[0].partition("/")[0] == wanted.partition("/")[0]:
        hint = f"did you mean `{near[0]}`?"
    elif wanted.count("/") == 1 and " " not in wanted:
        name, bases = wanted.partition("/")[2], [one.name for one in client.supported_models()]
        base = next(iter(difflib.get_close_matches(wanted, bases, n=1, cutoff=0.4)), "BASE")
        hint = f"if it is at Hugging Face: `reasoning models upload {name} --from {wanted} --base {base}`"
    else:
        hint = f"did you mean `{near[0]}`?" if near else "`reasoning models search TEXT` shows what there is"
    raise NotFoundError(f"no model `{wanted}` in this account or Together's catalogue", hint)


def _tuned(client: TogetherClient, job_id: str, merged: bool | None) -> Model:
    """What a fine-tuning job left in the registry. Its `model_output_name` is of v1, and cannot be deployed."""
    job = client.fine_tune(job_id)
    if job.model_object_id and job.adapter_object_id and merged is None:
        raise UsageError(
            f"`{job_id}` left merged weights and an adapter",
            "add `--merged` for the weights, or `--adapter` to let Together merge them when it starts",
        )
    either = job.model_object_id or job.adapter_object_id
    found = either if merged is None else job.model_object_id if merged else job.adapter_object_id
    if found is not None:
        return client.model(found)
    if either is not None:
        raise NotFoundError(f"`{job_id}` left no {'merged weights' if merged else 'adapter'}", "name the other one")
    if job.status.lower() == "completed":
        raise NotFoundError(
            f"`{job_id}` is completed, but registration failed: it left no model that can be deployed",
            "run the job again, or download its result and upload that",
        )
    raise NotFoundError(f"`{job_id}` is {job.status}: there is no model yet", "wait until the job is completed")


def serving_options(client: TogetherClient, model: Model) -> list[Hardware]:
    """Every way to serve `model`, cheapest first; configs on hardware without a price are left out."""
    types = {one.name: one for one in client.instance_types()}
    options = [
        _hardware(config.resource, config.id, types[config.hardware])
        for config in client.configs(model)
        if config.hardware in types
    ]
    return sorted(options, key=lambda option: (option.price_cents_per_hour, option.name))


def choose_hardware(
    client: TogetherClient,
    model: Model,
    *,
    hardware: str | None = None,
    config: str | None = None,
    needs_room: bool = True,
) -> HardwareChoice:
    """The cheapest config with room now, or the one asked for by hardware name or `cr_` id.

    What has its replicas already does not need room (`needs_room=False`): it may itself have taken the last.

    Raises NotFoundError when the model cannot be served (so), LimitError when there is no room anywhere.
    """
    options = serving_options(client, model)
    if not options:
        raise NotFoundError(
            f"`{model.name}` cannot be served: Together has no config for it",
            "fine-tune a base model that has one; nothing was created",
        )
    matching = [one for one in options if hardware in (None, one.name) and config in (None, one.config, one.config_id)]
    if not matching:
        offered = ", ".join(f"{one.name} ({one.config_id})" for one in options)
        raise NotFoundError(f"`{model.name}` cannot be served on `{config or hardware}`", f"it can on: {offered}")
    free = [one for one in matching if one.is_free or not needs_room]
    if not free:
        raise LimitError(
            f"no {' or '.join(one.name for one in matching)} is free at Together now",
            "try again later, or another `--hardware`" if hardware or config else "try again later",
        )
    if hardware or config:
        reason = "as asked for"
    elif len(options) == 1:
        reason = "the only one that can serve it"
    elif free[0] is not options[0]:
        reason = f"cheapest of {len(options)} that has room now"
    else:
        reason = f"cheapest of {len(options)} that can serve it"
    return HardwareChoice(free[0], len(options), reason)


def _hardware(config: str, config_id: str, kind: InstanceType) -> Hardware:
    return Hardware(config, config_id, kind.name, kind.description, kind.price_cents_per_hour, kind.headroom)
