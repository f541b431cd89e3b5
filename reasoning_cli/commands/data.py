"""Collect, look at and export decisions."""

from __future__ import annotations

import typer

from reasoning_cli.commands.data_archiving import archive, unarchive
from reasoning_cli.commands.data_backing_up import backup, restore, vacuum
from reasoning_cli.commands.data_checking import check
from reasoning_cli.commands.data_exporting import export
from reasoning_cli.commands.data_importing import import_
from reasoning_cli.commands.data_keeping import cleanup
from reasoning_cli.commands.data_labelling import label, labels
from reasoning_cli.commands.data_looking import list_, search, show
from reasoning_cli.commands.data_redacting import forget, redact
from reasoning_cli.commands.data_reviewing import review
from reasoning_cli.commands.data_stats import stats

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

app.command("import")(import_)
app.command("list")(list_)
app.command()(show)
app.command()(search)
app.command()(review)
app.command()(label)
app.command()(labels)
app.command()(export)
app.command()(check)
app.command()(stats)
app.command()(cleanup)
app.command()(redact)
app.command()(forget)
app.command()(archive)
app.command()(unarchive)
app.command()(backup)
app.command()(restore)
app.command()(vacuum)
