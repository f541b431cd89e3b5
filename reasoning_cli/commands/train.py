"""From the log to a better model."""

from __future__ import annotations

import typer

from reasoning_cli.commands.train_auto import auto
from reasoning_cli.commands.train_comparing import compare
from reasoning_cli.commands.train_eval import evaluate, evaluations
from reasoning_cli.commands.train_history import history
from reasoning_cli.commands.train_init import init
from reasoning_cli.commands.train_looking import cancel, delete, download, events, list_, show
from reasoning_cli.commands.train_promoting import promote, rollback
from reasoning_cli.commands.train_starting import start
from reasoning_cli.commands.train_watching import status, watch

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

app.command()(init)
app.command()(start)
app.command()(watch)
app.command()(status)
app.command("list")(list_)
app.command()(show)
app.command()(events)
app.command()(cancel)
app.command()(delete)
app.command()(download)
app.command("eval")(evaluate)
app.command("evals")(evaluations)
app.command()(compare)
app.command()(promote)
app.command()(rollback)
app.command()(history)
app.command()(auto)
