"""`models rollback`: back to the model that served before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.model_options import (
    TimeoutOption,
    TypeArgument,
    read_timeout,
    wait_options,
)
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, KeepOption, YesOption
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.models._apply import carry_out_replacement
from reasoning_cli.values import parse_model_type, spell_model_type

if TYPE_CHECKING:
    from datetime import timedelta

    from reasoning_cli.operations.deploy.rollout import Return


def rollback(
    ctx: typer.Context,
    model_type: TypeArgument,
    keep: KeepOption = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Go back to the former model: take back the canary, else bring the one before up again."""
    from reasoning_cli.operations.deploy.rollout import Return, Shift, plan_rollback

    session = session_of(ctx)
    limit = read_timeout(session, timeout)
    limits = session.limits_of(dry_run=dry_run)
    plan = plan_rollback(session.client, session.store, limits, parse_model_type(model_type))
    if isinstance(plan, Return):
        _carry_out_return(session, plan, limit, yes=yes, dry_run=dry_run, json=json)
    else:
        shift = Shift(keep_old=keep, is_rollback=True)
        carry_out_replacement(session, plan, shift, limit, yes=yes, dry_run=dry_run, json=json)


def _carry_out_return(
    session: Session, plan: Return, limit: timedelta, *, yes: bool, dry_run: bool, json: bool
) -> None:
    from reasoning_cli.operations.deploy.rollout import run_return
    from reasoning_cli.terminal.progress import waiting

    terminal, old, new = session.terminal, plan.old, plan.new
    record = {"model": old.model_name, "takes_back": new.model_name, "percent": plan.replacement.percent}
    facts = [
        ("back to", f"{old.model_name} ({old.state}), which gets all of the traffic again"),
        ("away", f"{new.model_name} ({new.state}, {plan.replacement.percent} %) is stopped and deleted"),
    ]
    if dry_run:
        show_dry_run(terminal, facts, record, json=json)
        return
    ask_about(terminal, facts, "Take it back?", yes=yes, show=False)
    with waiting(terminal, f"taking {new.model_name} back"):
        done = run_return(session.client, session.store, plan, wait_options(session, limit, lambda progress: None))
    if json:
        terminal.json({**record, "percent": 0, "state": done.state})
    else:
        terminal.say(
            f"{old.model_name} answers {spell_model_type(plan.replacement.model_type)} again; the other is gone."
        )
