"""Hosts that share one store and one budget, and do by chance what costs money, all at the same moment.

The sandbox's clock moves only when told, so that its meter knows to the cent what was spent when a limit was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

from reasoning_cli.engines.serving import Deployment
from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.errors import LimitError, ReasoningError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.deploy.apply import run_deploy
from reasoning_cli.operations.deploy.plan import DeployRequest, plan_deploy
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.operations.deploy.teardown import plan_stop, run_stop
from reasoning_cli.operations.deploy.wait import Waiting
from reasoning_cli.operations.deploy.wake import wake
from reasoning_cli.operations.guard.loop import Guard
from reasoning_cli.operations.guard.policy import Rules
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.values import DatabaseAddress
from tests.engines.together.service import KEY, MODELS, Service

INTERVAL = timedelta(minutes=1)  # from one look of the guard to the next
PRICES = {"should-respond": 549, "planning": 549, "coding": 2196}  # cents an hour, of one replica
AT_REST = ("STOPPED", "FAILED")
DECISIONS = 3  # of each host in each step


class Meeting:
    """Where all wait for the last, which comes or will not come."""

    def __init__(self, count: int) -> None:
        self._awaited, self._changed = count, Condition()

    def leave_out(self) -> None:
        with self._changed:
            self._awaited -= 1
            self._changed.notify_all()

    def wait(self) -> None:
        self.leave_out()
        with self._changed:
            self._changed.wait_for(lambda: self._awaited == 0)


class MeetingClient(TogetherClient):
    """Sends nothing that costs money before everybody is about to, or has nothing to send."""

    meet: Callable[[], None] = staticmethod(lambda: None)

    def scale(self, endpoint_id: str, deployment_id: str, low: int, high: int) -> None:
        if high:
            self.meet()
        super().scale(endpoint_id, deployment_id, low, high)

    def create_deployment(self, endpoint_id: str, body: dict[str, Any]) -> Deployment:
        self.meet()
        return super().create_deployment(endpoint_id, body)


@dataclass
class Host:
    """One machine: connections of its own to the store and to Together."""

    name: str
    client: MeetingClient
    store: Store
    limits: Limits
    meetings: list[Meeting] = field(default_factory=list)  # of this moment, that it has not come to yet

    def meet(self) -> None:
        if self.meetings:
            self.meetings.pop(0).wait()

    def leave(self) -> None:
        while self.meetings:
            self.meetings.pop(0).leave_out()

    def do(self, what: str, model_type: str, replicas: int) -> None:
        """Raises what the operation raises."""
        client, store = self.client, self.store
        if what == "deploy":
            request = DeployRequest(model_type, MODELS, 0, max_replicas=replicas)
            plan = plan_deploy(client, store, self.limits, request)
            self.meet()
            run_deploy(client, store, plan, wait=None)
        elif what == "stop":
            to_stop = plan_stop(store, model_type.replace("_", "-"), keep=True)
            run_stop(client, store, to_stop, Waiting(0, timedelta(), lambda seconds: None))
        else:
            record = Deployments(store).find(model_type)
            self.meet()
            if record is not None and record.deleted_at is None:
                wake(client, store, self.limits, None, model_type, record.key)

    def guard(self) -> None:
        Guard(self.store).look(self.client, Rules(self.limits, {}, 0, {}, INTERVAL))

    def record(self, step: int) -> None:
        """What its gateway writes; twice, as after a commit whose answer was lost."""
        made = [_decision(f"{self.name} {step} {number}") for number in range(DECISIONS)]
        for _ in range(2):
            Samples(self.store).insert_many(made)


def _decision(name: str) -> Sample:
    return Sample(name, datetime.now(UTC), "planning", "original", "original", "gateway", name, "<response/>")


@dataclass
class Fleet:
    """Hosts over one sandbox. `places` is where each finds the store; `problems` is what must not have been."""

    together: Service
    places: Sequence[Path | DatabaseAddress]
    seed: int
    problems: list[str] = field(default_factory=list)
    started: int = 0
    refused: int = 0
    overshoot_cents: Decimal = Decimal(0)
    dearest_cents: int = 0  # an hour
    steps: int = 0
    decisions: int = 0

    def __enter__(self) -> Self:
        self._stack, self._chance = ExitStack(), Random(self.seed)
        # Now the cap is what is met first, now the budget.
        self.limits = Limits(
            budget_usd=Decimal(self._chance.choice(["8.00", "12.00", "100.00"])),
            hour_usd=Decimal(self._chance.choice(["6.00", "12.00", "24.00", "100.00"])),
            reserve_hours=Decimal(self._chance.choice(["0.25", "1.00"])),
        )
        self.hosts = []
        for number, place in enumerate(self.places):
            client = MeetingClient(self.together.url, KEY, sleep=lambda seconds: None)
            self._stack.callback(client.close)
            store = self._stack.enter_context(open_store(place))
            if isinstance(place, DatabaseAddress):
                self.together.store = store  # what it deploys and what it says of the ledger are of the same store
            host = Host(f"host {number}", client, store, self.limits)
            client.meet = host.meet  # type: ignore[method-assign]
            self.hosts.append(host)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def play(self, steps: int) -> None:
        """So many moments in which every host does something; in between some host's guard looks each interval. All
        models are there from the beginning, and stopped."""
        for model_type in MODELS:
            self.together.deploy(model_type)
            self.together.stop(model_type, keep=True)
        for _ in range(steps):
            self._moment()
            for _ in range(3):
                self.together.advance(self._chance.randint(10, int(INTERVAL.total_seconds())))
                self._chance.choice(self.hosts).guard()
        self._end()

    def _moment(self) -> None:
        before = self._rate()
        meetings = [Meeting(len(self.hosts)) for _ in range(2)]  # all have planned; all are about to send
        for host in self.hosts:
            host.meetings = list(meetings)
        wishes = [
            (
                self._chance.choice(["deploy", "wake", "wake", "stop"]),
                self._chance.choice(list(MODELS)),
                self._chance.choice([1, 1, 2, 3]),
            )
            for _ in self.hosts
        ]
        threads = [Thread(target=self._act, args=(host, wish)) for host, wish in zip(self.hosts, wishes, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.steps += 1
        rate = self._rate()
        self.dearest_cents = max(self.dearest_cents, rate)
        assert self.limits.hour_usd is not None
        assert self.limits.budget_usd is not None
        if rate > before:
            self.started += 1
            self._must(rate <= self.limits.hour_usd * 100, f"{rate} cents an hour run after {wishes}")
            needed = self._spent() + rate * self.limits.reserve_hours
            self._must(needed <= self.limits.budget_usd * 100, f"{needed} cents are needed after {wishes}")

    def _act(self, host: Host, wish: tuple[str, str, int]) -> None:
        try:
            host.record(self.steps)
            host.do(*wish)
        except LimitError:
            self.refused += 1
        except ReasoningError:
            pass  # it runs, is stopping, or is another's at this moment
        except BaseException as problem:
            self.problems.append(f"{host.name}: {wish}: {problem!r}")
        finally:
            host.leave()

    def _end(self) -> None:
        spent, host = self._spent(), self.hosts[0]
        assert self.limits.budget_usd is not None
        self.overshoot_cents = max(Decimal(0), spent - self.limits.budget_usd * 100)
        slack = Decimal(self.dearest_cents) * Decimal(INTERVAL.total_seconds()) / 3600
        self._must(self.overshoot_cents <= slack, f"{self.overshoot_cents} cents over the budget")
        refresh(host.client, host.store)
        metered, ledger = self.together.metered(), self.together.usage()
        for deployment, cents in metered.items():
            usage = ledger.get(deployment)
            inside = usage is not None and usage.low_cents <= cents <= usage.high_cents
            self._must(inside or cents == 0, f"the meter says {cents} cents, the ledger {usage}")
        expected = self.steps * len(self.hosts) * DECISIONS
        self.decisions = host.store.number("SELECT count(*) FROM samples")
        self._must(self.decisions == expected, f"{self.decisions} decisions instead of {expected}")
        left = host.store.number("SELECT count(*) FROM reservations WHERE seen_at IS NULL")
        self._must(left == 0, f"{left} reservations are not settled")

    def _rate(self) -> int:
        """What runs at Together costs so many cents an hour at most."""
        return sum(
            PRICES[name] * _most(found)
            for found in self.together.deployments()
            for name in PRICES
            if found["name"].split("/")[1].startswith(name)
        )

    def _spent(self) -> Decimal:
        return sum(self.together.metered().values(), Decimal(0))

    def _must(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(f"seed {self.seed}, step {self.steps}: {problem}")


def _most(deployment: dict[str, Any]) -> int:
    if deployment["status"]["state"].removeprefix("DEPLOYMENT_STATE_") in AT_REST:
        return 0
    return int(max(deployment["autoscaling"]["maxReplicas"], deployment["status"].get("readyReplicas") or 0))
