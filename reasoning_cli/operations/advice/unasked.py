"""What is said without being asked: that another way costs clearly less than what answers, and has proven itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.values import MIN_PRICED_DECISIONS, MODEL_TYPES

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.token_prices import TokenPrice
    from reasoning_cli.operations.costs.ways import Way

_DAY = timedelta(days=1)
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
    asked = [
        model_type
        for model_type in MODEL_TYPES
        if Samples(store).count(SampleFilter(model_types=(model_type,), since=now - _DAY, until=now))
        >= MIN_PRICED_DECISIONS
    ]
    if not asked:
        return []
    # Gates, promotions and all that is deployed: a third of what a status without a word to say would import.
    from reasoning_cli.operations.advice.facts import side_by_side
    from reasoning_cli.operations.costs.ways import cheapest

    found = []
    for model_type in asked:
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
