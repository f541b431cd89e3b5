"""The ledger against Together's own bill, day by day, where the bill is enabled for the organisation.

The bill is the whole organisation's: what other projects run is on it and not in our ledger. Its days are UTC, and
the present month's end at yesterday.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import MissingError
from reasoning_cli.errors import UsageError
from reasoning_cli.operations.costs.billing_rules import BillingRules
from reasoning_cli.operations.costs.ledger import Usage, integrate_over, readings_by_deployment
from reasoning_cli.store.database import Store
from reasoning_cli.store.train.fine_tunes import FineTunes

if TYPE_CHECKING:
    from reasoning_cli.engines.bills import UsageWindow
    from reasoning_cli.engines.clients import Billing


@dataclass(frozen=True)
class DayCompared:
    """One day (UTC): exact cents of the ledger and of the bill; `billed_cents` None where the bill has no such day."""

    begin: datetime
    ledger: Usage
    billed_cents: Decimal | None

    @property
    def difference_cents(self) -> Decimal | None:
        """How much more the bill says than the ledger; nothing where it is within the ledger's range."""
        if self.billed_cents is None:
            return None
        if self.billed_cents < self.ledger.low_cents:
            return self.billed_cents - self.ledger.low_cents
        return max(Decimal(0), self.billed_cents - self.ledger.high_cents)


@dataclass(frozen=True)
class Reconciliation:
    """A month; `enabled` is false where Together does not show the organisation's bill."""

    month: str
    enabled: bool
    days: tuple[DayCompared, ...] = ()

    @property
    def billed_cents(self) -> Decimal:
        return sum((day.billed_cents for day in self.days if day.billed_cents is not None), Decimal(0))

    @property
    def ledger(self) -> Usage:
        """What the ledger says of the days that are billed."""
        return sum((day.ledger for day in self.days if day.billed_cents is not None), Usage())

    @property
    def difference_cents(self) -> Decimal:
        return sum((day.difference_cents or Decimal(0) for day in self.days), Decimal(0))


def parse_month(text: str | None, at: datetime) -> str:
    """`2026-11`; without it the month of `at` (UTC). Raises UsageError."""
    if text is None:
        return f"{at.astimezone(UTC):%Y-%m}"
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", text.strip()):
        raise UsageError(f"`{text}` is not a month", "for example --month 2026-11")
    return text.strip()


def reconcile(client: Billing, store: Store, month: str, at: datetime) -> Reconciliation:
    """Every day of a month up to `at` that is on the bill or in the ledger; a job counts on the day it was created."""
    try:
        windows = client.billing_usage(month)
    except MissingError:
        return Reconciliation(month, enabled=False)
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    end = (begin + timedelta(days=32)).replace(day=1)
    edges = [begin + timedelta(days=number) for number in range((end - begin).days + 1)]
    sums = [Usage() for _ in edges[1:]]
    rules = BillingRules.of(store)
    for own in readings_by_deployment(store).values():
        sums = [other_sum + other for other_sum, other in zip(sums, integrate_over(own, edges, rules), strict=True)]
    for job in FineTunes(store).all(begin, end):
        sums[(job.created_at - begin).days] += Usage(low_cents=job.cents, high_cents=job.cents)
    billed = _billed(windows, begin)
    # A day without cost has no window: up to the last one it was billed, with nothing.
    last = max(billed, default=-1)
    days = [
        DayCompared(edges[number], usage, billed.get(number, Decimal(0)) if number <= last else None)
        for number, usage in enumerate(sums)
        if edges[number] < at and (number in billed or usage.high_cents)
    ]
    return Reconciliation(month, enabled=True, days=tuple(days))


def _billed(windows: Sequence[UsageWindow], begin: datetime) -> dict[int, Decimal]:
    """Exact cents by the number of the day in the month; several windows of a day add up."""
    found: dict[int, Decimal] = {}
    for window in windows:
        number = (window.start_time.astimezone(UTC) - begin).days
        cents = sum((item.cost * 100 for item in window.line_items), Decimal(0))
        found[number] = found.get(number, Decimal(0)) + cents
    return found
