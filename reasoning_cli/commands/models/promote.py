"""`models promote`: finish the replacement of a model by another."""

from __future__ import annotations

import typer

from reasoning_cli.commands._shared.model_options import (
    StepIntervalOption,
    StepsOption,
    TimeoutOption,
    TypeArgument,
    read_shift,
    read_timeout,
)
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, KeepOption, YesOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.commands.models._apply import carry_out_replacement
from reasoning_cli.values import parse_model_type


def promote(
    ctx: typer.Context,
    model_type: TypeArgument,
    steps: StepsOption = None,
    interval: StepIntervalOption = None,
    keep: KeepOption = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Give a canary all of the traffic, at once or in steps, and stop the old one."""
    from reasoning_cli.operations.deploy.rollout import plan_promote

    session = session_of(ctx)
    shift, limit = read_shift(None, steps, interval, keep), read_timeout(session, timeout)
    plan = plan_promote(session.client, session.store, session.limits_of(dry_run=dry_run), parse_model_type(model_type))
    carry_out_replacement(session, plan, shift, limit, yes=yes, dry_run=dry_run, json=json)
