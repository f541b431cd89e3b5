"""Collect, look at and export decisions."""

from __future__ import annotations

import typer

from reasoning_cli.commands.data_exporting import export
from reasoning_cli.commands.data_importing import import_
from reasoning_cli.commands.data_keeping import cleanup
from reasoning_cli.commands.data_stats import stats

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

app.command("import")(import_)
app.command()(export)
app.command()(stats)
app.command()(cleanup)
