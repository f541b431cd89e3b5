"""How money looks: the bill, the budget, and how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.operations.costs.report import By
from reasoning_cli.terminal.listing import Column, Kind
from reasoning_cli.terminal.units import bar, counted, duration, hours, moment, money, percent, whole_cents
from reasoning_cli.values import Period, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.budget import Standing
    from reasoning_cli.operations.costs.ledger import Usage
    from reasoning_cli.operations.costs.report import CostLine, CostReport
    from reasoning_cli.store.samples.stats import Traffic


_BAR = 20

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
    """Spent, being spent and when it ends, in one line."""
    spent = money(standing.usage.cents)
    rate = f"spending {money(standing.burn_cents_per_hour)}/h" if standing.burn_cents_per_hour else "spending nothing"
    if standing.limit_cents is None:
        return f"SPENT  {spent}{_PERIODS[standing.limits.period]}, no budget is set; {rate}"
    share = float(standing.usage.high_cents / standing.limit_cents)
    ends = f", gone at {moment(standing.ends_at)}" if standing.ends_at else ""
    lasts = standing.lasts()
    left = f", lasts {duration(lasts)}" if lasts is not None and not ends else ends
    of = f"{spent} of {money(standing.limit_cents)}{_PERIODS[standing.limits.period]}"
    return f"SPENT  {of}  {bar(share, _BAR)}  {rate}{left}"


def cost_columns(by: By) -> list[Column[CostLine]]:
    """`costs report`: a line for each deployment and fine-tuning job, or for each type, day or hour."""
    amounts: list[Column[CostLine]] = [
        Column(
            "ready_seconds",
            lambda one: one.usage.time,
            "HOURS",
            text=lambda one: hours(one.usage.time) if one.usage.high_time else "–",
            kind=Kind.NUMBER,
        ),
        Column(
            "cost_cents",
            lambda one: whole_cents(one.usage.cents),
            "COST",
            text=lambda one: money(one.usage.cents),
            kind=Kind.NUMBER,
        ),
        Column(
            "decisions",
            lambda one: one.decisions,
            "DECISIONS",
            text=lambda one: "–" if one.decisions is None else f"{one.decisions:,}",
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column("decisions_counted_by", lambda one: one.counted_by),
        Column(
            "cents_per_1000_decisions",
            lambda one: None if one.cents_per_1000 is None else whole_cents(one.cents_per_1000),
            "PER 1,000",
            text=lambda one: "–" if one.cents_per_1000 is None else money(one.cents_per_1000),
            kind=Kind.NUMBER,
            priority=4,
        ),
    ]
    bounds: list[Column[CostLine]] = [
        Column("cost_low_cents", lambda one: whole_cents(one.usage.low_cents)),
        Column("cost_high_cents", lambda one: whole_cents(one.usage.high_cents)),
    ]
    days: Column[CostLine] = Column(
        "last_days_cents",
        lambda one: [whole_cents(day) for day in one.days],
        "7 DAYS",
        text=lambda one: spark(one.days),
        priority=5,
    )
    match by:
        case By.MODEL:
            return [*_deployment_columns(), *amounts, days, _model_column(), *_deployment_ids(), *bounds]
        case By.TYPE:
            name: Column[CostLine] = Column(
                "model_type", lambda one: one.name, "TYPE", text=lambda one: spell_model_type(one.name)
            )
            return [name, *amounts, days, *bounds]
        case By.DAY | By.HOUR:
            form = "%Y-%m-%d" if by is By.DAY else "%Y-%m-%d %H:%M"
            begin: Column[CostLine] = Column(
                "begin",
                lambda one: one.begin,
                by.upper(),
                text=lambda one: f"{one.begin.astimezone():{form}}" if one.begin else "–",
            )
            return [begin, *amounts, *bounds]


def _deployment_columns() -> list[Column[CostLine]]:
    return [
        Column("name", lambda one: one.name, "NAME"),
        Column(
            "state",
            lambda one: one.record.state if one.record else one.job.status if one.job else None,
            "STATE",
            kind=Kind.STATE,
            priority=3,
            style=_line_style,
        ),
        Column("ready_replicas", lambda one: one.record.ready_replicas if one.record else None),
        Column(
            "price_cents_per_hour",
            lambda one: one.record.price_cents_per_hour if one.record else None,
            "$/H",
            text=lambda one: money(one.record.price_cents_per_hour or 0) if one.record else "–",
            kind=Kind.NUMBER,
        ),
    ]


def _line_style(one: CostLine) -> str:
    if one.record is not None:
        return deployment_style(one.record.state)
    done = one.job is not None and one.job.status == "completed"
    return "good" if done else "bad" if one.job and "error" in one.job.status else "going"


def deployment_style(state: str) -> str:
    """How good the state of a deployment is."""
    return {"READY": "good", "elsewhere": "good", "FAILED": "bad", "DEGRADED": "bad"}.get(
        state, "dim" if state in ("off", "STOPPED", "DELETED") else "warning"
    )


def _model_column() -> Column[CostLine]:
    return Column(
        "model",
        lambda one: one.record.model_name if one.record else one.job.model if one.job else None,
        "MODEL",
        gives_way=True,
        priority=6,
    )


def _deployment_ids() -> list[Column[CostLine]]:
    return [
        Column("model_type", lambda one: one.model_type),
        Column("deployment_id", lambda one: one.record.deployment_id if one.record else None),
        Column("fine_tune_id", lambda one: one.job.id if one.job else None),
    ]


def spark(amounts: Sequence[Decimal]) -> str:
    """Amounts as a row of bars, the largest the highest: `▁▂▅▇`."""
    signs = "▁▂▃▄▅▆▇█"
    most = max(amounts, default=Decimal(0))
    return "".join(signs[int(amount * (len(signs) - 1) / most)] if most else signs[0] for amount in amounts)


def report_lines(report: CostReport, *, bars: bool = False) -> list[str]:
    """What stands below the table of a bill; the budget with a bar where there are `bars`."""
    until = f" until {moment(report.until)}" if report.until < report.standing.at else ""
    spent = f"total  {money(report.total.cents)} since {moment(report.since)}{until}"
    lines = [f"{spent}, {hours(report.total.time)} hours"]
    if report.doubt is not None and whole_cents(report.total.doubt_cents):
        seen = f"{moment(report.doubt.begin)} to {moment(report.doubt.end)}"
        lines.append(
            f"Known to ±{money(report.total.doubt_cents)}: nobody saw all that happened, most of it from {seen}."
        )
    if whole_cents(report.rounding_cents):
        lines.append(
            f"Not settled: how Together bills a begun minute, up to {money(report.rounding_cents)} more for"
            f" {counted(report.starts, 'start')} (`reasoning doctor --live --spend 2` settles it)."
        )
    if report.price_differs:
        lines.append(f"These sums follow the price Together shows, and it bills another: {report.price_differs}.")
    if any(line.counted_by and "together" in line.counted_by for line in report.lines):
        lines.append("Where the training log has no decisions, they are Together's count of requests.")
    if report.has_uncounted:
        lines.append("Too many lines to ask Together for its count of each: see `--by model`.")
    lines += [_original_line(report.original)] if report.original else []
    if report.elsewhere:
        names = ", ".join(sorted({one.model for one in report.elsewhere}))
        decisions = counted(sum(one.decisions for one in report.elsewhere), "decision")
        lines.append(f"Models that were not deployed from here answered {decisions}: {names}.")
    standing = report.standing
    if standing.limit_cents is None:
        lines.append("no budget is set")
    else:
        share = float(report.share_of_budget or 0)
        used = f"{f'{bar(share, _BAR)} ' if bars else ''}{percent(share)} used"
        lines.append(
            f"budget {money(standing.limit_cents)} {standing.limits.period.spoken}, {used},"
            f" {money(standing.left_cents or 0)} left"
        )
    if standing.burn_cents_per_hour:
        lasts = standing.lasts()
        until = f"; the budget lasts {duration(lasts)}" if lasts is not None else ""
        ends = f", until {moment(standing.ends_at)}" if standing.ends_at else ""
        lines.append(f"spending {money(standing.burn_cents_per_hour)} an hour{until}{ends}")
    return lines


def _original_line(traffic: Sequence[Traffic]) -> str:
    """What the original provider answered, in tokens as far as the log knows them."""
    decisions, known = sum(one.decisions for one in traffic), sum(one.counted for one in traffic)
    text = f"The original provider answered {counted(decisions, 'decision')}"
    if not known:
        return f"{text}; the log has no token counts of them."
    asked, answered = sum(one.prompt_tokens for one in traffic), sum(one.completion_tokens for one in traffic)
    return f"{text}: {asked:,} tokens in, {answered:,} out{'' if known == decisions else f' for {known:,} of them'}."


def report_record(report: CostReport, lines: Sequence[dict[str, object]]) -> dict[str, object]:
    """A bill for machines. Cents are whole, rounded half up from exact sums; `ready_seconds` is replica time.

    `models` holds the deployments and `fine_tunes` the jobs; of a bill by type, day or hour `lines` holds all.
    """
    standing = report.standing
    lasts = standing.lasts()
    return {
        "since": report.since,
        "until": report.until,
        **_lines_record(report, lines),
        "total": _usage_record(report.total),
        "unsettled": {
            "starts": report.starts,
            "rounding_cents": whole_cents(report.rounding_cents),
            "price": report.price_differs,
        },
        "budget": {
            "limit_cents": standing.limit_cents,
            "left_cents": None if standing.left_cents is None else int(standing.left_cents),
            "used_share": None if report.share_of_budget is None else _rounded(report.share_of_budget),
            "burn_cents_per_hour": standing.burn_cents_per_hour,
            "lasts_seconds": None if lasts is None else int(lasts.total_seconds()),
            "ends_at": standing.ends_at,
        },
        "original": [
            {
                "model_type": one.model_type,
                "model": one.model,
                "source": one.source,
                "decisions": one.decisions,
                "decisions_with_tokens": one.counted,
                "prompt_tokens": one.prompt_tokens,
                "completion_tokens": one.completion_tokens,
            }
            for one in (*report.original, *report.elsewhere)
        ],
    }


def _lines_record(report: CostReport, lines: Sequence[dict[str, object]]) -> dict[str, object]:
    if report.by is not By.MODEL:
        return {"by": report.by, "lines": list(lines)}
    by_kind = [(line.job is not None, record) for line, record in zip(report.lines, lines, strict=True)]
    return {
        "by": report.by,
        "models": [record for is_job, record in by_kind if not is_job],
        "fine_tunes": [record for is_job, record in by_kind if is_job],
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
