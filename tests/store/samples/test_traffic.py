"""Who answered how much, asked again and again by a process that runs on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.stats import Traffic, traffic
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.timestamps import to_ms

pytestmark = pytest.mark.both_engines

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
FIGURES = ("decisions", "counted", "prompt_tokens", "completion_tokens", "uncounted_prompt_chars", "cached_tokens")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def made(number: int, at: datetime, drawn: random.Random) -> Sample:
    tokens = drawn.choice([(900, 30), (120, 7), (None, None)])
    return Sample(
        id=f"sample-{number}",
        created_at=at,
        model_type=drawn.choice(["planning", "coding"]),
        model=drawn.choice(["large", "small"]),
        source=drawn.choice(["original", "slot"]),
        origin="gateway",
        prompt=f"prompt {number}",
        output="an answer",
        system=drawn.choice([None, "You are Nova."]),
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
        cached_tokens=drawn.choice([None, 100]) if tokens[0] else None,
    )


def counted_one_by_one(store: Store, since: datetime, until: datetime) -> dict[tuple[str, ...], dict[str, int]]:
    found: dict[tuple[str, ...], dict[str, int]] = {}
    for row in store.rows("SELECT * FROM samples"):
        if not to_ms(since) <= row["created_at"] < to_ms(until):
            continue
        known = row["prompt_tokens"] is not None
        chars = row["prompt_chars"] + len(row["system"] or "")
        values = (
            1,
            int(known),
            row["prompt_tokens"] or 0,
            row["completion_tokens"] or 0,
            0 if known else chars,
            row["cached_tokens"] or 0,
        )
        sums = found.setdefault((row["model_type"], row["source"], row["model"]), dict.fromkeys(FIGURES, 0))
        for name, value in zip(FIGURES, values, strict=True):
            sums[name] += value
    return found


def as_said(found: list[Traffic]) -> dict[tuple[str, ...], dict[str, int]]:
    return {
        (part.model_type, part.source, part.model): {name: getattr(part, name) for name in FIGURES} for part in found
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_process_that_asks_again_says_what_a_new_one_says(store: Store, seed: int) -> None:
    drawn, now, number = random.Random(seed), BEGIN + timedelta(days=3), 0
    samples = Samples(store)
    for _ in range(25):
        match drawn.choice(["new", "new", "old", "gone", "time", "much time"]):
            case "new":
                samples.insert_many([made(number + more, now - timedelta(seconds=more), drawn) for more in range(5)])
                number += 5
            case "old":  # as from an import, or of another host that was away
                samples.insert_many([made(number, BEGIN + timedelta(minutes=drawn.randrange(4000)), drawn)])
                number += 1
            case "gone":
                store.write("DELETE FROM samples WHERE seq % 7 = ?", (drawn.randrange(7),))
            case "time":
                now += timedelta(minutes=7)
            case _:
                now += timedelta(hours=2)
        until = now + timedelta(seconds=1)
        found = traffic(store, BEGIN, until)
        assert as_said(found) == counted_one_by_one(store, BEGIN, until)
        assert [part.decisions for part in found] == sorted((part.decisions for part in found), reverse=True)


def test_what_was_read_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, until = random.Random(1), BEGIN + timedelta(days=1)
    Samples(store).insert_many([made(number, BEGIN + timedelta(minutes=number), drawn) for number in range(50)])
    before = [traffic(store, BEGIN, until), traffic(store, BEGIN, until)]
    began: list[Any] = []
    rows = store.rows

    def watched(sql: str, parameters: Any = ()) -> Iterator[Any]:
        began.append(parameters[0])
        return rows(sql, parameters)

    monkeypatch.setattr(store, "rows", watched)
    assert [traffic(store, BEGIN, until)] * 2 == before
    assert began
    assert min(began) == to_ms(until - timedelta(minutes=10))
