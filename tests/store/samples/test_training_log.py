"""The training log keeps exact texts once, hands them out in order and in pieces, and counts without reading them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_cli.errors import DataError
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.stats import sample_figures
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, SampleRange, Samples

pytestmark = pytest.mark.both_engines

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def sample(number: int, model_type: str = "planning", **changes: object) -> Sample:
    made = Sample(
        id=f"sample-{number}",
        created_at=NOON + timedelta(minutes=number),
        model_type=model_type,
        model="TEXT_LARGE",
        source="original",
        origin="elizaos-logs",
        prompt=f"prompt {number}",
        output=f"output {number}",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def ids(samples: Iterator[Sample]) -> list[str]:
    return [found.id for found in samples]


def test_a_sample_comes_back_exactly_as_it_went_in_and_is_kept_once(store: Store) -> None:
    whole = sample(
        1,
        prompt="línea\r\n\t“quoted” 名前 🙂\n\n",
        output="<response>\n</response>",
        system="You are Nova.",
        decision="REPLY",
        agent_id="agent",
        agent_name="Nova",
        room_id="room",
        run_id="run",
        entity_id="entity",
        provider="openai",
        prompt_tokens=10,
        completion_tokens=2,
        latency_ms=82,
        cost_micros=310,
        label="good",
        feedback="fine",
        metadata={"nested": {"list": [1, None, "ü"]}},
    )
    assert Samples(store).insert_many([whole]) == 1
    assert Samples(store).insert_many([replace(whole, prompt="another"), sample(2)]) == 1
    found = Samples(store).get("sample-1")
    assert found == replace(whole, seq=1)
    assert Samples(store).get("nobody") is None


@settings(max_examples=50)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_unicode_text_is_kept_exactly(store: Store, text: str) -> None:
    made = sample(0, id=f"text {text!r}", prompt=text, output=text, system=text, metadata={"text": text})
    Samples(store).insert_many([made])
    found = Samples(store).get(made.id)
    assert found is not None
    assert replace(found, seq=0) == made


def test_text_that_is_no_unicode_is_refused_with_its_whole_batch(store: Store) -> None:
    for bad in (sample(2, prompt="\ud800"), sample(2, agent_name="\ud800")):
        with pytest.raises(DataError, match="not valid Unicode"):
            Samples(store).insert_many([sample(1), bad])
    assert Samples(store).count() == 0


def test_samples_stream_oldest_first_whatever_order_they_came_in(store: Store) -> None:
    samples = Samples(store)
    samples.insert_many([sample(number) for number in (3, 1, 2)])
    samples.insert_many([sample(9, created_at=NOON + timedelta(minutes=2))])
    assert ids(samples.iterate()) == ["sample-1", "sample-2", "sample-9", "sample-3"]


def test_paging_by_the_last_one_seen_gives_every_sample_once(store: Store) -> None:
    samples = Samples(store)
    samples.insert_many([sample(number, created_at=NOON + timedelta(minutes=number % 4)) for number in range(10)])
    for wanted in (SampleFilter(), SampleFilter(("planning",)), SampleFilter(limit=7)):
        everything = ids(samples.iterate(wanted))
        paged: list[str] = []
        last: int | None = None
        while page := [found for found, _ in zip(samples.iterate(wanted, after=last), range(3), strict=False)]:
            paged += [found.id for found in page]
            last = page[-1].seq
        assert paged == everything


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (SampleFilter(), [0, 1, 2, 3, 4, 5]),
        (SampleFilter(("coding",)), [2, 5]),
        (SampleFilter(("planning", "should_respond")), [0, 1, 3, 4]),
        (SampleFilter(since=NOON + timedelta(minutes=2), until=NOON + timedelta(minutes=5)), [2, 3, 4]),
        (SampleFilter(limit=2), [4, 5]),
        (SampleFilter(("coding", "planning"), limit=3), [2, 3, 5]),
        (SampleFilter(limit=100), [0, 1, 2, 3, 4, 5]),
        (SampleFilter(limit=0), []),
        (SampleFilter(agent="Nova"), [0]),
        (SampleFilter(agent="agent-1"), [1]),
        (SampleFilter(source="slot"), [3]),
        (SampleFilter(origin="gateway"), [4]),
        (SampleFilter(label="good"), [5]),
        (SampleFilter(("coding",), agent="Nova"), []),
    ],
)
def test_filters_choose_what_they_say(store: Store, wanted: SampleFilter, expected: list[int]) -> None:
    kinds = ["planning", "should_respond", "coding"]
    marks: list[dict[str, object]] = [
        {"agent_name": "Nova"},
        {"agent_id": "agent-1"},
        {},
        {"source": "slot"},
        {"origin": "gateway"},
        {"label": "good"},
    ]
    Samples(store).insert_many([sample(n, kinds[n % 3], **marks[n]) for n in range(6)])
    assert ids(Samples(store).iterate(wanted)) == [f"sample-{n}" for n in expected]
    assert Samples(store).count(wanted) == len(expected)


def test_figures_count_decisions_sources_lengths_and_repeats(store: Store) -> None:
    samples = Samples(store)
    samples.insert_many(
        [
            sample(1, "should_respond", decision="RESPOND", prompt="at 10:01", output="abcd"),
            sample(2, "should_respond", decision="RESPOND", prompt="at 10:02", output="ab"),
            sample(3, "should_respond", decision="IGNORE", prompt="at 10:02", source="slot", label="bad"),
            sample(4, "should_respond", prompt="id 1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
            sample(5, "should_respond", prompt="id 6fa459ea-ee8a-3ca4-894e-db77e160355e"),
            sample(6, "planning", decision="REPLY", prompt="at 10:02"),
        ]
    )
    figures = sample_figures(store, day_ago=NOON + timedelta(minutes=3))
    assert figures.range == SampleRange(6, NOON + timedelta(minutes=1), NOON + timedelta(minutes=6))
    assert figures.last_day == 4
    assert figures.size_bytes > 0
    decided = figures.by_type["should_respond"]
    assert decided.range == SampleRange(5, NOON + timedelta(minutes=1), NOON + timedelta(minutes=5))
    assert decided.last_day == 3
    assert dict(decided.decisions) == {"RESPOND": 2, "IGNORE": 1}
    assert decided.unparsed == 2
    assert dict(decided.sources) == {"original": 4, "slot": 1}
    assert dict(decided.labels) == {"bad": 1}
    assert decided.repeats == 1
    assert decided.near_repeats == 3
    assert (decided.max_prompt_chars, decided.max_output_chars) == (39, 8)
    assert figures.by_type["planning"].repeats == 0
    assert set(figures.by_type) == {"should_respond", "planning"}


def test_an_empty_log_has_empty_figures(store: Store) -> None:
    figures = sample_figures(store, day_ago=NOON)
    assert figures.range == SampleRange(0, None, None)
    assert figures.by_type == {}


def test_what_is_read_in_a_snapshot_is_of_one_moment(store: Store) -> None:
    Samples(store).insert_many([sample(1)])
    with open_store(store.path) as other, store.snapshot():
        assert Samples(store).count() == 1
        Samples(other).insert_many([sample(2)])
        assert (Samples(store).count(), Samples(other).count()) == (1, 2)
    assert Samples(store).count() == 2


@pytest.mark.sqlite("the plan of a question is SQLite's")
def test_reading_and_counting_use_the_indexes(store: Store) -> None:
    """Not a timing: the plan of the heavy questions must not fall back to sorting or reading whole rows."""
    seen: list[str] = []
    store.connection.set_trace_callback(seen.append)
    samples = Samples(store)
    samples.insert_many([sample(1, label="good")])
    seen.clear()
    list(samples.iterate(SampleFilter(("planning", "coding"))))
    sample_figures(store, day_ago=NOON)
    store.connection.set_trace_callback(None)
    assert len(seen) >= 12
    for statement in seen:
        plan = " ".join(row["detail"] for row in store.rows(f"EXPLAIN QUERY PLAN {statement}"))
        assert "INDEX samples_" in plan or "PRIMARY KEY (rowid=?)" in plan, (statement, plan)
        assert "FOR ORDER BY" not in plan, (statement, plan)


def test_the_number_of_a_sample_that_is_gone_never_comes_again(store: Store) -> None:
    samples = Samples(store)

    def numbers() -> set[int]:
        return {one.seq for one in samples.iterate()}

    samples.insert_many([sample(number) for number in range(5)])
    ever = numbers()
    for number, gone in enumerate(("seq = 5", "seq = 4", "seq > 1", "true")):  # the newest first; then all there are
        store.write(f"DELETE FROM samples WHERE {gone}")
        kept = numbers()
        samples.insert_many([sample(100 + number), sample(200 + number)])
        new = numbers() - kept
        assert len(new) == 2
        assert new.isdisjoint(ever)
        ever |= new
