"""What is said without being asked: that another way costs clearly less than what answers, and has proven itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from reasoning_cli.operations.advice.facts import side_by_side
from reasoning_cli.operations.costs.breakeven import DAY
from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.operations.costs.ways import Way, cheapest
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.values import MIN_PRICED_DECISIONS, MODEL_TYPES

# Less than this is not worth a change: an estimate may be as far off.
_LEAST_CENTS_A_MONTH, _LEAST_SHARE = Decimal(100), Decimal("0.1")


@dataclass(frozen=True)
class Advice:
    """`way` costs so much less a month than `now` for the decisions of a type."""

    model_type: str
    way: Way
    now: Way
    saved_cents_a_month: Decimal


def advice(store: Store, settings: Settings, prices: Mapping[str, TokenPrice], now: datetime) -> list[Advice]:
    """One for each type that has one. None for a type with too few decisions in the last day to say, nor for what costs
    little less: what is said unasked must be worth reading."""
    samples, found = Samples(store), []
    for model_type in MODEL_TYPES:
        last_day = SampleFilter(model_types=(model_type,), since=now - DAY, until=now)
        if samples.count(last_day) < MIN_PRICED_DECISIONS:
            continue
        for shown in side_by_side(store, settings, prices, now, only=model_type):
            best = cheapest(shown.ways)
            present = next((way for way in shown.ways if way.is_now), None)
            if best is None or present is None or best.is_now or not best.next:
                continue
            if best.cents_a_month is None or present.cents_a_month is None:
                continue
            saved = present.cents_a_month - best.cents_a_month
            if saved >= max(_LEAST_CENTS_A_MONTH, present.cents_a_month * _LEAST_SHARE):
                found.append(Advice(model_type, best, present, saved))
    return found
