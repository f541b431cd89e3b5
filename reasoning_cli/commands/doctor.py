"""Is everything in place: one line a check, each with what to type about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import FormatOption, JsonOption, YesOption, chosen_format
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import UsageError
from reasoning_cli.terminal.listing import Column, Format, Listing

app = typer.Typer(rich_markup_mode=None)


@app.command()
def doctor(
    ctx: typer.Context,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the network alone.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Hold what Together does against what is assumed of it; reads only, free.")
    ] = False,
    spend: Annotated[
        str | None,
        typer.Option(metavar="USD", help="With --live: deploy the cheapest model for minutes, for no more than this."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="With --live: where its report is written.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Check keys, paths, network, what is left running and who watches it. The first failure decides the exit code.

    With --live: ask everything that can be read, and report how far the service is what this program takes it for. The
    report names no key, account, endpoint, person or prompt.
    """
    if live:
        from reasoning_cli.commands.doctor_live import run_live

        if offline:
            raise UsageError("--live asks Together, and --offline nobody", "leave one of them away")
        run_live(session_of(ctx), chosen_format(fmt, json), spend=spend, output=output, yes=yes)
        return
    if spend is not None or output is not None:
        raise UsageError("--spend and --output belong to --live", "`reasoning doctor --live --spend 2`")
    from reasoning_cli.commands.gateway.status import running_or_none
    from reasoning_cli.gateway.probe import look
    from reasoning_cli.operations.doctor.check import Check
    from reasoning_cli.operations.doctor.gateway import Probes
    from reasoning_cli.operations.doctor.run import exit_code, run_checks
    from reasoning_cli.terminal.checklist import show_check

    session = session_of(ctx)
    styles = {"ok": "good", "warn": "warning", "fail": "bad"}
    fmt = chosen_format(fmt, json)
    checks = []
    probes = Probes(lambda: running_or_none(session), look)
    connect = None if offline else lambda: session.client
    for check in run_checks(session.settings_as_found, connect, session.now, probes):
        checks.append(check)
        if fmt is Format.TABLE:
            show_check(session.terminal, check.status, styles[check.status], check.detail, check.fix)
    if fmt is not Format.TABLE:
        columns: list[Column[Check]] = [
            Column("name", lambda check: check.name),
            Column("status", lambda check: check.status.value),
            Column("detail", lambda check: check.detail),
            Column("fix", lambda check: check.fix),
            Column("exit_code", lambda check: check.exit_code.value),
        ]
        session.terminal.show(Listing(columns, checks, id=lambda check: check.name), fmt)
    raise typer.Exit(exit_code(checks))
