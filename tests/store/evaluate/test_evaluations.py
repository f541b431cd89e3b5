"""Evaluations in the store: gone on with, never asked twice, gone with their samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.generate_log import Generator, fill
from reasoning_cli.store.database import Store
from reasoning_cli.store.evaluate.evaluations import AnswerRecord, EvaluationRecord, Evaluations
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.exports import NumberSet
from reasoning_cli.store.samples.rewrite import beside
from reasoning_cli.store.samples.training_log import Samples

pytestmark = pytest.mark.both_engines

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        fill(store, Generator(30, seed=1, prompt_bytes=400))
        yield store


def begin(store: Store, arguments: str = "a", identity: str = '["ml_1", "slug/one"]') -> EvaluationRecord:
    items = NumberSet()
    items.update([1, 2, 3])
    return Evaluations(store).begin(
        "planning",
        arguments=arguments,
        fingerprint="f",
        plan={"form": "exact"},
        items=items,
        models=[("original", "[]"), ("one", identity)],
        at=AT,
    )


def answer(item: int, place: int = 1, **changes: object) -> AnswerRecord:
    one = AnswerRecord(place, item, item, False, 20, 5, 6, None, None, "said", {"truth": "REPLY", "decided": "REPLY"})
    return replace(one, **changes)  # type: ignore[arg-type]


def test_it_goes_on_where_it_was_and_is_found_when_it_is_finished(store: Store) -> None:
    evaluations = Evaluations(store)
    one = begin(store)
    assert list(evaluations.items(one.number)) == [1, 2, 3]
    evaluations.keep(one.number, [answer(1), answer(2)])
    evaluations.keep(one.number, [answer(2, output="another"), answer(3)])
    assert list(evaluations.answered(one.number, 1)) == [1, 2, 3]
    assert [[each.output for each in group] for group in evaluations.answers(one.number)] == [["said"]] * 3
    assert evaluations.going("a") == one
    assert evaluations.finished("a", "f") is None
    assert evaluations.latest("planning", "one") is None
    evaluations.finish(one.number, {"count": 3}, at=AT + timedelta(minutes=1))
    done = evaluations.get(one.number)
    assert done is not None
    assert done.report == {"count": 3}
    assert evaluations.going("a") is None
    assert evaluations.finished("a", "f") == done
    assert evaluations.finished("a", "other") is None
    for name in ("one", "ml_1", "slug/one"):
        assert evaluations.latest("planning", name) == done
        assert evaluations.latest("planning", name, "slug/one") == done
        assert evaluations.latest("planning", name, "http://elsewhere/v1") is None
    assert evaluations.latest("planning", "original") is None
    assert evaluations.latest("coding", "one") is None
    assert evaluations.all("planning") == [done]


def test_what_was_not_finished_gives_way_with_its_answers(store: Store) -> None:
    evaluations = Evaluations(store)
    evaluations.keep(begin(store).number, [answer(1)])
    second = begin(store)
    assert [one.number for one in evaluations.all()] == [second.number]
    assert store.number("SELECT count(*) FROM evaluation_answers") == 0


def test_answers_of_the_same_model_elsewhere_are_known(store: Store) -> None:
    evaluations = Evaluations(store)
    evaluations.keep(begin(store).number, [answer(1), answer(2, latency_ms=None), answer(3, place=0)])
    begin(store, arguments="b")
    assert [*evaluations.earlier('["ml_1", "slug/one"]', [1, 2, 3])] == [1]
    assert evaluations.earlier('["ml_2"]', [1, 2, 3]) == {}


def test_answers_go_with_their_samples_and_are_redacted_with_them(store: Store) -> None:
    evaluations = Evaluations(store)
    one = begin(store)
    evaluations.keep(one.number, [answer(1, output="call 555"), answer(2)])
    sample = next(sample for sample in Samples(store).iterate() if sample.seq == 1)
    assert [each.texts for each in beside(store, [sample])[1]] == [{"output": "call 555"}]
    store.write("DELETE FROM samples WHERE seq = 1")
    assert list(evaluations.answered(one.number, 1)) == [2]
    evaluations.keep(one.number, [answer(1)])  # its sample went while it was asked
    assert list(evaluations.answered(one.number, 1)) == [2]


def test_disagreements_tell_what_everybody_decided(store: Store) -> None:
    evaluations = Evaluations(store)
    one = begin(store)
    evaluations.keep(
        one.number,
        [
            answer(1),
            answer(2, differs=True, scores={"truth": "REPLY", "decided": "IGNORE"}),
            answer(2, place=0, scores={"truth": "REPLY", "decided": "REPLY"}),
            answer(3, place=0, differs=True),
        ],
    )
    (found,) = evaluations.disagreements(one.number)
    assert (found.item, found.truth, found.decided) == (2, "REPLY", {"original": "REPLY", "one": "IGNORE"})
    assert evaluations.disagreeing(one.number) == [found.sample_id]
    assert evaluations.disagreement_count(one.number) == 1
    assert evaluations.disagreements(one.number, limit=0) == []
