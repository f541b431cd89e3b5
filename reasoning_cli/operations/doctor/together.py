"""What `doctor` asks Together: whose key it is, whose clock is right, and what runs there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime

from reasoning_cli import settings as s
from reasoning_cli.engines.clients import Hosting
from reasoning_cli.engines.serving import Deployment
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.costs.budget import AT_REST
from reasoning_cli.operations.doctor.check import Check, ExistingStore, failed, ok, warn
from reasoning_cli.redact import mask
from reasoning_cli.settings import Settings
from reasoning_cli.store.deploy.deployments import Deployments

MOST_SKEW_SECONDS = 30


def check_account(
    settings: Settings, existing: ExistingStore, connect: Callable[[], Hosting], now: Callable[[], datetime]
) -> Generator[Check, None, list[Deployment] | None]:
    """Key, clock and what runs. Returns those of ours that run, or None when Together did not tell."""
    try:
        client = connect()
        client.whoami()
        project = client.project
    except ReasoningError as error:
        yield failed("account", error)
        return None
    key = settings.resolve(s.API_KEY)
    yield ok("account", f"key {mask(key.value or '')} accepted, project {project.name or project.slug or project.id}")
    if settings.outside is None:  # the sandbox's clock runs ahead on purpose
        yield _clock((now() - client.now()).total_seconds())
    try:
        ours, strange = _running(existing, client)
        yield _what_runs(client, ours, strange)
    except ReasoningError as error:
        yield failed("running", error)
        return None
    return ours


def _clock(ahead: float) -> Check:
    if abs(ahead) <= MOST_SKEW_SECONDS:
        return ok("clock", "the clock agrees with Together's")
    side = "ahead of" if ahead > 0 else "behind"
    return warn("clock", f"this clock is {abs(ahead):.0f} s {side} Together's", "sudo timedatectl set-ntp true")


def _running(existing: ExistingStore, client: Hosting) -> tuple[list[Deployment], list[Deployment]]:
    """What may cost money now: what was made from here, and the rest."""
    known: set[str | None] = set()
    store = existing.open()
    if store is not None:
        with store:
            known = {record.deployment_id for record in Deployments(store).live()}
    running = [
        deployment
        for endpoint in client.endpoints()
        for deployment in client.deployments(endpoint.id)
        if deployment.state not in AT_REST
    ]
    return [deployment for deployment in running if deployment.id in known], [
        deployment for deployment in running if deployment.id not in known
    ]


def _what_runs(client: Hosting, ours: list[Deployment], strange: list[Deployment]) -> Check:
    """With what it costs at most, if all of it scales up."""
    if not ours and not strange:
        return ok("running", "nothing runs at Together")
    prices = {instance.name: instance.price_cents_per_hour for instance in client.instance_types()}
    cents = sum(
        prices.get(deployment.hardware or "", 0)
        * max(deployment.status.ready_replicas, deployment.autoscaling.max_replicas)
        for deployment in (*ours, *strange)
    )
    at_most = f"up to ${cents / 100:.2f} an hour"
    if not strange:
        return ok("running", f"{_count(len(ours))} of ours, {at_most}")
    names = ", ".join(deployment.name for deployment in strange)
    count = _count(len(ours) + len(strange))
    return warn("running", f"{count}, {at_most}, not from here: {names}", "reasoning models list --all")


def _count(number: int) -> str:
    return "1 deployment runs" if number == 1 else f"{number} deployments run"
