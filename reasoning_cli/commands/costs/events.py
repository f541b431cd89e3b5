"""What happened to models and money, when, by whom and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.options import (
    FormatOption,
    JsonOption,
    LimitOption,
    QuietOption,
    SinceOption,
    UntilOption,
    chosen_format,
)
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import MODEL_TYPES, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.store.audit_log import Event
    from reasoning_cli.terminal.listing import Column


def events(
    ctx: typer.Context,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Who deployed, started, stopped or changed a limit, what Together did by itself, and why; the newest first."""
    from reasoning_cli.operations.costs.date_range import parse_bounds
    from reasoning_cli.store.audit_log import Events
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    begin, end = parse_bounds(since, until, session.now())
    found = Events(session.store).list(begin, end, limit)[::-1]
    listing = Listing(event_columns(), found, id=lambda event: event.subject)
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty="Nothing was done yet.")


def event_columns() -> list[Column[Event]]:
    """One row an event."""
    from reasoning_cli.terminal.listing import Column
    from reasoning_cli.terminal.units import moment

    return [
        Column("at", lambda event: event.at, "AT", text=lambda event: moment(event.at)),
        Column("actor", lambda event: event.actor, "WHO", text=_who),
        Column("by", lambda event: event.by),
        Column("action", lambda event: event.action, "WHAT", text=lambda event: event.action.replace("_", " ")),
        Column("subject", lambda event: event.subject, "TO", text=_subject),
        Column("detail", lambda event: dict(event.detail), "DETAIL", text=_detail, gives_way=True, priority=3),
    ]


def _who(event: Event) -> str:
    return f"{event.actor} ({event.by})" if event.by else event.actor


def _subject(event: Event) -> str:
    return spell_model_type(event.subject) if event.subject in MODEL_TYPES else event.subject


def _detail(event: Event) -> str:
    """The reason first, then what it was about."""
    detail = dict(event.detail)
    why = detail.pop("why", None)
    reason = detail.pop("text", why)
    facts = [f"{name.rpartition('.')[2].replace('_', ' ')} {_spelled(value)}" for name, value in detail.items()]
    return ", ".join([*([str(reason)] if reason else []), *facts]) or "–"


def _spelled(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(map(_spelled, value)) or "none"
        case dict():
            return " ".join(f"{name} {_spelled(item)}" for name, item in value.items()) or "none"
        case _:
            return str(value)
