"""What the guard will do next to each deployment, and when, if nothing changes: the same rules, ahead of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reasoning_cli.operations.costs.budget import Standing, spending_rate, standings
from reasoning_cli.operations.costs.ledger import ready_since
from reasoning_cli.operations.costs.slot_tokens import TokenSlot
from reasoning_cli.operations.guard.loop import last_asked, stopped_for
from reasoning_cli.operations.guard.policy import Rules, Watched, Why, judge
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger
from reasoning_cli.values import spell_model_type


@dataclass(frozen=True)
class Expected:
    """What the guard does first to a deployment if nothing changes until then: by which rule, and when at the earliest.

    It asks Together too before it stops what is idle, which may make that later. Without a deployment it is a slot that
    is paid for by the token: `slot` is then left to the baseline, by the gateway itself.
    """

    record: DeploymentRecord | None
    why: Why
    at: datetime
    text: str
    start: bool = False
    slot: TokenSlot | None = None

    @property
    def name(self) -> str:
        if self.record is not None:
            return self.record.endpoint_name
        return self.slot.model if self.slot is not None else ""

    @property
    def model_type(self) -> str | None:
        held = self.record or self.slot
        return held.model_type if held is not None else None

    @property
    def action(self) -> str:
        if self.record is None:
            return "baseline"
        return "start" if self.start else "stop"


def outlook(store: Store, rules: Rules, at: datetime) -> list[Expected]:
    """The next stop or start of each deployment that has one, and when slots that are paid for by the token go to the
    baseline, the soonest first; asks nobody."""
    live = Deployments(store).live()
    every = standings(store, rules.limits, at)
    watched = [Watched(record, stopped_for=stopped_for(store, record)) for record in live]
    now = {verdict.record.key: verdict for verdict in judge(watched, every, rules, at)}
    found = []
    for seen in watched:
        if (verdict := now.get(seen.record.key)) is not None:
            found.append(Expected(verdict.record, verdict.why, at, verdict.text, verdict.start))
        elif ahead := list(_ahead(store, seen, every, rules, at)):
            found.append(min(ahead, key=lambda expected: expected.at))
    found += [expected for slot in rules.limits.token_slots for expected in _by_the_token(slot, every, at)]
    return sorted(found, key=lambda expected: expected.at)


def _by_the_token(slot: TokenSlot, every: Sequence[Standing], at: datetime) -> Iterator[Expected]:
    """When the baseline answers in the place of a slot that is paid for by the token, the first reason alone."""
    if slot.price is None or slot.is_free:
        return
    cap = every[0].limits.hour_usd
    ends = [
        Expected(None, Why.BUDGET, when, _used_up(standing), slot=slot)
        for standing in every
        for when in (at if standing.left_cents == 0 else standing.ends_at,)
        if when is not None and standing.model_type in (None, slot.model_type)
    ]
    if every[0].is_capped:
        rate = f"${every[0].rate_cents_per_hour / 100:.2f}"
        text = f"the last hour cost {rate}, the cap is ${cap}; it is asked again when less came in an hour"
        ends.append(Expected(None, Why.CAP, at, text, slot=slot))
    if ends:
        yield min(ends, key=lambda expected: expected.at)


def _used_up(standing: Standing) -> str:
    whose = f" for {spell_model_type(standing.model_type)}" if standing.model_type else ""
    return f"the budget{whose} of ${standing.budget_usd} is used up then"


def _ahead(store: Store, seen: Watched, every: Sequence[Standing], rules: Rules, at: datetime) -> Iterator[Expected]:
    record, hours = seen.record, rules.hours.get(seen.record.model_type or "")
    if not spending_rate(record):
        if hours is not None and record.state == "STOPPED" and seen.stopped_for is Why.HOURS:
            yield Expected(record, Why.HOURS, hours.begin_from(at), f"its hours are {hours}", start=True)
        return
    if hours is not None:
        yield Expected(record, Why.HOURS, hours.end_from(at), f"its hours are {hours}")
    for standing in every:
        lasts = standing.lasts()
        if lasts is not None and standing.ends_at is not None and standing.model_type in (None, record.model_type):
            # Stopped at the last look before what is left would not last until the next one.
            when = max(at, standing.ends_at - rules.interval)
            yield Expected(record, Why.BUDGET, when, _used_up(standing))
    yield from _idle(store, record, rules, at)


def _idle(store: Store, record: DeploymentRecord, rules: Rules, at: datetime) -> Iterator[Expected]:
    idle = rules.idle(record)
    since = ready_since(Ledger(store).readings(record.key)) if record.ready_replicas else None
    if not idle or since is None:
        return
    when = max([since, *last_asked(store, record)]) + idle
    minutes = idle // timedelta(minutes=1)
    yield Expected(record, Why.IDLE, max(at, when), f"if nobody asks it anything: {minutes} idle minutes")
