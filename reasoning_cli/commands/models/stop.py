"""Stop models, one or all of them, and take away what was deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_targets
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.model_options import NameArgument, TimeoutOption, read_timeout, wait_options
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.models._heads import refuse_head
from reasoning_cli.errors import ExitCode, NotFoundError, ReasoningError, UsageError
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from reasoning_cli.operations.deploy.teardown import Stopped, StopPlan
    from reasoning_cli.operations.deploy.wait import Progress, Waiting
    from reasoning_cli.terminal.progress import Waiting as Shown


def undeploy(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|TYPE", help="A model type, an endpoint's name or an id.", autocompletion=complete_targets
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that was deployed from here.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Only stop it; `start` starts it again.")] = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Stop a model and delete its deployment and endpoint. The model itself stays at Together."""
    refuse_head(target, "models disable NAME")
    session = session_of(ctx)
    limit = read_timeout(session, timeout)
    if (target is None) != everything:
        raise UsageError("name one deployment, or say --all", "`reasoning models list` shows what there is")
    if target is None:
        _stop_all(session, limit, keep=keep, yes=yes, dry_run=dry_run, json=json)
    else:
        _stop_one(session, target, limit, keep=keep, yes=yes, dry_run=dry_run, json=json)


def stop(
    ctx: typer.Context,
    name: NameArgument,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Stop a model, so that it costs nothing; `start` starts it again where it was."""
    refuse_head(name, "models disable NAME")
    session = session_of(ctx)
    _stop_one(session, name, read_timeout(session, timeout), keep=True, yes=yes, dry_run=dry_run, json=json)


def _stop_one(
    session: Session, target: str, limit: timedelta, *, keep: bool, yes: bool, dry_run: bool, json: bool
) -> None:
    from reasoning_cli.commands._shared.plan_views import stop_facts, stop_record
    from reasoning_cli.operations.deploy.teardown import run_stop
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import money

    terminal = session.terminal
    plan, ours = _plan_stop(session, target, keep)
    name = plan.record.endpoint_name if ours and not plan.record.rides_on else target
    if dry_run:
        show_dry_run(terminal, stop_facts(plan, ours=ours), stop_record(plan, plan.record), json=json)
        return
    what = "it" if ours else f"{target}, which is not ours"
    question = f"{'Stop' if keep else 'Stop and delete'} {what}?"
    ask_about(terminal, stop_facts(plan, ours=ours), question, yes=yes, show=False)
    again = f"reasoning models {'stop' if keep else 'undeploy'} {name}"
    try:
        with waiting(terminal, f"stopping {name}") as shown:
            wait = wait_options(session, limit, _notifier(shown))
            done = run_stop(session.client, session.store, plan, wait) if ours else _stop_foreign(session, plan, wait)
    except KeyboardInterrupt:
        terminal.note(f"Interrupted: {name} may still run, at up to {money(plan.saves_cents_per_hour)} an hour.")
        terminal.hint(f"go on: `{again}`; look: `reasoning models status`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if done.endpoint_left:
        terminal.warn(f"the endpoint `{done.endpoint_left}` stays: it holds other deployments")
    if json:
        terminal.json(stop_record(plan, done.record))
        return
    terminal.say(_outcome(plan, name, keep=keep))
    if keep and not target.startswith("endpoint-"):
        _show_how_it_starts(session, target, plan.record.model_type)


def _saved(plan: StopPlan) -> str:
    from reasoning_cli.terminal.units import money

    if not plan.saves_cents_per_hour:
        return "It cost nothing any more."
    return f"It saves {money(plan.saves_cents_per_hour)} an hour."


def _outcome(plan: StopPlan, name: str, *, keep: bool) -> str:
    """What was stopped, what became of it, and what that saves."""
    end = "stopped, and kept" if keep else "detached" if plan.record.rides_on else "gone"
    if plan.base is not None:
        end += f", and {plan.base.endpoint_name} is gone"
    saves = _saved(plan)
    if plan.stays_for:
        saves = f"{plan.record.endpoint_name} goes on for {' and '.join(plan.stays_for)}, at the same price."
    gone = [plan.record.model_name if plan.record.rides_on else name]
    gone += [other.deployment_name or other.model_name for other in plan.beside]
    return f"{' and '.join(gone)} {'are' if plan.beside else 'is'} {end}. {saves}"


def _show_how_it_starts(session: Session, target: str, model_type: str | None) -> None:
    """The command that starts it again, and that traffic does, where it does."""
    terminal = session.terminal
    terminal.hint(f"start it again: `reasoning models start {target}`")
    if model_type in s.WAKE and session.settings.get(s.WAKE[model_type]):
        name = spell_model_type(model_type)
        terminal.warn(f"traffic starts it again too, while {name}.wake is set")
        terminal.hint(f"`reasoning models disable {name}` keeps it off")


def _plan_stop(session: Session, target: str, keep: bool) -> tuple[StopPlan, bool]:
    """What is meant, and whether it is ours; what is not is looked for at Together by its own name."""
    from reasoning_cli.operations.costs.budget import spending_rate
    from reasoning_cli.operations.deploy.teardown import StopPlan, plan_stop
    from reasoning_cli.operations.deploy.unmanaged import find_foreign

    try:
        return plan_stop(session.store, target, keep=keep), True
    except NotFoundError as not_ours:
        try:
            record = find_foreign(session.client, session.store, target).record
        except ReasoningError as problem:
            several = isinstance(problem, NotFoundError) and "several" in problem.message
            raise (problem if several else not_ours) from problem
        assert record is not None
        return StopPlan(record, keep, spending_rate(record)), False


def _stop_foreign(session: Session, plan: StopPlan, wait: Waiting) -> Stopped:
    """What is stopped here is on record here from then on: so a stop that breaks off can be finished."""
    from reasoning_cli.operations.deploy.teardown import Stopped, StopPlan, run_stop
    from reasoning_cli.operations.deploy.unmanaged import is_legacy, run_legacy_stop, take_over

    if is_legacy(plan.record):
        return Stopped(run_legacy_stop(session.client, plan.record, wait, keep=plan.keep))
    record = take_over(session.client, session.store, plan.record)
    return run_stop(session.client, session.store, StopPlan(record, plan.keep, plan.saves_cents_per_hour), wait)


def _stop_all(session: Session, limit: timedelta, *, keep: bool, yes: bool, dry_run: bool, json: bool) -> None:
    """One question for all of them; the exit code of the first that went wrong."""
    from reasoning_cli.commands._shared.plan_views import stop_all_facts, stop_record
    from reasoning_cli.operations.deploy.teardown import plan_stop_all, run_stop_all
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted, money

    terminal = session.terminal
    plans = plan_stop_all(session.store, keep=keep)
    if dry_run:
        show_dry_run(terminal, stop_all_facts(plans), [stop_record(plan, plan.record) for plan in plans], json=json)
        return
    if not plans:
        if json:
            terminal.json([])
        terminal.note("Nothing of ours runs." if keep else "Nothing is deployed from here.")
        return
    question = f"{'Stop' if keep else 'Stop and delete'} {counted(len(plans), 'deployment')}?"
    ask_about(terminal, stop_all_facts(plans), question, yes=yes, show=False)
    outcomes = []
    try:
        with waiting(terminal, "stopping") as shown:
            for outcome in run_stop_all(
                session.client, session.store, plans, wait_options(session, limit, _notifier(shown))
            ):
                outcomes.append(outcome)
                with shown.paused():
                    if outcome.problem is not None:
                        terminal.error(outcome.problem)
                    elif not json:
                        stopped, end = outcome.plan, "stopped, and kept" if keep else "gone"
                        terminal.say(f"{stopped.record.endpoint_name} is {end}. {_saved(stopped)}")
    except KeyboardInterrupt:
        left = sum(plan.saves_cents_per_hour for plan in plans[len(outcomes) :])
        terminal.note(f"Interrupted: what is not reported gone may still run, at up to {money(left)} an hour.")
        terminal.hint("go on: `reasoning models undeploy --all`; look: `reasoning models status`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if json:
        records = [
            {
                **stop_record(outcome.plan, outcome.done.record if outcome.done else outcome.plan.record),
                "error": outcome.problem.message if outcome.problem else None,
            }
            for outcome in outcomes
        ]
        terminal.json(records)
    failed = [outcome.problem for outcome in outcomes if outcome.problem is not None]
    if failed:
        raise typer.Exit(failed[0].exit_code)


def _notifier(shown: Shown) -> Callable[[Progress], None]:
    from reasoning_cli.terminal.units import clock_duration

    def notify(progress: Progress) -> None:
        billed = "; billed until it is stopped" if progress.record.ready_replicas else ""
        name = progress.record.endpoint_name
        shown.show(f"{name}: {progress.state.lower()}{billed}", clock_duration(progress.elapsed))

    return notify
