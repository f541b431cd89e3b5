"""The tests that may be looked at all the time: known values, and how often they are wrong when somebody does."""

from __future__ import annotations

from functools import cache
from math import exp, pi
from random import Random

import pytest

from reasoning_cli.operations.statistics.sequential import (
    ALPHA,
    Interval,
    Verdict,
    against_floor,
    confidence_sequence,
    log_evidence,
    paired,
    unpaired,
)


def test_the_evidence_of_a_few_trials_is_what_the_formula_gives_by_hand() -> None:
    assert log_evidence(0, 0, 0.3) == 0
    # B(3/2, 1/2) / B(1/2, 1/2) = (pi / 2) / pi: one success against a rate of one half says nothing.
    assert exp(log_evidence(1, 1, 0.5)) == pytest.approx(1.0)
    assert exp(log_evidence(1, 1, 0.25)) == pytest.approx(2.0)
    # B(5/2, 1/2) = 3 pi / 8, over pi and a quarter.
    assert exp(log_evidence(2, 2, 0.5)) == pytest.approx(3 * pi / 8 / pi * 4)
    # B(3/2, 3/2) = pi / 8.
    assert exp(log_evidence(1, 2, 0.5)) == pytest.approx(0.5)


def test_the_interval_holds_the_rates_whose_evidence_is_below_the_mark() -> None:
    assert confidence_sequence(0, 0) == Interval(0.0, 1.0)
    found = confidence_sequence(70, 100, 0.05)
    for border in (found.low, found.high):
        assert exp(log_evidence(70, 100, border)) == pytest.approx(20)
    assert 0.53 < found.low < 0.7 < found.high < 0.84
    assert confidence_sequence(0, 30).low == 0.0
    assert confidence_sequence(30, 30).high == 1.0
    # Wider than the interval of one look, 95 % of which would hold 70 of 100: Wilson's is 0.604 to 0.781.
    assert found.low < 0.604
    assert found.high > 0.781
    wide = confidence_sequence(7, 10, 0.05)
    assert wide.low < found.low < found.high < wide.high


def test_a_floor_is_passed_broken_or_not_yet_known() -> None:
    assert against_floor(0, 0, 0.9).verdict is Verdict.UNDECIDED
    assert against_floor(0, 0, 0.9).more is None
    assert against_floor(500, 500, 0.95).verdict is Verdict.BETTER
    assert against_floor(0, 3, 0.95).verdict is Verdict.WORSE
    unsure = against_floor(46, 50, 0.8)
    assert unsure.verdict is Verdict.UNDECIDED
    assert unsure.more is not None
    # What was foretold comes true when the same goes on.
    times = (50 + unsure.more) / 50
    assert against_floor(round(46 * times), round(50 * times), 0.8).verdict is Verdict.BETTER
    assert against_floor(45, 50, 0.9).more is None, "at the floor itself no number of decisions helps"


def test_of_two_models_on_the_same_decisions_only_where_they_differ_counts() -> None:
    assert paired(0, 0, 1000).verdict is Verdict.UNDECIDED
    assert paired(30, 5, 0).verdict is paired(30, 5, 5000).verdict is Verdict.BETTER
    assert paired(5, 30, 100).verdict is Verdict.WORSE
    found = paired(60, 20, 320)
    assert found.estimate == pytest.approx(0.1)
    assert 0 < found.interval.low < 0.1 < found.interval.high < 0.25
    even = paired(40, 40, 100)
    assert (even.verdict, even.more) == (Verdict.UNDECIDED, None)
    assert 0 in even.interval
    leading = paired(14, 8, 100)
    assert leading.verdict is Verdict.UNDECIDED
    assert leading.more is not None and 100 < leading.more < 1000


def test_the_interval_of_a_difference_and_its_verdict_never_contradict() -> None:
    for wins in range(0, 60, 3):
        for losses in range(0, 60, 3):
            found = paired(wins, losses, 40)
            expected = Verdict.UNDECIDED if 0 in found.interval else None
            if expected is None:
                expected = Verdict.BETTER if found.interval.low > 0 else Verdict.WORSE
            assert found.verdict is expected


def test_two_arms_are_told_apart_when_their_intervals_are() -> None:
    assert unpaired(95, 100, 30, 100).verdict is Verdict.BETTER
    assert unpaired(30, 100, 95, 100).verdict is Verdict.WORSE
    assert unpaired(9, 10, 8, 10).verdict is Verdict.UNDECIDED
    assert unpaired(0, 0, 8, 10).more is None
    alike = unpaired(1900, 2000, 1900, 2000, margin=0.05)
    assert alike.verdict is Verdict.BETTER, "no worse than the other by a twentieth"
    assert unpaired(1900, 2000, 1900, 2000).verdict is Verdict.UNDECIDED


def failures_until_worse(floor: float, rate: float = 0.0) -> int:
    """After how many trials a rate that really is `rate` is told to be below the floor, when trials come evenly."""
    trials = 1
    while against_floor(int(trials * rate), trials, floor).verdict is not Verdict.WORSE:
        trials += 1
    return trials


def test_how_long_a_broken_model_goes_unnoticed_is_known_beforehand() -> None:
    assert failures_until_worse(0.95) <= 3
    assert failures_until_worse(0.95, rate=0.5) < 20
    assert failures_until_worse(0.95, rate=0.9) < 600


@cache
def _verdict(wins: int, losses: int) -> Verdict:
    return paired(wins, losses, 0).verdict


def _coin(random: Random, looks: int) -> Verdict:
    """Somebody looks after each decision, and stops at the first verdict."""
    wins = losses = 0
    for _ in range(looks):
        if random.random() < 0.5:
            wins += 1
        else:
            losses += 1
        if (found := _verdict(wins, losses)) is not Verdict.UNDECIDED:
            return found
    return Verdict.UNDECIDED


def test_a_coin_flip_is_called_undecided_however_often_one_looks() -> None:
    runs = 2000
    found = [_coin(Random(seed), 80) for seed in range(runs)]
    wrong = sum(one is not Verdict.UNDECIDED for one in found)
    assert wrong / runs <= ALPHA


@pytest.mark.parametrize("rate", [0.8, 0.95])
def test_a_rate_just_at_its_floor_is_seldom_told_to_be_above_or_below(rate: float) -> None:
    wrong = 0
    for seed in range(500):
        random, good = Random(seed), 0
        for trials in range(1, 200):
            good += random.random() < rate
            mark = log_evidence(good, trials, rate)
            if mark >= 3.0:  # a little less than -log(0.05): an upper bound of what is wrong
                wrong += 1
                break
    assert wrong / 500 <= ALPHA


def test_two_equal_arms_are_seldom_told_apart() -> None:
    wrong = 0
    for seed in range(200):
        random, one, other = Random(seed), 0, 0
        for trials in range(1, 80):
            one += random.random() < 0.9
            other += random.random() < 0.9
            first, second = (confidence_sequence(count, trials, ALPHA / 2) for count in (one, other))
            if first.low > second.high or second.low > first.high:
                assert unpaired(one, trials, other, trials).verdict is not Verdict.UNDECIDED
                wrong += 1
                break
    assert wrong / 200 <= ALPHA


def test_a_model_that_is_better_is_found_out() -> None:
    """Of the decisions where they differ it wins three of four."""
    needed = []
    for seed in range(50):
        random, wins, losses = Random(seed), 0, 0
        while _verdict(wins, losses) is Verdict.UNDECIDED:
            won = random.random() < 0.75
            wins, losses = wins + won, losses + (not won)
            assert wins + losses < 500
        assert paired(wins, losses, 0).verdict is Verdict.BETTER
        needed.append(wins + losses)
    assert sorted(needed)[25] < 60
