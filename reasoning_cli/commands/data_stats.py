"""`data stats`: what the training log holds, and what that is worth."""

from __future__ import annotations

import typer

from reasoning_cli.commands.options import JsonOption
from reasoning_cli.commands.session import session_of


def stats(ctx: typer.Context, json: JsonOption = False) -> None:
    """What was collected, whether it is enough to train on, and what would help."""
    from reasoning_cli.commands.data_views import stats_facts, stats_line, stats_record
    from reasoning_cli.operations.samples import sample_statistics

    session = session_of(ctx)
    terminal = session.terminal
    statistics = sample_statistics(session.store, session.now())
    if json:
        terminal.json(stats_record(statistics))
        return
    terminal.say(stats_line(statistics.figures))
    if statistics.figures.range.count:
        terminal.print()
        terminal.facts(stats_facts(statistics, terminal.width))
    if not statistics.figures.range.count:
        terminal.hint("take in what your agent decided already: `reasoning data import FILE`")
