"""What a step of a promotion has shown so far, and what follows from it. Pure but for the counting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import log

from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.statistics.sequential import Finding, Verdict, against_floor, log_evidence
from reasoning_cli.store.promote.promotions import Promotion
from reasoning_cli.store.serving.attempts import NO_FAULT
from reasoning_cli.store.serving.online_answers import LiveAnswer

# What the gateway's circuit breaker calls broken; of a model whose answers are valid as often as they must be it is
# one chance in three million.
BROKEN_IN_A_ROW = 5
_MOST_DECISIONS = 5_000


@dataclass(frozen=True)
class Watched:
    """How the model did since the step began. `in_a_row` is how many of its last answers were no good; `failure` is why
    most of those were not."""

    asked: int
    valid: Finding
    agreement: Finding
    in_a_row: int
    failure: str | None
    p95_ms: int | None
    valid_floor: float
    agreement_floor: float

    @property
    def broken(self) -> str | None:
        """Why it has to go back, or None."""
        why = f", mostly {self.failure}" if self.failure else ""
        if self.in_a_row >= BROKEN_IN_A_ROW:
            return f"its last {self.in_a_row} answers were no good{why}"
        if self.valid.verdict is Verdict.WORSE:
            share = f"{self.valid.estimate * 100:.0f} % of {self.valid.trials:,}"
            return f"only {share} answers were valid, and {self.valid_floor * 100:g} % must be{why}"
        if self.agreement.verdict is Verdict.WORSE:
            share = f"{self.agreement.estimate * 100:.0f} % of {self.agreement.trials:,}"
            return f"it agreed in only {share}, and must in {self.agreement_floor * 100:g} %"
        return None

    @property
    def holds(self) -> bool:
        """Whether what was seen is as good as it must be."""
        agrees = not self.agreement.trials or self.agreement.estimate >= self.agreement_floor
        return self.valid.estimate >= self.valid_floor and agrees


@dataclass(frozen=True)
class Look:
    """How a promotion stands after a look, what the model has shown since its step began, and what is to be told."""

    promotion: Promotion
    seen: Watched | None = None
    message: str | None = None


def alpha_of_step(gate: Gate, steps: int) -> float:
    """The share of the promotion's error rate for one of the two tests of one step: they add up to the whole."""
    return gate.alpha_percent / 100 / (2 * steps)


def watch(answers: Iterable[LiveAnswer], key: str | None, gate: Gate, steps: int) -> Watched:
    """Judge what a deployment was asked since its step began; with None, what has no deployment."""
    own = sorted((answer for answer in answers if answer.deployment_key == key), key=lambda answer: answer.at)
    own = [answer for answer in own if answer.failure not in NO_FAULT]
    good = sum(answer.failure is None for answer in own)
    compared = [answer for answer in own if answer.agrees is not None]
    in_a_row = 0
    for answer in reversed(own):
        if answer.failure is None:
            break
        in_a_row += 1
    reasons = [answer.failure for answer in own if answer.failure is not None]
    latencies = sorted(answer.latency_ms for answer in own if answer.latency_ms is not None and answer.failure is None)
    alpha = alpha_of_step(gate, steps)
    valid_floor, agreement_floor = gate.valid_percent / 100, gate.live_agreement_percent / 100
    return Watched(
        asked=len(own),
        valid=against_floor(good, len(own), valid_floor, alpha),
        agreement=against_floor(sum(bool(answer.agrees) for answer in compared), len(compared), agreement_floor, alpha),
        in_a_row=in_a_row,
        failure=max(set(reasons), key=reasons.count) if reasons else None,
        p95_ms=latencies[min(len(latencies) - 1, int(len(latencies) * 0.95))] if latencies else None,
        valid_floor=valid_floor,
        agreement_floor=agreement_floor,
    )


@dataclass(frozen=True)
class Promise:
    """Within how many of its decisions a model that turns bad goes back, at the latest: after a step in which all was
    well until the last. When nothing it says is valid; when half is; when it always decides otherwise (None where it is
    not held to that)."""

    broken: int
    half_broken: int
    contrary: int | None


def promise(gate: Gate, steps: int, hold: int) -> Promise:
    """What the watch can promise by its own arithmetic."""
    alpha = alpha_of_step(gate, steps)
    return Promise(
        BROKEN_IN_A_ROW,
        _until_known(hold, gate.valid_percent / 100, 0.5, alpha),
        _until_known(hold, gate.live_agreement_percent / 100, 0.0, alpha) if gate.live_agreement_percent else None,
    )


def _until_known(good_before: int, floor: float, rate: float, alpha: float) -> int:
    """How many decisions of which `rate` are good, evenly, until the test says below the floor."""
    for more in range(1, _MOST_DECISIONS):
        good, trials = good_before + int(more * rate), good_before + more
        if good < floor * trials and log_evidence(good, trials, floor) >= -log(alpha):
            return more
    return _MOST_DECISIONS


def may_go_on(seen: Watched, hold: int, since: datetime, now: datetime, interval_seconds: float) -> bool:
    """Whether the next share may begin."""
    return seen.asked >= hold and seen.holds and (now - since).total_seconds() >= interval_seconds
