"""The bill: what ran, what was fine-tuned, what a decision cost, and where the budget stands."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.budget import Limits, Standing, standing
from reasoning_cli.operations.ledger import Span, Usage, integrate, integrate_over, readings_by_deployment, spans
from reasoning_cli.operations.reporting_dates import day_edges, hour_edges
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.ledger import Reading
from reasoning_cli.store.sample_figures import Traffic, traffic
from reasoning_cli.store.samples import SampleFilter, Samples
from reasoning_cli.together.problems import MissingError, RequestRefusedError
from reasoning_cli.values import MODEL_TYPES

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient
    from reasoning_cli.together.spending import FineTuneJob

MAX_LINES = 2000
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
    job: FineTuneJob | None = None
    model_type: str | None = None
    begin: datetime | None = None
    decisions: int | None = None
    counted_by: str | None = None
    days: tuple[Decimal, ...] = ()

    @property
    def cents_per_1000(self) -> Decimal | None:
        return self.usage.cents * 1000 / self.decisions if self.decisions else None


@dataclass(frozen=True)
class CostReport:
    """The bill from `since` to `until`, the whole, and where the budget of the present period stands.

    `doubt` is the span that adds most to what is not known. `original` is what the original provider answered.
    """

    since: datetime
    until: datetime
    by: By
    lines: tuple[CostLine, ...]
    total: Usage
    standing: Standing
    doubt: Span | None = None
    original: tuple[Traffic, ...] = ()

    @property
    def share_of_budget(self) -> Decimal | None:
        limit = self.standing.limit_cents
        return None if limit is None else self.standing.usage.high_cents / limit


def fine_tunes(client: TogetherClient) -> list[FineTuneJob] | None:
    """The account's fine-tuning jobs; None where this key may not see them."""
    try:
        return client.fine_tunes()
    except (MissingError, RequestRefusedError):
        return None


def cost_report(
    store: Store,
    limits: Limits,
    since: datetime,
    until: datetime,
    at: datetime,
    *,
    by: By = By.MODEL,
    jobs: Sequence[FineTuneJob] = (),
    client: TogetherClient | None = None,
    zone: tzinfo | None = None,
) -> CostReport:
    """The bill from the ledger as it stands at `at`; `refresh` before to have it up to now.

    With a client, Together is asked for counts of requests where the log has none. Raises UsageError for more lines
    than anybody reads.
    """
    readings = readings_by_deployment(store)
    # A service's clock in whole seconds is behind what was made in this one.
    period = [
        one for one in jobs if one.created_at and since <= one.created_at and (one.created_at < until or until >= at)
    ]
    if by in (By.DAY, By.HOUR):
        edges = (day_edges if by is By.DAY else hour_edges)(since, until, zone)
        if len(edges) > MAX_LINES:
            raise UsageError(f"that is a bill of {len(edges) - 1:,} lines", "use `--by day`, or a shorter time")
        lines = _by_time(store, readings, period, edges)
    else:
        lines = [*_deployments(store, readings, since, until, client, zone), *_jobs(period)]
        if by is By.TYPE:
            lines = _by_type(lines)
    return CostReport(
        since,
        until,
        by,
        tuple(lines),
        sum((line.usage for line in lines), Usage()),
        standing(store, limits, at),
        _largest_doubt(readings, since, until),
        tuple(one for one in traffic(store, since, until) if one.source != "slot"),
    )


def _deployments(
    store: Store,
    readings: dict[str, list[Reading]],
    since: datetime,
    until: datetime,
    client: TogetherClient | None,
    zone: tzinfo | None,
) -> list[CostLine]:
    lines = []
    edges = day_edges(until - timedelta(days=_SPARK_DAYS - 1), until, zone)[-_SPARK_DAYS - 1 :]
    for record in Deployments(store).all():
        own = readings.get(record.key, [])
        usage = integrate(own, since, until)
        if record.deleted_at is not None and not usage.high_cents:
            continue
        begin, end = max(since, record.created_at), min(until, record.deleted_at or until)
        count = _answered(store, record.model_type, begin, end) if begin < end else 0
        counted_by = "log" if count else None
        if not count and client is not None and usage.high_time and record.endpoint_id and record.deployment_id:
            told = client.requests(record.endpoint_id, record.deployment_id, begin, end)
            count, counted_by = told or 0, "together" if told else None
        days = tuple(day.cents for day in integrate_over(own, edges))
        lines.append(
            CostLine(
                record.endpoint_name,
                usage,
                record=record,
                model_type=record.model_type,
                decisions=count if counted_by else None,
                counted_by=counted_by,
                days=days,
            )
        )
    return lines


def _answered(store: Store, model_type: str | None, since: datetime, until: datetime) -> int:
    """Decisions of a type that our own model answered, by the training log."""
    if model_type is None:
        return 0
    return Samples(store).count(SampleFilter(model_types=(model_type,), since=since, until=until, source="slot"))


def _jobs(jobs: Sequence[FineTuneJob]) -> list[CostLine]:
    return [
        CostLine(
            job.suffix or job.model_output_name or job.id, Usage(low_cents=job.cents, high_cents=job.cents), job=job
        )
        for job in jobs
    ]


def _by_type(lines: Sequence[CostLine]) -> list[CostLine]:
    """One line for each model type that cost something, one for what has no type, one for all fine-tunes."""
    found = []
    for name, model_type, is_job in (
        *((one, one, False) for one in MODEL_TYPES),
        ("other", None, False),
        ("fine-tunes", None, True),
    ):
        own = [one for one in lines if one.model_type == model_type and (one.job is not None) == is_job]
        if not own:
            continue
        counts = [one.decisions for one in own if one.decisions is not None]
        sources = {one.counted_by for one in own if one.counted_by}
        found.append(
            CostLine(
                name,
                sum((one.usage for one in own), Usage()),
                model_type=model_type,
                decisions=sum(counts) if counts else None,
                counted_by=" and ".join(sorted(sources)) or None,
                days=tuple(sum(day, Decimal(0)) for day in zip(*(one.days for one in own), strict=False)),
            )
        )
    return found


def _by_time(
    store: Store, readings: dict[str, list[Reading]], jobs: Sequence[FineTuneJob], edges: Sequence[datetime]
) -> list[CostLine]:
    """One line for each day or hour, also where nothing ran; a job counts where it was created."""
    sums = [Usage() for _ in edges[1:]]
    for own in readings.values():
        sums = [one + other for one, other in zip(sums, integrate_over(own, edges), strict=True)]
    for job in jobs:
        number = min(bisect_right(edges, job.created_at or edges[0]), len(sums)) - 1
        sums[number] += Usage(low_cents=job.cents, high_cents=job.cents)
    lines = []
    for usage, (begin, end) in zip(sums, pairwise(edges), strict=True):
        count = sum(_answered(store, one, begin, end) for one in MODEL_TYPES)
        lines.append(
            CostLine(
                "",
                usage,
                begin=begin,
                decisions=count or None,
                counted_by="log" if count else None,
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
