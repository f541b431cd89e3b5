"""How money looks: the bill, the budget, and how long it lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.terminal.listing import Column, Kind
from reasoning_cli.terminal.units import bar, counted, duration, hours, moment, money, percent, whole_cents
from reasoning_cli.values import Period, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.budget import Standing
    from reasoning_cli.operations.costs.ledger import Usage
    from reasoning_cli.operations.costs.report import By, CostLine, CostReport
    from reasoning_cli.operations.costs.slot_tokens import TokenCost
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
    rate = money(standing.rate_cents_per_hour + added_cents_per_hour)
    return f"{used}; at {rate} an hour the rest lasts {duration(lasts)}"


def spent_line(standing: Standing) -> str:
    """Spent, being spent and when it ends, in one line."""
    spent = money(standing.usage.cents)
    rate = f"spending {_rate_text(standing, '/h')}" if standing.rate_cents_per_hour else "spending nothing"
    if standing.is_capped:
        rate += f", the cap of {money((standing.limits.hour_usd or 0) * 100)} is reached: the baseline answers"
    if standing.limit_cents is None:
        return f"SPENT  {spent}{_PERIODS[standing.limits.period]}, no budget is set; {rate}"
    share = float(standing.usage.high_cents / standing.limit_cents)
    ends = f", gone at {moment(standing.ends_at)}" if standing.ends_at else ""
    lasts = standing.lasts()
    left = f", lasts {duration(lasts)}" if lasts is not None and not ends else ends
    of = f"{spent} of {money(standing.limit_cents)}{_PERIODS[standing.limits.period]}"
    return f"SPENT  {of}  {bar(share, _BAR)}  {rate}{left}"


def _rate_text(standing: Standing, hourly: str) -> str:
    """What an hour costs; by the token it is what the last one cost."""
    by_token, whole = standing.token_cents_last_hour, f"{money(standing.rate_cents_per_hour)}{hourly}"
    if not by_token:
        return whole
    return f"{whole} by the token" if not standing.burn_cents_per_hour else f"{whole}, {money(by_token)} by the token"


def cost_columns(by: By) -> list[Column[CostLine]]:
    """`costs report`: a line for each deployment and fine-tuning job, or for each type, day or hour."""
    amounts: list[Column[CostLine]] = [
        Column(
            "ready_seconds",
            lambda line: line.usage.time,
            "HOURS",
            text=lambda line: hours(line.usage.time) if line.usage.high_time else "–",
            kind=Kind.NUMBER,
        ),
        Column(
            "cost_cents",
            lambda line: whole_cents(line.usage.cents),
            "COST",
            text=lambda line: money(line.usage.cents),
            kind=Kind.NUMBER,
        ),
        Column(
            "decisions",
            lambda line: line.decisions,
            "DECISIONS",
            text=lambda line: "–" if line.decisions is None else f"{line.decisions:,}",
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column("decisions_counted_by", lambda line: line.counted_by),
        Column(
            "cents_per_1000_decisions",
            lambda line: None if line.cents_per_1000 is None else whole_cents(line.cents_per_1000),
            "PER 1,000",
            text=lambda line: "–" if line.cents_per_1000 is None else money(line.cents_per_1000),
            kind=Kind.NUMBER,
            priority=4,
        ),
    ]
    bounds: list[Column[CostLine]] = [
        Column("cost_low_cents", lambda line: whole_cents(line.usage.low_cents)),
        Column("cost_high_cents", lambda line: whole_cents(line.usage.high_cents)),
    ]
    days: Column[CostLine] = Column(
        "last_days_cents",
        lambda line: [whole_cents(day) for day in line.days],
        "7 DAYS",
        text=lambda line: spark(line.days),
        priority=5,
    )
    from reasoning_cli.operations.costs.report import By

    match by:
        case By.MODEL:
            return [*_deployment_columns(), *amounts, days, _model_column(), *_deployment_ids(), *bounds]
        case By.TYPE:
            name: Column[CostLine] = Column(
                "model_type", lambda line: line.name, "TYPE", text=lambda line: spell_model_type(line.name)
            )
            return [name, *amounts, days, *bounds]
        case By.DAY | By.HOUR:
            form = "%Y-%m-%d" if by is By.DAY else "%Y-%m-%d %H:%M"
            begin: Column[CostLine] = Column(
                "begin",
                lambda line: line.begin,
                by.upper(),
                text=lambda line: f"{line.begin.astimezone():{form}}" if line.begin else "–",
            )
            return [begin, *amounts, *bounds]


def _deployment_columns() -> list[Column[CostLine]]:
    return [
        Column("name", lambda line: line.name, "NAME"),
        Column(
            "state",
            lambda line: line.record.state if line.record else line.job.status if line.job else None,
            "STATE",
            kind=Kind.STATE,
            priority=3,
            style=_line_style,
        ),
        Column("ready_replicas", lambda line: line.record.ready_replicas if line.record else None),
        Column(
            "price_cents_per_hour",
            lambda line: line.record.price_cents_per_hour if line.record else None,
            "$/H",
            text=lambda line: money(line.record.price_cents_per_hour or 0) if line.record else "–",
            kind=Kind.NUMBER,
        ),
    ]


def _line_style(line: CostLine) -> str:
    if line.record is not None:
        return deployment_style(line.record.state)
    done = line.job is not None and line.job.status == "completed"
    return "good" if done else "bad" if line.job and "error" in line.job.status else "going"


def deployment_style(state: str) -> str:
    """How good the state of a deployment is."""
    return {"READY": "good", "elsewhere": "good", "in line": "good", "FAILED": "bad", "DEGRADED": "bad"}.get(
        state, "dim" if state in ("off", "STOPPED", "DELETED") else "warning"
    )


def _model_column() -> Column[CostLine]:
    return Column(
        "model",
        lambda line: line.record.model_name if line.record else line.job.model if line.job else None,
        "MODEL",
        gives_way=True,
        priority=6,
    )


def _deployment_ids() -> list[Column[CostLine]]:
    return [
        Column("model_type", lambda line: line.model_type),
        Column("deployment_id", lambda line: line.record.deployment_id if line.record else None),
        Column("fine_tune_id", lambda line: line.job.id if line.job else None),
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
    lines = [f"{spent}, {hours(report.total.time)} hours", *_doubt_lines(report), *_count_lines(report)]
    lines.append(_budget_line(report, bars=bars))
    if report.standing.rate_cents_per_hour:
        lines.append(_spending_line(report.standing))
    return lines


def _doubt_lines(report: CostReport) -> Iterator[str]:
    """How far the sums may be wrong."""
    if report.doubt is not None and whole_cents(report.total.doubt_cents):
        seen = f"{moment(report.doubt.begin)} to {moment(report.doubt.end)}"
        yield f"Known to ±{money(report.total.doubt_cents)}: nobody saw all that happened, most of it from {seen}."
    if whole_cents(report.rounding_cents):
        yield (
            f"Not settled: how Together bills a begun minute, up to {money(report.rounding_cents)} more for"
            f" {counted(report.starts, 'start')} (`reasoning doctor --live --spend 2` settles it)."
        )
    if report.price_differs:
        yield f"These sums follow the price Together shows, and it bills another: {report.price_differs}."


def _count_lines(report: CostReport) -> Iterator[str]:
    """Where counts of decisions come from, and those that no deployment of ours answered."""
    if any(line.counted_by and "together" in line.counted_by for line in report.lines):
        yield "Where the training log has no decisions, they are Together's count of requests."
    if report.has_uncounted:
        yield "Too many lines to ask Together for its count of each: see `--by model`."
    if report.original:
        yield _original_line(report.original)
    yield from map(_token_line, report.by_token)
    if report.elsewhere:
        names = ", ".join(sorted({row.model for row in report.elsewhere}))
        decisions = counted(sum(row.decisions for row in report.elsewhere), "decision")
        yield f"Models that were not deployed from here answered {decisions}: {names}."


def _token_line(cost: TokenCost) -> str:
    """What a slot costs that is paid for by the token."""
    slot, used = cost.slot, cost.used
    tokens = f"{used.prompt_tokens:,} tokens in, {used.completion_tokens:,} out"
    if used.uncounted:
        tokens += f", and {counted(used.uncounted, 'answer')} whose tokens the server did not count"
    name = f"{slot.model} ({spell_model_type(slot.model_type)}): {tokens}"
    if cost.usage is None:
        return (
            f"{name}; no price is known, and nothing of it is in any sum:"
            f" `reasoning config set {slot.model_type}.token_price IN/OUT` (or free)."
        )
    if slot.is_free:
        return f"{name}; free."
    low, high = money(cost.usage.low_cents), money(cost.usage.high_cents)
    return f"{name}; {low if low == high else f'{low} to {high}'} by the token, beside the sum above, in the budget."


def _budget_line(report: CostReport, *, bars: bool) -> str:
    standing = report.standing
    if standing.limit_cents is None:
        return "no budget is set"
    share = float(report.share_of_budget or 0)
    used = f"{f'{bar(share, _BAR)} ' if bars else ''}{percent(share)} used"
    left = f"{money(standing.left_cents or 0)} left"
    return f"budget {money(standing.limit_cents)} {standing.limits.period.spoken}, {used}, {left}"


def _spending_line(standing: Standing) -> str:
    lasts = standing.lasts()
    until = f"; the budget lasts {duration(lasts)}" if lasts is not None else ""
    ends = f", until {moment(standing.ends_at)}" if standing.ends_at else ""
    return f"spending {_rate_text(standing, ' an hour')}{until}{ends}"


def _original_line(traffic: Sequence[Traffic]) -> str:
    """What the original provider answered, in tokens as far as the log knows them."""
    decisions, known = sum(source.decisions for source in traffic), sum(source.counted for source in traffic)
    text = f"The original provider answered {counted(decisions, 'decision')}"
    if not known:
        return f"{text}; the log has no token counts of them."
    asked, answered = (
        sum(source.prompt_tokens for source in traffic),
        sum(source.completion_tokens for source in traffic),
    )
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
            "period": standing.limits.period,
            "used_cents": whole_cents(standing.usage.cents),
            "used_low_cents": whole_cents(standing.usage.low_cents),
            "used_high_cents": whole_cents(standing.usage.high_cents),
            "limit_cents": standing.limit_cents,
            "left_cents": None if standing.left_cents is None else int(standing.left_cents),
            "used_share": None if report.share_of_budget is None else _rounded(report.share_of_budget),
            "burn_cents_per_hour": standing.burn_cents_per_hour,
            "token_cents_last_hour": str(standing.token_cents_last_hour),
            "rate_cents_per_hour": whole_cents(standing.rate_cents_per_hour),
            "cap_cents_per_hour": None if standing.limits.hour_usd is None else int(standing.limits.hour_usd * 100),
            "is_capped": standing.is_capped,
            "lasts_seconds": None if lasts is None else int(lasts.total_seconds()),
            "ends_at": standing.ends_at,
        },
        "by_token": [
            {
                "model_type": cost.slot.model_type,
                "model": cost.slot.model,
                "answers": cost.used.answers,
                "prompt_tokens": cost.used.prompt_tokens,
                "completion_tokens": cost.used.completion_tokens,
                "uncounted": cost.used.uncounted,
                "cost_low_cents": None if cost.usage is None else str(cost.usage.low_cents),
                "cost_high_cents": None if cost.usage is None else str(cost.usage.high_cents),
            }
            for cost in report.by_token
        ],
        "original": [
            {
                "model_type": source.model_type,
                "model": source.model,
                "source": source.source,
                "decisions": source.decisions,
                "decisions_with_tokens": source.counted,
                "prompt_tokens": source.prompt_tokens,
                "completion_tokens": source.completion_tokens,
            }
            for source in (*report.original, *report.elsewhere)
        ],
    }


def _lines_record(report: CostReport, lines: Sequence[dict[str, object]]) -> dict[str, object]:
    from reasoning_cli.operations.costs.report import By

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
