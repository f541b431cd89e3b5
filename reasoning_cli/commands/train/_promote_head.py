"""What `train promote` and `train rollback` do with a head: it goes into its line without key, network and cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.errors import ExitCode, NotFoundError, ReasoningError
from reasoning_cli.values import is_head

if TYPE_CHECKING:
    from reasoning_cli.operations.promote.head import HeadContext, HeadPlan
    from reasoning_cli.operations.promote.plan import PromoteRequest
    from reasoning_cli.store.promote.promotions import Promotion

_LOOK_SECONDS = 2.0


def head_of_run(session: Session, model_type: str, to: str | None) -> str | None:
    """The head's name where the number of the run that made it was typed; else what was typed."""
    from reasoning_cli.store.train.runs import TrainingRuns

    if to is None or not to.isdecimal():
        return to
    run = TrainingRuns(session.store).get(int(to))
    return run.model_name if run is not None and run.model_type == model_type and is_head(run.model_name) else to


def promote_head(
    session: Session,
    request: PromoteRequest,
    gate_file: Path | None,
    going: Promotion | None,
    *,
    force: bool,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Bring a head in by steps, behind the gate, and watch it; typed again, go on."""
    from reasoning_cli.operations.promote.controller import in_hand
    from reasoning_cli.operations.promote.head import begin_head
    from reasoning_cli.store.audit_log import current_user

    terminal, context = session.terminal, _context(session)
    if going is not None and request.to not in (None, going.model):
        raise ReasoningError(
            f"`{going.model}` is on its way into should-respond",
            "go on with it: `reasoning train promote should-respond`; or `reasoning train rollback should-respond`",
        )
    if going is not None and not dry_run:
        terminal.note(f"Going on with the promotion of {going.model}, begun by {going.by}.")
    elif (plan := _plan(session, request, going, gate_file)) is not None and not _agreed(
        session, plan, force=force, yes=yes, dry_run=dry_run, json=json
    ):
        return
    with in_hand(session.store, request.model_type) as mine:
        if not mine:
            raise ReasoningError(
                "another process has the promotion of should-respond in hand",
                "`reasoning train history should-respond` shows how far it is",
            )
        if going is None:
            assert plan is not None
            going = begin_head(context, plan, by=current_user(), forced=force)
        _watch(session, context, going, json=json)


def roll_head_back(session: Session, latest: Promotion, *, yes: bool, dry_run: bool, json: bool) -> None:
    """Put back the line as it was before the head came in."""
    from reasoning_cli.commands.train._promote_views import promotion_record
    from reasoning_cli.operations.promote.head import roll_head_back as back
    from reasoning_cli.store.audit_log import current_user

    if latest.rolled_back_at is not None or (latest.finished_at is not None and latest.stage != "promoted"):
        raise NotFoundError(
            f"the last promotion to should-respond is {'taken back' if latest.rolled_back_at else latest.stage}",
            "`reasoning train history should-respond` shows what was",
        )
    facts = [("back to", "the line as it was"), ("away", f"{latest.model} answers no more")]
    if dry_run:
        show_dry_run(session.terminal, facts, promotion_record(latest), json=json)
        return
    ask_about(session.terminal, facts, "Go back?", yes=yes)
    done = back(_context(session), latest, current_user())
    if json:
        session.terminal.json(promotion_record(done))
        return
    session.terminal.say(f"{done.model} is out of its line. A gateway that runs follows within a second.")


def _context(session: Session) -> HeadContext:
    from reasoning_cli.operations.promote.head import HeadContext
    from reasoning_cli.settings import Settings

    def settings_now() -> Settings:
        session.read_settings_again()
        return session.settings

    return HeadContext(session.store, settings_now, session.now)


def _plan(session: Session, request: PromoteRequest, going: Promotion | None, gate_file: Path | None) -> HeadPlan:
    from dataclasses import replace

    from reasoning_cli.operations.evaluate.gate_rules import read_gate
    from reasoning_cli.operations.promote.head import plan_head

    if going is not None:
        request = replace(request, to=going.model)
    gate = read_gate(gate_file, request.model_type)
    return plan_head(session.store, session.settings, request, gate, session.now())


def _agreed(session: Session, plan: HeadPlan, *, force: bool, yes: bool, dry_run: bool, json: bool) -> bool:
    """Hold it against the gate, and ask; False after a dry run. Raises what the gate refuses."""
    from reasoning_cli.commands.train._promote_views import criteria_lines
    from reasoning_cli.operations.promote.gate import refusal
    from reasoning_cli.operations.promote.head import plan_record
    from reasoning_cli.operations.promote.transitions import step_text

    terminal = session.terminal
    refused = refusal(list(plan.criteria), plan.model, "should-respond")
    if not json:
        for line in criteria_lines(plan.criteria, terminal.width):
            terminal.note(line)
    shares = ", ".join(step_text(step) for step in plan.request.steps)
    facts = [
        ("head", plan.model),
        ("steps", f"{shares}; {plan.request.hold} of its decisions each"),
        ("price", "nothing: it runs in the gateway"),
    ]
    if dry_run:
        show_dry_run(terminal, facts, plan_record(plan), json=json)
    if refused is not None and not force:
        raise refused
    if dry_run:
        return False
    if refused is not None:
        terminal.warn("the gate does not hold; you go on, and that is kept")
    ask_about(terminal, facts, "Promote it?", yes=yes)
    return True


def _watch(session: Session, context: HeadContext, promotion: Promotion, *, json: bool) -> None:
    """Look until it is over, and say how it ended; sent back is exit 1."""
    from reasoning_cli.commands.train._promote_views import look_line, promotion_record
    from reasoning_cli.operations.promote.head import look_at_head
    from reasoning_cli.terminal.progress import waiting

    terminal = session.terminal
    try:
        with waiting(terminal, f"watching {promotion.model}") as shown:
            while promotion.finished_at is None:
                seen = look_at_head(context, promotion)
                promotion = seen.promotion
                if seen.message is not None:
                    with shown.paused():
                        terminal.note(f"{seen.message}.")
                shown.show(*look_line(seen))
                if promotion.finished_at is None:
                    session.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        terminal.note(f"Interrupted: {promotion.model} stays where it is; nobody watches it now.")
        terminal.hint("go on: `reasoning train promote should-respond`; the guard goes on too: `reasoning costs guard`")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if json:
        terminal.json(promotion_record(promotion))
    elif promotion.stage == "promoted":
        terminal.say(f"{promotion.model} answers what it is sure of: {promotion.why}.")
    else:
        terminal.say(f"{promotion.model} is out of its line: {promotion.why}.")
    if promotion.stage != "promoted":
        raise typer.Exit(ExitCode.FAILED)
