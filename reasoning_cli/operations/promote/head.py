"""A head's way into its line: behind the gate, as a shadow first, then for a share of the users, then for all.

It is in the settings alone: nothing is brought up, nothing costs money, nobody is asked. What was agreed to is on
record before a setting is written, and whoever looks next goes on from there, as with any other model. Once it answers
everybody its audits watch over it (`evaluate.head_watch`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reasoning_cli import settings as s
from reasoning_cli.errors import NotFoundError, ReasoningError
from reasoning_cli.operations.deploy.heads import disabling_head, enabling_head, head_path
from reasoning_cli.operations.deploy.slots import HEAD_PLACE, HEAD_TYPE
from reasoning_cli.operations.deploy.switch import Switch
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.promote.evidence import of_head
from reasoning_cli.operations.promote.gate import Criterion, judge
from reasoning_cli.operations.promote.guardrails import Look, may_go_on, watch
from reasoning_cli.operations.promote.plan import SHADOW_SHARE, PromoteRequest
from reasoning_cli.operations.promote.transitions import criterion_record, gate_of, percents, step_text
from reasoning_cli.settings import Settings
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.store.serving.online_answers import live_answers
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD_PREFIX, Mode

_SETTINGS: tuple[s.Setting[object], ...] = (s.LINE, s.HEAD, s.HEAD_MODE, s.HEAD_SHARE)


@dataclass(frozen=True)
class HeadContext:
    """What a head is promoted with. `settings` reads them anew; `actor` is who does it, for the events."""

    store: Store
    settings: Callable[[], Settings]
    now: Callable[[], datetime]
    actor: str = "operator"


@dataclass(frozen=True)
class HeadPlan:
    """What will be done. `before` are the settings as they were, None for those that nobody had set."""

    request: PromoteRequest
    model: str
    run: TrainingRun | None
    gate: Gate
    criteria: Sequence[Criterion]
    evaluation: int | None
    before: dict[str, str | None]


def plan_head(store: Store, settings: Settings, request: PromoteRequest, gate: Gate, now: datetime) -> HeadPlan:
    """What it takes to bring the head in. Whether the criteria hold is for the caller to judge.

    Raises NotFoundError or DataError for a head that cannot be used, ReasoningError for one that answers already, or
    that learned from what was deleted on request.
    """
    from reasoning_cli.engines.head.model import Head

    model = request.to or ""
    name = model.removeprefix(HEAD_PREFIX)
    if request.model_type != HEAD_TYPE:
        raise NotFoundError(
            "a head decides should-respond only", f"`reasoning train promote should-respond --to {model}`"
        )
    Head.load(head_path(settings.paths, name))
    run = TrainingRuns(store).of_model(model)
    if run is not None and run.problem is not None:
        raise ReasoningError(
            f"`{model}` is {run.problem}", "`reasoning train start should-respond --engine head` learns anew"
        )
    if _is_in(settings, name, Mode.LIVE) and (known := Heads(store).get(model)) is not None and known.out_at is None:
        raise ReasoningError(f"`{model}` answers already", "`reasoning train history should-respond` shows since when")
    evidence = of_head(store, model, gate, now)
    criteria = judge(gate, evidence, HEAD_TYPE, model, settings.get(s.DEADLINE_MS[HEAD_TYPE]), now)
    before = {setting.name: settings.find(setting)[0] for setting in _SETTINGS}
    return HeadPlan(request, model, run, gate, criteria, evidence.evaluation, before)


def begin_head(context: HeadContext, plan: HeadPlan, *, by: str, forced: bool) -> Promotion:
    """Put on record what was agreed to, then begin with the first share."""
    failed = [criterion for criterion in plan.criteria if criterion.passed is False]
    promotion = Promotions(context.store).begin(
        HEAD_TYPE,
        plan.model,
        by=by,
        at=context.now(),
        plan={
            "steps": list(plan.request.steps),
            "hold": plan.request.hold,
            "interval_seconds": plan.request.interval.total_seconds(),
            "gate": vars(plan.gate),
        },
        before=plan.before,
        gate=[criterion_record(criterion) for criterion in plan.criteria],
        run=plan.run.number if plan.run is not None else None,
        evaluation=plan.evaluation,
        forced_by=by if forced and failed else None,
    )
    if promotion.model != plan.model:
        raise ReasoningError(
            f"`{promotion.model}` is on its way into should-respond",
            "go on with it: `reasoning train promote should-respond`, or `reasoning train rollback should-respond`",
        )
    _note(context, promotion, "promote", {"forced": True} if promotion.forced_by else {})
    return enter_head(context, promotion, 0)


def enter_head(context: HeadContext, promotion: Promotion, step: int) -> Promotion:
    """Begin with a share: first on record, so that whoever comes next sees what was wanted."""
    promotion = Promotions(context.store).update(
        promotion.number, at=context.now(), stage="watching", step=step, step_at=None
    )
    return _applied(context, promotion)


def _applied(context: HeadContext, promotion: Promotion) -> Promotion:
    """The promotion with its step begun, as of now. May be done again."""
    percent = percents(promotion)[promotion.step]
    mode = Mode.SHADOW if percent == SHADOW_SHARE else Mode.CANARY if percent < 100 else Mode.LIVE
    if promotion.step == 0:
        Heads(context.store).put_in_line(promotion.model, context.now())
    share = percent if mode is Mode.CANARY else None
    _write(context, enabling_head(context.settings(), _name(promotion), mode, share))
    promotion = Promotions(context.store).update(promotion.number, at=context.now(), step_at=context.now())
    _note(context, promotion, "promote_step", {"percent": percent})
    return promotion


def look_at_head(context: HeadContext, promotion: Promotion) -> Look:
    """Judge and act once; nobody else is asked."""
    found = Promotions(context.store).get(promotion.number)
    assert found is not None
    promotion = found
    if promotion.stage == "planned":
        return Look(enter_head(context, promotion, 0))
    if promotion.stage == "returning":
        return Look(_returned(context, promotion))
    if promotion.stage != "watching":
        return Look(promotion)
    if promotion.step_at is None:  # what began this step broke off
        promotion = _applied(context, promotion)
    if (changed := _changed(context, promotion)) is not None:
        return Look(_left(context, promotion, changed), message=f"the promotion ends here: {changed}")
    gate, steps, now = gate_of(promotion), percents(promotion), context.now()
    assert promotion.step_at is not None
    answers = live_answers(context.store, HEAD_TYPE, promotion.step_at, now + timedelta(seconds=1))
    seen = watch((answer for answer in answers if answer.model == promotion.model), None, gate, len(steps))
    known = Heads(context.store).get(promotion.model)
    why = seen.broken or (known.why if known is not None and known.out_at is not None else None)
    if why is not None:
        return replace(send_head_back(context, promotion, why), seen=seen)
    hold, interval = int(str(promotion.plan["hold"])), float(str(promotion.plan["interval_seconds"]))
    if not may_go_on(seen, hold, promotion.step_at, now, interval):
        return Look(promotion, seen)
    if promotion.step + 1 < len(steps):
        promotion = enter_head(context, promotion, promotion.step + 1)
        return Look(promotion, seen, f"{promotion.model} goes on to {step_text(steps[promotion.step])}")
    why = "it passed its gate and held in every step"
    if promotion.forced_by:
        why = f"{promotion.forced_by} went on against the gate; it held in every step"
    promotion = Promotions(context.store).update(
        promotion.number, at=now, stage="promoted", finished_at=now, why=promotion.why or why
    )
    _note(context, promotion, "promoted", {})
    return Look(promotion, seen, f"{promotion.model} answers what it is sure of")


def send_head_back(context: HeadContext, promotion: Promotion, why: str) -> Look:
    """Take it out of its line, and put back what was before."""
    promotion = Promotions(context.store).update(promotion.number, at=context.now(), stage="returning", why=why)
    _note(context, promotion, "send_back", {"why": why})
    return Look(_returned(context, promotion), message=f"{promotion.model} goes back: {why}")


def roll_head_back(context: HeadContext, promotion: Promotion, by: str) -> Promotion:
    """Go back to what was before a promotion, whether that is over or on its way."""
    if promotion.finished_at is None:
        return send_head_back(context, promotion, f"{by} sent it back").promotion
    _restore(context, promotion)
    _note(context, promotion, "roll_back", {})
    return Promotions(context.store).update(promotion.number, at=context.now(), rolled_back_at=context.now())


def _returned(context: HeadContext, promotion: Promotion) -> Promotion:
    _restore(context, promotion)
    now = context.now()
    return Promotions(context.store).update(promotion.number, at=now, stage="returned", finished_at=now)


def _restore(context: HeadContext, promotion: Promotion) -> None:
    """The line as it was; where the head itself was in it, without it."""
    before = {str(name): None if text is None else str(text) for name, text in promotion.before.items()}
    if before.get(s.HEAD.name) == _name(promotion):
        _write(context, disabling_head(context.settings()))
        return
    s.write_settings(context.settings().paths, before)


def _left(context: HeadContext, promotion: Promotion, changed: str) -> Promotion:
    now, why = context.now(), f"the line was changed meanwhile: {changed}"
    _note(context, promotion, "leave_promotion", {"why": why})
    return Promotions(context.store).update(promotion.number, at=now, stage="left", finished_at=now, why=why)


def _changed(context: HeadContext, promotion: Promotion) -> str | None:
    """What somebody else changed since the step began, in words."""
    settings, percent = context.settings(), percents(promotion)[promotion.step]
    mode = Mode.SHADOW if percent == SHADOW_SHARE else Mode.CANARY if percent < 100 else Mode.LIVE
    if not _is_in(settings, _name(promotion), mode):
        return f"`{promotion.model}` is not in it, or not as {mode}"
    if mode is Mode.CANARY and settings.get(s.HEAD_SHARE) != percent:
        return f"its share is {settings.get(s.HEAD_SHARE)} %, and not {percent} %"
    return None


def _is_in(settings: Settings, name: str, mode: Mode) -> bool:
    get = settings.get
    return HEAD_PLACE in (get(s.LINE) or ()) and get(s.HEAD) == name and get(s.HEAD_MODE) is mode


def _name(promotion: Promotion) -> str:
    return promotion.model.removeprefix(HEAD_PREFIX)


def _write(context: HeadContext, switch: Switch) -> None:
    s.write_settings(context.settings().paths, {setting.name: text for setting, text in switch.changes.items()})


def _note(context: HeadContext, promotion: Promotion, action: str, detail: dict[str, object]) -> None:
    every = {"model": promotion.model, "promotion": promotion.number} | detail
    Events(context.store).add(Event(context.now(), context.actor, action, HEAD_TYPE, every))


def plan_record(plan: HeadPlan) -> dict[str, object]:
    """A plan for machines."""
    return {
        "model_type": HEAD_TYPE,
        "model": plan.model,
        "run": plan.run.number if plan.run is not None else None,
        "steps": list(plan.request.steps),
        "hold_decisions": plan.request.hold,
        "interval_seconds": int(plan.request.interval.total_seconds()),
        "added_cents_per_hour": 0,
        "evaluation": plan.evaluation,
        "gate": [criterion_record(criterion) for criterion in plan.criteria],
        "passes": all(criterion.passed is not False for criterion in plan.criteria),
    }
