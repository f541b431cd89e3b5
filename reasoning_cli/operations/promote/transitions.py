"""The single moves of a promotion: begin with a share, take the traffic back, stop what lost. Each can be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.operations.costs.budget import spending_rate
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.deploy.rollout import move
from reasoning_cli.operations.deploy.teardown import StopPlan, run_stop
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.promote.gate import Criterion
from reasoning_cli.operations.promote.plan import SHADOW_SHARE
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.deploy.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.values import Mode, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.promote.context import PromotionContext


def gate_of(promotion: Promotion) -> Gate:
    """The rules it was begun with."""
    rules = promotion.plan.get("gate")
    return Gate(**rules) if isinstance(rules, dict) else Gate()


def percents(promotion: Promotion) -> list[int]:
    """The shares of a promotion, in order."""
    steps = promotion.plan.get("steps")
    assert isinstance(steps, list)
    return [int(step) for step in steps]


def step_text(percent: int) -> str:
    """A share in words."""
    if percent == SHADOW_SHARE:
        return "shadow"
    return "all of the traffic" if percent == 100 else f"{percent} % of the users"


def enter(context: PromotionContext, promotion: Promotion, step: int, record: DeploymentRecord) -> Promotion:
    """Begin with a share: first on record, so that whoever comes next sees what was wanted."""
    percent = percents(promotion)[step]
    promotion = Promotions(context.store).update(
        promotion.number, at=context.now(), stage="watching", step=step, step_at=None, model_key=record.key
    )
    promotion = applied(context, promotion)
    detail = {"model": promotion.model, "percent": percent, "promotion": promotion.number}
    note_event(context, promotion, "promote_step", detail)
    return promotion


def applied(context: PromotionContext, promotion: Promotion) -> Promotion:
    """The promotion with its step begun, as of now."""
    _apply(context, promotion)
    return Promotions(context.store).update(promotion.number, at=context.now(), step_at=context.now())


def _apply(context: PromotionContext, promotion: Promotion) -> None:
    """Bring slot and shares to what the step wants. May be done again."""
    percent = percents(promotion)[promotion.step]
    if _old_answers(promotion):
        _shift(context, promotion, percent)
        return
    if promotion.old_key is not None:
        _shift(context, promotion, 100)  # the other one answers nobody: what is asked is the candidate
    if percent == SHADOW_SHARE:
        write_mode(context, promotion, mode=Mode.SHADOW)
    elif percent < 100:
        write_mode(context, promotion, mode=Mode.CANARY, share=percent)
    else:
        write_mode(context, promotion, mode=Mode.LIVE)


def _shift(context: PromotionContext, promotion: Promotion, percent: int) -> None:
    """Move the traffic between two models: our own share of users at once, Together's split after it."""
    replacement = _replacement(context, promotion)
    old, new = _records(context, promotion)
    assert old is not None and new is not None
    if replacement is not None:
        Replacements(context.store).set_percent(replacement, percent)
    if share_endpoint(old, new) and new.state != DELETED:
        move(context.client, old, new, percent, keep_new=percent == 0)


def _replacement(context: PromotionContext, promotion: Promotion) -> int | None:
    going = Replacements(context.store).going(promotion.model_type)
    if going is None or (going.old_key, going.new_key) != (promotion.old_key, promotion.model_key):
        return None
    return going.number


def take_traffic(context: PromotionContext, promotion: Promotion) -> None:
    """Who answered before answers again. What Together's split says comes last: agents are led by what we keep."""
    if not _old_answers(promotion):
        names = [settings[promotion.model_type].name for settings in (s.ENABLED, s.MODE, s.SHARE, s.PROMPT_FORM)]
        before = {name: str(text) for name, text in promotion.before.items() if name in names}
        if promotion.old_key is None:
            # Whatever the slot did before, it had no other model to do it with.
            before[s.MODE[promotion.model_type].name] = str(Mode.SHADOW)
        s.write_settings(context.settings().paths, before)
    if promotion.old_key is not None:
        replacement = _replacement(context, promotion)
        if replacement is not None:
            Replacements(context.store).set_percent(replacement, 0)


def _final(context: PromotionContext, promotion: Promotion) -> None:
    """It has shown what it had to: the slot is its own."""
    new = _records(context, promotion)[1]
    assert new is not None
    model_type = promotion.model_type
    Deployments(context.store).set_slot(model_type, new.key, now=context.client.now())
    form = str(promotion.plan["prompt_form"])
    s.write_settings(
        context.settings().paths, {s.MODEL[model_type].name: new.model_name, s.PROMPT_FORM[model_type].name: form}
    )


def finish(context: PromotionContext, promotion: Promotion) -> tuple[Promotion, str]:
    """Make the slot its own, stop what lost, and be done."""
    _final(context, promotion)
    old = _records(context, promotion)[0]
    if old is not None and old.deleted_at is None:
        keep = bool(promotion.plan.get("keep_loser"))
        run_stop(context.client, context.store, StopPlan(old, keep, spending_rate(old)), context.wait)
    replacement = Replacements(context.store).unfinished_to(promotion.model_key or "")
    if replacement is not None:
        Replacements(context.store).finish(replacement.number, context.client.now())
    now = context.now()
    why = "it passed its gate and held in every step"
    if promotion.forced_by:
        why = f"{promotion.forced_by} went on against the gate; it held in every step"
    promotion = Promotions(context.store).update(
        promotion.number, at=now, stage="promoted", finished_at=now, why=promotion.why or why
    )
    note_event(context, promotion, "promoted", {"model": promotion.model, "promotion": promotion.number})
    return promotion, f"{promotion.model} answers {spell_model_type(promotion.model_type)}"


def give_back(context: PromotionContext, promotion: Promotion) -> tuple[Promotion, str]:
    """Give the split back too, and stop the model that came."""
    take_traffic(context, promotion)
    old, new = _records(context, promotion)
    if new is not None and new.deleted_at is None:
        if old is not None and share_endpoint(old, new):
            move(context.client, old, observe(context.client, context.store, new), 0)
        keep = bool(promotion.plan.get("keep_loser"))
        run_stop(context.client, context.store, StopPlan(new, keep, spending_rate(new)), context.wait)
    replacement = Replacements(context.store).unfinished_to(promotion.model_key or "")
    if replacement is not None:
        Replacements(context.store).finish(replacement.number, context.client.now())
    now = context.now()
    promotion = Promotions(context.store).update(promotion.number, at=now, stage="returned", finished_at=now)
    who = old.model_name if old is not None and _old_answers(promotion) else "the original"
    return promotion, f"{who} answers {spell_model_type(promotion.model_type)} again"


def leave(context: PromotionContext, promotion: Promotion, changed: str) -> tuple[Promotion, str]:
    """Somebody else has decided about the slot: nothing more is done to it."""
    now = context.now()
    why = f"the slot was changed meanwhile: {changed}"
    promotion = Promotions(context.store).update(promotion.number, at=now, stage="left", finished_at=now, why=why)
    note_event(
        context, promotion, "leave_promotion", {"model": promotion.model, "why": why, "promotion": promotion.number}
    )
    return promotion, f"the promotion of {promotion.model} ends here: {why}"


def changed_meanwhile(context: PromotionContext, promotion: Promotion) -> str | None:
    """What somebody else changed since the step began, in words; None when all is as it was left."""
    model_type = promotion.model_type
    percent = percents(promotion)[promotion.step]
    old, new = _records(context, promotion)
    if new is None or new.deleted_at is not None:
        return f"`{promotion.model}` is gone"
    key = Deployments(context.store).serving(model_type)
    if key != (promotion.old_key or promotion.model_key):
        other = Deployments(context.store).get(key) if key else None
        return f"it holds `{other.model_name}`" if other is not None else "it is empty"
    if old is not None:
        going = Replacements(context.store).going(model_type)
        if going is None or going.new_key != promotion.model_key:
            return f"`{promotion.model}` was taken out of it"
        wanted = percent if _old_answers(promotion) else 100
        if going.percent != wanted:
            return f"`{promotion.model}` has {going.percent} % of it, and not {wanted} %"
    get = context.settings().get
    if not get(s.ENABLED[model_type]):
        return "it is disabled"
    if _old_answers(promotion):
        return None
    mode = Mode.SHADOW if percent == SHADOW_SHARE else Mode.CANARY if percent < 100 else Mode.LIVE
    if get(s.MODE[model_type]) is not mode:
        return f"its mode is {get(s.MODE[model_type])}, and not {mode}"
    if mode is Mode.CANARY and get(s.SHARE[model_type]) != percent:
        return f"its share is {get(s.SHARE[model_type])} %, and not {percent} %"
    return None


# --- facts ---


def _old_answers(promotion: Promotion) -> bool:
    return bool(promotion.plan.get("old_answers"))


def _records(
    context: PromotionContext, promotion: Promotion
) -> tuple[DeploymentRecord | None, DeploymentRecord | None]:
    """The baseline, and the candidate."""
    get = Deployments(context.store).get
    return (
        get(promotion.old_key) if promotion.old_key else None,
        get(promotion.model_key) if promotion.model_key else None,
    )


def share_endpoint(old: DeploymentRecord, new: DeploymentRecord) -> bool:
    """Whether Together's split shares the traffic between the two: an adapter is in none."""
    return old.endpoint_name == new.endpoint_name and old.rides_on is None and new.rides_on is None


def write_mode(context: PromotionContext, promotion: Promotion, *, mode: Mode, share: int | None = None) -> None:
    """What the slot's model may do, and how it is asked."""
    model_type = promotion.model_type
    texts = {
        s.ENABLED[model_type].name: "true",
        s.MODE[model_type].name: str(mode),
        s.PROMPT_FORM[model_type].name: str(promotion.plan["prompt_form"]),
    }
    if share is not None:
        texts[s.SHARE[model_type].name] = str(share)
    s.write_settings(context.settings().paths, texts)


def note_event(context: PromotionContext, promotion: Promotion, action: str, detail: dict[str, object]) -> None:
    Events(context.store).add(Event(context.now(), context.actor, action, promotion.model_type, detail))


def criterion_record(criterion: Criterion) -> dict[str, object]:
    return {name: getattr(criterion, name) for name in ("key", "text", "wanted", "found", "passed")}
