"""Bring a model into its slot by steps, watch it, and take it back by itself when it breaks.

One look (`look`) finds from the store how far a promotion has come, judges what it has shown since its step began, and
does what follows. Whoever looks next goes on from there: the command that began it, the same command after a crash, or
the guard. A promotion is in one hand at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.operations.attaching import AttachPlan
from reasoning_cli.operations.bringing_up import bring_up, cost_told, route
from reasoning_cli.operations.budget import AT_REST, burn
from reasoning_cli.operations.gates import Criterion, Gate
from reasoning_cli.operations.guard_lock import hold_alone
from reasoning_cli.operations.ledger import observe
from reasoning_cli.operations.promoting_plan import UNSEEN, PromotionPlan
from reasoning_cli.operations.promoting_watch import Watched, may_go_on, watch
from reasoning_cli.operations.replacing import move
from reasoning_cli.operations.stopping import StopPlan, run_stop
from reasoning_cli.operations.waiting import Waiting, try_answer, wait_for
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.events import Event, Events
from reasoning_cli.store.live_answers import live_answers
from reasoning_cli.store.promotions import WATCHED, Promotion, Promotions
from reasoning_cli.store.replacements import Replacements
from reasoning_cli.values import MODEL_TYPES, Mode, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient

COMMAND, GUARD = "operator", "guard"
LOOK_SECONDS = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """What a promotion is carried out with. `settings` reads them anew; `now` is the clock that decisions are dated by,
    which in the sandbox is another than the client's; `actor` is who does it, for the events."""

    client: TogetherClient
    store: Store
    settings: Callable[[], Settings]
    now: Callable[[], datetime]
    wait: Waiting
    actor: str = COMMAND


@dataclass(frozen=True)
class Look:
    """How a promotion stands after a look, what the model has shown since its step began, and what is to be told."""

    promotion: Promotion
    seen: Watched | None = None
    told: str | None = None


def percents(promotion: Promotion) -> list[int]:
    """The shares of a promotion, in order."""
    steps = promotion.plan.get("steps")
    assert isinstance(steps, list)
    return [int(one) for one in steps]


def gate_of(promotion: Promotion) -> Gate:
    """The rules it was begun with."""
    rules = promotion.plan.get("gate")
    return Gate(**rules) if isinstance(rules, dict) else Gate()


def begin(desk: Desk, plan: PromotionPlan, *, by: str, forced: bool) -> Promotion:
    """Remember what was agreed to, before anything is done."""
    failed = [one for one in plan.criteria if one.passed is False]
    promotion = Promotions(desk.store).begin(
        plan.model_type,
        plan.candidate.name,
        by=by,
        at=desk.now(),
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
        gate=[_kept(one) for one in plan.criteria],
        model_key=plan.candidate.record.key if plan.candidate.record and plan.deploy is None else None,
        old_key=plan.old.key if plan.old is not None else None,
        run=plan.candidate.run.number if plan.candidate.run is not None else None,
        evaluation=plan.evaluation,
        forced_by=by if forced and failed else None,
    )
    detail: dict[str, object] = {"model": promotion.model, "promotion": promotion.number}
    if promotion.forced_by:
        detail |= {"forced": True, "failed": [one.key for one in failed]}
    _event(desk, promotion, "force_promote" if promotion.forced_by else "promote", detail)
    return promotion


def bring_in(desk: Desk, promotion: Promotion, plan: PromotionPlan) -> Promotion:
    """Bring the model up where it is not, unseen by agents, try it, and begin with the first share."""
    if plan.old is None:
        # First: a slot that was live without a model must not hand everything to one that nobody has tried.
        _write(desk, promotion, mode=Mode.SHADOW)

    def made(record: DeploymentRecord) -> None:
        Promotions(desk.store).update(promotion.number, at=desk.now(), model_key=record.key)

    record = stand_beside(desk, plan, made)
    if plan.old is None:
        Deployments(desk.store).set_slot(promotion.model_type, record.key, now=desk.client.now())
    return _enter(desk, promotion, 0, record)


def stand_beside(desk: Desk, plan: PromotionPlan, made: Callable[[DeploymentRecord], None]) -> DeploymentRecord:
    """Bring the model up where it is not, beside what answers now, with none of its traffic, and try it. `made` is told
    as soon as there is a deployment that costs. May be done again."""
    record = plan.candidate.record
    if plan.deploy is not None:
        assert not isinstance(plan.deploy, AttachPlan)
        with cost_told(plan.deploy.endpoint_name, plan.deploy.max_cents_per_hour):
            record = bring_up(desk.client, desk.store, plan.deploy, desk.wait)
            made(record)
            record = wait_for(desk.client, desk.store, record, "READY", desk.wait)
    assert record is not None
    old, pinned = plan.old, None
    if old is not None:
        replacement = Replacements(desk.store).begin(plan.model_type, old.key, record.key, desk.client.now())
        if _share_endpoint(old, record):
            if replacement.percent == 0:
                move(desk.client, old, record, 0, keep_new=True)
            pinned = f"{record.serving_name}/{record.deployment_name}"
    if record.rides_on is None and (old is None or not _share_endpoint(old, record)):
        route(desk.client, record)
    try_answer(desk.client, record, desk.wait, name=pinned)
    return record


def look(desk: Desk, promotion: Promotion) -> Look:
    """Judge and act once. Raises ReasoningError when Together cannot be reached; nothing is lost then."""
    found = Promotions(desk.store).get(promotion.number)
    assert found is not None
    promotion = found
    if promotion.stage == "finishing":
        return _finish(desk, promotion)
    if promotion.stage == "returning":
        return _return(desk, promotion)
    if promotion.stage != "watching":
        return Look(promotion)
    if promotion.step_at is None:  # what began this step broke off
        promotion = _applied(desk, promotion)
    if (changed := _changed(desk, promotion)) is not None:
        return _leave(desk, promotion, changed)
    assert promotion.model_key is not None and promotion.step_at is not None
    record = Deployments(desk.store).get(promotion.model_key)
    assert record is not None
    gate, steps, now = gate_of(promotion), percents(promotion), desk.now()
    answers = live_answers(desk.store, promotion.model_type, promotion.step_at, now + timedelta(seconds=1))
    seen = watch(answers, promotion.model_key, gate, len(steps))
    why = seen.broken
    if why is None:
        record = observe(desk.client, desk.store, record)
        if record.deleted_at is not None or record.state in AT_REST or record.state == "FAILED":
            why = f"its deployment is {record.state}"
    if why is not None:
        return replace(send_back(desk, promotion, why), seen=seen)
    hold, interval = int(str(promotion.plan["hold"])), float(str(promotion.plan["interval_seconds"]))
    if not may_go_on(seen, hold, promotion.step_at, now, interval):
        return Look(promotion, seen)
    if promotion.step + 1 < len(steps):
        promotion = _enter(desk, promotion, promotion.step + 1, record)
        return Look(promotion, seen, f"{promotion.model} goes on to {step_text(steps[promotion.step])}")
    promotion = Promotions(desk.store).update(promotion.number, at=now, stage="finishing")
    return replace(_finish(desk, promotion), seen=seen)


def run_watch(desk: Desk, promotion: Promotion, tell: Callable[[Look], None]) -> Look:
    """Look until it is over. What Together does not answer is told, and asked again."""
    while True:
        try:
            seen = look(desk, promotion)
        except RemoteError as problem:
            seen = Look(promotion, told=problem.message)
        tell(seen)
        promotion = seen.promotion
        if promotion.finished_at is not None:
            return seen
        desk.wait.sleep(min(desk.wait.poll_seconds, LOOK_SECONDS))


def send_back(desk: Desk, promotion: Promotion, why: str) -> Look:
    """Take its traffic from it, at once; then stop it."""
    promotion = Promotions(desk.store).update(promotion.number, at=desk.now(), stage="returning", why=why)
    percent = percents(promotion)[promotion.step]
    detail = {"model": promotion.model, "why": why, "percent": percent, "promotion": promotion.number}
    _event(desk, promotion, "send_back", detail)
    _take_traffic(desk, promotion)
    told = f"{promotion.model} goes back: {why}"
    try:
        return replace(_return(desk, promotion), told=told)
    except ReasoningError as problem:
        # The agents have what they had; only the bill runs on, and whoever looks next sees to it.
        log.info("%s is still to be stopped: %s", promotion.model, problem.message)
        return Look(promotion, told=f"{told}; it is still to be stopped")


def watch_promotions(desk: Desk, database: Path) -> list[Look]:
    """One look at every promotion that nobody else has in hand; those looks.

    For the guard: a model that turns bad goes back also when the terminal it was promoted from is closed. What Together
    does not answer, or takes its time with, is tried again in the next round.
    """
    looks = []
    for model_type in MODEL_TYPES:
        promotion = Promotions(desk.store).going(model_type)
        if promotion is None or promotion.stage not in WATCHED:
            continue
        with in_hand(database, model_type) as mine:
            if not mine:
                continue
            try:
                looks.append(look(desk, promotion))
            except RemoteError as problem:
                log.info("the promotion of %s waits: %s", promotion.model, problem.message)
                looks.append(Look(promotion))
    return looks


def in_hand(database: Path, model_type: str) -> AbstractContextManager[bool]:
    """Whether this process has the promotions of a type in hand, for as long as the block runs."""
    return hold_alone(database, f"promotion-{model_type}")


def step_text(percent: int) -> str:
    """A share in words."""
    if percent == UNSEEN:
        return "unseen, asked beside"
    return "all of the traffic" if percent == 100 else f"{percent} % of the people"


# --- steps ---


def _enter(desk: Desk, promotion: Promotion, step: int, record: DeploymentRecord) -> Promotion:
    """Begin with a share: first on record, so that whoever comes next sees what was wanted."""
    percent = percents(promotion)[step]
    promotion = Promotions(desk.store).update(
        promotion.number, at=desk.now(), stage="watching", step=step, step_at=None, model_key=record.key
    )
    promotion = _applied(desk, promotion)
    detail = {"model": promotion.model, "percent": percent, "promotion": promotion.number}
    _event(desk, promotion, "promote_step", detail)
    return promotion


def _applied(desk: Desk, promotion: Promotion) -> Promotion:
    """The promotion with its step begun, as of now."""
    _apply(desk, promotion)
    return Promotions(desk.store).update(promotion.number, at=desk.now(), step_at=desk.now())


def _apply(desk: Desk, promotion: Promotion) -> None:
    """Bring slot and shares to what the step wants. May be done again."""
    percent = percents(promotion)[promotion.step]
    if _old_answers(promotion):
        _shift(desk, promotion, percent)
        return
    if promotion.old_key is not None:
        _shift(desk, promotion, 100)  # the other one answers nobody: what is asked is the newcomer
    if percent == UNSEEN:
        _write(desk, promotion, mode=Mode.SHADOW)
    elif percent < 100:
        _write(desk, promotion, mode=Mode.CANARY, share=percent)
    else:
        _write(desk, promotion, mode=Mode.LIVE)


def _shift(desk: Desk, promotion: Promotion, percent: int) -> None:
    """Move the traffic between two models: our own share of people at once, Together's split after it."""
    replacement = _replacement(desk, promotion)
    old, new = _records(desk, promotion)
    assert old is not None and new is not None
    if replacement is not None:
        Replacements(desk.store).set_percent(replacement, percent)
    if _share_endpoint(old, new) and new.state != DELETED:
        move(desk.client, old, new, percent, keep_new=percent == 0)


def _replacement(desk: Desk, promotion: Promotion) -> int | None:
    going = Replacements(desk.store).going(promotion.model_type)
    if going is None or (going.old_key, going.new_key) != (promotion.old_key, promotion.model_key):
        return None
    return going.number


def _take_traffic(desk: Desk, promotion: Promotion) -> None:
    """Who answered before answers again. What Together's split says comes last: agents are led by what we keep."""
    if not _old_answers(promotion):
        names = [one[promotion.model_type].name for one in (s.ENABLED, s.MODE, s.SHARE, s.PROMPT_FORM)]
        before = {name: str(text) for name, text in promotion.before.items() if name in names}
        if promotion.old_key is None:
            # Whatever the slot did before, it had no other model to do it with.
            before[s.MODE[promotion.model_type].name] = str(Mode.SHADOW)
        s.write_settings(desk.settings().paths, before)
    if promotion.old_key is not None:
        replacement = _replacement(desk, promotion)
        if replacement is not None:
            Replacements(desk.store).set_percent(replacement, 0)


def _final(desk: Desk, promotion: Promotion) -> None:
    """It has shown what it had to: the slot is its own."""
    new = _records(desk, promotion)[1]
    assert new is not None
    model_type = promotion.model_type
    Deployments(desk.store).set_slot(model_type, new.key, now=desk.client.now())
    form = str(promotion.plan["prompt_form"])
    s.write_settings(
        desk.settings().paths, {s.MODEL[model_type].name: new.model_name, s.PROMPT_FORM[model_type].name: form}
    )


def _finish(desk: Desk, promotion: Promotion) -> Look:
    """Make the slot its own, stop what lost, and be done."""
    _final(desk, promotion)
    old = _records(desk, promotion)[0]
    if old is not None and old.deleted_at is None:
        keep = bool(promotion.plan.get("keep_loser"))
        run_stop(desk.client, desk.store, StopPlan(old, keep, burn(old)), desk.wait)
    replacement = Replacements(desk.store).unfinished_to(promotion.model_key or "")
    if replacement is not None:
        Replacements(desk.store).finish(replacement.number, desk.client.now())
    now = desk.now()
    why = "it passed its gate and held in every step"
    if promotion.forced_by:
        why = f"{promotion.forced_by} went on against the gate; it held in every step"
    promotion = Promotions(desk.store).update(
        promotion.number, at=now, stage="promoted", finished_at=now, why=promotion.why or why
    )
    _event(desk, promotion, "promoted", {"model": promotion.model, "promotion": promotion.number})
    return Look(promotion, told=f"{promotion.model} answers {spell_model_type(promotion.model_type)}")


def _return(desk: Desk, promotion: Promotion) -> Look:
    """Give the split back too, and stop the model that came."""
    _take_traffic(desk, promotion)
    old, new = _records(desk, promotion)
    if new is not None and new.deleted_at is None:
        if old is not None and _share_endpoint(old, new):
            move(desk.client, old, observe(desk.client, desk.store, new), 0)
        keep = bool(promotion.plan.get("keep_loser"))
        run_stop(desk.client, desk.store, StopPlan(new, keep, burn(new)), desk.wait)
    replacement = Replacements(desk.store).unfinished_to(promotion.model_key or "")
    if replacement is not None:
        Replacements(desk.store).finish(replacement.number, desk.client.now())
    now = desk.now()
    promotion = Promotions(desk.store).update(promotion.number, at=now, stage="returned", finished_at=now)
    who = old.model_name if old is not None and _old_answers(promotion) else "the original"
    return Look(promotion, told=f"{who} answers {spell_model_type(promotion.model_type)} again")


def _leave(desk: Desk, promotion: Promotion, changed: str) -> Look:
    """Somebody else has decided about the slot: nothing more is done to it."""
    now = desk.now()
    why = f"the slot was changed meanwhile: {changed}"
    promotion = Promotions(desk.store).update(promotion.number, at=now, stage="left", finished_at=now, why=why)
    _event(desk, promotion, "leave_promotion", {"model": promotion.model, "why": why, "promotion": promotion.number})
    return Look(promotion, told=f"the promotion of {promotion.model} ends here: {why}")


def _changed(desk: Desk, promotion: Promotion) -> str | None:
    """What somebody else changed since the step began, in words; None when all is as it was left."""
    model_type = promotion.model_type
    percent = percents(promotion)[promotion.step]
    old, new = _records(desk, promotion)
    if new is None or new.deleted_at is not None:
        return f"`{promotion.model}` is gone"
    key = Deployments(desk.store).serving(model_type)
    if key != (promotion.old_key or promotion.model_key):
        other = Deployments(desk.store).get(key) if key else None
        return f"it holds `{other.model_name}`" if other is not None else "it is empty"
    if old is not None:
        going = Replacements(desk.store).going(model_type)
        if going is None or going.new_key != promotion.model_key:
            return f"`{promotion.model}` was taken out of it"
        wanted = percent if _old_answers(promotion) else 100
        if going.percent != wanted:
            return f"`{promotion.model}` has {going.percent} % of it, and not {wanted} %"
    get = desk.settings().get
    if not get(s.ENABLED[model_type]):
        return "it is disabled"
    if _old_answers(promotion):
        return None
    mode = Mode.SHADOW if percent == UNSEEN else Mode.CANARY if percent < 100 else Mode.LIVE
    if get(s.MODE[model_type]) is not mode:
        return f"its mode is {get(s.MODE[model_type])}, and not {mode}"
    if mode is Mode.CANARY and get(s.SHARE[model_type]) != percent:
        return f"its share is {get(s.SHARE[model_type])} %, and not {percent} %"
    return None


# --- facts ---


def _old_answers(promotion: Promotion) -> bool:
    return bool(promotion.plan.get("old_answers"))


def _records(desk: Desk, promotion: Promotion) -> tuple[DeploymentRecord | None, DeploymentRecord | None]:
    """What answered before, and what comes in."""
    get = Deployments(desk.store).get
    return (
        get(promotion.old_key) if promotion.old_key else None,
        get(promotion.model_key) if promotion.model_key else None,
    )


def _share_endpoint(old: DeploymentRecord, new: DeploymentRecord) -> bool:
    """Whether Together's split shares the traffic between the two: an adapter is in none."""
    return old.endpoint_name == new.endpoint_name and old.rides_on is None and new.rides_on is None


def _write(desk: Desk, promotion: Promotion, *, mode: Mode, share: int | None = None) -> None:
    """What the slot's model may do, and how it is asked."""
    model_type = promotion.model_type
    texts = {
        s.ENABLED[model_type].name: "true",
        s.MODE[model_type].name: str(mode),
        s.PROMPT_FORM[model_type].name: str(promotion.plan["prompt_form"]),
    }
    if share is not None:
        texts[s.SHARE[model_type].name] = str(share)
    s.write_settings(desk.settings().paths, texts)


def _event(desk: Desk, promotion: Promotion, action: str, detail: dict[str, object]) -> None:
    Events(desk.store).add(Event(desk.now(), desk.actor, action, promotion.model_type, detail))


def _kept(one: Criterion) -> dict[str, object]:
    return {name: getattr(one, name) for name in ("key", "text", "wanted", "found", "passed")}
