"""Tests that may be looked at after every decision, as often as anybody likes. Pure.

A test of a fixed size is wrong more often than it says when somebody stops it at the moment its answer pleases. These
hold at every moment at once: for a rate p of which s of n trials came true,

    M_n(p) = B(a + s, b + n - s) / (B(a, b) * p^s * (1 - p)^(n - s))

is the likelihood under a mixture of all rates (the prior Beta(a, b)) over that under p. If p is the true rate, M is a
martingale that begins at 1, so with probability 1 - alpha it never reaches 1 / alpha, however long one goes on (Ville,
"Étude critique de la notion de collectif", 1939; the mixture: Robbins, "Statistical methods related to the law of the
iterated logarithm", Ann. Math. Statist. 41, 1970). The rates whose M is still below 1 / alpha are therefore a
confidence sequence: an interval that holds the true rate at all moments together with probability 1 - alpha (Howard,
Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Ann. Statist. 49,
2021). A verdict is given when the whole interval lies on one side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import inf, lgamma, log

ALPHA = 0.05
# Jeffreys' prior: no opinion, and best where rates are near 0 or 1, as those of valid answers are.
_PRIOR = 0.5
# Of an error rate the paired test spends so much on how often the two differ at all; the rest on who is right then.
_ALPHA_OF_DISCORD = 0.1
# Beyond so many times what was seen nobody should be told a number.
_FARTHEST = 1_000.0
_STEPS_OF_BISECTION = 40


class Verdict(StrEnum):
    """What can be said now."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Interval:
    """Where a value lies, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Finding:
    """What a test says now: `estimate` as seen, `interval` where the true value lies, and the verdict on that.

    `more` is about how many trials are still needed if what comes is like what came; None when there is a verdict, or
    when what came gives no reason to expect one.
    """

    verdict: Verdict
    estimate: float
    interval: Interval
    trials: int
    more: int | None = None


def log_evidence(successes: float, trials: float, rate: float) -> float:
    """The logarithm of M_n(rate), see above; 0 before the first trial."""
    failures = trials - successes
    mixture = _log_beta(_PRIOR + successes, _PRIOR + failures) - _log_beta(_PRIOR, _PRIOR)
    return mixture - _times_log(successes, rate) - _times_log(failures, 1 - rate)


@lru_cache(maxsize=4096)
def confidence_sequence(successes: float, trials: float, alpha: float = ALPHA) -> Interval:
    """Where a rate lies, at every moment at once with probability 1 - `alpha`; all rates before the first trial."""
    if trials <= 0:
        return Interval(0.0, 1.0)
    mark, seen = -log(alpha), successes / trials

    def excluded(rate: float) -> bool:
        return log_evidence(successes, trials, rate) >= mark

    # M has its only minimum at the rate that was seen.
    low = 0.0 if successes == 0 else _border(0.0, seen, excluded)
    high = 1.0 if successes == trials else _border(1.0, seen, excluded)
    return Interval(low, high)


def against_floor(successes: int, trials: int, floor: float, alpha: float = ALPHA) -> Finding:
    """Whether a rate is above a floor (better) or below it (worse). Wrong with probability `alpha` at most, ever."""

    def verdict(times: float) -> Verdict:
        return _against(successes * times, trials * times, floor, alpha)

    seen = successes / trials if trials else 0.0
    return Finding(
        verdict(1.0), seen, confidence_sequence(successes, trials, alpha), trials, _more(trials, seen - floor, verdict)
    )


def paired(wins: int, losses: int, ties: int, alpha: float = ALPHA) -> Finding:
    """Two models on the same decisions: where only the first was right (`wins`), only the second, or both or neither.

    Says whether the first is right more often, and by how much of all decisions. Ties say nothing about who is better
    (McNemar, Psychometrika 12, 1947): the verdict is on the share of wins among the pairs that differ, against one
    half. The difference is that share, times how often they differ, and the error rate is shared between the two.
    """
    trials = wins + losses + ties

    alpha_of_share = alpha * (1 - _ALPHA_OF_DISCORD)

    def verdict(times: float) -> Verdict:
        return _against(wins * times, (wins + losses) * times, 0.5, alpha_of_share)

    share = confidence_sequence(wins, wins + losses, alpha_of_share)
    discord = confidence_sequence(wins + losses, trials, alpha * _ALPHA_OF_DISCORD)
    ends = [(2 * bound - 1) * often for bound in (share.low, share.high) for often in (discord.low, discord.high)]
    seen = (wins - losses) / trials if trials else 0.0
    return Finding(
        verdict(1.0),
        seen,
        Interval(min(ends), max(ends)),
        trials,
        _more(trials, seen, verdict),
    )


def unpaired(
    successes: int,
    trials: int,
    successes_of_other: int,
    trials_of_other: int,
    alpha: float = ALPHA,
    margin: float = 0.0,
) -> Finding:
    """Two models on different decisions, as the two arms of a canary: whether the first has the higher rate.

    Each rate has its own confidence sequence at half the error rate; the difference lies between their ends. With a
    `margin`, better is no worse than the other by that much, and worse is worse by more.
    """

    def difference(times: float) -> Interval:
        first = confidence_sequence(successes * times, trials * times, alpha / 2)
        other = confidence_sequence(successes_of_other * times, trials_of_other * times, alpha / 2)
        return Interval(first.low - other.high, first.high - other.low)

    seen = (successes / trials - successes_of_other / trials_of_other) if trials and trials_of_other else 0.0
    return Finding(
        _side(difference(1.0), -margin),
        seen,
        difference(1.0),
        trials,
        _more(min(trials, trials_of_other) and trials, seen + margin, lambda times: _side(difference(times), -margin)),
    )


def _against(successes: float, trials: float, rate: float, alpha: float) -> Verdict:
    """On which side of a rate the whole confidence sequence lies, without its ends: M has one minimum, at what was
    seen, so a rate it excludes has all of it on one side."""
    if trials <= 0 or log_evidence(successes, trials, rate) < -log(alpha):
        return Verdict.UNDECIDED
    return Verdict.BETTER if successes > rate * trials else Verdict.WORSE


def _side(interval: Interval, of: float) -> Verdict:
    if interval.low > of:
        return Verdict.BETTER
    return Verdict.WORSE if interval.high < of else Verdict.UNDECIDED


def _more(trials: int, lead: float, verdict: Callable[[float], Verdict]) -> int | None:
    """How many more trials like those seen give a verdict; None when there is one, or none in sight."""
    if not trials or not lead or verdict(1.0) is not Verdict.UNDECIDED or verdict(_FARTHEST) is Verdict.UNDECIDED:
        return None
    few, many = 1.0, 2.0
    while verdict(many) is Verdict.UNDECIDED:
        few, many = many, many * 2
    while (many - few) * trials > 1:
        middle = (few + many) / 2
        few, many = (middle, many) if verdict(middle) is Verdict.UNDECIDED else (few, middle)
    return max(1, round((many - 1) * trials))


def _border(outside: float, inside: float, excluded: Callable[[float], bool]) -> float:
    """Where exclusion begins, between a rate that is excluded and one that is not; on the outer side of it."""
    for _ in range(_STEPS_OF_BISECTION):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excluded(middle) else (outside, middle)
    return outside


def _times_log(count: float, rate: float) -> float:
    if not count:
        return 0.0
    return count * log(rate) if rate > 0 else -inf


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
