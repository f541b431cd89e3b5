"""Look at what can be deployed: hardware, models, one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_targets
from reasoning_cli.commands._shared.model_options import named_model, remember_models
from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.terminal.listing import Format

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.catalog import Hardware
    from reasoning_cli.operations.deploy.search import FoundModel, ModelFacts, Offer
    from reasoning_cli.terminal.listing import Column


def hardware(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL|TYPE]", help="Only what can serve this model.", autocompletion=complete_targets),
    ] = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """GPUs with today's price an hour and what is free where; for a model, what would be chosen."""
    from reasoning_cli.operations.deploy.search import hardware_offers
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    if model is not None:
        model = named_model(session, model)
    offers = hardware_offers(session.client, model)
    if model is not None:
        remember_models(session, model)
    listing = Listing(_offer_columns(for_model=model is not None), offers, id=lambda one: one.name)
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet)


def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Part of a name.")],
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Models with this in their name: your own, then Together's catalogue."""
    from reasoning_cli.operations.deploy.search import search_models
    from reasoning_cli.terminal.listing import Column, Listing

    session = session_of(ctx)
    found = search_models(session.client, text)
    remember_models(session, *(one.name for one in found))
    columns: list[Column[FoundModel]] = [
        Column("name", lambda one: one.name, "MODEL", gives_way=True),
        Column("ours", lambda one: one.is_ours, "WHERE", text=lambda one: "registry" if one.is_ours else "catalogue"),
        Column(
            "products",
            lambda one: one.products,
            "FOR",
            text=lambda one: ", ".join(product.lower().replace("_", "-") for product in one.products),
            priority=4,
        ),
        Column("id", lambda one: one.id, "ID", priority=5),
        Column("base_model_id", lambda one: one.base),
    ]
    listing = Listing(columns, found, id=lambda one: one.name)
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty=f"No model has `{text}` in its name.")


def show(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|TYPE",
            help="A model type, a model's name, or an ml_ or ft- id.",
            autocompletion=complete_targets,
        ),
    ],
    json: JsonOption = False,
) -> None:
    """All about one model: its base, its weights, what can serve it, where it is deployed from here."""
    from reasoning_cli.operations.deploy.search import model_facts

    session = session_of(ctx)
    facts = model_facts(session.client, session.store, named_model(session, model))
    remember_models(session, facts.model.name)
    if json:
        session.terminal.json(_record(facts))
    else:
        session.terminal.facts(_lines(facts))


def _offer_columns(*, for_model: bool) -> list[Column[Offer]]:
    from reasoning_cli.terminal.listing import Column, Kind
    from reasoning_cli.terminal.units import money

    columns: list[Column[Offer]] = [
        Column("name", lambda one: one.name, "HARDWARE"),
        Column(
            "price_cents_per_hour",
            lambda one: one.price_cents_per_hour,
            "$/H",
            text=lambda one: money(one.price_cents_per_hour),
            kind=Kind.NUMBER,
        ),
        Column("headroom", lambda one: one.headroom, "FREE", text=_free, kind=Kind.NUMBER),
        Column("regions", lambda one: dict(one.regions), "BY REGION", text=_regions, gives_way=True, priority=3),
    ]
    chosen: Column[Offer] = Column(
        "is_chosen",
        lambda one: one.is_chosen,
        "CHOSEN" if for_model else None,
        text=lambda one: "would be chosen" if one.is_chosen else "",
    )
    config: Column[Offer] = Column("config_id", lambda one: one.config_id, "CONFIG" if for_model else None, priority=5)
    return [*columns, config, chosen, Column("description", lambda one: one.description)]


def _free(one: Offer) -> str:
    return "?" if one.headroom is None else str(one.headroom)


def _regions(one: Offer) -> str:
    return ", ".join(f"{name} {'?' if free is None else free}" for name, free in one.regions)


def _lines(facts: ModelFacts) -> list[tuple[str, str]]:
    from reasoning_cli.terminal.units import moment, money

    def option(one: Hardware) -> str:
        room = "?" if one.headroom is None else str(one.headroom)
        chosen = ", would be chosen" if one == facts.chosen else ""
        return f"{one.name} at {money(one.price_cents_per_hour)} an hour, {room} free{chosen} ({one.config_id})"

    revisions = [
        ("weights", f"{one.revision_id} of {moment(one.created_at)}: {one.status.lower() or 'not validated'}")
        for one in facts.revisions
    ]
    serving = [("hardware", option(one)) for one in facts.options]
    deployed = [("deployed", f"{one.endpoint_name}: {one.state}") for one in facts.deployed]
    return [
        ("model", f"{facts.model.name} ({facts.model.id}), in {facts.model.project_id}"),
        *([("base", facts.base)] if facts.base else []),
        *([("about", facts.model.description)] if facts.model.description else []),
        *(revisions or [("weights", "none: the upload never finished")]),
        *serving,
        *([("refused", facts.why_not)] if facts.why_not else []),
        *(deployed or [("deployed", "not from here")]),
    ]


def _record(facts: ModelFacts) -> dict[str, object]:
    return {
        "name": facts.model.name,
        "id": facts.model.id,
        "project_id": facts.model.project_id,
        "base": facts.base,
        "description": facts.model.description,
        "revisions": [
            {"id": one.revision_id, "created_at": one.created_at, "validation": one.status} for one in facts.revisions
        ],
        "hardware": [
            {
                "name": one.name,
                "config_id": one.config_id,
                "price_cents_per_hour": one.price_cents_per_hour,
                "headroom": one.headroom,
                "is_chosen": one == facts.chosen,
            }
            for one in facts.options
        ],
        "refused": facts.why_not,
        "deployed": [{"name": one.endpoint_name, "state": one.state} for one in facts.deployed],
    }
