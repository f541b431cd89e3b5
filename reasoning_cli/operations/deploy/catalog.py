"""What can be deployed, on which hardware, at which price today."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError
from reasoning_cli.values import MODEL_TYPES, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Catalog, Cloud
    from reasoning_cli.engines.serving import Config, InstanceType, Model


@dataclass(frozen=True)
class Hardware:
    """One way to serve a model: a certified config, its instance type and the price of one running replica."""

    config: str
    config_id: str
    name: str
    description: str
    price_cents_per_hour: int
    headroom: int | None
    takes_adapters: bool = False

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


@dataclass(frozen=True)
class Servable:
    """How a model can be served: `merged` on a deployment of its own, `adapter` attached to one of its base model.

    The same adapter may be both: Together merges it into its base when it is deployed by itself.
    """

    merged: Model
    adapter: Model | None = None


def find_servable(client: Cloud, wanted: str) -> Servable:
    """The ways to serve what an operator means by a name or an id; see `find_model`."""
    if wanted.startswith("ft-"):
        return _tuned(client, wanted)
    model = find_model(client, wanted)
    return Servable(model, model if model.is_adapter else None)


def find_base(client: Catalog, adapter: Model) -> Model:
    """The model an adapter was trained from, which is often the platform's. Raises NotFoundError when nobody says."""
    if adapter.base_place is None:
        raise NotFoundError(f"`{adapter.name}` has no base model that it could be attached to", "add `--merged`")
    project_id, model_id = adapter.base_place
    for offered in client.supported_models():
        if offered.model is not None and offered.model.id == model_id:
            return offered.model
    return client.model(model_id, project_id)


def find_model(client: Cloud, wanted: str) -> Model:
    """The model an operator means: an `ml_` id, a fine-tuning job's `ft-` id, `slug/name` or the name without slug.

    The registry wins over the platform's catalogue. Of a job with two results it is the merged one. Raises
    NotFoundError.
    """
    if wanted.startswith("ml_"):
        return client.model(wanted)
    if wanted.startswith("ft-"):
        return _tuned(client, wanted).merged
    models = list(client.models())
    if (named := _named(models, wanted)) is not None:
        return named
    offered = [model for model in client.supported_models(wanted) if model.name == wanted]
    if offered and (model := offered[0].model) is not None:
        return model
    hint = _hint_at(client, wanted, models)
    raise NotFoundError(f"no model `{wanted}` in this account or Together's catalogue", hint)


def _named(models: Sequence[Model], wanted: str) -> Model | None:
    """The one model of that name, with its slug or without. ReasoningError where there are several."""
    for found in ([m for m in models if m.name == wanted], [m for m in models if m.name.rpartition("/")[2] == wanted]):
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(f"{model.name} ({model.id})" for model in found)
            raise ReasoningError(f"`{wanted}` could be several models: {ids}", "name it by its `ml_…` id")
    return None


def _hint_at(client: Catalog, wanted: str, models: Sequence[Model]) -> str:
    """What may have been meant by a name that no model has: a similar one, or one to be uploaded."""
    known = [*(model.name for model in models), *(spell_model_type(model_type) for model_type in MODEL_TYPES)]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    if near and near[0].partition("/")[0] == wanted.partition("/")[0]:
        return f"did you mean `{near[0]}`?"
    if wanted.count("/") == 1 and " " not in wanted:
        name, bases = wanted.partition("/")[2], [model.name for model in client.supported_models()]
        base = next(iter(difflib.get_close_matches(wanted, bases, n=1, cutoff=0.4)), "BASE")
        return f"if it is at Hugging Face: `reasoning models upload {name} --from {wanted} --base {base}`"
    return f"did you mean `{near[0]}`?" if near else "`reasoning models search TEXT` shows what there is"


def _tuned(client: Cloud, job_id: str) -> Servable:
    """What a fine-tuning job left in the registry. Its `model_output_name` is of v1, and cannot be deployed."""
    job = client.job(job_id)
    adapter = client.model(job.adapter_object_id) if job.adapter_object_id else None
    merged = client.model(job.model_object_id) if job.model_object_id else adapter
    if merged is not None:
        return Servable(merged, adapter)
    if job.status == "completed":
        raise NotFoundError(
            f"`{job_id}` is completed, but registration failed: it left no model that can be deployed",
            "run the job again, or download its result and upload that",
        )
    raise NotFoundError(f"`{job_id}` is {job.status}: there is no model yet", "wait until the job is completed")


def serving_options(client: Catalog, model: Model) -> list[Hardware]:
    """Every way to serve `model`, cheapest first; configs on hardware without a price are left out."""
    types = {instance.name: instance for instance in client.instance_types()}
    options = [
        _hardware(config, types[config.hardware]) for config in client.configs(model) if config.hardware in types
    ]
    return sorted(options, key=lambda option: (option.price_cents_per_hour, option.name))


def first_choice(options: Sequence[Hardware]) -> Hardware | None:
    """What is taken of several ways to serve, cheapest first: the first that has room now, else the first."""
    return next((option for option in (*(each for each in options if each.is_free), *options)), None)


def choose_hardware(
    client: Catalog,
    model: Model,
    *,
    hardware: str | None = None,
    config: str | None = None,
    needs_room: bool = True,
    for_adapters: bool = False,
) -> HardwareChoice:
    """The cheapest config with room now, or the one asked for by hardware name or `cr_` id.

    `for_adapters`: only among those to which adapters can be attached.

    What has its replicas already does not need room (`needs_room=False`): it may itself have taken the last.

    Raises NotFoundError when the model cannot be served (so), LimitError when there is no room anywhere.
    """
    options = _options(client, model, for_adapters=for_adapters)
    matching = [
        option
        for option in options
        if hardware in (None, option.name) and config in (None, option.config, option.config_id)
    ]
    if not matching:
        offered = ", ".join(f"{option.name} ({option.config_id})" for option in options)
        raise NotFoundError(f"`{model.name}` cannot be served on `{config or hardware}`", f"it can on: {offered}")
    chosen = first_choice(matching) if needs_room else matching[0]
    if chosen is None or (needs_room and not chosen.is_free):
        raise LimitError(
            f"no {' or '.join(option.name for option in matching)} is free at Together now",
            "try again later, or another `--hardware`" if hardware or config else "try again later",
        )
    reason = "as asked for" if hardware or config else _reason(chosen, options)
    return HardwareChoice(chosen, len(options), reason)


def _options(client: Catalog, model: Model, *, for_adapters: bool) -> list[Hardware]:
    """What can serve a model, or one of its adapters, cheapest first. Raises NotFoundError where nothing can."""
    options = serving_options(client, model)
    if not options:
        raise NotFoundError(
            f"`{model.name}` cannot be served: Together has no config for it",
            "fine-tune a base model that has one; nothing was created",
        )
    if not for_adapters:
        return options
    options = [option for option in options if option.takes_adapters]
    if not options:
        raise NotFoundError(
            f"no adapter can be attached to `{model.name}`: none of its configs takes one",
            "deploy it merged: add `--merged`",
        )
    return options


def _reason(chosen: Hardware, options: Sequence[Hardware]) -> str:
    """Why this hardware, where nobody asked for any."""
    if len(options) == 1:
        return "the only one that can serve it"
    if chosen is not options[0]:
        return f"cheapest of {len(options)} that has room now"
    return f"cheapest of {len(options)} that can serve it"


def _hardware(config: Config, kind: InstanceType) -> Hardware:
    return Hardware(
        config=config.resource,
        config_id=config.id,
        name=kind.name,
        description=kind.description,
        price_cents_per_hour=kind.price_cents_per_hour,
        headroom=kind.headroom,
        takes_adapters=config.takes_adapters,
    )
