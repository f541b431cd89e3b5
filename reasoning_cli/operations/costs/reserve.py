"""Reserve what a request will cost before it is sent, and settle it when it was seen.

The limits are looked at and the reservation is written in one transaction, which no other of this store runs beside:
of several programs that ask for money at once, on one host or on several, each counts what the others were given.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.operations.costs.budget import Limits, check_deploy, rate_of, standings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.reservations import LASTS, Reservation, Reservations

# A request that is sent later than this might come after the end of what was reserved for it.
_SEND_WITHIN = LASTS - timedelta(minutes=5)


@dataclass(frozen=True)
class Reserved:
    """What was reserved for one request. Not settled, it stands until it runs out."""

    store: Store
    reservation: Reservation
    began: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.time()))

    @contextmanager
    def sending(self) -> Iterator[None]:
        """For the request alone. One that is refused needs nothing; of one that got lost nobody knows."""
        # One of the two clocks stands still while the machine sleeps.
        waited = max(time.monotonic() - self.began[0], time.time() - self.began[1])
        if waited > _SEND_WITHIN.total_seconds():
            self.release()
            raise RemoteError("what was reserved for this request ran out before it was sent", "run the command again")
        try:
            yield
        except RemoteError:
            raise
        except ReasoningError:
            self.release()
            raise

    def settle(self, record: DeploymentRecord) -> None:
        """The deployment was seen after the request, as `record` has it."""
        Reservations(self.store).settle(self.reservation.key, record.state_at)

    def release(self) -> None:
        Reservations(self.store).release(self.reservation.key)


def reserve_replicas(store: Store, limits: Limits, record: DeploymentRecord, replicas: int, at: datetime) -> Reserved:
    """Reserve so many replicas of a deployment for as long as they run. Raises LimitError where that breaks a limit."""
    rate = (record.price_cents_per_hour or 0) * replicas

    def check() -> None:
        now = Deployments(store).get(record.key) or record
        check_added(store, limits, record, max(0, rate - rate_of(now, Reservations(store).standing())), at)

    return _reserve(store, Reservation(str(uuid.uuid4()), record.key, record.model_type, cents_per_hour=rate), check)


def reserve_unwatched(store: Store, limits: Limits, record: DeploymentRecord, at: datetime) -> Reserved:
    """The same for all that a deployment may scale to, where nobody watches it start: that must be able to run for an
    hour at least."""
    careful = replace(limits, reserve_hours=max(limits.reserve_hours, Decimal(1)))
    return reserve_replicas(store, careful, record, max(1, record.min_replicas, record.max_replicas), at)


def reserve_price(store: Store, subject: str, model_type: str, cents: int, check: Callable[[], None]) -> Reserved:
    """Reserve cents that are spent once, where `check` raises nothing."""
    return _reserve(store, Reservation(str(uuid.uuid4()), subject, model_type, cents=cents), check)


def check_added(store: Store, limits: Limits, record: DeploymentRecord, added: int, at: datetime) -> None:
    """Refuse (LimitError) so many cents an hour more for a deployment, by the limits that are over it."""
    for standing in standings(store, limits, at):
        if standing.model_type in (None, record.model_type):
            check_deploy(standing, record.endpoint_name, added)


def _reserve(store: Store, reservation: Reservation, check: Callable[[], None]) -> Reserved:
    with store.transaction() as connection:
        check()
        Reservations(store).add(connection, reservation)
    return Reserved(store, reservation)
