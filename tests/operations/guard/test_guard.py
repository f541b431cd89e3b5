"""The guard against a sandbox whose clock moves only when told: what it stops, when, and what it never does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.engines.errors import KeyRefusedError, UnreachableError
from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.data.retention import Retention
from reasoning_cli.operations.guard.lock import find_guard, hold_guard
from reasoning_cli.operations.guard.loop import Guard, Round, run_guard
from reasoning_cli.operations.guard.policy import Rules, Why
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.service_facts import ServiceFact, ServiceFacts
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.values import DatabaseAddress, Hours, parse_daily_hours
from tests.engines.together.service import MODELS, NO_LIMITS, Service, service

MINUTE = timedelta(minutes=1)


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def rules(
    limits: Limits = NO_LIMITS,
    *,
    idle: int = 0,
    by_type: dict[str, int] | None = None,
    hours: dict[str, Hours] | None = None,
) -> Rules:
    return Rules(limits, by_type or {}, idle, hours or {}, MINUTE)


def budget(usd: str, **members: object) -> Limits:
    return Limits(Decimal(usd), None, Decimal(0), **members)  # type: ignore[arg-type]


def rounds(together: Service, guard: Guard, kept: Rules, count: int, *, minutes: float = 1) -> list[Round]:
    """So many looks, a minute apart."""
    seen = []
    for _ in range(count):
        together.advance(minutes * 60)
        seen.append(guard.look(together.client, kept))
    return seen


def done(seen: list[Round]) -> list[tuple[str, Why]]:
    return [(one.record.endpoint_name, one.why) for look in seen for one in look.done]


def states(together: Service) -> dict[str, str]:
    return {
        one["name"].split("/")[1]: one["status"]["state"].removeprefix("DEPLOYMENT_STATE_")
        for one in together.deployments()
    }


def spent(together: Service) -> Decimal:
    return sum(together.metered().values(), Decimal(0))


# --- money ---


@pytest.mark.both_engines
def test_a_budget_is_stopped_before_it_breaks_and_stays_stopped(together: Service) -> None:
    together.deploy()
    seen = rounds(together, Guard(together.store), rules(budget("1.00")), 20)
    assert done(seen) == [("planning", Why.BUDGET)]
    assert states(together) == {"planning": "STOPPED"}
    assert Decimal(80) < spent(together) <= 100
    assert [one.endpoint_name for look in seen for one in look.stopped] == ["planning"], "said once that it is stopped"


def test_a_budget_of_one_type_stops_that_type_alone(together: Service) -> None:
    together.deploy("planning")
    together.deploy("should_respond")
    kept = rules(Limits(None, None, Decimal(0), by_type={"planning": Decimal("0.50")}))
    seen = rounds(together, Guard(together.store), kept, 15)
    assert done(seen) == [("planning", Why.BUDGET)]
    assert states(together) == {"planning": "STOPPED", "should-respond": "READY"}


@pytest.mark.both_engines
def test_what_was_fine_tuned_is_spent_and_warns_and_stops(together: Service) -> None:
    together.deploy("planning")
    together.deploy("should_respond")
    kept = rules(Limits(Decimal(1000), None, Decimal(0), by_type={"planning": Decimal(50)}))
    guard = Guard(together.store)
    tune = {"model": MODELS["planning"], "suffix": "planning-2"}
    together.ask("POST", "/_sandbox/fine-tunes", {**tune, "totalPriceNanoDollars": 45_000_000_000})
    (first,) = rounds(together, guard, kept, 1)
    assert ["of the budget for planning is used" in one for one in first.warnings] == [True]
    together.ask("POST", "/_sandbox/fine-tunes", {**tune, "suffix": "planning-3", "totalPriceNanoDollars": 5 * 10**9})
    assert done(rounds(together, guard, kept, 3)) == [("planning", Why.BUDGET)]


def test_the_cap_stops_the_newest_first_and_no_more_than_needed(together: Service) -> None:
    together.deploy("planning")
    together.advance(60)
    together.deploy("should_respond")
    kept = rules(Limits(None, Decimal(6), Decimal(0)))
    seen = rounds(together, Guard(together.store), kept, 3)
    assert done(seen) == [("should-respond", Why.CAP)]
    assert states(together) == {"planning": "READY", "should-respond": "STOPPED"}


def test_a_budget_warns_once_at_its_mark(together: Service) -> None:
    together.deploy()
    seen = rounds(together, Guard(together.store), rules(budget("2.00", warn_percent=50)), 14)
    warnings = [warning for look in seen for warning in look.warnings]
    assert len(warnings) == 1
    assert warnings[0].startswith("5")
    assert "% of the budget is used: $1.0" in warnings[0]


@pytest.mark.parametrize("seed", range(100))
def test_no_budget_is_overshot_by_more_than_an_interval(
    seed: int, together_used: Callable[[], Service], capsys: pytest.CaptureFixture[str]
) -> None:
    """Random budgets, replicas, looks that fail and guards that are killed: the meter is the judge."""
    together, dice = together_used(), random.Random(seed)
    before = spent(together)
    replicas = dice.randint(1, 3)
    price = 549 * replicas
    limit = before / 100 + Decimal(dice.randint(20, 200)) / 100
    limits = Limits(limit.quantize(Decimal("0.01")), None, Decimal(0))
    together.deploy(min_replicas=replicas, max_replicas=replicas)
    guard = Guard(together.store)
    for _ in range(60):
        together.advance(60)
        if dice.random() < 0.1:
            guard = Guard(together.store)  # killed and started again: it remembers nothing
        guard.look(together.client, rules(limits))
        if set(states(together).values()) == {"STOPPED"}:
            break
    over = spent(together) - limit * 100
    one_interval = Decimal(price) / 60
    assert set(states(together).values()) == {"STOPPED"}
    assert over <= one_interval, f"{over} cents over"
    together.stop()


@pytest.fixture(scope="module")
def together_used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Service]]:
    """One service for a few runs: what the budget of each must be is counted from what was spent before."""
    with ExitStack() as stack:
        given: list[Service] = []

        def give() -> Service:
            fresh = len(given) % 5 == 0
            given.append(stack.enter_context(service(tmp_path_factory.mktemp("guard"))) if fresh else given[-1])
            return given[-1]

        yield give


# --- idleness ---


def ask(together: Service) -> None:
    body = {"model": "sandbox/planning", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    together.ask("POST", "/v1/chat/completions", body)


def test_what_nobody_asks_is_stopped_within_a_look_of_its_minutes(together: Service) -> None:
    together.deploy()
    seen = rounds(together, Guard(together.store), rules(idle=10), 13)
    assert done(seen) == [("planning", Why.IDLE)]
    number = next(number for number, look in enumerate(seen, 1) if look.done)
    assert 10 <= number <= 11


def test_what_is_asked_is_never_stopped_however_rarely(together: Service) -> None:
    dice = random.Random(7)
    together.deploy()
    guard, kept = Guard(together.store), rules(idle=10)
    for _ in range(25):
        seen = rounds(together, guard, kept, dice.randint(1, 9))
        assert done(seen) == []
        ask(together)
    assert states(together) == {"planning": "READY"}
    assert done(rounds(together, guard, kept, 12)) == [("planning", Why.IDLE)]


@pytest.mark.parametrize("known", [False, True])
def test_a_count_that_comes_late_is_waited_for_once_that_is_settled(together: Service, known: bool) -> None:
    together.behave(analytics_delay_seconds=240)
    together.deploy()
    if known:
        late = ServiceFact("analytics_delay", False, 240, "seen", together.client.now(), "1.0")
        ServiceFacts(together.store).settle(late)
    guard, kept = Guard(together.store), rules(idle=10)
    assert done(rounds(together, guard, kept, 8)) == []
    ask(together)
    seen = done(rounds(together, guard, kept, 9))
    assert seen == ([] if known else [("planning", Why.IDLE)])  # asked a minute or two before
    assert done(rounds(together, guard, kept, 8)) == ([("planning", Why.IDLE)] if known else [])


def test_decisions_in_our_own_log_count_too(together: Service) -> None:
    together.deploy()
    together.fault(r"/analytics$", status=404)
    guard, kept = Guard(together.store), rules(idle=10)
    rounds(together, guard, kept, 9)
    at = together.client.now()
    Samples(together.store).insert_many([Sample("1", at, "planning", "ours", "slot", "gateway", "prompt", "output")])
    assert done(rounds(together, guard, kept, 9)) == []


def test_a_model_that_is_only_compared_is_in_use(together: Service) -> None:
    """As a shadow it leaves no decision of its own, only an attempt beside the original's; Together counted nothing."""
    together.deploy()
    guard, kept = Guard(together.store), rules(idle=10)
    rounds(together, guard, kept, 9)
    at = together.client.now()
    Samples(together.store).insert_many([Sample("1", at, "planning", "gpt", "original", "gateway", "prompt", "output")])
    Attempts(together.store).insert_many(
        [
            AttemptRecord(
                sample_id="1",
                at=at,
                model_type="planning",
                mode="shadow",
                model="sandbox/planning",
                deployment_key=None,
                decision="REPLY",
                agrees=True,
                failure=None,
                confidence=None,
                latency_ms=200,
                prompt_tokens=None,
                completion_tokens=None,
                output="output",
            )
        ]
    )
    assert done(rounds(together, guard, kept, 9)) == []


def test_without_any_count_idleness_is_left_to_together(together: Service) -> None:
    """Unknown is not idle; the idle stop that every deploy passes to Together still works."""
    together.deploy(idle_minutes=45)
    together.fault(r"/analytics$", status=404)
    seen = rounds(together, Guard(together.store), rules(idle=10), 40)
    assert done(seen) == []
    rounds(together, Guard(together.store), rules(idle=10), 10)
    assert states(together) == {"planning": "STOPPED"}


def test_minutes_of_a_type_win_and_zero_is_never(together: Service) -> None:
    together.deploy("planning")
    together.deploy("should_respond")
    seen = rounds(together, Guard(together.store), rules(idle=5, by_type={"planning": 0}), 12)
    assert done(seen) == [("should-respond", Why.IDLE)]


# --- hours ---


def test_out_of_hours_it_is_stopped_and_started_again_inside_them(
    together: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    together.deploy()
    now = together.client.now().astimezone()
    begin, end = now + timedelta(hours=1), now + timedelta(hours=2)
    kept = rules(hours={"planning": parse_daily_hours(f"{begin:%H:%M}-{end:%H:%M}")})
    guard = Guard(together.store)
    seen = rounds(together, guard, kept, 3)
    assert (done(seen), seen[0].done[0].start) == ([("planning", Why.HOURS)], False)
    seen = rounds(together, Guard(together.store), kept, 14, minutes=5)
    assert (done(seen), [one.start for look in seen for one in look.done]) == ([("planning", Why.HOURS)], [True])
    rounds(together, guard, kept, 6)
    assert states(together) == {"planning": "READY"}


@pytest.mark.parametrize(
    ("actor", "action"), [("operator", "set_budget"), ("guard", "auto_ask"), ("operator", "shadow")]
)
def test_what_was_done_to_its_slot_at_night_does_not_keep_it_off_by_day(
    together: Service, actor: str, action: str
) -> None:
    """A slot's events bear the name that its endpoint has, too."""
    together.deploy()
    now = together.client.now().astimezone()
    hours = {"planning": parse_daily_hours(f"{now + timedelta(minutes=10):%H:%M}-{now + timedelta(hours=2):%H:%M}")}
    guard = Guard(together.store)
    assert done(rounds(together, guard, rules(hours=hours), 3)) == [("planning", Why.HOURS)]
    Events(together.store).add(Event(together.client.now(), actor, action, "planning", {"why": "of the slot's own"}))
    seen = rounds(together, guard, rules(hours=hours), 14)
    assert [one.start for look in seen for one in look.done] == [True]


def test_what_the_operator_stopped_is_not_started_by_the_hours(together: Service) -> None:
    together.deploy()
    together.stop(keep=True)
    now = together.client.now().astimezone()
    kept = rules(hours={"planning": parse_daily_hours(f"{now - MINUTE:%H:%M}-{now + timedelta(hours=3):%H:%M}")})
    assert done(rounds(together, Guard(together.store), kept, 5)) == []


def test_hours_do_not_start_what_the_budget_cannot_pay(together: Service) -> None:
    together.deploy()
    now = together.client.now().astimezone()
    begin, end = now + timedelta(minutes=10), now + timedelta(hours=2)
    hours = {"planning": parse_daily_hours(f"{begin:%H:%M}-{end:%H:%M}")}
    guard = Guard(together.store)
    rounds(together, guard, rules(hours=hours), 3)
    poor = rules(budget("0.30"), hours=hours)
    seen = rounds(together, guard, poor, 15)
    assert done(seen) == []
    refusals = [problem.message for look in seen for problem in look.problems]
    assert len(refusals) == 1, "said once, not each minute"
    assert "budget of $0.30 would be broken" in refusals[0]


# --- bad days ---


def test_a_stop_that_does_not_arrive_is_tried_until_it_does(together: Service) -> None:
    together.deploy()
    together.fault(r"/deployments/dep_", method="PATCH", status=500, times=3)
    seen = rounds(together, Guard(together.store), rules(budget("0.20")), 12)
    assert states(together) == {"planning": "STOPPED"}
    assert sum(1 for look in seen for _ in look.problems) == 3


def test_one_that_cannot_be_looked_at_does_not_save_the_others(together: Service) -> None:
    together.deploy("planning")
    together.deploy("should_respond")
    together.fault(r"/analytics$", status=400, times=1)
    assert len(done(rounds(together, Guard(together.store), rules(idle=5), 8))) == 2


def test_the_loop_survives_a_refused_key_and_a_lost_network(together: Service) -> None:
    together.deploy()
    together.fault(".*", status=401, times=2)
    looks: list[Round] = []
    troubles: list[ReasoningError] = []

    def pause(seen: Round | None) -> None:
        together.advance(60)
        if len(troubles) == 2 and not looks:
            together.fault(".*", cut="before", times=4)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_guard(
            Guard(together.store),
            lambda: together.client,
            rules,
            pause=pause,
            notify=looks.append,
            on_error=troubles.append,
        )
    assert [type(one) for one in troubles] == [KeyRefusedError, KeyRefusedError, UnreachableError]
    assert len(looks) == 3


def test_one_look_raises_what_went_wrong(together: Service) -> None:
    together.fault(".*", status=401, times=1)
    with pytest.raises(KeyRefusedError):
        run_guard(
            Guard(together.store),
            lambda: together.client,
            rules,
            pause=None,
            notify=lambda seen: None,
            on_error=lambda problem: None,
        )


def test_what_the_guard_did_is_remembered_with_its_reason(together: Service) -> None:
    together.deploy()
    rounds(together, Guard(together.store), rules(budget("0.20")), 5)
    (last,) = [one for one in Events(together.store).list() if one.actor == "guard"]
    assert (last.action, last.subject, last.detail["why"]) == ("stop", "planning", "budget")


# --- one at a time ---


def test_a_second_guard_says_so_and_a_dead_one_is_no_guard(tmp_path: Path) -> None:
    database = tmp_path / "reasoning.db"
    code = (
        "import sys, time; from pathlib import Path\n"
        "from reasoning_cli.operations.guard.lock import hold_guard\n"
        "with hold_guard(Path(sys.argv[1])) as lock:\n"
        "    lock.sign(60); print('held', flush=True); time.sleep(60)\n"
    )
    assert find_guard(database) is None
    with subprocess.Popen([sys.executable, "-c", code, str(database)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        seen = find_guard(database)
        assert seen is not None
        assert (seen.running, seen.pid, seen.interval_seconds) == (True, other.pid, 60)
        with pytest.raises(ReasoningError, match=f"process {other.pid}"), hold_guard(database):
            pass
        os.kill(other.pid, signal.SIGKILL)
        other.wait(60)
    left = find_guard(database)
    assert left is not None
    assert left.running is False
    assert datetime.now(UTC) - left.at < timedelta(minutes=1)
    with hold_guard(database) as lock:
        lock.sign(60)


@pytest.mark.parametrize("text", ["18:00", "18:00-18:00", "25:00-26:00", "6pm-8pm", "", "18:00-23:60"])
def test_hours_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="not a span of a day"):
        parse_daily_hours(text)


def test_hours_over_midnight() -> None:
    hours = parse_daily_hours("22:00-06:00")
    at = datetime(2026, 11, 21, 23, 30).astimezone()
    assert hours.contain(at)
    assert hours.contain(at + timedelta(hours=6))
    assert not hours.contain(at + timedelta(hours=7))
    assert str(hours) == "22:00-06:00"


@contextmanager
def only_read(store: Store) -> Iterator[str]:
    """What a store can do inside; what it says of it."""
    if not isinstance(store.place, DatabaseAddress):
        store.connection.execute("PRAGMA query_only=ON")
        yield "cannot be opened for writing"
        store.connection.execute("PRAGMA query_only=OFF")
        return
    import psycopg

    change = "ALTER DATABASE postgres SET default_transaction_read_only = {}"
    with psycopg.connect(store.place.url, autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute(change.format("on"))
        store.close()  # connections that are made from here on ask for it
        try:
            yield "read-only transaction"
        finally:
            admin.execute(change.format("off"))
            store.close()


def test_a_ledger_that_cannot_be_written_is_told_and_the_bill_has_no_hole_afterwards(together: Service) -> None:
    together.deploy()
    guard, troubles = Guard(together.store), []
    rounds(together, guard, rules(), 2)
    with only_read(together.store) as said:
        for _ in range(30):
            together.advance(60)
            try:
                guard.look(together.client, rules())
            except DataError as problem:
                troubles.append(problem.message)
    assert troubles
    assert said in troubles[0]
    rounds(together, guard, rules(), 1)
    (usage,) = together.usage().values()
    assert usage.low_cents <= spent(together) <= usage.high_cents
    assert usage.high_cents - usage.low_cents < 20, "events fill what could not be written down"


def test_the_training_log_is_cleared_once_an_hour_and_only_where_that_was_asked_for(together: Service) -> None:
    """By our own clock: the service's may be a year ahead."""
    now = [datetime(2026, 11, 21, 12, tzinfo=UTC)]
    made = Sample("", now[0], "planning", "m", "original", "test", "p", "o")

    def add(*ids: str) -> None:
        Samples(together.store).insert_many(
            [replace(made, id=one, created_at=now[0] - timedelta(days=40)) for one in ids]
        )

    guard = Guard(together.store, lambda: now[0])
    add("a", "b")
    assert guard.look(together.client, rules()).samples_deleted == 0
    kept = replace(rules(), retention=Retention(days=30))
    assert guard.look(together.client, kept).samples_deleted == 2
    add("c")
    assert guard.look(together.client, kept).samples_deleted == 0
    now[0] += timedelta(hours=1)
    assert guard.look(together.client, kept).samples_deleted == 1
    cleanups = [one for one in Events(together.store).list() if one.action == "cleanup"]
    assert [(one.actor, one.detail["deleted"]) for one in cleanups] == [("guard", 2), ("guard", 1)]
