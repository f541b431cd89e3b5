"""What it costs, limits, automatic shutdown."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands.options import FormatOption, JsonOption, QuietOption, chosen_format, typed
from reasoning_cli.commands.session import session_of
from reasoning_cli.errors import RemoteError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_idle_minutes, parse_usd

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def report(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="From the ledger alone; asks nobody.")] = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """This month's bill by deployment, and how long the budget lasts. Looks at Together first."""
    from reasoning_cli.commands.cost_views import cost_columns, report_lines, report_record
    from reasoning_cli.operations.status import cost_report, last_look, refresh
    from reasoning_cli.terminal.listing import Listing
    from reasoning_cli.terminal.units import moment

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    problem: RemoteError | None = None
    at = last_look(session.store) or session.now()
    if not offline:
        try:
            at = refresh(session.client, session.store)
        except RemoteError as error:
            problem = error
    bill = cost_report(session.store, session.limits, at)
    listing = Listing(cost_columns(), bill.lines, id=lambda one: one.record.endpoint_name)
    if chosen is Format.JSON and not quiet:
        terminal.json(report_record(bill, listing.records()))
    else:
        terminal.show(listing, chosen, quiet=quiet)
        if chosen is Format.TABLE and not quiet:
            if bill.lines:
                terminal.print()
            for line in report_lines(bill):
                terminal.say(line)
            if bill.standing.limit_cents is None:
                terminal.hint("set one: `reasoning costs set-budget 100`")
    if problem is not None:
        terminal.warn(f"this bill ends at {moment(at)}, the last look")
        raise problem


@app.command("set-budget", context_settings={"ignore_unknown_options": True})
def set_budget(
    ctx: typer.Context,
    amount: Annotated[str, typer.Argument(metavar="USD|none", help="Dollars a calendar month (UTC), or none.")],
) -> None:
    """Refuse deploys that this month's budget could not pay."""
    from reasoning_cli.commands.cost_views import budget_text
    from reasoning_cli.operations.budget import standing
    from reasoning_cli.operations.status import last_look
    from reasoning_cli.store.events import Event, Events

    session = session_of(ctx)
    terminal, paths = session.terminal, session.settings.paths
    wanted = None if amount.strip().lower() == "none" else typed(parse_usd, amount, "`reasoning costs set-budget 100`")
    s.write_setting(paths, s.BUDGET_LIMIT, None if wanted is None else str(wanted))
    detail = {"limit_usd": None if wanted is None else str(wanted)}
    Events(session.store).add(Event(session.now(), "operator", "set_budget", "budget", detail))
    if (hiding := s.overrides(session.settings, s.BUDGET_LIMIT)) is not None:
        terminal.warn(f"{hiding} says otherwise, and wins over the settings file")
    if wanted is None:
        terminal.say("There is no budget now.")
        return
    limits = replace(session.limits, month_usd=wanted)
    now = standing(session.store, limits, last_look(session.store) or session.now())
    terminal.say(f"budget: {budget_text(now, 0)}")
    if now.left_cents == 0:
        terminal.warn("it is used up: nothing more can be deployed this month, and what runs goes on costing")
        terminal.hint("`reasoning models status` shows what runs; `reasoning models undeploy NAME` stops it")


@app.command("auto-shutdown")
def auto_shutdown(
    ctx: typer.Context,
    minutes: Annotated[
        str | None,
        typer.Option("--minutes", "--idle-minutes", "-m", metavar="N", help="0 = never, or 30 to 1440 idle minutes."),
    ] = None,
) -> None:
    """Let Together stop models that nobody asks anything: what runs now, and what is deployed from now on."""
    from reasoning_cli.operations.stopping import set_idle_stop

    session = session_of(ctx)
    terminal = session.terminal
    if minutes is None:
        raise UsageError("after how many idle minutes?", "for example --minutes 30; 0 = never")
    wanted = typed(parse_idle_minutes, minutes, "--minutes 30")
    s.write_setting(session.settings.paths, s.IDLE_MINUTES, str(wanted))
    if (hiding := s.overrides(session.settings, s.IDLE_MINUTES)) is not None:
        terminal.warn(f"{hiding} says otherwise, and wins over the settings file")
    changed = set_idle_stop(lambda: session.client, session.store, wanted)
    after = f"after {wanted} idle minutes" if wanted else "never by themselves"
    terminal.say(f"Models stop {after}: every new one{''.join(f', {name}' for name in changed)}.")
    if not wanted:
        terminal.warn("a forgotten model now costs until somebody stops it")
