"""A page of the log is what a full look gives, in the order of an index, whatever it is filtered by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.listing import Pages
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from reasoning_cli.values import MODEL_TYPES
from tests.store.samples.test_training_log import NOON, sample

pytestmark = pytest.mark.both_engines

ROOMS = ("room-0001-a", "room-0001-b", None)
FILTERS = [
    SampleFilter(),
    SampleFilter(("planning",)),
    SampleFilter(("planning", "coding")),
    SampleFilter(agent="agent-0"),
    SampleFilter(agent="Nova"),
    SampleFilter(agent="nobody"),
    SampleFilter(("coding",), agent="Nova", source="slot"),
    SampleFilter(room="room-0001-b"),
    SampleFilter(source="slot"),
    SampleFilter(label="good"),
    SampleFilter(label="none"),
    SampleFilter(decision="STOP"),
    SampleFilter(("planning",), decision="STOP"),
    SampleFilter(since=NOON + timedelta(minutes=20), until=NOON + timedelta(minutes=40)),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        Samples(store).insert_many([made(number) for number in range(90)])
        yield store


def made(number: int) -> Sample:
    return sample(
        number,
        MODEL_TYPES[number % 3],
        created_at=NOON + timedelta(minutes=number // 3),  # three at a time
        agent_id=("agent-0", None, "Nova")[number % 3],
        agent_name=("Nova", "Nova", "other")[number % 3],
        room_id=ROOMS[number % 7 % 3],
        source=("original", "slot")[number % 5 % 2],
        label=("good", None)[number % 4 % 2],
        decision=("STOP", "REPLY", None)[number % 8 % 3],
    )


@pytest.mark.parametrize("wanted", FILTERS)
def test_pages_together_are_everything_newest_first(store: Store, wanted: SampleFilter) -> None:
    expected = [one.seq for one in Samples(store).iterate(wanted)][::-1]
    pages = Pages(store)
    seen: list[int] = []
    while page := pages.page(wanted, after=seen[-1] if seen else None, limit=7):
        seen += [row.seq for row in page]
    assert seen == expected
    assert list(pages.numbers(wanted)) == expected


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.sqlite("the plan of a question is SQLite's")
def test_a_page_is_read_in_the_order_of_an_index(store: Store, wanted: SampleFilter) -> None:
    statements: list[str] = []
    store.connection.set_trace_callback(statements.append)
    Pages(store).page(wanted, limit=10)
    store.connection.set_trace_callback(None)
    for statement in statements:
        plan = [row["detail"] for row in store.rows(f"EXPLAIN QUERY PLAN {statement}")]
        assert any("INDEX samples_" in step for step in plan), plan
        # Among rows of the same millisecond there may be sorting; never of all of them.
        assert not any(step == "USE TEMP B-TREE FOR ORDER BY" for step in plan), plan
        if wanted.room or wanted.agent or wanted.source:
            assert any(step.startswith("SEARCH") for step in plan), plan


def test_of_a_long_prompt_only_the_end_is_read_and_of_long_code_the_beginning(store: Store) -> None:
    Samples(store).insert_many([sample(500, prompt="x" * 50_000 + "the end")])
    (row,) = Pages(store).page(SampleFilter(), limit=1)
    assert row.tail is not None
    assert len(row.tail) == 20_000
    assert row.tail.endswith("xthe end")
    Samples(store).insert_many(
        [sample(501, "coding", prompt="the beginning" + "x" * 50_000, created_at=NOON + timedelta(1))]
    )
    (row,) = Pages(store).page(SampleFilter(), limit=1)
    assert row.tail is not None
    assert (row.tail[:13], len(row.tail)) == ("the beginning", 20_000)
    assert Pages(store).page(SampleFilter(), limit=1, with_tail=False)[0].tail is None


def test_an_id_is_found_by_how_it_begins_and_told_from_its_neighbours(tmp_path: Path) -> None:
    with open_store(tmp_path / "ids.db") as store:
        Samples(store).insert_many([sample(1, id=one) for one in ("aa", "aab-1", "aab-2", "b", "名前1", "名前2")])
        pages = Pages(store)
        assert pages.ids_like("aa") == ["aa", "aab-1", "aab-2"]
        assert pages.ids_like("aa", 2) == ["aa", "aab-1"]
        assert pages.ids_like("名") == ["名前1", "名前2"]
        assert pages.ids_like("%") == pages.ids_like("c") == []
        assert [pages.distinct_length(one) for one in ("aa", "aab-1", "b", "名前2")] == [3, 5, 1, 3]
