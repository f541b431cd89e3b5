"""A label and its history change together; what is undone is exactly as it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.training_log import Samples
from tests.store.samples.test_training_log import NOON, sample

pytestmark = pytest.mark.both_engines


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        Samples(store).insert_many([sample(number) for number in range(3)])
        yield store


def state(store: Store, number: int = 0) -> tuple[str | None, str | None]:
    found = Samples(store).get(f"sample-{number}")
    assert found is not None
    return found.label, found.corrected


def test_every_change_is_kept_with_who_when_and_what_it_was(store: Store) -> None:
    labels = Labels(store)
    assert labels.set([Labelling("sample-0", "good")], at=NOON, by="ada@host") == [1]
    later = NOON + timedelta(hours=1)
    assert labels.set([Labelling("sample-0", "corrected", "better", "a note")], at=later, by="bo@host") == [2]
    assert state(store) == ("corrected", "better")
    second, first = labels.history("sample-0")
    assert (first.at, first.by, first.label, first.was_label, first.note) == (NOON, "ada@host", "good", None, None)
    assert (second.at, second.by, second.answer, second.note) == (later, "bo@host", "better", "a note")
    assert (second.was_label, second.was_answer) == ("good", None)
    assert labels.history(by="ada@host") == [first]
    assert labels.history(before=2, limit=5) == [first]
    assert labels.history("sample-1") == labels.history("nothing") == []


def test_the_same_label_again_and_one_for_a_sample_that_is_gone_are_no_change(store: Store) -> None:
    labels = Labels(store)
    every = [Labelling("sample-0", "bad"), Labelling("gone", "bad"), Labelling("sample-1", None)]
    assert labels.set(every, at=NOON, by="ada") == [1, None, None]
    assert labels.set(every, at=NOON, by="ada") == [None, None, None]
    assert len(labels.history()) == 1


def test_undoing_gives_back_what_was_and_is_kept_too(store: Store) -> None:
    labels = Labels(store)
    labels.set([Labelling("sample-0", "corrected", "first")], at=NOON, by="ada")
    labels.set([Labelling("sample-0", "bad")], at=NOON, by="ada")
    assert labels.undo(2, at=NOON, by="ada")
    assert state(store) == ("corrected", "first")
    undone = labels.history("sample-0")[0]
    assert (undone.undoes, undone.label, undone.answer, undone.was_label) == (2, "corrected", "first", "bad")
    assert not labels.undo(2, at=NOON, by="ada"), "it is undone"
    assert not labels.undo(99, at=NOON, by="ada")
    assert labels.undo(1, at=NOON, by="ada"), "what came after it was undone"
    assert state(store) == (None, None)


def test_what_was_labelled_anew_since_is_not_undone(store: Store) -> None:
    labels = Labels(store)
    for label in ("good", "bad", "good"):
        labels.set([Labelling("sample-0", label)], at=NOON, by="ada")
    assert not labels.undo(1, at=NOON, by="ada"), "it is good again by a later word"
    assert not labels.undo(2, at=NOON, by="ada")
    assert labels.undo(3, at=NOON, by="ada")
    assert state(store) == ("bad", None)


def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    labellings = [Labelling(f"sample-{number}", "good") for number in range(2)]
    refused = Labelling("sample-2", "good", note=object())  # type: ignore[arg-type]  # which no engine can store
    with pytest.raises(DataError):
        Labels(store).set([*labellings, refused], at=NOON, by="ada")
    assert state(store) == (None, None)
    assert Labels(store).history() == []


def test_the_history_goes_with_its_sample(store: Store) -> None:
    Labels(store).set([Labelling("sample-0", "good")], at=NOON, by="ada")
    store.write("DELETE FROM samples WHERE id = 'sample-0'")
    assert Labels(store).history() == []
    assert store.number("SELECT count(*) FROM labels") == 0
