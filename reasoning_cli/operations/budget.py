"""Budget and hourly cap: what is spent, what burns, how long it lasts, and when to say no."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil

from reasoning_cli.errors import LimitError
from reasoning_cli.operations.ledger import Usage, usage_by_deployment
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DeploymentRecord, Deployments

# Nothing is billed in these states, and nothing starts again from them by itself.
AT_REST = ("STOPPED", "FAILED", "DELETED")


@dataclass(frozen=True)
class Limits:
    """What the operator allows: dollars a month, dollars an hour, and how many hours a deploy must be able to last."""

    month_usd: Decimal | None
    hour_usd: Decimal | None
    reserve_hours: Decimal


@dataclass(frozen=True)
class Standing:
    """Where the money stands: spent since the month began (UTC), and what burns at most from now on."""

    limits: Limits
    at: datetime
    month_start: datetime
    usage: Usage
    burn_cents_per_hour: int

    @property
    def limit_cents(self) -> int | None:
        return None if self.limits.month_usd is None else int(self.limits.month_usd * 100)

    @property
    def left_cents(self) -> Decimal | None:
        """What the budget still holds; doubts count as spent."""
        return None if self.limit_cents is None else max(Decimal(0), self.limit_cents - self.usage.high_cents)

    def lasts(self, added_cents_per_hour: int = 0) -> timedelta | None:
        """How long the rest lasts at this rate; None without a budget or when nothing burns."""
        rate = self.burn_cents_per_hour + added_cents_per_hour
        if self.left_cents is None or rate == 0:
            return None
        return timedelta(hours=float(self.left_cents / rate))

    @property
    def ends_at(self) -> datetime | None:
        """When the budget is gone at this rate; None when it outlasts the month, or nothing burns."""
        lasts = self.lasts()
        if lasts is None or self.at + lasts >= next_month(self.month_start):
            return None
        return self.at + lasts


def month_start(at: datetime) -> datetime:
    """The first moment of the calendar month, UTC."""
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(start: datetime) -> datetime:
    return (start + timedelta(days=32)).replace(day=1)


def burn(record: DeploymentRecord) -> int:
    """Cents an hour that a deployment costs at most until somebody stops it: all replicas it may scale to."""
    if record.state in AT_REST or record.deleted_at is not None:
        return 0
    return (record.price_cents_per_hour or 0) * max(record.ready_replicas, record.max_replicas)


def standing(store: Store, limits: Limits, at: datetime) -> Standing:
    """Where the money stands by the ledger's latest readings."""
    start = month_start(at)
    usage = sum(usage_by_deployment(store, start, at).values(), Usage())
    return Standing(limits, at, start, usage, sum(burn(record) for record in Deployments(store).live()))


def check_deploy(standing: Standing, name: str, added_cents_per_hour: int) -> None:
    """Refuse (LimitError) what the rest of the budget, or the hourly cap, cannot pay.

    What is left must pay for `reserve_hours` of everything that would then be running.
    """
    rate = standing.burn_cents_per_hour + added_cents_per_hour
    beside = f", ${standing.burn_cents_per_hour / 100:.2f} runs already" if standing.burn_cents_per_hour else ""
    price = f"${added_cents_per_hour / 100:.2f}"
    cap = standing.limits.hour_usd
    if cap is not None and rate > cap * 100:
        raise LimitError(
            f"the cap of ${cap} an hour would be broken: `{name}` costs {price} an hour{beside}",
            f"raise it with `reasoning config set budget.max_cost_per_hour_usd {ceil(rate / 100)}`,"
            " or stop something: `reasoning models status`",
        )
    if standing.limit_cents is None or standing.left_cents is None:
        return
    needed = rate * standing.limits.reserve_hours
    if standing.left_cents < needed or standing.left_cents == 0:
        spent = standing.usage.high_cents / 100
        # Something must be left even where no reserve is asked for.
        enough = ceil(max(standing.usage.high_cents + needed, standing.usage.high_cents + 1) / 100)
        raise LimitError(
            f"the budget of ${standing.limits.month_usd} would be broken: ${spent:.2f} used,"
            f" `{name}` costs {price} an hour{beside}",
            f"raise it with `reasoning costs set-budget {enough}`, or stop something: `reasoning models status`",
        )
