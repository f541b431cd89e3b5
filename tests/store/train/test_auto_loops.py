"""Training loops in the store: set, gone on with, and what counts as new."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.train.auto_loops import Counted, Loop, Loops

pytestmark = pytest.mark.both_engines

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def set_loop(store: Store, *, counted: Counted = "labelled", min_new: int = 500) -> Loop:
    return Loops(store).set(
        "planning",
        every=timedelta(days=7),
        min_new=min_new,
        counted=counted,
        max_cost_cents=2000,
        unattended=False,
        max_error=None,
        by="ben",
        at=AT,
    )


def put(store: Store, *names: str, model_type: str = "planning") -> None:
    rows = [Sample(one, AT - timedelta(days=90), model_type, "m", "original", "x", one, "o") for one in names]
    Samples(store).insert_many(rows)


def test_it_is_as_it_was_set_and_new_conditions_leave_its_round_alone(store: Store) -> None:
    loop = set_loop(store)
    assert (loop.every, loop.min_new, loop.step, loop.unattended) == (timedelta(days=7), 500, "resting", False)
    Loops(store).update("planning", step="training", run=3, begun_at=AT, line="run 3", line_at=AT, told=False)
    loop = set_loop(store, min_new=10)
    assert (loop.min_new, loop.step, loop.run, loop.begun_at, loop.told) == (10, "training", 3, AT, False)
    assert Loops(store).all() == [loop]
    assert Loops(store).remove("planning")
    assert not Loops(store).remove("planning")
    assert Loops(store).all() == []
    assert Loops(store).update("planning", step="resting") is None


def test_all_that_came_is_new_whatever_date_it_bears(store: Store) -> None:
    loop = set_loop(store, counted="all")
    put(store, "a", "b")
    put(store, "c", model_type="coding")
    assert Loops(store).new_samples(loop) == 2
    after = Loops(store).update("planning", seen_seq=Loops(store).newest_sample(), begun_at=AT)
    assert after is not None
    assert Loops(store).new_samples(after) == 0
    put(store, "d")
    assert Loops(store).new_samples(after) == 1


def test_labels_count_on_new_samples_and_on_old_ones_that_were_labelled_since(store: Store) -> None:
    put(store, "a", "b", "c")
    loop = set_loop(store)
    Labels(store).set([Labelling("a", "good")], at=AT - timedelta(hours=1), by="ben")
    assert Loops(store).new_samples(loop) == 1
    after = Loops(store).update("planning", seen_seq=Loops(store).newest_sample(), begun_at=AT)
    assert after is not None
    assert Loops(store).new_samples(after) == 0
    Labels(store).set([Labelling("b", "corrected", "other")], at=AT + timedelta(hours=1), by="ben")
    assert Loops(store).new_samples(after) == 1
    Labels(store).set([Labelling("b", None)], at=AT + timedelta(hours=2), by="ben")
    assert Loops(store).new_samples(after) == 0
