"""The guard: one loop that looks, writes the ledger, and stops what is idle, over budget, over the cap or out of hours.

Nothing is remembered between rounds but what the ledger holds: a guard that was killed and started again decides the
same. What it stopped is stopped again each round until Together says STOPPED.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError
from reasoning_cli.operations.costs.billing_rules import BillingRules
from reasoning_cli.operations.costs.budget import AT_REST, Standing, standings
from reasoning_cli.operations.costs.ledger import observe, ready_since
from reasoning_cli.operations.costs.reserve import Reserved, reserve_unwatched
from reasoning_cli.operations.data.retention import Retention, plan_cleanup, run_cleanup
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.operations.guard.policy import Rules, Verdict, Watched, Why, judge
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger
from reasoning_cli.store.deploy.reservations import Reservations
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.serving.attempts import Attempts
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud

ACTOR = "guard"
CLEANUP_INTERVAL = timedelta(hours=1)
CLEANUP_SECONDS = 10.0  # a round; what is left then waits for the next one, the money does not


@dataclass(frozen=True)
class Round:
    """One look: what runs, where the money stands, what was decided, what was done and what went wrong."""

    at: datetime
    watched: tuple[Watched, ...]
    standing: Standing
    done: tuple[Verdict, ...]
    stopping: tuple[DeploymentRecord, ...]
    stopped: tuple[DeploymentRecord, ...]
    warnings: tuple[str, ...]
    problems: tuple[ReasoningError, ...]
    samples_deleted: int = 0


@dataclass
class Guard:
    """The state of one running guard: only what keeps it from saying the same thing twice.

    `check` is called before anything is done, and raises where another guard does that now.

    `is_alone` says whether nothing of ours is at Together and nobody could ask there: then nobody is asked.
    """

    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    is_alone: Callable[[], bool] = lambda: False
    check: Callable[[], None] = lambda: None
    cleaned_at: datetime | None = None
    asked: set[str] = field(default_factory=set)
    warned: set[str] = field(default_factory=set)

    def look(self, client: Cloud, rules: Rules) -> Round:
        """One round. Raises what keeps it from looking at all; a single deployment's trouble is in the result."""
        at = self.now() if self.is_alone() else refresh(client, self.store)
        live = Deployments(self.store).live()
        stopped = tuple(
            record for record in Deployments(self.store).all() if record.key in self.asked and record.state in AT_REST
        )
        self.asked -= {record.key for record in stopped}
        watched, problems = [], []
        for record in live:
            try:
                watched.append(_watch(client, self.store, record, rules, at))
            except ReasoningError as problem:
                problems.append(problem)
                watched.append(Watched(record))
        every = standings(self.store, rules.limits, at)
        done = []
        for verdict in judge(watched, every, rules, at):
            try:
                self._act(client, verdict, rules, at)
                done.append(verdict)
            except LimitError as refusal:
                if verdict.record.key not in self.warned:
                    problems.append(refusal)
                    self.warned.add(verdict.record.key)
            except ReasoningError as problem:
                problems.append(problem)
        deleted = 0
        try:
            deleted = self._keep_to(rules.retention)
        except ReasoningError as problem:
            problems.append(problem)
        return Round(
            at=at,
            watched=tuple(watched),
            standing=every[0],
            done=tuple(done),
            stopping=tuple(record for record in Deployments(self.store).live() if record.key in self.asked),
            stopped=stopped,
            warnings=tuple(self._warnings(every)),
            problems=tuple(problems),
            samples_deleted=deleted,
        )

    def _keep_to(self, retention: Retention | None) -> int:
        """Once an hour delete samples that are kept no longer, after the money was looked after; how many went.

        By our own clock: the sandbox's is ahead of it, and samples are dated by ours.
        """
        now = self.now()
        if retention is None or (self.cleaned_at is not None and now - self.cleaned_at < CLEANUP_INTERVAL):
            return 0
        plan = plan_cleanup(self.store, now, retention)
        gone = run_cleanup(self.store, plan, now, actor=ACTOR, seconds=CLEANUP_SECONDS)
        if gone >= plan.count:
            self.cleaned_at = now
        return gone

    def _act(self, client: Cloud, verdict: Verdict, rules: Rules, at: datetime) -> None:
        self.check()
        record = verdict.record
        if record.endpoint_id is None or record.deployment_id is None:
            raise NotFoundError(f"`{record.endpoint_name}` is not known at Together yet", "`reasoning models status`")
        reserved: Reserved | None = None
        if verdict.start:
            low = max(1, record.min_replicas)
            reserved = reserve_unwatched(self.store, rules.limits, record, at)
            with reserved.sending():
                client.scale(record.endpoint_id, record.deployment_id, low, max(low, record.max_replicas))
            self.warned.discard(record.key)
        elif record.state != "STOPPING":
            client.scale(record.endpoint_id, record.deployment_id, 0, 0)
            Reservations(self.store).release_settled(record.key)
        if not (verdict.record.key in self.asked and not verdict.start):
            detail = {"why": str(verdict.why), "text": verdict.text}
            action = "start" if verdict.start else "stop"
            Events(self.store).add(Event(at, ACTOR, action, record.endpoint_name, detail))
        if not verdict.start:
            self.asked.add(record.key)
        record = observe(client, self.store, record)
        if reserved is not None:
            reserved.settle(record)

    def _warnings(self, every: Sequence[Standing]) -> list[str]:
        """Budgets that passed their warning mark, each said once a period."""
        said = []
        for standing in every:
            if standing.limit_cents is None or standing.limits.warn_percent >= 100:
                continue
            share = standing.usage.high_cents * 100 / standing.limit_cents
            mark = f"{standing.model_type}:{standing.start.isoformat()}:{standing.limit_cents}"
            if share >= standing.limits.warn_percent and mark not in self.warned:
                self.warned.add(mark)
                whose = f" for {spell_model_type(standing.model_type)}" if standing.model_type else ""
                used = f"${standing.usage.high_cents / 100:.2f} of ${standing.budget_usd}"
                said.append(f"{share:.0f} % of the budget{whose} is used: {used}")
        return said


def _watch(client: Cloud, store: Store, record: DeploymentRecord, rules: Rules, at: datetime) -> Watched:
    """How long a deployment has been quiet, by our log and by Together's count; and why it was stopped last.

    Quiet is only said when both agree that nothing came in all the time it may be idle.
    """
    if record.state == "STOPPED":
        return Watched(record, stopped_for=stopped_for(store, record))
    since = ready_since(Ledger(store).readings(record.key)) if record.ready_replicas else None
    idle = rules.idle(record)
    if since is None or not idle or record.endpoint_id is None or record.deployment_id is None:
        return Watched(record)
    quiet_for = at - max([since, *last_asked(store, record)])
    if quiet_for < idle:
        return Watched(record, quiet_for)
    late = BillingRules.of(store).requests_late
    if quiet_for < idle + late:
        return Watched(record)  # what came last may not be counted yet
    # Together counts by whole minutes: begin with the one the idle time began in.
    begin = (at - idle - late).replace(second=0, microsecond=0)
    requests = client.requests(record.endpoint_id, record.deployment_id, begin, at)
    return Watched(record, None if requests is None else quiet_for if requests == 0 else timedelta())


def last_asked(store: Store, record: DeploymentRecord) -> list[datetime]:
    """When it was last asked, by our log: to answer, or as a shadow, which leaves an attempt alone."""
    if record.model_type is None:
        return []
    return list(filter(None, (Samples(store).newest(record.model_type), Attempts(store).newest(record.model_type))))


def stopped_for(store: Store, record: DeploymentRecord) -> Why | None:
    """Why the guard stopped it, if that is the last thing that was done to it."""
    last = Events(store).newest(record.endpoint_name, seen=False)
    if last is None or last.actor != ACTOR or last.action != "stop":
        return None
    return Why(str(last.detail.get("why")))


Notify = Callable[[Round], None]


def run_guard(
    guard: Guard,
    connect: Callable[[], Cloud],
    rules: Callable[[], Rules],
    *,
    pause: Callable[[Round | None], None] | None,
    notify: Notify,
    on_error: Callable[[ReasoningError], None],
) -> None:
    """Look again and again. Whatever goes wrong is told and the next round comes all the same.

    `connect` and `rules` are asked each round, so that a new key or limit counts. Errors of any other kind end it.
    Without `pause` there is one
    round, whose error is raised.
    """
    while True:
        seen: Round | None = None
        try:
            seen = guard.look(connect(), rules())
            notify(seen)
        except ReasoningError as problem:
            if pause is None:
                raise
            on_error(problem)
        if pause is None:
            return
        pause(seen)
