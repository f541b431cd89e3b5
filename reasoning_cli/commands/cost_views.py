"""How money looks: the bill, the budget, and how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.terminal.listing import Column
from reasoning_cli.terminal.units import bar, duration, hours, moment, money, percent, whole_cents
from reasoning_cli.values import Period

if TYPE_CHECKING:
    from reasoning_cli.operations.budget import Standing
    from reasoning_cli.operations.ledger import Usage
    from reasoning_cli.operations.status import CostLine, CostReport


_PERIODS = {Period.MONTH: " this month", Period.DAY: " today", Period.TOTAL: " in total"}


def budget_text(standing: Standing, added_cents_per_hour: int) -> str:
    """Used, limit, and how long the rest lasts at the rate that would then be."""
    if standing.limit_cents is None:
        return "none is set: `reasoning costs set-budget 100`"
    used = f"{money(standing.usage.high_cents)} of {money(standing.limit_cents)} used{_PERIODS[standing.limits.period]}"
    lasts = standing.lasts(added_cents_per_hour)
    if lasts is None:
        return used
    rate = money(standing.burn_cents_per_hour + added_cents_per_hour)
    return f"{used}; at {rate} an hour the rest lasts {duration(lasts)}"


def spent_line(standing: Standing) -> str:
    """Spent, burning and when it ends, in one line."""
    spent = money(standing.usage.cents)
    burning = f"burning {money(standing.burn_cents_per_hour)}/h" if standing.burn_cents_per_hour else "nothing burns"
    if standing.limit_cents is None:
        return f"SPENT  {spent}{_PERIODS[standing.limits.period]}, no budget is set; {burning}"
    share = float(standing.usage.high_cents / standing.limit_cents)
    ends = f", gone at {moment(standing.ends_at)}" if standing.ends_at else ""
    lasts = standing.lasts()
    left = f", lasts {duration(lasts)}" if lasts is not None and not ends else ends
    of = f"{spent} of {money(standing.limit_cents)}{_PERIODS[standing.limits.period]}"
    return f"SPENT  {of}  {bar(share, 20)}  {burning}{left}"


def cost_columns() -> list[Column[CostLine]]:
    """`costs report`: a line a deployment."""
    return [
        Column("name", lambda one: one.record.endpoint_name, "NAME"),
        Column("state", lambda one: one.record.state, "STATE", from_width=50),
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
            f"budget {money(standing.limit_cents)} {standing.limits.period.spoken}, {share} used,"
            f" {money(standing.left_cents or 0)} left"
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
            "left_cents": None if standing.left_cents is None else int(standing.left_cents),
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
