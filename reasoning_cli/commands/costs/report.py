"""The bill as it is typed: once, or again and again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import (
    FormatOption,
    IntervalOption,
    JsonOption,
    QuietOption,
    WatchOption,
    chosen_format,
    typed,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import RemoteError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import Period, parse_duration

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.report import CostLine, CostReport
    from reasoning_cli.terminal.listing import Listing


class ByChoice(StrEnum):
    """What `--by` takes; known here so that `--help` reads no ledger."""

    MODEL = "model"
    TYPE = "type"
    DAY = "day"
    HOUR = "hour"


def report(
    ctx: typer.Context,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="2026-11-01, RFC 3339, 7d, 24h. Default: this month (UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="The same; a day counts whole. Default: now.")
    ] = None,
    by: Annotated[ByChoice, typer.Option("--by", help="What a line stands for.")] = ByChoice.MODEL,
    watch: WatchOption = False,
    interval: IntervalOption = "60s",
    offline: Annotated[bool, typer.Option("--offline", help="From the ledger alone; asks nobody.")] = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The bill: models and fine-tunes, what a decision costs, how long the budget lasts. Looks at Together first."""
    from reasoning_cli.terminal.units import moment

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    asked = Asked(since, until, by)
    offline = offline or (session.is_without_together and not watch)
    if watch:
        if chosen is not Format.TABLE or quiet or offline:
            raise UsageError("--watch shows a table, and looks each time", "leave the other options away")
        _watch(session, asked, typed(parse_duration, interval, "--interval 60s").total_seconds())
        return
    problem: RemoteError | None = None
    at = _last_look(session)
    if not offline:
        try:
            at = _look(session)
        except RemoteError as error:
            problem = error
    bill = _bill(session, asked, at, online=not offline and problem is None)
    listing = _listing(bill)
    if chosen is Format.JSON and not quiet:
        from reasoning_cli.commands._shared.cost_views import report_record

        terminal.json(report_record(bill, listing.records()))
    else:
        terminal.show(listing, chosen, quiet=quiet)
        if chosen is Format.TABLE and not quiet:
            if bill.lines:
                terminal.print()
            for line in _below(session, bill):
                terminal.say(line)
            if bill.standing.limit_cents is None:
                terminal.hint("set one: `reasoning costs set-budget 100`")
    if problem is not None:
        terminal.warn(f"this bill ends at {moment(at)}, the last look")
        raise problem


class Asked:
    """Which bill."""

    def __init__(self, since: str | None, until: str | None, by: ByChoice) -> None:
        self.since, self.until, self.by = since, until, by


def _last_look(session: Session) -> datetime:
    from reasoning_cli.operations.deploy.status import last_look

    return last_look(session.store) or session.now()


def _look(session: Session) -> datetime:
    from reasoning_cli.operations.deploy.status import refresh

    return refresh(session.client, session.store)


def _bill(session: Session, asked: Asked, at: datetime, *, online: bool) -> CostReport:
    from reasoning_cli.operations.costs.budget import period_start
    from reasoning_cli.operations.costs.date_range import parse_span
    from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
    from reasoning_cli.operations.costs.report import By, cost_report

    since, until = parse_span(asked.since, asked.until, at, period_start(Period.MONTH, at))
    if online and not note_fine_tunes(session.client, session.store):
        session.terminal.warn("this key may not see fine-tuning jobs: the bill is without them")
    return cost_report(
        session.store,
        session.limits,
        since,
        until,
        at,
        by=By(asked.by.value),
        client=session.client if online else None,
    )


def _listing(bill: CostReport) -> Listing[CostLine]:
    from reasoning_cli.commands._shared.cost_views import cost_columns
    from reasoning_cli.terminal.listing import Listing
    from reasoning_cli.terminal.units import iso

    return Listing(cost_columns(bill.by), bill.lines, id=lambda line: iso(line.begin) if line.begin else line.name)


def _below(session: Session, bill: CostReport) -> list[str]:
    from reasoning_cli.commands._shared.cost_views import report_lines

    return report_lines(bill, bars=session.terminal.out_is_terminal)


def _watch(session: Session, asked: Asked, pause: float) -> None:
    """Until Ctrl-C. A lost network leaves the last picture standing and says so."""
    from reasoning_cli.terminal.progress import picture, watching
    from reasoning_cli.terminal.units import moment
    from reasoning_cli.terminal.wrapping import wrap_lines

    terminal = session.terminal
    lines: list[str] = []
    with watching(terminal) as show:
        while True:
            try:
                at = _look(session)
                bill = _bill(session, asked, at, online=True)
            except RemoteError as problem:
                show([*lines, "", *wrap_lines(f"no news: {problem.message}", terminal.width).splitlines()])
            else:
                table = terminal.table_lines(_listing(bill))
                lines = picture(terminal, moment(at), table, _below(session, bill))
                show(lines)
            session.sleep(pause)
