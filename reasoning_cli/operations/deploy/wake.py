"""Start a stopped model because traffic asks for it: money and hours allowing, and never again and again.

Nothing is remembered but what the log of events and the ledger hold, so every worker and every restart decides the
same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.errors import NotFoundError
from reasoning_cli.operations.costs.budget import AT_REST, Limits
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.costs.reserve import reserve_unwatched
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger
from reasoning_cli.values import Hours, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting

ACTOR = "gateway"
WAKE = "wake"
# Between two starts; each start that never got it READY doubles the wait.
PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True)
class Woken:
    """What came of it: the deployment as it is now, whether it was started, and in words why not."""

    record: DeploymentRecord
    started: bool
    text: str


def wake(client: Hosting, store: Store, limits: Limits, hours: Hours | None, model_type: str, key: str) -> Woken:
    """Look at the deployment `key` that a decision came in for, and start it if it may be.

    Raises LimitError when budget or cap say no, NotFoundError when it is gone, and what keeps it from being looked at.
    """
    record, at = look(client, store, key), client.now()
    if record.state not in AT_REST:
        return Woken(record, False, f"the model is {record.state}")
    if record.endpoint_id is None or record.deployment_id is None or record.deleted_at is not None:
        raise NotFoundError(f"`{record.endpoint_name}` is no longer deployed", "`reasoning models status`")
    if hours is not None and not hours.contain(at):
        return Woken(record, False, f"its hours are {hours}")
    again = may_start_at(store, record)
    if again is not None and at < again:
        return Woken(record, False, f"it was started lately: not before {again.astimezone():%H:%M}")
    low = max(1, record.min_replicas)
    reserved = reserve_unwatched(store, limits, record, at)
    name = spell_model_type(model_type)
    # Before the request: a start whose answer was lost counts all the same.
    why = {"why": "traffic", "text": f"a {name} decision came in"}
    Events(store).add(Event(at, ACTOR, WAKE, record.endpoint_name, why))
    with reserved.sending():
        client.scale(record.endpoint_id, record.deployment_id, low, max(low, record.max_replicas))
    record = observe(client, store, record)
    reserved.settle(record)
    return Woken(record, True, f"started: a {name} decision came in")


def look(client: Hosting, store: Store, key: str) -> DeploymentRecord:
    """What has to run for the deployment `key`, as it is now; an adapter on it is looked at, too."""
    record = observe(client, store, _carrier(store, key))
    if record.key != key and (rider := Deployments(store).get(key)) is not None:
        observe(client, store, rider)
    return record


def may_start_at(store: Store, record: DeploymentRecord) -> datetime | None:
    """When traffic may start it next; None when it may at once."""
    woken = [
        event.at for event in Events(store).list() if event.action == WAKE and event.subject == record.endpoint_name
    ]
    if not woken:
        return None
    ready = max((reading.at for reading in Ledger(store).readings(record.key) if reading.ready_replicas), default=None)
    in_vain = sum(1 for at in woken if ready is None or at > ready)
    pause: timedelta = min(PAUSE * 2 ** min(max(0, in_vain - 1), 10), LONGEST_PAUSE)
    return woken[-1] + pause


def _carrier(store: Store, key: str) -> DeploymentRecord:
    """What has to run for the deployment `key`: itself, or what an adapter rides on."""
    deployments = Deployments(store)
    record = deployments.get(key)
    if record is not None and record.rides_on is not None:
        record = deployments.get(record.rides_on)
    if record is None:
        raise NotFoundError("the model is no longer deployed", "`reasoning models status`")
    return record
