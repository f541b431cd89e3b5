"""Which deployments the guard stops, and why: a look at each, the rules, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        """How long a deployment may stand idle; zero is for ever."""
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
    verdicts: dict[str, Verdict] = {}

    def stop(one: DeploymentRecord, why: Why, text: str) -> None:
        verdicts.setdefault(one.key, Verdict(one, why, text))

    spending = [one.record for one in watched if spending_rate(one.record)]
    for standing in every:
        if not _breaks(standing, rules.interval):
            continue
        whose = f" for {spell_model_type(standing.model_type)}" if standing.model_type else ""
        spent = f"${standing.usage.high_cents / 100:.2f} of ${standing.budget_usd}"
        for record in spending:
            if standing.model_type in (None, record.model_type):
                stop(record, Why.BUDGET, f"the budget{whose} is used up: {spent}")
    rate = sum(spending_rate(record) for record in spending if record.key not in verdicts)
    cap = rules.limits.hour_usd
    for record in sorted(spending, key=lambda one: one.created_at, reverse=True):
        if cap is not None and rate > cap * 100 and record.key not in verdicts:
            stop(record, Why.CAP, f"everything running costs ${Decimal(rate) / 100:.2f} an hour, the cap is ${cap}")
            rate -= spending_rate(record)
    for one in watched:
        hours = rules.hours.get(one.record.model_type or "")
        if hours is not None and not hours.contain(at):
            if spending_rate(one.record):
                stop(one.record, Why.HOURS, f"its hours are {hours}")
        elif hours is not None and one.record.state == "STOPPED" and one.stopped_for is Why.HOURS:
            verdicts[one.record.key] = Verdict(one.record, Why.HOURS, f"its hours are {hours}", start=True)
        idle = rules.idle(one.record)
        if idle and one.record.ready_replicas and one.quiet_for is not None and one.quiet_for >= idle:
            minutes = int(one.quiet_for.total_seconds() // 60)
            stop(one.record, Why.IDLE, f"nobody has asked it anything for {minutes} minutes")
    return list(verdicts.values())


def _breaks(standing: Standing, interval: timedelta) -> bool:
    """Whether a budget is used up, or would be before the next look."""
    if standing.left_cents is None or not standing.burn_cents_per_hour:
        return False
    until_next = standing.burn_cents_per_hour * Decimal(interval.total_seconds()) / 3600
    return standing.left_cents <= until_next
