"""What is settled of how Together bills and tells: the ledger follows it, and states as a doubt what is not settled.

`reasoning doctor --live` settles it; until then the ledger takes time as it is, and every rule here is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from reasoning_cli.store.database import Store
from reasoning_cli.store.service_facts import ServiceFact, ServiceFacts

MINUTE = timedelta(minutes=1)
# Where a request was not counted in all the time that a probe waited for it.
_VERY_LATE = timedelta(minutes=10)


@dataclass(frozen=True)
class BillingRules:
    """What is known of the service; None is not settled.

    `rounding` of each time that something was ready is `exact`, or to whole minutes `up` or `down`; no such time is
    billed as less than `minimum`. `bills_cold_start`: a start counts too. `events_count` is what the event of a scaling
    counts: replicas that are `ready`, or `desired`. `takes_commas`: a list in a query may be one value. Events older
    than `events_last` are gone. `price_differs` says how the price that is billed is another than the one shown.
    Together's count of requests is as late as `requests_late`, where that is too late for the guard to take no notice.
    """

    rounding: str | None = None
    minimum: timedelta | None = None
    bills_cold_start: bool | None = None
    events_count: str | None = None
    takes_commas: bool | None = None
    events_last: timedelta | None = None
    price_differs: str | None = None
    requests_late: timedelta = timedelta()

    @classmethod
    def of(cls, store: Store) -> BillingRules:
        """What is settled in a store."""
        facts = ServiceFacts(store).all()
        if not facts:
            return cls()
        rounding, minimum = facts.get("billing_exact"), facts.get("no_billing_minimum")
        events, days, price = facts.get("scaled_counts_ready"), facts.get("event_days"), facts.get("billed_price")
        start, commas = facts.get("cold_start_free"), facts.get("comma_arrays")
        late = facts.get("analytics_delay")
        return cls(
            rounding=str(rounding.value) if rounding else None,
            minimum=timedelta(seconds=_number(minimum)) if minimum else None,
            bills_cold_start=None if start is None else not start.holds,
            events_count=str(events.value) if events else None,
            takes_commas=None if commas is None else commas.holds,
            events_last=timedelta(days=_number(days)) if days and not days.holds else None,
            price_differs=price.why if price and not price.holds else None,
            requests_late=_late(late) if late and not late.holds else timedelta(),
        )

    def billed(self, ready: timedelta) -> timedelta:
        """What a time that something was ready is billed as."""
        whole = ready // MINUTE * MINUTE
        rounded = ready
        if self.rounding == "up" and whole < ready:
            rounded = whole + MINUTE
        elif self.rounding == "down":
            rounded = whole
        return max(rounded, self.minimum or timedelta())


UNSETTLED = BillingRules()


def _late(fact: ServiceFact) -> timedelta:
    return timedelta(seconds=_number(fact)) if fact.value is not None else _VERY_LATE


def _number(fact: ServiceFact) -> float:
    return float(fact.value) if isinstance(fact.value, int | float) else 0.0
