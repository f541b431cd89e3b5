"""What runs now: one look, or a screen that keeps itself up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format, typed
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import RemoteError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_duration

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.status import ModelStatus
    from reasoning_cli.terminal.listing import Listing

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Look again and again until Ctrl-C.")]
IntervalOption = Annotated[str, typer.Option("--interval", metavar="5s", help="How often to look.")]

Lines = Callable[[Session, datetime], Sequence[str]]


def status(
    ctx: typer.Context,
    watch: WatchOption = False,
    interval: IntervalOption = "5s",
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What runs now, what it costs, and how long the budget lasts. Looks at Together first."""
    session = session_of(ctx)
    show_status(session, chosen_format(fmt, json), money_lines, quiet=quiet, every=interval if watch else None)


def money_lines(session: Session, at: datetime) -> list[str]:
    """What is spent, and what went wrong with a deployment."""
    from reasoning_cli.commands._shared.cost_views import spent_line
    from reasoning_cli.operations.costs.budget import standings
    from reasoning_cli.store.deploy.deployments import Deployments

    broken = [one for one in Deployments(session.store).live() if one.last_error]
    return [
        *(spent_line(one) for one in standings(session.store, session.limits, at)),
        *(f"{one.endpoint_name} is {one.state}: {one.last_error}" for one in broken),
    ]


def show_status(session: Session, fmt: Format, below: Lines, *, quiet: bool = False, every: str | None = None) -> None:
    """The models and what stands below them, once or every so often."""
    if every is not None:
        pause = typed(parse_duration, every, "--interval 5s").total_seconds()
        if fmt not in (Format.TABLE, Format.JSONL):
            raise UsageError(f"--watch cannot write {fmt}", "use --format table or --format jsonl")
        _watch(session, fmt, below, pause)
        return
    listing, at = _look(session)
    session.terminal.show(listing, fmt, quiet=quiet)
    if fmt is Format.TABLE and not quiet:
        session.terminal.print()
        for line in below(session, at):
            session.terminal.say(line)


def _look(session: Session) -> tuple[Listing[ModelStatus], datetime]:
    from reasoning_cli.commands.models._views import status_columns
    from reasoning_cli.operations.deploy.status import model_statuses, refresh, with_activity
    from reasoning_cli.terminal.listing import Listing

    at = refresh(session.client, session.store)
    statuses = model_statuses(session.store, session.models, session.enabled, at, session.uses)
    statuses = with_activity(session.client, statuses, at)
    return Listing(status_columns(at), statuses, id=lambda one: one.name), at


def _watch(session: Session, fmt: Format, below: Lines, pause: float) -> None:
    """Until Ctrl-C. A lost network leaves the last picture standing and says so."""
    from reasoning_cli.terminal.progress import picture, watching
    from reasoning_cli.terminal.units import iso, moment
    from reasoning_cli.terminal.wrapping import wrap_lines

    terminal = session.terminal
    lines: list[str] = []
    with watching(terminal) as show:
        while True:
            try:
                listing, at = _look(session)
            except RemoteError as problem:
                if fmt is Format.JSONL:
                    terminal.error(problem)
                else:
                    show([*lines, "", *wrap_lines(f"no news: {problem.message}", terminal.width).splitlines()])
            else:
                if fmt is Format.JSONL:
                    terminal.json_lines({"at": iso(at), **record} for record in listing.records())
                else:
                    lines = picture(terminal, moment(at), terminal.table_lines(listing), list(below(session, at)))
                    show(lines)
            session.sleep(pause)
