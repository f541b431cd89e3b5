"""What there is to choose from: hardware with today's prices, models by name, and all about one model."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from reasoning_cli.engines.errors import MissingError, RequestRefusedError
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.deploy.catalog import Hardware, choose_hardware, find_model, serving_options
from reasoning_cli.operations.deploy.own_server import OwnServer
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud, ListingServer
    from reasoning_cli.engines.serving import InstanceType, Model, Revision

_PATIENCE_SECONDS = 10.0  # for a list


@dataclass(frozen=True)
class Offer:
    """One instance type: price of a running replica and what is free by region (None: not told).

    For a model, `config_id` is the config that serves it there, and one offer `is_chosen`: what a deploy would take.
    """

    name: str
    description: str
    price_cents_per_hour: int
    regions: tuple[tuple[str, int | None], ...]
    headroom: int | None
    config_id: str | None = None
    is_chosen: bool = False


@dataclass(frozen=True)
class FoundModel:
    """A model that can be named: of this project's registry, or of the platform's catalogue."""

    name: str
    id: str
    is_ours: bool
    base: str | None
    products: tuple[str, ...]


@dataclass(frozen=True)
class ModelFacts:
    """All about one model. `base` is a name, or an id where the name is not told; no `options`: it cannot be served."""

    model: Model
    base: str | None
    revisions: tuple[Revision, ...]
    options: tuple[Hardware, ...]
    chosen: Hardware | None
    why_not: str | None
    deployed: tuple[DeploymentRecord, ...]


@dataclass(frozen=True)
class ServerFacts:
    """What a server of the operator's own says of a slot's model: the names it lists (none: it lists nothing), and the
    context of this one. `why_not` is why it says nothing."""

    server: OwnServer
    listed: tuple[str, ...] = ()
    context_tokens: int | None = None
    why_not: str | None = None

    @property
    def is_listed(self) -> bool | None:
        """Whether the model is among those it lists; None where it lists nothing."""
        return self.server.model in self.listed if self.listed else None


def look_at_server(server: OwnServer) -> ServerFacts:
    """Ask the server alone; that it does not answer is one of the facts."""
    if not server.lists:
        return ServerFacts(server)
    try:
        with closing(server.connect(_PATIENCE_SECONDS)) as client:
            models = cast("ListingServer", client).models()
    except ReasoningError as problem:
        return ServerFacts(server, why_not=problem.message)
    context = next((model.context_tokens for model in models if model.name == server.model), None)
    return ServerFacts(server, tuple(model.name for model in models), context)


def hardware_offers(client: Cloud, wanted: str | None = None) -> list[Offer]:
    """Every instance type, cheapest first; for a model only those that can serve it."""
    types = sorted(client.instance_types(), key=lambda kind: (kind.price_cents_per_hour, kind.name))
    if wanted is None:
        return [_offer(kind) for kind in types]
    model = find_model(client, wanted)
    options = {option.name: option for option in reversed(serving_options(client, model))}
    if not options:
        choose_hardware(client, model)  # says why it cannot be served
    chosen, _ = _chosen(client, model)
    return [_offer(kind, options[kind.name], chosen) for kind in types if kind.name in options]


def search_models(client: Cloud, text: str) -> list[FoundModel]:
    """Models with `text` in their name, in any case: the registry's, then the catalogue's."""
    registry = [model for model in client.models() if text.lower() in model.name.lower()]
    names = {model.name for model in registry}
    found = [FoundModel(model.name, model.id, True, model.base_model_id, ("DEDICATED",)) for model in registry]
    for supported in client.supported_models(text):
        if supported.name not in names and (model := supported.model) is not None:
            products = tuple(product.removeprefix("PRODUCT_") for product in supported.products)
            found.append(FoundModel(supported.name, model.id, False, None, products))
    return found


def model_facts(client: Cloud, store: Store, wanted: str) -> ModelFacts:
    """Where a model lives, what became of its weights, what can serve it, and where it is deployed from here."""
    model = find_model(client, wanted)
    chosen, why_not = _chosen(client, model)
    return ModelFacts(
        model=model,
        base=_base(client, model),
        revisions=tuple(client.revisions(model)),
        options=tuple(serving_options(client, model)),
        chosen=chosen,
        why_not=why_not,
        deployed=tuple(
            record
            for record in (*Deployments(store).live(), *Deployments(store).riders())
            if record.model_id == model.id
        ),
    )


def _base(client: Cloud, model: Model) -> str | None:
    if model.base_model_id is None:
        return None
    try:
        return client.model(model.base_model_id).name
    except (MissingError, RequestRefusedError):  # the platform's own are not everybody's to read
        return model.base_model_id


def _chosen(client: Cloud, model: Model) -> tuple[Hardware | None, str | None]:
    """What a deploy would take now, or why it would take nothing."""
    try:
        return choose_hardware(client, model).hardware, None
    except ReasoningError as refusal:
        return None, refusal.message


def _offer(kind: InstanceType, option: Hardware | None = None, chosen: Hardware | None = None) -> Offer:
    return Offer(
        name=kind.name,
        description=kind.description,
        price_cents_per_hour=kind.price_cents_per_hour,
        regions=tuple(
            (region.name, region.headroom.value or 0 if region.headroom else None) for region in kind.regions
        ),
        headroom=kind.headroom,
        config_id=option.config_id if option else None,
        is_chosen=option is not None and option == chosen,
    )
