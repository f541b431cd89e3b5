"""What came of what an agent said is read off the decisions that follow in the room, in whatever order they come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.operations.data.outcomes import note_outcomes
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples

pytestmark = pytest.mark.both_engines

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def message(
    minute: float, who: str = "ann", asked: str | None = None, planned: str | None = None, room: str = "room-1"
) -> list[Sample]:
    """The decisions about one message: whether to respond, if that was asked, and the plan, if there was one."""
    decisions = [("should_respond", asked), ("planning", planned)]
    return [
        Sample(
            id=f"{room}-{minute}-{kind}",
            created_at=START + timedelta(minutes=minute, seconds=number),
            model_type=kind,
            model="m",
            source="original",
            origin="test",
            prompt=f"{kind} {minute}",
            output="",
            decision=decision,
            agent_id="agent",
            room_id=room,
            run_id=f"{room}-{minute}",
            entity_id=who,
        )
        for number, (kind, decision) in enumerate(decisions)
        if decision is not None
    ]


def take(store: Store, samples: list[Sample]) -> None:
    Samples(store).insert_many(samples)
    note_outcomes(store, samples)


def outcomes(store: Store) -> dict[str, str | None]:
    return {sample.id: sample.feedback for sample in Samples(store).iterate()}


SPOKEN = message(0, asked="RESPOND", planned="REPLY")


@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        ([], None),
        (message(5, asked="RESPOND", planned="REPLY"), "answered"),
        (message(5, planned="REPLY"), "answered"),
        (message(5, planned="IGNORE"), "answered"),  # a direct message; that it needed no reply says nothing
        (message(5, asked="IGNORE"), None),
        (message(5, who="bob", asked="RESPOND", planned="REPLY"), None),
        (message(5, asked="STOP", planned="IGNORE"), "stopped"),
        (message(5, who="bob", asked="STOP"), "stopped"),
        (message(5, asked="RESPOND", planned="REPLY,MUTE_ROOM"), "stopped"),
        (message(45, planned="REPLY"), None),
        (message(5, planned="REPLY", room="room-2"), None),
        ([*message(5, asked="IGNORE"), *message(6, asked="RESPOND", planned="REPLY")], "answered"),
        ([*message(5, who="bob", planned="REPLY"), *message(6, who="bob", asked="STOP")], None),
        ([*message(5, who="bob", planned="REPLY"), *message(6, planned="REPLY")], "answered"),
    ],
)
def test_what_follows_says_what_came_of_it(store: Store, then: list[Sample], outcome: str | None) -> None:
    take(store, [*SPOKEN, *then])
    found = outcomes(store)
    assert [found[sample.id] for sample in SPOKEN] == [outcome, outcome]


def test_silence_has_no_outcome(store: Store) -> None:
    take(store, [*message(0, asked="IGNORE"), *message(1, planned="IGNORE"), *message(2, planned="REPLY")])
    assert set(outcomes(store).values()) == {None}


def test_where_one_id_stands_for_all_rooms_nothing_is_concluded(store: Store) -> None:
    take(store, [*message(0, planned="REPLY", room="agent"), *message(1, planned="REPLY", room="agent")])
    assert set(outcomes(store).values()) == {None}


def test_any_order_and_any_parts_end_the_same(store: Store, tmp_path: Path) -> None:
    parts = [
        SPOKEN,
        message(20, asked="RESPOND", planned="REPLY"),
        message(25, asked="STOP", planned="IGNORE"),
        message(70, asked="RESPOND", planned="REPLY"),
        message(95, planned="REPLY"),
    ]
    take(store, list(itertools.chain(*parts)))
    expected = outcomes(store)
    assert sorted(map(str, expected.values())) == sorted(["answered"] * 4 + ["stopped"] * 2 + ["None"] * 3)
    for number, order in enumerate(itertools.islice(itertools.permutations(parts), 0, None, 7)):
        with open_store(tmp_path / f"{number}.db") as other:
            for part in order:
                take(other, part)
            assert outcomes(other) == expected, number


def test_doing_it_again_changes_nothing_and_other_feedback_stays(store: Store) -> None:
    samples = [*SPOKEN, *message(5, planned="REPLY")]
    take(store, samples)
    store.write("UPDATE samples SET feedback='thumbs up' WHERE id=?", (SPOKEN[0].id,))
    assert note_outcomes(store, samples) == {}
    assert outcomes(store)[SPOKEN[0].id] == "thumbs up"


@pytest.mark.sqlite("the plan of a question is SQLite's")
def test_a_room_is_read_by_its_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []
    rows = store.rows
    monkeypatch.setattr(store, "rows", lambda sql, parameters: asked.append((sql, parameters)) or rows(sql, parameters))
    note_outcomes(store, SPOKEN)
    [(sql, parameters)] = asked
    [plan] = [row["detail"] for row in rows(f"EXPLAIN QUERY PLAN {sql}", parameters)]  # type: ignore[arg-type]
    assert plan == "SEARCH samples USING INDEX samples_room_time (<expr>=? AND created_at>? AND created_at<?)"
