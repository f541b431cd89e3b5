"""How often the gate lets a model in: `python -m benchmarks.train_loop --runs 200`.

Each run is another town of the made-up agent, another evaluation of other decisions, held against the default gate as
`train promote` does. What should not come in is worse than what answers now by just the margin the gate allows, or
tosses coins, or learned from wrong answers; what should learned from the original's answers. Fails when more come in
that should not than the gate says, or when the test of live traffic, looked at after every decision, tells two coins
apart more often than it says.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from reasoning_cli.commands.demo.synthetic_agent import Answers, Made, make_decisions
from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, read_answer
from reasoning_cli.operations.evaluate.gate_rules import read_gate
from reasoning_cli.operations.promote.gate import Bounds, Evidence, judge
from reasoning_cli.operations.statistics.intervals import Figure, moments, paired_difference, proportion
from reasoning_cli.operations.statistics.sequential import ALPHA, Verdict, paired
from reasoning_cli.sandbox.chat.answers import answer as weak_answer
from reasoning_cli.sandbox.chat.learned import answer as learned_answer
from reasoning_cli.sandbox.world.blobs import Blobs

TYPE = "should_respond"
NOISE = 0.05
NOW = datetime(2026, 11, 21, tzinfo=UTC)
ONE_SIDE = 0.025  # an interval that holds the truth 19 times of 20 lies above it once in 40
Model = Callable[[Made], str]


def main() -> int:
    """Print how many of the runs came in; 1 when it were too many, or too few."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--decisions", type=int, default=300, help="in each evaluation")
    chosen = parser.parse_args()
    runs, count = chosen.runs, chosen.decisions
    most = _most_by_chance(runs, ONE_SIDE)
    margin = read_gate(None, TYPE).margin_percent / 100
    bad = 0
    print(f"{'WHAT WOULD COME IN':<44} {'RUNS':>5} {'CAME IN':>8} {'AT MOST':>8}")
    for what, model, other in (
        (f"worse than what answers by {margin:.0%}", _errs(0.05 + margin), _errs(0.05)),
        ("a coin against a coin", _coin, _coin),
        ("learned from wrong answers against the weak", _learned("wrong"), _weak),
    ):
        came = sum(comes_in(seed, count, model(seed, 1), other(seed, 2)) for seed in range(runs))
        bad += came > most
        print(f"{what:<44} {runs:>5} {came:>8} {most:>8}", flush=True)
    came = sum(comes_in(seed, count, _learned("right")(seed, 1), _weak(seed, 2)) for seed in range(runs))
    bad += came < runs * 0.95
    print(f"{'learned from the original against the weak':<44} {runs:>5} {came:>8} {'':>8}", flush=True)
    apart, most = sum(differs(seed, 500) for seed in range(runs)), _most_by_chance(runs, ALPHA)
    bad += apart > most
    print(f"{'two coins told apart by live traffic':<44} {runs:>5} {apart:>8} {most:>8}")
    return 1 if bad else 0


def comes_in(seed: int, count: int, criterion: Model, other: Model) -> bool:
    """Whether the gate lets a model in, by an evaluation of so many decisions against another."""
    made = _decisions(count, seed)
    differences, right, out, spoke = [], 0, 0, 0
    for decision in made:
        wanted, said = _decided(decision, decision.output), criterion(decision)
        right += said == wanted
        out += wanted != "RESPOND"
        spoke += wanted != "RESPOND" and said == "RESPOND"
        differences.append(float(said == wanted) - float(other(decision) == wanted))
    found = Evidence(
        evaluation=1,
        at=NOW,
        decisions=count,
        valid=_bounds(proportion(count, count)),
        agreement=_bounds(proportion(right, count)),
        difference=_bounds(paired_difference(moments(differences))),
        wrong_respond=spoke / out,
        p95_ms=50,
        baseline="the other",
    )
    return all(
        criterion.passed is not False for criterion in judge(read_gate(None, TYPE), found, TYPE, "one", 1000, NOW)
    )


def differs(seed: int, count: int) -> bool:
    """Whether live traffic ever gives a verdict on two coins, looked at after each of so many decisions."""
    model, other = _coin(seed, 1), _coin(seed, 2)
    wins = losses = ties = 0
    for decision in _decisions(count, seed):
        first, second = model(decision) == decision.right, other(decision) == decision.right
        wins, losses, ties = wins + (first > second), losses + (first < second), ties + (first is second)
        if paired(wins, losses, ties).verdict is not Verdict.UNDECIDED:
            return True
    return False


def _decisions(count: int, seed: int, answers: Answers = "right") -> list[Made]:
    noise = NOISE if answers == "right" else 0.0
    return list(make_decisions(count, seed=seed, answers=answers, noise=noise, until=NOW, planning=False))


def _decided(decision: Made, output: str) -> str:
    read = read_answer(TYPE, decision.prompt, output)
    return "" if isinstance(read, InvalidAnswer) else decision_of(read)


def _errs(rate: float) -> Callable[[int, int], Model]:
    """One that says what the original said but for errors at a rate."""

    def model(seed: int, place: int) -> Model:
        dice = random.Random(f"errs {seed} {place}")

        def decide(decision: Made) -> str:
            said = _decided(decision, decision.output)
            return said if dice.random() >= rate else "IGNORE" if said == "RESPOND" else "RESPOND"

        return decide

    return model


def _coin(seed: int, place: int) -> Model:
    dice = random.Random(f"coin {seed} {place}")
    return lambda decision: dice.choice(("RESPOND", "IGNORE"))


def _weak(seed: int, place: int) -> Model:
    return lambda decision: _decided(decision, weak_answer(decision.prompt, "weak"))


def _learned(answers: Answers) -> Callable[[int, int], Model]:
    """A fine-tune of the sandbox that learned from another 300 decisions."""

    def model(seed: int, place: int) -> Model:
        import json

        lines = [
            {
                "messages": [
                    {"role": "user", "content": decision.prompt},
                    {"role": "assistant", "content": decision.output},
                ]
            }
            for decision in _decisions(300, seed + 100_000, answers)
        ]
        blobs = Blobs()
        key = f"{answers}_{seed}"
        blobs.put(key, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
        return lambda decision: _decided(decision, learned_answer(blobs, [key], decision.prompt) or "")

    return model


def _bounds(figure: Figure | None) -> Bounds | None:
    return None if figure is None else Bounds(figure.value, figure.low, figure.high)


def _most_by_chance(runs: int, rate: float) -> int:
    """The number that a rate brings in so many runs at most, but once in a thousand times."""
    return int(runs * rate + 3.1 * (runs * rate * (1 - rate)) ** 0.5)


if __name__ == "__main__":
    sys.exit(main())
