"""`data stats`: what the training log holds, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.options import (
    FormatOption,
    JsonOption,
    QuietOption,
    SinceOption,
    UntilOption,
    chosen_format,
)
from reasoning_cli.commands._shared.sample_options import (
    AgentOption,
    DecidedOption,
    FromOption,
    LabelOption,
    RoomOption,
    SourceOption,
    TypesOption,
    filter_of,
)
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.terminal.listing import Format

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.operations.data.stats import SampleStatistics
    from reasoning_cli.store.samples.training_log import SampleFilter


def stats(
    ctx: typer.Context,
    model_type: TypesOption = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    source: SourceOption = None,
    label: LabelOption = None,
    decision: DecidedOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    by_day: Annotated[bool, typer.Option("--by-day", help="A line a day, in your time zone.")] = False,
    sources: FromOption = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What was collected, whether it is enough to train on, and what would help."""
    from reasoning_cli.commands.data._stats_views import (
        days_listing,
        stats_facts,
        stats_line,
        stats_record,
        types_listing,
    )
    from reasoning_cli.operations.data.stats import LOOKED_AT, sample_statistics

    session = session_of(ctx)
    terminal = session.terminal
    fmt = chosen_format(fmt, json)
    is_rows = quiet or fmt not in (Format.TABLE, Format.JSON)
    wanted = filter_of(session, model_type, agent, room, source, label, decision, since, until)
    windows = {name: session.settings.get(setting) for name, setting in s.WINDOW_TOKENS.items()}
    looked_at = 0 if by_day or is_rows else LOOKED_AT
    if sources:
        statistics = _of_archives(session, sources, wanted, windows, looked_at)
    else:
        statistics = sample_statistics(
            session.store, session.now(), wanted=wanted, windows=windows, looked_at=looked_at
        )
    if by_day:
        terminal.show(days_listing(statistics.figures, terminal.width), fmt, quiet=quiet, empty="No decisions yet.")
        return
    if is_rows:
        terminal.show(types_listing(statistics.figures), fmt, quiet=quiet)
        return
    if fmt is Format.JSON:
        terminal.json(stats_record(statistics))
        return
    terminal.say(stats_line(statistics.figures))
    if statistics.figures.range.count:
        terminal.print()
        terminal.facts(stats_facts(statistics, terminal.width))
    else:
        terminal.hint("take in what your agent decided already: `reasoning data import FILE`")


def _of_archives(
    session: Session, sources: list[str], wanted: SampleFilter, windows: Mapping[str, int], looked_at: int
) -> SampleStatistics:
    from reasoning_cli.operations.data.export.archived import open_sources
    from reasoning_cli.operations.data.export.archived_stats import archived_statistics
    from reasoning_cli.terminal.progress import Pace, waiting

    with waiting(session.terminal, "counting") as shown:
        pace = Pace()
        return archived_statistics(
            session.store,
            open_sources(session.store, sources),
            session.now(),
            wanted=wanted,
            windows=windows,
            looked_at=looked_at,
            on_progress=lambda done, total: shown.show("counting", pace.of(done, total, "days")),
        )
