"""Carry out a deploy as planned: create, wait, route, try it. Safe to run again at any point.

What is about to be made is recorded before the first request, and names follow from the model, so a second run (after
Ctrl-C, a crash or a lost answer) finds what the first one made and goes on.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import BusyError, UnreachableError
from reasoning_cli.errors import NotFoundError, ReasoningError, RemoteError
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.costs.reserve import Reserved, check_added, reserve_replicas
from reasoning_cli.operations.deploy.cutover import hand_over
from reasoning_cli.operations.deploy.plan import Action, DeployPlan
from reasoning_cli.operations.deploy.wait import Waiting, cost_warning, try_answer, wait_for
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import CREATING, DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.reservations import Reservations
from reasoning_cli.values import together_idle_minutes

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deployed:
    """How a deploy ended. `answered_in` is the latency of the test call; None when nobody waited for it."""

    record: DeploymentRecord
    answered_in: timedelta | None


def run_deploy(client: Hosting, store: Store, plan: DeployPlan, *, wait: Waiting | None) -> Deployed:
    """Do what `plan` says. Without `wait`, returns as soon as Together has taken it; what `retires` something waits.

    Raises RemoteError when it is not READY in time or does not answer; what then keeps running is in the message.
    """
    with cost_in_errors(plan.endpoint_name, plan.max_cents_per_hour):
        return _run(client, store, plan, wait)


@contextmanager
def cost_in_errors(endpoint_name: str, max_cents_per_hour: int) -> Iterator[None]:
    """Where Together is lost in the middle, say what may have been made, and what that costs."""
    try:
        yield
    except (BusyError, UnreachableError) as problem:
        price = f"${max_cents_per_hour / 100:.2f}"
        raise RemoteError(
            f"{problem.message}; `{endpoint_name}` may have been made, and then costs up to {price} an hour",
            f"run the same command again to go on, or `reasoning models undeploy {endpoint_name}`",
        ) from problem


def bring_up(client: Hosting, store: Store, plan: DeployPlan, wait: Waiting | None) -> DeploymentRecord:
    """Make the deployment, or start it, as planned; what is still stopping is waited for. Routes nothing.

    Raises the refusal of a plan that has one.
    """
    if plan.refusal is not None:
        raise plan.refusal
    if plan.record is not None and plan.record.state == "STOPPING":
        if wait is None:
            raise ReasoningError(f"`{plan.endpoint_name}` is still stopping", "run the same command again in a minute")
        wait_for(client, store, plan.record, "STOPPED", wait)
    return _create(client, store, plan)


def _run(client: Hosting, store: Store, plan: DeployPlan, wait: Waiting | None) -> Deployed:
    record = bring_up(client, store, plan, wait)
    route(client, record)
    if plan.retires is None:
        Deployments(store).set_slot(plan.model_type, record.key, now=client.now())
    if wait is None:
        return Deployed(record, None)
    record = wait_for(client, store, record, "READY", wait)
    route(client, record)
    answered_in = try_answer(client, record, wait)
    if plan.retires is not None:
        hand_over(client, store, plan.model_type, plan.retires, record, wait)
    return Deployed(record, answered_in)


def _create(client: Hosting, store: Store, plan: DeployPlan) -> DeploymentRecord:
    """Endpoint and deployment as planned, made now or by an earlier run; recorded before it can cost anything."""
    deployments = Deployments(store)
    record = plan.record
    if record is None:
        # Somebody who deploys the same at the same time may have been quicker: then it is theirs that goes on.
        intent = _intent(plan, client.now())
        record = deployments.record_intent(
            intent, lambda: check_added(store, plan.standing.limits, intent, plan.max_cents_per_hour, client.now())
        )
        Events(store).add(Event(client.now(), "operator", "deploy", plan.endpoint_name, {"model": plan.model.name}))
    if record.deployment_id is not None and record.endpoint_id is not None:
        return _adjust(client, store, plan, record)
    endpoint = client.find_endpoint(plan.endpoint_name)
    if endpoint is None:
        try:
            endpoint = client.create_endpoint(plan.endpoint_name)
        except RemoteError:
            raise
        except ReasoningError as refusal:
            _take_back(client, store, record, refusal)
            raise
    record = deployments.update(record.key, endpoint_id=endpoint.id, serving_name=endpoint.name)
    body: dict[str, object] = {
        "name": plan.deployment_name,
        "model": plan.model.resource,
        "config": plan.choice.hardware.config,
        "autoscaling": {"minReplicas": plan.min_replicas, "maxReplicas": plan.max_replicas},
    }
    if plan.idle_minutes:
        body["inactiveTimeout"] = together_idle_minutes(plan.idle_minutes)
    made = client.find_deployment(endpoint.id, plan.deployment_name)
    if made is None:
        try:
            client.check_deployment(endpoint.id, body)
            made = client.create_deployment(endpoint.id, body)
        except RemoteError:
            raise  # it may exist: the record stays, the same command goes on from here
        except ReasoningError as refusal:
            _take_back(client, store, record, refusal)
            raise
    record = deployments.update(record.key, deployment_id=made.id)
    return observe(client, store, record)


def _take_back(client: Hosting, store: Store, record: DeploymentRecord, refusal: ReasoningError) -> None:
    """Refused for good: nothing half made is left, neither the empty endpoint nor the record of the intent."""
    live = Deployments(store).live()
    shared = any(
        other_record.endpoint_id == record.endpoint_id for other_record in live if other_record.key != record.key
    )
    if record.endpoint_id is not None and not shared:
        try:
            client.delete_endpoint(record.endpoint_id)
        except ReasoningError as problem:
            log.warning("the endpoint %s stays: %s", record.endpoint_name, problem.message)
            return
    now = client.now()
    Deployments(store).update(record.key, state=DELETED, deleted_at=now, state_at=now, last_error=refusal.message)


def _adjust(client: Hosting, store: Store, plan: DeployPlan, record: DeploymentRecord) -> DeploymentRecord:
    """Start what is stopped, and bring replicas and idle stop to what is planned."""
    assert record.endpoint_id is not None and record.deployment_id is not None
    ids = record.endpoint_id, record.deployment_id
    wanted = plan.min_replicas, plan.max_replicas
    reserved: Reserved | None = None
    if plan.action is Action.RESTART or wanted != (record.min_replicas, record.max_replicas):
        if plan.action is Action.RESTART or wanted[1] > record.max_replicas:
            reserved = reserve_replicas(store, plan.standing.limits, record, wanted[1], client.now())
        with reserved.sending() if reserved is not None else nullcontext():
            client.scale(*ids, *wanted)
        if reserved is None:
            Reservations(store).release_settled(record.key)
        replicas = {"min_replicas": wanted[0], "max_replicas": wanted[1]}
        Events(store).add(Event(client.now(), "operator", "scale", plan.endpoint_name, replicas))
    if together_idle_minutes(plan.idle_minutes) != record.idle_minutes:
        client.set_idle_stop(*ids, together_idle_minutes(plan.idle_minutes))
    if plan.own_idle_minutes != record.own_idle_minutes:
        record = Deployments(store).update(record.key, own_idle_minutes=plan.own_idle_minutes)
    record = observe(client, store, record)
    if reserved is not None:
        reserved.settle(record)
    return record


def _intent(plan: DeployPlan, now: datetime) -> DeploymentRecord:
    return DeploymentRecord(
        key=str(uuid.uuid4()),
        model_type=plan.model_type,
        model_name=plan.model.name,
        model_id=plan.model.id,
        endpoint_name=plan.endpoint_name,
        endpoint_id=None,
        deployment_name=plan.deployment_name,
        deployment_id=None,
        serving_name=plan.serving_name,
        project_id=plan.project_id,
        hardware=plan.choice.hardware.name,
        price_cents_per_hour=plan.choice.hardware.price_cents_per_hour,
        config=plan.choice.hardware.config,
        idle_minutes=plan.idle_minutes,
        min_replicas=plan.min_replicas,
        max_replicas=plan.max_replicas,
        state=CREATING,
        ready_replicas=0,
        created_at=now,
        state_at=now,
        own_idle_minutes=plan.own_idle_minutes,
    )


def route(client: Hosting, record: DeploymentRecord) -> None:
    """Send the endpoint's traffic to the deployment, and read back that it is so: READY alone serves nothing."""
    assert record.endpoint_id is not None and record.deployment_id is not None
    for _ in range(2):
        endpoint = client.endpoint(record.endpoint_id)
        if any(target.deployment_id == record.deployment_id and target.weight > 0 for target in endpoint.traffic_split):
            return
        client.route(record.endpoint_id, {record.deployment_id: 1})
    raise NotFoundError(
        f"Together does not route `{record.serving_name}` to its deployment; {cost_warning(record)}",
        f"run the command again, or `reasoning models undeploy {record.endpoint_name}`",
    )
