"""`models list`: the slots and what we deployed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.models._heads import head_statuses
from reasoning_cli.terminal.listing import Format

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.status import ModelStatus


def list_models(
    ctx: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was not deployed from here; asks Together.")
    ] = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The slots and what we deployed, as last seen; asks nobody, so it is fast."""
    from reasoning_cli.commands.models._views import all_columns, list_columns
    from reasoning_cli.terminal.listing import Listing

    session, chosen = session_of(ctx), chosen_format(fmt, json)
    if not everything:
        listing = Listing(list_columns(session.now()), _statuses(session, None), id=lambda status: status.name)
        session.terminal.show(listing, chosen, quiet=quiet)
        return
    from reasoning_cli.operations.deploy.status import refresh
    from reasoning_cli.operations.deploy.unmanaged import foreign_statuses
    from reasoning_cli.terminal.units import money

    if session.is_without_together:
        at, foreign = session.now(), []
        session.terminal.note("Together was not asked: no key of it is set, and nothing here is there.")
    else:
        at = refresh(session.client, session.store)
        foreign = foreign_statuses(session.client, session.store)
    listing = Listing(all_columns(at), [*_statuses(session, at), *foreign], id=lambda status: status.name)
    session.terminal.show(listing, chosen, quiet=quiet)
    spending = sum(status.burn_cents_per_hour for status in foreign)
    if spending and chosen is Format.TABLE and not quiet:
        session.terminal.hint(
            f"not ours costs {money(spending)} an hour;"
            f" stop one by its name: `reasoning models stop {foreign[0].name}`;"
            f" or take it over: `reasoning models adopt {foreign[0].name} --as TYPE`"
        )


def _statuses(session: Session, at: datetime | None) -> list[ModelStatus]:
    from reasoning_cli.operations.deploy.status import model_statuses

    slots = model_statuses(session.store, session.models, session.enabled, at or session.now(), session.uses)
    return [*slots, *head_statuses(session)]
