"""Rounds of a loop that learns heads: learned anew, evaluated, held against the gate, and let in by steps.

Nothing is deployed and nobody is asked, so that it needs no account and costs nothing; the steps in which a head comes
in have the shadow in them. A head that would answer less than the one in line does not take its place, unless that
learned from what was deleted on request, or its audits took it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from reasoning_cli.errors import DataError, NotFoundError, ReasoningError
from reasoning_cli.operations.deploy.heads import head_in_line, load_head
from reasoning_cli.operations.evaluate.gate_rules import read_gate
from reasoning_cli.operations.evaluate.plan import plan_evaluation
from reasoning_cli.operations.evaluate.run import EvaluationContext, run_evaluation
from reasoning_cli.operations.evaluate.sampling import EvaluateRequest
from reasoning_cli.operations.promote.controller import in_hand
from reasoning_cli.operations.promote.head import begin_head, look_at_head, plan_head
from reasoning_cli.operations.promote.plan import PromoteRequest
from reasoning_cli.operations.promote.stepping import LocalContext, LocalPlan
from reasoning_cli.operations.train.auto.controller import ACTOR, rest, run_steps
from reasoning_cli.operations.train.head import HeadRequest, train_head
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.store.train.auto_loops import Loop, Loops, Step
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD_PREFIX, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.operations.costs.token_prices import TokenPrice


@dataclass(frozen=True)
class HeadLoopContext:
    """What a round is carried out with: `request` is the training it would begin, `folder` where heads are, and
    `evaluation` what to ask one, its models left open."""

    local: LocalContext
    request: HeadRequest
    folder: Path
    evaluation: EvaluateRequest
    evaluating: EvaluationContext
    prices: Mapping[str, TokenPrice]
    notify: Callable[[Loop], None] = lambda loop: None

    @property
    def store(self) -> Store:
        return self.local.store

    @property
    def now(self) -> datetime:
        return self.local.now()


def take_head_steps(context: HeadLoopContext, model_type: str) -> Loop | None:
    """Go on with a loop until it waits for something; how it then stands, None where there is none."""
    return run_steps(context.store, model_type, lambda loop: _step(context, loop), lambda: context.now, context.notify)


def _step(context: HeadLoopContext, loop: Loop) -> Loop | None:
    match loop.step:
        case "training":
            return _train(context, loop)
        case "evaluating":
            return _evaluate(context, loop)
        case "waiting":
            return _wait(context, loop)
        case "promoting":
            return _promote(context, loop)
        case _:
            return _rest(context, loop)


def _rest(context: HeadLoopContext, loop: Loop) -> Loop | None:
    rested, may = rest(context.store, loop, context.now)
    if rested is None or not may:
        return rested
    Events(context.store).add(Event(context.now, ACTOR, "auto_begin", spell_model_type(loop.model_type), {}))
    seen = Loops(context.store).newest_sample()
    return _to(
        context,
        loop,
        "training",
        "a head is learned",
        begun_at=context.now,
        seen_seq=seen,
        run=None,
        evaluation=None,
        outcome=None,
    )


def _train(context: HeadLoopContext, loop: Loop) -> Loop | None:
    try:
        trained = train_head(
            context.store, context.request, folder=context.folder, prices=context.prices, now=context.now
        )
    except DataError as problem:  # the log is as it is until more comes
        return _end(context, loop, f"no head: {problem.message}")
    run, share = trained.run, trained.found.share
    if run is None:
        bound = f"{context.request.max_error * 100:g} %"
        return _end(context, loop, f"no head: nothing is proven to disagree in at most {bound}")
    model, line = run.model_name or "", head_in_line(context.local.settings())
    known = any(promotion.model == model for promotion in Promotions(context.store).all(loop.model_type))
    if known or model == line:
        return _end(context, loop, f"{model} was learned again: nothing is new in the log")
    better = _share_of_sound(context, line)
    if better is not None and share < better:
        return _end(
            context, loop, f"{model} would answer {share:.0%} of decisions, {line} in line {better:.0%}: that stays"
        )
    return _to(context, loop, "evaluating", f"{model} would answer {share:.0%} of decisions", run=run.number)


def _share_of_sound(context: HeadLoopContext, model: str | None) -> float | None:
    """What the head in line was found to answer; None where there is none, or one that cannot stay."""
    known = Heads(context.store).get(model) if model is not None else None
    run = TrainingRuns(context.store).of_model(model) if model is not None else None
    if model is None or run is None or run.problem is not None or known is None or known.out_at is not None:
        return None
    if _unusable(context, run) is not None:
        return None
    share = run.plan.get("share")
    return share if isinstance(share, float) else None


def _evaluate(context: HeadLoopContext, loop: Loop) -> Loop | None:
    run = _run(context, loop)
    if (problem := _unusable(context, run)) is not None:
        return _end(context, loop, problem)
    model = run.model_name or ""
    try:
        planned = plan_evaluation(context.store, replace(context.evaluation, models=(model,)), context.prices)
        record = planned.finished or run_evaluation(_nobody, context.store, planned, context.prices, context.evaluating)
    except ReasoningError as error:
        if type(error) is not ReasoningError:
            raise
        return _end(context, loop, f"{model} could not be evaluated: {error.message}")
    if (refused := _refused(_plan(context, loop, run))) is not None:
        return _end(context, loop, refused)
    name = spell_model_type(loop.model_type)
    detail = {"model": model, "run": run.number, "evaluation": record.number}
    Events(context.store).add(Event(context.now, ACTOR, "auto_ask", name, detail))
    line = f"waits for: `reasoning train promote {name} --to {model}` (evaluation {record.number} passes the gate)"
    return _to(context, loop, "waiting", line, evaluation=record.number)


def _wait(context: HeadLoopContext, loop: Loop) -> Loop | None:
    run = _run(context, loop)
    if _promotion(context, loop) is not None:
        return _to(context, loop, "promoting", "the promotion was begun")
    if (problem := _unusable(context, run)) is not None:
        return _end(context, loop, problem)
    if not loop.unattended:
        return loop
    plan = _plan(context, loop, run)
    if (refused := _refused(plan)) is not None:
        return _end(context, loop, refused)
    with in_hand(context.store, loop.model_type) as mine:
        if mine:
            begin_head(context.local, plan, by=loop.by, forced=False)
    return _to(context, loop, "promoting", f"{plan.model} comes in, step by step")


def _promote(context: HeadLoopContext, loop: Loop) -> Loop | None:
    promotion = _promotion(context, loop)
    if promotion is None:
        return _to(context, loop, "waiting", "the promotion is gone")
    if promotion.finished_at is None:
        with in_hand(context.store, loop.model_type) as mine:
            if mine:
                promotion = look_at_head(context.local, promotion).promotion
    if promotion.finished_at is None:
        line = f"{promotion.model} comes in, step {promotion.step + 1}"
        return loop if line == loop.line else _to(context, loop, "promoting", line)
    if promotion.stage == "promoted":
        return _end(context, loop, f"{promotion.model} answers what it is sure of")
    return _end(context, loop, f"{promotion.model} was not promoted: {promotion.why}")


def _run(context: HeadLoopContext, loop: Loop) -> TrainingRun:
    run = TrainingRuns(context.store).get(loop.run or 0)
    if run is None:
        raise NotFoundError(f"training run {loop.run} is gone", "`reasoning train auto should-respond --off`")
    return run


def _unusable(context: HeadLoopContext, run: TrainingRun) -> str | None:
    """Why a head cannot come in, or stay: it learned from what was deleted since, or its file is not there any more."""
    if run.problem is not None:
        return f"{run.model_name} is {run.problem}"
    try:
        load_head(context.local.settings().paths, (run.model_name or "").removeprefix(HEAD_PREFIX))
    except (NotFoundError, DataError) as problem:
        return problem.message
    return None


def _plan(context: HeadLoopContext, loop: Loop, run: TrainingRun) -> LocalPlan:
    request, gate = PromoteRequest(loop.model_type, run.model_name), read_gate(None, loop.model_type)
    return plan_head(context.store, context.local.settings(), request, gate, context.now)


def _refused(plan: LocalPlan) -> str | None:
    failed = [rule for rule in plan.criteria if rule.passed is False]
    if not failed:
        return None
    rules = "; ".join(f"{rule.text}: {rule.found}, wanted {rule.wanted}" for rule in failed)
    return f"{plan.model} is refused by the gate: {rules}"


def _promotion(context: HeadLoopContext, loop: Loop) -> Promotion | None:
    """The promotion of this round's head, if one was begun."""
    latest = Promotions(context.store).latest(loop.model_type)
    return latest if latest is not None and latest.run is not None and latest.run == loop.run else None


def _end(context: HeadLoopContext, loop: Loop, outcome: str) -> Loop | None:
    detail = {"run": loop.run, "evaluation": loop.evaluation, "outcome": outcome, "cents": 0}
    Events(context.store).add(Event(context.now, ACTOR, "auto_end", spell_model_type(loop.model_type), detail))
    outcome = f"round over: {outcome}"
    return _to(context, loop, "resting", outcome, outcome=outcome, ended_at=context.now)


def _to(context: HeadLoopContext, loop: Loop, step: Step, line: str, **changes: object) -> Loop | None:
    changes |= {"step": step, "line": line, "line_at": context.now, "told": False}
    return Loops(context.store).update(loop.model_type, **changes)


def _nobody() -> Cloud:
    """A head is asked in this process."""
    return cast("Cloud", None)
