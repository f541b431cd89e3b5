"""Deploy, route and stop models."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands.completion import complete_model_types, complete_targets, remember_names
from reasoning_cli.commands.options import (
    DryRunOption,
    FormatOption,
    JsonOption,
    QuietOption,
    YesOption,
    chosen_format,
    typed,
)
from reasoning_cli.commands.session import Session, session_of
from reasoning_cli.errors import ExitCode, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_duration, parse_idle_minutes, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from reasoning_cli.operations.deploying import Progress, Waiting
    from reasoning_cli.operations.status import ModelStatus

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

TypeArgument = Annotated[
    str, typer.Argument(metavar="TYPE", help="should-respond, planning or coding.", autocompletion=complete_model_types)
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done.")]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="30m", help="Give up waiting after this long; nothing is undone.")
]


@app.command()
def deploy(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|TYPE", help="A model type, a model's name, or its ml_ id.", autocompletion=complete_targets
        ),
    ],
    as_type: Annotated[
        str | None, typer.Option("--as", metavar="TYPE", help="The decisions a model named by name answers.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of its endpoint; default: the model type.")
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instance type, like 1xnvidia-h100-80gb.")
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="cr_…", help="Together's config to serve it with.")] = None,
    min_replicas: Annotated[int | None, typer.Option(metavar="N", help="Replicas that always run; 1.")] = None,
    max_replicas: Annotated[
        int | None, typer.Option(metavar="N", help="Replicas it may scale to; the minimum.")
    ] = None,
    idle_minutes: Annotated[
        str | None, typer.Option(metavar="N", help="Together stops it after N idle minutes: 0 = never, or 30 to 1440.")
    ] = None,
    wait: WaitOption = True,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Put a model on a GPU and in its slot: plan, ask, create, wait until it answers.

    Running it again goes on where it was; it never makes a second one.
    """
    from reasoning_cli.commands.plan_views import deployed_record, plan_facts, plan_record
    from reasoning_cli.operations.deploying import Action, DeployRequest, plan_deploy, run_deploy
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import clock_duration, money

    session = session_of(ctx)
    terminal = session.terminal
    request = DeployRequest(
        target=target,
        models=session.models,
        idle_minutes=_idle_minutes(session, idle_minutes),
        model_type=parse_model_type(as_type) if as_type else None,
        endpoint=endpoint,
        hardware=hardware,
        config=config,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
    )
    limit = _timeout(session, timeout)
    plan = plan_deploy(session.client, session.store, session.limits, request)
    _remember(session, plan.model.name)
    if dry_run:
        if json:
            terminal.json({"dry_run": True, **plan_record(plan)})
        else:
            terminal.facts(plan_facts(plan))
            terminal.note("Nothing was changed.")
        return
    if plan.action in (Action.CREATE, Action.RESTART, Action.SCALE):
        terminal.facts(plan_facts(plan), to_out=False)
        if not terminal.confirm("Deploy it?", yes=yes):
            terminal.note("Nothing was changed.")
            raise typer.Exit(ExitCode.FAILED)
    elif plan.action is Action.CONTINUE:
        terminal.note(f"{plan.endpoint_name} is being deployed already; going on where it is.")
    name = plan.endpoint_name
    undeploy = f"reasoning models undeploy {name}"
    try:
        with waiting(terminal, f"deploying {name}") as shown:

            def tell(progress: Progress) -> None:
                cold = "" if progress.record.ready_replicas else "; cold start is not billed"
                shown.show(f"{name}: {progress.state.lower()}{cold}", clock_duration(progress.elapsed))

            done = run_deploy(
                session.client, session.store, plan, wait=_waiting(session, limit, tell) if wait else None
            )
    except KeyboardInterrupt:
        price = money(plan.max_cents_per_hour)
        terminal.note(f"Stopped waiting. {name} goes on at Together and costs {price} an hour once it is ready.")
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
    terminal.hint(f"stop it: `{undeploy}`")
    if not session.enabled[plan.model_type]:
        terminal.hint(f"decisions do not go there yet: `reasoning models enable {spell_model_type(plan.model_type)}`")


@app.command()
def undeploy(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|TYPE", help="A model type, an endpoint's name or an id.", autocompletion=complete_targets
        ),
    ],
    keep: Annotated[bool, typer.Option("--keep", help="Only stop it; deploying again starts it.")] = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Stop a model and delete its deployment and endpoint. The model itself stays at Together."""
    from reasoning_cli.commands.plan_views import stop_facts, stop_record
    from reasoning_cli.operations.stopping import plan_stop, run_stop
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import clock_duration, money

    session = session_of(ctx)
    terminal = session.terminal
    limit = _timeout(session, timeout)
    plan = plan_stop(session.store, target, keep=keep)
    name = plan.record.endpoint_name
    if dry_run:
        if json:
            terminal.json({"dry_run": True, **stop_record(plan, plan.record)})
        else:
            terminal.facts(stop_facts(plan))
            terminal.note("Nothing was changed.")
        return
    if not yes:
        terminal.facts(stop_facts(plan), to_out=False)
    if not terminal.confirm("Stop it?" if keep else "Stop and delete it?", yes=yes):
        terminal.note("Nothing was changed.")
        raise typer.Exit(ExitCode.FAILED)
    try:
        with waiting(terminal, f"stopping {name}") as shown:

            def tell(progress: Progress) -> None:
                billed = "; billed until it is stopped" if progress.record.ready_replicas else ""
                shown.show(f"{name}: {progress.state.lower()}{billed}", clock_duration(progress.elapsed))

            done = run_stop(session.client, session.store, plan, _waiting(session, limit, tell))
    except KeyboardInterrupt:
        terminal.note(f"Interrupted: {name} may still run, at up to {money(plan.saves_cents_per_hour)} an hour.")
        terminal.hint(f"go on: `reasoning models undeploy {name}`; look: `reasoning models status`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if done.endpoint_left:
        terminal.warn(f"the endpoint `{done.endpoint_left}` stays: it holds deployments that were not made from here")
    if json:
        terminal.json(stop_record(plan, done.record))
        return
    terminal.say(
        f"{name} is {'stopped, and kept' if keep else 'gone'}. It saves {money(plan.saves_cents_per_hour)} an hour."
    )
    if keep:
        terminal.hint(f"start it again: `reasoning models deploy {target}`")


@app.command("list")
def list_models(
    ctx: typer.Context, fmt: FormatOption = Format.TABLE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """The slots and what we deployed, as last seen; asks nobody, so it is fast."""
    from reasoning_cli.commands.model_views import list_columns
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    statuses = _statuses(session, None)
    listing = Listing(list_columns(session.now()), statuses, id=lambda one: one.name)
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet)


@app.command()
def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again until Ctrl-C.")] = False,
    interval: Annotated[str, typer.Option(metavar="5s", help="How often to look.")] = "5s",
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What runs now, what it costs, and how long the budget lasts. Looks at Together first."""
    from reasoning_cli.commands.cost_views import spent_line
    from reasoning_cli.commands.model_views import status_columns
    from reasoning_cli.operations.budget import standing
    from reasoning_cli.operations.status import refresh
    from reasoning_cli.terminal.listing import Listing, to_json_lines
    from reasoning_cli.terminal.progress import watching
    from reasoning_cli.terminal.units import iso, moment

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    pause = typed(parse_duration, interval, "--interval 5s").total_seconds()
    if not watch:
        at = refresh(session.client, session.store)
        listing = Listing(status_columns(at), _statuses(session, at), id=lambda one: one.name)
        terminal.show(listing, chosen, quiet=quiet)
        if chosen is Format.TABLE and not quiet:
            terminal.print()
            terminal.say(spent_line(standing(session.store, session.limits, at)))
        return
    if chosen not in (Format.TABLE, Format.JSONL):
        raise UsageError(f"--watch cannot write {chosen}", "use --format table or --format jsonl")
    with watching(terminal) as show:
        while True:
            at = refresh(session.client, session.store)
            statuses = _statuses(session, at)
            listing = Listing(status_columns(at), statuses, id=lambda one: one.name)
            if chosen is Format.JSONL:
                terminal.print(to_json_lines([{"at": iso(at), **record} for record in listing.records()]))
            else:
                spent = spent_line(standing(session.store, session.limits, at))
                show([moment(at), *terminal.table_lines(listing), "", spent])
            session.sleep(pause)


@app.command()
def enable(ctx: typer.Context, model_type: TypeArgument) -> None:
    """Let decisions of a type go to its model."""
    _switch(session_of(ctx), model_type, on=True)


@app.command()
def disable(ctx: typer.Context, model_type: TypeArgument) -> None:
    """Send decisions of a type to the original provider. The model goes on running, and costing."""
    _switch(session_of(ctx), model_type, on=False)


def _switch(session: Session, text: str, *, on: bool) -> None:
    from reasoning_cli.terminal.units import money

    model_type = parse_model_type(text)
    setting = s.ENABLED[model_type]
    s.write_setting(session.settings.paths, setting, "true" if on else "false")
    name = spell_model_type(model_type)
    session.terminal.say(f"{name} is {'enabled' if on else 'disabled'}.")
    if (hiding := s.overrides(session.settings, setting)) is not None:
        session.terminal.warn(f"{hiding} says otherwise, and wins over the settings file")
    now = next(one for one in _statuses(session, None) if one.model_type == model_type)
    if on and now.record is None:
        session.terminal.hint(f"no model serves it yet: `reasoning models deploy {name}`")
    if not on and now.burn_cents_per_hour:
        session.terminal.hint(
            f"it still costs {money(now.burn_cents_per_hour)} an hour; stop it: `reasoning models undeploy {name}`"
        )


def _statuses(session: Session, at: datetime | None) -> list[ModelStatus]:
    from reasoning_cli.operations.status import model_statuses

    return model_statuses(session.store, session.models, session.enabled, at or session.now())


def _idle_minutes(session: Session, text: str | None) -> int:
    if text is None:
        return session.settings.get(s.IDLE_MINUTES)
    return typed(parse_idle_minutes, text, "--idle-minutes 0, or 30 to 1440")


def _timeout(session: Session, text: str | None) -> timedelta:
    if text is None:
        return timedelta(minutes=session.settings.get(s.READY_TIMEOUT))
    return typed(parse_duration, text, "--timeout 30m")


def _waiting(session: Session, timeout: timedelta, tell: Callable[[Progress], None]) -> Waiting:
    from reasoning_cli.operations.deploying import Waiting

    return Waiting(session.poll_seconds, timeout, session.sleep, tell)


def _remember(session: Session, *names: str) -> None:
    """What TAB offers from now on: the models set, what is deployed, and `names`."""
    from reasoning_cli.store.deployments import Deployments

    records = Deployments(session.store).live()
    deployed = [name for record in records for name in (record.endpoint_name, record.model_name)]
    remember_names(session.settings.paths, [*session.models.values(), *deployed, *names])
