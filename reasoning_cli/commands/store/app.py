"""Where samples and costs are kept, and how they get elsewhere."""

from __future__ import annotations

import typer

from reasoning_cli.commands.store.copy import copy
from reasoning_cli.commands.store.info import info

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


app.command()(info)
app.command()(copy)
