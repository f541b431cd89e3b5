"""The bill: what ran, what was fine-tuned, what a decision cost, and where the budget stands."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.costs.attribution import decisions_by_deployment
from reasoning_cli.operations.costs.billing_rules import BillingRules
from reasoning_cli.operations.costs.budget import Limits, Standing, standing
from reasoning_cli.operations.costs.date_range import day_edges, hour_edges
from reasoning_cli.operations.costs.ledger import (
    Span,
    Usage,
    integrate,
    integrate_over,
    readings_by_deployment,
    rounding_doubt_cents,
    spans,
)
from reasoning_cli.operations.costs.slot_tokens import TokenCost, token_costs, with_candidates
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Reading
from reasoning_cli.store.samples.stats import Traffic, traffic
from reasoning_cli.store.train.fine_tunes import FineTuneRecord, FineTunes
from reasoning_cli.values import MIN_PRICED_DECISIONS, MODEL_TYPES

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud

MAX_LINES = 2000
MAX_ASKED = 100  # times that Together is asked for its count of one deployment
_SPARK_DAYS = 7


class By(StrEnum):
    """What a line of a bill stands for."""

    MODEL = "model"
    TYPE = "type"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True)
class CostLine:
    """One line of a bill: a deployment (`record`), a fine-tuning job (`job`), a model type, a day or an hour.

    `decisions` are those our models answered, by the training log or, where that has none, by Together's count of
    requests: `counted_by` is `log` or `together`. `days` are the cents of the last days, oldest first.
    """

    name: str
    usage: Usage
    record: DeploymentRecord | None = None
    job: FineTuneRecord | None = None
    model_type: str | None = None
    begin: datetime | None = None
    decisions: int | None = None
    counted_by: str | None = None
    days: tuple[Decimal, ...] = ()

    @property
    def cents_per_1000(self) -> Decimal | None:
        """None for too few decisions to tell."""
        if self.decisions is None or self.decisions < MIN_PRICED_DECISIONS:
            return None
        return self.usage.cents * 1000 / self.decisions


@dataclass(frozen=True)
class CostReport:
    """The bill from `since` to `until`, the whole, and where the budget of the present period stands.

    `doubt` is the span that adds most to what is not known. `original` is what the original provider answered,
    `by_token` what slots cost by the token, which is in the standing and not in the lines; `elsewhere` what models in
    our slots answered that are none of the deployments. `has_uncounted` says that there were too many lines to ask
    Together for each what the log does not know.

    While it is not settled how Together bills a begun minute, `rounding_cents` is what the `starts` of that time may
    cost more than is counted. `price_differs` says so where the price billed was found to be another than the shown.
    """

    since: datetime
    until: datetime
    by: By
    lines: tuple[CostLine, ...]
    total: Usage
    standing: Standing
    doubt: Span | None = None
    original: tuple[Traffic, ...] = ()
    elsewhere: tuple[Traffic, ...] = ()
    has_uncounted: bool = False
    by_token: tuple[TokenCost, ...] = ()
    starts: int = 0
    rounding_cents: Decimal = Decimal(0)
    price_differs: str | None = None

    @property
    def share_of_budget(self) -> Decimal | None:
        limit = self.standing.limit_cents
        return None if limit is None else self.standing.usage.high_cents / limit


def cost_report(
    store: Store,
    limits: Limits,
    since: datetime,
    until: datetime,
    at: datetime,
    *,
    by: By = By.MODEL,
    client: Cloud | None = None,
    zone: tzinfo | None = None,
) -> CostReport:
    """The bill from the ledger as it stands at `at`; `refresh` before to have it up to now.

    With a client, Together is asked for counts of requests where the log has none. Raises UsageError for more lines
    than anybody reads.
    """
    edges = _edges(by, since, until, zone)
    readings = readings_by_deployment(store)
    # A service's clock in whole seconds is behind what was made in this one.
    jobs = [fine_tune for fine_tune in FineTunes(store).all(since) if fine_tune.created_at < until or until >= at]
    records = Deployments(store).all()
    rules = BillingRules.of(store)
    doubts = [rounding_doubt_cents(own, since, until, rules) for own in readings.values()]
    counted, strangers = decisions_by_deployment(store, records, readings, edges)
    every = [_counts(record, readings, counted, edges, client) for record in records]
    if by in (By.DAY, By.HOUR):
        lines = _by_time(readings, jobs, edges, every, rules)
    else:
        lines = [*_deployments(readings, since, until, zone, records, every, rules), *_jobs(jobs)]
        if by is By.TYPE:
            lines = _by_type(lines)
    seen = traffic(store, since, until)
    return CostReport(
        since,
        until,
        by,
        tuple(lines),
        sum((line.usage for line in lines), Usage()),
        standing(store, limits, at),
        _largest_doubt(readings, since, until),
        tuple(source for source in seen if source.source != "slot"),
        tuple(source for source in seen if source.source == "slot" and source.model in strangers),
        any(row.by is None and row.is_unknown for row in every),
        by_token=tuple(
            cost
            for cost in token_costs(store, with_candidates(store, limits.token_slots), since, until)
            if _is_used(cost)
        ),
        starts=sum(count for count, _ in doubts),
        rounding_cents=sum((cents for _, cents in doubts), Decimal(0)),
        price_differs=rules.price_differs,
    )


def _is_used(cost: TokenCost) -> bool:
    return bool(cost.used.counted or cost.used.uncounted)


def _edges(by: By, since: datetime, until: datetime, zone: tzinfo | None) -> Sequence[datetime]:
    """Where the spans of a bill begin and end. Raises UsageError for more than anybody reads."""
    if by not in (By.DAY, By.HOUR):
        return (since, until)
    edges = (day_edges if by is By.DAY else hour_edges)(since, until, zone)
    if len(edges) > MAX_LINES:
        raise UsageError(f"that is a bill of {len(edges) - 1:,} lines", "use `--by day`, or a shorter time")
    return edges


@dataclass(frozen=True)
class _Counts:
    """The decisions of one deployment in each span of time, by whom they were counted; `is_unknown` when nobody was
    asked because it would have been too often."""

    each: Sequence[int] = ()
    by: str | None = None
    is_unknown: bool = False


def _counts(
    record: DeploymentRecord,
    readings: Mapping[str, list[Reading]],
    counted: Mapping[str, list[int]],
    edges: Sequence[datetime],
    client: Cloud | None,
) -> _Counts:
    """By the log or, where that has none in all of the time, by Together's count of requests."""
    if record.key in counted:
        return _Counts(counted[record.key], "log")
    ready = [usage.high_time > timedelta() for usage in integrate_over(readings.get(record.key, []), edges)]
    if client is None or not any(ready) or not record.endpoint_id or not record.deployment_id:
        return _Counts()
    if sum(ready) > MAX_ASKED:
        return _Counts(is_unknown=True)
    each = []
    for (begin, end), was_ready in zip(pairwise(edges), ready, strict=True):
        begin, end = max(begin, record.created_at), min(end, record.deleted_at or end)
        count = (
            client.requests(record.endpoint_id, record.deployment_id, begin, end) if was_ready and begin < end else 0
        )
        each.append(count or 0)
    return _Counts(each, "together" if any(each) else None)


def _deployments(
    readings: Mapping[str, list[Reading]],
    since: datetime,
    until: datetime,
    zone: tzinfo | None,
    records: Sequence[DeploymentRecord],
    every: Sequence[_Counts],
    rules: BillingRules,
) -> list[CostLine]:
    lines = []
    edges = day_edges(until - timedelta(days=_SPARK_DAYS - 1), until, zone)[-_SPARK_DAYS - 1 :]
    for record, counts in zip(records, every, strict=True):
        own = readings.get(record.key, [])
        usage = integrate(own, since, until, rules)
        if record.deleted_at is not None and not usage.high_cents and counts.by != "log":
            continue
        days = tuple(day.cents for day in integrate_over(own, edges, rules))
        lines.append(
            CostLine(
                record.endpoint_name,
                usage,
                record=record,
                model_type=record.model_type,
                decisions=sum(counts.each) if counts.by else None,
                counted_by=counts.by,
                days=days,
            )
        )
    return lines


def _jobs(jobs: Sequence[FineTuneRecord]) -> list[CostLine]:
    return [
        CostLine(job.name, Usage(low_cents=job.cents, high_cents=job.cents), job=job, model_type=job.model_type)
        for job in jobs
    ]


def _by_type(lines: Sequence[CostLine]) -> list[CostLine]:
    """One line for each model type that cost something, one for what has no type, one for all fine-tunes."""
    found = []
    for name, model_type, is_job in (
        *((model_type, model_type, False) for model_type in MODEL_TYPES),
        ("other", None, False),
        ("fine-tunes", None, True),
    ):
        own = [
            line
            for line in lines
            if (line.job is not None if is_job else not line.job and line.model_type == model_type)
        ]
        if not own:
            continue
        counts = [line.decisions for line in own if line.decisions is not None]
        sources = {line.counted_by for line in own if line.counted_by}
        found.append(
            CostLine(
                name,
                sum((line.usage for line in own), Usage()),
                model_type=model_type,
                decisions=sum(counts) if counts else None,
                counted_by=" and ".join(sorted(sources)) or None,
                days=tuple(sum(day, Decimal(0)) for day in zip(*(line.days for line in own), strict=False)),
            )
        )
    return found


def _by_time(
    readings: Mapping[str, list[Reading]],
    jobs: Sequence[FineTuneRecord],
    edges: Sequence[datetime],
    every: Sequence[_Counts],
    rules: BillingRules,
) -> list[CostLine]:
    """One line for each day or hour, also where nothing ran; a job counts where it was created."""
    sums = [Usage() for _ in edges[1:]]
    for own in readings.values():
        sums = [other_sum + other for other_sum, other in zip(sums, integrate_over(own, edges, rules), strict=True)]
    for job in jobs:
        number = min(bisect_right(edges, job.created_at), len(sums)) - 1
        sums[number] += Usage(low_cents=job.cents, high_cents=job.cents)
    lines = []
    for number, (usage, begin) in enumerate(zip(sums, edges, strict=False)):
        counts = [(row.each[number], row.by) for row in every if row.by and row.each[number]]
        lines.append(
            CostLine(
                "",
                usage,
                begin=begin,
                decisions=sum(count for count, _ in counts) or None,
                counted_by=" and ".join(sorted({by for _, by in counts})) or None,
            )
        )
    return lines


def _largest_doubt(readings: dict[str, list[Reading]], since: datetime, until: datetime) -> Span | None:
    """The span whose cost is known least."""
    worst: tuple[Decimal, Span] | None = None
    for own in readings.values():
        for span in spans(own):
            begin, end = max(span.begin, since), min(span.end, until)
            if begin < end and span.usage(begin, end).doubt_cents > (worst[0] if worst else 0):
                worst = (span.usage(begin, end).doubt_cents, span)
    return worst[1] if worst else None
