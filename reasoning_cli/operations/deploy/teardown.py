"""Stop and remove what was deployed, in the only order Together accepts: unroute, 0/0, STOPPED, deployment, endpoint.

Every step is skipped when it is done already, so running it again after a failure goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import BusyError, MissingError, RequestRefusedError, UnreachableError
from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.operations.costs.budget import AT_REST, spending_rate
from reasoning_cli.operations.costs.ledger import close, observe
from reasoning_cli.operations.deploy.wait import Waiting, wait_for
from reasoning_cli.operations.inventory.lookup import find_live, find_made
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.reservations import Reservations
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.values import MODEL_TYPES, spell_model_type, together_idle_minutes

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StopPlan:
    """What will be stopped; with `keep` it stays at Together, stopped, and can be started again.

    `beside` are others of ours on the same endpoint (a canary, or a former model that was kept): they go, too.
    Adapters: `riders` are those that ride on what is stopped, and are detached before it is deleted. Where `record` is
    one itself, `base` is the deployment under it that ends with the last of its riders; where it stays, `stays_for`
    names what else of ours it serves.
    """

    record: DeploymentRecord
    keep: bool
    saves_cents_per_hour: int
    beside: tuple[DeploymentRecord, ...] = ()
    riders: tuple[DeploymentRecord, ...] = ()
    base: DeploymentRecord | None = None
    stays_for: tuple[str, ...] = ()


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
    """The deployment meant by a model type, an endpoint's name or an id.

    Raises NotFoundError, and ReasoningError for an adapter that cannot be stopped alone.
    """
    record = find_live(store, target)
    if record.rides_on is not None:
        return _plan_detach(store, record, keep=keep)
    beside: tuple[DeploymentRecord, ...] = ()
    if target not in (record.key, record.deployment_id, record.deployment_name):
        live = Deployments(store).live()
        beside = tuple(
            other for other in live if other.endpoint_name == record.endpoint_name and other.key != record.key
        )
    going = (record, *beside)
    riders = tuple(rider for stopped in going for rider in Deployments(store).riders(stopped.key))
    return StopPlan(record, keep, sum(spending_rate(stopped) for stopped in going), beside, riders)


def _plan_detach(store: Store, rider: DeploymentRecord, *, keep: bool) -> StopPlan:
    """The end of an adapter, and of the deployment it rides on when nothing else of ours needs that."""
    base = Deployments(store).get(rider.rides_on or "")
    if base is None or base.deleted_at is not None:
        return StopPlan(rider, keep, 0)
    others = _needed_by(store, base, rider)
    if not keep:
        return StopPlan(
            rider, keep, 0 if others else spending_rate(base), base=None if others else base, stays_for=others
        )
    if others:
        with_others = " and ".join(others)
        raise ReasoningError(
            f"`{rider.model_name}` rides on `{base.endpoint_name}` with {with_others}: it cannot be stopped alone",
            f"detach it: `reasoning models undeploy {rider.deployment_name}`,"
            f" or stop them all: `reasoning models stop {base.endpoint_name}`",
        )
    return StopPlan(base, keep, spending_rate(base), riders=(rider,))


def _needed_by(store: Store, base: DeploymentRecord, rider: DeploymentRecord) -> tuple[str, ...]:
    """What else of ours a deployment serves: other adapters on it, and the model types whose slot it is in itself."""
    riders = [other.model_name for other in Deployments(store).riders(base.key) if other.key != rider.key]
    slots = [
        spell_model_type(record.model_type)
        for record in Deployments(store).slots()
        if record.deployment_key == base.key
    ]
    in_rollout = [
        model_type
        for model_type in MODEL_TYPES
        if (going := Replacements(store).going(model_type)) and base.key in (going.old_key, going.new_key)
    ]
    return tuple(dict.fromkeys([*riders, *slots, *(spell_model_type(model_type) for model_type in in_rollout)]))


def run_stop(client: Hosting, store: Store, plan: StopPlan, wait: Waiting) -> Stopped:
    """Stop what `plan` names and, unless it is to be kept, delete it. Waits until it is really stopped.

    Raises RemoteError, with what it may go on costing, when Together cannot be told or asked.
    """
    try:
        for record in plan.beside:
            _run(client, store, StopPlan(record, plan.keep, spending_rate(record)), wait)
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
    riders = Deployments(store).riders
    return [
        StopPlan(record, keep, spending_rate(record), riders=tuple(riders(record.key)))
        for record in live
        if not (keep and record.state in AT_REST)
    ]


def run_stop_all(client: Hosting, store: Store, plans: list[StopPlan], wait: Waiting) -> Iterator[Outcome]:
    """Stop them all, one outcome after the other. What goes wrong with one does not keep the others running.

    Each is told to stop before any is waited for: every minute of waiting is billed.
    """
    for plan in plans:
        record = plan.record
        if record.endpoint_id and record.deployment_id and record.state not in (*AT_REST, "STOPPING"):
            try:
                client.scale(record.endpoint_id, record.deployment_id, 0, 0)
                Reservations(store).release_settled(record.key)
            except ReasoningError as problem:
                log.info("%s will be told again: %s", record.endpoint_name, problem.message)
    for plan in plans:
        try:
            yield Outcome(plan, run_stop(client, store, plan, wait))
        except ReasoningError as problem:
            yield Outcome(plan, None, problem)


def _run(client: Hosting, store: Store, plan: StopPlan, wait: Waiting) -> Stopped:
    if plan.record.rides_on is not None:
        return _detach(client, store, plan, wait)
    # Riders stay on record until what they ride on is gone: a stop that breaks off is found again by them.
    for rider in () if plan.keep else Deployments(store).riders(plan.record.key):
        _take_off(client, store, rider)
    return _stop_and_delete(client, store, plan, wait)


def _detach(client: Hosting, store: Store, plan: StopPlan, wait: Waiting) -> Stopped:
    """Take an adapter off, and end the deployment it rode on when nothing else of ours needs that any more."""
    rider = plan.record
    base = Deployments(store).get(rider.rides_on or "")
    if base is not None:
        if base.deleted_at is not None or not _needed_by(store, base, rider):
            # One that is gone already may have left its endpoint.
            done = _run(client, store, StopPlan(base, keep=False, saves_cents_per_hour=spending_rate(base)), wait)
            return Stopped(close(store, rider, client.now()), done.endpoint_left)
        _take_off(client, store, rider)
        heir = next((other for other in Deployments(store).riders(base.key) if other.key != rider.key), None)
        if heir is not None and base.model_type == rider.model_type:
            Deployments(store).update(base.key, model_type=heir.model_type)  # its bill goes to who is left
    return Stopped(close(store, rider, client.now()))


def _take_off(client: Hosting, store: Store, rider: DeploymentRecord) -> None:
    """Detach an adapter from what it rides on, as far as both are still there."""
    Events(store).add(Event(client.now(), "operator", "detach", rider.endpoint_name, {"model": rider.model_name}))
    rider = find_made(client, store, rider)
    base = Deployments(store).get(rider.rides_on or "")
    if base is not None and base.endpoint_id and base.deployment_id and rider.adapter_id:
        client.detach(base.endpoint_id, base.deployment_id, rider.adapter_id)


def _stop_and_delete(client: Hosting, store: Store, plan: StopPlan, wait: Waiting) -> Stopped:
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
    connect: Callable[[], Hosting], store: Store, idle_minutes: int, model_type: str | None = None
) -> list[str]:
    """Tell Together to stop each running deployment of ours after so many idle minutes (0 = never); their names.

    Together takes no less than its floor; the finer rule is the guard's. Connects only when something runs.
    """
    changed = []
    rounded = together_idle_minutes(idle_minutes)
    for record in Deployments(store).live():
        if model_type not in (None, record.model_type):
            continue
        if record.state in AT_REST or record.endpoint_id is None or record.deployment_id is None:
            continue
        client = connect()
        try:
            client.set_idle_stop(record.endpoint_id, record.deployment_id, rounded)
        except MissingError:
            observe(client, store, record)
            continue
        Deployments(store).update(record.key, idle_minutes=rounded, own_idle_minutes=None)
        changed.append(record.endpoint_name)
    return changed


def _stop(client: Hosting, store: Store, record: DeploymentRecord, wait: Waiting) -> DeploymentRecord:
    if record.state in AT_REST:
        return record
    if record.state != "STOPPING":
        client.scale(record.endpoint_id or "", record.deployment_id or "", 0, 0)
        Reservations(store).release_settled(record.key)
    return wait_for(client, store, record, "STOPPED", wait)


def _unroute(client: Hosting, record: DeploymentRecord) -> None:
    """Take the deployment out of the split; an entry of weight 0 would still keep it from being deleted."""
    endpoint_id, deployment_id = record.endpoint_id or "", record.deployment_id
    split = client.endpoint(endpoint_id).traffic_split
    if all(target_id.deployment_id != deployment_id for target_id in split):
        return
    others = {
        target_id.deployment_id: target_id.weight for target_id in split if target_id.deployment_id != deployment_id
    }
    client.route(endpoint_id, others)


def _delete_endpoint(client: Hosting, record: DeploymentRecord) -> str | None:
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
