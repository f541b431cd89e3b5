"""Which deployment of ours is meant."""

from __future__ import annotations

import difflib

from reasoning_cli.errors import NotFoundError
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DeploymentRecord, Deployments


def find_live(store: Store, target: str) -> DeploymentRecord:
    """The deployment of ours meant by a model type, an endpoint's name or an id. Raises NotFoundError."""
    record = Deployments(store).find(target)
    if record is None or record.deleted_at is not None:
        names = [one.endpoint_name for one in Deployments(store).live()]
        near = difflib.get_close_matches(target, names, n=1)
        if near:
            hint = f"did you mean `{near[0]}`?"
        else:
            hint = f"deployed from here: {', '.join(names)}" if names else "nothing is deployed from here"
        raise NotFoundError(f"`{target}` is not deployed", hint)
    return record
