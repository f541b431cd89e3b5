"""The sandbox: a stand-in for Together on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.confirm import ask_about
from reasoning_cli.commands._shared.options import YesOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import UsageError
from reasoning_cli.values import parse_speed

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    speed: Annotated[str, typer.Option(metavar="60x", help="How much faster than real its clock runs.")] = "60x",
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep its state here; without, it forgets.")
    ] = None,
    exit_when_idle: Annotated[
        float | None, typer.Option(metavar="MINUTES", min=0, help="End after so many real minutes without a request.")
    ] = None,
) -> None:
    """Serve a stand-in for Together's API until Ctrl-C. Its key is `sandbox-key`."""
    from reasoning_cli.sandbox.server import serve

    terminal = session_of(ctx).terminal
    try:
        factor = parse_speed(speed)
    except ValueError as error:
        raise UsageError(f"`{speed}` {error}", "a speed is written like 60x") from None

    def announce(url: str) -> None:
        terminal.print(url)
        terminal.note(f"sandbox for Together at {url}, clock at {factor:f}x, key sandbox-key. Ctrl-C stops it.")

    serve(port=port, speed=float(factor), state=state, exit_when_idle_minutes=exit_when_idle, announce=announce)


@app.command()
def stop(ctx: typer.Context) -> None:
    """Stop the sandbox that `reasoning --sandbox` started; its state stays."""
    from reasoning_cli.operations.sandbox import stop_sandbox

    session = session_of(ctx)
    paths = session.settings.paths if session.in_sandbox else session.settings.paths.sandbox()
    stopped = stop_sandbox(paths.sandbox_state)
    session.terminal.note("The sandbox is stopped; its state stays." if stopped else "No sandbox was running.")


@app.command()
def reset(ctx: typer.Context, yes: YesOption = False) -> None:
    """Stop the sandbox and forget everything in it: deployments, ledger, samples, settings."""
    import shutil

    from reasoning_cli.operations.sandbox import stop_sandbox

    session = session_of(ctx)
    paths = session.settings.paths if session.in_sandbox else session.settings.paths.sandbox()
    facts = [("forgets", f"all in {paths.data_dir}: deployments, ledger, samples, settings of the sandbox")]
    if paths.data_dir.exists():
        ask_about(session.terminal, facts, "Forget it?", yes=yes, show=False)
    stop_sandbox(paths.sandbox_state)
    shutil.rmtree(paths.data_dir, ignore_errors=True)
    session.terminal.note("The sandbox is empty again.")
