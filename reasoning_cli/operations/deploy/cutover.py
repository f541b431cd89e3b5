"""Let one model answer in another's place where Together cannot shift the traffic: to an adapter, or from one.

An adapter has no deployment of its own that a split could name. The slot changes at once, when the new model has
answered; on record it is a replacement, so that what breaks off goes on, and a rollback knows the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli.operations.costs.budget import spending_rate
from reasoning_cli.operations.deploy.teardown import StopPlan, run_stop
from reasoning_cli.operations.deploy.wait import Waiting
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting


def former(store: Store, model_type: str, record: DeploymentRecord | None) -> DeploymentRecord | None:
    """What serves a model type, or did until `record` began to take its place; None where that is `record` itself.

    Of a replacement that broke off it may be gone already, but for its endpoint.
    """
    deployments = Deployments(store)
    if record is not None and (begun := Replacements(store).unfinished_to(record.key)) is not None:
        return deployments.get(begun.old_key)
    key = deployments.serving(model_type)
    found = deployments.get(key) if key is not None and (record is None or key != record.key) else None
    return found if found is not None and found.deleted_at is None else None


def hand_over(
    client: Hosting, store: Store, model_type: str, old: DeploymentRecord, new: DeploymentRecord, wait: Waiting
) -> None:
    """Let `new`, which has answered, serve a model type from now on, and take `old` away."""
    replacement = Replacements(store).begin(model_type, old.key, new.key, client.now())
    if Deployments(store).serving(model_type) != new.key:
        Deployments(store).set_slot(model_type, new.key, now=client.now())
        detail = {"model": new.model_name, "percent": 100}
        Events(store).add(Event(client.now(), "operator", "shift", new.endpoint_name, detail))
    Replacements(store).set_percent(replacement.number, 100)
    run_stop(client, store, StopPlan(old, keep=False, saves_cents_per_hour=spending_rate(old)), wait)
    Replacements(store).finish(replacement.number, client.now())
