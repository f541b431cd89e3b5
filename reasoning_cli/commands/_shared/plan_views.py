"""How plans look: what a deploy or a stop will do and cost, for a person and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli.commands._shared.cost_views import budget_text
from reasoning_cli.operations.deploy.lora import AttachPlan
from reasoning_cli.operations.deploy.plan import Action, DeployPlan
from reasoning_cli.terminal.units import money, whole_cents
from reasoning_cli.values import spell_model_type, together_idle_minutes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reasoning_cli.operations.deploy.apply import Deployed
    from reasoning_cli.operations.deploy.rollout import Replaced, Shift
    from reasoning_cli.operations.deploy.teardown import StopPlan
    from reasoning_cli.operations.deploy.unmanaged import AdoptPlan
    from reasoning_cli.store.deploy.deployments import DeploymentRecord


def plan_facts(plan: DeployPlan | AttachPlan) -> list[tuple[str, str]]:
    """A deploy as a person decides on it."""
    if isinstance(plan, AttachPlan):
        return _attach_facts(plan)
    hardware = plan.choice.hardware
    room = "" if hardware.headroom is None else f" (headroom {hardware.headroom})"
    several = f", {money(plan.max_cents_per_hour)} with all {plan.max_replicas}" if plan.max_replicas > 1 else ""
    facts = [
        ("deploy", f"{plan.model.name}  as  {spell_model_type(plan.model_type)}"),
        ("endpoint", plan.serving_name),
        ("hardware", f"{hardware.name}{room}, {plan.choice.reason}"),
        ("price", f"{money(hardware.price_cents_per_hour)} an hour while ready{several}; cold start is free"),
        ("idle", _idle(plan.idle_minutes)),
        ("budget", budget_text(plan.standing, plan.added_cents_per_hour)),
    ]
    if plan.action is not Action.CREATE:
        facts.append(("there", f"{plan.record.state if plan.record else ''}: this will {plan.action}"))
    if plan.retires is not None:
        facts.append(("replaces", f"{plan.retires.model_name}, which serves until this has answered, and is detached"))
    return facts


def _attach_facts(plan: AttachPlan) -> list[tuple[str, str]]:
    """An adapter with what it rides on, which is what costs."""
    base, hardware = plan.base, plan.base.choice.hardware
    price = f"{money(base.max_cents_per_hour)} an hour"
    chosen = ""
    if base.action is Action.CREATE:
        chosen = f", {base.choice.reason}"
        rides = f"{base.serving_name}: a deployment of {base.model.name} that is made for it"
        cost = f"{price} while that is ready, whatever else is attached to it later; cold start is free"
    else:
        state = base.record.state if base.record else ""
        rides = f"{base.serving_name}: our deployment of {base.model.name} ({state})"
        cost = f"nothing more: that costs {price} already"
        if base.added_cents_per_hour:
            cost = f"{price} while that is ready: this will {base.action} it"
    facts = [
        ("attach", f"{plan.model.name}  as  {spell_model_type(plan.model_type)}"),
        ("rides on", rides),
        ("hardware", f"{hardware.name}{chosen}"),
        ("price", cost),
        ("idle", _idle(base.idle_minutes)),
        ("budget", budget_text(base.standing, base.added_cents_per_hour)),
    ]
    if plan.replaces is not None:
        end = "detached" if plan.replaces.rides_on else "stopped and deleted"
        facts.append(("replaces", f"{plan.replaces.model_name}, which serves until this has answered, and is {end}"))
    return facts


def replacement_facts(plan: DeployPlan, shift: Shift) -> list[tuple[str, str]]:
    """A replacement as a person decides on it."""
    old = plan.replaces
    assert old is not None
    last = shift.steps[-1]
    steps = " %, then ".join(str(step) for step in shift.steps)
    then = f"{old.model_name} is {'stopped and kept' if shift.keep_old else 'stopped and deleted'}"
    if last < 100:
        then = f"both go on; `reasoning models promote {spell_model_type(plan.model_type)}` finishes it"
    return [
        *plan_facts(plan),
        ("replaces", f"{old.model_name} ({old.state}), which goes on serving until the new one has answered"),
        ("traffic", f"{steps} % to the new one" if last < 100 or len(shift.steps) > 1 else "all of it at once"),
        ("then", then),
    ]


def replacement_record(plan: DeployPlan, shift: Shift, done: Replaced | None) -> dict[str, object]:
    """A replacement for machines: planned, or as it ended."""
    old = plan.replaces
    assert old is not None
    record = {**plan_record(plan), "replaces": old.model_name, "steps": shift.steps, "keep_old": shift.keep_old}
    if done is None:
        return record
    return {
        **record,
        **_deployment_record(done.record),
        "percent": done.percent,
        "old_state": done.old.state,
        "first_answer_ms": round(done.answered_in.total_seconds() * 1000),
    }


def _idle(minutes: int) -> str:
    if not minutes:
        return "never stops by itself: it costs until somebody stops it"
    floor = together_idle_minutes(minutes)
    if floor != minutes:
        return (
            f"the guard stops it after {minutes} minutes without a request; Together after {floor} if no guard is alive"
        )
    return f"Together stops it after {minutes} minutes without a request, even if we are gone"


def plan_record(plan: DeployPlan | AttachPlan) -> dict[str, object]:
    """A deploy plan for machines; that of an adapter with what it rides on."""
    if isinstance(plan, AttachPlan):
        return {
            **plan_record(plan.base),
            "action": str(plan.action),
            "model_type": plan.model_type,
            "model": plan.model.name,
            "model_id": plan.model.id,
            "serving_name": plan.serving_name,
            "rides_on": plan.base.endpoint_name,
            "base_model": plan.base.model.name,
            "base_action": str(plan.base.action),
            "replaces": plan.replaces.model_name if plan.replaces else None,
        }
    hardware = plan.choice.hardware
    return {
        "action": str(plan.action),
        "model_type": plan.model_type,
        "model": plan.model.name,
        "model_id": plan.model.id,
        "serving_name": plan.serving_name,
        "hardware": hardware.name,
        "config": hardware.config,
        "price_cents_per_hour": hardware.price_cents_per_hour,
        "min_replicas": plan.min_replicas,
        "max_replicas": plan.max_replicas,
        "added_cents_per_hour": plan.added_cents_per_hour,
        "idle_minutes": plan.idle_minutes,
        "budget_left_cents": None if plan.standing.left_cents is None else whole_cents(plan.standing.left_cents),
    }


def deployed_record(plan: DeployPlan | AttachPlan, done: Deployed) -> dict[str, object]:
    """How a deploy ended, for machines."""
    milliseconds = None if done.answered_in is None else round(done.answered_in.total_seconds() * 1000)
    serving_name = done.record.serving_name
    ended = {**_deployment_record(done.record), "serving_name": serving_name, "first_answer_ms": milliseconds}
    return {**plan_record(plan), **ended}


def _deployment_record(record: DeploymentRecord) -> dict[str, object]:
    return {
        "state": record.state,
        "ready_replicas": record.ready_replicas,
        "endpoint_id": record.endpoint_id,
        "deployment_id": record.deployment_id,
        **({"adapter_id": record.adapter_id} if record.rides_on else {}),
    }


def stop_facts(plan: StopPlan, *, ours: bool = True) -> list[tuple[str, str]]:
    """A stop as a person decides on it."""
    record = plan.record
    saves = money(plan.saves_cents_per_hour)
    if record.rides_on is not None:
        return _detach_facts(plan)
    if plan.beside:
        then = "all stay at Together, stopped" if plan.keep else "they and their endpoint are deleted; the models stay"
    else:
        then = "stays at Together, stopped" if plan.keep else "deployment and endpoint are deleted; the model stays"
    riders = ", ".join(
        f"{rider.model_name}" + (f" ({spell_model_type(rider.model_type)})" if rider.model_type else "")
        for rider in plan.riders
    )
    return [
        ("stop", f"{record.endpoint_name}: {record.model_name} on {record.hardware}, {record.state}"),
        *[
            ("with it", f"{other.deployment_name}: {other.model_name} on {other.hardware}, {other.state}")
            for other in plan.beside
        ],
        *([("with it", f"{riders}: {'attached, and stopped' if plan.keep else 'detached first'}")] if riders else []),
        *([] if ours else [("whose", "not ours: it was made elsewhere in this project, and somebody may need it")]),
        ("then", then),
        ("saves", f"{saves} an hour"),
    ]


def _detach_facts(plan: StopPlan) -> list[tuple[str, str]]:
    """The end of an adapter, and what becomes of what it rides on."""
    record, base = plan.record, plan.base
    then = f"{record.endpoint_name} goes on for {' and '.join(plan.stays_for)}; the adapter stays in the registry"
    if base is not None:
        then = f"{base.endpoint_name} ({base.model_name} on {base.hardware}) is deleted: nothing else of ours needs it"
    return [
        ("detach", f"{record.model_name} from {record.endpoint_name}, {record.state}"),
        ("then", then),
        ("saves", f"{money(plan.saves_cents_per_hour)} an hour" if base is not None else "nothing"),
    ]


def adopt_facts(plan: AdoptPlan) -> list[tuple[str, str]]:
    """An adoption as a person decides on it."""
    record, added = plan.record, plan.status.burn_cents_per_hour
    return [
        ("adopt", f"{plan.status.name}: {record.model_name} on {record.hardware}, {record.state}"),
        ("as", f"{spell_model_type(plan.model_type)}: its decisions go there from now on"),
        ("price", f"{money(added)} an hour, in our ledger and budget from now on; idle and budget rules stop it, too"),
        ("budget", budget_text(plan.standing, added)),
    ]


def adopt_record(plan: AdoptPlan, record: DeploymentRecord) -> dict[str, object]:
    """An adoption for machines."""
    return {
        "name": plan.status.name,
        "model_type": plan.model_type,
        "model": record.model_name,
        "serving_name": record.serving_name,
        "burn_cents_per_hour": plan.status.burn_cents_per_hour,
        **_deployment_record(record),
    }


def stop_all_facts(plans: Sequence[StopPlan]) -> list[tuple[str, str]]:
    """The stop of everything: each of them with what it costs, and the sum."""
    lines = [
        (
            "stop",
            f"{plan.record.endpoint_name}: {plan.record.model_name}, {plan.record.state},"
            + "".join(f" with {rider.model_name}," for rider in plan.riders)
            + f" {money(plan.saves_cents_per_hour)} an hour",
        )
        for plan in plans
    ]
    return [*lines, ("saves", f"{money(sum(plan.saves_cents_per_hour for plan in plans))} an hour")]


def stop_record(plan: StopPlan, record: DeploymentRecord) -> dict[str, object]:
    """A stop for machines."""
    return {
        "name": record.deployment_name if record.rides_on else record.endpoint_name,
        "keep": plan.keep,
        "stops_too": [other.deployment_name for other in plan.beside],
        "detaches": [rider.model_name for rider in plan.riders],
        "deletes_base": plan.base.endpoint_name if plan.base else None,
        "stays_for": list(plan.stays_for),
        "saves_cents_per_hour": plan.saves_cents_per_hour,
        **_deployment_record(record),
    }
