"""The ledger against Together's bill, as it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.terminal.listing import Format

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.reconcile import DayCompared, Reconciliation
    from reasoning_cli.terminal.listing import Column


def reconcile(
    ctx: typer.Context,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="Default: this month (UTC).")] = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare the ledger with Together's own bill, day by day, where the organisation may see it."""
    from reasoning_cli.operations.costs.reconcile import parse_month, reconcile
    from reasoning_cli.operations.deploy.status import refresh
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    wanted = parse_month(month, session.now())  # before anybody is asked
    at = refresh(session.client, session.store)
    if month is None:
        wanted = parse_month(None, at)
    found = reconcile(session.client, session.store, wanted, at)
    listing = Listing(_columns(), found.days, id=lambda day: f"{day.begin:%Y-%m-%d}")
    if chosen is Format.JSON and not quiet:
        terminal.json(_record(found, listing.records()))
    else:
        terminal.show(listing, chosen, quiet=quiet)
        if chosen is Format.TABLE and not quiet and found.enabled:
            for line in _lines(found):
                terminal.say(line)
    if not found.enabled:
        terminal.warn("Together does not show this organisation's bill: it is enabled on request")
        terminal.hint("ask Together for it; the ledger alone: `reasoning costs report`")


def _columns() -> list[Column[DayCompared]]:
    from reasoning_cli.terminal.listing import Column, Kind
    from reasoning_cli.terminal.units import money, whole_cents

    return [
        Column("date", lambda day: f"{day.begin:%Y-%m-%d}", "DAY (UTC)"),
        Column(
            "ledger_cents",
            lambda day: whole_cents(day.ledger.cents),
            "LEDGER",
            text=lambda day: money(day.ledger.cents),
            kind=Kind.NUMBER,
        ),
        Column("ledger_low_cents", lambda day: whole_cents(day.ledger.low_cents)),
        Column("ledger_high_cents", lambda day: whole_cents(day.ledger.high_cents)),
        Column(
            "billed_cents",
            lambda day: None if day.billed_cents is None else whole_cents(day.billed_cents),
            "BILL",
            text=lambda day: "not yet" if day.billed_cents is None else money(day.billed_cents),
            kind=Kind.NUMBER,
        ),
        Column(
            "difference_cents",
            lambda day: None if day.difference_cents is None else whole_cents(day.difference_cents),
            "DIFFERENCE",
            text=lambda day: "–" if day.difference_cents is None else money(day.difference_cents),
            kind=Kind.NUMBER,
        ),
    ]


def _lines(found: Reconciliation) -> list[str]:
    from reasoning_cli.terminal.units import money, whole_cents

    if not found.days:
        return [f"Neither the ledger nor the bill has anything in {found.month}."]
    total = f"total  {money(found.ledger.cents)} by the ledger, {money(found.billed_cents)} by the bill"
    if whole_cents(found.difference_cents) == 0:
        return ["", f"{total}: they agree."]
    said = "more" if found.difference_cents > 0 else "less"
    lines = ["", f"{total}: the bill says {money(abs(found.difference_cents))} {said} than the ledger can explain."]
    if found.difference_cents > 0:
        lines.append("The bill is the whole organisation's: other projects, and models used by the token, are on it.")
    return lines


def _record(found: Reconciliation, days: list[dict[str, object]]) -> dict[str, object]:
    from reasoning_cli.terminal.units import whole_cents

    return {
        "month": found.month,
        "enabled": found.enabled,
        "days": days,
        "total": {
            "ledger_cents": whole_cents(found.ledger.cents),
            "billed_cents": whole_cents(found.billed_cents),
            "difference_cents": whole_cents(found.difference_cents),
        },
    }
