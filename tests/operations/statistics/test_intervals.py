"""Intervals against published values, and how often they hold the truth."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.operations.statistics.intervals import (
    Figure,
    Moments,
    bounded_mean,
    decisions_needed,
    moments,
    paired_difference,
    percentile,
    proportion,
    unbounded_mean,
)


def bootstrap(values: Sequence[float], *, seed: int, draws: int = 2000) -> Figure:
    """The mean with the interval that resampling with a seed gives; what the formulas are held against."""
    rng = random.Random(seed)
    means = sorted(math.fsum(rng.choices(values, k=len(values))) / len(values) for _ in range(draws))
    mean = math.fsum(values) / len(values)
    return Figure(mean, means[int(draws * 0.025)], means[min(draws - 1, int(draws * 0.975))], len(values))


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # R. G. Newcombe, Stat. Med. 17 (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_proportions_are_those_of_the_literature(hits: int, count: int, low: float, high: float) -> None:
    figure = proportion(hits, count)
    assert figure is not None
    assert (round(figure.low, 4), round(figure.high, 4)) == (low, high)


def test_paired_proportions_are_those_of_the_literature() -> None:
    # Agresti and Min, 2005: of 1600 voters 150 changed to disapproval and 86 to approval.
    figure = paired_difference(moments([1] * 86 + [-1] * 150 + [0] * 1364))
    assert figure is not None
    assert math.isclose(figure.value, -0.04)
    n, b, c = 1602, 86.5, 150.5
    half = 1.959964 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    assert math.isclose(figure.low, (b - c) / n - half, abs_tol=1e-6)
    assert math.isclose(figure.high, (b - c) / n + half, abs_tol=1e-6)


def test_the_median_lies_between_the_ranks_of_the_tables() -> None:
    # Conover, table A3: for 20 values the 6th and the 15th bound the median, for 100 the 40th and the 61st.
    assert percentile(range(1, 21), 0.5) == Figure(10, 6, 15, 20)
    assert percentile(range(1, 101), 0.5) == Figure(50, 40, 61, 100)
    assert percentile([7], 0.95) == Figure(7, 7, 7, 1)


def test_nothing_is_told_of_nothing() -> None:
    empty = Moments()
    assert proportion(0, 0) is bounded_mean(empty) is paired_difference(empty) is unbounded_mean(empty) is None
    assert percentile([], 0.5) is decisions_needed(empty, 0.1) is None
    alone = unbounded_mean(moments([3.0]))
    assert alone == Figure(3.0, -math.inf, math.inf, 1)


def test_equal_values_are_not_taken_for_certainty() -> None:
    assert bootstrap([1.0] * 10, seed=1) == Figure(1, 1, 1, 10)
    figure = bounded_mean(moments([1.0] * 10))
    assert figure is not None
    assert 0.6 < figure.low < 0.9
    assert figure.high == 1
    same = paired_difference(moments([0.0] * 10))
    assert same is not None
    assert same.low < 0 < same.high


def test_of_many_values_the_formula_is_what_resampling_gives() -> None:
    rng = random.Random(5)
    values = [rng.betavariate(2, 5) for _ in range(800)]
    formula, resampled = bounded_mean(moments(values)), bootstrap(values, seed=2)
    assert formula is not None
    assert math.isclose(formula.low, resampled.low, abs_tol=0.004)
    assert math.isclose(formula.high, resampled.high, abs_tol=0.004)


def covered(figures: list[Figure | None], truth: float) -> float:
    return sum(one is not None and one.low <= truth <= one.high for one in figures) / len(figures)


@pytest.mark.parametrize(("count", "truth"), [(10, 0.9), (30, 0.5), (30, 0.97), (200, 0.8)])
def test_proportions_and_means_hold_the_truth_as_often_as_they_say(count: int, truth: float) -> None:
    rng = random.Random(f"{count} {truth}")
    hits = [sum(rng.random() < truth for _ in range(count)) for _ in range(2000)]
    assert covered([proportion(one, count) for one in hits], truth) > 0.93
    as_means = [bounded_mean(moments([1.0] * one + [0.0] * (count - one))) for one in hits]
    assert covered(as_means, truth) > 0.93


@pytest.mark.parametrize(("count", "alpha", "beta"), [(12, 2, 1), (40, 9, 1), (150, 0.5, 0.2)])
def test_means_of_scores_hold_the_truth_as_often_as_they_say(count: int, alpha: float, beta: float) -> None:
    rng = random.Random(f"{count} {alpha}")
    figures = [bounded_mean(moments(rng.betavariate(alpha, beta) for _ in range(count))) for _ in range(1500)]
    assert covered(figures, alpha / (alpha + beta)) > 0.93


@pytest.mark.parametrize(("count", "better", "worse"), [(25, 0.1, 0.1), (60, 0.15, 0.05), (400, 0.02, 0.02)])
def test_paired_differences_hold_the_truth_as_often_as_they_say(count: int, better: float, worse: float) -> None:
    rng = random.Random(f"{count} {better}")
    figures = [
        paired_difference(moments(rng.choices((1.0, -1.0, 0.0), (better, worse, 1 - better - worse), k=count)))
        for _ in range(1500)
    ]
    assert covered(figures, better - worse) > 0.93


@pytest.mark.parametrize(("count", "share"), [(30, 0.5), (200, 0.95)])
def test_percentiles_hold_the_truth_as_often_as_they_say(count: int, share: float) -> None:
    rng = random.Random(f"{count} {share}")
    figures = [percentile(sorted(rng.expovariate(1) for _ in range(count)), share) for _ in range(1500)]
    assert covered(figures, -math.log(1 - share)) > 0.94


def test_how_many_it_takes_to_tell_is_about_right() -> None:
    seen = moments([1.0] * 12 + [-1.0] * 8 + [0.0] * 80)
    needed = decisions_needed(seen, 0.04)
    assert needed is not None
    more = moments([1.0] * (needed * 12 // 100) + [-1.0] * (needed * 8 // 100) + [0.0] * (needed * 80 // 100))
    figure = paired_difference(more)
    assert figure is not None
    assert -0.01 < figure.low < 0.01


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_value_lies_within_and_both_within_the_bounds(values: list[float]) -> None:
    figure = bounded_mean(moments(values))
    assert figure is not None
    assert -1e-9 <= figure.low <= figure.value + 1e-9
    assert figure.value - 1e-9 <= figure.high <= 1 + 1e-9
    ordered = sorted(values)
    middle = percentile(ordered, 0.5)
    assert middle is not None
    assert middle.low <= middle.value <= middle.high
