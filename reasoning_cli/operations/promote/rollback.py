"""Go back to what answered before the last promotion, whether that is over or on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.errors import NotFoundError, ReasoningError
from reasoning_cli.operations.costs.budget import Limits, spending_rate
from reasoning_cli.operations.deploy.apply import run_deploy
from reasoning_cli.operations.deploy.lora import AttachPlan, run_attach
from reasoning_cli.operations.deploy.plan import DeployPlan
from reasoning_cli.operations.deploy.rollout import Return, Shift, plan_rollback, run_replace, run_return
from reasoning_cli.operations.deploy.teardown import StopPlan, run_stop
from reasoning_cli.operations.promote.context import PromotionContext
from reasoning_cli.operations.promote.controller import in_hand, look, send_back
from reasoning_cli.store.audit_log import Event, Events, current_user
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.values import Mode, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud


@dataclass(frozen=True)
class BackPlan:
    """The way back: of a promotion under way, or of the last one that is over. `deploy` brings the former model up
    again, None where the original answered, or where the former is still there."""

    promotion: Promotion
    back_to: str
    deploy: DeployPlan | AttachPlan | Return | None

    @property
    def going(self) -> bool:
        return self.promotion.finished_at is None


def plan_back(client: Cloud, store: Store, limits: Limits, model_type: str) -> BackPlan:
    """Find the last promotion and what was before it. Raises NotFoundError where there is none to take back, and what
    `plan_rollback` raises."""
    name = spell_model_type(model_type)
    latest = Promotions(store).latest(model_type)
    if latest is None or (latest.finished_at is not None and latest.stage != "promoted"):
        raise NotFoundError(
            f"no model was promoted to {name}" if latest is None else f"the last promotion to {name} is {latest.stage}",
            f"`reasoning train history {name}` shows what was; `reasoning models rollback {name}` knows deployments",
        )
    if latest.rolled_back_at is not None:
        raise NotFoundError(f"the last promotion to {name} was taken back", f"`reasoning train history {name}`")
    old = Deployments(store).get(latest.old_key) if latest.old_key else None
    answered = old is not None and bool(latest.plan.get("old_answers"))
    back_to = old.model_name if old is not None and answered else "the original"
    if latest.finished_at is None or old is None or not answered:
        return BackPlan(latest, back_to, None)
    return BackPlan(latest, back_to, plan_rollback(client, store, limits, model_type))


def run_back(context: PromotionContext, plan: BackPlan, *, keep_loser: bool) -> Promotion:
    """Do it. Raises ReasoningError while another process has the promotion in hand, and what stopping raises."""
    promotion, promotions = plan.promotion, Promotions(context.store)
    name = spell_model_type(promotion.model_type)
    with in_hand(context.store, promotion.model_type) as mine:
        if not mine:
            raise ReasoningError(
                f"another process has the promotion of {name} in hand",
                "end it there with Ctrl-C, then say it again; it takes back by itself what breaks",
            )
        if promotion.finished_at is None:
            return _send_back(context, promotion, keep_loser=keep_loser)
        _restore(context, promotion, with_mode=plan.deploy is None)
        if plan.deploy is None:
            new = Deployments(context.store).get(promotion.model_key or "")
            if new is not None and new.deleted_at is None:
                run_stop(context.client, context.store, StopPlan(new, keep_loser, spending_rate(new)), context.wait)
        elif isinstance(plan.deploy, Return):
            run_return(context.client, context.store, plan.deploy, context.wait)
        elif isinstance(plan.deploy, AttachPlan):
            run_attach(context.client, context.store, plan.deploy, wait=context.wait)
        elif plan.deploy.replaces is not None:
            shift = Shift(keep_old=keep_loser, is_rollback=True)
            run_replace(context.client, context.store, plan.deploy, shift, context.wait)
        else:
            run_deploy(context.client, context.store, plan.deploy, wait=context.wait)
        detail = {"model": promotion.model, "to": plan.back_to, "promotion": promotion.number}
        Events(context.store).add(Event(context.now(), context.actor, "roll_back", promotion.model_type, detail))
        return promotions.update(promotion.number, at=context.now(), rolled_back_at=context.now())


def _send_back(context: PromotionContext, promotion: Promotion, *, keep_loser: bool) -> Promotion:
    promotions = Promotions(context.store)
    if keep_loser:
        changed_plan = {**promotion.plan, "keep_loser": True}
        promotion = promotions.update(promotion.number, at=context.now(), plan=changed_plan)
    done = send_back(context, promotion, f"{current_user()} sent it back").promotion
    # What could not be stopped at once is tried once more, and its problem raised.
    return done if done.finished_at is not None else look(context, done).promotion


def _restore(context: PromotionContext, promotion: Promotion, *, with_mode: bool) -> None:
    """The slot's settings as they were; where the original answered, no model does any more."""
    model_type = promotion.model_type
    before = {name: str(text) for name, text in promotion.before.items()}
    if with_mode and promotion.old_key is None and before.get(s.MODE[model_type].name) != str(Mode.SHADOW):
        before[s.MODE[model_type].name] = str(Mode.SHADOW)
    s.write_settings(context.settings().paths, before)
