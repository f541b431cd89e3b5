"""Deployments, slots, readings and events come back as they went in, and names find what an operator means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import CREATING, DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger, Reading
from reasoning_cli.store.open import open_store

pytestmark = pytest.mark.both_engines

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def record(key: str = "k1", **changes: object) -> DeploymentRecord:
    made = DeploymentRecord(
        key=key,
        model_type="planning",
        model_name="acme/qwen-14b-planning",
        model_id=None,
        endpoint_name="planning",
        endpoint_id=None,
        deployment_name=f"planning-{key}",
        deployment_id=None,
        serving_name=None,
        project_id=None,
        hardware="1xh100",
        price_cents_per_hour=549,
        config=None,
        idle_minutes=30,
        min_replicas=1,
        max_replicas=1,
        state=CREATING,
        ready_replicas=0,
        created_at=NOON,
        state_at=NOON,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_deployment_is_known_before_it_is_made_and_followed_to_its_end(store: Store) -> None:
    deployments = Deployments(store)
    deployments.record_intent(record())
    assert deployments.get("k1") == record()

    seen = NOON + timedelta(minutes=9, milliseconds=7)
    ready = deployments.update("k1", state="READY", deployment_id="dep_1", ready_replicas=1, state_at=seen)
    assert ready == record(state="READY", deployment_id="dep_1", ready_replicas=1, state_at=seen)
    assert deployments.live() == [ready]

    gone = deployments.update("k1", state=DELETED, deleted_at=seen, state_at=seen)
    assert deployments.live() == []
    assert deployments.all() == [gone]


def test_updating_what_is_not_there_or_is_no_field_fails(store: Store) -> None:
    deployments = Deployments(store)
    with pytest.raises(NotFoundError):
        deployments.update("nobody", state="READY")
    deployments.record_intent(record())
    with pytest.raises(TypeError):
        deployments.update("k1", colour="red")


@pytest.mark.parametrize(
    "name", ["k1", "planning", "acme/planning", "ep_1", "dep_1", "planning-k1"], ids=lambda name: f"by {name}"
)
def test_every_name_an_operator_may_use_finds_the_deployment(store: Store, name: str) -> None:
    deployments = Deployments(store)
    made = record(endpoint_id="ep_1", deployment_id="dep_1", serving_name="acme/planning")
    deployments.record_intent(made)
    assert deployments.find(name) == made
    assert deployments.find("other") is None


def test_a_model_type_finds_its_slot_first_then_what_runs_then_the_newest(store: Store) -> None:
    deployments = Deployments(store)
    old = record("old", created_at=NOON - timedelta(days=2), deleted_at=NOON)
    running = record("running", created_at=NOON - timedelta(days=1))
    for made in (old, running, record("dead", deleted_at=NOON)):
        deployments.record_intent(made)
    assert deployments.find("planning") == running
    deployments.record_intent(record("coder", model_type="coding", endpoint_name="coder"))
    deployments.set_slot("planning", "old")
    assert deployments.find("planning") == old
    assert deployments.find("should-respond") is None


def test_slots_point_at_a_deployment_or_at_nothing(store: Store) -> None:
    deployments = Deployments(store)
    deployments.record_intent(record())
    deployments.set_slot("planning", "k1", now=NOON)
    deployments.set_slot("coding", None, now=NOON)
    assert [(slot.model_type, slot.deployment_key, slot.model_name) for slot in deployments.slots()] == [
        ("coding", None, None),
        ("planning", "k1", "acme/qwen-14b-planning"),
    ]
    deployments.set_slot("planning", None)
    assert deployments.slots()[1].deployment_key is None
    with pytest.raises(DataError):
        deployments.set_slot("planning", "unknown key")


def test_readings_are_added_once_and_come_back_in_the_order_of_time(store: Store) -> None:
    Deployments(store).record_intent(record())
    ledger = Ledger(store)
    later = Reading("k1", NOON + timedelta(milliseconds=1), 1, 549, "READY", "polled")
    first = Reading("k1", NOON, 0, 549, "PENDING", "event")
    assert ledger.add_readings([later, first]) == 2
    assert ledger.add_readings([later, first, replace(first, ready_replicas=2)]) == 1
    assert ledger.readings()[0::2] == [first, later]
    assert ledger.readings(since=NOON + timedelta(milliseconds=1)) == [later]
    assert ledger.readings("k1", until=NOON + timedelta(milliseconds=1))[0] == first
    assert ledger.readings("other") == []
    assert ledger.add_readings([]) == 0


def test_times_keep_their_moment_whatever_zone_they_came_in(store: Store) -> None:
    Deployments(store).record_intent(record())
    local = datetime(2026, 11, 20, 14, 0, 0, 123_000, tzinfo=timezone(timedelta(hours=2)))
    Ledger(store).add_readings([Reading("k1", local, 1, 549, "READY", "billing")])
    [reading] = Ledger(store).readings()
    assert reading.at == NOON + timedelta(milliseconds=123)
    assert reading.at.tzinfo is UTC
    with pytest.raises(ValueError, match="no time zone"):
        Ledger(store).readings(since=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_reading_of_an_unknown_deployment_is_refused_with_its_whole_batch(store: Store) -> None:
    Deployments(store).record_intent(record())
    good = Reading("k1", NOON, 1, 549, "READY", "polled")
    with pytest.raises(DataError):
        Ledger(store).add_readings([good, replace(good, deployment_key="unknown")])
    assert Ledger(store).readings() == []


def test_events_tell_who_did_what_and_the_newest_can_be_asked_for(store: Store) -> None:
    events = Events(store)
    made = [
        Event(NOON + timedelta(minutes=minute), "guard", "undeploy", "planning", {"why": "idle", "minutes": minute})
        for minute in range(3)
    ]
    for event in made:
        events.add(event)
    assert events.list() == made
    assert events.list(limit=2) == made[1:]
    assert events.list(since=made[1].at, until=made[2].at) == [made[1]]


def test_looks_that_saw_the_same_leave_the_first_and_the_last(store: Store) -> None:
    """A loop that looks each minute must not grow the ledger; what changed, or was seen otherwise, stays."""
    Deployments(store).record_intent(record())
    ledger = Ledger(store)

    def look(minute: int, **changes: object) -> Reading:
        seen = Reading("k1", NOON + timedelta(minutes=minute), 1, 549, "READY", "polled")
        return replace(seen, **changes)  # type: ignore[arg-type]

    for minute in range(100):
        ledger.add_readings([look(minute)])
    assert ledger.readings("k1") == [look(0), look(99)]

    other = [
        look(100, ready_replicas=0, state="STOPPED"),
        look(101, ready_replicas=0, state="STOPPED"),
        look(102, price_cents_per_hour=600),
        look(103, price_cents_per_hour=600, price_seen=False),
        look(104, price_cents_per_hour=600),
        look(105, price_cents_per_hour=600, known_by="event"),
        look(106, price_cents_per_hour=600),
        look(107, price_cents_per_hour=600, least_replicas=0, most_replicas=2),
    ]
    for one in other:
        ledger.add_readings([one])
    assert ledger.readings("k1")[2:] == other
