"""What is deployed: from the store alone (fast, as last seen), or after a look at each deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from reasoning_cli.operations.costs.budget import period_start, spending_rate
from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
from reasoning_cli.operations.costs.ledger import Usage, observe, ready_since, usage_by_deployment
from reasoning_cli.operations.deploy.activity import WINDOW, Activity, recent_activity
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.store.serving.tokens_used import tokens_used
from reasoning_cli.store.train.fine_tunes import FineTunes
from reasoning_cli.values import MODEL_TYPES, Mode, Period

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud


@dataclass(frozen=True)
class SlotUse:
    """What the gateway makes of a slot's model, and where it is served when that is not Together."""

    mode: Mode = Mode.LIVE
    share_percent: int = 100
    provider_url: str | None = None


@dataclass(frozen=True)
class ModelStatus:
    """One line of `models`: a slot with what serves it, or a deployment of ours that serves none.

    `state` is as last seen at `seen_at`; a slot without deployment is `off`, or `elsewhere` when it has a
    `provider_url` and needs none. `traffic_percent` is the share of each of two while one takes the other's place;
    `mode` and `share_percent` (of a canary) are what the gateway does with a slot. What is not `ours` was made
    elsewhere: its record is of this moment, not in the store, and its usage is since it was made. Of what could not be
    looked at the state is not `is_known`, only what it was. `off` is since when and why a slot's model does not run.
    """

    name: str
    model_type: str | None
    enabled: bool | None
    model_name: str
    record: DeploymentRecord | None
    usage: Usage
    ready_since: datetime | None
    activity: Activity | None = None
    ours: bool = True
    traffic_percent: int | None = None
    mode: Mode | None = None
    share_percent: int | None = None
    provider_url: str | None = None
    is_known: bool = True
    off: tuple[datetime, str] | None = None

    @property
    def state(self) -> str:
        if self.record is not None:
            return self.record.state
        return "off" if self.provider_url is None else "elsewhere"

    @property
    def burn_cents_per_hour(self) -> int:
        return spending_rate(self.record) if self.record else 0


@dataclass(frozen=True)
class SpentBefore(ModelStatus):
    """What no line stands for any more, and what this month's total holds: its cost alone is left."""

    @property
    def state(self) -> str:
        return "–"


@dataclass(frozen=True)
class HeadStatus(ModelStatus):
    """The head in line, which runs in the gateway and costs nothing; `is_out` where something keeps it from that."""

    is_out: bool = False

    @property
    def state(self) -> str:
        return "out" if self.is_out else "in line"


def refresh(client: Cloud, store: Store) -> datetime:
    """Look at every live deployment of ours, and at what was fine-tuned, and write it down; the service's time then."""
    seen_at = _look(client, store)
    note_fine_tunes(client, store)
    return max(seen_at, client.now())


def _look(client: Cloud, store: Store) -> datetime:
    live = Deployments(store).live()
    if not live:
        return client.now()
    prices = {instance.name: instance.price_cents_per_hour for instance in client.instance_types()}
    seen = [observe(client, store, record, prices) for record in (*live, *Deployments(store).riders())]
    return max(client.now(), *(record.state_at for record in seen))


def last_look(store: Store) -> datetime | None:
    """When a deployment of ours was last seen, on the service's clock."""
    return max((record.state_at for record in Deployments(store).all()), default=None)


def model_statuses(
    store: Store,
    models: Mapping[str, str],
    enabled: Mapping[str, bool],
    at: datetime,
    uses: Mapping[str, SlotUse] | None = None,
) -> list[ModelStatus]:
    """The three slots, then deployments of ours that serve none; `models`, `enabled` and `uses` by model type."""
    deployments = Deployments(store)
    # Riders first: a model type whose slot is not set yet is served by its adapter, and not by what that rides on.
    live = {record.key: record for record in (*deployments.riders(), *deployments.live())}
    served = {slot.model_type: slot.deployment_key for slot in deployments.slots()}
    usage = usage_by_deployment(store, period_start(Period.MONTH, at), at)
    ledger = Ledger(store)
    endpoints = [record.endpoint_name for record in live.values() if record.rides_on is None]
    shares: dict[str, int] = {}
    for going in filter(None, (Replacements(store).going(model_type) for model_type in MODEL_TYPES)):
        shares |= {going.old_key: 100 - going.percent, going.new_key: going.percent}

    def name(record: DeploymentRecord) -> str:
        alone = record.rides_on is None and endpoints.count(record.endpoint_name) == 1
        return record.endpoint_name if alone else record.deployment_name

    def line(model_type: str | None, record: DeploymentRecord | None) -> ModelStatus:
        since = ready_since(ledger.readings(record.key)) if record and record.ready_replicas else None
        use = (uses or {}).get(model_type or "")
        return ModelStatus(
            name=model_type or (name(record) if record else ""),
            model_type=model_type,
            enabled=enabled[model_type] if model_type else None,
            model_name=record.model_name if record else models[model_type or ""],
            record=record,
            usage=usage.get(record.key, Usage()) if record else Usage(),
            ready_since=since,
            traffic_percent=shares.get(record.key) if record else None,
            mode=use.mode if use else None,
            share_percent=use.share_percent if use and use.mode is Mode.CANARY else None,
            provider_url=use.provider_url if use else None,
        )

    lines = []
    for model_type in MODEL_TYPES:
        key = served.get(model_type)
        record = live.pop(key, None) if key else None
        if record is None:  # being made: not in the slot yet
            record = next((record for record in live.values() if record.model_type == model_type), None)
            if record is not None:
                live.pop(record.key)
        slot = line(model_type, record)
        activity = _activity_elsewhere(store, slot, at) if record is None and slot.provider_url else None
        lines.append(replace(slot, off=why_off(store, slot), activity=activity))
    return lines + [line(None, record) for record in live.values()]


def _activity_elsewhere(store: Store, slot: ModelStatus, at: datetime) -> Activity | None:
    """What the model of a server elsewhere was asked in the last hour, by the log; None where that was nothing."""
    used, _ = tokens_used(store, slot.model_type or "", slot.model_name, at - WINDOW, at)
    asked = used.counted + used.uncounted
    return Activity(asked, None) if asked else None


def spent_before(store: Store, at: datetime) -> list[ModelStatus]:
    """This month's cost that no line of `model_statuses` has: of models that are gone, and of fine-tuning."""
    start = period_start(Period.MONTH, at)
    live = {record.key for record in Deployments(store).live()}
    gone = [usage for key, usage in usage_by_deployment(store, start, at).items() if key not in live]
    gone = [usage for usage in gone if usage.high_cents]
    tuned = FineTunes(store).cents(start, None)
    rest = (
        (f"gone ({len(gone)})", sum(gone, Usage())),
        ("fine-tuning", Usage(low_cents=tuned, high_cents=tuned)),
    )
    return [SpentBefore(name, None, None, "–", None, usage, None) for name, usage in rest if usage.high_cents]


def why_off(store: Store, status: ModelStatus) -> tuple[datetime, str] | None:
    """Since when a slot's model does not run, and why, as far as the log of events says; None for one that runs, or
    that never was."""
    record = status.record
    if record is None:
        former = [
            record
            for record in Deployments(store).all()
            if record.model_type == status.model_type and record.deleted_at
        ]
        record = former[-1] if former else None
    if record is None or record.state not in ("STOPPED", "STOPPING", DELETED):
        return None
    events = Events(store)
    seen, done = events.newest(record.endpoint_name, seen=True), events.newest(record.endpoint_name, seen=False)
    since = record.deleted_at or (seen.at if seen is not None else record.state_at)
    if record.state == DELETED and done is not None and done.action == "undeploy":
        return since, f"the {done.actor} ({done.by}) undeployed it"
    if record.last_error:
        return since, record.last_error
    if seen is not None and seen.action == record.state.lower() and seen.detail.get("why"):
        return since, str(seen.detail["why"])
    return since, "nobody saw why"


def with_activity(client: Cloud, statuses: Sequence[ModelStatus], at: datetime) -> list[ModelStatus]:
    """The same lines with what Together counted in the last hour."""
    return [
        replace(status, activity=recent_activity(client, status.record, at))
        if status.record and status.record.ready_replicas
        else status
        for status in statuses
    ]
