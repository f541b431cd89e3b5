"""Change the API key: whose the new one is, and what another project would leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.errors import ReasoningError
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting
    from reasoning_cli.store.database import Store


@dataclass(frozen=True)
class KeyProject:
    """The project that a key works in, and how people call it."""

    id: str
    name: str


def project_of_key(client: Hosting) -> KeyProject:
    """The project that the client's key works in. Raises what Together answers when it does not.

    A project that was set, and is not the key's own, is looked into: the key may not be let in.
    """
    whose, project = client.whoami(), client.project
    if whose.project is None or whose.project.id != project.id:
        next(client.endpoints(), None)
    return KeyProject(project.id, project.name or project.slug or project.id)


def project_so_far(client: Hosting) -> KeyProject | None:
    """The same for the old key; None when it tells no more: it may be revoked, which is why it is changed."""
    try:
        return project_of_key(client)
    except ReasoningError:
        return None


def left_behind(store: Store, project_id: str) -> list[DeploymentRecord]:
    """Deployments of ours that may cost money in another project than this."""
    return [record for record in Deployments(store).live() if record.project_id not in (None, project_id)]
