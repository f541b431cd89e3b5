"""The ledger: what really ran, at which price, for how long.

Money is integrated from readings, each of which says "from here on so many replicas were ready". Together bills ready
replicas by time; provisioning and cold start are free. The clock is the service's own, so a wrong clock here changes
nothing.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import MissingError, RequestRefusedError
from reasoning_cli.errors import NotFoundError, RemoteError
from reasoning_cli.operations.costs.billing_rules import MINUTE, UNSETTLED, BillingRules
from reasoning_cli.operations.inventory.lookup import find_made
from reasoning_cli.store.audit_log import TOGETHER, Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import CREATING, DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger, Reading

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting
    from reasoning_cli.engines.serving import Deployment, ServingEvent

log = logging.getLogger(__name__)

_MS_PER_HOUR = 3_600_000
_SCALED, _DELETED = "deployment.scaled", "deployment.deleted"
_UPDATED, _STATUS = "deployment.updated", "deployment.status_updated"

# Two looks no further apart that saw the same are taken to have seen all: a replica that goes away needs minutes to
# come back. The guard looks every minute.
POLLING = timedelta(minutes=2)
STARTING = (CREATING, "PROVISIONING", "SCALING")
# Nothing is ever ready again after these.
ENDED = ("FAILED", DELETED)


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


@dataclass(frozen=True)
class Span:
    """From one reading to the next: how many replicas at least and at most, at which prices at least and at most."""

    begin: datetime
    end: datetime
    least: int
    most: int
    low_price: int
    high_price: int

    def usage(self, begin: datetime, end: datetime) -> Usage:
        """What it amounts to from `begin` to `end`, which are within it."""
        milliseconds = (end - begin) // timedelta(milliseconds=1)
        return Usage(
            timedelta(milliseconds=milliseconds * self.least),
            timedelta(milliseconds=milliseconds * self.most),
            Decimal(milliseconds * self.least * self.low_price) / _MS_PER_HOUR,
            Decimal(milliseconds * self.most * self.high_price) / _MS_PER_HOUR,
        )


def spans(readings: Iterable[Reading]) -> Iterator[Span]:
    """What readings of one deployment say, in order of time; those of one moment as they were added.

    An event tells the exact moment of a change. A change of replicas seen only by polling happened somewhere between
    two looks, and a reading with bounds says that anything between them may have been ready: the range then covers
    both ends. No event tells when a price changed, so from one look at the price to the next it was either. After the
    last reading nothing is assumed.
    """
    ordered = sorted(readings, key=lambda reading: reading.at)
    exact_moments = {reading.at for reading in ordered if reading.known_by == "event"}
    for (first, second), prices in zip(pairwise(ordered), _prices(ordered), strict=True):
        if second.at > first.at:
            least, most = _bounds(first, second, exact=second.at in exact_moments)
            yield Span(first.at, second.at, least, most, min(prices), max(prices))


def billed_spans(readings: Iterable[Reading], rules: BillingRules) -> Iterator[Span]:
    """The same as it is billed by what is settled of that: a cold start may count, and each time that something was
    ready without a break is as long as it is billed. What is not settled changes nothing; see `rounding_doubt_cents`.
    """
    for tenure in _tenures(_with_starts(readings, rules)):
        yield from _as_billed(tenure, rules)


def rounding_doubt_cents(
    readings: Iterable[Reading], since: datetime, until: datetime, rules: BillingRules
) -> tuple[int, Decimal]:
    """How often something began to be ready in that time, and what these starts may cost more than is counted: a minute
    each, while it is not settled how a begun one is billed."""
    if rules.rounding is not None:
        return 0, Decimal(0)
    starts = [tenure[0] for tenure in _tenures(spans(readings)) if since <= tenure[0].begin < until]
    return len(starts), sum((start.usage(start.begin, start.begin + MINUTE).high_cents for start in starts), Decimal(0))


def _with_starts(readings: Iterable[Reading], rules: BillingRules) -> Iterator[Span]:
    """Spans in which what starts counts too, where it is billed: no start is of less than one replica."""
    ordered = sorted(readings, key=lambda reading: reading.at)
    if not rules.bills_cold_start:
        yield from spans(ordered)
        return
    states = {reading.at: reading.state for reading in ordered}  # of one moment the last
    for span in spans(ordered):
        starting = not span.least and states[span.begin] in STARTING
        yield replace(span, least=1, most=max(1, span.most)) if starting else span


def _tenures(found: Iterable[Span]) -> Iterator[list[Span]]:
    """Spans that follow each other without a break and in which something may have been ready."""
    tenure: list[Span] = []
    for span in found:
        if tenure and (not span.most or span.begin != tenure[-1].end):
            yield tenure
            tenure = []
        if span.most:
            tenure.append(span)
    if tenure:
        yield tenure


def _as_billed(tenure: Sequence[Span], rules: BillingRules) -> Iterator[Span]:
    """A tenure made longer or shorter, at its end, to what it is billed as."""
    begin, last = tenure[0].begin, tenure[-1]
    end = begin + rules.billed(last.end - begin)
    for span in tenure:
        if span.begin < end:
            yield replace(span, end=min(span.end, end))
    if end > last.end:
        # Where not all of it is certain, neither is what is added.
        certain = all(span.least for span in tenure)
        yield replace(last, begin=last.end, end=end, least=last.least if certain else 0)


def integrate(readings: Iterable[Reading], since: datetime, until: datetime, rules: BillingRules = UNSETTLED) -> Usage:
    """What readings of one deployment amount to between `since` and `until`."""
    return integrate_over(readings, (since, until), rules)[0] if since < until else Usage()


def integrate_over(
    readings: Iterable[Reading], edges: Sequence[datetime], rules: BillingRules = UNSETTLED
) -> list[Usage]:
    """The same from each of `edges` (rising) to the next."""
    sums = [Usage() for _ in edges[1:]]
    for span in billed_spans(readings, rules):
        for number in range(max(0, bisect_right(edges, span.begin) - 1), len(sums)):
            if edges[number] >= span.end:
                break
            begin, end = max(span.begin, edges[number]), min(span.end, edges[number + 1])
            if begin < end:
                sums[number] += span.usage(begin, end)
    return sums


def _bounds(first: Reading, second: Reading, *, exact: bool) -> tuple[int, int]:
    """The fewest and the most replicas that can have been ready from one reading to the next."""
    counts = [first.ready_replicas]
    if second.most_replicas is not None:
        counts += [second.ready_replicas, second.least_replicas or 0, second.most_replicas]
    elif not exact:
        counts.append(second.ready_replicas)
    return min(counts), max(counts)


def _prices(ordered: Sequence[Reading]) -> list[set[int]]:
    """For each interval between two readings, the price last looked up before it and the one first looked up after."""
    before: list[int | None] = []
    after: list[int | None] = []
    seen: int | None = None
    for reading in ordered[:-1]:
        seen = reading.price_cents_per_hour if reading.price_seen else seen
        before.append(seen)
    seen = None
    for reading in reversed(ordered[1:]):
        seen = reading.price_cents_per_hour if reading.price_seen else seen
        after.append(seen)
    return [
        {price for price in both if price is not None} or {reading.price_cents_per_hour}
        for reading, *both in zip(ordered, before, reversed(after), strict=False)
    ]


def readings_by_deployment(store: Store) -> dict[str, list[Reading]]:
    """All readings, by the key of their deployment."""
    by_key: dict[str, list[Reading]] = {}
    for reading in Ledger(store).readings():
        by_key.setdefault(reading.deployment_key, []).append(reading)
    return by_key


def usage_by_deployment(store: Store, since: datetime, until: datetime) -> dict[str, Usage]:
    """The usage of every deployment with readings, by its key."""
    rules = BillingRules.of(store)
    return {key: integrate(readings, since, until, rules) for key, readings in readings_by_deployment(store).items()}


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
    client: Hosting, store: Store, record: DeploymentRecord, prices: Mapping[str, int] | None = None
) -> DeploymentRecord:
    """Look at a deployment, write down what was seen, and return the record as it is now.

    Between this look and the last one, the endpoint's events tell the exact moments of change. A deployment that
    vanished behind our back is closed. `prices` (instance name to cents an hour) starts a new interval when the
    price changed; without them, or without its hardware among them, the last known one goes on. Raises
    ConfigurationError when the key is not the one it was deployed with.
    """
    record = find_made(client, store, record)
    if record.rides_on is not None:
        return _observe_rider(client, store, record)
    if record.endpoint_id is None or record.deployment_id is None:
        return record
    # Before the look: whoever looks meanwhile writes down what is newer than what is seen here.
    last = Ledger(store).last(record.key)
    try:
        seen: Deployment | None = client.deployment(record.endpoint_id, record.deployment_id)
    except MissingError:
        seen = None
    at = client.now()
    hardware = (seen.hardware if seen is not None else None) or record.hardware or ""
    price = (prices or {}).get(hardware)
    last = last or _beginning(record, seen, at, price)
    if seen is None:
        gone = Reading(
            record.key, at, 0, _known_price(record, price), DELETED, "inferred", price_seen=price is not None
        )
        at = _write_down(client, store, record, last, gone, 0).at
        _note_state(store, record, DELETED, at, "it is gone at Together, and was not deleted from here")
        return close(store, record, at)
    look = Reading(
        record.key,
        at,
        seen.status.ready_replicas,
        _known_price(record, price),
        seen.state,
        "polled",
        price_seen=price is not None,
    )
    look = _write_down(client, store, record, last, look, seen.autoscaling.max_replicas)
    before = Deployments(store).get(record.key) or record  # another look may have been quicker: one change, one event
    if look.state != before.state:
        _note_state(store, before, look.state, look.at, _reason(client, store, before, seen, last.at))
    if not look.ready_replicas:
        for rider in Deployments(store).riders(record.key):
            Deployments(store).update(rider.key, state=look.state, state_at=look.at)
    return Deployments(store).update(
        record.key,
        seen_at=look.at,
        state=look.state,
        ready_replicas=look.ready_replicas,
        min_replicas=seen.autoscaling.min_replicas,
        max_replicas=seen.autoscaling.max_replicas,
        idle_minutes=seen.inactive_timeout or 0,
        price_cents_per_hour=look.price_cents_per_hour,
        state_at=look.at,
        last_error=(seen.status.message or None) if look.state in ("FAILED", "DEGRADED") else None,
    )


def _beginning(record: DeploymentRecord, seen: Deployment | None, at: datetime, price: int | None) -> Reading:
    """Before whoever looks first, however late: it began with nothing ready, at the price of its plan."""
    begin = seen.created_at if seen is not None else min(record.created_at, at)
    planned = record.price_cents_per_hour
    at_first = planned if planned is not None else price or 0
    return Reading(record.key, begin, 0, at_first, CREATING, "inferred", price_seen=planned is not None)


def _observe_rider(client: Hosting, store: Store, rider: DeploymentRecord) -> DeploymentRecord:
    """Look at an adapter. It has no readings: what it rides on has the bill. It is no readier than that.

    A rider that vanished, or whose deployment did, is closed.
    """
    base = Deployments(store).get(rider.rides_on or "")
    if base is None or base.deleted_at is not None:
        return close(store, rider, client.now())
    if base.endpoint_id is None or base.deployment_id is None or rider.adapter_id is None:
        return rider
    try:
        seen = client.adapter(base.endpoint_id, base.deployment_id, rider.adapter_id)
    except MissingError:
        return close(store, rider, client.now())
    state = seen.state if base.ready_replicas else base.state
    if state != rider.state and base.ready_replicas:
        _note_state(store, rider, state, client.now(), seen.failure, adapter=rider.model_name)
    return Deployments(store).update(rider.key, state=state, state_at=client.now(), last_error=seen.failure)


def _reason(client: Hosting, store: Store, record: DeploymentRecord, seen: Deployment, since: datetime) -> str | None:
    """Why a deployment is in another state than at the last look, as far as Together or our own log says."""
    if seen.state in ("FAILED", "DEGRADED"):
        return seen.status.message
    if seen.state not in ("STOPPING", "STOPPED"):
        return None
    before = Events(store).newest(record.endpoint_name, seen=True)
    if record.state == "STOPPING" and before is not None and before.action == "stopping":
        return str(before.detail.get("why"))
    if (idle := _idle_stop(client, record, since)) is not None:
        return idle
    asked = Events(store).newest(record.endpoint_name, seen=False)
    if asked is None or asked.action not in ("stop", "undeploy"):
        return "neither the operator nor the guard here asked for it"
    return str(asked.detail.get("text") or f"the {asked.actor}{f' ({asked.by})' if asked.by else ''} asked for it")


def _idle_stop(client: Hosting, record: DeploymentRecord, since: datetime) -> str | None:
    """Together's idle stop, if its events since the last look tell of one; the words it gives for the reason vary."""
    assert record.endpoint_id is not None
    try:
        events = client.events(record.endpoint_id, since=since, types=(_UPDATED, _STATUS))
    except (RemoteError, NotFoundError, RequestRefusedError) as problem:
        log.info("no events of %s: %s", record.endpoint_name, problem.message)
        return None
    explained = [event for event in events if event.deployment_id == record.deployment_id and event.reason]
    if not any(word in (event.reason or "").lower() for event in explained for word in ("inactiv", "idle")):
        return None
    return f"Together's idle stop: no request for {record.idle_minutes} minutes"


def _note_state(store: Store, record: DeploymentRecord, state: str, at: datetime, why: str | None, **more: str) -> None:
    """Remember that a deployment was seen in another state than before."""
    reason = {"why": why} if why else {}
    detail = {**reason, "was": record.state, **more}
    Events(store).add(Event(at, TOGETHER, state.lower(), record.endpoint_name, detail))


def _known_price(record: DeploymentRecord, price: int | None) -> int:
    return price if price is not None else record.price_cents_per_hour or 0


def _write_down(
    client: Hosting, store: Store, record: DeploymentRecord, last: Reading, look: Reading, max_replicas: int
) -> Reading:
    """Add a look, and what events tell since the `last` one, to the ledger; the look as it was added.

    Where events do not tell, anything up to the most replicas it may have had can have been ready in between. Only two
    looks close to each other that saw the same are taken at their word. What was last seen stopped never starts by
    itself: with bounds of 0 it is taken to have stayed so.
    """
    most = max(record.max_replicas, max_replicas, last.ready_replicas, look.ready_replicas)
    changes = _changes(client, record, last, look, most, BillingRules.of(store))
    # The service's clock comes in whole seconds: a look may seem older than the change it saw.
    late = timedelta(seconds=1) if look.ready_replicas != last.ready_replicas and not changes else timedelta()
    # A clock that went back (another host answered) makes no time pass, and none pass twice.
    look = replace(look, at=max([look.at + late, last.at, *(reading.at for reading in changes or ())]))
    same = (look.ready_replicas, look.state) == (last.ready_replicas, last.state) and look.at - last.at <= POLLING
    if changes is None and not same and last.state not in ENDED and most:
        look = replace(look, least_replicas=0, most_replicas=most)
    Ledger(store).add_readings([last, *(changes or ()), look])
    return look


def close(store: Store, record: DeploymentRecord, at: datetime) -> DeploymentRecord:
    """Write down that a deployment is gone, and what rode on it: from `at` on it costs nothing."""
    for rider in Deployments(store).riders(record.key):
        close(store, rider, at)
    last = Ledger(store).last(record.key)
    if last is not None:
        at = max(at, last.at)
        if last.ready_replicas:
            gone = replace(last, at=at, ready_replicas=0, state=DELETED, known_by="inferred", price_seen=False)
            Ledger(store).add_readings([replace(gone, least_replicas=0, most_replicas=record.max_replicas)])
    for slot in Deployments(store).slots():
        if slot.deployment_key == record.key:
            Deployments(store).set_slot(slot.model_type, None, now=at)
    return Deployments(store).update(record.key, state=DELETED, ready_replicas=0, state_at=at, deleted_at=at)


def _changes(
    client: Hosting, record: DeploymentRecord, last: Reading, look: Reading, most: int, rules: BillingRules
) -> list[Reading] | None:
    """The changes of ready replicas from the `last` reading to this look, from events; None when they do not tell.

    Whether `newReplicas` counts replicas wanted or ready is not documented. Until that is settled, events that do not
    lead from the count of the last look to that of this one are not used, and neither are events that cannot be had.
    Where they are known to count what is wanted they tell nothing of what was ready; where they count what is ready,
    the last of them that lead to this look are used, and before these anything up to `most` may have been ready.
    """
    assert record.endpoint_id is not None
    if rules.events_count == "desired":
        return None
    if rules.events_last is not None and look.at - last.at > rules.events_last:
        return None
    try:
        types = () if rules.takes_commas is False else (_SCALED, _DELETED)
        events = client.events(record.endpoint_id, since=last.at, types=types)
    except (RemoteError, NotFoundError, RequestRefusedError) as problem:
        log.info("no events of %s: %s", record.endpoint_name, problem.message)
        return None
    changes = [
        event
        for event in events
        if event.deployment_id == record.deployment_id
        and event.type in (_SCALED, _DELETED)
        # At the very moment of the last look, only what that look did not see yet.
        and (event.created_at > last.at or (event.created_at, event.old_replicas) == (last.at, last.ready_replicas))
    ]
    leading = _leading(changes, last.ready_replicas, look.ready_replicas)
    if leading is not None:
        return [_change(last, look, event) for event in leading]
    if rules.events_count != "ready":
        return None
    for number, first in enumerate(changes):
        if first.old_replicas is None:
            continue
        leading = _leading(changes[number:], first.old_replicas, look.ready_replicas)
        if leading:
            begin, *rest = (_change(last, look, event) for event in leading)
            return [replace(begin, least_replicas=0, most_replicas=most), *rest]
    return None


def _change(last: Reading, look: Reading, event: ServingEvent) -> Reading:
    """A change as an event tells it."""
    return replace(
        last,
        at=event.created_at,
        ready_replicas=event.new_replicas or 0,
        state=look.state,
        known_by="event",
        least_replicas=None,
        most_replicas=None,
        price_seen=False,
    )


def _leading(events: list[ServingEvent], start: int, end: int) -> list[ServingEvent] | None:
    """As many of `events` as lead from `start` to `end`: what happened after the look comes with the next one.

    None when they contradict each other, or lead elsewhere.
    """
    count, led = start, 0 if start == end else None
    for number, event in enumerate(events, 1):
        if event.old_replicas not in (None, count):
            return None
        count = event.new_replicas or 0  # an event that tells of a deletion has no counts
        if count == end:
            led = number
    return None if led is None else events[:led]
