"""What a gateway did: the one that runs, or by the log what any of them did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.options import (
    FormatOption,
    IntervalOption,
    JsonOption,
    QuietOption,
    UntilOption,
    WatchOption,
    chosen_format,
    typed,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import ConfigurationError, RemoteError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_duration

if TYPE_CHECKING:
    from datetime import datetime

    from reasoning_cli.terminal.listing import Listing

PortOption = Annotated[int | None, typer.Option("--port", metavar="PORT", help="Default: gateway.port.")]


def status(
    ctx: typer.Context,
    port: PortOption = None,
    watch: WatchOption = False,
    interval: IntervalOption = "2s",
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What the running gateway does: its slots, who answered and why, what it keeps, what is wrong."""
    from reasoning_cli.commands._shared.fleet_views import at_work, fleet_record
    from reasoning_cli.commands.gateway._views import slot_listing, status_facts, status_line

    session = session_of(ctx)

    def lines() -> list[str]:
        record = running(session, port)
        facts = status_facts(record, bars=session.terminal.out_is_terminal)
        return [
            *_whose(session, record),
            *_wrapped(session, status_line(record)),
            "",
            *session.terminal.fact_lines(facts),
            *_fleet(session),
        ]

    def record() -> dict[str, Any]:
        found = running(session, port)
        if seen := at_work(session):
            found["fleet"] = [fleet_record(each) for each in seen]
        return found

    look = Look(record, slot_listing, lines)
    _show(session, look, chosen_format(fmt, json), quiet=quiet, every=interval if watch else None)


def stats(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="By the log from then on: 2026-11-21, 7d or 24h. Else since it started."
        ),
    ] = None,
    until: UntilOption = None,
    port: PortOption = None,
    watch: WatchOption = False,
    interval: IntervalOption = "2s",
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Who answered how many decisions, how fast, why not your model, and how often it decides as the original does.

    Of the gateway that runs, or of all that share a store on PostgreSQL; with --since or --until, or where none runs,
    by the training log.
    """
    from reasoning_cli.commands.gateway._views import stats_lines, stats_listing
    from reasoning_cli.operations.gateway.history import model_names

    session = session_of(ctx)

    def record() -> dict[str, Any]:
        if since is None and until is None:
            if port is None and (fleet := _of_all(session)) is not None:
                return fleet
            try:
                return running(session, port)
            except RemoteError as nobody:
                if not watch:
                    session.terminal.note(f"{nobody.message}: this is the log of the last 24 hours")
        return _history(session, since, until)

    def lines() -> list[str]:
        found = record()
        return [*_whose(session, found), *stats_lines(session.terminal, found, model_names(session.store))]

    look = Look(record, stats_listing, lines)
    _show(session, look, chosen_format(fmt, json), quiet=quiet, every=interval if watch else None)


def _fleet(session: Session) -> list[str]:
    """Who is at work on a store that several hosts share."""
    from reasoning_cli.commands._shared.fleet_views import at_work, fleet_lines

    lines = fleet_lines(at_work(session))
    return session.terminal.fact_lines([("fleet" if line is lines[0] else "", line) for line in lines])


def _of_all(session: Session) -> dict[str, Any] | None:
    """The figures of all gateways that share the store, as each last wrote them; None where there are none."""
    from reasoning_cli.commands._shared.fleet_views import at_work, fleet_record
    from reasoning_cli.gateway.stats.summing import summed

    seen = [each for each in at_work(session) if each.instance.kind == "gateway" and not each.is_gone]
    if not seen:
        return None
    return {**summed([each.facts for each in seen]), "fleet": [fleet_record(each) for each in seen]}


def running(session: Session, port: int | None = None) -> dict[str, Any]:
    """The figures of the gateway that runs. Raises RemoteError when none does."""
    from reasoning_cli.gateway.probe import gateway_record

    settings = session.settings
    host, token = settings.get(s.GATEWAY_HOST), settings.get(s.GATEWAY_TOKEN) if port else _token(settings)
    return gateway_record(host, port or settings.get(s.GATEWAY_PORT), token, settings.get(s.GATEWAY_TLS_CERT))


def running_or_none(session: Session, port: int | None = None) -> dict[str, Any] | None:
    """The same where none need run; asked of settings that may make no sense."""
    from reasoning_cli.gateway.probe import gateway_record

    settings = session.settings_as_found
    try:
        token = settings.get(s.GATEWAY_TOKEN) if port else _token(settings)
        where = settings.get(s.GATEWAY_HOST), port or settings.get(s.GATEWAY_PORT)
        return gateway_record(*where, token, settings.get(s.GATEWAY_TLS_CERT))
    except (RemoteError, ConfigurationError):
        return None


def _token(settings: s.Settings) -> str | None:
    """What is shown to the gateway; nothing on a port that the working folder names, where another program may be."""
    token = settings.resolve(s.GATEWAY_TOKEN)
    strange = settings.is_of_folder(s.GATEWAY_PORT) and token.source is not s.Source.DOTENV
    return None if strange else token.value


def _history(session: Session, since: str | None, until: str | None) -> dict[str, Any]:
    from datetime import timedelta

    from reasoning_cli.operations.costs.date_range import parse_span
    from reasoning_cli.operations.gateway.history import history

    now: datetime = session.now()
    begin, end = parse_span(since, until, now, now - timedelta(days=1))
    return {"since": begin.isoformat(), "until": end.isoformat(), "model_types": history(session.store, begin, end)}


@dataclass(frozen=True)
class Look:
    """What is shown of a gateway: its `record` as it tells it, the `rows` of that, and `lines` for a person."""

    record: Callable[[], Mapping[str, Any]]
    rows: Callable[[Mapping[str, Any]], Listing[Any]]
    lines: Callable[[], list[str]]


def _show(session: Session, look: Look, fmt: Format, *, quiet: bool, every: str | None) -> None:
    """Once, or again and again in the same place; a gateway that went away leaves the last picture standing."""
    from reasoning_cli.terminal.progress import watching

    terminal = session.terminal
    if every is None:
        if fmt is Format.TABLE and not quiet:
            for line in look.lines():
                terminal.print(line)
        elif fmt is Format.JSON and not quiet:
            terminal.json(look.record())
        else:
            terminal.show(look.rows(look.record()), fmt, quiet=quiet)
        return
    if fmt is not Format.TABLE or quiet:
        raise UsageError("--watch draws a screen", "leave the format away, or ask again and again without --watch")
    pause = typed(parse_duration, every, "--interval 2s").total_seconds()
    last: list[str] = []
    with watching(terminal) as show:
        while True:
            try:
                last = look.lines()
            except RemoteError as nobody:
                show([*last, "", *_wrapped(session, nobody.message)])
            else:
                show(last)
            session.sleep(pause)


def _whose(session: Session, record: Mapping[str, Any]) -> list[str]:
    """Where the gateway that answers is another's, such as the sandbox's, that."""
    from reasoning_cli.operations.agents.env import whose_gateway

    whose = whose_gateway(session.settings, record)
    return [] if whose is None else [*_wrapped(session, f"Not yours: this is {whose}."), ""]


def _wrapped(session: Session, text: str) -> list[str]:
    from reasoning_cli.terminal.wrapping import wrap_lines

    return wrap_lines(text, session.terminal.width).splitlines()
