"""What sends a model back, how soon, and how seldom by chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from reasoning_cli.operations.evaluate.gate_rules import DEFAULTS, Gate
from reasoning_cli.operations.promote.guardrails import may_go_on, promise, watch
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.store.serving.online_answers import LiveAnswer, live_answers

BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
STEPS, HOLD = 4, 50


def answer(
    number: int, *, good: bool = True, agrees: bool | None = True, failure: str = "invalid: empty"
) -> LiveAnswer:
    return LiveAnswer(
        *(f"s{number}", BEGIN + timedelta(seconds=number), "m", "key", False),
        failure=None if good else failure,
        agrees=agrees if good else None,
        latency_ms=20,
        source="original",
        label=None,
    )


def falls_after(answers: Iterable[LiveAnswer], gate: Gate) -> int | None:
    """How many answers until it has to go back."""
    seen: list[LiveAnswer] = []
    for one in answers:
        seen.append(one)
        if watch(seen, "key", gate, STEPS).broken is not None:
            return len(seen)
    return None


@pytest.mark.parametrize("gate", DEFAULTS.values(), ids=list(DEFAULTS))
def test_what_is_promised_is_kept(gate: Gate) -> None:
    told = promise(gate, STEPS, HOLD)
    good = [answer(number) for number in range(HOLD)]
    broken = [answer(HOLD + number, good=False) for number in range(100)]
    half = [answer(HOLD + number, good=number % 2 == 1) for number in range(200)]
    contrary = [answer(HOLD + number, agrees=False) for number in range(1000)]
    assert falls_after([*good, *broken], gate) == HOLD + told.broken
    assert (falls_after([*good, *half], gate) or 0) <= HOLD + told.half_broken
    assert told.contrary is not None
    if told.contrary < 200:
        assert falls_after([*good, *contrary], gate) == HOLD + told.contrary


def test_a_model_at_its_floors_is_sent_back_by_chance_as_seldom_as_said() -> None:
    gate = DEFAULTS["should_respond"]
    back = 0
    for seed in range(200):
        random = Random(seed)
        step = [answer(number, good=random.random() < 0.95, agrees=random.random() < 0.75) for number in range(HOLD)]
        back += falls_after(step, gate) is not None
    assert back / 200 <= gate.alpha_percent / 100 / STEPS * 2


def test_one_that_doubts_itself_is_not_broken() -> None:
    unsure = [answer(number, good=False, failure="not confident enough") for number in range(50)]
    seen = watch(unsure, "key", Gate(), STEPS)
    assert (seen.broken, seen.asked) == (None, 0)


def test_answers_in_a_row_are_counted_over_all_workers_of_a_gateway(tmp_path: Path) -> None:
    with open_store(tmp_path / "reasoning.db") as one, open_store(tmp_path / "reasoning.db") as two:
        for number in range(6):
            at, store = BEGIN + timedelta(milliseconds=number), (one, two)[number % 2]
            sample = Sample(f"s{number}", at, "planning", "gpt", "fallback", "gateway", f"p{number}", "said")
            failure = None if number == 0 else "invalid: empty"
            said = AttemptRecord(
                *(sample.id, at, "planning", "canary", "m", "key", None, None, failure, None, 20, None, None, "")
            )
            Samples(store).insert_many([sample])
            Attempts(store).insert_many([said])
        seen = watch(live_answers(one, "planning", BEGIN, BEGIN + timedelta(days=1)), "key", Gate(), STEPS)
    assert (seen.asked, seen.in_a_row) == (6, 5)
    assert seen.broken == "its last 5 answers were no good, mostly invalid: empty"


def test_others_answers_do_not_count() -> None:
    others = [replace(answer(number, good=False), deployment_key="other") for number in range(50)]
    assert watch(others, "key", Gate(), STEPS).asked == 0


def test_one_that_is_not_held_to_agree_may_differ() -> None:
    gate = replace(Gate(), live_agreement_percent=0.0)
    seen = watch([answer(number, agrees=False) for number in range(200)], "key", gate, STEPS)
    assert (seen.broken, seen.holds) == (None, True)
    assert promise(gate, STEPS, HOLD).contrary is None


def test_it_goes_on_when_enough_was_seen_long_enough_and_well() -> None:
    good = watch([answer(number) for number in range(HOLD)], "key", Gate(), STEPS)
    assert may_go_on(good, HOLD, BEGIN, BEGIN, 0)
    assert not may_go_on(good, HOLD + 1, BEGIN, BEGIN, 0)
    assert not may_go_on(good, HOLD, BEGIN, BEGIN + timedelta(minutes=9), 600)
    doubtful = watch([answer(number, good=number % 12 != 0) for number in range(HOLD)], "key", Gate(), STEPS)
    assert doubtful.broken is None
    assert not may_go_on(doubtful, HOLD, BEGIN, BEGIN, 0), "neither good enough nor told to be bad: it stays"
