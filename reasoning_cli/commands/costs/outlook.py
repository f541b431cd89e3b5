"""`costs outlook`: what the guard will do next, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.terminal.listing import Format

if TYPE_CHECKING:
    from reasoning_cli.operations.guard.lock import GuardSeen
    from reasoning_cli.operations.guard.outlook import Expected
    from reasoning_cli.terminal.listing import Column


def outlook(
    ctx: typer.Context, fmt: FormatOption = Format.TABLE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """What the guard will do next to each model, by which rule, and when, if nothing changes until then. Slots that are
    paid for by the token go to the baseline, guard or not.

    From what is known here; asks nobody.
    """
    from reasoning_cli import settings as s
    from reasoning_cli.commands.costs.guard import rules_of
    from reasoning_cli.operations.guard.lock import find_guard
    from reasoning_cli.operations.guard.outlook import outlook as look_ahead
    from reasoning_cli.terminal.listing import Listing

    session, chosen = session_of(ctx), chosen_format(fmt, json)
    terminal, seen = session.terminal, find_guard(session.settings.database(), session.store)
    seconds = seen.interval_seconds if seen is not None else float(session.settings.get(s.GUARD_INTERVAL))
    expected = look_ahead(session.store, rules_of(session, timedelta(seconds=seconds)), session.ledger_now)
    listing = Listing(_columns(), expected, id=lambda each: each.name)
    if chosen is Format.JSON and not quiet:
        terminal.json({"guard": _guard_record(seen), "next": listing.records()})
        return
    terminal.show(listing, chosen, quiet=quiet, empty="The guard would do nothing: no rule reaches what is deployed.")
    if chosen is Format.TABLE and not quiet:
        _say_who_watches(session, seen)


def _columns() -> list[Column[Expected]]:
    from reasoning_cli.terminal.listing import Column
    from reasoning_cli.terminal.units import moment
    from reasoning_cli.values import spell_model_type

    return [
        Column("name", lambda expected: expected.name, "NAME"),
        Column(
            "model_type",
            lambda expected: expected.model_type,
            "TYPE",
            text=lambda expected: spell_model_type(expected.model_type or "–"),
            priority=4,
        ),
        Column("action", lambda expected: expected.action, "WHAT"),
        Column("at", lambda expected: expected.at, "AT", text=lambda expected: moment(expected.at)),
        Column("why", lambda expected: str(expected.why), "RULE"),
        Column("text", lambda expected: expected.text, "WHY", gives_way=True, prose=True),
    ]


def _guard_record(seen: GuardSeen | None) -> dict[str, object]:
    """The guard's last sign of life, on our clock."""
    if seen is None:
        return {"running": False, "pid": None, "looked_at": None, "interval_seconds": None, "problem": None}
    return {
        "running": seen.running,
        "pid": seen.pid,
        "looked_at": seen.at,
        "interval_seconds": seen.interval_seconds,
        "problem": seen.problem,
    }


def _say_who_watches(session: Session, seen: GuardSeen | None) -> None:
    from reasoning_cli.terminal.units import duration

    if seen is not None and seen.running:
        ago = duration(datetime.now(UTC) - seen.at)
        if seen.problem is not None:
            session.terminal.warn(f"the guard, process {seen.pid}, sees nothing ({seen.problem}): none of this happens")
            return
        session.terminal.note(f"A guard is at work, process {seen.pid}; its last look was {ago} ago.")
        return
    session.terminal.warn("no guard is at work: none of this happens until one is")
    session.terminal.hint("start it: `reasoning costs guard`")
