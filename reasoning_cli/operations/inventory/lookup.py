"""Which deployment of ours is meant, and which of Together's it is."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import MissingError
from reasoning_cli.errors import ConfigurationError, NotFoundError
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting


def find_live(store: Store, target: str) -> DeploymentRecord:
    """The deployment of ours meant by a model type, an endpoint's name or an id. Raises NotFoundError."""
    record = Deployments(store).find(target)
    if record is None or record.deleted_at is not None:
        names = [record.endpoint_name for record in Deployments(store).live()]
        near = difflib.get_close_matches(target, names, n=1)
        if near:
            hint = f"did you mean `{near[0]}`?"
        else:
            hint = f"deployed from here: {', '.join(names)}" if names else "nothing is deployed from here"
        raise NotFoundError(f"`{target}` is not deployed", hint)
    return record


def find_made(client: Hosting, store: Store, record: DeploymentRecord) -> DeploymentRecord:
    """A deploy that broke off may have made more than it could write down: look by name.

    Raises ConfigurationError when the key is not the one it was deployed with.
    """
    _check_project(client, record)
    if record.rides_on is not None:
        return _find_attached(client, store, record)
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


def _find_attached(client: Hosting, store: Store, rider: DeploymentRecord) -> DeploymentRecord:
    base = Deployments(store).get(rider.rides_on or "")
    if rider.adapter_id is not None or base is None or base.endpoint_id is None or base.deployment_id is None:
        return rider
    try:
        attached = client.find_adapter(base.endpoint_id, base.deployment_id, rider.model_id or "")
    except MissingError:
        return rider
    if attached is None:
        return rider
    return Deployments(store).update(rider.key, endpoint_id=base.endpoint_id, adapter_id=attached.id)


def _check_project(client: Hosting, record: DeploymentRecord) -> None:
    """To another project's key everything is missing, which must not be taken for deleted, and free."""
    if record.project_id not in (None, client.project.id):
        raise ConfigurationError(
            f"`{record.endpoint_name}` was deployed in project `{record.project_id}` and may be running there,"
            f" but the key or project now set is that of `{client.project.id}`",
            "set the former ones to look at it or stop it; or work apart from it with `REASONING_HOME=FOLDER`",
        )
