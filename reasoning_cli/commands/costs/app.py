"""What it costs, limits, automatic shutdown."""

from __future__ import annotations

import typer

from reasoning_cli.commands.costs.compare import compare
from reasoning_cli.commands.costs.events import events
from reasoning_cli.commands.costs.guard import guard, schedule
from reasoning_cli.commands.costs.limits import auto_shutdown, clear_budget, set_budget, set_cap
from reasoning_cli.commands.costs.outlook import outlook
from reasoning_cli.commands.costs.prices import prices
from reasoning_cli.commands.costs.reconcile import reconcile
from reasoning_cli.commands.costs.report import report

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


app.command()(report)
app.command()(reconcile)
app.command()(compare)
app.command()(prices)
app.command()(events)
app.command()(guard)
app.command()(outlook)
app.command()(schedule)
app.command("set-budget", context_settings={"ignore_unknown_options": True})(set_budget)
app.command("clear-budget")(clear_budget)
app.command("set-cap", context_settings={"ignore_unknown_options": True})(set_cap)
app.command("auto-shutdown")(auto_shutdown)
