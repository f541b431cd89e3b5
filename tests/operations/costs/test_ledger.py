"""The ledger: money from readings, and the same cents as the service's own meter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.engines.together.wire import Deployment
from reasoning_cli.errors import ConfigurationError, RemoteError
from reasoning_cli.operations.costs.ledger import Usage, integrate, observe, ready_since
from reasoning_cli.operations.deploy.apply import run_deploy
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.operations.deploy.teardown import plan_stop
from reasoning_cli.store import migrations
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.deploy.meter_readings import KnownBy, Ledger, Reading
from reasoning_cli.store.open import open_store
from tests.engines.together.service import DEPLOYMENTS, EVENTS, INSTANCE_TYPES, KEY, PROJECT, Service, service

START = datetime(2026, 11, 1, tzinfo=UTC)
EVER = START - timedelta(days=400), START + timedelta(days=4000)
PRICE = 549


def at(milliseconds: int) -> datetime:
    return START + timedelta(milliseconds=milliseconds)


def reading(milliseconds: int, ready: int, known_by: KnownBy = "polled", price: int = PRICE) -> Reading:
    return Reading("key", at(milliseconds), ready, price, "READY", known_by)


def cents(replica_milliseconds: int, price: int = PRICE) -> Decimal:
    return Decimal(replica_milliseconds) * price / 3_600_000


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[int, int, list[int]]]:
    """Stretches of a deployment's life: (length in ms, ready replicas, when somebody looked, at least once)."""
    stretches = draw(st.lists(st.tuples(st.integers(1, 10_000_000), st.integers(0, 8)), min_size=1, max_size=12))
    return [
        (length, ready, sorted(draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=3))))
        for length, ready in stretches
    ]


def truth(life: list[tuple[int, int, list[int]]], until: int) -> int:
    """Ready replica milliseconds from the first look to `until`."""
    total, begin, first = 0, 0, life[0][2][0]
    for length, ready, _ in life:
        total += max(0, min(begin + length, until) - max(begin, first)) * ready
        begin += length
    return total


def looks(life: list[tuple[int, int, list[int]]]) -> list[Reading]:
    begin, found = 0, []
    for length, ready, seen in life:
        found += [reading(begin + offset, ready) for offset in seen]
        begin += length
    return found


def changes(life: list[tuple[int, int, list[int]]]) -> list[Reading]:
    begin, found = 0, []
    for length, ready, _ in life:
        if begin:
            found.append(reading(begin, ready, "event"))
        begin += length
    return found


@given(lives())
def test_the_range_holds_the_truth_when_only_looks_tell(life: list[tuple[int, int, list[int]]]) -> None:
    seen = looks(life)
    known = integrate(seen, *EVER)
    exact = truth(life, (seen[-1].at - START) // timedelta(milliseconds=1))
    assert 0 <= known.low_cents <= cents(exact) <= known.high_cents
    assert known.low_time <= timedelta(milliseconds=exact) <= known.high_time


@given(lives())
def test_events_make_it_exact(life: list[tuple[int, int, list[int]]]) -> None:
    seen = [*looks(life), *changes(life)]
    known = integrate(seen, *EVER)
    exact = truth(life, (max(one.at for one in seen) - START) // timedelta(milliseconds=1))
    assert known.low_cents == known.high_cents == cents(exact)
    assert known.doubt_cents == 0


@given(lives(), st.randoms(use_true_random=False))
def test_order_and_repetition_of_readings_change_nothing(
    life: list[tuple[int, int, list[int]]], random: object
) -> None:
    seen = [*looks(life), *changes(life)]
    shuffled = [*seen, *seen[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert integrate(shuffled, *EVER) == integrate(seen, *EVER)


@given(lives(), st.integers(-10_000, 60_000_000), st.integers(0, 60_000_000), st.integers(0, 60_000_000))
def test_periods_add_up(life: list[tuple[int, int, list[int]]], begin: int, first: int, second: int) -> None:
    seen = [*looks(life), *changes(life)][::2]
    middle, end = begin + first, begin + first + second
    whole = integrate(seen, at(begin), at(end))
    parts = integrate(seen, at(begin), at(middle)) + integrate(seen, at(middle), at(end))
    assert (whole.low_time, whole.high_time) == (parts.low_time, parts.high_time)
    for one, other in ((whole.low_cents, parts.low_cents), (whole.high_cents, parts.high_cents)):
        assert abs(one - other) < Decimal("1e-15")
    assert Decimal(0) <= whole.low_cents <= whole.cents <= whole.high_cents


def test_nothing_is_assumed_before_the_first_and_after_the_last_reading() -> None:
    assert integrate([], *EVER) == Usage()
    assert integrate([reading(0, 3)], *EVER) == Usage()
    hour = 3_600_000
    assert integrate([reading(0, 1), reading(hour, 1)], at(-hour), at(9 * hour)).cents == PRICE
    assert integrate([reading(0, 1), reading(hour, 1)], at(hour), at(0)) == Usage()


def test_a_changed_price_counts_from_somewhere_between_two_looks() -> None:
    hour = 3_600_000
    seen = [reading(0, 1, price=500), reading(hour, 1, price=600), reading(2 * hour, 1, price=600)]
    known = integrate(seen, *EVER)
    assert (known.low_cents, known.high_cents) == (Decimal(1100), Decimal(1200))
    cheaper = integrate([reading(0, 1, price=600), reading(hour, 1, price=500)], *EVER)
    assert (cheaper.low_cents, cheaper.high_cents) == (Decimal(500), Decimal(600))


def test_ready_since_is_the_begin_of_the_unbroken_stretch() -> None:
    assert ready_since([reading(0, 0), reading(5, 1), reading(9, 2)]) == at(5)
    assert ready_since([reading(9, 0), reading(5, 1)]) is None
    assert ready_since([reading(0, 1), reading(5, 0), reading(9, 2)]) == at(9)


# --- against the meter ---


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def assert_equals_the_meter(together: Service) -> None:
    metered, ledger = together.metered(), together.usage()
    assert metered.keys() == ledger.keys()
    for key, exact in metered.items():
        assert abs(ledger[key].low_cents - exact) < Decimal("1e-9")
        assert abs(ledger[key].high_cents - exact) < Decimal("1e-9")
    assert any(metered.values()), "nothing was ever billed: this proves nothing"


def assert_covers_the_meter(together: Service) -> None:
    metered, ledger = together.metered(), together.usage()
    assert metered.keys() == ledger.keys()
    for key, exact in metered.items():
        assert ledger[key].low_cents <= exact <= ledger[key].high_cents
        assert ledger[key].low_cents < ledger[key].high_cents


def test_a_deploy_and_undeploy(together: Service) -> None:
    together.deploy()
    together.advance(5000)
    together.stop()
    assert_equals_the_meter(together)


def test_a_deployment_that_still_runs(together: Service) -> None:
    together.deploy()
    together.advance(77)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


@pytest.mark.both_engines
def test_replicas_that_come_and_go(together: Service) -> None:
    together.deploy(max_replicas=3)
    for low, high in ((3, 3), (1, 1), (2, 4), (1, 2)):
        together.advance(1000)
        together.scale(low, high)
    together.advance(1000)
    together.stop()
    assert_equals_the_meter(together)


def test_replicas_that_came_and_went_between_two_looks(together: Service) -> None:
    together.deploy(max_replicas=3)
    together.scale(3, 3)
    together.advance(1000)
    together.scale(1, 1)
    together.advance(1000)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_an_idle_stop_nobody_watched(together: Service) -> None:
    together.deploy(idle_minutes=30)
    together.advance(7 * 86_400)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)
    (record,) = Deployments(together.store).live()
    assert (record.state, record.ready_replicas) == ("STOPPED", 0)


def test_kept_and_started_again(together: Service) -> None:
    together.deploy()
    together.advance(1000)
    together.stop(keep=True)
    together.advance(86_400)
    together.deploy(max_replicas=2, min_replicas=2)
    together.advance(500)
    together.stop()
    assert_equals_the_meter(together)


def test_several_deployments(together: Service) -> None:
    for target in ("planning", "should-respond", "coding"):
        together.deploy(target)
        together.advance(333)
    for target in ("coding", "planning"):
        together.stop(target)
    together.advance(99)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_a_deployment_deleted_behind_our_back(together: Service) -> None:
    together.deploy()
    together.advance(1000)
    together.scale(0, 0)
    together.advance(100)
    (one,) = together.deployments()
    endpoint = f"{PROJECT}/endpoints/{one['endpointId']}"
    together.ask("PATCH", endpoint, {"trafficSplit": []}, updateMask="trafficSplit")
    together.ask("DELETE", f"{endpoint}/deployments/{one['id']}")
    together.advance(86_400)
    refresh(together.client, together.store)
    assert Deployments(together.store).live() == []
    assert_equals_the_meter(together)


@pytest.mark.parametrize("failure", [{"status": 503}, {"status": 404}, {"status": 403}, {"cut": "before"}])
def test_without_events_the_range_covers_the_meter(together: Service, failure: dict[str, object]) -> None:
    together.fault(EVENTS, **failure)
    together.deploy()
    together.advance(1000)
    refresh(together.client, together.store)
    together.scale(2, 2)
    together.advance(600)
    refresh(together.client, together.store)
    together.stop()
    assert_covers_the_meter(together)


def test_without_events_the_fraction_of_a_second_is_covered_too(together: Service) -> None:
    """A look says `12:00:00` until the next second begins, and the change may have come just before the look."""
    together.fault(EVENTS, status=403)
    together.deploy("coding")
    together.advance(10)
    refresh(together.client, together.store)
    ((before, billed_before),) = zip(together.usage().values(), together.metered().values(), strict=True)
    together.advance(0.9)
    together.scale(0, 0, "coding")
    together.advance(0.05)
    refresh(together.client, together.store)
    together.advance(86_400)
    refresh(together.client, together.store)
    ((after, billed),) = zip(together.usage().values(), together.metered().values(), strict=True)
    assert after.low_cents - before.low_cents <= billed - billed_before <= after.high_cents - before.high_cents


def test_a_first_look_that_comes_late_covers_all_of_it(together: Service) -> None:
    together.fault(r"/deployments/dep_", cut="before")
    with pytest.raises(RemoteError, match="cannot reach"):
        together.deploy()
    together.clear_faults()
    together.advance(36_000)
    together.fault(EVENTS, status=503)
    refresh(together.client, together.store)
    assert_covers_the_meter(together)


def test_what_a_broken_deploy_made_is_found_and_billed(together: Service) -> None:
    together.fault(DEPLOYMENTS, method="GET", status=200, body={"data": []}, times=1)
    together.fault(DEPLOYMENTS, method="POST", status=200, body={}, times=1)  # the check
    together.fault(DEPLOYMENTS, method="POST", cut="after_action", times=1)
    together.fault(DEPLOYMENTS, method="GET", cut="before")
    with pytest.raises(RemoteError, match="cannot reach"):
        together.deploy()
    (record,) = Deployments(together.store).live()
    assert record.deployment_id is None
    together.clear_faults()
    together.advance(36_000)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_events_that_contradict_the_looks_are_not_used(together: Service) -> None:
    together.deploy()
    together.advance(1000)
    record = plan_stop(together.store, "planning", keep=False).record
    event = {
        "id": "evt_1",
        "createdAt": (together.client.now() - timedelta(seconds=10)).isoformat(),
        "endpointId": record.endpoint_id,
        "deploymentId": record.deployment_id,
        "type": "deployment.scaled",
        "oldReplicas": 5,
        "newReplicas": 1,
    }
    together.fault(EVENTS, status=200, body={"data": [event], "next_cursor": None})
    refresh(together.client, together.store)
    together.clear_faults()
    assert_equals_the_meter(together)


def test_looking_twice_in_a_second_adds_nothing(together: Service) -> None:
    record = together.deploy().record
    together.advance(100)
    observe(together.client, together.store, record)
    before = Ledger(together.store).readings()
    observe(together.client, together.store, record)
    assert Ledger(together.store).readings() == before


def test_a_changed_price_is_taken_from_the_next_look_on(together: Service) -> None:
    together.deploy()
    refresh(together.client, together.store)
    before = sum((one.cents for one in together.usage().values()), Decimal(0))
    together.advance(3600)
    together.sell(priceCentsPerHour=700)
    refresh(together.client, together.store)
    together.advance(3600)
    refresh(together.client, together.store)
    (usage,) = together.usage().values()
    assert usage.low_cents - before == 549 + 700
    assert usage.high_cents - before == 700 + 700
    (record,) = Deployments(together.store).live()
    assert record.price_cents_per_hour == 700


def test_to_the_key_of_another_project_nothing_is_deleted(together: Service) -> None:
    together.deploy()
    other = TogetherClient(together.url, KEY, project_id="proj_other", sleep=lambda _: None)
    try:
        with pytest.raises(ConfigurationError, match="proj_sandbox"):
            refresh(other, together.store)
    finally:
        other.close()
    (record,) = Deployments(together.store).live()
    assert record.state == "READY"
    together.advance(1000)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


# --- what nobody saw ---


def only_usage(together: Service) -> Usage:
    (usage,) = together.usage().values()
    return usage


def test_equal_looks_far_apart_are_no_proof_of_what_was_between(together: Service) -> None:
    together.deploy(max_replicas=3)
    refresh(together.client, together.store)
    before = only_usage(together)
    together.fault(EVENTS, status=403)
    together.advance(1000)
    together.scale(3, 3)
    together.advance(1000)
    together.scale(1, 3)
    (one,) = together.deployments()
    together.ask("POST", f"/_sandbox/deployments/{one['id']}/scale", {"desired": 1})
    together.advance(1000)
    refresh(together.client, together.store)
    usage = only_usage(together)
    assert usage.low_cents == before.low_cents
    assert usage.high_cents - before.high_cents == cents(3 * 3_000_000)
    assert_covers_the_meter(together)


def test_equal_looks_far_apart_are_exact_when_events_say_nothing_happened(together: Service) -> None:
    together.deploy(max_replicas=3)
    together.advance(86_400)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_close_looks_that_saw_the_same_need_no_events(together: Service) -> None:
    together.deploy(max_replicas=3)
    together.fault(EVENTS, status=403)
    for _ in range(20):
        together.advance(60)
        refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_what_is_stopped_is_in_no_doubt(together: Service) -> None:
    together.deploy()
    together.advance(1000)
    together.stop(keep=True)
    together.fault(EVENTS, status=403)
    together.advance(30 * 86_400)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_what_vanished_unseen_may_have_run_until_then(together: Service) -> None:
    """Last seen starting: it became ready, ran, and was deleted with all its events."""
    plan = together.plan()
    together.behave(scaling_seconds=3600)
    with pytest.raises(RemoteError, match="still SCALING"):
        run_deploy(together.client, together.store, plan, wait=together.wait(minutes=5))
    together.advance(20_000)
    (one,) = together.deployments()
    together.ask("DELETE", f"/_sandbox/endpoints/{one['endpointId']}")
    together.fault(EVENTS, status=404)
    refresh(together.client, together.store)
    assert Deployments(together.store).live() == []
    assert only_usage(together).low_cents == 0
    assert_covers_the_meter(together)


def test_an_event_that_tells_of_the_deletion_is_enough(together: Service) -> None:
    record = together.deploy().record
    together.advance(1000)
    refresh(together.client, together.store)
    together.advance(1000)
    (one,) = together.deployments()
    together.ask("DELETE", f"/_sandbox/deployments/{one['id']}")
    events = together.ask("GET", f"{PROJECT}/endpoints/{record.endpoint_id}/events", types="deployment.deleted")
    together.fault(EVENTS, status=200, body={"data": events["data"][:1], "next_cursor": None})
    together.advance(86_400)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_an_event_at_the_very_moment_of_a_look_came_after_it(together: Service) -> None:
    together.deploy()
    together.scale(0, 0)
    together.advance(7200)
    refresh(together.client, together.store)
    assert_equals_the_meter_of_nothing(together)


def assert_equals_the_meter_of_nothing(together: Service) -> None:
    assert set(together.metered().values()) == {Decimal(0)}
    assert only_usage(together) == Usage()


@pytest.mark.both_engines
def test_a_service_clock_that_goes_back_makes_no_time_pass_twice(together: Service) -> None:
    """Hosts of one service disagree by some seconds: each answer may be older than the one before."""
    record = together.deploy().record
    start = together.client.now()
    skewed = SkewedClock()
    client = TogetherClient(together.url, KEY, transport=skewed, sleep=lambda _: None)
    try:
        for skew in (0, -30, 5, -7, 0):
            together.advance(10)
            skewed.seconds = skew
            observe(client, together.store, record)
    finally:
        client.close()
    moments = [one.at for one in Ledger(together.store).readings(record.key)]
    assert moments == sorted(moments)
    assert only_usage(together).high_cents == only_usage(together).low_cents == cents(50_000)
    assert moments[-1] == start + timedelta(seconds=50)


class SkewedClock(httpx.HTTPTransport):
    """A connection whose answers are dated some seconds off."""

    seconds = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        dated = parsedate_to_datetime(answer.headers["date"]) + timedelta(seconds=self.seconds)
        answer.headers["date"] = format_datetime(dated, usegmt=True)
        return answer


def test_a_slow_look_does_not_overwrite_what_a_later_one_saw(together: Service) -> None:
    """Two programs look: one is answered, then the other looks and writes, then the first writes."""
    record = together.deploy().record
    together.advance(100)

    class Late(TogetherClient):
        def deployment(self, endpoint_id: str, deployment_id: str) -> Deployment:
            seen = super().deployment(endpoint_id, deployment_id)
            self.now()
            together.advance(100)
            together.scale(0, 0)
            together.advance(100)
            refresh(together.client, together.store)
            return seen

    late = Late(together.url, KEY, sleep=lambda _: None)
    try:
        observe(late, together.store, record)
    finally:
        late.close()
    together.advance(1000)
    refresh(together.client, together.store)
    assert_equals_the_meter(together)


def test_a_price_that_changed_before_an_event_is_in_doubt_on_both_sides_of_it(together: Service) -> None:
    hour = 3_600_000
    event = replace(reading(hour, 2, "event", price=500), price_seen=False)
    known = integrate([reading(0, 1, price=500), event, reading(2 * hour, 2, price=600)], *EVER)
    assert (known.low_cents, known.high_cents) == (Decimal(1500), Decimal(1800))
    together.deploy(max_replicas=2)
    together.advance(1000)
    refresh(together.client, together.store)
    together.ask("POST", "/_sandbox/prices", {"1xnvidia-h100-80gb": 900})
    together.advance(1000)
    together.scale(2, 2)
    together.advance(1000)
    refresh(together.client, together.store)
    assert_covers_the_meter(together)


def test_a_price_that_together_does_not_tell_goes_on_as_last_known(together: Service) -> None:
    together.deploy()
    together.advance(1000)
    together.fault(INSTANCE_TYPES, status=200, body={"data": [], "next_cursor": None})
    refresh(together.client, together.store)
    together.clear_faults()
    assert_equals_the_meter(together)
    together.ask("POST", "/_sandbox/prices", {"1xnvidia-h100-80gb": 900})
    together.fault(INSTANCE_TYPES, status=200, body={"data": [], "next_cursor": None})
    together.advance(1000)
    refresh(together.client, together.store)  # says nothing about the price
    together.clear_faults()
    together.advance(1000)
    refresh(together.client, together.store)
    assert_covers_the_meter(together)


def test_readings_of_an_older_database_keep_their_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as past:
        past.setattr(migrations, "STEPS", migrations.STEPS[:2])
        past.setattr(migrations, "VERSION", 2)
        with open_store(tmp_path / "old.db") as store:
            store.write(
                "INSERT INTO deployments VALUES ('k', NULL, 'm', NULL, 'e', NULL, 'd', NULL, NULL, NULL, NULL,"
                " 549, NULL, 0, 1, 1, 'READY', 1, 0, 0, NULL, NULL)"
            )
            for at, ready, known_by in ((0, 0, "inferred"), (3_600_000, 1, "event"), (7_200_000, 1, "polled")):
                store.write(
                    "INSERT INTO readings(deployment_key, at, ready_replicas, price_cents_per_hour, state,"
                    " known_by) VALUES ('k', ?, ?, 549, 'READY', ?)",
                    (at, ready, known_by),
                )
    with open_store(tmp_path / "old.db") as store:
        readings = Ledger(store).readings()
        assert [one.price_seen for one in readings] == [True, False, True]
        usage = integrate(readings, datetime(1970, 1, 1, tzinfo=UTC), START)
        assert (usage.low_cents, usage.high_cents) == (Decimal(549), Decimal(549))
