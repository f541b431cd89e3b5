"""What runs now: one look, or a screen that keeps itself up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

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
from reasoning_cli.commands.models._heads import head_statuses
from reasoning_cli.errors import ReasoningError, RemoteError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_duration, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.status import ModelStatus
    from reasoning_cli.terminal.listing import Listing

Lines = Callable[[Session, datetime, bool], Sequence[str]]
"""What stands below the models, at a moment; the last says whether Together told of it."""


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


def money_lines(session: Session, at: datetime, online: bool = True) -> list[str]:
    """What is spent, what went wrong with a deployment, and why a slot is off."""
    from reasoning_cli.commands._shared.cost_views import spent_line
    from reasoning_cli.operations.costs.budget import standings
    from reasoning_cli.store.deploy.deployments import Deployments

    broken = [record for record in Deployments(session.store).live() if record.last_error]
    return [
        *(spent_line(standing) for standing in standings(session.store, session.limits, at)),
        *(f"{record.endpoint_name} is {record.state}: {record.last_error}" for record in broken),
        *_coming_lines(session),
        *_off_lines(session, at),
    ]


def _coming_lines(session: Session) -> list[str]:
    """Each model of the operator's own server that is on its way into a slot: no row of its own stands for it."""
    from reasoning_cli.store.promote.promotions import Promotions
    from reasoning_cli.values import MODEL_TYPES

    found = list(filter(None, (Promotions(session.store).going(model_type) for model_type in MODEL_TYPES)))
    if not found:
        return []
    from reasoning_cli.operations.promote.transitions import step_text

    return [
        session.terminal.as_called(
            f"COMING {promotion.model} into {name}: {step_text(promotion.percent)}; `reasoning train promote {name}`"
            " goes on with it"
        )
        for promotion in found
        if promotion.server is not None
        for name in (spell_model_type(promotion.model_type),)
    ]


def _off_lines(session: Session, at: datetime) -> list[str]:
    """Of each slot whose model does not run why, and what to type."""
    from reasoning_cli.operations.deploy.slots import HEAD_TYPE
    from reasoning_cli.operations.deploy.status import model_statuses
    from reasoning_cli.terminal.units import moment

    slots = [
        status
        for status in model_statuses(session.store, session.models, session.enabled, at, session.uses)
        if status.model_type is not None and status.provider_url is None
    ]
    answered_here = {HEAD_TYPE} if any(head.state == "in line" for head in head_statuses(session)) else set()
    lines, never = [], []
    for slot in slots:
        name = spell_model_type(slot.model_type or "")
        if slot.enabled is False:
            lines.append(f"OFF    {name} is disabled, the original answers: `reasoning models enable {name}`")
        if slot.off is not None:
            since, why = moment(slot.off[0]), slot.off[1]
            again = "deploy" if slot.record is None else "start"
            lines.append(f"OFF    {name} is {slot.state} since {since}: {why}: `reasoning models {again} {name}`")
        elif slot.record is None and slot.model_type not in answered_here:
            never.append(name)
    if never and session.is_without_together and any(use.provider_url for use in session.uses.values()):
        setting = f"{parse_model_type(never[0])}.provider_url"
        lines.append(f"OFF    no server is set for {', '.join(never)}: `reasoning config set {setting} URL`")
    elif never:
        lines.append(f"OFF    nothing was deployed for {', '.join(never)}: `reasoning models deploy {never[0]}`")
    return [session.terminal.as_called(line) for line in lines]


def show_status(session: Session, fmt: Format, below: Lines, *, quiet: bool = False, every: str | None = None) -> None:
    """The models and what stands below them, once or every so often."""
    if every is not None:
        pause = typed(parse_duration, every, "--interval 5s").total_seconds()
        if fmt not in (Format.TABLE, Format.JSONL):
            raise UsageError(f"--watch cannot write {fmt}", "use --format table or --format jsonl")
        _watch(session, fmt, below, pause)
        return
    problem = None
    try:
        listing, at = _look(session)
    except ReasoningError as error:
        problem = error
        listing, at = _last_seen(session)
    if fmt is Format.TABLE and not quiet:
        session.terminal.table(_whole(session, listing, at))
        session.terminal.print()
        for line in below(session, at, problem is None and not session.is_without_together):
            session.terminal.say(line)
        if problem is not None:
            session.terminal.say(f"TOGETHER  not known: {problem.message}")
    else:
        session.terminal.show(listing, fmt, quiet=quiet)
    if problem is not None and not _all_elsewhere(session):
        raise problem


def _look(session: Session) -> tuple[Listing[ModelStatus], datetime]:
    from reasoning_cli.operations.deploy.status import model_statuses, refresh, with_activity

    if session.is_without_together:
        return _last_seen(session)
    at = refresh(session.client, session.store)
    statuses = model_statuses(session.store, session.models, session.enabled, at, session.uses)
    return _listing([*with_activity(session.client, statuses, at), *head_statuses(session)], at), at


def _last_seen(session: Session) -> tuple[Listing[ModelStatus], datetime]:
    """What our own book knows, where Together cannot be asked."""
    from dataclasses import replace

    from reasoning_cli.operations.deploy.status import last_look, model_statuses

    at = last_look(session.store) or session.now()
    statuses = model_statuses(session.store, session.models, session.enabled, at, session.uses)
    known = [replace(status, is_known=status.record is None) for status in statuses]
    return _listing([*known, *head_statuses(session)], at), at


def _listing(statuses: Sequence[ModelStatus], at: datetime) -> Listing[ModelStatus]:
    from reasoning_cli.commands.models._views import status_columns
    from reasoning_cli.terminal.listing import Listing

    return Listing(status_columns(at), list(statuses), id=lambda status: status.name)


def _whole(session: Session, listing: Listing[ModelStatus], at: datetime) -> Listing[ModelStatus]:
    """The same with what else this month's total holds, for a person who adds up."""
    from dataclasses import replace

    from reasoning_cli.operations.deploy.status import spent_before

    return replace(listing, rows=[*listing.rows, *spent_before(session.store, at)])


def _all_elsewhere(session: Session) -> bool:
    """Whether nothing is at Together that could be asked for: no deployment, and slots that are served elsewhere."""
    from reasoning_cli.store.deploy.deployments import Deployments

    return not Deployments(session.store).live() and any(use.provider_url for use in session.uses.values())


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
                    lines = picture(
                        terminal,
                        moment(at),
                        terminal.table_lines(_whole(session, listing, at)),
                        list(below(session, at, not session.is_without_together)),
                    )
                    show(lines)
            session.sleep(pause)
