"""`models deploy`: bring a model up, alone or in the place of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_targets
from reasoning_cli.commands._shared.model_options import (
    ForTypeOption,
    StepIntervalOption,
    StepsOption,
    TimeoutOption,
    WaitOption,
    read_shift,
    read_timeout,
    remember_models,
)
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, KeepOption, YesOption, typed
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.models._apply import carry_out
from reasoning_cli.commands.models._heads import refuse_head
from reasoning_cli.errors import UsageError
from reasoning_cli.values import parse_idle_minutes, parse_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.lora import AttachPlan
    from reasoning_cli.operations.deploy.plan import DeployPlan, DeployRequest


def deploy(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|TYPE",
            help="A model type, a model's name, or an ml_ or ft- id.",
            autocompletion=complete_targets,
        ),
    ],
    as_type: ForTypeOption = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of its endpoint; default: the model type.")
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instance type, like 1xnvidia-h100-80gb.")
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="cr_…", help="Together's config to serve it with.")] = None,
    merged: Annotated[
        bool | None,
        typer.Option(
            "--merged/--adapter",
            help="A LoRA adapter merged, on a deployment of its own, or attached to one of its base.",
        ),
    ] = None,
    min_replicas: Annotated[int | None, typer.Option(metavar="N", help="Replicas that always run; 1.")] = None,
    max_replicas: Annotated[
        int | None, typer.Option(metavar="N", help="Replicas it may scale to; the minimum.")
    ] = None,
    idle_minutes: Annotated[
        str | None,
        typer.Option(metavar="N", help="Idle minutes before it is stopped; 0 = never."),
    ] = None,
    canary: Annotated[
        int | None, typer.Option(metavar="PERCENT", help="Give a model beside the old one this share, and no more.")
    ] = None,
    steps: StepsOption = None,
    interval: StepIntervalOption = None,
    keep: KeepOption = False,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Put a model on a GPU and in its slot: plan, ask, create, wait until it answers.

    Running it again goes on where it was; it never makes a second one. Where another model serves already, the new one
    is brought up beside it, tried, and given the traffic before the old one is stopped.
    """
    from reasoning_cli.commands.models._apply import carry_out_replacement, whole_only
    from reasoning_cli.operations.deploy.lora import AttachPlan
    from reasoning_cli.operations.deploy.plan import DeployRequest

    refuse_head(target, "models enable NAME --mode shadow")
    session = session_of(ctx)
    request = DeployRequest(
        target=target,
        models=session.models,
        idle_minutes=session.settings.get(s.IDLE_MINUTES),
        idle_by_type=session.idle_by_type,
        own_idle_minutes=None if idle_minutes is None else typed(parse_idle_minutes, idle_minutes, "--idle-minutes 30"),
        model_type=parse_model_type(as_type) if as_type else None,
        endpoint=endpoint,
        hardware=hardware,
        config=config,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        merged=merged,
    )
    limit = read_timeout(session, timeout)
    plan = _plan(session, request, may_ask=not yes, dry_run=dry_run)
    remember_models(session, plan.model.name)
    _warn_about_form(session, plan)
    is_adapter = isinstance(plan, AttachPlan)
    serving = plan.replaces if isinstance(plan, AttachPlan) else plan.replaces or plan.retires
    if serving is not None and not wait:
        raise UsageError(
            "a model that serves is replaced step by step, which has to be waited for", "leave --no-wait away"
        )
    if not isinstance(plan, AttachPlan) and plan.replaces is not None:
        shift = read_shift(canary, steps, interval, keep)
        carry_out_replacement(session, plan, shift, limit, yes=yes, dry_run=dry_run, json=json)
        return
    if keep and serving is not None:
        raise whole_only()
    if (canary is not None or steps is not None) and serving is not None:
        raise UsageError(
            "Together shares the traffic between deployments, and an attached adapter has none of its own",
            "leave --canary and --steps away, and it is replaced at once when the new model has answered"
            + ("; or deploy it merged: `--merged`" if is_adapter else ""),
        )
    # Where the model is there already, its steps are done: this is the same command once more.
    if canary is not None or (steps is not None and plan.record is None):
        raise UsageError(
            f"no other model serves `{plan.endpoint_name}`: there is nothing to share the traffic with",
            "leave --canary and --steps away",
        )
    carry_out(session, plan, limit if wait else None, yes=yes, dry_run=dry_run, json=json)


def _plan(session: Session, request: DeployRequest, *, may_ask: bool, dry_run: bool) -> DeployPlan | AttachPlan:
    """The plan; on a terminal, how to serve an adapter is asked. Raises ServingChoiceError where it cannot be."""
    from dataclasses import replace

    from reasoning_cli.operations.deploy.lora import ServingChoiceError, plan_serving
    from reasoning_cli.terminal.prompts import Choice
    from reasoning_cli.terminal.units import money

    limits = session.limits_of(dry_run=dry_run)
    try:
        return plan_serving(session.client, session.store, limits, request)
    except ServingChoiceError as question:
        if not (may_ask and session.terminal.can_ask):
            raise
        merged, attached = question.choices
        where = f"to {attached.on}, which we have" if attached.on else f"to a deployment of {attached.base}"
        choices = [
            Choice(f"merged, on a deployment of its own: {money(merged.added_cents_per_hour)} an hour more", "merged"),
            Choice(f"attached {where}: {money(attached.added_cents_per_hour)} an hour more", "attached"),
        ]
        chosen = session.prompter.choose("How is this adapter to be served?", choices)
    request = replace(request, merged=chosen == "merged")
    return plan_serving(session.client, session.store, limits, request)


def _warn_about_form(session: Session, plan: DeployPlan | AttachPlan) -> None:
    """A model of ours is asked in the form of prompts it was trained on, or it answers worse than it could."""
    from reasoning_cli.operations.train.plan import other_form
    from reasoning_cli.store.train.runs import TrainingRuns

    run = TrainingRuns(session.store).of_model(plan.model.id)
    asked = str(session.settings.get(s.PROMPT_FORM[plan.model_type]))
    trained = run.plan.get("prompt_form") if run is not None else None
    if isinstance(trained, str) and trained != asked:
        session.terminal.warn(session.terminal.as_called(other_form(plan.model_type, trained, asked)))
