"""`models start`: bring back what was stopped."""

from __future__ import annotations

import typer

from reasoning_cli.commands._shared.model_options import (
    NameArgument,
    TimeoutOption,
    WaitOption,
    read_timeout,
)
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.commands.models._apply import carry_out
from reasoning_cli.commands.models._heads import refuse_head


def start(
    ctx: typer.Context,
    name: NameArgument,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Start a stopped model again, with the model and hardware it had, if the budget allows."""
    from reasoning_cli.operations.deploy.lora import plan_start

    refuse_head(name, "models enable NAME --mode shadow")
    session = session_of(ctx)
    limit = read_timeout(session, timeout)
    plan = plan_start(session.client, session.store, session.limits_of(dry_run=dry_run), name)
    carry_out(session, plan, limit if wait else None, yes=yes, dry_run=dry_run, json=json)
