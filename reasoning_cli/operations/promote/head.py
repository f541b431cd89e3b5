"""A head's way into its line: behind the gate, as a shadow first, then for a share of the users, then for all.

It is in the settings alone: nothing is brought up, nothing costs money, nobody is asked. What was agreed to is on
record before a setting is written, and whoever looks next goes on from there, as with any other model. Once it answers
everybody its audits watch over it (`evaluate.head_watch`).
"""

from __future__ import annotations

from datetime import datetime

from reasoning_cli import settings as s
from reasoning_cli.errors import NotFoundError, ReasoningError
from reasoning_cli.operations.deploy.heads import disabling_head, enabling_head
from reasoning_cli.operations.deploy.slots import HEAD_PLACE, HEAD_TYPE
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.promote.evidence import of_head
from reasoning_cli.operations.promote.gate import judge
from reasoning_cli.operations.promote.guardrails import Look
from reasoning_cli.operations.promote.plan import PromoteRequest
from reasoning_cli.operations.promote.stepping import (
    LocalContext,
    LocalPlan,
    Moves,
    begin,
    look,
    roll_back,
    texts_before,
    write_texts,
)
from reasoning_cli.operations.promote.transitions import criterion_record
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.promote.promotions import Promotion
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.store.train.runs import TrainingRuns
from reasoning_cli.values import HEAD_PREFIX, Mode, head_training

_SETTINGS: tuple[s.Setting[object], ...] = (s.LINE, s.HEAD, s.HEAD_MODE, s.HEAD_SHARE)


def plan_head(store: Store, settings: Settings, request: PromoteRequest, gate: Gate, now: datetime) -> LocalPlan:
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
    Head.load(settings.paths.head(name))
    run = TrainingRuns(store).of_model(model)
    if run is not None and run.problem is not None:
        raise ReasoningError(f"`{model}` is {run.problem}", f"`{head_training(run.plan.get('max_error'))}` learns anew")
    if _is_in(settings, name, Mode.LIVE) and (known := Heads(store).get(model)) is not None and known.out_at is None:
        raise ReasoningError(f"`{model}` answers already", "`reasoning train history should-respond` shows since when")
    evidence = of_head(store, model, gate, now)
    criteria = judge(gate, evidence, HEAD_TYPE, model, settings.get(s.DEADLINE_MS[HEAD_TYPE]), now)
    before = {setting.name: settings.find(setting)[0] for setting in _SETTINGS}
    return LocalPlan(request, model, run, gate, criteria, evidence.evaluation, before)


def begin_head(context: LocalContext, plan: LocalPlan, *, by: str, forced: bool) -> Promotion:
    """Put on record what was agreed to, then begin with the first share."""
    return begin(context, HEAD_MOVES, plan, by=by, forced=forced)


def look_at_head(context: LocalContext, promotion: Promotion) -> Look:
    """Judge and act once; nobody else is asked."""
    return look(context, HEAD_MOVES, promotion)


def roll_head_back(context: LocalContext, promotion: Promotion, by: str) -> Promotion:
    """Go back to what was before a promotion, whether that is over or on its way."""
    return roll_back(context, HEAD_MOVES, promotion, by)


class HeadMoves:
    """A head into its line, and out of it."""

    place = "the line"

    def apply(self, context: LocalContext, promotion: Promotion, mode: Mode, share: int | None) -> None:
        if promotion.step == 0:
            Heads(context.store).put_in_line(promotion.model, context.now())
        write_texts(context, enabling_head(context.settings(), _name(promotion), mode, share).changes)

    def changed(self, context: LocalContext, promotion: Promotion, mode: Mode, share: int | None) -> str | None:
        settings = context.settings()
        if not _is_in(settings, _name(promotion), mode):
            return f"`{promotion.model}` is not in it, or not as {mode}"
        if share is not None and settings.get(s.HEAD_SHARE) != share:
            return f"its share is {settings.get(s.HEAD_SHARE)} %, and not {share} %"
        return None

    def taken_out(self, context: LocalContext, promotion: Promotion) -> str | None:
        known = Heads(context.store).get(promotion.model)
        return known.why if known is not None and known.out_at is not None else None

    def settle(self, context: LocalContext, promotion: Promotion) -> None:
        """Its last step was all there is."""

    def restore(self, context: LocalContext, promotion: Promotion) -> None:
        """The line as it was; where the head itself was in it, without it."""
        before = texts_before(promotion)
        if before.get(s.HEAD.name) == _name(promotion):
            write_texts(context, disabling_head(context.settings()).changes)
        else:
            s.write_settings(context.settings().paths, before)

    def done(self, promotion: Promotion) -> str:
        return f"{promotion.model} answers what it is sure of"


HEAD_MOVES: Moves = HeadMoves()


def _is_in(settings: Settings, name: str, mode: Mode) -> bool:
    get = settings.get
    return HEAD_PLACE in (get(s.LINE) or ()) and get(s.HEAD) == name and get(s.HEAD_MODE) is mode


def _name(promotion: Promotion) -> str:
    return promotion.model.removeprefix(HEAD_PREFIX)


def plan_record(plan: LocalPlan) -> dict[str, object]:
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
