"""The steps of a promotion that is in the settings alone: nothing is brought up, and nothing is asked of an account.

What was agreed to is on record before a setting is written, and whoever looks next goes on from there: the command that
began it, the same command after a crash, or the guard. What each kind of model does at a step is its `Moves`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from reasoning_cli import settings as s
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.promote.gate import Criterion
from reasoning_cli.operations.promote.guardrails import Look, may_go_on, watch
from reasoning_cli.operations.promote.plan import SHADOW_SHARE, PromoteRequest
from reasoning_cli.operations.promote.transitions import criterion_record, gate_of, percents, step_text
from reasoning_cli.settings import Settings
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.serving.online_answers import live_answers
from reasoning_cli.store.train.runs import TrainingRun
from reasoning_cli.values import Mode, spell_model_type


@dataclass(frozen=True)
class LocalContext:
    """What such a promotion is carried out with. `settings` reads them anew; `actor` is who does it, for the events."""

    store: Store
    settings: Callable[[], Settings]
    now: Callable[[], datetime]
    actor: str = "operator"


@dataclass(frozen=True)
class LocalPlan:
    """What will be done. `before` are the settings as they were, None for those that nobody had set; `details` is what
    its `Moves` need beside that."""

    request: PromoteRequest
    model: str
    run: TrainingRun | None
    gate: Gate
    criteria: Sequence[Criterion]
    evaluation: int | None
    before: dict[str, str | None]
    details: Mapping[str, object] = field(default_factory=dict)


class Moves(Protocol):
    """What a kind of model does at each step. Everything may be done again."""

    place: str  # what it comes into

    def apply(self, context: LocalContext, promotion: Promotion, mode: Mode, share: int | None) -> None:
        """Bring the settings to what a step wants; `share` is a canary's."""

    def changed(self, context: LocalContext, promotion: Promotion, mode: Mode, share: int | None) -> str | None:
        """What somebody else changed since that, in words."""

    def taken_out(self, context: LocalContext, promotion: Promotion) -> str | None:
        """Why it has to go whatever the watch has seen, or None."""

    def settle(self, context: LocalContext, promotion: Promotion) -> None:
        """The last step held: the place is its own."""

    def restore(self, context: LocalContext, promotion: Promotion) -> None:
        """Put back what was before, whether it came in or is on its way."""

    def done(self, promotion: Promotion) -> str:
        """That it is in, in words."""


def begin(context: LocalContext, moves: Moves, plan: LocalPlan, *, by: str, forced: bool) -> Promotion:
    """Put on record what was agreed to, then begin with the first share."""
    failed, model_type = [rule for rule in plan.criteria if rule.passed is False], plan.request.model_type
    promotion = Promotions(context.store).begin(
        model_type,
        plan.model,
        by=by,
        at=context.now(),
        plan={
            "steps": list(plan.request.steps),
            "hold": plan.request.hold,
            "interval_seconds": plan.request.interval.total_seconds(),
            "gate": vars(plan.gate),
            **plan.details,
        },
        before=plan.before,
        gate=[criterion_record(criterion) for criterion in plan.criteria],
        run=plan.run.number if plan.run is not None else None,
        evaluation=plan.evaluation,
        forced_by=by if forced and failed else None,
    )
    if promotion.model != plan.model:
        raise another_goes(promotion)
    _note(context, promotion, "promote", {"forced": True} if promotion.forced_by else {})
    return enter(context, moves, promotion, 0)


def another_goes(promotion: Promotion) -> ReasoningError:
    """That another model is on its way in."""
    name = spell_model_type(promotion.model_type)
    return ReasoningError(
        f"`{promotion.model}` is on its way into {name}",
        f"go on with it: `reasoning train promote {name}`, or `reasoning train rollback {name}`",
    )


def enter(context: LocalContext, moves: Moves, promotion: Promotion, step: int) -> Promotion:
    """Begin with a share: first on record, so that whoever comes next sees what was wanted."""
    promotion = Promotions(context.store).update(
        promotion.number, at=context.now(), stage="watching", step=step, step_at=None
    )
    return _applied(context, moves, promotion)


def _applied(context: LocalContext, moves: Moves, promotion: Promotion) -> Promotion:
    """The promotion with its step begun, as of now. May be done again."""
    moves.apply(context, promotion, *_wanted(promotion))
    promotion = Promotions(context.store).update(promotion.number, at=context.now(), step_at=context.now())
    _note(context, promotion, "promote_step", {"percent": percents(promotion)[promotion.step]})
    return promotion


def _wanted(promotion: Promotion) -> tuple[Mode, int | None]:
    """The mode of a promotion's step, and a canary's share."""
    percent = percents(promotion)[promotion.step]
    if percent == SHADOW_SHARE:
        return Mode.SHADOW, None
    return (Mode.CANARY, percent) if percent < 100 else (Mode.LIVE, None)


def look(context: LocalContext, moves: Moves, promotion: Promotion) -> Look:
    """Judge and act once; nobody else is asked."""
    found = Promotions(context.store).get(promotion.number)
    assert found is not None
    promotion = found
    if promotion.stage == "planned":
        return Look(enter(context, moves, promotion, 0))
    if promotion.stage == "returning":
        return Look(_returned(context, moves, promotion))
    if promotion.stage == "finishing":
        return _finished(context, moves, promotion)
    if promotion.stage != "watching":
        return Look(promotion)
    if promotion.step_at is None:  # what began this step broke off
        promotion = _applied(context, moves, promotion)
    if (changed := moves.changed(context, promotion, *_wanted(promotion))) is not None:
        return Look(_left(context, moves, promotion, changed), message=f"the promotion ends here: {changed}")
    gate, steps, now = gate_of(promotion), percents(promotion), context.now()
    assert promotion.step_at is not None
    answers = live_answers(context.store, promotion.model_type, promotion.step_at, now + timedelta(seconds=1))
    seen = watch((answer for answer in answers if answer.model == promotion.model), None, gate, len(steps))
    why = seen.broken or moves.taken_out(context, promotion)
    if why is not None:
        return replace(send_back(context, moves, promotion, why), seen=seen)
    hold, interval = int(str(promotion.plan["hold"])), float(str(promotion.plan["interval_seconds"]))
    if not may_go_on(seen, hold, promotion.step_at, now, interval):
        return Look(promotion, seen)
    if promotion.step + 1 < len(steps):
        promotion = enter(context, moves, promotion, promotion.step + 1)
        return Look(promotion, seen, f"{promotion.model} goes on to {step_text(steps[promotion.step])}")
    promotion = Promotions(context.store).update(promotion.number, at=now, stage="finishing")
    return replace(_finished(context, moves, promotion), seen=seen)


def _finished(context: LocalContext, moves: Moves, promotion: Promotion) -> Look:
    moves.settle(context, promotion)
    now, why = context.now(), "it passed its gate and held in every step"
    if promotion.forced_by:
        why = f"{promotion.forced_by} went on against the gate; it held in every step"
    promotion = Promotions(context.store).update(
        promotion.number, at=now, stage="promoted", finished_at=now, why=promotion.why or why
    )
    _note(context, promotion, "promoted", {})
    return Look(promotion, message=moves.done(promotion))


def send_back(context: LocalContext, moves: Moves, promotion: Promotion, why: str) -> Look:
    """Take it out again, and put back what was before."""
    promotion = Promotions(context.store).update(promotion.number, at=context.now(), stage="returning", why=why)
    _note(context, promotion, "send_back", {"why": why})
    return Look(_returned(context, moves, promotion), message=f"{promotion.model} goes back: {why}")


def roll_back(context: LocalContext, moves: Moves, promotion: Promotion, by: str) -> Promotion:
    """Go back to what was before a promotion, whether that is over or on its way."""
    if promotion.finished_at is None:
        return send_back(context, moves, promotion, f"{by} sent it back").promotion
    moves.restore(context, promotion)
    _note(context, promotion, "roll_back", {})
    return Promotions(context.store).update(promotion.number, at=context.now(), rolled_back_at=context.now())


def _returned(context: LocalContext, moves: Moves, promotion: Promotion) -> Promotion:
    moves.restore(context, promotion)
    now = context.now()
    return Promotions(context.store).update(promotion.number, at=now, stage="returned", finished_at=now)


def _left(context: LocalContext, moves: Moves, promotion: Promotion, changed: str) -> Promotion:
    now, why = context.now(), f"{moves.place} was changed meanwhile: {changed}"
    _note(context, promotion, "leave_promotion", {"why": why})
    return Promotions(context.store).update(promotion.number, at=now, stage="left", finished_at=now, why=why)


def write_texts(context: LocalContext, texts: Mapping[s.Setting[object], str | None]) -> None:
    """Write settings, all or none; None for what is to be as if nobody had set it."""
    s.write_settings(context.settings().paths, {setting.name: text for setting, text in texts.items()})


def texts_before(promotion: Promotion) -> dict[str, str | None]:
    """The settings as they were before a promotion, by name."""
    return {str(name): None if text is None else str(text) for name, text in promotion.before.items()}


def _note(context: LocalContext, promotion: Promotion, action: str, detail: dict[str, object]) -> None:
    every = {"model": promotion.model, "promotion": promotion.number} | detail
    Events(context.store).add(Event(context.now(), context.actor, action, promotion.model_type, every))
