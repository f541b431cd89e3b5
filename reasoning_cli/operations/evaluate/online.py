"""Compare a model with what answers today by live traffic, at any moment, with a verdict that holds at every one.

Who is right is known where a person said so. Where nobody did, what the original decided is all there is to go by; the
question is then another one, whether the model agrees often enough, and is reported as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from reasoning_cli.decisions.answers import InvalidAnswer, agree, read_answer
from reasoning_cli.errors import NotFoundError, UsageError
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.statistics.sequential import Finding, Verdict, against_floor, paired, unpaired
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.store.serving.attempts import NO_FAULT
from reasoning_cli.store.serving.online_answers import LiveAnswer, decisions_since, labels_of_original, live_answers
from reasoning_cli.values import MIN_PRICED_DECISIONS, spell_model_type

ORIGINAL = "original"
# With fewer labelled decisions than these, what the labels say waits for more.
LEAST_LABELLED = 20
_DAY = timedelta(days=1)


class Asks(StrEnum):
    """Which question is answered."""

    RIGHT = "right"
    LABELS = "labels"
    AGREEMENT = "agreement"
    VALID = "valid"


@dataclass(frozen=True)
class Side:
    """One of the two. `keys` are the deployments of a model of ours; none for the original."""

    name: str
    keys: frozenset[str] = frozenset()
    cents_per_1000: Decimal | None = None


@dataclass
class Figures:
    """What was counted of one side. `alike` of `compared` decisions it decided as the original; `good` of `labelled`
    answers of it that agents got. `unsure` counts the decisions that it left to who is asked after it, which are in no
    other figure. Milliseconds."""

    asked: int = 0
    unsure: int = 0
    valid: int = 0
    agreed: int = 0
    compared: int = 0
    good: int = 0
    labelled: int = 0
    latencies: list[int] = field(default_factory=list)

    def percentile(self, share: float) -> int | None:
        """Of the latencies."""
        there = sorted(self.latencies)
        return there[min(len(there) - 1, int(len(there) * share))] if there else None


@dataclass(frozen=True)
class Question:
    """One question and what the traffic says to it. `until` is when a verdict may be there at the rate of the last day.

    `floor` is the share that has to be passed, where there is one.
    """

    asks: Asks
    text: str
    finding: Finding
    floor: float | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class LiveComparison:
    """The result: the first question is the one that counts, the others go with it. Of `both` decisions that two models
    of ours were asked, they agreed on `same`, which says nothing about who is right."""

    model_type: str
    since: datetime
    until: datetime
    alpha: float
    candidate: Side
    other: Side
    figures: Figures
    figures_of_other: Figures
    questions: tuple[Question, ...]
    decisions_per_day: int
    same: int = 0
    both: int = 0

    @property
    def verdict(self) -> Verdict:
        return self.questions[0].finding.verdict


@dataclass(frozen=True)
class CompareRequest:
    """What the operator asked for; times None for all there is. `own_model` is the one that the operator's own server
    serves in the slot, if one does."""

    model_type: str
    model: str | None = None
    against: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    alpha: float = 0.05
    own_model: str | None = None


def compare_live(
    store: Store,
    request: CompareRequest,
    gate: Gate,
    now: datetime,
    original_cents_per_1000: Decimal | None = None,
) -> LiveComparison:
    """Count what the log holds and test it. Raises NotFoundError where there is no model to compare."""
    model_type = request.model_type
    per_day = decisions_since(store, model_type, now - _DAY, now)
    candidate, other = sides(store, request, per_day, original_cents_per_1000)
    since = request.since or datetime.fromtimestamp(0, now.tzinfo)
    until = request.until or now + timedelta(seconds=1)
    answers = live_answers(store, model_type, since, until)
    counts = _count(answers, model_type, candidate, other)
    if not other.keys:
        counts.other.good, counts.other.labelled = labels_of_original(store, model_type, since, until)
    seen_per_day = counts.per_day(now)

    def question(asks: Asks, text: str, finding: Finding, floor: float | None = None) -> Question:
        per_day = seen_per_day.get(asks, 0)
        after = _DAY * (finding.more / per_day) if finding.more is not None and per_day else None
        return Question(asks, text, finding, floor, now + after if after is not None and after < _DAY * 3650 else None)

    own, theirs, alpha = counts.candidate, counts.other, request.alpha
    floor, valid_floor = gate.agreement_percent / 100, gate.valid_percent / 100
    agreement, valid = (
        against_floor(own.agreed, own.compared, floor, alpha),
        against_floor(own.valid, own.asked, valid_floor, alpha),
    )
    truth = question(
        Asks.RIGHT,
        f"Is {candidate.name} right more often than {other.name}, by what people said?",
        paired(counts.wins, counts.losses, counts.ties, alpha),
    )
    labels = unpaired(own.good, own.labelled, theirs.good, theirs.labelled, alpha)
    questions = [
        truth,
        question(Asks.LABELS, f"Do people call its answers good more often than those of {other.name}?", labels),
    ]
    if other.keys:
        agreement_of_both = unpaired(own.agreed, own.compared, theirs.agreed, theirs.compared, alpha)
        answered = unpaired(own.valid, own.asked, theirs.valid, theirs.asked, alpha)
        questions += [
            question(
                Asks.AGREEMENT, f"Does it decide as the original more often than {other.name}?", agreement_of_both
            ),
            question(Asks.VALID, f"Are its answers valid more often than those of {other.name}?", answered),
        ]
    else:
        questions += [
            question(
                Asks.AGREEMENT,
                f"Nobody said who is right: does it decide as the original in at least {floor * 100:g} %?",
                agreement,
                floor,
            ),
            question(Asks.VALID, f"Are its answers valid in at least {valid_floor * 100:g} %?", valid, valid_floor),
        ]
    return LiveComparison(
        model_type,
        since,
        until,
        alpha,
        candidate,
        other,
        own,
        theirs,
        tuple(_in_order(questions, counts, two=bool(other.keys))),
        per_day,
        counts.same,
        counts.both,
    )


def sides(
    store: Store, request: CompareRequest, per_day: int, original_cents_per_1000: Decimal | None
) -> tuple[Side, Side]:
    """Which model is compared with which: the candidate with the baseline, else the slot's with the original."""
    model_type, name = request.model_type, spell_model_type(request.model_type)
    deployments = Deployments(store)
    going = Replacements(store).going(model_type)
    serving = deployments.serving(model_type)
    key = going.new_key if going is not None else serving
    if request.own_model is not None and request.model in (None, request.own_model):
        candidate, going = Side(request.own_model), None
    elif request.model is not None:
        candidate = _side(store, request.model, model_type, per_day)
    elif key is not None and (record := deployments.get(key)) is not None:
        candidate = _of_record(store, record, per_day)
    else:
        raise NotFoundError(
            f"{name} has no model that could be compared",
            f"`reasoning models deploy {name}`, then `reasoning models enable {name} --mode shadow`",
        )
    if request.against == ORIGINAL or (request.against is None and (going is None or going.old_key in candidate.keys)):
        return candidate, Side(ORIGINAL, cents_per_1000=original_cents_per_1000)
    if request.against is not None:
        other = _side(store, request.against, model_type, per_day)
    else:
        assert going is not None
        old = deployments.get(going.old_key)
        assert old is not None
        other = _of_record(store, old, per_day)
    if candidate.keys & other.keys:
        raise UsageError(
            f"`{candidate.name}` cannot be compared with itself", "`--against` names another, or `original`"
        )
    return candidate, other


def _side(store: Store, name: str, model_type: str, per_day: int) -> Side:
    """Every deployment of the model that is meant, by its own name or that of one of them."""
    every = [*Deployments(store).all(), *Deployments(store).riders()]
    named = [
        record
        for record in every
        if name
        in (
            record.model_id,
            record.model_name,
            record.deployment_name,
            record.endpoint_name,
            record.key,
            record.deployment_id,
        )
    ]
    if not named:
        raise NotFoundError(
            f"`{name}` was never deployed here", f"`reasoning train history {spell_model_type(model_type)}` lists all"
        )
    return _of_record(store, named[-1], per_day)


def _of_record(store: Store, record: DeploymentRecord, per_day: int) -> Side:
    every = [*Deployments(store).all(), *Deployments(store).riders()]
    keys = frozenset(deployment.key for deployment in every if deployment.model_name == record.model_name) | {
        record.key
    }
    carrier = Deployments(store).get(record.rides_on) if record.rides_on else record
    price = carrier.price_cents_per_hour if carrier is not None else None
    cents = None
    if price is not None and carrier is not None and per_day >= MIN_PRICED_DECISIONS:
        cents = Decimal(price * max(1, carrier.ready_replicas)) * 24 * 1000 / per_day
    return Side(record.model_name, keys, cents)


@dataclass
class _Counts:
    candidate: Figures = field(default_factory=Figures)
    other: Figures = field(default_factory=Figures)
    wins: int = 0
    losses: int = 0
    ties: int = 0
    both: int = 0
    same: int = 0
    times: dict[Asks, list[datetime]] = field(default_factory=dict)

    def per_day(self, now: datetime) -> dict[Asks, int]:
        """How many trials of each question the last day brought."""
        return {asks: sum(now - at < _DAY for at in times) for asks, times in self.times.items()}

    def note(self, asks: Asks, at: datetime) -> None:
        self.times.setdefault(asks, []).append(at)


def _count(answers: Iterable[LiveAnswer], model_type: str, candidate: Side, other: Side) -> _Counts:
    counts = _Counts()
    for answer in answers:
        mine = _is_of(answer, candidate)
        if not mine and not (other.keys and _is_of(answer, other)):
            continue
        figures = counts.candidate if mine else counts.other
        if answer.failure in NO_FAULT:
            figures.unsure += 1
            continue
        _add(figures, answer)
        if mine:
            _note_trials(counts, answer)
            if not answer.got:
                _count_pair(counts, answer, model_type, other)
    return counts


def _note_trials(counts: _Counts, answer: LiveAnswer) -> None:
    """Which questions about the model an answer of it is a trial of."""
    counts.note(Asks.VALID, answer.at)
    if answer.got and answer.label is not None:
        counts.note(Asks.LABELS, answer.at)
    if _is_compared(answer):
        counts.note(Asks.AGREEMENT, answer.at)


def _count_pair(counts: _Counts, answer: LiveAnswer, model_type: str, other: Side) -> None:
    """Hold what the model said as a shadow against what the agent got, where that was the other side's."""
    shadows_other = answer.source == "slot" and answer.other_deployment in other.keys
    if shadows_other and answer.agrees is not None:
        counts.both += 1
        counts.same += answer.agrees
    if not (shadows_other if other.keys else answer.source != "slot"):
        return
    if not other.keys:
        _add_original(counts.other, answer)
    pair = _right(answer, model_type)
    if pair is not None:
        counts.wins += pair == (True, False)
        counts.losses += pair == (False, True)
        counts.ties += pair[0] is pair[1]
        counts.note(Asks.RIGHT, answer.at)


def _is_compared(answer: LiveAnswer) -> bool:
    """Whether it stands as a shadow against the original's answer, a failure as the answer that it is not."""
    return not answer.got and answer.source != "slot" and (answer.agrees is not None or answer.failure is not None)


def _is_of(answer: LiveAnswer, side: Side) -> bool:
    return answer.deployment_key in side.keys if answer.deployment_key is not None else answer.model == side.name


def _add(figures: Figures, answer: LiveAnswer) -> None:
    figures.asked += 1
    figures.valid += answer.failure is None
    if answer.latency_ms is not None:
        figures.latencies.append(answer.latency_ms)
    if answer.got and answer.label is not None:
        figures.labelled += 1
        figures.good += answer.label == "good"
    if _is_compared(answer):
        figures.compared += 1
        figures.agreed += bool(answer.agrees)


def _add_original(figures: Figures, answer: LiveAnswer) -> None:
    figures.asked += 1
    figures.valid += 1
    if answer.other_latency_ms is not None:
        figures.latencies.append(answer.other_latency_ms)


def _right(answer: LiveAnswer, model_type: str) -> tuple[bool, bool] | None:
    """(the model was right, what the agent got was right) by a label; None where that cannot be told."""
    if answer.label == "good":
        if answer.failure is not None:
            return False, True
        return None if answer.agrees is None else (answer.agrees, True)
    if answer.label == "bad":  # what would have been right nobody said
        return (False, False) if answer.agrees or answer.failure is not None else None
    if answer.label == "corrected" and answer.corrected is not None and answer.prompt is not None:
        said = _same(model_type, answer.prompt, answer.corrected, answer.output or "")
        got = _same(model_type, answer.prompt, answer.corrected, answer.agent_got or "")
        return said and answer.failure is None, got
    return None


def _same(model_type: str, prompt: str, wanted: str, given: str) -> bool:
    right, answer = read_answer(model_type, prompt, wanted), read_answer(model_type, prompt, given)
    if isinstance(right, InvalidAnswer) or isinstance(answer, InvalidAnswer):
        return False
    return bool(agree(right, answer))


def _in_order(questions: Sequence[Question], counts: _Counts, *, two: bool) -> list[Question]:
    """The question that counts first: who is right, as soon as enough people said so; else the best there is."""
    enough: dict[Asks, Callable[[], bool]] = {
        Asks.RIGHT: lambda: counts.wins + counts.losses + counts.ties >= LEAST_LABELLED,
        Asks.LABELS: lambda: min(counts.candidate.labelled, counts.other.labelled) >= LEAST_LABELLED,
        Asks.AGREEMENT: lambda: counts.candidate.compared > 0 and (not two or counts.other.compared > 0),
    }
    first = next(
        (question for question in questions if question.asks in enough and enough[question.asks]()),
        next(question for question in questions if question.asks is Asks.VALID),
    )
    shown = [
        question
        for question in questions
        if question.finding.trials and (question.asks is not Asks.LABELS or counts.other.labelled)
    ]
    return [first, *(question for question in shown if question is not first)]
