"""The verdict on the training log follows its thresholds exactly; a clean-up deletes what its plan showed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.samples import judge, plan_cleanup, run_cleanup, sample_statistics
from reasoning_cli.store.database import Store, open_store
from reasoning_cli.store.samples import Sample, SampleRange, Samples

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def add(store: Store, count: int, model_type: str = "planning", age: timedelta = timedelta(hours=1)) -> None:
    Samples(store).insert_many(
        [
            Sample(
                id=f"{model_type} {age} {number}",
                created_at=NOW - age,
                model_type=model_type,
                model="m",
                source="original",
                origin="test",
                prompt=f"p{number}",
                output="o",
            )
            for number in range(count)
        ]
    )


@pytest.mark.parametrize(
    ("total", "recent", "types", "verdict"),
    [
        (0, 0, 0, "Insufficient"),
        (49, 49, 3, "Insufficient"),
        (50, 0, 1, "Limited"),
        (199, 99, 3, "Limited"),
        (200, 0, 1, "Narrow"),
        (5000, 99, 1, "Narrow"),
        (200, 4, 2, "Stale"),
        (5000, 4, 3, "Stale"),
        (200, 5, 2, "Good"),
        (1000, 99, 3, "Good"),
        (1001, 5, 2, "Excellent"),
    ],
)
def test_the_first_rule_that_fits_gives_the_verdict(total: int, recent: int, types: int, verdict: str) -> None:
    assert judge(total, recent, types)[0] == verdict


def test_an_empty_log_is_insufficient_and_says_what_to_do(store: Store) -> None:
    found = sample_statistics(store, NOW)
    assert found.quality == "Insufficient"
    assert found.recommendations == ("let the agent do more: 0 samples in the last 24 hours",)


def test_the_last_day_and_the_types_shape_the_advice(store: Store) -> None:
    add(store, 150, "planning", timedelta(hours=25))
    add(store, 60, "should_respond", timedelta(hours=23))
    found = sample_statistics(store, NOW)
    assert found.figures.last_day == 60
    assert found.quality == "Good"
    assert found.recommendations == ("collect more should-respond samples: 60 now, 100 or more recommended",)


def test_one_type_alone_and_silence_are_advised_against(store: Store) -> None:
    add(store, 250, age=timedelta(days=2))
    found = sample_statistics(store, NOW)
    assert found.quality == "Narrow"
    assert [advice.split(":")[0].split(",")[0] for advice in found.recommendations] == [
        "let the agent do more",
        "collect more than one model type",
    ]


def test_a_cleanup_deletes_exactly_what_its_plan_showed(store: Store) -> None:
    add(store, 3, age=timedelta(days=40))
    add(store, 2, age=timedelta(days=31))
    add(store, 4, age=timedelta(days=30))
    plan = plan_cleanup(store, 30, NOW)
    assert plan.samples == SampleRange(5, NOW - timedelta(days=40), NOW - timedelta(days=31))
    assert Samples(store).count() == 9
    seen: list[int] = []
    assert run_cleanup(store, plan, seen.append) == 5
    assert seen == [5]
    assert Samples(store).count() == 4
    assert plan_cleanup(store, 30, NOW).samples == SampleRange(0, None, None)
    assert run_cleanup(store, plan) == 0


@pytest.mark.parametrize("days", [0, -1, 10**9, 10**30])
def test_days_that_make_no_sense_are_a_mistake_on_the_command_line(store: Store, days: int) -> None:
    with pytest.raises(UsageError, match="no number of days"):
        plan_cleanup(store, days, NOW)
