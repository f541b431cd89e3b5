"""A clean-up deletes what its plan showed, leaves labels alone, and stands in nobody's way."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.data.retention import Retention, plan_cleanup, run_cleanup
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.retention import Cut, delete_cut, small_steps
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, SampleRange, Samples

pytestmark = pytest.mark.both_engines

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONTH = Retention(days=30)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def add(store: Store, count: int, days: float, model_type: str = "planning", **more: object) -> None:
    made = [
        Sample(
            id=f"{model_type} {days} {number} {more.get('label')}",
            created_at=NOW - timedelta(days=days),
            model_type=model_type,
            model="m",
            source="original",
            origin="test",
            prompt=f"p{number}",
            output="o",
        )
        for number in range(count)
    ]
    Samples(store).insert_many([replace(one, **more) for one in made])  # type: ignore[arg-type]


def left(store: Store) -> list[str]:
    return [one.id for one in Samples(store).iterate()]


def test_a_cleanup_deletes_exactly_what_its_plan_showed(store: Store) -> None:
    add(store, 3, 40)
    add(store, 2, 31, "coding")
    add(store, 4, 30)
    plan = plan_cleanup(store, NOW, MONTH)
    assert (plan.count, plan.protected, plan.oldest) == (5, 0, NOW - timedelta(days=40))
    assert plan.by_type["coding"].samples == SampleRange(2, NOW - timedelta(days=31), NOW - timedelta(days=31))
    assert Samples(store).count() == 9
    seen: list[int] = []
    assert run_cleanup(store, plan, NOW, on_progress=seen.append) == 5
    assert seen[-1] == 5
    assert Samples(store).count() == 4
    assert plan_cleanup(store, NOW, MONTH).count == 0
    assert run_cleanup(store, plan, NOW) == 0
    events = Events(store).list()
    assert [(one.actor, one.action, dict(one.detail)) for one in events] == [
        ("operator", "cleanup", {"deleted": 5, "days": 30})
    ]


def test_labelled_samples_stay_unless_told_otherwise(store: Store) -> None:
    add(store, 3, 40)
    add(store, 2, 40, label="good")
    add(store, 1, 41, label="corrected", corrected="better")
    plan = plan_cleanup(store, NOW, MONTH)
    assert (plan.count, plan.protected) == (3, 3)
    run_cleanup(store, plan, NOW)
    assert Samples(store).count() == Samples(store).count(SampleFilter(label="good")) + 1 == 3
    assert (plan_cleanup(store, NOW, MONTH).count, plan_cleanup(store, NOW, MONTH).protected) == (0, 3)
    all_of_it = plan_cleanup(store, NOW, MONTH, keep_labelled=False)
    assert (all_of_it.count, all_of_it.protected) == (3, 0)
    run_cleanup(store, all_of_it, NOW)
    assert left(store) == []


def test_a_label_given_after_the_plan_keeps_a_sample(store: Store) -> None:
    add(store, 3, 40)
    plan = plan_cleanup(store, NOW, MONTH)
    store.write("UPDATE samples SET label='good' WHERE id='planning 40 1 None'")
    assert run_cleanup(store, plan, NOW) == 2
    assert left(store) == ["planning 40 1 None"]


def test_the_newest_of_each_type_are_kept(store: Store) -> None:
    for days in range(10):
        add(store, 2, days)
        add(store, 1, days, "coding")
    plan = plan_cleanup(store, NOW, Retention(most=3))
    assert {name: part.samples.count for name, part in plan.by_type.items()} == {"planning": 17, "coding": 7}
    assert run_cleanup(store, plan, NOW) == 24
    assert left(store) == [
        *("coding 2 0 None", "planning 1 1 None", "coding 1 0 None"),
        *("planning 0 0 None", "planning 0 1 None", "coding 0 0 None"),
    ]


@pytest.mark.parametrize(("days", "most", "count"), [(5, 3, 3), (2, 9, 3), (99, 99, 10)])
def test_whichever_limit_is_the_tighter_one_counts(store: Store, days: int, most: int, count: int) -> None:
    for age in range(10):
        add(store, 1, age)
    plan = plan_cleanup(store, NOW, Retention(days=days, most=most))
    run_cleanup(store, plan, NOW)
    assert Samples(store).count() == count


def test_one_type_alone(store: Store) -> None:
    add(store, 2, 40)
    add(store, 2, 40, "coding")
    run_cleanup(store, plan_cleanup(store, NOW, MONTH, model_types=("coding",)), NOW)
    assert Samples(store).count() == Samples(store).count(SampleFilter(model_types=("planning",))) == 2


@pytest.mark.parametrize("days", [0, -1, 10**9, 10**30])
def test_days_that_make_no_sense_are_a_mistake_on_the_command_line(store: Store, days: int) -> None:
    with pytest.raises(UsageError, match="not a number of days"):
        plan_cleanup(store, NOW, Retention(days=days))


def test_numbers_that_make_no_sense_are_a_mistake_on_the_command_line(store: Store) -> None:
    with pytest.raises(UsageError, match="not a number of samples"):
        plan_cleanup(store, NOW, Retention(most=0))


def test_the_file_shrinks_though_many_samples_are_of_one_moment(store: Store, store_engine: str) -> None:
    """And of each of those some are kept: choosing them again and again must not go on for ever."""
    for first in range(0, 3000, 500):
        Samples(store).insert_many(
            [
                Sample(
                    id=str(number),
                    created_at=NOW - timedelta(days=40),
                    model_type="planning",
                    model="m",
                    source="original",
                    origin="test",
                    prompt=f"{number} " + "x" * 2000,
                    output="o",
                    label="good" if number % 3 == 0 else None,
                )
                for number in range(first, first + 500)
            ]
        )
    store.shorten_log()
    before = store.size_bytes()
    assert run_cleanup(store, plan_cleanup(store, NOW, MONTH), NOW) == 2000
    assert Samples(store).count() == 1000
    if store_engine == "sqlite":  # a server gives space back as it sees fit
        assert store.size_bytes() < before / 2
    assert store.check().problems == ()


def test_an_interrupted_cleanup_goes_on(store: Store, store_engine: str) -> None:
    add(store, 500, 40)

    def stop(gone: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cleanup(store, plan_cleanup(store, NOW, MONTH), NOW, on_progress=stop)
    rest = plan_cleanup(store, NOW, MONTH).count
    assert 0 < rest < 500
    assert run_cleanup(store, plan_cleanup(store, NOW, MONTH), NOW) == rest
    assert [one.detail["deleted"] for one in Events(store).list()] == [500 - rest, rest]
    if store_engine == "sqlite":
        assert store.number("PRAGMA wal_autocheckpoint") == 1000


@pytest.mark.sqlite("a reader keeps its write-ahead log from being cut")
def test_cutting_the_log_does_not_wait_for_a_reader(store: Store) -> None:
    """Else everybody who writes would wait with it."""
    add(store, 300, 40)
    reader = sqlite3.connect(store.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM samples").fetchone()
    done = threading.Event()
    cleaner = threading.Thread(
        target=lambda: (run_cleanup(store, plan_cleanup(store, NOW, MONTH), NOW), done.set()), daemon=True
    )
    cleaner.start()
    assert done.wait(60)
    assert reader.execute("SELECT count(*) FROM samples").fetchone() == (300,)
    reader.close()
    assert store.number("PRAGMA busy_timeout") == 30_000


def test_a_cut_of_a_place_takes_what_is_before_it(store: Store) -> None:
    add(store, 5, 3)
    with small_steps(store) as step:
        cut = Cut("planning", NOW - timedelta(days=3), seq=3)
        assert list(delete_cut(store, step, cut, keep_labelled=True)) == [2]
