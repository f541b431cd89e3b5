"""What runs in the project but was not made from here: seen, priced, taken over, and stopped only by its own name."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import MissingError, RequestRefusedError
from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, RemoteError
from reasoning_cli.operations.costs.billing_rules import BillingRules
from reasoning_cli.operations.costs.budget import Limits, Standing, spending_rate, standing, standings, why_refused
from reasoning_cli.operations.costs.ledger import Usage, integrate, observe, ready_since
from reasoning_cli.operations.costs.reserve import check_added
from reasoning_cli.operations.deploy.status import ModelStatus
from reasoning_cli.operations.deploy.wait import Progress, Waiting
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger, Reading

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.engines.serving import Deployment, Endpoint, LegacyEndpoint

LEGACY = "endpoint-"  # how ids of v1 begin


@dataclass(frozen=True)
class AdoptPlan:
    """A deployment that becomes ours: for which decisions, and what it adds to what is spent an hour.

    `refusal` is as in `DeployPlan`.
    """

    status: ModelStatus
    record: DeploymentRecord
    model_type: str
    standing: Standing
    refusal: LimitError | None = None


def foreign_statuses(client: Cloud, store: Store) -> list[ModelStatus]:
    """Every deployment of the project that is not on record here as live, then what is left of v1."""
    ours = {record.deployment_id for record in Deployments(store).live()}
    prices = {instance.name: instance.price_cents_per_hour for instance in client.instance_types()}
    names = {model.id: model.name for model in client.models()}
    rules, found = BillingRules.of(store), []
    for endpoint in client.endpoints():
        deployments = client.deployments(endpoint.id)
        alone = len(deployments) == 1
        for deployment in deployments:
            if deployment.id not in ours:
                record = _record(client, endpoint, deployment, names, prices)
                name = record.endpoint_name if alone else f"{record.endpoint_name}/{_bare(deployment.name)}"
                found.append(_status(client, record, name, rules))
    return [*found, *_legacy_statuses(client)]


def find_foreign(client: Cloud, store: Store, name: str) -> ModelStatus:
    """The one that is meant by a name, a serving name or an id. Raises NotFoundError, also when several are."""
    found = [
        status
        for status in foreign_statuses(client, store)
        if status.record is not None and name in _names(status.record, status)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{status.name} ({status.record.deployment_id})" for status in found if status.record)
        raise NotFoundError(f"`{name}` holds several deployments: {ids}", "name one of them by its id")
    raise NotFoundError(f"`{name}` runs neither here nor elsewhere in this project", "`reasoning models list --all`")


def is_legacy(record: DeploymentRecord) -> bool:
    """Whether it is an endpoint of v1."""
    return (record.endpoint_id or "").startswith(LEGACY)


def plan_adopt(client: Cloud, store: Store, limits: Limits, name: str, model_type: str) -> AdoptPlan:
    """Find a foreign deployment and check that the budget can carry it. Changes nothing.

    Raises NotFoundError, LimitError, and ReasoningError for an endpoint of v1, which nothing here could start again.
    """
    status = find_foreign(client, store, name)
    record = status.record
    assert record is not None
    if is_legacy(record):
        raise ReasoningError(
            f"`{name}` is an endpoint of v1, which cannot be adopted: once stopped it can never be started again",
            f"deploy its model anew: `reasoning models deploy {status.model_name} --as TYPE`",
        )
    at = client.now()
    budgets = [budget for budget in standings(store, limits, at) if budget.model_type in (None, model_type)]
    refusal = why_refused(budgets, status.name, spending_rate(record))
    return AdoptPlan(status, record, model_type, standing(store, limits, at), refusal)


def run_adopt(client: Cloud, store: Store, plan: AdoptPlan) -> DeploymentRecord:
    """Put it into its slot and, from now on, into the ledger."""
    ours = replace(plan.record, model_type=plan.model_type)
    record = take_over(
        client,
        store,
        ours,
        lambda: check_added(store, plan.standing.limits, ours, spending_rate(ours), client.now()),
    )
    Deployments(store).set_slot(plan.model_type, record.key, now=client.now())
    return record


def take_over(
    client: Cloud, store: Store, record: DeploymentRecord, check: Callable[[], None] = lambda: None
) -> DeploymentRecord:
    """Keep a foreign deployment on record as one of ours, where `check` raises nothing; what it cost before is not
    ours."""
    record = Deployments(store).record_intent(record, check)
    if not Ledger(store).readings(record.key):
        price = record.price_cents_per_hour or 0
        Ledger(store).add_readings(
            [Reading(record.key, record.state_at, record.ready_replicas, price, record.state, known_by="polled")]
        )
        detail = {"deployment_id": record.deployment_id, "model_type": record.model_type}
        Events(store).add(Event(client.now(), "operator", "adopt", record.endpoint_name, detail))
    return observe(client, store, record)


def run_legacy_stop(client: Cloud, record: DeploymentRecord, wait: Waiting, *, keep: bool) -> DeploymentRecord:
    """Stop an endpoint of v1 and wait until it is, or delete it, which needs no stop."""
    endpoint_id = record.endpoint_id or ""
    if not keep:
        client.delete_legacy(endpoint_id)
        return replace(record, state=DELETED, ready_replicas=0)
    seen = client.stop_legacy(endpoint_id)
    started = client.now()
    while seen.state not in ("STOPPED", "ERROR"):
        elapsed = client.now() - started
        wait.notify(Progress(record, seen.state, elapsed))
        if elapsed >= wait.timeout:
            raise RemoteError(f"`{record.endpoint_name}` is still {seen.state}", "`reasoning models list --all`")
        wait.sleep(wait.poll_seconds)
        seen = client.legacy_endpoint(endpoint_id)
    return replace(record, state=seen.state, ready_replicas=0)


def _names(record: DeploymentRecord, status: ModelStatus) -> tuple[str | None, ...]:
    deployment = f"{record.serving_name}/{record.deployment_name}"
    return (
        status.name,
        record.endpoint_name,
        record.serving_name,
        record.endpoint_id,
        record.deployment_id,
        deployment,
    )


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def _record(
    client: Cloud,
    endpoint: Endpoint,
    deployment: Deployment,
    names: dict[str, str],
    prices: Mapping[str, int],
) -> DeploymentRecord:
    model_id = deployment.model_id or _bare(deployment.model)
    if model_id not in names:
        try:
            names[model_id] = client.model(model_id).name
        except (MissingError, RequestRefusedError):
            names[model_id] = deployment.model or model_id
    return DeploymentRecord(
        key=str(uuid.uuid4()),
        model_type=None,
        model_name=names[model_id],
        model_id=model_id,
        endpoint_name=_bare(endpoint.name),
        endpoint_id=endpoint.id,
        deployment_name=_bare(deployment.name),
        deployment_id=deployment.id,
        serving_name=endpoint.name,
        project_id=client.project.id,
        hardware=deployment.hardware,
        price_cents_per_hour=prices.get(deployment.hardware or ""),
        config=deployment.config or None,
        idle_minutes=deployment.inactive_timeout or 0,
        min_replicas=deployment.autoscaling.min_replicas,
        max_replicas=deployment.autoscaling.max_replicas,
        state=deployment.state,
        ready_replicas=deployment.status.ready_replicas,
        created_at=deployment.created_at,
        state_at=client.now(),
    )


def _status(client: Cloud, record: DeploymentRecord, name: str, rules: BillingRules) -> ModelStatus:
    readings = _history(client, record, rules)
    usage = integrate(readings, record.created_at, record.state_at, rules)
    since = ready_since(readings) if record.ready_replicas else None
    return ModelStatus(name, None, None, record.model_name, record, usage, since, ours=False)


def _history(client: Cloud, record: DeploymentRecord, rules: BillingRules) -> list[Reading]:
    """Its readings as its events tell them, at today's price; between its making and now where they do not, or count
    what is wanted."""
    price = record.price_cents_per_hour or 0

    def reading(at: datetime, replicas: int, known: bool) -> Reading:
        return Reading(record.key, at, replicas, price, record.state, known_by="event" if known else "polled")

    begin = reading(record.created_at, 0, False)
    end = reading(max(record.state_at, record.created_at), record.ready_replicas, False)
    try:
        events = client.events(record.endpoint_id or "", since=record.created_at, types=("deployment.scaled",))
    except (RemoteError, NotFoundError, RequestRefusedError):
        events = []
    scaled = [
        reading(event.created_at, event.new_replicas or 0, True)
        for event in events
        if event.deployment_id == record.deployment_id
    ]
    if rules.events_count != "desired" and scaled and scaled[-1].ready_replicas == record.ready_replicas:
        return [*scaled, end]
    return [begin, end]


def _legacy_statuses(client: Cloud) -> list[ModelStatus]:
    endpoints = client.legacy_endpoints()
    if not endpoints:
        return []
    prices = client.legacy_prices()
    return [_legacy_status(client, endpoint, prices.get(endpoint.hardware), client.now()) for endpoint in endpoints]


def _legacy_status(client: Cloud, endpoint: LegacyEndpoint, price: int | None, at: datetime) -> ModelStatus:
    """v1 tells neither since when it runs nor how many replicas are ready: all of its life is the upper bound."""
    running = endpoint.state in ("PENDING", "STARTING", "STARTED", "STOPPING")
    replicas = max(1, endpoint.autoscaling.max_replicas) if endpoint.state in ("STARTED", "STOPPING") else 0
    record = DeploymentRecord(
        key=endpoint.id,
        model_type=None,
        model_name=endpoint.model,
        model_id=None,
        endpoint_name=endpoint.name,
        endpoint_id=endpoint.id,
        deployment_name=endpoint.name,
        deployment_id=None,
        serving_name=endpoint.name,
        project_id=None,
        hardware=endpoint.hardware,
        price_cents_per_hour=price,
        config=None,
        idle_minutes=0,
        min_replicas=endpoint.autoscaling.min_replicas,
        max_replicas=endpoint.autoscaling.max_replicas if running else 0,
        state="FAILED" if endpoint.state == "ERROR" else endpoint.state,
        ready_replicas=replicas,
        created_at=endpoint.created_at,
        state_at=at,
    )
    life = max(at - endpoint.created_at, timedelta()) * replicas
    cents = Decimal(life // timedelta(milliseconds=1)) * (price or 0) / 3_600_000
    usage = Usage(timedelta(), life, Decimal(0), cents)
    return ModelStatus(endpoint.id, None, None, endpoint.model, record, usage, None, ours=False)
