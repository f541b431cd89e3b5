"""`gateway serve`. What it runs is imported when it is typed, since help must not load a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import DASHBOARD_PORT, PrintSystemdOption
from reasoning_cli.commands._shared.session import session_of


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Default: gateway.host.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Default: gateway.port; 0 = any free one.", min=0, max=65535)
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that share the port.", min=1, max=64)] = 1,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="May be called so too (repeatable). Default: gateway.hosts."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate to serve TLS with. Default: gateway.tls_cert.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key. Default: gateway.tls_key.")] = None,
    access_log: Annotated[bool, typer.Option("--access-log", help="A line of JSON on stderr for each call.")] = False,
    guard: Annotated[bool, typer.Option("--guard", help="Run the guard inside, as `costs guard` would.")] = False,
    wake: Annotated[
        bool, typer.Option("--wake", help="Let traffic start stopped models, as `TYPE.wake` does for one.")
    ] = False,
    dashboard: Annotated[
        bool,
        typer.Option("--dashboard", help="Run the dashboard beside, for this machine, in a process of its own."),
    ] = False,
    dashboard_port: Annotated[
        int, typer.Option(metavar="PORT", help="Where the dashboard is; 0 = any free one.", min=0, max=65535)
    ] = DASHBOARD_PORT,
    print_systemd: PrintSystemdOption = False,
) -> None:
    """Answer the agent's decisions with your models, and hand everything else to the original provider."""
    from reasoning_cli.commands.costs.guard import warn_about_key
    from reasoning_cli.commands.gateway._serving import Serving, run_gateway, systemd_unit

    session = session_of(ctx)
    serving = Serving(
        host,
        port,
        workers,
        access_log=access_log,
        guard=guard,
        wake=wake,
        dashboard=dashboard_port if dashboard else None,
        hosts=tuple(allow_host or ()),
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    if print_systemd:
        session.terminal.print(systemd_unit(session, serving))
        warn_about_key(session)
        return
    run_gateway(session, serving)
