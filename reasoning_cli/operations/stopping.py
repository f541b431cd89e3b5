"""Stop and remove what was deployed, in the only order Together accepts: unroute, 0/0, STOPPED, deployment, endpoint.

Every step is skipped when it is done already, so running it again after a failure goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.operations.budget import AT_REST, burn
from reasoning_cli.operations.finding import find_live
from reasoning_cli.operations.ledger import close, find_made, observe
from reasoning_cli.operations.waiting import Waiting, wait_for
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.events import Event, Events
from reasoning_cli.together.problems import BusyError, MissingError, RequestRefusedError, UnreachableError
from reasoning_cli.values import together_idle_minutes

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StopPlan:
    """What will be stopped; with `keep` it stays at Together, stopped, and can be started again.

    `beside` are others of ours on the same endpoint (half way in, or a former model that was kept): they go, too.
    """

    record: DeploymentRecord
    keep: bool
    saves_cents_per_hour: int
    beside: tuple[DeploymentRecord, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """How a stop ended; `endpoint_left` names an endpoint that stays because others use it."""

    record: DeploymentRecord
    endpoint_left: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How the stop of one of several ended: stopped, or the problem that kept it from being so."""

    plan: StopPlan
    done: Stopped | None
    problem: ReasoningError | None = None


def plan_stop(store: Store, target: str, *, keep: bool) -> StopPlan:
    """The deployment meant by a model type, an endpoint's name or an id. Raises NotFoundError."""
    record = find_live(store, target)
    beside: tuple[DeploymentRecord, ...] = ()
    if target not in (record.key, record.deployment_id, record.deployment_name):
        live = Deployments(store).live()
        beside = tuple(one for one in live if one.endpoint_name == record.endpoint_name and one.key != record.key)
    return StopPlan(record, keep, sum(burn(one) for one in (record, *beside)), beside)


def run_stop(client: TogetherClient, store: Store, plan: StopPlan, wait: Waiting) -> Stopped:
    """Stop what `plan` names and, unless it is to be kept, delete it. Waits until it is really stopped.

    Raises RemoteError, with what it may go on costing, when Together cannot be told or asked.
    """
    try:
        for one in plan.beside:
            _run(client, store, StopPlan(one, plan.keep, burn(one)), wait)
        return _run(client, store, plan, wait)
    except (BusyError, UnreachableError) as problem:
        price = f"${plan.saves_cents_per_hour / 100:.2f}"
        raise RemoteError(
            f"{problem.message}; `{plan.record.endpoint_name}` may still run, at up to {price} an hour",
            f"go on: `reasoning models undeploy {plan.record.endpoint_name}{' --keep' if plan.keep else ''}`",
        ) from problem


def plan_stop_all(store: Store, *, keep: bool) -> list[StopPlan]:
    """A stop of every deployment of ours; with `keep`, of those that run."""
    live = Deployments(store).live()
    return [StopPlan(one, keep, burn(one)) for one in live if not (keep and one.state in AT_REST)]


def run_stop_all(client: TogetherClient, store: Store, plans: list[StopPlan], wait: Waiting) -> Iterator[Outcome]:
    """Stop them all, one outcome after the other. What goes wrong with one does not keep the others running.

    Each is told to stop before any is waited for: every minute of waiting is billed.
    """
    for plan in plans:
        record = plan.record
        if record.endpoint_id and record.deployment_id and record.state not in (*AT_REST, "STOPPING"):
            try:
                client.scale(record.endpoint_id, record.deployment_id, 0, 0)
            except ReasoningError as problem:
                log.info("%s will be told again: %s", record.endpoint_name, problem.message)
    for plan in plans:
        try:
            yield Outcome(plan, run_stop(client, store, plan, wait))
        except ReasoningError as problem:
            yield Outcome(plan, None, problem)


def _run(client: TogetherClient, store: Store, plan: StopPlan, wait: Waiting) -> Stopped:
    record = find_made(client, store, plan.record)
    Events(store).add(Event(client.now(), "operator", "stop" if plan.keep else "undeploy", record.endpoint_name))
    if record.endpoint_id is None:
        return Stopped(close(store, record, client.now()))
    if record.deployment_id is not None:
        record = observe(client, store, record)
        if record.state != DELETED:
            try:
                if not plan.keep:
                    _unroute(client, record)
            except RequestRefusedError as refusal:
                log.warning("%s is stopped before it is unrouted: %s", record.endpoint_name, refusal.message)
            record = _stop(client, store, record, wait)
        if plan.keep:
            return Stopped(record)
        if record.state != DELETED:
            _unroute(client, record)
            client.delete_deployment(record.endpoint_id or "", record.deployment_id or "")
    left = _delete_endpoint(client, record)
    return Stopped(close(store, record, client.now()) if record.state != DELETED else record, left)


def set_idle_stop(
    connect: Callable[[], TogetherClient], store: Store, idle_minutes: int, model_type: str | None = None
) -> list[str]:
    """Tell Together to stop each running deployment of ours after so many idle minutes (0 = never); their names.

    Together takes no less than its floor; the finer rule is the guard's. Connects only when something runs.
    """
    changed = []
    told = together_idle_minutes(idle_minutes)
    for record in Deployments(store).live():
        if model_type not in (None, record.model_type):
            continue
        if record.state in AT_REST or record.endpoint_id is None or record.deployment_id is None:
            continue
        client = connect()
        try:
            client.set_idle_stop(record.endpoint_id, record.deployment_id, told)
        except MissingError:
            observe(client, store, record)
            continue
        Deployments(store).update(record.key, idle_minutes=told)
        changed.append(record.endpoint_name)
    return changed


def _stop(client: TogetherClient, store: Store, record: DeploymentRecord, wait: Waiting) -> DeploymentRecord:
    if record.state in AT_REST:
        return record
    if record.state != "STOPPING":
        client.scale(record.endpoint_id or "", record.deployment_id or "", 0, 0)
    return wait_for(client, store, record, "STOPPED", wait)


def _unroute(client: TogetherClient, record: DeploymentRecord) -> None:
    """Take the deployment out of the split; an entry of weight 0 would still keep it from being deleted."""
    endpoint_id, deployment_id = record.endpoint_id or "", record.deployment_id
    split = client.endpoint(endpoint_id).traffic_split
    if all(one.deployment_id != deployment_id for one in split):
        return
    others = {one.deployment_id: one.weight for one in split if one.deployment_id != deployment_id}
    client.route(endpoint_id, others)


def _delete_endpoint(client: TogetherClient, record: DeploymentRecord) -> str | None:
    """Delete the endpoint unless deployments of somebody else are on it; then its name is returned."""
    if record.endpoint_id is None:
        return None
    try:
        if client.deployments(record.endpoint_id):
            return record.serving_name
        client.delete_endpoint(record.endpoint_id)
    except MissingError:
        return None
    except RequestRefusedError:
        # Deletion of the deployment may still be on its way: one more look decides.
        if client.deployments(record.endpoint_id):
            return record.serving_name
        client.delete_endpoint(record.endpoint_id)
    return None
