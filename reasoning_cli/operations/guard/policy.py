"""Which deployments the guard stops, and why: a look at each, the rules, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from reasoning_cli.operations.costs.budget import Limits, Standing, spending_rate
from reasoning_cli.operations.data.retention import Retention
from reasoning_cli.store.deploy.deployments import DeploymentRecord
from reasoning_cli.values import Hours, spell_model_type


class Why(StrEnum):
    """The rule that a deployment broke, or that starts it."""

    BUDGET = "budget"
    CAP = "cap"
    IDLE = "idle"
    HOURS = "hours"


@dataclass(frozen=True)
class Rules:
    """What the guard keeps to; read anew each round, so that a change counts without a restart.

    `idle_minutes` and `hours` are by model type; 0 idle minutes is never. `interval` is the service time until the next
    look: a budget is stopped before what is spent until then would break it. `retention` is what is kept of the
    training log, None when the guard leaves it alone.
    """

    limits: Limits
    idle_minutes: Mapping[str, int]
    default_idle_minutes: int
    hours: Mapping[str, Hours]
    interval: timedelta
    retention: Retention | None = None

    def idle(self, record: DeploymentRecord) -> timedelta:
        """How long a deployment may stand idle, as was asked of it alone or else is set; zero is for ever."""
        if record.own_idle_minutes is not None:
            return timedelta(minutes=record.own_idle_minutes)
        return timedelta(minutes=self.idle_minutes.get(record.model_type or "", self.default_idle_minutes))


@dataclass(frozen=True)
class Watched:
    """One live deployment as a round sees it. `quiet_for` is how long nobody has asked it anything, None if unknown."""

    record: DeploymentRecord
    quiet_for: timedelta | None = None
    stopped_for: Why | None = None


@dataclass(frozen=True)
class Verdict:
    """What has to be done about a deployment, by which rule, in words for the operator."""

    record: DeploymentRecord
    why: Why
    text: str
    start: bool = False


def judge(watched: Sequence[Watched], every: Sequence[Standing], rules: Rules, at: datetime) -> list[Verdict]:
    """What has to be stopped or started now, each deployment once: money first, then hours, then idleness.

    Pure: the same facts give the same verdicts.
    """
    spending = [deployment.record for deployment in watched if spending_rate(deployment.record)]
    verdicts: dict[str, Verdict] = {}
    for reached in _over_budget(spending, every, rules.interval):
        verdicts.setdefault(reached.record.key, reached)
    for reached in _over_cap([record for record in spending if record.key not in verdicts], rules.limits.hour_usd):
        verdicts[reached.record.key] = reached
    for seen in watched:
        for verdict in (_by_hours(seen, rules, at), _by_idleness(seen, rules)):
            if verdict is not None:
                verdicts.setdefault(verdict.record.key, verdict)
    return list(verdicts.values())


def _over_budget(
    spending: Sequence[DeploymentRecord], every: Sequence[Standing], interval: timedelta
) -> Iterator[Verdict]:
    for standing in every:
        if not _breaks(standing, interval):
            continue
        whose = f" for {spell_model_type(standing.model_type)}" if standing.model_type else ""
        spent = f"${standing.usage.high_cents / 100:.2f} of ${standing.budget_usd}"
        for record in spending:
            if standing.model_type in (None, record.model_type):
                yield Verdict(record, Why.BUDGET, f"the budget{whose} is used up: {spent}")


def _over_cap(running: Sequence[DeploymentRecord], cap: Decimal | None) -> Iterator[Verdict]:
    """The newest first, until what is left keeps to the cap."""
    rate = sum(spending_rate(record) for record in running)
    for record in sorted(running, key=lambda record: record.created_at, reverse=True):
        if cap is not None and rate > cap * 100:
            text = f"everything running costs ${Decimal(rate) / 100:.2f} an hour, the cap is ${cap}"
            yield Verdict(record, Why.CAP, text)
            rate -= spending_rate(record)


def _by_hours(seen: Watched, rules: Rules, at: datetime) -> Verdict | None:
    """Stopped outside its hours; started within them, if that was why it was stopped."""
    record, hours = seen.record, rules.hours.get(seen.record.model_type or "")
    if hours is None:
        return None
    text = f"its hours are {hours}"
    if not hours.contain(at):
        return Verdict(record, Why.HOURS, text) if spending_rate(record) else None
    if record.state == "STOPPED" and seen.stopped_for is Why.HOURS:
        return Verdict(record, Why.HOURS, text, start=True)
    return None


def _by_idleness(seen: Watched, rules: Rules) -> Verdict | None:
    idle = rules.idle(seen.record)
    if not idle or not seen.record.ready_replicas or seen.quiet_for is None or seen.quiet_for < idle:
        return None
    minutes = int(seen.quiet_for.total_seconds() // 60)
    return Verdict(seen.record, Why.IDLE, f"nobody has asked it anything for {minutes} minutes")


def _breaks(standing: Standing, interval: timedelta) -> bool:
    """Whether a budget is used up, or would be before the next look."""
    if standing.left_cents is None or not standing.burn_cents_per_hour:
        return False
    until_next = standing.rate_cents_per_hour * Decimal(interval.total_seconds()) / 3600
    return standing.left_cents <= until_next
