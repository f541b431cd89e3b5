"""The ledger: what really ran, at which price, for how long.

Money is integrated from readings, each of which says "from here on so many replicas were ready". Together bills ready
replicas by time; provisioning and cold start are free. The clock is the service's own, so a wrong clock here changes
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from reasoning_cli.errors import ConfigurationError, NotFoundError, RemoteError
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import CREATING, DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.ledger import Ledger, Reading
from reasoning_cli.together.problems import MissingError, RequestRefusedError

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient
    from reasoning_cli.together.wire import Event

log = logging.getLogger(__name__)

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

    An event tells the exact moment of a change. A change of replicas or price seen only by polling happened somewhere
    between two looks: the range then covers both ends. After the last reading nothing is assumed.
    """
    low_ms = high_ms = low_price_ms = high_price_ms = 0
    ordered = sorted(readings, key=lambda reading: (reading.at, reading.known_by != "event"))
    for first, second in pairwise(ordered):
        begin, end = max(first.at, since), min(second.at, until)
        if end <= begin:
            continue
        milliseconds = billed_milliseconds((end - begin) // timedelta(milliseconds=1))
        counts, prices = {first.ready_replicas}, {first.price_cents_per_hour}
        if second.known_by != "event":
            counts.add(second.ready_replicas)
            prices.add(second.price_cents_per_hour)
        low_ms += milliseconds * min(counts)
        high_ms += milliseconds * max(counts)
        low_price_ms += milliseconds * min(counts) * min(prices)
        high_price_ms += milliseconds * max(counts) * max(prices)
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
    price changed. Raises ConfigurationError when the key is not the one it was deployed with.
    """
    record = find_made(client, store, record)
    if record.endpoint_id is None or record.deployment_id is None:
        return record
    deployments, ledger = Deployments(store), Ledger(store)
    try:
        seen = client.deployment(record.endpoint_id, record.deployment_id)
    except MissingError:
        at, past = client.now(), ledger.readings(record.key)
        if past:
            ledger.add_readings(_changes(client, record, past[-1], 0, DELETED))
        return close(store, record, at)
    at = client.now()
    price = (prices or {}).get(seen.hardware or "", record.price_cents_per_hour or 0)
    ready, state = seen.status.ready_replicas, seen.state
    # Whoever looks first, however late: it began with nothing ready.
    begin = Reading(record.key, seen.created_at, 0, record.price_cents_per_hour or price, CREATING, known_by="inferred")
    past = ledger.readings(record.key)
    if not past:
        past = [begin]
        ledger.add_readings(past)
    changes = _changes(client, record, past[-1], ready, state)
    # The service's clock comes in whole seconds: a look may seem older than the change it saw.
    if ready != past[-1].ready_replicas and not changes:
        at += timedelta(seconds=1)
    at = max([at, past[-1].at, *(reading.at for reading in changes)])
    ledger.add_readings([*changes, Reading(record.key, at, ready, price, state, known_by="polled")])
    return deployments.update(
        record.key,
        state=state,
        ready_replicas=ready,
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


def find_made(client: TogetherClient, store: Store, record: DeploymentRecord) -> DeploymentRecord:
    """A deploy that broke off may have made more than it could write down: look by name.

    Raises ConfigurationError when the key is not the one it was deployed with.
    """
    _check_project(client, record)
    if record.endpoint_id is None:
        endpoint = client.find_endpoint(record.endpoint_name)
        if endpoint is None:
            return record
        record = Deployments(store).update(record.key, endpoint_id=endpoint.id, serving_name=endpoint.name)
    if record.deployment_id is None and record.endpoint_id is not None:
        try:
            made = client.find_deployment(record.endpoint_id, record.deployment_name)
        except MissingError:
            return record
        if made is not None:
            record = Deployments(store).update(record.key, deployment_id=made.id)
    return record


def _check_project(client: TogetherClient, record: DeploymentRecord) -> None:
    """To another project's key everything is missing, which must not be taken for deleted, and free."""
    if record.project_id not in (None, client.project.id):
        raise ConfigurationError(
            f"`{record.endpoint_name}` was deployed in project `{record.project_id}` and may be running there,"
            f" but the key or project now set is that of `{client.project.id}`",
            "set the former ones to look at it or stop it; or work apart from it with `REASONING_HOME=FOLDER`",
        )


def _changes(client: TogetherClient, record: DeploymentRecord, last: Reading, ready: int, state: str) -> list[Reading]:
    """The changes of ready replicas since the `last` reading, from events, when they lead from there to `ready`.

    Whether `newReplicas` counts replicas wanted or ready is not documented. Events that do not lead from the count
    of the last look to that of this one are therefore not used, and neither are events that cannot be had; the range
    between the two looks stands.
    """
    assert record.endpoint_id is not None
    try:
        events = client.events(record.endpoint_id, since=last.at, types=("deployment.scaled",))
    except (RemoteError, NotFoundError, RequestRefusedError) as problem:
        log.info("no events of %s: %s", record.endpoint_name, problem.message)
        return []
    scaled = [
        event
        for event in events
        if event.deployment_id == record.deployment_id
        # At the very moment of the last look, only what that look did not see yet.
        and (event.created_at > last.at or (event.created_at, event.old_replicas) == (last.at, last.ready_replicas))
    ]
    return [
        Reading(
            record.key, event.created_at, event.new_replicas or 0, last.price_cents_per_hour, state, known_by="event"
        )
        for event in _leading(scaled, last.ready_replicas, ready)
    ]


def _leading(events: list[Event], start: int, end: int) -> list[Event]:
    """As many of `events` as lead from `start` to `end`: what happened after the look comes with the next one."""
    count, led = start, 0
    for number, event in enumerate(events, 1):
        if event.old_replicas not in (None, count):
            return []
        count = event.new_replicas or 0
        if count == end:
            led = number
    return events[:led]
