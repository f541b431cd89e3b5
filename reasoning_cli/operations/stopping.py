"""Stop and remove what was deployed, in the only order Together accepts: unroute, 0/0, STOPPED, deployment, endpoint.

Every step is skipped when it is done already, so running it again after a failure goes on where it was.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.errors import NotFoundError, RemoteError
from reasoning_cli.operations.budget import AT_REST, burn
from reasoning_cli.operations.deploying import Waiting, wait_for
from reasoning_cli.operations.ledger import close, find_made, observe
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.events import Event, Events
from reasoning_cli.together.problems import BusyError, MissingError, RequestRefusedError, UnreachableError

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StopPlan:
    """What will be stopped; with `keep` it stays at Together, stopped, and can be started again."""

    record: DeploymentRecord
    keep: bool
    saves_cents_per_hour: int


@dataclass(frozen=True)
class Stopped:
    """How a stop ended; `endpoint_left` names an endpoint that stays because others use it."""

    record: DeploymentRecord
    endpoint_left: str | None = None


def plan_stop(store: Store, target: str, *, keep: bool) -> StopPlan:
    """The deployment meant by a model type, an endpoint's name or an id. Raises NotFoundError."""
    record = Deployments(store).find(target)
    if record is None or record.deleted_at is not None:
        live = Deployments(store).live()
        names = [one.endpoint_name for one in live]
        near = difflib.get_close_matches(target, names, n=1)
        if near:
            hint = f"did you mean `{near[0]}`?"
        else:
            hint = f"deployed from here: {', '.join(names)}" if names else "nothing is deployed from here"
        raise NotFoundError(f"`{target}` is not deployed", hint)
    return StopPlan(record, keep, burn(record))


def run_stop(client: TogetherClient, store: Store, plan: StopPlan, wait: Waiting) -> Stopped:
    """Stop what `plan` names and, unless it is to be kept, delete it. Waits until it is really stopped.

    Raises RemoteError, with what it may go on costing, when Together cannot be told or asked.
    """
    try:
        return _run(client, store, plan, wait)
    except (BusyError, UnreachableError) as problem:
        price = f"${plan.saves_cents_per_hour / 100:.2f}"
        raise RemoteError(
            f"{problem.message}; `{plan.record.endpoint_name}` may still run, at up to {price} an hour",
            f"go on: `reasoning models undeploy {plan.record.endpoint_name}{' --keep' if plan.keep else ''}`",
        ) from problem


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


def set_idle_stop(connect: Callable[[], TogetherClient], store: Store, idle_minutes: int) -> list[str]:
    """Tell Together to stop each running deployment of ours after so many idle minutes (0 = never); their names.

    Connects only when something runs.
    """
    changed = []
    for record in Deployments(store).live():
        if record.state in AT_REST or record.endpoint_id is None or record.deployment_id is None:
            continue
        client = connect()
        try:
            client.set_idle_stop(record.endpoint_id, record.deployment_id, idle_minutes)
        except MissingError:
            observe(client, store, record)
            continue
        Deployments(store).update(record.key, idle_minutes=idle_minutes)
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
