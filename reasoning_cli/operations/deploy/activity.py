"""How busy a deployment is, by Together's own count."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.errors import ReasoningError
from reasoning_cli.store.deploy.deployments import DeploymentRecord

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting

WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class Activity:
    """Requests of the last hour, and since when nothing came; `quiet_since` is None when there was nothing all hour."""

    requests: int
    quiet_since: datetime | None


def recent_activity(client: Hosting, record: DeploymentRecord, at: datetime) -> Activity | None:
    """The last hour of a deployment that is ready; None when Together does not tell."""
    if record.endpoint_id is None or record.deployment_id is None or not record.ready_replicas:
        return None
    try:
        requests, last = client.activity(record.endpoint_id, record.deployment_id, at - WINDOW, at)
    except ReasoningError:
        return None  # a screen shows what there is
    return None if requests is None else Activity(requests, last)
