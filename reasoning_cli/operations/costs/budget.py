"""Budget and hourly cap: what is spent, how much more each hour, how long it lasts, and when to say no."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil

from reasoning_cli import settings as s
from reasoning_cli.errors import LimitError
from reasoning_cli.operations.costs.ledger import Usage, usage_by_deployment
from reasoning_cli.operations.costs.slot_tokens import TokenSlot, cents_of_last_hour, token_slots, token_usage
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.reservations import Reservation, Reservations
from reasoning_cli.store.train.fine_tunes import FineTunes
from reasoning_cli.values import Period, spell_model_type

# Nothing is billed in these states, and nothing starts again from them by itself.
AT_REST = ("STOPPED", "FAILED", "DELETED")
_WHOLE_SECONDS = timedelta(seconds=2)  # in which the service's clock comes, and one for a look that is dated late


@dataclass(frozen=True)
class Limits:
    """What the operator allows: dollars a period, dollars an hour, and how many hours a deploy must be able to last.

    `by_type` holds budgets of single model types, of the same period. At `warn_percent` of a budget the guard warns.
    `token_slots` cost by the token what the log says. `rehearsed` limits are for a plan that is only shown: what they
    refuse is told in it, and not raised.
    """

    budget_usd: Decimal | None
    hour_usd: Decimal | None
    reserve_hours: Decimal
    period: Period = Period.MONTH
    by_type: Mapping[str, Decimal] = field(default_factory=dict)
    warn_percent: int = 80
    rehearsed: bool = False
    token_slots: tuple[TokenSlot, ...] = ()


@dataclass(frozen=True)
class Standing:
    """Where the money stands: spent since the period began, and how much at most each hour from now on: for what runs,
    and by the token as much as in the last hour.

    With a `model_type` it is about the budget of that type alone.
    """

    limits: Limits
    at: datetime
    start: datetime
    usage: Usage
    burn_cents_per_hour: int
    model_type: str | None = None
    token_cents_last_hour: Decimal = Decimal(0)

    @property
    def rate_cents_per_hour(self) -> Decimal:
        """What an hour costs, by the hour and by the token."""
        return self.burn_cents_per_hour + self.token_cents_last_hour

    @property
    def is_capped(self) -> bool:
        """Whether slots that are paid for by the token have to wait: with them the last hour reached the cap."""
        cap = self.limits.hour_usd
        priced = any(slot.price is not None and not slot.is_free for slot in self.limits.token_slots)
        return cap is not None and priced and self.rate_cents_per_hour >= cap * 100

    @property
    def budget_usd(self) -> Decimal | None:
        return self.limits.by_type.get(self.model_type) if self.model_type else self.limits.budget_usd

    @property
    def limit_cents(self) -> int | None:
        return None if self.budget_usd is None else int(self.budget_usd * 100)

    @property
    def left_cents(self) -> Decimal | None:
        """What the budget still holds; doubts count as spent."""
        return None if self.limit_cents is None else max(Decimal(0), self.limit_cents - self.usage.high_cents)

    def lasts(self, added_cents_per_hour: int = 0) -> timedelta | None:
        """How long the rest lasts at this rate; None without a budget or when nothing is being spent."""
        rate = self.rate_cents_per_hour + added_cents_per_hour
        if self.left_cents is None or rate == 0:
            return None
        return timedelta(hours=float(self.left_cents / rate))

    @property
    def ends_at(self) -> datetime | None:
        """When the budget is gone at this rate; None when it outlasts its period, or nothing is being spent."""
        lasts, end = self.lasts(), period_end(self.limits.period, self.start)
        if lasts is None or (end is not None and self.at + lasts >= end):
            return None
        return self.at + lasts


def read_limits(settings: Settings) -> Limits:
    """The limits as they are set."""
    get = settings.get
    return Limits(
        budget_usd=get(s.BUDGET_LIMIT),
        hour_usd=get(s.MAX_COST_PER_HOUR),
        reserve_hours=get(s.RESERVE_HOURS),
        period=get(s.BUDGET_PERIOD),
        by_type={
            model_type: amount for model_type, setting in s.TYPE_BUDGET.items() if (amount := get(setting)) is not None
        },
        warn_percent=get(s.WARN_PERCENT),
        token_slots=token_slots(settings),
    )


def period_start(period: Period, at: datetime) -> datetime:
    """The first moment of the calendar day or month that `at` is in, UTC; of all time for a total."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAY:
            return day
        case Period.MONTH:
            return day.replace(day=1)
        case Period.TOTAL:
            return datetime(2000, 1, 1, tzinfo=UTC)


def period_end(period: Period, start: datetime) -> datetime | None:
    """When a period that began at `start` is over; a total never is."""
    match period:
        case Period.DAY:
            return start + timedelta(days=1)
        case Period.MONTH:
            return (start + timedelta(days=32)).replace(day=1)
        case Period.TOTAL:
            return None


def spending_rate(record: DeploymentRecord) -> int:
    """Cents an hour that a deployment costs at most until somebody stops it: all replicas it may scale to."""
    if record.state in AT_REST or record.deleted_at is not None:
        return 0
    return (record.price_cents_per_hour or 0) * max(record.ready_replicas, record.max_replicas)


def rate_of(record: DeploymentRecord, reservations: Iterable[Reservation]) -> int:
    """The same with what is reserved for it: a look that was not begun after what was seen of that may be older."""
    reserved = [
        reservation.cents_per_hour
        for reservation in reservations
        if reservation.subject == record.key
        and (reservation.seen_at is None or record.state_at < reservation.seen_at + _WHOLE_SECONDS)
    ]
    return max([spending_rate(record), *reserved]) if record.deleted_at is None else 0


def standing(store: Store, limits: Limits, at: datetime, model_type: str | None = None) -> Standing:
    """Where the money stands by what the store knows, asking nobody: all of it, or that of one model type.

    Fine-tuning jobs count whole when they were made, as last seen. What is reserved counts as if it were spent.
    """
    start = period_start(limits.period, at)
    records = [record for record in Deployments(store).all() if model_type in (None, record.model_type)]
    used = usage_by_deployment(store, start, at)
    tuned = FineTunes(store).cents(start, model_type)
    usage = sum(
        (used[record.key] for record in records if record.key in used), Usage(low_cents=tuned, high_cents=tuned)
    )
    usage += token_usage(store, limits.token_slots, start, model_type)
    reservations = Reservations(store).standing()
    once = Decimal(sum(found.cents for found in reservations if model_type in (None, found.model_type)))
    usage += Usage(low_cents=once, high_cents=once)
    burns = sum(rate_of(record, reservations) for record in records)
    by_token = cents_of_last_hour(store, limits.token_slots, at, model_type)
    return Standing(limits, at, start, usage, burns, model_type, by_token)


def standings(store: Store, limits: Limits, at: datetime) -> list[Standing]:
    """Where each budget stands: the whole first, then those of single model types."""
    return [standing(store, limits, at), *(standing(store, limits, at, model_type) for model_type in limits.by_type)]


def why_refused(budgets: Sequence[Standing], name: str, added_cents_per_hour: int) -> LimitError | None:
    """What is said against a plan; raised, unless the limits are rehearsed."""
    try:
        for budget in budgets:
            check_deploy(budget, name, added_cents_per_hour)
    except LimitError as refusal:
        if not all(budget.limits.rehearsed for budget in budgets):
            raise
        return refusal
    return None


def check_deploy(standing: Standing, name: str, added_cents_per_hour: int) -> None:
    """Refuse (LimitError) what the rest of a budget, or the hourly cap, cannot pay.

    What is left must pay for `reserve_hours` of everything that would then be running.
    """
    rate = standing.rate_cents_per_hour + added_cents_per_hour
    beside = f", ${standing.rate_cents_per_hour / 100:.2f} runs already" if standing.rate_cents_per_hour else ""
    price = f"${added_cents_per_hour / 100:.2f}"
    cap = standing.limits.hour_usd
    if standing.model_type is None and cap is not None and rate > cap * 100:
        raise LimitError(
            f"the cap of ${cap} an hour would be broken: `{name}` costs {price} an hour{beside}",
            f"raise it with `reasoning costs set-cap {ceil(rate / 100)}`, or stop something: `reasoning models status`",
        )
    if standing.limit_cents is None or standing.left_cents is None:
        return
    needed = rate * standing.limits.reserve_hours
    if standing.left_cents < needed or standing.left_cents == 0:
        spent = standing.usage.high_cents / 100
        # Something must be left even where no reserve is asked for.
        enough = ceil(max(standing.usage.high_cents + needed, standing.usage.high_cents + 1) / 100)
        whose = f" --model-type {spell_model_type(standing.model_type)}" if standing.model_type else ""
        raise LimitError(
            f"the budget of ${standing.budget_usd} would be broken: ${spent:.2f} used,"
            f" `{name}` costs {price} an hour{beside}",
            f"raise it with `reasoning costs set-budget {enough}{whose}`, or stop something: `reasoning models status`",
        )
