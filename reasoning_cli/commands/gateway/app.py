"""Stand between an agent and its provider."""

from __future__ import annotations

import typer

from reasoning_cli.commands.gateway.env import env
from reasoning_cli.commands.gateway.explain import explain
from reasoning_cli.commands.gateway.serve import serve
from reasoning_cli.commands.gateway.status import stats, status

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


app.command()(serve)
app.command()(status)
app.command()(stats)
app.command()(env)
app.command()(explain)
