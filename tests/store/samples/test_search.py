"""A search finds what is there, and never what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.data.search import bring_up_to_date, expression_of, search_samples
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.search import BATCH, HIT_BEGINS, HIT_ENDS, Search
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from tests.store.samples.test_training_log import NOON, sample

pytestmark = pytest.mark.both_engines

ANY = SampleFilter()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        Samples(store).insert_many(
            [
                sample(1, "coding", prompt="Fix the Parser, please", output="It is fixed"),
                sample(2, "coding", prompt="今日の予定を教えてください", output="Café at nine"),
                sample(3, "coding", prompt="parse the parser of parsers", output="nothing", agent_name="Nova"),
            ]
        )
        bring_up_to_date(store)
        yield store


def found(store: Store, typed: str, wanted: SampleFilter = ANY, **more: object) -> list[str]:
    options: dict[str, object] = {"after": None, "limit": 10} | more
    return [hit.row.id for hit in search_samples(store, typed, wanted, **options).hits]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "numbers"),
    [
        ("parser", [3, 1]),
        ("PARSER please", [1]),
        ('"the parser"', [3, 1]),
        ('"parser the"', []),
        ("pars*", [3, 1]),
        ("pars", []),
        ("fix OR cafe", [2, 1]),
        ("parser NOT please", [3]),
        ("予定", [2]),
        ("定予", []),
        ("AND parser", []),  # a word that is not there
        ("parser AND", []),
        ("parser) (the", [3, 1]),
        ("the:parser", [3, 1]),
        ('"the parser', [3, 1]),
        ("zebra", []),
    ],
)
def test_what_is_typed_is_found(store: Store, typed: str, numbers: list[int]) -> None:
    assert found(store, typed) == [f"sample-{number}" for number in numbers]


def test_what_holds_no_word_is_refused() -> None:
    for typed in ("", "  ", '""', "!?", "*"):
        with pytest.raises(UsageError, match="no word"):
            expression_of(typed)


def test_the_words_around_a_hit_are_shown(store: Store) -> None:
    (hit,) = search_samples(store, "予定", ANY, after=None, limit=1).hits
    assert hit.snippet == f"今日の{HIT_BEGINS}予定{HIT_ENDS}を教えてください"


def test_filters_and_pages_hold_for_a_search_too(store: Store) -> None:
    assert found(store, "parser", SampleFilter(agent="Nova")) == ["sample-3"]
    assert found(store, "parser", SampleFilter(since=NOON + timedelta(minutes=2))) == ["sample-3"]
    first = search_samples(store, "parser", ANY, after=None, limit=1)
    assert (first.more, [hit.row.id for hit in first.hits]) == (True, ["sample-3"])
    assert found(store, "parser", after="sample-3", limit=1) == ["sample-1"]


def test_what_is_added_changed_or_deleted_is_found_as_it_is(store: Store) -> None:
    Samples(store).insert_many([sample(4, "coding", prompt="zebra", output="x")])
    assert found(store, "zebra") == []
    assert bring_up_to_date(store) == 1
    assert found(store, "zebra") == ["sample-4"]
    store.write("UPDATE samples SET prompt = 'lion' WHERE id = 'sample-4'")
    assert found(store, "zebra") == [], "before it was read anew"
    bring_up_to_date(store)
    assert found(store, "lion") == ["sample-4"]
    Labels(store).set([Labelling("sample-4", "corrected", "a giraffe")], at=NOON, by="ada")
    assert bring_up_to_date(store) == 1
    assert found(store, "giraffe") == ["sample-4"]
    Labels(store).set([Labelling("sample-1", "good")], at=NOON, by="ada")
    assert bring_up_to_date(store) == 0, "a label changes no words"
    store.write("DELETE FROM samples WHERE id IN ('sample-4', 'sample-3')")
    assert found(store, "lion") == found(store, "giraffe") == []
    Samples(store).insert_many([sample(5, "coding", prompt="a number used before", output="x")])
    bring_up_to_date(store)
    assert found(store, "number") == ["sample-5"]


def test_what_changes_while_it_is_read_is_read_again(store: Store) -> None:
    Samples(store).insert_many([sample(6, "coding", prompt="first", output="x")])

    def words(model_type: str, prompt: str, answer: str) -> tuple[str, str]:
        if prompt == "first":
            store.write("UPDATE samples SET prompt = 'second' WHERE id = 'sample-6'")
        return prompt, answer

    list(Search(store).read(words))
    assert found(store, "first") == []
    assert found(store, "second") == ["sample-6"]


def test_reading_goes_on_where_it_was_left_and_starts_anew_after_a_drop(store: Store) -> None:
    Samples(store).insert_many([sample(100 + n, "coding", prompt=f"many {n}", output="x") for n in range(BATCH + 10)])
    reading = Search(store).read(lambda model_type, prompt, answer: (prompt, answer))
    assert next(reading) == BATCH
    reading.close()  # type: ignore[attr-defined]
    assert Search(store).unread() == 10
    assert bring_up_to_date(store) == 10
    Search(store).drop()
    Search(store).drop()
    assert not Search(store).is_made
    assert bring_up_to_date(store) == BATCH + 13
    assert store.check().problems == ()
