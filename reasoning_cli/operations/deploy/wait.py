"""Wait for a deployment to reach a state, or to answer, and say what it costs when nobody waits any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import BusyError, NotServingError, UnreachableError
from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.operations.costs.budget import AT_REST
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DELETED, DeploymentRecord

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Hosting

TRIES_TO_ANSWER = 12
TRIES_TO_REACH = 5


@dataclass(frozen=True)
class Progress:
    """One look while waiting: what goes on, in which state, how long so far on the service's clock."""

    record: DeploymentRecord
    state: str
    elapsed: timedelta


@dataclass(frozen=True)
class Waiting:
    """How to wait: real seconds between looks, how to sleep, when to give up (service time), whom to tell."""

    poll_seconds: float
    timeout: timedelta
    sleep: Callable[[float], None] = time.sleep
    notify: Callable[[Progress], None] = lambda progress: None


def wait_for(client: Hosting, store: Store, record: DeploymentRecord, goal: str, wait: Waiting) -> DeploymentRecord:
    """Look again and again until the deployment is in state `goal`, writing each change into the ledger."""
    started: datetime | None = None
    unreached = 0
    name = record.deployment_name if record.rides_on else record.endpoint_name
    while True:
        try:
            record = observe(client, store, record)
            unreached = 0
        except (UnreachableError, BusyError) as problem:
            unreached += 1
            if unreached == TRIES_TO_REACH:
                raise RemoteError(
                    f"lost Together while waiting: {problem.message}; {cost_warning(record)}",
                    f"`reasoning models status`, or stop it: `reasoning models undeploy {name}`",
                ) from problem
            wait.sleep(wait.poll_seconds)
            continue
        started = started or record.state_at
        elapsed = record.state_at - started
        wait.notify(Progress(record, record.state, elapsed))
        if record.state == goal or (goal == "STOPPED" and record.state in AT_REST):
            return record
        if record.state in ("FAILED", DELETED):
            raise RemoteError(
                f"`{name}` is {record.state}: {record.last_error or 'Together gives no reason'}",
                f"{'what it rides on' if record.rides_on else 'nothing'} is billed;"
                f" clear it away: `reasoning models undeploy {name}`",
            )
        if elapsed >= wait.timeout:
            minutes = int(wait.timeout.total_seconds() // 60)
            raise RemoteError(
                f"`{name}` is still {record.state} after {minutes} minutes; {cost_warning(record)}",
                f"run the same command again to go on waiting, or `reasoning models undeploy {name}`",
            )
        wait.sleep(wait.poll_seconds)


def cost_warning(record: DeploymentRecord) -> str:
    """What a deployment that is left to itself may cost."""
    if record.rides_on is not None:
        return "what it rides on goes on at Together, and is billed"
    price = (record.price_cents_per_hour or 0) * max(1, record.max_replicas)
    return f"it goes on at Together and costs up to ${price / 100:.2f} an hour once it is ready"


def try_answer(client: Hosting, record: DeploymentRecord, wait: Waiting, name: str | None = None) -> timedelta:
    """One token from the model (`name`: from one deployment of it); how long it took.

    `not running` flaps for a while after READY and is waited out.
    """
    last: ReasoningError | None = None
    target = record.deployment_name if record.rides_on else record.endpoint_name
    for _ in range(TRIES_TO_ANSWER):
        started = time.perf_counter()
        try:
            client.chat(name or record.serving_name or "", [{"role": "user", "content": "ping"}], max_tokens=1)
            return timedelta(seconds=time.perf_counter() - started)
        except (NotServingError, BusyError, UnreachableError) as problem:
            last = problem
            asked = problem.wait_seconds if isinstance(problem, BusyError) else None
            wait.sleep(max(wait.poll_seconds, asked or 0))
    raise RemoteError(
        f"`{target}` is READY, and billed, but does not answer: {last.message if last else ''}",
        f"try again later with the same command, or stop it: `reasoning models undeploy {target}`",
    )
