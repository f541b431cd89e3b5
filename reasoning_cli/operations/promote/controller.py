"""Bring a model into its slot by steps, watch it, and take it back by itself when it breaks.

One look (`look`) finds from the store how far a promotion has come, judges what it has shown since its step began, and
does what follows. Whoever looks next goes on from there: the command that began it, the same command after a crash, or
the guard. A promotion is in one hand at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.operations.costs.budget import AT_REST
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.deploy.apply import bring_up, cost_in_errors, route
from reasoning_cli.operations.deploy.lora import AttachPlan
from reasoning_cli.operations.deploy.rollout import move
from reasoning_cli.operations.deploy.wait import try_answer, wait_for
from reasoning_cli.operations.promote.context import PromotionContext
from reasoning_cli.operations.promote.guardrails import Look, may_go_on, watch
from reasoning_cli.operations.promote.head import HEAD_MOVES
from reasoning_cli.operations.promote.own_server import SERVER_MOVES
from reasoning_cli.operations.promote.plan import PromotionPlan
from reasoning_cli.operations.promote.stepping import LocalContext, Moves
from reasoning_cli.operations.promote.stepping import look as look_at_local
from reasoning_cli.operations.promote.transitions import (
    applied,
    changed_meanwhile,
    criterion_record,
    enter,
    finish,
    gate_of,
    give_back,
    leave,
    note_event,
    percents,
    share_endpoint,
    step_text,
    take_traffic,
    write_mode,
)
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.store.locks import Hold
from reasoning_cli.store.promote.promotions import WATCHED, Promotion, Promotions
from reasoning_cli.store.serving.online_answers import live_answers
from reasoning_cli.values import MODEL_TYPES, Mode, is_head

LOOK_SECONDS = 2.0
log = logging.getLogger(__name__)


def begin(context: PromotionContext, plan: PromotionPlan, *, by: str, forced: bool) -> Promotion:
    """Remember what was agreed to, before anything is done."""
    failed = [criterion for criterion in plan.criteria if criterion.passed is False]
    promotion = Promotions(context.store).begin(
        plan.model_type,
        plan.candidate.name,
        by=by,
        at=context.now(),
        plan={
            "steps": list(plan.request.steps),
            "hold": plan.request.hold,
            "interval_seconds": plan.request.interval.total_seconds(),
            "keep_loser": plan.request.keep_loser,
            "old_answers": plan.old_answers,
            "prompt_form": str(plan.form),
            "gate": vars(plan.gate),
        },
        before=plan.before,
        gate=[criterion_record(criterion) for criterion in plan.criteria],
        model_key=plan.candidate.record.key if plan.candidate.record and plan.deploy is None else None,
        old_key=plan.old.key if plan.old is not None else None,
        run=plan.candidate.run.number if plan.candidate.run is not None else None,
        evaluation=plan.evaluation,
        forced_by=by if forced and failed else None,
    )
    detail: dict[str, object] = {"model": promotion.model, "promotion": promotion.number}
    if promotion.forced_by:
        detail |= {"forced": True, "failed": [criterion.key for criterion in failed]}
    note_event(context, promotion, "force_promote" if promotion.forced_by else "promote", detail)
    return promotion


def bring_in(context: PromotionContext, promotion: Promotion, plan: PromotionPlan) -> Promotion:
    """Bring the model up where it is not, as a shadow, try it, and begin with the first share."""
    if plan.old is None:
        # First: a slot that was live without a model must not hand everything to one that nobody has tried.
        write_mode(context, promotion, mode=Mode.SHADOW)

    def made(record: DeploymentRecord) -> None:
        Promotions(context.store).update(promotion.number, at=context.now(), model_key=record.key)

    record = bring_up_candidate(context, plan, made)
    if plan.old is None:
        Deployments(context.store).set_slot(promotion.model_type, record.key, now=context.client.now())
    return enter(context, promotion, 0, record)


def bring_up_candidate(
    context: PromotionContext, plan: PromotionPlan, made: Callable[[DeploymentRecord], None]
) -> DeploymentRecord:
    """Bring the model up where it is not, beside what answers now, with none of its traffic, and try it. `made` is
    called with as soon as there is a deployment that costs. May be done again."""
    record = plan.candidate.record
    if plan.deploy is not None:
        assert not isinstance(plan.deploy, AttachPlan)
        with cost_in_errors(plan.deploy.endpoint_name, plan.deploy.max_cents_per_hour):
            record = bring_up(context.client, context.store, plan.deploy, context.wait)
            made(record)
            record = wait_for(context.client, context.store, record, "READY", context.wait)
    assert record is not None
    old, pinned = plan.old, None
    if old is not None:
        replacement = Replacements(context.store).begin(plan.model_type, old.key, record.key, context.client.now())
        if share_endpoint(old, record):
            if replacement.percent == 0:
                move(context.client, old, record, 0, keep_new=True)
            pinned = f"{record.serving_name}/{record.deployment_name}"
    if record.rides_on is None and (old is None or not share_endpoint(old, record)):
        route(context.client, record)
    try_answer(context.client, record, context.wait, name=pinned)
    return record


def look(context: PromotionContext, promotion: Promotion) -> Look:
    """Judge and act once. Raises ReasoningError when Together cannot be reached; nothing is lost then."""
    found = Promotions(context.store).get(promotion.number)
    assert found is not None
    promotion = found
    if promotion.stage == "finishing":
        return _look(*finish(context, promotion))
    if promotion.stage == "returning":
        return _look(*give_back(context, promotion))
    if promotion.stage != "watching":
        return Look(promotion)
    if promotion.step_at is None:  # what began this step broke off
        promotion = applied(context, promotion)
    if (changed := changed_meanwhile(context, promotion)) is not None:
        return _look(*leave(context, promotion, changed))
    assert promotion.model_key is not None and promotion.step_at is not None
    record = Deployments(context.store).get(promotion.model_key)
    assert record is not None
    gate, steps, now = gate_of(promotion), percents(promotion), context.now()
    answers = live_answers(context.store, promotion.model_type, promotion.step_at, now + timedelta(seconds=1))
    seen = watch(answers, promotion.model_key, gate, len(steps))
    why = seen.broken
    if why is None:
        record = observe(context.client, context.store, record)
        if record.deleted_at is not None or record.state in AT_REST or record.state == "FAILED":
            why = f"its deployment is {record.state}"
    if why is not None:
        return replace(send_back(context, promotion, why), seen=seen)
    hold, interval = int(str(promotion.plan["hold"])), float(str(promotion.plan["interval_seconds"]))
    if not may_go_on(seen, hold, promotion.step_at, now, interval):
        return Look(promotion, seen)
    if promotion.step + 1 < len(steps):
        promotion = enter(context, promotion, promotion.step + 1, record)
        return Look(promotion, seen, f"{promotion.model} goes on to {step_text(steps[promotion.step])}")
    promotion = Promotions(context.store).update(promotion.number, at=now, stage="finishing")
    return replace(_look(*finish(context, promotion)), seen=seen)


def run_watch(context: PromotionContext, promotion: Promotion, notify: Callable[[Look], None]) -> Look:
    """Look until it is over. What Together does not answer is told, and asked again."""
    while True:
        try:
            seen = look(context, promotion)
        except RemoteError as problem:
            seen = Look(promotion, message=problem.message)
        notify(seen)
        promotion = seen.promotion
        if promotion.finished_at is not None:
            return seen
        context.wait.sleep(min(context.wait.poll_seconds, LOOK_SECONDS))


def send_back(context: PromotionContext, promotion: Promotion, why: str) -> Look:
    """Take its traffic from it, at once; then stop it."""
    promotion = Promotions(context.store).update(promotion.number, at=context.now(), stage="returning", why=why)
    percent = percents(promotion)[promotion.step]
    detail = {"model": promotion.model, "why": why, "percent": percent, "promotion": promotion.number}
    note_event(context, promotion, "send_back", detail)
    take_traffic(context, promotion)
    message = f"{promotion.model} goes back: {why}"
    try:
        return replace(_look(*give_back(context, promotion)), message=message)
    except ReasoningError as problem:
        # The agents have what they had; only the bill runs on, and whoever looks next sees to it.
        log.info("%s is still to be stopped: %s", promotion.model, problem.message)
        return Look(promotion, message=f"{message}; it is still to be stopped")


def watch_promotions(context: PromotionContext) -> list[Look]:
    """One look at every promotion that nobody else has in hand; those looks.

    For the guard: a model that turns bad goes back also when the terminal it was promoted from is closed. What Together
    does not answer, or takes its time with, is tried again in the next round.
    """
    looks = []
    for model_type in MODEL_TYPES:
        promotion = Promotions(context.store).going(model_type)
        if promotion is None or promotion.stage not in WATCHED:
            continue
        with in_hand(context.store, model_type) as mine:
            if not mine:
                continue
            if (moves := moves_of(promotion)) is not None:
                local = LocalContext(context.store, context.settings, context.now, context.actor)
                looks.append(look_at_local(local, moves, promotion))
                continue
            try:
                looks.append(look(context, promotion))
            except RemoteError as problem:
                log.info("the promotion of %s waits: %s", promotion.model, problem.message)
                looks.append(Look(promotion))
    return looks


def moves_of(promotion: Promotion) -> Moves | None:
    """What a promotion that is in the settings alone does at its steps; None of one at Together."""
    if is_head(promotion.model):
        return HEAD_MOVES
    return SERVER_MOVES if promotion.server is not None else None


def in_hand(store: Store, model_type: str) -> AbstractContextManager[Hold | None]:
    """Whether this process has the promotions of a type in hand, for as long as the block runs."""
    return store.alone(f"promotion-{model_type}")


def _look(promotion: Promotion, message: str) -> Look:
    return Look(promotion, message=message)
