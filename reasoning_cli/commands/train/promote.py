"""`train promote` and `train rollback`: into the slot by steps, behind a gate, and back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_names
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.model_options import (
    ServerOption,
    TimeoutOption,
    TypeArgument,
    parse_steps,
    read_timeout,
    wait_options,
)
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, KeepOption, YesOption, typed
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.train._promote_local import (
    head_of_run,
    promote_head,
    promote_on_server,
    roll_local_back,
)
from reasoning_cli.errors import ExitCode, ReasoningError, UsageError
from reasoning_cli.values import Mode, is_head, parse_duration, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.promote.context import PromotionContext
    from reasoning_cli.operations.promote.guardrails import Look
    from reasoning_cli.operations.promote.plan import PromoteRequest, PromotionPlan
    from reasoning_cli.store.promote.promotions import Promotion
    from reasoning_cli.terminal.progress import Waiting

GateOption = Annotated[
    Path | None, typer.Option("--gate", metavar="FILE", help="A TOML file with rules in the place of the defaults.")
]


def promote(
    ctx: typer.Context,
    model_type: TypeArgument,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="MODEL|RUN|JOB",
            help="The model; default: the canary, else of the newest training run, else the slot's.",
            autocompletion=complete_names,
        ),
    ] = None,
    server: ServerOption = None,
    gate: GateOption = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="10,50,100", help="Its shares of the users, in percent.")
    ] = None,
    hold: Annotated[
        int | None, typer.Option("--hold-decisions", metavar="N", min=1, help="Its decisions in each step; 50.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option("--interval", metavar="30m", help="How long a step lasts at least.")
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option("--mode", help="Begin as a shadow, with the first step (canary), or with everything (live)."),
    ] = Mode.SHADOW,
    keep: KeepOption = False,
    force: Annotated[bool, typer.Option("--force", help="Go on against the gate; who did is kept.")] = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Let a model take over a slot, if it passes the gate: as a shadow first, then a share, then all.

    While it is rolled out it is watched, and goes back by itself when it breaks. Typed again, it goes on. The guard
    goes on with it when this command is gone.
    """
    from reasoning_cli.commands.train._promote_views import promise_lines, show_going_on
    from reasoning_cli.operations.promote.controller import in_hand
    from reasoning_cli.operations.promote.own_server import goes_to_own_server
    from reasoning_cli.store.promote.promotions import WATCHED, Promotions

    session, chosen = session_of(ctx), parse_model_type(model_type)
    to = head_of_run(session, chosen, to)
    request = _request(chosen, to, steps, hold, interval, mode, keep)
    limit = read_timeout(session, timeout)
    going = Promotions(session.store).going(chosen)
    if is_head(to or (going.model if going is not None else None)):
        promote_head(session, request, gate, going, force=force, yes=yes, dry_run=dry_run, json=json)
        return
    if goes_to_own_server(session.settings, chosen, going, server):
        promote_on_server(session, request, gate, going, server, force=force, yes=yes, dry_run=dry_run, json=json)
        return
    if dry_run:
        if going is not None and going.stage in WATCHED:
            _refuse_another(session, request, going)
            show_going_on(session.terminal, going, json=json)
        else:
            _begin(session, request, gate, limit, going, force=force, yes=yes, dry_run=True, json=json)
        return
    with in_hand(session.store, chosen) as mine:
        if not mine:
            raise ReasoningError(
                f"another process has the promotion of {spell_model_type(chosen)} in hand",
                f"`reasoning train history {spell_model_type(chosen)}` shows how far it is",
            )
        going = Promotions(session.store).going(chosen)
        if going is not None and going.stage in WATCHED:
            _refuse_another(session, request, going)
            session.terminal.note(f"Going on with the promotion of {going.model}, begun by {going.by}.")
            for line in promise_lines(going):
                session.terminal.note(line)
            promotion: Promotion | None = going
        else:
            promotion = _begin(session, request, gate, limit, going, force=force, yes=yes, dry_run=False, json=json)
        if promotion is not None:
            _watch(session, promotion, limit, json=json)


def rollback(
    ctx: typer.Context,
    model_type: TypeArgument,
    keep: KeepOption = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Go back to what answered before the last promotion: its model and its mode, or the original."""
    from reasoning_cli.commands.train._promote_views import back_facts, promotion_record, sent_back_lines
    from reasoning_cli.operations.promote.controller import moves_of
    from reasoning_cli.operations.promote.rollback import plan_back, run_back
    from reasoning_cli.store.promote.promotions import Promotions
    from reasoning_cli.terminal.progress import waiting

    session, chosen = session_of(ctx), parse_model_type(model_type)
    limit = read_timeout(session, timeout)
    terminal, name = session.terminal, spell_model_type(chosen)
    latest = Promotions(session.store).latest(chosen)
    if latest is not None and (moves := moves_of(latest)) is not None:
        roll_local_back(session, moves, latest, yes=yes, dry_run=dry_run, json=json)
        return
    plan = plan_back(session.client, session.store, session.limits, chosen)
    if dry_run:
        show_dry_run(terminal, back_facts(plan), promotion_record(plan.promotion), json=json)
        return
    ask_about(terminal, back_facts(plan), "Go back?", yes=yes)
    with waiting(terminal, f"going back in {name}"):
        done = run_back(_promotion_context(session, limit), plan, keep_loser=keep)
    if json:
        terminal.json(promotion_record(done))
        return
    for line in sent_back_lines(done, plan.back_to):
        terminal.say(line)


def _request(
    model_type: str,
    to: str | None,
    steps: str | None,
    hold: int | None,
    interval: str | None,
    mode: Mode,
    keep_loser: bool,
) -> PromoteRequest:
    from reasoning_cli.operations.promote.plan import HOLD, SHADOW_SHARE, STEPS, PromoteRequest

    if mode is Mode.LIVE and steps is not None:
        raise UsageError("--mode live has no steps", "leave --steps away")
    shares = typed(parse_steps, steps, "--steps 10,50,100") if steps is not None else STEPS
    if mode is Mode.LIVE:
        shares = (100,)
    elif mode is Mode.SHADOW and shares[:1] != (SHADOW_SHARE,):
        shares = (SHADOW_SHARE, *shares)
    pause = typed(parse_duration, interval, "--interval 30m") if interval is not None else timedelta()
    return PromoteRequest(model_type, to, shares, HOLD if hold is None else hold, pause, keep_loser)


def _begin(
    session: Session,
    request: PromoteRequest,
    gate_file: Path | None,
    limit: timedelta,
    going: Promotion | None,
    *,
    force: bool,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> Promotion | None:
    """Plan it, hold it against the gate, ask, and bring the model in; None where this was a dry run."""
    from reasoning_cli.commands.train._promote_views import criteria_lines, plan_facts, plan_record
    from reasoning_cli.operations.promote.controller import begin, bring_in
    from reasoning_cli.operations.promote.gate import refusal
    from reasoning_cli.store.audit_log import current_user
    from reasoning_cli.terminal.progress import waiting

    terminal, name = session.terminal, spell_model_type(request.model_type)
    plan = _plan(session, request, gate_file, going, dry_run=dry_run)
    refused = None if going is not None else refusal(list(plan.criteria), plan.candidate.name, name)
    if dry_run:
        if not json:
            for line in criteria_lines(plan.criteria, terminal.width):
                terminal.say(line)
        show_dry_run(terminal, plan_facts(plan), plan_record(plan), json=json)
        if refused is not None and not force:
            raise refused
        if plan.deploy is not None and plan.deploy.refusal is not None:
            raise plan.deploy.refusal
        return None
    if going is None or not yes:
        for line in criteria_lines(plan.criteria, terminal.width):
            terminal.note(line)
    if refused is not None and not force:
        raise refused
    if refused is not None:
        terminal.warn(f"the gate does not hold; {current_user()} goes on, and that is kept")
    ask_about(terminal, plan_facts(plan), "Promote it?", yes=yes)
    context = _promotion_context(session, limit)
    promotion = going or begin(context, plan, by=current_user(), forced=force)
    try:
        with waiting(terminal, f"bringing {plan.candidate.name} in") as shown:
            return bring_in(_promotion_context(session, limit, shown), promotion, plan)
    except KeyboardInterrupt:
        terminal.note("Interrupted: the model may be coming up, and costs money then; no agent has been given it.")
        terminal.hint(f"go on: `reasoning train promote {name}`; or give it up: `reasoning train rollback {name}`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _plan(
    session: Session, request: PromoteRequest, gate_file: Path | None, going: Promotion | None, *, dry_run: bool
) -> PromotionPlan:
    """The plan with its gate; of one that broke off before the model was in, the same again."""
    from dataclasses import replace

    from reasoning_cli import settings as s
    from reasoning_cli.operations.deploy.status import refresh
    from reasoning_cli.operations.evaluate.gate_rules import read_gate
    from reasoning_cli.operations.promote.evidence import find_evidence
    from reasoning_cli.operations.promote.gate import judge, rules_of_watch
    from reasoning_cli.operations.promote.plan import answering, find_candidate, plan_promotion
    from reasoning_cli.operations.promote.transitions import gate_of, percents
    from reasoning_cli.store.deploy.deployments import Deployments

    store, settings, model_type = session.store, session.settings, request.model_type
    if not session.is_without_together:
        refresh(session.client, store)  # what is stopped by now answers nobody
    gate = read_gate(gate_file, model_type)
    if going is not None:
        _refuse_another(session, request, going)
        record = Deployments(store).get(going.model_key) if going.model_key else None
        again = record.deployment_name if record is not None else str(going.run or going.model)
        stored = going.plan
        request = replace(
            request,
            to=again,
            steps=tuple(percents(going)),
            hold=int(str(stored["hold"])),
            interval=timedelta(seconds=float(str(stored["interval_seconds"]))),
            keep_loser=bool(stored["keep_loser"]),
        )
        gate = gate_of(going)
    candidate = find_candidate(store, request)
    old = answering(store, settings, model_type, candidate)
    evidence = find_evidence(store, model_type, candidate, old, gate, session.now())
    deadline = settings.get(s.DEADLINE_MS[model_type])
    first = ""
    if candidate.record is None:
        beside = " --canary 0" if old is not None else ""
        deploy = f"reasoning models deploy {candidate.target} --as {spell_model_type(model_type)}{beside}"
        first = f"bring it up: `{deploy}`; then "
    criteria = judge(gate, evidence, model_type, candidate.name, deadline, session.now(), first=first)
    idle = session.idle_by_type.get(model_type, settings.get(s.IDLE_MINUTES))
    return plan_promotion(
        session.client,
        store,
        settings,
        session.limits_of(dry_run=dry_run),
        request,
        candidate,
        gate if going is not None else rules_of_watch(gate, evidence),
        criteria,
        evaluation=evidence.evaluation,
        models=session.models,
        idle_minutes=idle,
    )


def _refuse_another(session: Session, request: PromoteRequest, going: Promotion) -> None:
    from reasoning_cli.operations.promote.plan import refuse_another

    refuse_another(session.store, request, going)


def _promotion_context(session: Session, limit: timedelta, shown: Waiting | None = None) -> PromotionContext:
    from reasoning_cli.operations.deploy.wait import Progress
    from reasoning_cli.operations.promote.context import PromotionContext
    from reasoning_cli.terminal.units import clock_duration

    def notify(progress: Progress) -> None:
        if shown is not None:
            record = progress.record
            shown.show(f"{record.model_name}: {progress.state.lower()}", clock_duration(progress.elapsed))

    def settings_now() -> s.Settings:
        session.read_settings_again()
        return session.settings

    return PromotionContext(
        session.client,
        session.store,
        settings_now,
        session.now,
        wait_options(session, limit, notify),
    )


def _watch(session: Session, promotion: Promotion, limit: timedelta, *, json: bool) -> None:
    """Look until it is over, and say how it ended; sent back is exit 1."""
    from reasoning_cli.commands.train._promote_views import look_line, promotion_record
    from reasoning_cli.operations.guard.lock import find_guard
    from reasoning_cli.operations.promote.controller import run_watch
    from reasoning_cli.terminal.progress import waiting

    terminal, name = session.terminal, spell_model_type(promotion.model_type)
    guard = find_guard(session.settings.database(), session.store)
    if guard is None or not guard.running:
        budget = session.settings.get(s.BUDGET_LIMIT)
        unheld = "" if budget is None else f", and nothing stops what runs at the budget of ${budget:,.2f}"
        terminal.note(
            f"No guard runs: when this command is gone, nobody watches{unheld}. `reasoning costs guard` would."
        )
    try:
        with waiting(terminal, f"watching {promotion.model}") as shown:

            def notify(seen: Look) -> None:
                if seen.message is not None and seen.promotion.stage != "promoted":
                    with shown.paused():
                        terminal.note(f"{seen.message}.")
                shown.show(*look_line(seen))

            done = run_watch(_promotion_context(session, limit, shown), promotion, notify).promotion
    except KeyboardInterrupt:
        from reasoning_cli.operations.promote.transitions import percents, step_text
        from reasoning_cli.store.promote.promotions import Promotions

        now = Promotions(session.store).get(promotion.number) or promotion
        where = step_text(percents(now)[now.step])
        watches = "The guard watches on." if guard is not None and guard.running else "Nobody watches it now."
        terminal.note(f"Stopped watching. {now.model} stays at {where}. {watches}")
        terminal.hint(f"go on: `reasoning train promote {name}`; send it back: `reasoning train rollback {name}`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if json:
        terminal.json(promotion_record(done))
    if done.stage != "promoted":
        raise ReasoningError(
            f"`{done.model}` was not promoted: {done.why}", f"`reasoning train history {name}` keeps why"
        )
    if not json:
        terminal.say(f"{done.model} answers {name}.")
        terminal.hint(f"go back: `reasoning train rollback {name}`")
