"""What may be spent: a budget a period, a cap an hour, and how long a model may be idle."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.options import ModelTypeOption, typed
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.commands._shared.settings import change_settings
from reasoning_cli.errors import UsageError
from reasoning_cli.values import (
    parse_idle_minutes,
    parse_model_type,
    parse_period,
    parse_usd,
    parse_usd_or_none,
    parse_whole,
    spell_model_type,
    together_idle_minutes,
)


def set_budget(
    ctx: typer.Context,
    amount: Annotated[str, typer.Argument(metavar="USD|none", help="Dollars a period, or none.")],
    period: Annotated[
        str | None, typer.Option(metavar="total|month|day", help="What all budgets are for; default: a month (UTC).")
    ] = None,
    model_type: ModelTypeOption = None,
    warn_at: Annotated[str | None, typer.Option(metavar="PERCENT", help="When the guard warns; default: 80.")] = None,
) -> None:
    """Refuse deploys that the budget could not pay; the guard stops what would break it."""
    from reasoning_cli.commands._shared.cost_views import budget_text
    from reasoning_cli.operations.costs.budget import standing
    from reasoning_cli.operations.deploy.status import last_look

    session = session_of(ctx)
    terminal = session.terminal
    wanted = None if amount.strip().lower() == "none" else typed(parse_usd, amount, "`reasoning costs set-budget 100`")
    chosen = parse_model_type(model_type) if model_type is not None else None
    changes: list[tuple[s.Setting[object], str | None]] = []
    if period is not None:
        changes.append((s.BUDGET_PERIOD, typed(parse_period, period, "--period month")))
    if warn_at is not None:
        changes.append((s.WARN_PERCENT, str(typed(parse_whole(1, 100), warn_at, "--warn-at 80"))))
    changes.append((s.TYPE_BUDGET[chosen] if chosen else s.BUDGET_LIMIT, None if wanted is None else str(wanted)))
    change_settings(session, "set_budget", changes, chosen or "budget")
    whose = f" for {spell_model_type(chosen)}" if chosen else ""
    if wanted is None:
        terminal.say(f"There is no budget{whose} now.")
        return
    now = standing(session.store, session.limits, last_look(session.store) or session.now(), chosen)
    terminal.say(f"budget{whose}: {budget_text(now, 0)}")
    if now.left_cents == 0:
        terminal.warn("it is used up: nothing more can be deployed, and what runs goes on costing")
        terminal.hint("`reasoning models status` shows what runs; `reasoning models undeploy NAME` stops it")


def clear_budget(ctx: typer.Context, model_type: ModelTypeOption = None) -> None:
    """Take a budget away; the hourly cap stays."""
    session = session_of(ctx)
    chosen = parse_model_type(model_type) if model_type is not None else None
    setting = s.TYPE_BUDGET[chosen] if chosen else s.BUDGET_LIMIT
    change_settings(session, "clear_budget", [(setting, None)], chosen or "budget")
    session.terminal.say(f"There is no budget{f' for {spell_model_type(chosen)}' if chosen else ''} now.")


def set_cap(
    ctx: typer.Context,
    amount: Annotated[
        str, typer.Argument(metavar="USD|none", help="Dollars an hour that all running models may cost, or none.")
    ],
) -> None:
    """Refuse deploys that would let everything running cost more than this an hour."""
    session = session_of(ctx)
    wanted = typed(parse_usd_or_none, amount.strip().removesuffix("/h"), "`reasoning costs set-cap 40`")
    change_settings(session, "set_cap", [(s.MAX_COST_PER_HOUR, "none" if wanted is None else str(wanted))], "cap")
    if wanted is None:
        session.terminal.say("There is no cap now: what runs may cost any amount an hour.")
        return
    session.terminal.say(f"Everything running may cost ${wanted} an hour.")


def auto_shutdown(
    ctx: typer.Context,
    minutes: Annotated[
        str | None,
        typer.Option(
            "--idle-minutes",
            metavar="N",
            help="Idle minutes, up to 1440; 0 = never.",
        ),
    ] = None,
    model_type: ModelTypeOption = None,
) -> None:
    """Stop models that nobody asks anything: what runs now, and what is deployed from now on."""
    from reasoning_cli.operations.deploy.teardown import set_idle_stop

    session = session_of(ctx)
    terminal = session.terminal
    if minutes is None:
        raise UsageError("after how many idle minutes?", "for example --idle-minutes 30; 0 = never")
    wanted = typed(parse_idle_minutes, minutes, "--idle-minutes 30")
    chosen = parse_model_type(model_type) if model_type is not None else None
    setting: s.Setting[object] = s.TYPE_IDLE[chosen] if chosen else s.IDLE_MINUTES
    change_settings(session, "auto_shutdown", [(setting, str(wanted))], chosen or "all models")
    changed = set_idle_stop(lambda: session.client, session.store, wanted, chosen)
    after = f"after {wanted} idle minutes" if wanted else "never by themselves"
    every = f"every new {spell_model_type(chosen)} model" if chosen else "every new one"
    terminal.say(f"Models stop {after}: {every}{''.join(f', {name}' for name in changed)}.")
    rounded = together_idle_minutes(wanted)
    if rounded != wanted:
        terminal.warn(
            f"Together itself stops them after {rounded} minutes at the earliest; only the guard is that quick"
        )
        terminal.hint("start it: `reasoning costs guard`")
    if not wanted:
        terminal.warn("a forgotten model now costs until somebody stops it")
