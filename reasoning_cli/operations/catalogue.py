"""What can be deployed, on which hardware, at which price today."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError
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


def find_model(client: TogetherClient, wanted: str) -> Model:
    """The model an operator means: an `ml_` id, `slug/name`, or the name without slug. Raises NotFoundError."""
    if wanted.startswith("ml_"):
        return client.model(wanted)
    models = list(client.models())
    for found in ([m for m in models if m.name == wanted], [m for m in models if m.name.rpartition("/")[2] == wanted]):
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(f"{model.name} ({model.id})" for model in found)
            raise ReasoningError(f"`{wanted}` could be several models: {ids}", "name it by its `ml_…` id")
    known = [*(model.name for model in models), *(spell_model_type(one) for one in MODEL_TYPES)]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    raise NotFoundError(
        f"no model `{wanted}` in this account",
        f"did you mean `{near[0]}`?" if near else "upload or fine-tune it at Together first, then name it `slug/name`",
    )


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
