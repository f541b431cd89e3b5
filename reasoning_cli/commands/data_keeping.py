"""Keeping the training log in order: `data cleanup`."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands.session import session_of
from reasoning_cli.errors import ExitCode


def cleanup(
    ctx: typer.Context,
    days: Annotated[
        int | None,
        typer.Option("--days", "-d", metavar="N", help="Keep the last N days; default: data.retention_days."),
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Delete old samples and give the space back."""
    from reasoning_cli.operations.samples import plan_cleanup, run_cleanup
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted, iso, moment

    session = session_of(ctx)
    terminal = session.terminal
    plan = plan_cleanup(session.store, session.settings.get(s.RETENTION_DAYS) if days is None else days, session.now())
    count = plan.samples.count
    record = {"before": iso(plan.before), "matching": count, "dry_run": dry_run}
    if dry_run or not count:
        if json:
            terminal.json({**record, "deleted": 0})
        else:
            since = f", the oldest from {moment(plan.samples.oldest)}" if plan.samples.oldest else ""
            older = f"older than {counted(plan.days, 'day')} (before {moment(plan.before)})"
            terminal.say(f"{counted(count, 'sample')} {older}{since}.")
        return
    if not terminal.confirm(f"Delete {counted(count, 'sample')} from before {moment(plan.before)}?", yes=yes):
        terminal.note("Nothing was changed.")
        raise typer.Exit(ExitCode.FAILED)
    try:
        with waiting(terminal, "deleting") as shown:
            deleted = run_cleanup(
                session.store, plan, on_progress=lambda gone: shown.show("deleting", f"{gone:,} of {count:,}")
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What was deleted is gone; the same command goes on from there.")
        raise
    if json:
        terminal.json({**record, "deleted": deleted})
    else:
        terminal.say(f"Deleted {counted(deleted, 'sample')} from before {moment(plan.before)}.")
