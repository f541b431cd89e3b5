"""`train list`: what was trained, and what came of it."""

from __future__ import annotations

import typer

from reasoning_cli.commands.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands.session import session_of
from reasoning_cli.terminal.listing import Column, Format, Listing
from reasoning_cli.values import spell_model_type


def list_(
    ctx: typer.Context, fmt: FormatOption = Format.TABLE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show every training run, newest first."""
    from reasoning_cli.store.training_runs import TrainingRun, TrainingRuns
    from reasoning_cli.terminal.units import moment

    session = session_of(ctx)
    columns = [
        Column[TrainingRun]("run", lambda one: one.number, "RUN", right=True),
        Column[TrainingRun](
            "model_type", lambda one: one.model_type, "TYPE", lambda one: spell_model_type(one.model_type)
        ),
        Column[TrainingRun]("stage", lambda one: one.stage, "STAGE"),
        Column[TrainingRun]("base", lambda one: one.base, "BASE", shrink=True),
        Column[TrainingRun]("model", lambda one: one.model_name, "MODEL", from_width=100),
        Column[TrainingRun]("started_at", lambda one: one.started_at, "STARTED", lambda one: moment(one.started_at)),
    ]
    runs = TrainingRuns(session.store).all()[::-1]
    listing = Listing(columns, runs, id=lambda one: str(one.number))
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty="Nothing was trained yet.")
