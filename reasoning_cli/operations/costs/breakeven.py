"""What a decision costs on our own model and at the original provider, and from how many an hour ours pays.

A deployment costs by the hour, whatever it is asked; the original provider costs by the token. So there is a number
of decisions an hour at which both cost the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil

from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.samples.stats import Traffic, traffic
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.values import MIN_PRICED_DECISIONS, MODEL_TYPES, Hours

DAY = timedelta(days=1)
# Where our own model answered everything of the last day, what the original's answers cost is taken from so far back.
LOOK_BACK = timedelta(days=30)
CHARS_PER_TOKEN = 4


@dataclass(frozen=True)
class Original:
    """The original provider's model that answered most: how many tokens a decision has there, and what they cost.

    `cached_tokens` are those of the prompt that the provider had cached.
    `estimated` decisions of `decisions` have no token counts in the log: theirs are characters / 4.
    """

    model: str
    decisions: int
    estimated: int
    prompt_tokens: Decimal
    completion_tokens: Decimal
    price: TokenPrice | None
    cached_tokens: Decimal = Decimal(0)

    @property
    def cached_share(self) -> Decimal:
        """The cached part of what goes in, 0 to 1."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else Decimal(0)

    @property
    def cents_per_decision(self) -> Decimal | None:
        if self.price is None:
            return None
        return self.price.cents(self.prompt_tokens, self.completion_tokens, self.cached_tokens)


@dataclass(frozen=True)
class Comparison:
    """One model type at the traffic of a span, the last day unless told.

    `cents_per_hour` is what its deployment costs while it runs, with the replicas it runs on; None when none ever did.
    `busy` is the span of a day in which it pays, when it pays in some hours and not over the day.
    """

    model_type: str
    decisions: int
    running: bool
    cents_per_hour: int | None
    original: Original | None
    busy: Hours | None = None
    newest_original: datetime | None = None  # where none of the last days is in the log
    span: timedelta = DAY

    @property
    def decisions_per_hour(self) -> Decimal:
        return Decimal(self.decisions) * 3600 / (self.span // timedelta(seconds=1))

    @property
    def own_cents_per_decision(self) -> Decimal | None:
        """None where there is no deployment, or too few decisions to tell."""
        if self.cents_per_hour is None or self.decisions < MIN_PRICED_DECISIONS:
            return None
        return self.cents_per_hour / self.decisions_per_hour

    @property
    def pays_from(self) -> int | None:
        """Decisions an hour from which the deployment is cheaper; None where a price is missing or nothing is paid."""
        each = self.original.cents_per_decision if self.original else None
        if self.cents_per_hour is None or not each:
            return None
        return ceil(self.cents_per_hour / each)

    @property
    def saved_cents_per_hour(self) -> Decimal | None:
        """What the deployment saves an hour; negative when it costs more."""
        each = self.original.cents_per_decision if self.original else None
        if self.cents_per_hour is None or each is None:
            return None
        return each * self.decisions_per_hour - self.cents_per_hour


def compare(
    store: Store, prices: Mapping[str, TokenPrice], now: datetime, since: datetime | None = None
) -> list[Comparison]:
    """Every model type with decisions since then (the last day unless told), or with a deployment."""
    samples, since = Samples(store), since or now - DAY
    recent = traffic(store, since, now)
    older: list[Traffic] | None = None  # counting a month takes its time
    found = []
    for model_type in MODEL_TYPES:
        decisions = sum(source.decisions for source in recent if source.model_type == model_type)
        record = deployment_of(store, model_type)
        if not decisions and record is None:
            continue
        running = record is not None and record.ready_replicas > 0
        price = record.price_cents_per_hour if record is not None else None
        original = _original(model_type, recent, prices)
        if original is None:
            older = traffic(store, min(since, now - LOOK_BACK), now) if older is None else older
            original = _original(model_type, older, prices)
        comparison = Comparison(
            model_type,
            decisions,
            running,
            price * max(1, record.ready_replicas) if price is not None and record is not None else None,
            original,
            newest_original=None if original is not None else samples.newest_original(model_type),
            span=now - since,
        )
        found.append(_with_busy_hours(samples, comparison, now))
    return found


def deployment_of(store: Store, model_type: str) -> DeploymentRecord | None:
    """What serves the type, else the newest that ever did."""
    own = [record for record in Deployments(store).all() if record.model_type == model_type]
    return max(
        own, key=lambda record: (record.deleted_at is None, record.ready_replicas > 0, record.created_at), default=None
    )


def _original(model_type: str, seen: Sequence[Traffic], prices: Mapping[str, TokenPrice]) -> Original | None:
    by_model: dict[str, list[Traffic]] = {}
    for source in seen:
        if source.model_type == model_type and source.source != "slot":
            by_model.setdefault(source.model, []).append(source)
    if not by_model:
        return None
    model, rows = max(by_model.items(), key=lambda item: sum(source.decisions for source in item[1]))
    decisions = sum(source.decisions for source in rows)
    asked = sum(
        (source.prompt_tokens + Decimal(source.uncounted_prompt_chars) / CHARS_PER_TOKEN for source in rows), Decimal(0)
    )
    answered = sum(
        (source.completion_tokens + Decimal(source.uncounted_output_chars) / CHARS_PER_TOKEN for source in rows),
        Decimal(0),
    )
    estimated = decisions - sum(source.counted for source in rows)
    cached = Decimal(sum(source.cached_tokens for source in rows))
    price = prices.get(model)
    return Original(model, decisions, estimated, asked / decisions, answered / decisions, price, cached / decisions)


def _with_busy_hours(samples: Samples, comparison: Comparison, now: datetime) -> Comparison:
    """With the longest run of hours of the last day in which it would have paid, where it does not over the day."""
    pays_from = comparison.pays_from
    if comparison.span != DAY:  # the hours are those of one day
        return comparison
    if pays_from is None or comparison.decisions_per_hour >= pays_from or comparison.decisions < pays_from:
        return comparison
    full = now.astimezone().replace(minute=0, second=0, microsecond=0)
    best: list[datetime] = []
    run: list[datetime] = []
    for back in range(24, 0, -1):
        begin = full - timedelta(hours=back)
        wanted = SampleFilter(model_types=(comparison.model_type,), since=begin, until=begin + timedelta(hours=1))
        run = [*run, begin] if samples.count(wanted) >= pays_from else []
        best = max(best, run, key=len)
    if not best or len(best) == 24:
        return comparison
    hours = Hours(best[0].time(), (best[-1] + timedelta(hours=1)).time())
    return replace(comparison, busy=hours)
