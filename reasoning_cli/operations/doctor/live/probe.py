"""Deploy the cheapest model for some minutes, and measure what only a running deployment shows.

It has a cap of its own: all time from the request that makes it on counts as billed, the cold start too, and it is told
to stop before that is more than was allowed. However the probe ends (done, an error, Ctrl-C, a signal), what it made is
told to stop, and is looked at until it is seen stopped; where it cannot be, that is an error that names it. Should this
process die, Together's own idle stop is set, and the deployment is on record as any other.
"""

from __future__ import annotations

import logging
import math
import secrets
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import MissingError, RequestRefusedError
from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, RemoteError
from reasoning_cli.operations.costs.budget import AT_REST, Limits, check_deploy, standing
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.costs.reserve import check_added
from reasoning_cli.operations.deploy.catalog import Hardware
from reasoning_cli.operations.deploy.teardown import plan_stop, run_stop
from reasoning_cli.operations.deploy.wait import Waiting
from reasoning_cli.operations.doctor.live.evidence import Measured
from reasoning_cli.operations.inventory.lookup import find_made
from reasoning_cli.store.audit_log import TOGETHER, Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import CREATING, DELETED, DeploymentRecord, Deployments

if TYPE_CHECKING:
    from types import FrameType

    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.engines.serving import Model

log = logging.getLogger(__name__)

NAME = "doctor-probe"
IDLE_MINUTES = 30  # the least that Together takes
_LEAST = timedelta(minutes=10)
_STOP_MARGIN = timedelta(minutes=2)  # for the stop to be told, and taken
# After READY: tells an idle time counted from there from one counted from the last request. No whole minutes, so that
# the bill of it tells how it rounds.
_BEFORE_LAST_CALL = timedelta(seconds=140)
_LEAST_READY = timedelta(minutes=2)
_IDLE_SLACK = timedelta(minutes=2)
_ANALYTICS_WAIT = timedelta(minutes=5)
_LONGEST_START = timedelta(minutes=5)  # that the plan reckons with for the idle stop; a longer one leaves it out
_SECONDS_INTO_A_MINUTE = 20  # to be stopped at: there `up`, `down` and `exact` are three different bills
_TRIES_TO_STOP = 240
_LOOKS_FOR_A_LOST_ONE = 3
_LONG_WORDS = 200_000
_SHORT, _LONG = "hello", "hello " * _LONG_WORDS
_FILE_LOOKS = 60


@dataclass(frozen=True)
class ProbePlan:
    """What is deployed, on what, and how long what may be spent lasts; `idle_cents` is what the idle stop needs."""

    model: Model
    hardware: Hardware
    spend_cents: int
    idle_cents: int
    limits: Limits

    @property
    def lasts(self) -> timedelta:
        return timedelta(hours=self.spend_cents / self.hardware.price_cents_per_hour)

    @property
    def tests_idle(self) -> bool:
        return self.spend_cents >= self.idle_cents


def plan_probe(client: Cloud, store: Store, limits: Limits, spend_usd: Decimal) -> ProbePlan:
    """The cheapest model that can start now. Raises LimitError where the cap is too low, or a budget says no."""
    spend_cents = int(spend_usd * 100)
    model, hardware = _cheapest(client)
    price = hardware.price_cents_per_hour
    least = math.ceil(price * (_LEAST / timedelta(hours=1)) / 10) * 10
    if spend_cents < least:
        raise LimitError(
            f"${spend_usd} lasts less than {_LEAST.seconds // 60} minutes of `{hardware.name}`, the cheapest that is"
            f" free (${price / 100:.2f} an hour)",
            f"give `--spend {Decimal(least) / 100}` or more",
        )
    limits = replace(limits, reserve_hours=Decimal(0))
    now = standing(store, limits, client.now())
    check_deploy(now, NAME, price)
    if now.left_cents is not None and now.left_cents < spend_cents:
        raise LimitError(
            f"the budget has ${now.left_cents / 100:.2f} left, and the probe may spend ${spend_usd}",
            "raise it with `reasoning costs set-budget`, or give a lower `--spend`",
        )
    idle = _LONGEST_START + _BEFORE_LAST_CALL + timedelta(minutes=IDLE_MINUTES) + _IDLE_SLACK + _STOP_MARGIN
    idle_cents = math.ceil(price * (idle / timedelta(hours=1)))
    return ProbePlan(model, hardware, spend_cents, idle_cents, limits)


def _cheapest(client: Cloud) -> tuple[Model, Hardware]:
    """Of all models on offer the one that can be served on the cheapest hardware that has room."""
    types = {instance.name: instance for instance in client.instance_types()}
    floor = min((kind.price_cents_per_hour for kind in types.values() if kind.headroom != 0), default=0)
    best: tuple[Model, Hardware] | None = None
    for offered in client.supported_models():
        if (model := offered.model) is None:
            continue
        for config in client.configs(model):
            kind = types.get(config.hardware or "")
            if kind is None or kind.headroom == 0:
                continue
            price = kind.price_cents_per_hour
            if best is None or price < best[1].price_cents_per_hour:
                best = (
                    model,
                    Hardware(config.resource, config.id, kind.name, kind.description, price, kind.headroom),
                )
        if best is not None and best[1].price_cents_per_hour <= floor:
            break
    if best is None:
        raise LimitError("nothing that can be deployed has room at Together now", "try again later")
    return best


class _Enough(BaseException):
    """What may be spent is nearly spent: the probe ends here. Nothing on the way may take it for a fault of its own."""


@dataclass
class Probe:
    """One probe. `measured` is what it has found so far; `problem` what ended it before its time."""

    client: Cloud
    store: Store
    plan: ProbePlan
    poll_seconds: float
    sleep: Callable[[float], None] = time.sleep
    notify: Callable[[str, str], None] = lambda state, detail: None
    monotonic: Callable[[], float] = time.monotonic
    measured: Measured = field(init=False)
    problem: BaseException | None = None
    _alarms: ExitStack = field(default_factory=ExitStack)
    _record: DeploymentRecord | None = None
    _begun_at: datetime | None = None
    _began: float = 0.0
    _may_stop: bool = False
    _lost: int = 0

    def __post_init__(self) -> None:
        plan = self.plan
        self.measured = Measured(
            self.client.now(), plan.hardware.name, plan.hardware.price_cents_per_hour, plan.spend_cents
        )

    def run(self) -> None:
        """Measure, and stop what was made, whatever happens. What went wrong is `problem`, also a Ctrl-C.

        Raises RemoteError when what was made could not be seen stopped: it may go on costing.
        """
        with _signals_as_interrupts():
            try:
                self._files()
                self._deploy()
                self._measure()
            except _Enough:
                log.info("the probe has spent what it may")
            except (ReasoningError, KeyboardInterrupt) as problem:
                self.problem = problem
            finally:
                self._end_for_certain()

    def _end_for_certain(self) -> None:
        """A Ctrl-C just before interrupts are held back must not keep it from being stopped."""
        while True:
            try:
                with _no_interrupts():
                    self._end()
                return
            except (KeyboardInterrupt, _Enough) as interrupt:
                self.problem = self.problem or interrupt

    # --- what costs nothing ---

    def _files(self) -> None:
        """A file of two samples, one of them too long, sent in one request: is it checked, and how is it cut?"""
        self.notify("sending a file of two made-up samples", "")
        # One that is the same as a file of before would be taken for that.
        lines = (f'{{"prompt": "{secrets.token_hex(4)}", "completion": "{text}"}}\n' for text in (_SHORT, _LONG))
        try:
            sent = self.client.upload_at_once(f"{NAME}.jsonl", "".join(lines).encode())
        except ReasoningError as problem:
            log.info("no file was taken: %s", problem.message)
            return
        try:
            for _ in range(3):
                if sent.processing_status not in ("PENDING", None):
                    break
                self.sleep(self.poll_seconds)
                sent = self.client.file(sent.id)
            self._found(upload_checks=sent.processing_status not in ("PENDING", None))
            self._found(long_samples=self._long_samples(sent.id))
        except ReasoningError as problem:
            log.info("the file was no use: %s", problem.message)
        finally:
            with suppress(ReasoningError):
                self.client.delete_file(sent.id)

    def _long_samples(self, file_id: str) -> str | None:
        """What a preview makes of the long sample: `cut`, `split` or `kept`; None when it does not show."""
        if self.measured.upload_checks is False:
            self.client.preprocess(file_id)
        for _ in range(_FILE_LOOKS):
            if self.client.file(file_id).is_checked:
                break
            self.sleep(self.poll_seconds)
        tunable = (model.name for model in self.client.supported_models() if "PRODUCT_FINE_TUNING" in model.products)
        answer = self.client.previewed(next(tunable, ""), file_id)
        found = answer.body if answer.status == 200 and isinstance(answer.body, dict) else {}
        rows = [row for row in found.get("rows") or () if isinstance(row, dict)]
        most = found.get("max_seq_length")
        if len(rows) < 2 or not isinstance(most, int):
            return None
        if len(rows) > 2:
            return "split"
        tokens = max(int(row.get("num_tokens") or 0) for row in rows)
        if tokens > most:
            return "kept"
        cut = any(row.get("truncated") is True for row in rows)
        return "cut" if cut or tokens == most else None  # else it was not long enough

    def _name_twice(self, name: str, first_id: str) -> None:
        """A second endpoint of the same name: it is refused, or made, and then deleted at once."""
        answer = self.client.named_again(name)
        made = answer.body if answer.status < 300 and isinstance(answer.body, dict) else None
        if made is not None and str(made.get("id")) != first_id:
            self.client.delete_endpoint(str(made.get("id")))
        if made is not None or answer.status in (400, 409, 422):
            self._found(twin_taken=made is not None and str(made.get("id")) != first_id)

    # --- what costs ---

    def _deploy(self) -> None:
        """Endpoint and deployment, on record before they can cost anything; then how the service routes it."""
        client, plan = self.client, self.plan
        name = f"{NAME}-{secrets.token_hex(3)}"
        self.notify(f"deploying {name} on {plan.hardware.name}", "")
        now = client.now()
        intent = _intent(client, plan, name, now)
        self._record = record = Deployments(self.store).record_intent(
            intent,
            lambda: check_added(self.store, plan.limits, intent, plan.hardware.price_cents_per_hour, now),
        )
        Events(self.store).add(Event(now, "operator", "deploy", name, {"why": "doctor --live"}))
        endpoint = client.create_endpoint(name)
        self._record = record = Deployments(self.store).update(
            record.key, endpoint_id=endpoint.id, serving_name=endpoint.name
        )
        self._name_twice(name, endpoint.id)
        body: dict[str, object] = {
            "name": record.deployment_name,
            "model": plan.model.resource,
            "config": plan.hardware.config,
            "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
            "inactiveTimeout": IDLE_MINUTES,
        }
        client.check_deployment(endpoint.id, body)
        self._begun_at, self._began = client.now(), self.monotonic()
        self._alarms.enter_context(_alarm((plan.lasts - _STOP_MARGIN).total_seconds()))
        made = client.create_deployment(endpoint.id, body)
        self._record = Deployments(self.store).update(record.key, deployment_id=made.id)
        self._found(created_at=made.created_at, not_ready_at=made.created_at)
        split = client.endpoint(endpoint.id).traffic_split
        self._found(routed=any(part.deployment_id == made.id and part.weight > 0 for part in split))
        if not self.measured.routed:
            client.route(endpoint.id, {made.id: 1})

    def _measure(self) -> None:
        """Until it is ready, a request, how soon that is counted, and the idle stop where the cap allows it."""
        while not self._look().ready_replicas:
            self._wait("starting")
        ready_at = self.measured.ready_at
        assert ready_at is not None
        self._ask()
        self._count_requests()
        self._read_events()
        if not self._may_idle():
            self._stop_inside_a_minute()
            return
        while self.client.now() < ready_at + _BEFORE_LAST_CALL:
            self._wait("ready")
            self._look()
        self._ask()
        self._idle(ready_at)

    def _ask(self) -> None:
        """One token, asked for until there is an answer: `not running` flaps for a while after READY."""
        record = self._known()
        while True:
            try:
                self.client.chat(record.serving_name or "", [{"role": "user", "content": "ping"}], max_tokens=1)
            except (RequestRefusedError, MissingError, RemoteError) as problem:
                log.info("no answer yet: %s", problem.message)
                self._wait("asking")
                self._look()
                continue
            self._found(asked_at=self.client.now())
            return

    def _count_requests(self) -> None:
        record, asked_at = self._known(), self.measured.asked_at
        assert asked_at is not None and record.endpoint_id and record.deployment_id
        begin = asked_at - timedelta(minutes=1)
        waited = timedelta()
        while waited < _ANALYTICS_WAIT:
            at = self.client.now()
            counted = self.client.requests(record.endpoint_id, record.deployment_id, begin, at + timedelta(minutes=1))
            waited = self.client.now() - asked_at
            self._found(analytics_waited_seconds=waited.total_seconds())
            if counted:
                self._found(analytics_seconds=waited.total_seconds())
                return
            self._wait("waiting for the request to be counted")
            self._look()

    def _read_events(self) -> None:
        record = self._known()
        assert record.endpoint_id is not None and self.measured.created_at is not None
        since = self.measured.created_at - timedelta(minutes=1)
        for event in self.client.events(record.endpoint_id, since=since):
            if event.type != "deployment.scaled" or event.deployment_id != record.deployment_id:
                continue
            if event.new_replicas and self.measured.scaled_up_at is None:
                self._found(scaled_up_at=event.created_at)
            if not event.new_replicas and self.measured.scaled_up_at is not None:
                self._found(scaled_down_at=event.created_at)
        if self.measured.arrays is None:
            self._found(arrays=self.client.arrays_understood(record.endpoint_id))

    def _may_idle(self) -> bool:
        needed = _BEFORE_LAST_CALL + timedelta(minutes=IDLE_MINUTES) + _IDLE_SLACK
        return self._left() > needed

    def _idle(self, ready_at: datetime) -> None:
        """Nothing is asked any more: when does Together stop it?"""
        asked_at = self.measured.asked_at
        assert asked_at is not None
        least = timedelta(minutes=IDLE_MINUTES)
        self._may_stop = True
        while self.client.now() < asked_at + least + _IDLE_SLACK:
            self._wait("idle, until Together stops it")
            if self._look().ready_replicas:
                continue
            self._read_events()
            at = self.measured.scaled_down_at if self.measured.counts_ready else None
            at = at or self.measured.gone_at or self.client.now()
            if at < ready_at + least - timedelta(minutes=1) or self._stopped_from_here():
                return  # somebody else stopped it
            by_request = at >= asked_at + least - timedelta(seconds=self._look_seconds() + 30)
            since = asked_at if by_request else ready_at
            self._found(idle_stop="requests" if by_request else "ready", idle_seconds=(at - since).total_seconds())
            return
        self._found(idle_stop="none")

    def _stopped_from_here(self) -> bool:
        """Whether a guard of ours stopped it: its idle time may be as long."""
        acts = (act for act in Events(self.store).list(self.measured.begun_at) if act.actor != TOGETHER)
        return any(act.subject == self._known().endpoint_name and act.action != "deploy" for act in acts)

    def _look_seconds(self) -> float:
        """Between the last two looks, on the service's clock."""
        before, after = self.measured.still_ready_at, self.measured.gone_at
        return (after - before).total_seconds() if before and after else 0.0

    def _stop_inside_a_minute(self) -> None:
        """Let it run until it was ready for some whole minutes and a third of one: so the bill tells how it rounds."""
        begin = self.measured.scaled_up_at if self.measured.counts_ready else self.measured.ready_at
        assert begin is not None
        seconds = max((self.client.now() - begin).total_seconds(), _LEAST_READY.total_seconds())
        goal = math.ceil((seconds - _SECONDS_INTO_A_MINUTE) / 60) * 60 + _SECONDS_INTO_A_MINUTE
        while (self.client.now() - begin).total_seconds() < goal:
            self._check_cap()
            left = goal - (self.client.now() - begin).total_seconds()
            self.sleep(min(self.poll_seconds, max(0.1, left)))
            self._look()

    # --- how ---

    def _found(self, **members: object) -> None:
        self.measured = replace(self.measured, **members)  # type: ignore[arg-type]

    def _known(self) -> DeploymentRecord:
        assert self._record is not None
        return self._record

    def _look(self) -> DeploymentRecord:
        """A look that goes into the ledger. Raises RemoteError for what will never be ready."""
        before = self._known()
        self._record = record = observe(self.client, self.store, before)
        at = record.state_at
        if record.ready_replicas:
            if self.measured.ready_at is None:
                self._found(ready_at=at)
            self._found(still_ready_at=at)
        elif self.measured.ready_at is None:
            self._found(not_ready_at=at)
        elif self.measured.gone_at is None:
            self._found(gone_at=at)
        if record.state in ("FAILED", DELETED):
            raise RemoteError(f"the probe's deployment is {record.state}", "try again later")
        if record.state in ("STOPPING", "STOPPED") and not self._may_stop:
            raise RemoteError("somebody stopped the probe's deployment", "run it again while no guard stops it")
        return record

    def _wait(self, state: str) -> None:
        self._check_cap()
        spent = Decimal(self.plan.spend_cents) - self._left_cents()
        self.notify(state, f"at most ${spent / 100:.2f} of ${Decimal(self.plan.spend_cents) / 100:.2f} so far")
        self.sleep(self.poll_seconds)

    def _elapsed(self) -> timedelta:
        """Since it was made, by the service's clock or ours: by the one that says more."""
        if self._begun_at is None:
            return timedelta()
        return max(self.client.now() - self._begun_at, timedelta(seconds=self.monotonic() - self._began))

    def _left(self) -> timedelta:
        return self.plan.lasts - self._elapsed() - _STOP_MARGIN

    def _left_cents(self) -> Decimal:
        price = self.plan.hardware.price_cents_per_hour
        return max(Decimal(0), self.plan.spend_cents - Decimal(self._elapsed().total_seconds()) * price / 3600)

    def _check_cap(self) -> None:
        if self._left() <= timedelta():
            raise _Enough

    # --- the end ---

    def _end(self) -> None:
        """Stop it, see it stopped, and clear it away. Raises RemoteError when it is not seen stopped."""
        if self._record is None:
            self._found(stopped=True, removed=True, ended_at=self.client.now())
            return
        self._alarms.close()
        self._may_stop = True
        self.notify("stopping", "")
        problem = self._stop()
        if not self.measured.stopped:
            name, price = self._record.endpoint_name, self.plan.hardware.price_cents_per_hour
            raise RemoteError(
                f"NOT SEEN STOPPED: the deployment `{name}` may run on, and then costs ${price / 100:.2f} an hour"
                f"{f': {problem.message}' if problem else ''}",
                f"stop it now: `reasoning models undeploy {name}`; Together stops it after {IDLE_MINUTES} idle minutes",
            ) from problem
        self._clear_away()
        with suppress(ReasoningError):
            self._found(ended_at=self.client.now())

    def _stop(self) -> ReasoningError | None:
        """Tell it to stop until it is seen stopped; the last problem on the way."""
        problem: ReasoningError | None = None
        asked = False
        for _ in range(_TRIES_TO_STOP):
            try:
                record = self._record = find_made(self.client, self.store, self._known())
                if record.endpoint_id is None or record.deployment_id is None:
                    # Neither is there under its name. What was asked for and not answered may still come.
                    self._lost += 1
                    if self._begun_at is not None and self._lost < _LOOKS_FOR_A_LOST_ONE:
                        self.sleep(self.poll_seconds)
                        continue
                    self._found(stopped=True)
                    return None
                if not asked:
                    self.client.scale(record.endpoint_id, record.deployment_id, 0, 0)
                    asked = True
                with suppress(RemoteError):
                    self._look()
                record = self._known()
                if record.state in AT_REST and not record.ready_replicas:
                    self._found(stopped=True)
                    return None
            except MissingError:
                self._found(stopped=True)
                return None
            except ReasoningError as raised:
                problem, asked = raised, False
                log.info("the probe is told to stop again: %s", raised.message)
            self.sleep(self.poll_seconds)
        return problem

    def _clear_away(self) -> None:
        """What is stopped costs nothing: what cannot be deleted stays, and is said."""
        record = self._known()
        try:
            if record.endpoint_id and record.deployment_id and self.measured.ready_at is not None:
                self._read_events()
        except ReasoningError as problem:
            log.info("no events at the end: %s", problem.message)
        try:
            if record.endpoint_id and record.deployment_id:
                answer = self.client.routed_nowhere(record.endpoint_id)
                if answer.status < 300 or answer.status in (400, 422):
                    self._found(empty_split=answer.status < 300)
            wait = Waiting(self.poll_seconds, timedelta(minutes=20), self.sleep)
            run_stop(self.client, self.store, plan_stop(self.store, record.key, keep=False), wait)
            self._found(removed=True)
        except NotFoundError:
            self._found(removed=True)
        except ReasoningError as problem:
            log.info("the probe's endpoint stays: %s", problem.message)


def _intent(client: Cloud, plan: ProbePlan, name: str, now: datetime) -> DeploymentRecord:
    return DeploymentRecord(
        key=str(uuid.uuid4()),
        model_type=None,
        model_name=plan.model.name,
        model_id=plan.model.id,
        endpoint_name=name,
        endpoint_id=None,
        deployment_name=f"{name}-1",
        deployment_id=None,
        serving_name=f"{client.project.slug}/{name}",
        project_id=client.project.id,
        hardware=plan.hardware.name,
        price_cents_per_hour=plan.hardware.price_cents_per_hour,
        config=plan.hardware.config,
        idle_minutes=IDLE_MINUTES,
        min_replicas=1,
        max_replicas=1,
        state=CREATING,
        ready_replicas=0,
        created_at=now,
        state_at=now,
    )


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """SIGTERM and a terminal that goes away end the probe as Ctrl-C does: what it made must be stopped first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {item: signal.signal(item, interrupt) for item in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _Enough after so many real seconds, wherever this process waits then: for an answer that does not come."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def enough(number: int, frame: FrameType | None) -> None:
        raise _Enough

    before, began = signal.signal(signal.SIGALRM, enough), time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1.0))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # somebody else's, who waits on
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - began)), interval)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """While something is stopped that costs money, nothing may come between."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
