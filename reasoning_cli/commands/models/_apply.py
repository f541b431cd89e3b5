"""A plan to deploy or to replace, carried out: shown, asked about, waited for, and how it stands said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.confirm import Facts, Record, ask_about, show_dry_run
from reasoning_cli.commands._shared.model_options import wait_options
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.errors import ExitCode, UsageError
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from reasoning_cli.operations.deploy.lora import AttachPlan
    from reasoning_cli.operations.deploy.plan import DeployPlan
    from reasoning_cli.operations.deploy.rollout import Shift
    from reasoning_cli.operations.deploy.wait import Progress


def carry_out(
    session: Session, plan: DeployPlan | AttachPlan, limit: timedelta | None, *, yes: bool, dry_run: bool, json: bool
) -> None:
    """Show the plan, ask, do it, and say how it ended; `limit` is how long to wait, None not at all."""
    from reasoning_cli.commands._shared.plan_views import deployed_record, plan_facts, plan_record
    from reasoning_cli.operations.deploy.apply import run_deploy
    from reasoning_cli.operations.deploy.lora import AttachPlan, run_attach
    from reasoning_cli.operations.deploy.plan import Action
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import clock_duration, money

    terminal = session.terminal
    facts = [*plan_facts(plan), *_hours_facts(session, plan)]
    if dry_run:
        _rehearse(session, plan, facts, plan_record(plan), json=json)
        return
    name, undeploy = plan.endpoint_name, f"reasoning models undeploy {plan.endpoint_name}"
    if isinstance(plan, AttachPlan):
        name, undeploy = plan.model.name, f"reasoning models undeploy {spell_model_type(plan.model_type)}"
    if plan.action in (Action.CREATE, Action.RESTART, Action.SCALE):
        ask_about(terminal, facts, "Deploy it?", yes=yes)
    elif plan.action is Action.CONTINUE:
        terminal.note(f"{name} is being deployed already; going on where it is.")
    try:
        with waiting(terminal, f"deploying {name}") as shown:

            def notify(progress: Progress) -> None:
                record = progress.record
                cold = "" if record.ready_replicas or record.rides_on else "; cold start is not billed"
                what = f"adapter on {record.endpoint_name}" if record.rides_on else record.endpoint_name
                shown.show(f"{what}: {progress.state.lower()}{cold}", clock_duration(progress.elapsed))

            wait = wait_options(session, limit, notify) if limit is not None else None
            if isinstance(plan, AttachPlan):
                done = run_attach(session.client, session.store, plan, wait=wait)
            else:
                done = run_deploy(session.client, session.store, plan, wait=wait)
    except KeyboardInterrupt:
        price = money(plan.max_cents_per_hour)
        terminal.note(
            f"Stopped waiting. {plan.endpoint_name} goes on at Together and costs {price} an hour once it is ready."
        )
        terminal.hint(f"`reasoning models status` shows it; stop it: `{undeploy}`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if json:
        terminal.json(deployed_record(plan, done))
        return
    if done.answered_in is None:
        state = done.record.state
        terminal.say(f"{name} is {state}." if state == "READY" else f"{name} is on its way ({state}).")
        terminal.hint("watch it: `reasoning models status --watch`")
        return
    already = "already " if plan.action is Action.NOTHING else ""
    terminal.say(
        f"{name} is {already}serving as {done.record.serving_name}"
        f" (first answer in {done.answered_in.total_seconds():.2f} s)."
    )
    model_type = spell_model_type(plan.model_type)
    terminal.hint(f"try it: `reasoning models test {model_type}`")
    if session.enabled[plan.model_type]:
        terminal.hint("let an agent's decisions reach it: `reasoning gateway serve`")
    else:
        terminal.hint(f"decisions do not go there yet: `reasoning models enable {model_type}`")
    terminal.hint(f"stop it: `{undeploy}`")


def _rehearse(session: Session, plan: DeployPlan | AttachPlan, facts: Facts, record: Record, *, json: bool) -> None:
    """Show a plan that is not carried out, and then what the money says against it, as the error that it would be."""
    refused = {"refused": plan.refusal.message if plan.refusal else None, "stops_at": _stops_at(session, plan)}
    show_dry_run(session.terminal, facts, record | refused, json=json)
    if plan.refusal is not None:
        raise plan.refusal


def _hours_facts(session: Session, plan: DeployPlan | AttachPlan) -> list[tuple[str, str]]:
    """When the schedule of the type ends it, if it has one; only a guard keeps to it."""
    from reasoning_cli.operations.guard.lock import find_guard
    from reasoning_cli.terminal.units import moment

    ends = _stops_at(session, plan)
    if ends is None:
        return []
    hours, at = session.settings.get(s.TYPE_HOURS[plan.model_type]), _now_of(plan)
    when = f"at {moment(ends)}" if ends > at else "at its next look"
    seen = find_guard(session.settings.database(), session.store)
    alone = "" if seen is not None and seen.running else ", but none is at work: `reasoning costs guard`"
    return [("hours", f"{hours} each day: the guard stops it {when}{alone}")]


def _stops_at(session: Session, plan: DeployPlan | AttachPlan) -> datetime | None:
    """When the schedule of the type stops it: at once outside its hours; None without a schedule."""
    hours, at = session.settings.get(s.TYPE_HOURS[plan.model_type]), _now_of(plan)
    return None if hours is None else hours.end_from(at)


def _now_of(plan: DeployPlan | AttachPlan) -> datetime:
    """The moment of the plan, on the service's clock, by which the guard goes."""
    from reasoning_cli.operations.deploy.lora import AttachPlan

    return (plan.base if isinstance(plan, AttachPlan) else plan).standing.at


def whole_only() -> UsageError:
    """What served is to be kept, and cannot be: an adapter comes, or goes."""
    return UsageError(
        "where an adapter takes over, or is replaced, what served before goes; `models rollback` brings it back",
        "leave --keep away",
    )


def carry_out_replacement(
    session: Session,
    plan: DeployPlan | AttachPlan,
    shift: Shift,
    limit: timedelta,
    *,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Show the plan, ask, do it, and say how it stands.

    Where nothing is left to be replaced, or an adapter comes or goes, for which there is no share of the traffic, it is
    a deploy.
    """
    from reasoning_cli.commands._shared.plan_views import replacement_facts, replacement_record
    from reasoning_cli.operations.deploy.lora import AttachPlan
    from reasoning_cli.operations.deploy.rollout import run_replace
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import clock_duration, money

    if isinstance(plan, AttachPlan) or plan.replaces is None:
        if shift.keep_old and (isinstance(plan, AttachPlan) or plan.retires is not None):
            raise whole_only()
        carry_out(session, plan, limit, yes=yes, dry_run=dry_run, json=json)
        return
    terminal, name = session.terminal, spell_model_type(plan.model_type)
    facts = [*replacement_facts(plan, shift), *_hours_facts(session, plan)]
    if dry_run:
        _rehearse(session, plan, facts, replacement_record(plan, shift, None), json=json)
        return
    ask_about(terminal, facts, "Replace it?" if shift.steps[-1] == 100 else "Deploy it beside?", yes=yes)
    try:
        with waiting(terminal, f"replacing {name}") as shown:

            def notify(progress: Progress) -> None:
                record = progress.record
                shown.show(f"{record.model_name}: {progress.state.lower()}", clock_duration(progress.elapsed))

            done = run_replace(session.client, session.store, plan, shift, wait_options(session, limit, notify))
    except KeyboardInterrupt:
        price = money(plan.max_cents_per_hour)
        terminal.note(f"Interrupted: both models may be running, the new one at up to {price} an hour.")
        terminal.hint(f"go on: the same command again; or go back: `reasoning models rollback {name}`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if json:
        terminal.json(replacement_record(plan, shift, done))
        return
    if done.percent < 100:
        terminal.say(f"{plan.model.name} answers {done.percent} % of {name}, beside {done.old.model_name}.")
        terminal.hint(
            f"`reasoning models promote {name}` gives it all, `reasoning models rollback {name}` takes it back"
        )
        return
    gone = "stopped, and kept" if shift.keep_old else "gone"
    terminal.say(f"{plan.model.name} answers {name}; {done.old.model_name} is {gone}.")
    terminal.hint(f"go back: `reasoning models rollback {name}`")
    if (wanted := session.models[plan.model_type]) != plan.model.name:
        terminal.hint(
            f"the settings still name {wanted} for {name}; change them:"
            f" `reasoning config set {plan.model_type}.model {plan.model.name}`"
        )
