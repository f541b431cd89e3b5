"""Lives of deployments by chance: what operators, load, failures and other people do to them, and who looks when.

Each life is played on a sandbox whose clock moves only when told, so that its meter knows the truth to the cent.
What no client could find out is left out: the price changes once at most between two looks; where events fail, so do
the bounds, of which a deletion is the last change; and no replica comes back, or goes again, within two minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from reasoning_cli.operations.costs.ledger import Usage, integrate
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger
from tests.engines.together.service import EVENTS, PROJECT, Service

EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
HARDWARE = "1xnvidia-h100-80gb"
ACTIONS = ("wait", "wait", "bounds", "load", "crash", "price", "stop", "start", "idle", "fail", "delete")
WEIGHTS = (4, 4, 4, 4, 3, 3, 2, 3, 2, 1, 1)


@dataclass(frozen=True)
class Life:
    """How one deployment's life ended up: what it cost, and what the ledger says."""

    seed: int
    interval: int | None
    events_failed: bool
    steps: tuple[str, ...]
    metered_cents: Decimal
    usage: Usage
    dearest_hour: int
    price_changes: int

    @property
    def error_cents(self) -> Decimal:
        """How far the middle of the range is from the truth."""
        return abs(self.usage.cents - self.metered_cents)

    @property
    def outside_cents(self) -> Decimal:
        """How far the truth is outside the range."""
        return max(self.usage.low_cents - self.metered_cents, self.metered_cents - self.usage.high_cents, Decimal(0))

    @property
    def interval_cents(self) -> Decimal:
        """What it cost at most from one look to the next."""
        return Decimal(self.dearest_hour) * (self.interval or 0) / 3600


@dataclass
class Schedule:
    """One life being played, with a look each `interval` seconds, or whenever it pleases. `outages`: of the events."""

    service: Service
    seed: int
    interval: int | None
    outages: bool
    steps_wanted: int
    steps: list[str] = field(default_factory=list)
    blind: bool = False
    failed: bool = False
    changed: set[str] = field(default_factory=set)
    price: int = 549
    highest: int = 549
    most: int = 3
    price_changes: int = 0

    def play(self) -> Life:
        self.random = Random(self.seed)
        one = self.service
        one.ask("POST", "/_sandbox/prices", {HARDWARE: self.price})
        name = f"life-{self.seed}"
        if self.outages and self.random.random() < 0.3:
            self._break_events()
        one.behave(provisioning_seconds=20, scaling_seconds=20)  # a start of few looks
        record = one.deploy(endpoint=name, max_replicas=self.random.randint(1, 3), idle_minutes=0).record
        one.behave(scaling_seconds=150, stopping_seconds=60)
        self.key = record.key
        for _ in range(self.steps_wanted):
            if self.record.deleted_at is not None:
                break
            if self.outages and self.random.random() < 0.3:
                self._mend_events() if self.blind else self._break_events()
            action = self.random.choices(ACTIONS, WEIGHTS)[0]
            if action in ("fail", "delete") and len(self.steps) < self.steps_wanted // 2:
                action = "wait"
            self.steps.append(action)
            getattr(self, f"_{action}")()
            self._pass(self._pause())
        self._look()
        life = self._measure()
        if self.blind:
            self._mend_events()
        if self.record.deleted_at is None:
            one.ask("DELETE", f"/_sandbox/endpoints/{self.record.endpoint_id}")
            self._look()
        return life

    # --- what happens ---

    def _wait(self) -> None:
        self._pass(self.random.randint(1, 3600 if self.interval is None else 8 * self.interval))

    def _bounds(self) -> None:
        """Somebody allows, and wants, other numbers of replicas."""
        if not self._may_change("bounds"):
            return
        low = self.random.randint(1, 3)
        self._patch(low, low + self.random.randint(0, 2))

    def _load(self) -> None:
        """Load wants another number of replicas."""
        there = self._there()
        low, high = there["autoscaling"]["minReplicas"], there["autoscaling"]["maxReplicas"]
        if high and there["status"]["state"] not in ("DEPLOYMENT_STATE_STOPPING", "DEPLOYMENT_STATE_FAILED"):
            self._intervene("scale", {"desired": self.random.randint(max(1, low), high)})

    def _crash(self) -> None:
        there = self._there()["status"]
        if there["state"] in ("DEPLOYMENT_STATE_READY", "DEPLOYMENT_STATE_DEGRADED") and there["readyReplicas"]:
            gone = self.random.randint(1, there["readyReplicas"])
            self._intervene("crash", {"replicas": gone, "restoreAfterSeconds": self.random.randint(180, 1800)})

    def _price(self) -> None:
        if not self._may_change("price", always=True):
            return
        self.price = self.random.randint(300, 900)
        self.price_changes += 1
        self.highest = max(self.highest, self.price)
        self.service.ask("POST", "/_sandbox/prices", {HARDWARE: self.price})

    def _stop(self) -> None:
        if self._may_change("bounds"):
            self._patch(0, 0)

    def _start(self) -> None:
        if self._there()["status"]["state"] == "DEPLOYMENT_STATE_STOPPED" and self._may_change("bounds"):
            self._patch(1, self.random.randint(1, 3))

    def _idle(self) -> None:
        """Nobody asks it anything for so long that it stops by itself."""
        if not self._may_change("bounds"):
            return
        self._there()
        self.service.ask("PATCH", self._path, {"inactiveTimeout": 30})
        self._pass(self.random.randint(1800, 2400))
        if self.record.deleted_at is None:
            self.service.ask("PATCH", self._path, {"inactiveTimeout": 0})

    def _fail(self) -> None:
        self._intervene("fail", {})

    def _delete(self) -> None:
        if not self._may_change("bounds"):
            return
        if self.random.random() < 0.5:
            self.service.ask("DELETE", f"/_sandbox/deployments/{self.record.deployment_id}")
        else:
            self.service.ask("DELETE", f"/_sandbox/endpoints/{self.record.endpoint_id}")
        self._pass(self.random.randint(0, 7200))
        self._look()

    # --- time and looks ---

    def _pause(self) -> int:
        """With looks close to each other, long enough for what was begun to be over."""
        if self.interval is not None:
            return self.random.randint(330, 700)
        return self.random.choice((0, 1, 30, 600, 5000, 40_000))

    def _pass(self, seconds: int) -> None:
        """Time passes, looked at all along or, where there are gaps, at its end: perhaps."""
        if self.interval is None:
            self.service.advance(seconds)
            if self.random.random() < 0.5:
                self._look()
            return
        while seconds > 0 and self.record.deleted_at is None:
            self.service.advance(min(self.interval, seconds))
            seconds -= self.interval
            self._look()

    def _look(self) -> None:
        self.changed.clear()
        refresh(self.service.client, self.service.store)

    def _break_events(self) -> None:
        self.blind = self.failed = True
        self._look_if_deployed()
        self.service.fault(EVENTS, status=403)

    def _mend_events(self) -> None:
        self.blind = False
        self.service.clear_faults()

    def _look_if_deployed(self) -> None:
        """What happened while events could be had is found out with them."""
        if self.steps:
            self._look()

    # --- at the vendor's ---

    @property
    def record(self) -> DeploymentRecord:
        found = Deployments(self.service.store).get(self.key)
        assert found is not None
        return found

    @property
    def _path(self) -> str:
        record = self.record
        return f"{PROJECT}/endpoints/{record.endpoint_id}/deployments/{record.deployment_id}"

    def _there(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service.ask("GET", self._path)
        return found

    def _patch(self, low: int, high: int) -> None:
        state = self._there()["status"]["state"].removeprefix("DEPLOYMENT_STATE_")
        if state == "FAILED" or (high and state == "STOPPING"):
            return
        self.most = max(self.most, high)
        self.service.ask("PATCH", self._path, {"autoscaling": {"minReplicas": low, "maxReplicas": high}})

    def _intervene(self, what: str, body: dict[str, int]) -> None:
        self.service.ask("POST", f"/_sandbox/deployments/{self.record.deployment_id}/{what}", body)

    def _may_change(self, what: str, *, always: bool = False) -> bool:
        """Once between two looks, where no event tells."""
        if what in self.changed and (self.blind or always):
            return False
        self.changed.add(what)
        return True

    def _measure(self) -> Life:
        usage = integrate(Ledger(self.service.store).readings(self.key), *EVER)
        metered = self.service.metered()[str(self.record.deployment_id)]
        return Life(
            self.seed,
            self.interval,
            self.failed,
            tuple(self.steps),
            metered,
            usage,
            self.highest * self.most,
            self.price_changes,
        )
