"""How models and money look: the columns of each listing, the facts of each plan, and their JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from reasoning_cli.operations.budget import Standing
from reasoning_cli.operations.deploying import Action, Deployed, DeployPlan
from reasoning_cli.operations.ledger import Usage
from reasoning_cli.operations.status import CostLine, CostReport, ModelStatus
from reasoning_cli.operations.stopping import StopPlan
from reasoning_cli.store.deployments import DeploymentRecord
from reasoning_cli.terminal.listing import Column
from reasoning_cli.terminal.units import bar, duration, hours, moment, money, percent, whole_cents
from reasoning_cli.values import spell_model_type

# --- models ---


def _name(one: ModelStatus) -> str:
    return spell_model_type(one.model_type) if one.model_type else one.name


def _state(one: ModelStatus) -> str:
    if one.record is not None and one.enabled is False:
        return f"{one.state}, disabled"
    return one.state


def _style(one: ModelStatus) -> str:
    return {"READY": "good", "FAILED": "bad", "DEGRADED": "bad", "off": "dim"}.get(one.state, "warning")


def _price(one: ModelStatus) -> str:
    return money(one.burn_cents_per_hour) if one.burn_cents_per_hour else "–"


def _replicas(one: ModelStatus) -> str:
    if one.record is None:
        return "–"
    return f"{one.record.ready_replicas} of {one.record.max_replicas}"


def _ready(one: ModelStatus) -> int:
    return one.record.ready_replicas if one.record else 0


def _more(shown: Sequence[Column[ModelStatus]]) -> list[Column[ModelStatus]]:
    """What only machines read, so that every listing of models has the same keys."""
    known = {column.key for column in shown}
    every: list[Column[ModelStatus]] = [
        Column("model_type", lambda one: one.model_type),
        Column("enabled", lambda one: one.enabled),
        Column("ready_replicas", _ready),
        Column("min_replicas", lambda one: one.record.min_replicas if one.record else 0),
        Column("max_replicas", lambda one: one.record.max_replicas if one.record else 0),
        Column("price_cents_per_hour", lambda one: one.record.price_cents_per_hour if one.record else None),
        Column("hardware", lambda one: one.record.hardware if one.record else None),
        Column("serving_name", lambda one: one.record.serving_name if one.record else None),
        Column("endpoint_id", lambda one: one.record.endpoint_id if one.record else None),
        Column("deployment_id", lambda one: one.record.deployment_id if one.record else None),
        Column("idle_minutes", lambda one: one.record.idle_minutes if one.record else None),
        Column("ready_since", lambda one: one.ready_since),
        Column("cost_cents", lambda one: whole_cents(one.usage.cents)),
        Column("last_error", lambda one: one.record.last_error if one.record else None),
    ]
    return [column for column in every if column.key not in known]


def list_columns(now: datetime) -> list[Column[ModelStatus]]:
    """`models list`: as last seen."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda one: one.name, "NAME", text=_name),
        Column("state", lambda one: one.state, "STATE", text=_state, style=_style),
        Column("burn_cents_per_hour", lambda one: one.burn_cents_per_hour, "$/H", text=_price, right=True),
        Column("model", lambda one: one.model_name, "MODEL", shrink=True),
        Column(
            "seen_at",
            lambda one: one.record.state_at if one.record else None,
            "SEEN",
            text=lambda one: f"{duration(now - one.record.state_at)} ago" if one.record else "–",
            from_width=60,
        ),
    ]
    return [*columns, *_more(columns)]


def status_columns(at: datetime) -> list[Column[ModelStatus]]:
    """`models status`: as of now."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda one: one.name, "NAME", text=_name),
        Column("state", lambda one: one.state, "STATE", text=_state, style=_style),
        Column("ready_replicas", _ready, "READY", text=_replicas, right=True, from_width=60),
        Column("burn_cents_per_hour", lambda one: one.burn_cents_per_hour, "$/H", text=_price, right=True),
        Column(
            "ready_seconds",
            lambda one: at - one.ready_since if one.ready_since else None,
            "SINCE",
            text=lambda one: duration(at - one.ready_since) if one.ready_since else "–",
            right=True,
            from_width=70,
        ),
        Column(
            "cost_cents",
            lambda one: whole_cents(one.usage.cents),
            "MONTH",
            text=lambda one: money(one.usage.cents) if one.record else "–",
            right=True,
            from_width=50,
        ),
        Column("model", lambda one: one.model_name, "MODEL", shrink=True),
        Column("seen_at", lambda one: one.record.state_at if one.record else None),
    ]
    return [*columns, *_more(columns)]


def plan_facts(plan: DeployPlan) -> list[tuple[str, str]]:
    """A deploy as a person decides on it."""
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
    return facts


def _idle(minutes: int) -> str:
    if not minutes:
        return "never stops by itself: it costs until somebody stops it"
    return f"Together stops it after {minutes} minutes without a request"


def budget_text(standing: Standing, added_cents_per_hour: int) -> str:
    """Used, limit, and how long the rest lasts at the rate that would then be."""
    if standing.limit_cents is None:
        return "none is set: `reasoning costs set-budget 100`"
    used = f"{money(standing.usage.high_cents)} of {money(standing.limit_cents)} used this month"
    lasts = standing.lasts(added_cents_per_hour)
    if lasts is None:
        return used
    rate = money(standing.burn_cents_per_hour + added_cents_per_hour)
    return f"{used}; at {rate} an hour the rest lasts {duration(lasts)}"


def plan_record(plan: DeployPlan) -> dict[str, object]:
    """A deploy plan for machines."""
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


def deployed_record(plan: DeployPlan, done: Deployed) -> dict[str, object]:
    """How a deploy ended, for machines."""
    milliseconds = None if done.answered_in is None else round(done.answered_in.total_seconds() * 1000)
    return {**plan_record(plan), **_deployment_record(done.record), "first_answer_ms": milliseconds}


def _deployment_record(record: DeploymentRecord) -> dict[str, object]:
    return {
        "state": record.state,
        "ready_replicas": record.ready_replicas,
        "endpoint_id": record.endpoint_id,
        "deployment_id": record.deployment_id,
    }


def stop_facts(plan: StopPlan) -> list[tuple[str, str]]:
    """A stop as a person decides on it."""
    record = plan.record
    saves = money(plan.saves_cents_per_hour)
    deleted = "stays at Together, stopped" if plan.keep else "deployment and endpoint are deleted; the model stays"
    return [
        ("stop", f"{record.endpoint_name}: {record.model_name} on {record.hardware}, {record.state}"),
        ("then", deleted),
        ("saves", f"{saves} an hour"),
    ]


def stop_record(plan: StopPlan, record: DeploymentRecord) -> dict[str, object]:
    """A stop for machines."""
    return {
        "name": record.endpoint_name,
        "keep": plan.keep,
        "saves_cents_per_hour": plan.saves_cents_per_hour,
        **_deployment_record(record),
    }


# --- money ---


def spent_line(standing: Standing) -> str:
    """Spent, burning and when it ends, in one line."""
    spent = money(standing.usage.cents)
    burning = f"burning {money(standing.burn_cents_per_hour)}/h" if standing.burn_cents_per_hour else "nothing burns"
    if standing.limit_cents is None:
        return f"SPENT  {spent} this month, no budget is set; {burning}"
    share = float(standing.usage.high_cents / standing.limit_cents)
    ends = f", gone at {moment(standing.ends_at)}" if standing.ends_at else ""
    lasts = standing.lasts()
    left = f", lasts {duration(lasts)}" if lasts is not None and not ends else ends
    return f"SPENT  {spent} of {money(standing.limit_cents)} this month  {bar(share, 20)}  {burning}{left}"


def cost_columns() -> list[Column[CostLine]]:
    """`costs report`: a line a deployment."""
    return [
        Column("name", lambda one: one.record.endpoint_name, "NAME"),
        Column(
            "state", lambda one: one.record.state, "STATE", text=lambda one: one.record.state.lower(), from_width=50
        ),
        Column("ready_replicas", lambda one: one.record.ready_replicas, "READY", right=True, from_width=60),
        Column(
            "price_cents_per_hour",
            lambda one: one.record.price_cents_per_hour,
            "$/H",
            text=lambda one: money(one.record.price_cents_per_hour or 0),
            right=True,
        ),
        Column(
            "ready_seconds", lambda one: one.usage.time, "HOURS", text=lambda one: hours(one.usage.time), right=True
        ),
        Column(
            "cost_cents",
            lambda one: whole_cents(one.usage.cents),
            "COST",
            text=lambda one: money(one.usage.cents),
            right=True,
        ),
        Column("model", lambda one: one.record.model_name, "MODEL", shrink=True, from_width=60),
        Column("model_type", lambda one: one.record.model_type),
        Column("deployment_id", lambda one: one.record.deployment_id),
        Column("cost_low_cents", lambda one: whole_cents(one.usage.low_cents)),
        Column("cost_high_cents", lambda one: whole_cents(one.usage.high_cents)),
    ]


def report_lines(report: CostReport) -> list[str]:
    """What stands below the table of a bill."""
    lines = [f"total  {money(report.total.cents)} since {moment(report.since)}, {hours(report.total.time)} hours"]
    if whole_cents(report.total.doubt_cents):
        lines.append(f"Known to ±{money(report.total.doubt_cents)}: somebody was not looking when replicas changed.")
    standing = report.standing
    if standing.limit_cents is None:
        lines.append("no budget is set")
    else:
        share = percent(float(report.share_of_budget or 0))
        lines.append(
            f"budget {money(standing.limit_cents)} a month, {share} used, {money(standing.left_cents or 0)} left"
        )
    if standing.burn_cents_per_hour:
        lasts = standing.lasts()
        until = f"; the budget lasts {duration(lasts)}" if lasts is not None else ""
        ends = f", until {moment(standing.ends_at)}" if standing.ends_at else ""
        lines.append(f"burning {money(standing.burn_cents_per_hour)} an hour{until}{ends}")
    return lines


def report_record(report: CostReport, lines: Sequence[dict[str, object]]) -> dict[str, object]:
    """A bill for machines. Cents are whole, rounded half up from exact sums; `ready_seconds` is replica time."""
    standing = report.standing
    lasts = standing.lasts()
    return {
        "since": report.since,
        "until": report.until,
        "models": list(lines),
        "total": _usage_record(report.total),
        "budget": {
            "limit_cents": standing.limit_cents,
            "left_cents": None if standing.left_cents is None else whole_cents(standing.left_cents),
            "used_share": None if report.share_of_budget is None else _rounded(report.share_of_budget),
            "burn_cents_per_hour": standing.burn_cents_per_hour,
            "lasts_seconds": None if lasts is None else int(lasts.total_seconds()),
            "ends_at": standing.ends_at,
        },
    }


def _rounded(share: Decimal) -> float:
    return float(share.quantize(Decimal("0.0001")))


def _usage_record(usage: Usage) -> dict[str, object]:
    return {
        "ready_seconds": int(usage.time.total_seconds()),
        "cost_cents": whole_cents(usage.cents),
        "cost_low_cents": whole_cents(usage.low_cents),
        "cost_high_cents": whole_cents(usage.high_cents),
    }
