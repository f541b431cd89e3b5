"""What the guard will do next to each deployment, and when, if nothing changes: the same rules, ahead of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reasoning_cli.operations.costs.budget import Standing, spending_rate, standings
from reasoning_cli.operations.costs.ledger import ready_since
from reasoning_cli.operations.guard.loop import last_asked, stopped_for
from reasoning_cli.operations.guard.policy import Rules, Watched, Why, judge
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger
from reasoning_cli.values import spell_model_type


@dataclass(frozen=True)
class Expected:
    """What the guard does first to a deployment if nothing changes until then: by which rule, and when at the earliest.

    It asks Together too before it stops what is idle, which may make that later.
    """

    record: DeploymentRecord
    why: Why
    at: datetime
    text: str
    start: bool = False


def outlook(store: Store, rules: Rules, at: datetime) -> list[Expected]:
    """The next stop or start of each deployment that has one, the soonest first; asks nobody."""
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
    return sorted(found, key=lambda expected: expected.at)


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
            whose = f" for {spell_model_type(standing.model_type)}" if standing.model_type else ""
            # Stopped at the last look before what is left would not last until the next one.
            when = max(at, standing.ends_at - rules.interval)
            yield Expected(record, Why.BUDGET, when, f"the budget{whose} of ${standing.budget_usd} is used up then")
    yield from _idle(store, record, rules, at)


def _idle(store: Store, record: DeploymentRecord, rules: Rules, at: datetime) -> Iterator[Expected]:
    idle = rules.idle(record)
    since = ready_since(Ledger(store).readings(record.key)) if record.ready_replicas else None
    if not idle or since is None:
        return
    when = max([since, *last_asked(store, record)]) + idle
    minutes = idle // timedelta(minutes=1)
    yield Expected(record, Why.IDLE, max(at, when), f"if nobody asks it anything: {minutes} idle minutes")
