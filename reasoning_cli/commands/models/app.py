"""Deploy, route and stop models."""

from __future__ import annotations

import typer

from reasoning_cli.commands.models.adopt import adopt
from reasoning_cli.commands.models.browse import hardware, search, show
from reasoning_cli.commands.models.deploy import deploy
from reasoning_cli.commands.models.enable import disable, enable
from reasoning_cli.commands.models.explain import explain
from reasoning_cli.commands.models.list import list_models
from reasoning_cli.commands.models.promote import promote
from reasoning_cli.commands.models.rollback import rollback
from reasoning_cli.commands.models.start import start
from reasoning_cli.commands.models.status import status
from reasoning_cli.commands.models.stop import stop, undeploy
from reasoning_cli.commands.models.test import test
from reasoning_cli.commands.models.upload import upload

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


app.command()(deploy)
app.command()(undeploy)
app.command()(stop)
app.command()(start)
app.command()(status)
app.command()(promote)
app.command()(rollback)
app.command()(test)
app.command()(adopt)
app.command()(upload)
app.command()(hardware)
app.command()(search)
app.command()(show)
app.command()(enable)
app.command()(disable)
app.command()(explain)
app.command("list")(list_models)
