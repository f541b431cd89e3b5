"""Collect, look at and export decisions."""

from __future__ import annotations

import typer

from reasoning_cli.commands.data.archive import archive, unarchive
from reasoning_cli.commands.data.backup import backup, restore, vacuum
from reasoning_cli.commands.data.browse import list_, search, show
from reasoning_cli.commands.data.check import check
from reasoning_cli.commands.data.cleanup import cleanup
from reasoning_cli.commands.data.export import export
from reasoning_cli.commands.data.forget import forget
from reasoning_cli.commands.data.import_ import import_
from reasoning_cli.commands.data.label import label, labels
from reasoning_cli.commands.data.redact import redact
from reasoning_cli.commands.data.review import review
from reasoning_cli.commands.data.stats import stats

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
