"""Make a head of a log: rules and a linear model, learned on some rooms, proven on others.

Which of the two answers messages with a name, and which those without, is settled by cross-validation among the rooms
that are learned from, like the order in which thresholds are tried. The held-out rooms are asked for what was settled.
scikit-learn (extra `head`) is imported here and nowhere else.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reasoning_cli.engines.head.bound import (
    STAKES,
    Proof,
    Scored,
    by_threshold,
    is_likely,
    proof_of,
    proven,
    rooms_needed,
    winnings,
)
from reasoning_cli.engines.head.features import SIZE, STRUCTURE_WEIGHT, signs_of
from reasoning_cli.engines.head.holdout import folds, part
from reasoning_cli.engines.head.model import LABELS, By, Group, Head, Label, Linear, Rule
from reasoning_cli.engines.head.moment import Moment
from reasoning_cli.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix

MIN_SAMPLES = 200
_FOLDS = 3
_REGULARISATION = 0.2
# One room more than was seen, so that no stake is set on nobody ever disagreeing.
_UNSEEN = (3, 1)
_STEPS = 25  # thresholds a group is tried at
_SCORERS: tuple[By, ...] = ("rule", "model")
_NO_PROOF = Proof(0, 0, 0, 1.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One decision of the log. `decision` is RESPOND, IGNORE or STOP: a label's where there is one (`labelled`), else
    what the baseline answered. `person` is who wrote the message, by id or name."""

    number: int
    room: str
    person: str
    moment: Moment
    decision: str
    labelled: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What one scorer alone would do on the held-out rooms: how often its label is the log's, what share it may answer,
    and what of that disagrees."""

    accuracy: float
    share: float
    disagreed: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A head and what was found while it was made. `learned` and `proven_on` are numbers of samples; `share` is of the
    held-out decisions; `curve` what it would answer and how much of that disagrees, by falling confidence."""

    head: Head
    samples: int
    labelled: int
    rooms: int
    held_out: int
    held_out_rooms: int
    left_out: int
    contradicting: int
    majority: str
    majority_share: float
    by_scorer: Mapping[By, Found]
    share: float
    share_by_label: Mapping[Label, float]
    proof: Proof
    learned: tuple[int, ...]
    proven_on: tuple[int, ...]
    curve: tuple[tuple[float, float], ...] = ()


def train(
    samples: Sequence[Sample],
    *,
    max_error: float,
    name: str = "should-respond",
    notify: Callable[[str], None] = lambda what: None,
) -> Trained:
    """Learn a head of should-respond that disagrees with the log in at most `max_error` of what it answers.

    Raises ConfigurationError without scikit-learn, DataError for a log that nothing can be learned from.
    """
    _check(samples)
    notify("reading the decisions")
    data = _read(samples)
    sides = part(data.rooms, data.people)
    learn = [place for place, side in enumerate(sides) if side == "learn"]
    prove = [place for place, side in enumerate(sides) if side == "prove"]
    _check_sides(data, learn, prove)
    notify("learning")
    settled = _settled(data.of(learn), data.of(prove), max_error, notify)
    notify("proving")
    return _reported(samples, data, learn, prove, settled, max_error, name)


@dataclass(frozen=True)
class _Data:
    """Samples as numbers, in their order."""

    matrix: csr_matrix
    situations: Sequence[str]
    named: np.ndarray[Any, Any]
    decisions: np.ndarray[Any, Any]
    rooms: Sequence[str]
    people: Sequence[str]

    def of(self, places: Sequence[int]) -> _Data:
        return _Data(
            self.matrix[places],
            [self.situations[place] for place in places],
            self.named[places],
            self.decisions[places],
            [self.rooms[place] for place in places],
            [self.people[place] for place in places],
        )


@dataclass(frozen=True)
class _Scorer:
    """What was learned: the rules and the model."""

    rules: Mapping[str, Rule]
    linear: Mapping[Label, Linear]

    def scores(self, by: By, data: _Data) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Label and confidence of each decision."""
        import numpy as np

        if by == "rule":
            unknown = Rule("IGNORE", 0.0, 0, 0)
            found = [self.rules.get(situation, unknown) for situation in data.situations]
            return np.array([rule.label for rule in found]), np.array([rule.confidence for rule in found])
        ignore = _probabilities(self.linear["IGNORE"], data.matrix)
        respond = _probabilities(self.linear["RESPOND"], data.matrix) if "RESPOND" in self.linear else 1 - ignore
        return np.where(ignore >= respond, "IGNORE", "RESPOND"), np.maximum(ignore, respond)


@dataclass(frozen=True)
class _Settled:
    scorer: _Scorer
    scorers: Mapping[bool, By]
    groups: Mapping[By, tuple[Group, ...]]
    held_out: Mapping[By, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def _check(samples: Sequence[Sample]) -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "training a head needs scikit-learn", "`pip install 'reasoning[head]'`; serving one needs nothing more"
        ) from None
    if len(samples) < MIN_SAMPLES:
        raise DataError(
            f"{len(samples):,} decisions are too few to learn from: {MIN_SAMPLES:,} at least, about 2,000 to be of use",
            "collect more: `reasoning gateway serve`, or import a log: `reasoning data import`",
        )
    kinds = {sample.decision for sample in samples}
    if not {"RESPOND", "IGNORE"} <= kinds:
        raise DataError(
            f"all decisions are {' or '.join(sorted(kinds))}: there is nothing to tell apart",
            "see what was recorded: `reasoning data stats --type should-respond`",
        )
    if len({sample.room for sample in samples}) < 2:
        raise DataError(
            "all decisions are of one room: nothing would be left to prove a head on",
            "collect decisions of more rooms; a bound of 5 % takes 59 held-out rooms",
        )


def _check_sides(data: _Data, learn: Sequence[int], prove: Sequence[int]) -> None:
    for places, what in ((learn, "learn from"), (prove, "prove it on")):
        if not {"RESPOND", "IGNORE"} <= set(data.decisions[places].tolist()):
            raise DataError(
                f"the rooms share their people, so that none with both decisions are left to {what}",
                "collect decisions of more rooms, or take in more agents: `--agent`",
            )


def _read(samples: Sequence[Sample]) -> _Data:
    """The samples as one sparse matrix; their moments are not needed any more."""
    import numpy as np
    from scipy.sparse import csr_matrix

    places, values, ends = array("i"), array("f"), array("q", [0])
    situations, named = [], []
    for sample in samples:
        signs = signs_of(sample.moment)
        places.extend(signs.structure)
        places.extend(signs.words)
        values.extend([STRUCTURE_WEIGHT] * len(signs.structure))
        values.extend([signs.words_value] * len(signs.words))
        ends.append(len(places))
        situations.append(signs.situation)
        named.append(signs.named)
    matrix = csr_matrix(
        (np.frombuffer(values, np.float32), np.frombuffer(places, np.int32), np.frombuffer(ends, np.int64)),
        shape=(len(samples), SIZE),
    )
    return _Data(
        matrix,
        situations,
        np.array(named),
        np.array([sample.decision for sample in samples]),
        [sample.room for sample in samples],
        [sample.person for sample in samples],
    )


# --- learning ---


def _settled(learn: _Data, prove: _Data, max_error: float, notify: Callable[[str], None]) -> _Settled:
    """All that is settled without the held-out decisions' labels, then the thresholds proven on them."""
    import numpy as np

    fold_of = np.array(folds(learn.rooms, learn.people, _FOLDS))
    crossed = {by: (np.full(len(fold_of), "IGNORE", "U7"), np.zeros(len(fold_of))) for by in _SCORERS}
    raw = {label: np.zeros(len(fold_of)) for label in LABELS}
    for fold in range(_FOLDS):
        notify(f"cross-validation {fold + 1} of {_FOLDS}")
        inside, outside = np.flatnonzero(fold_of != fold).tolist(), np.flatnonzero(fold_of == fold).tolist()
        if not {"RESPOND", "IGNORE"} <= set(learn.decisions[inside].tolist()) or not outside:
            continue
        part_data = learn.of(outside)
        scorer = _fitted(learn.of(inside))
        for label, linear in scorer.linear.items():
            raw[label][outside] = _sums(linear, part_data.matrix)
        crossed["rule"][0][outside], crossed["rule"][1][outside] = scorer.scores("rule", part_data)
    notify("learning from all")
    scorer = _calibrated(_fitted(learn), raw, learn.decisions)
    crossed["model"] = _crossed_model(scorer.linear, raw)
    held_out = {by: scorer.scores(by, prove) for by in _SCORERS}
    groups = {by: tuple(_groups(by, crossed[by], learn, held_out[by], prove, max_error)) for by in _SCORERS}
    scorers = {named: _better(named, crossed, learn, len(set(prove.rooms)), max_error) for named in (True, False)}
    return _Settled(scorer, scorers, groups, held_out)


def _fitted(data: _Data) -> _Scorer:
    """Rules and an uncalibrated model of these decisions."""
    has_stop = bool((data.decisions == "STOP").any())
    labels: tuple[Label, ...] = LABELS if has_stop else ("IGNORE",)
    return _Scorer(_rules(data), {label: _linear(data.matrix, data.decisions == label) for label in labels})


def _rules(data: _Data) -> dict[str, Rule]:
    """For each situation its more frequent label."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for situation, decision in zip(data.situations, data.decisions.tolist(), strict=True):
        counts[situation][decision] += 1
    rules = {}
    for situation, count in counts.items():
        label: Label = "IGNORE" if count["IGNORE"] >= count["RESPOND"] else "RESPOND"
        seen, disagreed = count.total(), count.total() - count[label]
        rules[situation] = Rule(label, 1 - (disagreed + 1) / (seen + 2), seen, disagreed)
    return rules


def _linear(matrix: csr_matrix, is_label: np.ndarray[Any, Any]) -> Linear:
    """A logistic regression. What none of the decisions has weighs nothing."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    used = np.unique(matrix.indices)
    model = LogisticRegression(C=_REGULARISATION, solver="liblinear", tol=0.02)
    model.fit(matrix[:, used], is_label)
    weights = np.zeros(SIZE, np.float32)
    weights[used] = model.coef_[0]
    return Linear(array("f", weights.tobytes()), float(model.intercept_[0]), 1.0, 0.0)


def _calibrated(scorer: _Scorer, raw: Mapping[Label, np.ndarray[Any, Any]], decisions: np.ndarray[Any, Any]) -> _Scorer:
    """The model with probabilities that held in the cross-validation."""
    from sklearn.linear_model import LogisticRegression

    linears: dict[Label, Linear] = {}
    for label, linear in scorer.linear.items():
        platt = LogisticRegression(C=1e3).fit(raw[label][:, None], decisions == label)
        linears[label] = replace(linear, slope=float(platt.coef_[0][0]), offset=float(platt.intercept_[0]))
    return replace(scorer, linear=linears)


def _crossed_model(
    linear: Mapping[Label, Linear], raw: Mapping[Label, np.ndarray[Any, Any]]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    import numpy as np

    ignore = _logistic(linear["IGNORE"], raw["IGNORE"])
    respond = _logistic(linear["RESPOND"], raw["RESPOND"]) if "RESPOND" in linear else 1 - ignore
    return np.where(ignore >= respond, "IGNORE", "RESPOND"), np.maximum(ignore, respond)


def _sums(linear: Linear, matrix: csr_matrix) -> np.ndarray[Any, Any]:
    import numpy as np

    sums: np.ndarray[Any, Any] = matrix @ np.frombuffer(linear.weights, np.float32) + linear.intercept
    return sums


def _logistic(linear: Linear, sums: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    probabilities: np.ndarray[Any, Any] = 1 / (1 + np.exp(-np.clip(linear.slope * sums + linear.offset, -700, 700)))
    return probabilities


def _probabilities(linear: Linear, matrix: csr_matrix) -> np.ndarray[Any, Any]:
    return _logistic(linear, _sums(linear, matrix))


# --- proving ---


def _groups(
    by: By,
    crossed: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    learn: _Data,
    held_out: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    prove: _Data,
    max_error: float,
) -> list[Group]:
    """The four groups of a scorer, each proven on its own."""
    groups = []
    for named in (True, False):
        for label in LABELS:
            known, scored = _scored(crossed, learn, label, named), _scored(held_out, prove, label, named)
            thresholds, stake = _plan(known, _counted(scored), max_error)
            threshold, proof = proven(scored, thresholds, max_error, stake)
            proof = proof or proof_of(scored, 0.0, STAKES[0])
            missing = 0 if threshold is not None else max(0, rooms_needed(max_error) - proof.rooms)
            groups.append(Group(label, named, by, threshold, proof, missing))
    return groups


def _scored(
    scores: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]], data: _Data, label: Label, named: bool
) -> Scored:
    import numpy as np

    labels, confidences = scores
    places = np.flatnonzero((labels == label) & (data.named == named))
    return [
        (float(confidences[place]), data.rooms[place], bool(data.decisions[place] != label))
        for place in places.tolist()
    ]


def _plan(known: Scored, counts: Callable[[Sequence[float]], list[int]], max_error: float) -> tuple[list[float], float]:
    """Thresholds in the order they are tried, and the stake: by what cross-validation makes likely. `counts` says in
    how many rooms a head answers down to each threshold."""
    thresholds = _thresholds(known)
    best = (float("-inf"), len(thresholds), STAKES[0])
    for place, (rooms, count) in enumerate(zip(by_threshold(known, thresholds), counts(thresholds), strict=True)):
        if count < rooms_needed(max_error) or not rooms:
            continue
        for stake in STAKES:
            won = count * winnings({**rooms, "": _UNSEEN}, max_error, stake) / (len(rooms) + 1)
            best = max(best, (won, place, stake), key=lambda found: found[0])
    return thresholds[best[1] :], best[2]


def _thresholds(known: Scored) -> list[float]:
    ordered = sorted((confidence for confidence, _, _ in known), reverse=True)
    steps = (len(ordered) * step // _STEPS for step in range(1, _STEPS + 1))
    return list(dict.fromkeys(ordered[min(len(ordered) - 1, step)] for step in steps if ordered))


def _counted(scored: Scored, share: float = 1.0) -> Callable[[Sequence[float]], list[int]]:
    """In how many of these rooms, or of a share of as many, a head answers down to each threshold. Of the held-out
    decisions only how sure it is is looked at, not what the log says."""
    return lambda thresholds: [round(len(rooms) * share) for rooms in by_threshold(scored, thresholds)]


def _better(
    named: bool,
    crossed: Mapping[By, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]],
    learn: _Data,
    rooms: int,
    max_error: float,
) -> By:
    """The scorer that would be let answer more, as far as cross-validation tells; that disagrees less if neither."""
    share = rooms / max(1, len(set(learn.rooms)))

    def answered(by: By) -> tuple[int, float]:
        total = 0
        for label in LABELS:
            known = _scored(crossed[by], learn, label, named)
            thresholds, stake = _plan(known, _counted(known, share), max_error)
            likely = 0
            for found in by_threshold(known, thresholds):
                if not is_likely(found, round(len(found) * share), max_error, stake):
                    break
                likely = sum(count for count, _ in found.values())
            total += likely
        labels = crossed[by][0]
        return total, float((labels == learn.decisions)[learn.named == named].mean())

    return max(_SCORERS, key=answered)


def _reported(
    samples: Sequence[Sample],
    data: _Data,
    learn: Sequence[int],
    prove: Sequence[int],
    settled: _Settled,
    max_error: float,
    name: str,
) -> Trained:
    import numpy as np

    held = data.of(prove)
    groups = tuple(group for by in _SCORERS for group in settled.groups[by] if settled.scorers[group.named] == by)
    majority, count = Counter(held.decisions.tolist()).most_common(1)[0]
    head = Head(
        name=name,
        model_type="should_respond",
        agents=tuple(sorted({sample.moment.agent for sample in samples})),
        max_error=max_error,
        scorers=settled.scorers,
        groups=groups,
        rules=settled.scorer.rules,
        linear=settled.scorer.linear,
    )
    by_scorer = {}
    for by in _SCORERS:
        proofs = [group.proof for group in settled.groups[by] if group.threshold is not None]
        answered, disagreed = sum(proof.answered for proof in proofs), sum(proof.disagreed for proof in proofs)
        accuracy = float(np.mean(settled.held_out[by][0] == held.decisions))
        by_scorer[by] = Found(accuracy, answered / len(prove), disagreed / max(1, answered))
    open_groups = [group for group in groups if group.threshold is not None]
    return Trained(
        head=head,
        samples=len(samples),
        labelled=sum(sample.labelled for sample in samples),
        rooms=len(set(data.rooms)),
        held_out=len(prove),
        held_out_rooms=len(set(held.rooms)),
        left_out=len(samples) - len(learn) - len(prove),
        contradicting=_contradicting(samples),
        majority=majority,
        majority_share=count / len(prove),
        by_scorer=by_scorer,
        share=sum(group.proof.answered for group in open_groups) / len(prove),
        share_by_label={
            label: sum(group.proof.answered for group in open_groups if group.label == label) / len(prove)
            for label in LABELS
        },
        proof=_together([group.proof for group in open_groups]),
        learned=tuple(samples[place].number for place in learn),
        proven_on=tuple(samples[place].number for place in prove),
        curve=_curve(settled, held),
    )


def _together(proofs: Sequence[Proof]) -> Proof:
    """Several groups as one line: their sums, the fewest rooms and the worst bound among them."""
    if not proofs:
        return _NO_PROOF
    return Proof(
        min(proof.rooms for proof in proofs),
        sum(proof.answered for proof in proofs),
        sum(proof.disagreed for proof in proofs),
        max(proof.at_most for proof in proofs),
    )


def _curve(settled: _Settled, held: _Data) -> tuple[tuple[float, float], ...]:
    """(share answered, share of that which disagrees), by falling confidence, in a hundred steps."""
    import numpy as np

    by_name = {named: settled.held_out[by] for named, by in settled.scorers.items()}
    labels = np.where(held.named, by_name[True][0], by_name[False][0])
    confidences = np.where(held.named, by_name[True][1], by_name[False][1])
    order = np.argsort(-confidences, kind="stable")
    wrong = np.cumsum(labels[order] != held.decisions[order])
    count = len(order)
    places = sorted({max(1, count * step // 100) for step in range(1, 101)})
    return tuple((place / count, float(wrong[place - 1]) / place) for place in places)


def _contradicting(samples: Sequence[Sample]) -> int:
    """How many decisions differ from that of another sample with the same message, sender and room."""
    seen: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for sample in samples:
        seen[sample.room, sample.moment.sender, sample.moment.message].add(sample.decision)
    return sum(len(seen[sample.room, sample.moment.sender, sample.moment.message]) > 1 for sample in samples)
