"""The loop: when enough is new, train anew, evaluate, run as a shadow, and ask to be promoted.

A round is a row in the store that says which step is next. A step does what it can without waiting for what takes
hours, and writes down how far it came; whoever looks next goes on from there: the guard each time it looks, a cron job,
the same process after a crash. A loop is in one hand at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Literal

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.costs.budget import AT_REST
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.promote.controller import begin, bring_in, in_hand
from reasoning_cli.operations.promote.controller import look as look_at_promotion
from reasoning_cli.operations.promote.plan import HOLD, STEPS
from reasoning_cli.operations.statistics.sequential import Verdict
from reasoning_cli.operations.train.auto.candidate import (
    CandidateContext,
    cost_cents,
    evaluate,
    judge_model,
    plan,
    stand,
    take_away,
)
from reasoning_cli.operations.train.monitor import look as look_at_job
from reasoning_cli.operations.train.plan import TrainRequest, plan_training
from reasoning_cli.operations.train.run import TrainingContext, advance, begin_training
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.locks import Hold
from reasoning_cli.store.promote.promotions import WATCHED, Promotion, Promotions
from reasoning_cli.store.serving.online_answers import decisions_since
from reasoning_cli.store.train.auto_loops import Loop, Loops, Step
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD, TOGETHER, spell_model_type

ACTOR = "loop"
LOOK_AT_WAITING = timedelta(minutes=15)
TYPED = {"auto": True}  # what a training run of the loop is known by
# What of a run's samples is not new any more: a head is proven on its validation side, too.
_SIDES: dict[str, tuple[Literal["train", "validation"], ...]] = {TOGETHER: ("train",), HEAD: ("train", "validation")}


@dataclass(frozen=True)
class LoopContext:
    """What a round is carried out with: `request` is the training it would begin, `training` how that is done."""

    candidate: CandidateContext
    training: TrainingContext
    request: TrainRequest
    slot_form: str
    notify: Callable[[Loop], None] = lambda loop: None

    @property
    def store(self) -> Store:
        return self.candidate.promotion.store

    @property
    def now(self) -> datetime:
        return self.candidate.promotion.now()


def loop_in_hand(store: Store, model_type: str) -> AbstractContextManager[Hold | None]:
    """Whether this process has the loop of a type in hand, for as long as the block runs."""
    return store.alone(f"loop-{model_type}")


def unmet(store: Store, loop: Loop, now: datetime) -> tuple[str, ...]:
    """Which conditions of a new round do not hold, in words; nothing when all do. Asks nobody but the store."""
    found = []
    count = Loops(store).new_samples(loop)
    if count < loop.min_new:
        what = "new samples" if loop.counted == "all" else "newly labelled or corrected samples"
        found.append(f"{count:,} of {loop.min_new:,} {what}")
    if loop.begun_at is not None and now < loop.begun_at + loop.every:
        found.append(f"not before {(loop.begun_at + loop.every).astimezone():%Y-%m-%d %H:%M}")
    run = TrainingRuns(store).going(loop.model_type)
    if run is not None and not _is_own(run.plan):
        found.append(f"training run {run.number} goes on, which was begun by hand")
    promotion = Promotions(store).going(loop.model_type)
    if promotion is not None:
        found.append(f"{promotion.model} is on its way into the slot")
    return tuple(found)


def rest(store: Store, loop: Loop, now: datetime) -> tuple[Loop | None, bool]:
    """A resting loop with what it waits for written down, and whether a round may begin. A training begun by hand
    counts as a round: what it was trained on is not new."""
    latest = next(
        (run for run in reversed(TrainingRuns(store).all(loop.model_type)) if _has_same_engine(run, loop)), None
    )
    if latest is not None and latest.stage == "done" and not _is_own(latest.plan):
        since = loop.begun_at
        if since is None or latest.started_at > since:
            sides = [TrainingRuns(store).trained_on(latest.number, side) for side in _SIDES[loop.engine]]
            newest = max((max(seen, default=0) for seen in sides if seen is not None), default=0)
            changed = Loops(store).update(
                loop.model_type, begun_at=latest.started_at, seen_seq=max(newest, loop.seen_seq)
            )
            if changed is None:
                return None, False
            loop = changed
    reasons = unmet(store, loop, now)
    outcome = f"{loop.outcome}; " if loop.outcome else ""
    line = f"{outcome}rests: {', '.join(reasons)}" if reasons else f"{outcome}a round may begin"
    return _say(store, loop, line, now, told=True), not reasons


@dataclass
class Keeper:
    """What looks after the loops beside the guard; remembers only when it last began with each."""

    store: Store
    begun: dict[str, datetime] = field(default_factory=dict)

    def tend(self, now: datetime, begin: Callable[[str], None]) -> list[Loop]:
        """Let `begin` go on (elsewhere: it may take hours) with each loop that has something to do and is in nobody's
        hand; the loops whose state has to be reported."""
        changed = []
        for loop in Loops(self.store).all():
            if not loop.told:
                changed.append(loop)
                Loops(self.store).update(loop.model_type, told=True)
            if self._has_something(loop, now):
                with loop_in_hand(self.store, loop.model_type) as free:
                    pass
                if free:
                    self.begun[loop.model_type] = now
                    begin(loop.model_type)
        return changed

    def _has_something(self, loop: Loop, now: datetime) -> bool:
        if loop.step == "resting":
            return rest(self.store, loop, now)[1]
        if loop.step != "waiting" or loop.unattended:
            return True
        # It waits for a person: what a look would find is a promotion, or that the money for the round is used up.
        latest, last = Promotions(self.store).latest(loop.model_type), self.begun.get(loop.model_type)
        is_begun = latest is not None and latest.updated_at >= loop.line_at
        return is_begun or last is None or now - last >= LOOK_AT_WAITING


def take_steps(context: LoopContext, model_type: str) -> Loop | None:
    """Go on with a loop until it waits for something; how it then stands, None where there is none."""
    return run_steps(context.store, model_type, lambda loop: _step(context, loop), lambda: context.now, context.notify)


def run_steps(
    store: Store,
    model_type: str,
    step: Callable[[Loop], Loop | None],
    now: Callable[[], datetime],
    notify: Callable[[Loop], None],
) -> Loop | None:
    """Take one step after another until the loop waits for something; how it then stands, None where there is none.

    Raises what keeps it where it is, having written that down; the same again goes on.
    """
    while True:
        loop = Loops(store).get(model_type)
        if loop is None:
            return None
        try:
            after = step(loop)
        except ReasoningError as problem:
            _say(store, loop, f"{loop.step}: {problem.message}", now())
            raise
        if after is None or after.step == loop.step or after.step == "resting":
            return after
        notify(after)


def _step(context: LoopContext, loop: Loop) -> Loop | None:
    match loop.step:
        case "resting":
            return _rest(context, loop)
        case "training":
            return _train(context, loop)
        case "deploying":
            return _deploy(context, loop)
        case "evaluating":
            return _evaluate(context, loop)
        case "comparing":
            return _compare(context, loop)
        case "waiting":
            return _wait(context, loop)
        case "promoting":
            return _promote(context, loop)
        case "leaving":
            return _leave(context, loop)


def _rest(context: LoopContext, loop: Loop) -> Loop | None:
    rested, may = rest(context.store, loop, context.now)
    if rested is None or not may:
        return rested
    store, promoting = context.store, context.candidate.promotion
    run = TrainingRuns(store).going(loop.model_type)
    seen = Loops(store).newest_sample()
    if run is None:
        # A run that was begun, and the process killed before the loop knew of it, is gone on with.
        planned = plan_training(
            promoting.client,
            store,
            context.candidate.limits,
            context.request,
            now=context.now,
            slot_form=context.slot_form,
        )
        run = begin_training(store, planned, context.now)
    Events(store).add(Event(context.now, ACTOR, "auto_begin", spell_model_type(loop.model_type), {"run": run.number}))
    return _to(
        context,
        loop,
        "training",
        f"training run {run.number} begins",
        run=run.number,
        begun_at=context.now,
        seen_seq=seen,
        evaluation=None,
        candidate_key=None,
        outcome=None,
    )


def _train(context: LoopContext, loop: Loop) -> Loop | None:
    store, client = context.store, context.candidate.promotion.client
    run = TrainingRuns(store).get(loop.run or 0)
    assert run is not None
    training = replace(context.training, agree=lambda asked: asked.cents <= loop.max_cost_cents)
    run = advance(client, store, run, training)
    run, job = look_at_job(client, store, run, training)
    if run.over and run.stage != "done":
        return _end(context, loop, f"training run {run.number} {run.stage}: {run.problem}")
    if run.stage == "done" and run.problem:
        return _end(context, loop, f"{run.model_name}: {run.problem}")
    if run.stage == "done":
        return _to(context, loop, "deploying", f"{run.model_name} is trained")
    status = (job.status if job is not None else None) or run.job_status or "on its way"
    return _say(store, loop, f"training run {run.number}: {status.replace('_', ' ')}", context.now)


def _deploy(context: LoopContext, loop: Loop) -> Loop | None:
    store = context.store

    def made(record: DeploymentRecord) -> None:
        Loops(store).update(loop.model_type, candidate_key=record.key)

    record = stand(context.candidate, loop.model_type, loop.run or 0, made)
    line = f"{record.model_name} runs as a shadow"
    return _to(context, loop, "evaluating", line, candidate_key=record.key)


def _evaluate(context: LoopContext, loop: Loop) -> Loop | None:
    if (gone := _gone(context, loop)) is not None:
        return gone
    try:
        record = evaluate(context.candidate, loop.model_type, loop.candidate_key or "")
    except ReasoningError as problem:
        if type(problem) is not ReasoningError:  # Together's trouble, or ours: the next look goes on
            raise
        return _to_leave(context, loop, f"it could not be evaluated: {problem.message}")
    judged = judge_model(context.candidate, loop.model_type, loop.run or 0)
    if judged.refused is not None:
        return _to_leave(context, loop, f"{judged.candidate.name} is refused by the gate: {judged.refused}")
    line = f"{judged.candidate.name} passes the gate by evaluation {record.number} ({judged.difference})"
    return _to(context, loop, "comparing", line, evaluation=record.number)


def _compare(context: LoopContext, loop: Loop) -> Loop | None:
    """Live traffic may still refuse what the evaluation let pass."""
    if (gone := _gone(context, loop)) is not None:
        return gone
    judged = judge_model(context.candidate, loop.model_type, loop.run or 0)
    name = judged.candidate.name
    if judged.refused is not None:
        return _to_leave(context, loop, f"{name} is refused by the gate: {judged.refused}")
    if (dear := _too_dear(context, loop)) is not None:
        return dear
    if judged.live_decisions < HOLD or judged.live is Verdict.WORSE:
        seen = f"{judged.live_decisions} of {HOLD} live decisions"
        return _say(context.store, loop, f"{name} is asked as a shadow: {seen}", context.now)
    return _ask(context, loop)


def _ask(context: LoopContext, loop: Loop) -> Loop | None:
    judged = judge_model(context.candidate, loop.model_type, loop.run or 0)
    name = spell_model_type(loop.model_type)
    live = f"live: {judged.live}, of {judged.live_decisions:,} decisions"
    line = f"waits for: `reasoning train promote {name}` ({judged.difference}; {live})"
    detail = {"model": judged.candidate.name, "run": loop.run, "evaluation": loop.evaluation, "live": str(judged.live)}
    if loop.step != "waiting":
        Events(context.store).add(Event(context.now, ACTOR, "auto_ask", name, detail))
    return _to(context, loop, "waiting", line)


def _wait(context: LoopContext, loop: Loop) -> Loop | None:
    if _promotion(context, loop) is not None:
        return _to(context, loop, "promoting", "the promotion was begun")
    if (gone := _gone(context, loop)) is not None:
        return gone
    if (dear := _too_dear(context, loop)) is not None:
        return dear
    if not loop.unattended:
        return loop
    promoting = context.candidate.promotion
    judged = judge_model(context.candidate, loop.model_type, loop.run or 0)
    if judged.refused is not None:
        return _to_leave(context, loop, f"{judged.candidate.name} is refused by the gate: {judged.refused}")
    planned = plan(context.candidate, loop.model_type, loop.run or 0, steps=STEPS)
    with in_hand(context.store, loop.model_type) as mine:
        if mine:
            promotion = begin(promoting, planned, by=loop.by, forced=False)
            bring_in(promoting, promotion, planned)
    return _to(context, loop, "promoting", f"{judged.candidate.name} is rolled out, step by step")


def _promote(context: LoopContext, loop: Loop) -> Loop | None:
    promotion = _promotion(context, loop)
    if promotion is None:
        return _to(context, loop, "waiting", "the promotion is gone")
    if promotion.stage == "planned" and promotion.by == loop.by and loop.unattended:
        promoting = context.candidate.promotion
        with in_hand(context.store, loop.model_type) as mine:
            if mine:  # it was killed before the model was in
                bring_in(promoting, promotion, plan(context.candidate, loop.model_type, loop.run or 0, steps=STEPS))
    elif promotion.stage in WATCHED:
        with in_hand(context.store, loop.model_type) as mine:
            if mine:
                promotion = look_at_promotion(context.candidate.promotion, promotion).promotion
    if promotion.finished_at is None:
        return _say(context.store, loop, f"{promotion.model} is rolled out, step {promotion.step + 1}", context.now)
    if promotion.stage == "promoted":
        return _end(context, loop, f"{promotion.model} answers {spell_model_type(loop.model_type)}")
    return _end(context, loop, f"{promotion.model} was not promoted: {promotion.why}")


def _leave(context: LoopContext, loop: Loop) -> Loop | None:
    if loop.candidate_key is not None:
        take_away(context.candidate, loop.candidate_key)
    return _end(context, loop, loop.outcome or "it was taken away")


def _promotion(context: LoopContext, loop: Loop) -> Promotion | None:
    """The promotion of this round's model, if one was begun."""
    latest = Promotions(context.store).latest(loop.model_type)
    if latest is None or loop.begun_at is None or latest.started_at < loop.begun_at:
        return None
    return latest if loop.candidate_key in (latest.model_key, None) or latest.run == loop.run else None


def _gone(context: LoopContext, loop: Loop) -> Loop | None:
    """Where a round goes on whose model is not there: to its end when somebody took it away; when it was stopped (as
    what nobody asks is) it is brought up again as soon as there is something to ask it."""
    record = Deployments(context.store).get(loop.candidate_key or "")
    if record is not None and record.deleted_at is None:
        record = observe(context.candidate.promotion.client, context.store, record)
    if record is None or record.deleted_at is not None:
        return _end(context, loop, "its model was taken away by somebody")
    if record.state not in AT_REST or loop.step == "waiting":
        return None
    asked = decisions_since(context.store, loop.model_type, loop.line_at, context.now)
    if loop.step == "evaluating" or asked:
        return _to(context, loop, "deploying", f"{record.model_name} is {record.state}, and brought up again")
    return _say(context.store, loop, f"{record.model_name} is {record.state}: there was nothing to ask it", context.now)


def _too_dear(context: LoopContext, loop: Loop) -> Loop | None:
    """The way out for a round that has cost what it may."""
    cents = cost_cents(context.candidate, loop.run, loop.candidate_key)
    if cents < loop.max_cost_cents:
        return None
    spent, most = f"${cents / 100:.2f}", f"${Decimal(loop.max_cost_cents) / 100:.2f}"
    waited = "nobody promoted it" if loop.step == "waiting" else "live traffic brought no verdict"
    return _to_leave(context, loop, f"{waited} before the round had cost {spent}, of {most}")


def _to_leave(context: LoopContext, loop: Loop, outcome: str) -> Loop | None:
    return _to(context, loop, "leaving", f"{outcome}; it is stopped", outcome=outcome)


def _end(context: LoopContext, loop: Loop, outcome: str) -> Loop | None:
    cents = cost_cents(context.candidate, loop.run, loop.candidate_key)
    detail = {"run": loop.run, "evaluation": loop.evaluation, "outcome": outcome, "cents": ceil(cents)}
    Events(context.store).add(Event(context.now, ACTOR, "auto_end", spell_model_type(loop.model_type), detail))
    outcome = f"round over: {outcome}"
    return _to(context, loop, "resting", outcome, outcome=outcome, ended_at=context.now)


def _to(context: LoopContext, loop: Loop, step: Step, line: str, **changes: object) -> Loop | None:
    """The next step, written down with its line in one go."""
    return Loops(context.store).update(
        loop.model_type, step=step, line=line, line_at=context.now, told=False, **changes
    )


def _say(store: Store, loop: Loop, line: str, now: datetime, *, told: bool = False) -> Loop | None:
    if line == loop.line:
        return loop
    return Loops(store).update(loop.model_type, line=line, line_at=now, told=told)


def _has_same_engine(run: TrainingRun, loop: Loop) -> bool:
    """Whether a run makes what the loop's make: a head, or a model."""
    return (run.engine == HEAD) == (loop.engine == HEAD)


def _is_own(plan: object) -> bool:
    typed = plan.get("typed") if isinstance(plan, dict) else None
    return typed == TYPED
