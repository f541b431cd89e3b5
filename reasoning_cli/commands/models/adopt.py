"""`models adopt`: take over what runs and was not deployed from here."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_names
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.model_options import (
    remember_models,
)
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.values import parse_model_type, spell_model_type


def adopt(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ID", help="What `models list --all` shows as not ours.", autocompletion=complete_names
        ),
    ],
    as_type: Annotated[str, typer.Option("--as", "-m", metavar="TYPE", help="The decisions it answers from now on.")],
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Take over a deployment made elsewhere: into a slot, the ledger and the budget, from now on."""
    from reasoning_cli.commands._shared.plan_views import adopt_facts, adopt_record
    from reasoning_cli.operations.deploy.unmanaged import plan_adopt, run_adopt

    session = session_of(ctx)
    terminal = session.terminal
    limits = session.limits_of(dry_run=dry_run)
    plan = plan_adopt(session.client, session.store, limits, name, parse_model_type(as_type))
    if dry_run:
        show_dry_run(terminal, adopt_facts(plan), adopt_record(plan, plan.record), json=json)
        if plan.refusal is not None:
            raise plan.refusal
        return
    ask_about(terminal, adopt_facts(plan), "Take it over?", yes=yes, show=False)
    record = run_adopt(session.client, session.store, plan)
    remember_models(session)
    if json:
        terminal.json(adopt_record(plan, record))
        return
    terminal.say(f"{plan.status.name} is ours now, as {spell_model_type(plan.model_type)} ({record.state}).")
    terminal.hint(f"stop it: `reasoning models stop {spell_model_type(plan.model_type)}`")
