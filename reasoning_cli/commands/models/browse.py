"""Look at what can be deployed: hardware, models, one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_targets
from reasoning_cli.commands._shared.model_options import named_model, remember_models
from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.commands.models._heads import refuse_head
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.catalog import Hardware
    from reasoning_cli.operations.deploy.search import FoundModel, ModelFacts, Offer, ServerFacts
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
    if model is None and session.is_without_together:
        offers: list[Offer] = []
        empty = "Nothing is rented: your models run on servers of your own. With a key, Together says its prices."
    else:
        offers, empty = hardware_offers(session.client, model), ""
    if model is not None:
        remember_models(session, model)
    listing = Listing(_offer_columns(for_model=model is not None), offers, id=lambda offer: offer.name)
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty=empty)


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
    remember_models(session, *(model.name for model in found))
    columns: list[Column[FoundModel]] = [
        Column("name", lambda model: model.name, "MODEL", gives_way=True),
        Column(
            "ours",
            lambda model: model.is_ours,
            "WHERE",
            text=lambda model: "registry" if model.is_ours else "catalogue",
        ),
        Column(
            "products",
            lambda model: model.products,
            "FOR",
            text=lambda model: ", ".join(product.lower().replace("_", "-") for product in model.products),
            priority=4,
        ),
        Column("id", lambda model: model.id, "ID", priority=5),
        Column("base_model_id", lambda model: model.base),
    ]
    listing = Listing(columns, found, id=lambda model: model.name)
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
    from reasoning_cli.operations.deploy.own_server import named_server, own_servers
    from reasoning_cli.operations.deploy.search import look_at_server, model_facts

    refuse_head(model, "train show NAME")
    session = session_of(ctx)
    if (server := named_server(own_servers(session.settings), model, "")) is not None:
        seen = look_at_server(server)
        if json:
            session.terminal.json(_server_record(seen))
        else:
            session.terminal.facts(_server_lines(seen))
        return
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
        Column("name", lambda offer: offer.name, "HARDWARE"),
        Column(
            "price_cents_per_hour",
            lambda offer: offer.price_cents_per_hour,
            "$/H",
            text=lambda offer: money(offer.price_cents_per_hour),
            kind=Kind.NUMBER,
        ),
        Column("headroom", lambda offer: offer.headroom, "FREE", text=_free, kind=Kind.NUMBER),
        Column("regions", lambda offer: dict(offer.regions), "BY REGION", text=_regions, gives_way=True, priority=3),
    ]
    chosen: Column[Offer] = Column(
        "is_chosen",
        lambda offer: offer.is_chosen,
        "CHOSEN" if for_model else None,
        text=lambda offer: "would be chosen" if offer.is_chosen else "",
    )
    config: Column[Offer] = Column(
        "config_id", lambda offer: offer.config_id, "CONFIG" if for_model else None, priority=5
    )
    return [*columns, config, chosen, Column("description", lambda offer: offer.description)]


def _free(offer: Offer) -> str:
    return "?" if offer.headroom is None else str(offer.headroom)


def _regions(offer: Offer) -> str:
    return ", ".join(f"{name} {'?' if free is None else free}" for name, free in offer.regions)


def _lines(facts: ModelFacts) -> list[tuple[str, str]]:
    from reasoning_cli.terminal.units import moment, money

    def option(option: Hardware) -> str:
        room = "?" if option.headroom is None else str(option.headroom)
        chosen = ", would be chosen" if option == facts.chosen else ""
        return (
            f"{option.name} at {money(option.price_cents_per_hour)} an hour, {room} free{chosen} ({option.config_id})"
        )

    revisions = [
        (
            "weights",
            f"{revision.revision_id} of {moment(revision.created_at)}: {revision.status.lower() or 'not validated'}",
        )
        for revision in facts.revisions
    ]
    serving = [("hardware", option(hardware)) for hardware in facts.options]
    deployed = [("deployed", f"{record.endpoint_name}: {record.state}") for record in facts.deployed]
    return [
        ("model", f"{facts.model.name} ({facts.model.id}), in {facts.model.project_id}"),
        *([("base", facts.base)] if facts.base else []),
        *([("about", facts.model.description)] if facts.model.description else []),
        *(revisions or [("weights", "none: the upload never finished")]),
        *serving,
        *([("refused", facts.why_not)] if facts.why_not else []),
        *(deployed or [("deployed", "not from here")]),
    ]


def _server_lines(seen: ServerFacts) -> list[tuple[str, str]]:
    from reasoning_cli.terminal.units import counted

    server = seen.server
    others = ", ".join(name for name in seen.listed if name != server.model)
    context = f", with {counted(seen.context_tokens, 'token')} of context" if seen.context_tokens else ""
    return [
        ("model", server.model),
        ("answers", spell_model_type(server.model_type)),
        ("served", f"at {server.place}, by the engine {server.engine}"),
        *([("listed", f"there{context}" if seen.is_listed else "not there")] if seen.listed else []),
        *([("beside", others)] if others else []),
        *([("refused", seen.why_not)] if seen.why_not else []),
    ]


def _server_record(seen: ServerFacts) -> dict[str, object]:
    return {
        "name": seen.server.model,
        "id": None,
        "project_id": None,
        "base": None,
        "description": None,
        "revisions": [],
        "hardware": [],
        "refused": seen.why_not,
        "deployed": [],
        "served": {
            "engine": seen.server.engine,
            "at": seen.server.place,
            "listed": seen.is_listed,
            "context_tokens": seen.context_tokens,
        },
    }


def _record(facts: ModelFacts) -> dict[str, object]:
    return {
        "name": facts.model.name,
        "id": facts.model.id,
        "project_id": facts.model.project_id,
        "base": facts.base,
        "description": facts.model.description,
        "revisions": [
            {"id": revision.revision_id, "created_at": revision.created_at, "validation": revision.status}
            for revision in facts.revisions
        ],
        "hardware": [
            {
                "name": hardware.name,
                "config_id": hardware.config_id,
                "price_cents_per_hour": hardware.price_cents_per_hour,
                "headroom": hardware.headroom,
                "is_chosen": hardware == facts.chosen,
            }
            for hardware in facts.options
        ],
        "refused": facts.why_not,
        "deployed": [{"name": record.endpoint_name, "state": record.state} for record in facts.deployed],
        "served": None,
    }
