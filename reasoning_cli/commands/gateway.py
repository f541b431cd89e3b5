"""Stand between an agent and its provider."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands.gateway_asking import env, explain, status
from reasoning_cli.commands.session import session_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Default: gateway.host.")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", help="Default: gateway.port.")] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that share the port.", min=1, max=64)] = 1,
    access_log: Annotated[bool, typer.Option("--access-log", help="A line of JSON on stderr for each call.")] = False,
) -> None:
    """Answer the agent's decisions with your models, and hand everything else to the original provider."""
    from reasoning_cli.commands.gateway_running import options_for
    from reasoning_cli.gateway.serving import serve as run

    session = session_of(ctx)
    settings = session.settings
    options = options_for(
        session, host or settings.get(s.GATEWAY_HOST), port or settings.get(s.GATEWAY_PORT), access_log
    )
    session.terminal.note(f"listening on http://{options.host}:{options.port} (Ctrl-C ends it)")
    run(options, workers)


app.command()(status)
app.command()(env)
app.command()(explain)
