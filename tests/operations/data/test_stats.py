"""The verdict on the training log follows its thresholds exactly; advice names what keeps it from being better."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reasoning_cli.operations.data.stats import judge, sample_statistics
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.stats import sample_figures
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples

pytestmark = pytest.mark.both_engines

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def sample(model_type: str, number: int, age: timedelta = timedelta(hours=1), **more: object) -> Sample:
    made = Sample(
        id=f"{model_type} {age} {number}",
        created_at=NOW - age,
        model_type=model_type,
        model="m",
        source="original",
        origin="test",
        prompt=f"p{chr(0x4E00 + number)}",
        output="o",
    )
    return replace(made, **more)  # type: ignore[arg-type]


def add(
    store: Store, count: int, model_type: str = "planning", age: timedelta = timedelta(hours=1), **more: object
) -> None:
    Samples(store).insert_many([sample(model_type, number, age, **more) for number in range(count)])


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
    add(store, 150, "planning", timedelta(hours=25), decision="REPLY")
    add(store, 60, "should_respond", timedelta(hours=23))
    found = sample_statistics(store, NOW)
    assert found.figures.last_day == 60
    assert found.quality == "Good"
    assert found.recommendations == ("collect more should-respond samples: 60 now, 100 or more recommended",)


def test_one_type_alone_and_silence_are_advised_against(store: Store) -> None:
    add(store, 250, age=timedelta(days=2), decision="REPLY")
    found = sample_statistics(store, NOW)
    assert found.quality == "Narrow"
    assert [advice.split(":")[0].split(",")[0] for advice in found.recommendations] == [
        "let the agent do more",
        "collect more than one model type",
    ]


def advice(store: Store) -> list[str]:
    return [one.split(":")[0] for one in sample_statistics(store, NOW).recommendations]


def test_what_the_original_did_not_see_is_said(store: Store) -> None:
    add(store, 150, "should_respond", decision="RESPOND", agent_name="Nova", agent_id="1", shape="same")
    add(store, 10, "should_respond", timedelta(hours=2), decision="IGNORE", agent_name="Atlas", agent_id="2")
    add(store, 150, "planning", decision=None)
    assert advice(store) == [
        "100% of planning answers cannot be read and are not exported",
        "94% of should-respond samples decide RESPOND",
        "should-respond hardly ever decides STOP",
        "93% of should-respond samples are near-copies",
        "Nova took 94% of should-respond decisions",
    ]


def test_samples_too_long_for_the_model_and_old_news_are_said(store: Store) -> None:
    add(store, 100, "planning", timedelta(days=20), decision="REPLY", prompt_tokens=300, completion_tokens=20)
    add(store, 100, "coding", timedelta(days=20), decision="python")
    found = sample_statistics(store, NOW, windows={"planning": 319, "coding": 319})
    assert (found.figures.by_type["planning"].too_long, found.figures.by_type["coding"].too_long) == (100, 0)
    assert [one.split(":")[0] for one in found.recommendations] == [
        "let the agent do more",
        "import what the agent decided since",
        "100 planning samples are longer than the model's window",
    ]


def test_one_type_is_judged_for_itself(store: Store) -> None:
    add(store, 250, "planning", decision="REPLY")
    add(store, 10, "coding", decision="python")
    found = sample_statistics(store, NOW, wanted=SampleFilter(("planning",)))
    assert (found.figures.range.count, found.quality, found.recommendations) == (250, "Good", ())


def test_personal_data_is_looked_for_all_over_the_log(store: Store) -> None:
    add(store, 90, decision="REPLY")
    add(store, 10, "coding", decision="python", output="write to anna.berg@mail-host.example.com")
    found = sample_statistics(store, NOW, looked_at=100).personal
    assert (found.looked_at, found.holding, dict(found.kinds)) == (100, 10, {"email": 10})
    assert sample_statistics(store, NOW, looked_at=10).personal.holding == 1


@pytest.mark.parametrize("zone", ["Africa/Cairo", "America/Santiago", "Asia/Beirut", "America/Havana"])
def test_a_day_without_a_midnight_is_counted_in_the_systems_zone(
    store: Store, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=90 * number) for number in range(5600)]
    Samples(store).insert_many([replace(sample("planning", number), created_at=at) for number, at in enumerate(times)])
    expected = Counter(at.astimezone(ZoneInfo(zone)).date() for at in times)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        figures = sample_figures(store, NOW)
    time.tzset()
    assert {day: counts["planning"] for day, counts in figures.by_day.items()} == dict(expected)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Santiago", "Pacific/Apia", "Asia/Kathmandu"])
def test_each_decision_is_counted_on_its_day_in_the_zone(store: Store, zone: str) -> None:
    """By the hour through a year with changes of the clock; the other way of counting is asking each time."""
    times = [datetime(2011, 12, 20, tzinfo=UTC) + timedelta(hours=5 * number) for number in range(1800)]
    Samples(store).insert_many([replace(sample("planning", number), created_at=at) for number, at in enumerate(times)])
    expected = Counter(at.astimezone(ZoneInfo(zone)).date() for at in times)
    figures = sample_figures(store, NOW, zone=ZoneInfo(zone))
    assert {day: counts["planning"] for day, counts in figures.by_day.items()} == dict(expected)


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_clocks_that_are_wrong_by_ages_are_counted_too(store: Store, year: int) -> None:
    Samples(store).insert_many(
        [replace(sample("coding", 1), created_at=datetime(year, 12 if year > 1 else 1, 31, tzinfo=UTC))]
    )
    assert sum(counts["coding"] for counts in sample_figures(store, NOW).by_day.values()) == 1
