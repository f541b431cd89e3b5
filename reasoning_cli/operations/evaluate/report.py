"""What came of an evaluation: figures of each model with their intervals, differences with a verdict, disagreements.

Answers are read once, those to one decision together, so that differences are of pairs; what is kept meanwhile are sums
and the latencies.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from reasoning_cli.decisions.answers import ACTIONS
from reasoning_cli.decisions.scoring import MAIN, Weights
from reasoning_cli.operations.evaluate.candidates import ORIGINAL, Candidate
from reasoning_cli.operations.statistics.intervals import (
    Figure,
    Moments,
    bounded_mean,
    decisions_needed,
    paired_difference,
    percentile,
    proportion,
    rate,
    unbounded_mean,
)
from reasoning_cli.store.database import Store
from reasoning_cli.store.evaluate.evaluations import AnswerRecord, EvaluationRecord, Evaluations
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.values import MIN_PRICED_DECISIONS

if TYPE_CHECKING:
    from reasoning_cli.operations.evaluate.plan import EvaluationPlan

Verdict = Literal["better", "worse", "not known"]

# Figures that are yes or no of each answer; the others are means.
_SHARES = frozenset(
    {"accuracy", "actions_same", "order_same", "providers_same", "repeats", "parses", "same", "tests_pass"}
)
_COUNTS = frozenset({"words_count"})


@dataclass(frozen=True)
class ModelReport:
    """One model's figures. `answers` it was asked for, of which `valid` the agent could use; `failures` are why not.

    `metrics` are by name. `confusion` counts decisions by what was right, then by what it decided (`invalid` of none).
    `checked` counts what looked at code. Latencies are milliseconds as they were measured here; the cost of 1,000
    decisions is in cents, `cost_basis` in words how it comes about.
    """

    name: str
    model_name: str
    serving_name: str | None
    training: str
    run: int | None
    form: str
    answers: int
    valid: Figure | None
    failures: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, Figure] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    checked: Mapping[str, int] = field(default_factory=dict)
    latency_p50_ms: Figure | None = None
    latency_p95_ms: Figure | None = None
    cost_cents_per_1000: Figure | None = None
    cost_basis: str = ""


@dataclass(frozen=True)
class Difference:
    """`one` less `other` in a figure, over the decisions both answered; `needed` as many would do to tell, if more."""

    one: str
    other: str
    metric: str
    figure: Figure
    verdict: Verdict
    needed: int | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """The result. `bases` counts decisions by where what is right comes from, `left_out` those not asked by why.

    `leaked` lines of a file were trained on. `disagreements` counts decisions on which a model that was asked differs
    from what is right. `weights` are those of wrong decisions; `concurrency` calls were under way at once.
    """

    model_type: str
    count: int
    labelled: int
    bases: Mapping[str, int]
    left_out: Mapping[str, int]
    leaked: int
    main_metric: str
    models: tuple[ModelReport, ...]
    differences: tuple[Difference, ...]
    disagreements: int
    weights: Weights
    concurrency: int
    warnings: tuple[str, ...] = ()


def build_report(
    store: Store, record: EvaluationRecord, plan: EvaluationPlan, now: datetime, concurrency: int
) -> EvaluationReport:
    """Read all answers of an evaluation once and make its report."""
    evaluations = Evaluations(store)
    names = [ORIGINAL, *(candidate.name for candidate in plan.candidates)]
    tallies = [_Tally(plan.model_type, plan.request.weights) for _ in names]
    metrics = (MAIN[plan.model_type], "valid")
    pairs = {(first, other, name): Moments() for first, other in _pairs(len(names)) for name in metrics}
    bases = Counter[str]()
    for group in evaluations.answers(record.number):
        bases[str(group[0].scores.get("basis"))] += 1
        by_place = {answer.place: answer for answer in group}
        for place, answer in by_place.items():
            tallies[place].add(answer)
        for (first, other, name), moments in pairs.items():
            if first in by_place and other in by_place:
                ours, theirs = (_value(by_place[place], name) for place in (first, other))
                if ours is not None and theirs is not None:
                    moments.add(ours - theirs)
    hourly = _decisions_per_day(store, plan.model_type, now)
    models = [tallies[0].report(ORIGINAL)] if tallies[0].count else []
    models += [
        tally.report(candidate.name, candidate, hourly)
        for tally, candidate in zip(tallies[1:], plan.candidates, strict=True)
    ]
    return EvaluationReport(
        model_type=plan.model_type,
        count=sum(bases.values()),
        labelled=sum(count for basis, count in bases.items() if basis in ("corrected", "good", "bad", "file")),
        bases=dict(bases.most_common()),
        left_out=dict(plan.left_out),
        leaked=plan.leaked,
        main_metric=MAIN[plan.model_type],
        models=tuple(models),
        differences=tuple(_differences(names, pairs)),
        disagreements=evaluations.disagreement_count(record.number),
        weights=plan.request.weights,
        concurrency=concurrency,
        warnings=plan.warnings,
    )


def report_record(report: EvaluationReport) -> dict[str, object]:
    """The report as JSON holds it; an interval without end has no bound there."""
    found = _plain(asdict(report))
    assert isinstance(found, dict)
    return found


def read_report(record: Mapping[str, Any]) -> EvaluationReport:
    """What `report_record` gave."""
    return EvaluationReport(
        **{
            **record,
            "models": tuple(_read_model(model) for model in record["models"]),
            "differences": tuple(
                Difference(**{**difference, "figure": _figure(difference["figure"])})
                for difference in record["differences"]
            ),
            "weights": Weights(*(Decimal(record["weights"][name]) for name in ("wrong_respond", "wrong_ignore"))),
            "warnings": tuple(record["warnings"]),
        }
    )


class _Tally:
    """What is counted of one model's answers while they pass."""

    def __init__(self, model_type: str, weights: Weights) -> None:
        self._model_type, self._weights = model_type, weights
        self.count = self._valid = 0
        self._failures = Counter[str]()
        self._checked = Counter[str]()
        self._moments: dict[str, Moments] = {}
        self._confusion: dict[str, Counter[str]] = {}
        self._mistakes, self._wrong = Moments(), Counter[str]()
        self._latencies = array("d")
        self._cost = Moments()

    def add(self, answer: AnswerRecord) -> None:
        self.count += 1
        if answer.failure is None:
            self._valid += 1
        else:
            self._failures[answer.failure] += 1
        for name, value in answer.scores.items():
            if isinstance(value, int | float):
                self._moments.setdefault(name, Moments()).add(value)
        if how := answer.scores.get("checked"):
            self._checked[str(how)] += 1
        if self._model_type == "should_respond" and "accuracy" in answer.scores:
            self._decided(answer)
        if answer.latency_ms is not None:
            self._latencies.append(answer.latency_ms)
        if answer.cost_micros is not None:
            self._cost.add(answer.cost_micros / 10)  # of 1,000 decisions, in cents

    def _decided(self, answer: AnswerRecord) -> None:
        """Where a decision whether to speak went wrong. An invalid answer is none; the original takes it over."""
        truth, decided = str(answer.scores["truth"]), str(answer.scores.get("decided") or "invalid")
        if truth in ACTIONS:
            self._confusion.setdefault(truth, Counter())[decided] += 1
        wrong_respond = decided == "RESPOND" and truth != "RESPOND"
        wrong_ignore = decided in ("IGNORE", "STOP") and (truth == "RESPOND" or truth == f"not {decided}")
        self._wrong["respond"] += wrong_respond
        self._wrong["ignore"] += wrong_ignore
        costs = self._weights.wrong_respond * wrong_respond + self._weights.wrong_ignore * wrong_ignore
        self._mistakes.add(float(costs))

    def report(self, name: str, candidate: Candidate | None = None, per_day: tuple[int, str] = (0, "")) -> ModelReport:
        latencies = sorted(self._latencies)
        cost, basis = self._costs(candidate, per_day)
        return ModelReport(
            name=name,
            model_name=candidate.model_name if candidate else "the answers in the log",
            serving_name=candidate.serving_name if candidate else None,
            training=candidate.training if candidate else "none",
            run=candidate.run if candidate else None,
            form=candidate.form if candidate else "exact",
            answers=self.count,
            valid=proportion(self._valid, self.count),
            failures=dict(self._failures.most_common()),
            metrics={name: figure for name, figure in self._metrics().items() if figure is not None},
            confusion={truth: dict(counts) for truth, counts in sorted(self._confusion.items())},
            checked=dict(self._checked.most_common()),
            latency_p50_ms=percentile(latencies, 0.5),
            latency_p95_ms=percentile(latencies, 0.95),
            cost_cents_per_1000=cost,
            cost_basis=basis,
        )

    def _metrics(self) -> dict[str, Figure | None]:
        found: dict[str, Figure | None] = {}
        for name, moments in self._moments.items():
            if name in _SHARES:
                found[name] = proportion(round(moments.total), moments.count)
            elif name in _COUNTS:
                found[name] = unbounded_mean(moments)
            else:
                found[name] = bounded_mean(moments)
        if self._mistakes.count:
            found |= self._classes()
            found["wrong_respond"] = proportion(self._wrong["respond"], self._mistakes.count)
            found["wrong_ignore"] = proportion(self._wrong["ignore"], self._mistakes.count)
            most = float(max(self._weights.wrong_respond, self._weights.wrong_ignore))
            found["mistake_cost"] = bounded_mean(self._mistakes, most)
        return found

    def _classes(self) -> dict[str, Figure | None]:
        """Precision and recall of each action that was right or decided anywhere."""
        found: dict[str, Figure | None] = {}
        for action in ACTIONS:
            hits = self._confusion.get(action, Counter())[action]
            decided = sum(counts[action] for counts in self._confusion.values())
            found[f"precision_{action}"] = proportion(hits, decided)
            found[f"recall_{action}"] = proportion(hits, self._confusion.get(action, Counter()).total())
        return found

    def _costs(self, candidate: Candidate | None, per_day: tuple[int, str]) -> tuple[Figure | None, str]:
        if candidate is not None and candidate.head is not None:
            return Figure(0, 0, 0, self.count), "nothing, it is asked in this process"
        if candidate is None or not candidate.is_deployed:
            figure = unbounded_mean(self._cost)
            if figure is None:
                return None, "no price of its tokens is known"
            return figure, "the price of its tokens"
        count, when = per_day
        if candidate.cents_per_hour is None:
            return None, "no price of its hardware is known"
        if not count:
            return None, "no traffic to spread the price of an hour over"
        each = f"{count:,} decision{'' if count == 1 else 's'} {when}"
        if count < MIN_PRICED_DECISIONS:
            return None, f"{each} {'is' if count == 1 else 'are'} too few to spread the price of an hour over"
        day = candidate.cents_per_hour * 24
        low, high = rate(count)
        figure = Figure(day / count * 1000, day / high * 1000, day / low * 1000, count)
        return figure, f"${candidate.cents_per_hour / 100:.2f} an hour, spread over the {each}"


def _pairs(places: int) -> list[tuple[int, int]]:
    """Each model that was asked, with the original, and with each that was named after it."""
    return [*((place, 0) for place in range(1, places)), *combinations(range(1, places), 2)]


def _value(answer: AnswerRecord, metric: str) -> float | None:
    if metric == "valid":
        return float(answer.failure is None)
    value = answer.scores.get(metric)
    return float(value) if isinstance(value, int | float) else None


def _differences(names: Sequence[str], pairs: Mapping[tuple[int, int, str], Moments]) -> list[Difference]:
    found = []
    for (first, other, metric), moments in pairs.items():
        figure = paired_difference(moments)
        if figure is None:
            continue
        verdict: Verdict = "better" if figure.low > 0 else "worse" if figure.high < 0 else "not known"
        needed = decisions_needed(moments, figure.value) if verdict == "not known" else None
        found.append(
            Difference(
                names[first],
                names[other],
                metric,
                figure,
                verdict,
                needed if needed and needed > figure.count else None,
            )
        )
    return found


def _decisions_per_day(store: Store, model_type: str, now: datetime) -> tuple[int, str]:
    """How many decisions of a type the last day had, or the last day that had any, and which it was, in words."""
    samples, day = Samples(store), timedelta(days=1)
    newest = samples.newest(model_type, answered_by_us=False)
    for until in (now, *([newest] if newest is not None else [])):
        end = until + timedelta(milliseconds=1)
        if count := samples.count(SampleFilter(model_types=(model_type,), since=end - day, until=end)):
            when = "of the last 24 hours" if until == now else f"of the 24 hours up to {until:%Y-%m-%d %H:%M} UTC"
            return count, when
    return 0, ""


def _plain(value: object) -> object:
    match value:
        case Decimal():
            return str(value)
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
    return value


def _figure(record: Mapping[str, Any] | None) -> Figure | None:
    if record is None:
        return None
    low, high = record["low"], record["high"]
    return Figure(
        record["value"], -math.inf if low is None else low, math.inf if high is None else high, record["count"]
    )


def _read_model(record: Mapping[str, Any]) -> ModelReport:
    figures = ("valid", "latency_p50_ms", "latency_p95_ms", "cost_cents_per_1000")
    return ModelReport(
        **{
            **record,
            **{name: _figure(record[name]) for name in figures},
            "metrics": {name: _figure(metric) for name, metric in record["metrics"].items()},
        }
    )
