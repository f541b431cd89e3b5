"""What a round of the loop does with the model it trained: runs it as a shadow, evaluates it, looks at what
live traffic says, and takes it away when it is no better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.operations.costs.budget import Limits, spending_rate
from reasoning_cli.operations.costs.ledger import observe, usage_by_deployment
from reasoning_cli.operations.deploy.teardown import StopPlan, run_stop
from reasoning_cli.operations.evaluate.gate_rules import read_gate
from reasoning_cli.operations.evaluate.plan import plan_evaluation
from reasoning_cli.operations.evaluate.run import EvaluationContext, run_evaluation
from reasoning_cli.operations.evaluate.sampling import EvaluateRequest
from reasoning_cli.operations.promote.context import PromotionContext
from reasoning_cli.operations.promote.controller import bring_up_candidate
from reasoning_cli.operations.promote.evidence import find_evidence
from reasoning_cli.operations.promote.gate import Criterion, judge
from reasoning_cli.operations.promote.plan import (
    Candidate,
    PromoteRequest,
    PromotionPlan,
    answering,
    find_candidate,
    plan_promotion,
)
from reasoning_cli.operations.statistics.sequential import Verdict
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.store.evaluate.evaluations import EvaluationRecord
from reasoning_cli.values import Mode

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.token_prices import TokenPrice

_EVER = datetime.fromisoformat("2000-01-01T00:00:00Z"), datetime.fromisoformat("9000-01-01T00:00:00Z")


@dataclass(frozen=True)
class CandidateContext:
    """What it takes to try a model: how it is deployed (`models` and `idle_minutes` as they are set), and how it is
    asked; `evaluation` is what to ask, its models left open."""

    promotion: PromotionContext
    limits: Limits
    models: Mapping[str, str]
    idle_minutes: int
    evaluation: EvaluateRequest
    evaluating: EvaluationContext
    prices: Mapping[str, TokenPrice]


@dataclass(frozen=True)
class Judged:
    """A model held against the gate, with what live traffic says so far."""

    candidate: Candidate
    criteria: Sequence[Criterion]
    evaluation: int | None
    difference: str
    live: Verdict | None
    live_decisions: int

    @property
    def refused(self) -> str | None:
        """Which rules it breaks, in words; None where none."""
        failed = [criterion for criterion in self.criteria if criterion.passed is False]
        return (
            "; ".join(f"{criterion.text}: {criterion.found}, wanted {criterion.wanted}" for criterion in failed) or None
        )


def plan(context: CandidateContext, model_type: str, run: int, *, steps: tuple[int, ...] = (0, 100)) -> PromotionPlan:
    """What it takes to bring the model of a run in. Raises what `plan_promotion` raises."""
    promotion = context.promotion
    request = PromoteRequest(model_type, str(run), steps)
    judged = judge_model(context, model_type, run)
    return plan_promotion(
        promotion.client,
        promotion.store,
        promotion.settings(),
        context.limits,
        request,
        judged.candidate,
        read_gate(None, model_type),
        judged.criteria,
        evaluation=judged.evaluation,
        models=dict(context.models),
        idle_minutes=context.idle_minutes,
    )


def stand(
    context: CandidateContext, model_type: str, run: int, made: Callable[[DeploymentRecord], None]
) -> DeploymentRecord:
    """Bring the model of a run up as a shadow of what answers; as the first of its slot, of the original."""
    promotion, planned = context.promotion, plan(context, model_type, run)
    if planned.old is None:
        # Before it is in the slot: one that was live without a model must not hand everything to it.
        texts = {s.ENABLED[model_type].name: "true", s.MODE[model_type].name: str(Mode.SHADOW)}
        s.write_settings(promotion.settings().paths, texts | {s.PROMPT_FORM[model_type].name: str(planned.form)})
    record = bring_up_candidate(promotion, planned, made)
    if planned.old is None:
        Deployments(promotion.store).set_slot(model_type, record.key, now=promotion.client.now())
    return record


def evaluate(context: CandidateContext, model_type: str, key: str) -> EvaluationRecord:
    """Ask a model, and ours that answers now, what neither was trained on; a result that is there counts."""
    promotion = context.promotion
    names = [key]
    going = Replacements(promotion.store).going(model_type)
    if going is not None and going.new_key == key:
        old = Deployments(promotion.store).get(going.old_key)
        if old is not None and old.state == "READY":
            names.append(old.key)
    request = replace(context.evaluation, models=tuple(names))
    planned = plan_evaluation(promotion.store, request, context.prices)
    if planned.finished is not None:
        return planned.finished
    return run_evaluation(lambda: promotion.client, promotion.store, planned, context.prices, context.evaluating)


def judge_model(context: CandidateContext, model_type: str, run: int) -> Judged:
    """Hold the model of a run against the gate, by its newest evaluation and by live traffic."""
    promotion = context.promotion
    store, settings, now = promotion.store, promotion.settings(), promotion.now()
    candidate = find_candidate(store, PromoteRequest(model_type, str(run)))
    gate = read_gate(None, model_type)
    old = answering(store, settings, model_type, candidate)
    found = find_evidence(store, model_type, candidate, old, gate, now)
    criteria = judge(gate, found, model_type, candidate.name, settings.get(s.DEADLINE_MS[model_type]), now)
    bounds, what = found.difference or found.agreement, "right more often" if found.difference else "as the original"
    shown = ""
    if bounds is not None:
        shown = f"{what}: {bounds.value * 100:.1f} %, between {bounds.low * 100:.1f} and {bounds.high * 100:.1f}"
    return Judged(candidate, criteria, found.evaluation, shown, found.live, found.live_decisions)


def cost_cents(context: CandidateContext, run: int | None, key: str | None) -> Decimal:
    """What a round has cost so far: its job, and the hours of its model with all doubts."""
    from reasoning_cli.store.train.fine_tunes import FineTunes
    from reasoning_cli.store.train.runs import TrainingRuns

    store = context.promotion.store
    found = TrainingRuns(store).get(run) if run is not None else None
    jobs = [
        fine_tune.cents for fine_tune in FineTunes(store).all() if found is not None and fine_tune.id == found.job_id
    ]
    usage = usage_by_deployment(store, *_EVER).get(key) if key is not None else None
    return sum(jobs, Decimal(0)) + (usage.high_cents if usage is not None else 0)


def take_away(context: CandidateContext, key: str) -> None:
    """Stop a model that is not to come in; what answered before has all that it had. May be done again."""
    promotion = context.promotion
    new = Deployments(promotion.store).get(key)
    if new is None or new.deleted_at is not None:
        return
    new = observe(promotion.client, promotion.store, new)
    if new.deleted_at is None:
        run_stop(
            promotion.client,
            promotion.store,
            StopPlan(new, keep=False, saves_cents_per_hour=spending_rate(new)),
            promotion.wait,
        )
    replacement = Replacements(promotion.store).unfinished_to(key)
    if replacement is not None:
        Replacements(promotion.store).finish(replacement.number, promotion.client.now())
