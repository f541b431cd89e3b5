"""What `train promote` and `train rollback` do with a head, and with a model on the operator's own server: both come in
by the settings alone, without a key and without a bill of Together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.errors import ExitCode
from reasoning_cli.values import is_head, spell_model_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from reasoning_cli.operations.promote.own_server import ServerPlan
    from reasoning_cli.operations.promote.plan import PromoteRequest
    from reasoning_cli.operations.promote.stepping import LocalContext, LocalPlan, Moves
    from reasoning_cli.store.promote.promotions import Promotion

_LOOK_SECONDS = 2.0
_LOOKS_IN_VAIN = 5  # after which somebody is told who would have to ask it
_Facts = list[tuple[str, str]]


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
    from dataclasses import replace

    from reasoning_cli.operations.evaluate.gate_rules import read_gate
    from reasoning_cli.operations.promote.head import HEAD_MOVES, plan_head, plan_record

    plan = None
    if going is None or dry_run:
        meant = request if going is None else replace(request, to=going.model)
        gate = read_gate(gate_file, request.model_type)
        plan = plan_head(session.store, session.settings, meant, gate, session.now())
    shares = plan and _shares(plan)
    facts = plan and [
        ("head", plan.model),
        ("steps", f"{shares}; {plan.request.hold} of its decisions each"),
        ("price", "nothing: it runs in the gateway"),
    ]
    agreed = _Agreed(force=force, yes=yes, dry_run=dry_run, json=json)
    record = plan and plan_record(plan)
    _promote(session, HEAD_MOVES, request, going, plan, facts or [], record or {}, agreed)


def promote_on_server(
    session: Session,
    request: PromoteRequest,
    gate_file: Path | None,
    going: Promotion | None,
    url: str | None,
    *,
    force: bool,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """The same with a model that the operator's own server, or another one at `url`, serves."""
    from dataclasses import replace

    from reasoning_cli.operations.evaluate.gate_rules import read_gate
    from reasoning_cli.operations.promote.own_server import SERVER_MOVES, plan_record, plan_server, try_candidate
    from reasoning_cli.terminal.progress import waiting

    plan = None
    if going is None:
        gate = read_gate(gate_file, request.model_type)
        plan = plan_server(session.store, session.settings, request, gate, session.now(), url=url)
    elif url is not None and going.server != url.rstrip("/"):
        request = replace(request, to=request.to or f"a model of {url}")

    def before_it_begins() -> None:
        if plan is not None:
            with waiting(session.terminal, f"asking {plan.model} a decision"):
                try_candidate(session.store, plan)

    agreed = _Agreed(force=force, yes=yes, dry_run=dry_run, json=json)
    facts, record = (_server_facts(plan), plan_record(plan)) if plan is not None else ([], {})
    _promote(session, SERVER_MOVES, request, going, plan, facts, record, agreed, before_it_begins)


class _Agreed:
    """What was typed about how to go on."""

    def __init__(self, *, force: bool, yes: bool, dry_run: bool, json: bool) -> None:
        self.force, self.yes, self.dry_run, self.json = force, yes, dry_run, json


def _promote(
    session: Session,
    moves: Moves,
    request: PromoteRequest,
    going: Promotion | None,
    plan: LocalPlan | None,
    facts: _Facts,
    record: dict[str, object],
    agreed: _Agreed,
    before_it_begins: Callable[[], None] = lambda: None,
) -> None:
    """Hold a plan against the gate, ask, begin and watch; or go on with the promotion under way."""
    from reasoning_cli.commands.train._promote_views import show_going_on
    from reasoning_cli.errors import ReasoningError
    from reasoning_cli.operations.promote.controller import in_hand
    from reasoning_cli.operations.promote.stepping import another_goes, begin
    from reasoning_cli.store.audit_log import current_user

    terminal, context, name = session.terminal, _context(session), spell_model_type(request.model_type)
    if going is not None and request.to not in (None, going.model, str(going.run)):
        raise another_goes(going)
    if going is not None and agreed.dry_run and plan is None:
        show_going_on(terminal, going, json=agreed.json)
        return
    if going is not None and not agreed.dry_run:
        terminal.note(f"Going on with the promotion of {going.model}, begun by {going.by}.")
    elif plan is not None and not _is_agreed(session, plan, facts, record, agreed):
        return
    with in_hand(session.store, request.model_type) as mine:
        if not mine:
            raise ReasoningError(
                f"another process has the promotion of {name} in hand",
                f"`reasoning train history {name}` shows how far it is",
            )
        if going is None:
            assert plan is not None
            before_it_begins()
            going = begin(context, moves, plan, by=current_user(), forced=agreed.force)
        _watch(session, context, moves, going, json=agreed.json)


def roll_local_back(session: Session, moves: Moves, latest: Promotion, *, yes: bool, dry_run: bool, json: bool) -> None:
    """Put back what was before the head, or the model of a server, came in."""
    from reasoning_cli.commands.train._promote_views import promotion_record
    from reasoning_cli.operations.promote.own_server import back_to, refuse_back
    from reasoning_cli.operations.promote.stepping import roll_back
    from reasoning_cli.store.audit_log import current_user

    refuse_back(latest)
    head = is_head(latest.model)
    facts = [
        ("back to", "the line as it was" if head else back_to(latest)),
        ("away", f"{latest.model} answers no more"),
    ]
    if dry_run:
        show_dry_run(session.terminal, facts, promotion_record(latest), json=json)
        return
    ask_about(session.terminal, facts, "Go back?", yes=yes)
    done = roll_back(_context(session), moves, latest, current_user())
    if json:
        session.terminal.json(promotion_record(done))
        return
    where = "is out of its line" if head else f"is out: {back_to(done)} answers {spell_model_type(done.model_type)}"
    session.terminal.say(f"{done.model} {where}. A gateway that runs follows within a second.")


def _context(session: Session) -> LocalContext:
    from reasoning_cli.operations.promote.stepping import LocalContext
    from reasoning_cli.settings import Settings

    def settings_now() -> Settings:
        session.read_settings_again()
        return session.settings

    return LocalContext(session.store, settings_now, session.now)


def _is_agreed(session: Session, plan: LocalPlan, facts: _Facts, record: dict[str, object], agreed: _Agreed) -> bool:
    """Hold it against the gate, and ask; False after a dry run. Raises what the gate refuses."""
    from reasoning_cli.commands.train._promote_views import criteria_lines
    from reasoning_cli.operations.promote.gate import refusal

    terminal = session.terminal
    refused = refusal(list(plan.criteria), plan.model, spell_model_type(plan.request.model_type))
    if not agreed.json:
        for line in criteria_lines(plan.criteria, terminal.width):
            terminal.note(line)
    if agreed.dry_run:
        show_dry_run(terminal, facts, record, json=agreed.json)
    if refused is not None and not agreed.force:
        raise refused
    if agreed.dry_run:
        return False
    if refused is not None:
        terminal.warn("the gate does not hold; you go on, and that is kept")
    ask_about(terminal, facts, "Promote it?", yes=agreed.yes)
    return True


def _shares(plan: LocalPlan) -> str:
    from reasoning_cli.operations.promote.transitions import step_text

    return ", ".join(step_text(step) for step in plan.request.steps)


def _server_facts(plan: ServerPlan) -> _Facts:
    """A promotion as a person decides on it."""
    from reasoning_cli.commands.train._promote_views import promise_text
    from reasoning_cli.operations.promote.guardrails import promise
    from reasoning_cli.terminal.units import counted, duration

    request = plan.request
    for_long = f"{counted(request.hold, 'decision')} of it"
    if request.interval:
        for_long += f" and {duration(request.interval)}"
    run = f", of training run {plan.run.number}" if plan.run is not None else ""
    end = f"{plan.old} is asked no more; it stays loaded at its server" if plan.old else "the original answers no more"
    return [
        ("promote", f"{plan.model}  to  {spell_model_type(request.model_type)}{run}"),
        ("server", plan.server.place),
        ("now", f"{plan.old or 'the original'} answers"),
        ("steps", f"{_shares(plan)}; each for {for_long}"),
        ("back", promise_text(promise(plan.gate, len(request.steps), request.hold), request.hold)),
        ("asked in", f"the {plan.form} form of prompts"),
        ("at the end", end),
        ("price", "nothing more here: its server runs already"),
    ]


def _watch(session: Session, context: LocalContext, moves: Moves, promotion: Promotion, *, json: bool) -> None:
    """Look until it is over, and say how it ended; sent back is exit 1."""
    from reasoning_cli.commands.train._promote_views import look_line, promotion_record
    from reasoning_cli.operations.promote.stepping import look
    from reasoning_cli.terminal.progress import waiting

    terminal, name = session.terminal, spell_model_type(promotion.model_type)
    looks_in_vain = 0
    try:
        with waiting(terminal, f"watching {promotion.model}") as shown:
            while promotion.finished_at is None:
                seen = look(context, moves, promotion)
                promotion = seen.promotion
                looks_in_vain += seen.seen is not None and not seen.seen.asked
                if looks_in_vain == _LOOKS_IN_VAIN:
                    with shown.paused():
                        terminal.hint(
                            "nothing has asked it yet: does the gateway of this home run, and do its agents ask it?"
                            " `reasoning gateway status`; Ctrl-C leaves it where it is"
                        )
                if seen.message is not None and promotion.stage != "promoted":
                    with shown.paused():
                        terminal.note(f"{seen.message}.")
                shown.show(*look_line(seen))
                if promotion.finished_at is None:
                    session.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        terminal.note(f"Interrupted: {promotion.model} stays where it is; nobody watches it now.")
        terminal.hint(
            f"go on: `reasoning train promote {name}`; send it back: `reasoning train rollback {name}`; the guard goes"
            " on too: `reasoning costs guard`"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if json:
        terminal.json(promotion_record(promotion))
    elif promotion.stage == "promoted":
        terminal.say(f"{moves.done(promotion)}: {promotion.why}.")
        terminal.hint(f"go back: `reasoning train rollback {name}`")
    else:
        terminal.say(f"{promotion.model} is out of {moves.place} of {name}: {promotion.why}.")
    if promotion.stage != "promoted":
        raise typer.Exit(ExitCode.FAILED)
