"""From the log to a better model."""

from __future__ import annotations

import typer

from reasoning_cli.commands.train_looking import list_

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

app.command("list")(list_)
