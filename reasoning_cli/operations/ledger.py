"""The ledger: what really ran, at which price, for how long.

Money is integrated from readings, each of which says "from here on so many replicas were ready". Together bills ready
replicas by time; provisioning and cold start are free. The clock is the service's own, so a wrong clock here changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.ledger import Ledger, Reading
from reasoning_cli.together.problems import MissingError

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient
    from reasoning_cli.together.wire import Deployment, Event

_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True)
class Usage:
    """What a deployment used in a period, as a range: equal bounds mean it is known exactly.

    Times are replica time (two replicas for an hour are two hours); costs are exact cents.
    """

    low_time: timedelta = timedelta()
    high_time: timedelta = timedelta()
    low_cents: Decimal = Decimal(0)
    high_cents: Decimal = Decimal(0)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.low_time + other.low_time,
            self.high_time + other.high_time,
            self.low_cents + other.low_cents,
            self.high_cents + other.high_cents,
        )

    @property
    def cents(self) -> Decimal:
        """The middle of the range."""
        return (self.low_cents + self.high_cents) / 2

    @property
    def doubt_cents(self) -> Decimal:
        """How far the truth may be from `cents`, either way."""
        return (self.high_cents - self.low_cents) / 2

    @property
    def time(self) -> timedelta:
        return (self.low_time + self.high_time) / 2


def billed_milliseconds(ready_milliseconds: int) -> int:
    """Ready time as it is billed.

    Together says "per minute, per ready replica" and nobody outside knows how a begun minute is rounded, nor whether
    there is a minimum; until an invoice tells, time is taken as it is.
    """
    return ready_milliseconds


def integrate(readings: Iterable[Reading], since: datetime, until: datetime) -> Usage:
    """What readings of one deployment (in order of time) amount to between `since` and `until`.

    An event tells the exact moment of a change. A change seen only by polling happened somewhere between two looks: the
    range then covers both ends. After the last reading nothing is assumed.
    """
    low_ms = high_ms = low_price_ms = high_price_ms = 0
    ordered = sorted(readings, key=lambda reading: (reading.at, reading.known_by != "event"))
    for first, second in pairwise(ordered):
        begin, end = max(first.at, since), min(second.at, until)
        if end <= begin:
            continue
        milliseconds = billed_milliseconds((end - begin) // timedelta(milliseconds=1))
        counts = {first.ready_replicas}
        if second.known_by != "event":
            counts.add(second.ready_replicas)
        low_ms += milliseconds * min(counts)
        high_ms += milliseconds * max(counts)
        low_price_ms += milliseconds * min(counts) * first.price_cents_per_hour
        high_price_ms += milliseconds * max(counts) * first.price_cents_per_hour
    return Usage(
        timedelta(milliseconds=low_ms),
        timedelta(milliseconds=high_ms),
        Decimal(low_price_ms) / _MS_PER_HOUR,
        Decimal(high_price_ms) / _MS_PER_HOUR,
    )


def usage_by_deployment(store: Store, since: datetime, until: datetime) -> dict[str, Usage]:
    """The usage of every deployment with readings, by its key."""
    by_key: dict[str, list[Reading]] = {}
    for reading in Ledger(store).readings():
        by_key.setdefault(reading.deployment_key, []).append(reading)
    return {key: integrate(readings, since, until) for key, readings in by_key.items()}


def ready_since(readings: list[Reading]) -> datetime | None:
    """Since when replicas have been ready without a break, or None when none are."""
    since: datetime | None = None
    for reading in sorted(readings, key=lambda reading: reading.at):
        if reading.ready_replicas == 0:
            since = None
        elif since is None:
            since = reading.at
    return since


def observe(
    client: TogetherClient, store: Store, record: DeploymentRecord, prices: Mapping[str, int] | None = None
) -> DeploymentRecord:
    """Look at a deployment, write down what was seen, and return the record as it is now.

    Between this look and the last one, the endpoint's events tell the exact moments of change. A deployment that
    vanished behind our back is closed. `prices` (instance name to cents an hour) starts a new interval when the
    price changed.
    """
    if record.endpoint_id is None or record.deployment_id is None:
        return record
    deployments, ledger = Deployments(store), Ledger(store)
    try:
        seen = client.deployment(record.endpoint_id, record.deployment_id)
    except MissingError:
        return close(store, record, client.now())
    at = client.now()
    price = (prices or {}).get(seen.hardware or "", record.price_cents_per_hour or 0)
    past = ledger.readings(record.key)
    changes = _changes(client, record, seen, past, price)
    # The service's clock comes in whole seconds: a look may seem older than the change it saw.
    at = max([at, *(reading.at for reading in changes), *(reading.at for reading in past[-1:])])
    state = seen.state
    ledger.add_readings(
        [*changes, Reading(record.key, at, seen.status.ready_replicas, price, state, known_by="polled")]
    )
    return deployments.update(
        record.key,
        state=state,
        ready_replicas=seen.status.ready_replicas,
        min_replicas=seen.autoscaling.min_replicas,
        max_replicas=seen.autoscaling.max_replicas,
        idle_minutes=seen.inactive_timeout or 0,
        price_cents_per_hour=price,
        state_at=at,
        last_error=(seen.status.message or None) if state in ("FAILED", "DEGRADED") else None,
    )


def close(store: Store, record: DeploymentRecord, at: datetime) -> DeploymentRecord:
    """Write down that a deployment is gone: from `at` on it costs nothing."""
    past = Ledger(store).readings(record.key)
    at = max([at, *(reading.at for reading in past[-1:])])
    if past and past[-1].ready_replicas:
        price = record.price_cents_per_hour or 0
        Ledger(store).add_readings([Reading(record.key, at, 0, price, DELETED, known_by="inferred")])
    for slot in Deployments(store).slots():
        if slot.deployment_key == record.key:
            Deployments(store).set_slot(slot.model_type, None, now=at)
    return Deployments(store).update(record.key, state=DELETED, ready_replicas=0, state_at=at, deleted_at=at)


def _changes(
    client: TogetherClient, record: DeploymentRecord, seen: Deployment, past: list[Reading], price: int
) -> list[Reading]:
    """The changes of ready replicas since the last reading, from events, when they fit what was seen at both ends.

    Whether `newReplicas` counts replicas wanted or ready is not documented. Events that do not lead from the count
    of the last look to that of this one are therefore not used; the range between the two looks stands.
    """
    count = past[-1].ready_replicas if past else 0
    since = past[-1].at if past else seen.created_at
    scaled = [
        event
        for event in client.events(seen.endpoint_id, since=since, types=("deployment.scaled",))
        if event.deployment_id == seen.id and event.created_at > since
    ]
    if not _lead(scaled, count, seen.status.ready_replicas):
        return []
    return [
        Reading(record.key, event.created_at, event.new_replicas or 0, price, seen.state, known_by="event")
        for event in scaled
    ]


def _lead(events: list[Event], start: int, end: int) -> bool:
    for event in events:
        if event.old_replicas is not None and event.old_replicas != start:
            return False
        start = event.new_replicas or 0
    return bool(events) and start == end
