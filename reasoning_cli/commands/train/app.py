"""From the log to a better model."""

from __future__ import annotations

import typer

from reasoning_cli.commands.train.adopt import adopt
from reasoning_cli.commands.train.auto import auto
from reasoning_cli.commands.train.compare import compare
from reasoning_cli.commands.train.eval import evaluate, evaluations
from reasoning_cli.commands.train.history import history
from reasoning_cli.commands.train.init import init
from reasoning_cli.commands.train.jobs import cancel, delete, download, events, list_, show
from reasoning_cli.commands.train.promote import promote, rollback
from reasoning_cli.commands.train.start import start
from reasoning_cli.commands.train.watch import status, watch

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

app.command()(init)
app.command()(start)
app.command()(adopt)
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
