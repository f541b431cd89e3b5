"""Intervals around what was measured: how far the truth may lie from a figure taken of so many decisions.

All are two-sided at 95 % and closed formulas, so a million values take no more memory than one:

- proportions: Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927);
- means of values within bounds: the plus-four rule of Agresti and Coull (Am. Stat. 52, 1998) carried from 0 and 1 to
  all that lies between: two made-up values at either bound, then the normal interval. For values that are 0 or 1 it
  is theirs; it never shrinks to a point, as a bootstrap of equal values does;
- paired differences of such values: one made-up value half at +1 and half at -1, and one at 0, which for answers that
  are right or wrong is the adjusted interval of Agresti and Min (Stat. Med. 24, 2005);
- counts of what comes when it likes: the score interval of a Poisson count;
- percentiles: the values whose ranks the binomial distribution puts around them, whatever the distribution is.

Tests hold them against published values, and count by simulation how often they hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Z = 1.959963984540054  # 97.5 % of a normal distribution lie below


@dataclass(frozen=True)
class Figure:
    """A figure, the interval it is known within, and how many decisions it is of."""

    value: float
    low: float
    high: float
    count: int


@dataclass
class Moments:
    """What is kept of values while they pass: how many, their sum, and that of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = field(default=0.0)

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.squares += value * value

    @property
    def mean(self) -> float:
        return self.total / self.count


def proportion(hits: int, count: int) -> Figure | None:
    """`hits` of `count`, with Wilson's interval; None of none."""
    if not count:
        return None
    share, z2 = hits / count, Z * Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    # At the bounds the formula gives exactly them but for rounding.
    low = 0.0 if not hits else max(0.0, middle - half)
    high = 1.0 if hits == count else min(1.0, middle + half)
    return Figure(share, low, high, count)


def rate(count: int) -> tuple[float, float]:
    """The bounds of what was counted `count` times, as a Poisson count: the score interval."""
    middle, half = count + Z * Z / 2, Z * math.sqrt(count + Z * Z / 4)
    return max(0.0, middle - half), middle + half


def bounded_mean(values: Moments, most: float = 1.0) -> Figure | None:
    """The mean of values from 0 to `most`; None of none."""
    if not values.count:
        return None
    count, total, squares = values.count + 4, values.total + 2 * most, values.squares + 2 * most * most
    middle, half = _normal(count, total, squares)
    return Figure(
        values.mean, min(values.mean, max(0.0, middle - half)), max(values.mean, min(most, middle + half)), values.count
    )


def paired_difference(values: Moments, most: float = 1.0) -> Figure | None:
    """The mean of differences from -`most` to `most`, each of two answers to one decision; None of none."""
    if not values.count:
        return None
    middle, half = _normal(values.count + 2, values.total, values.squares + most * most)
    return Figure(
        values.mean,
        min(values.mean, max(-most, middle - half)),
        max(values.mean, min(most, middle + half)),
        values.count,
    )


def unbounded_mean(values: Moments) -> Figure | None:
    """The mean of values without bounds, such as costs: the normal interval; None of none. Of one value nothing is
    known about the others, which is said by an interval without end."""
    if not values.count:
        return None
    if values.count == 1:
        return Figure(values.mean, -math.inf, math.inf, 1)
    middle, half = _normal(values.count, values.total, values.squares, unbiased=True)
    return Figure(values.mean, middle - half, middle + half, values.count)


def percentile(ordered: Sequence[float], share: float) -> Figure | None:
    """The value below which `share` of all lie, of values in order; None of none.

    The bounds are values too: those whose ranks a binomial count of values below the true percentile stays between,
    but for 2.5 % on each side. Where there are too few values for a bound it is the first or last of them.
    """
    count = len(ordered)
    if not count:
        return None
    low, high = _ranks(count, share)
    return Figure(ordered[min(count - 1, math.ceil(share * count) - 1)], ordered[low], ordered[high], count)


def decisions_needed(values: Moments, difference: float) -> int | None:
    """How many decisions it takes until an interval of such differences is narrower than `difference` on each side;
    None when no spread was seen or there is no difference."""
    if values.count < 2 or not difference:
        return None
    _, half = _normal(values.count + 2, values.total, values.squares + 1)
    return math.ceil(values.count * (half / abs(difference)) ** 2)


def moments(values: Iterable[float]) -> Moments:
    """The moments of values."""
    found = Moments()
    for value in values:
        found.add(value)
    return found


def _normal(count: int, total: float, squares: float, *, unbiased: bool = False) -> tuple[float, float]:
    """Middle and half width of the normal interval of a mean."""
    mean = total / count
    variance = max(0.0, squares / count - mean * mean) * (count / (count - 1) if unbiased else 1)
    return mean, Z * math.sqrt(variance / count)


def _ranks(count: int, share: float) -> tuple[int, int]:
    """The places (from 0) of the values that bound a percentile: exact binomial tails of at most 2.5 % each."""
    low, high, below = 0, count - 1, 0.0
    for rank in range(count + 1):
        before = below
        below += math.exp(
            math.lgamma(count + 1)
            - math.lgamma(rank + 1)
            - math.lgamma(count - rank + 1)
            + rank * math.log(share)
            + (count - rank) * math.log1p(-share)
        )
        # The value in place r is at most the percentile when more than r values lie below it.
        if below <= 0.025 and rank < count:
            low = rank
        if before < 0.975 <= below:
            high = min(count - 1, rank)
            break
    return low, high
