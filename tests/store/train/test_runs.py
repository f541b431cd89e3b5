"""Training runs in the store: one of a type at a time, and found by whatever the result is called."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.exports import NumberSet, record_export
from reasoning_cli.store.train.runs import TrainingRuns

pytestmark = pytest.mark.both_engines

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def test_one_run_of_a_type_goes_on_until_it_is_over(store: Store) -> None:
    runs = TrainingRuns(store)
    first = runs.begin("planning", base="org/small", method="sft", plan={"seed": 1}, at=NOW)
    assert runs.begin("planning", base="org/other", method="sft", plan={"seed": 2}, at=NOW) == first
    other = runs.begin("coding", base="org/small", method="sft", plan={}, at=NOW)
    assert (first.number, first.stage, first.plan, other.number) == (1, "planned", {"seed": 1}, 2)
    later = NOW + timedelta(hours=2)
    assert runs.end(1, at=later, stage="failed", problem="refused")
    assert not runs.end(1, at=later + timedelta(hours=1), stage="done", problem=None)
    done = runs.get(1)
    assert done is not None
    assert (done.over, done.finished_at, done.problem, done.updated_at) == (True, later, "refused", later)
    assert runs.update(1, at=later, stage="uploaded") == done
    assert runs.going("planning") is None
    again = runs.begin("planning", base="org/other", method="sft", plan={}, at=later)
    assert again.number == 3
    assert [one.number for one in runs.all("planning")] == [1, again.number]
    assert runs.latest("planning") == again
    assert runs.get(99) is None


def test_a_run_is_found_by_whatever_its_model_is_called(store: Store) -> None:
    runs = TrainingRuns(store)
    run = runs.begin("planning", base="org/small", method="sft", plan={}, at=NOW)
    run = runs.update(
        run.number,
        at=NOW,
        stage="done",
        suffix="planning-r1-0a1b2c3d",
        job_id="ft-1",
        model_id="ml_1",
        model_name="acme/planning-r1-0a1b2c3d",
        adapter_id="ml_2",
        adapter_name="acme/planning-r1-0a1b2c3d-adapter",
    )
    for name in (
        *("ft-1", "ml_1", "ml_2", "acme/planning-r1-0a1b2c3d", "planning-r1-0a1b2c3d"),
        "planning-r1-0a1b2c3d-adapter",
    ):
        assert runs.of_model(name) == run
    for name in ("acme/planning", "adapter", "", "ml_3"):
        assert runs.of_model(name) is None


def test_what_a_run_was_trained_on_is_known_by_the_hash_of_its_files(store: Store) -> None:
    runs = TrainingRuns(store)
    run = runs.begin("planning", base="org/small", method="sft", plan={}, at=NOW)
    assert runs.trained_on(run.number) is None
    for sha256, numbers in (("aa", [3, 4, 9]), ("bb", [5])):
        held = NumberSet(3)
        held.update(numbers)
        record_export(store, at=NOW, path=f"/x/{sha256}", sha256=sha256, manifest={}, samples=held)
    runs.update(run.number, at=NOW, stage="exported", train_sha256="aa", validation_sha256="bb")
    train, validation = runs.trained_on(run.number), runs.trained_on(run.number, "validation")
    assert train is not None
    assert validation is not None
    assert (list(train), list(validation)) == ([3, 4, 9], [5])
