"""Make a head of a log: rules and a linear model, learned on some rooms, proven on others.

Which of the two answers messages with a name, and which those without, is settled by cross-validation among the rooms
that are learned from, like the order in which thresholds are tried. The held-out rooms are asked for what was settled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from reasoning_cli.engines.head.bound import (
    Proof,
    Rooms,
    Scored,
    by_threshold,
    is_likely,
    proof_of,
    proven,
    rooms_needed,
    rooms_to_win,
)
from reasoning_cli.engines.head.dataset import Data, Read, Sample, read
from reasoning_cli.engines.head.fitting import Fitted, calibrated, check_installed, fit, model_scores
from reasoning_cli.engines.head.holdout import folds, part
from reasoning_cli.engines.head.model import LABELS, By, Group, Head, Label
from reasoning_cli.errors import DataError

if TYPE_CHECKING:
    from reasoning_cli.engines.head.fitting import Scores

__all__ = ["BOUNDS", "MIN_SAMPLES", "Found", "Sample", "Trained", "train"]

MIN_SAMPLES = 200
BOUNDS = (0.01, 0.02, 0.05, 0.1)  # what would be answered at these is said beside what was asked for
_FOLDS = 3
_STEPS = 25  # thresholds a group is tried at
_SCORERS: tuple[By, ...] = ("rule", "model")
_UNSURE = 0.5  # no head answers what it is less sure of, whatever is proven
# The first threshold that is tried has so many times the rooms it needs, or so many of all.
_SPARE, _MOST = 2, 0.8
_NO_PROOF = Proof(0, 0, 0, 1.0)

# What would be answered (a share of all), and how much of that disagrees, by falling confidence.
Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What one scorer alone would do on the held-out rooms: how often its label is the log's, what share it may answer,
    and what of that disagrees."""

    accuracy: float
    share: float
    disagreed: float
    curve: Curve


@dataclass(frozen=True, slots=True)
class Trained:
    """A head and what was found while it was made.

    `learned` and `proven_on` are numbers of samples, `named_share` how many of the held-out messages name somebody,
    `share` what it would answer of those, `share_at` what it would at other bounds, `proof` what is proven of that: the
    sums of its groups, the fewest rooms and the highest bound among them.
    """

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
    named_share: float
    by_scorer: Mapping[By, Found]
    share_at: Mapping[float, float]
    share: float
    share_by_label: Mapping[Label, float]
    proof: Proof
    learned: Sequence[int]
    proven_on: Sequence[int]


def train(
    samples: Iterable[Sample],
    *,
    max_error: float,
    name: str = "should-respond",
    notify: Callable[[str], None] = lambda what: None,
) -> Trained:
    """Learn a head of should-respond that disagrees with the log in at most `max_error` of what it answers.

    The same samples make the same head. Raises ConfigurationError without scikit-learn, DataError for a log that
    nothing can be learned from.
    """
    check_installed()
    found = read(samples)
    data = found.data
    _check(data)
    sides = part(data.rooms, data.people)
    learn = data.of([place for place, side in enumerate(sides) if side == "learn"])
    prove = data.of([place for place, side in enumerate(sides) if side == "prove"])
    _check_sides(learn, prove)
    settled = _settled(learn, prove, max_error, notify)
    return _reported(found, learn, prove, settled, max_error, name)


_Kind = tuple[By, bool, Label]  # of a scorer's answers: whether somebody is named, and what it says


@dataclass(frozen=True)
class _Judged:
    """What each scorer makes of the decisions: in cross-validation of those that are learned from (`crossed`), and of
    the `held_out` ones. `agreeing` is the share of those learned from that it says as the log does, by whether somebody
    is named; `rooms` how many held-out rooms there are for each that is learned from."""

    crossed: Mapping[_Kind, Scored]
    held_out: Mapping[_Kind, Scored]
    agreeing: Mapping[tuple[By, bool], float]
    rooms: float


@dataclass(frozen=True)
class _Settled:
    """What was learned, which scorer answers messages with (True) and without a name, and what is proven of each;
    `share_at` what share of the held-out decisions would be answered at other bounds."""

    fitted: Fitted
    scorers: Mapping[bool, By]
    groups: Mapping[By, tuple[Group, ...]]
    held_out: Mapping[By, Scores]
    share_at: Mapping[float, float]


def _check(data: Data) -> None:
    if len(data) < MIN_SAMPLES:
        raise DataError(
            f"{len(data):,} decisions are too few to learn from: it takes {MIN_SAMPLES:,}, and 2,000 to be of use",
            "collect more: `reasoning gateway serve`; or import the agent's log: `reasoning data import FILE`",
        )
    kinds = set(data.decisions.tolist())
    if not {"RESPOND", "IGNORE"} <= kinds:
        lacking = sorted({"RESPOND", "IGNORE"} - kinds)
        raise DataError(
            f"there is no {' and no '.join(lacking)} among {len(data):,} decisions: nothing can be told apart",
            "what was decided: `reasoning data stats`",
        )
    if len(set(data.rooms)) < 2:
        raise DataError(
            f"all {len(data):,} decisions are of one room: none would be left to prove a head on",
            f"a bound of 5 % takes {rooms_needed(0.05)} held-out rooms, one of 2 % {rooms_needed(0.02)}",
        )


def _check_sides(learn: Data, prove: Data) -> None:
    for side, what in ((learn, "to learn from"), (prove, "to prove it on")):
        if not {"RESPOND", "IGNORE"} <= set(side.decisions.tolist()):
            raise DataError(
                f"the rooms share their people, so that no two decisions of both kinds are left {what}",
                "collect decisions of more rooms and people: `reasoning data stats`",
            )


def _settled(learn: Data, prove: Data, max_error: float, notify: Callable[[str], None]) -> _Settled:
    """All that is settled without what the log says of the held-out decisions, then the thresholds proven on them."""
    import numpy as np

    count = len(learn)
    fold_of = np.array(folds(learn.rooms, learn.people, _FOLDS))
    by_rule = (np.full(count, "IGNORE", "U7"), np.zeros(count))
    sums = {label: np.zeros(count) for label in LABELS}
    for fold in range(_FOLDS):
        notify(f"cross-validation, {fold + 1} of {_FOLDS}")
        inside, outside = np.flatnonzero(fold_of != fold).tolist(), np.flatnonzero(fold_of == fold).tolist()
        if not outside or not {"RESPOND", "IGNORE"} <= set(learn.decisions[inside].tolist()):
            continue
        fitted, held = fit(learn.of(inside)), learn.of(outside)
        for label, values in fitted.sums(held).items():
            sums[label][outside] = values
        by_rule[0][outside], by_rule[1][outside] = fitted.scores("rule", held)
    notify("learning")
    fitted = calibrated(fit(learn), sums, learn.decisions)
    crossed: dict[By, Scores] = {"rule": by_rule, "model": model_scores(fitted.linear, sums)}
    notify("proving")
    held_out = {by: fitted.scores(by, prove) for by in _SCORERS}
    judged = _judged(crossed, learn, held_out, prove)
    groups = {by: tuple(_groups(by, judged, max_error)) for by in _SCORERS}
    scorers = {named: _better(named, judged, max_error) for named in (True, False)}
    share_at = {bound: _share_at(bound, judged, len(prove)) for bound in BOUNDS}
    return _Settled(fitted, scorers, groups, held_out, share_at)


def _judged(crossed: Mapping[By, Scores], learn: Data, held_out: Mapping[By, Scores], prove: Data) -> _Judged:
    kinds = [(by, named, label) for by in _SCORERS for named in (True, False) for label in LABELS]

    def agreeing(by: By, named: bool) -> float:
        same = (crossed[by][0] == learn.decisions)[learn.named == named]
        return float(same.mean()) if len(same) else 0.0

    return _Judged(
        {kind: _scored(crossed[kind[0]], learn, kind[2], kind[1]) for kind in kinds},
        {kind: _scored(held_out[kind[0]], prove, kind[2], kind[1]) for kind in kinds},
        {(by, named): agreeing(by, named) for by in _SCORERS for named in (True, False)},
        len(set(prove.rooms)) / max(1, len(set(learn.rooms))),
    )


def _share_at(bound: float, judged: _Judged, count: int) -> float:
    """What share of the held-out decisions would be answered at another bound."""
    scorers = {named: _better(named, judged, bound) for named in (True, False)}
    groups = (group for by in set(scorers.values()) for group in _groups(by, judged, bound))
    return sum(group.proof.answered for group in groups if group.proven and scorers[group.named] == group.by) / count


def _groups(by: By, judged: _Judged, max_error: float) -> Iterable[Group]:
    """The four groups of a scorer, each proven on its own."""
    for named in (True, False):
        for label in LABELS:
            known, scored = judged.crossed[by, named, label], judged.held_out[by, named, label]
            thresholds = _plan(known, _counted(scored), max_error)
            threshold, proof = proven(scored, thresholds, max_error)
            proof = proof or proof_of(scored, 0.0)
            missing = 0 if threshold is not None else _missing(known, thresholds, proof, max_error)
            yield Group(label, named, by, threshold, proof, missing)


def _missing(known: Scored, thresholds: Sequence[float], proof: Proof, max_error: float) -> int | None:
    """How many held-out rooms more may prove a group, by what cross-validation makes likely; None where no number is
    likely to."""
    first = next(iter(thresholds or _thresholds(known)), None)
    rooms = next(by_threshold(known, [first])) if first is not None else {}
    if not rooms:
        return None
    needed = rooms_to_win(rooms, max_error)
    if needed is None:
        return None
    return max(1, max(needed, rooms_needed(max_error)) - proof.rooms)


def _scored(scores: Scores, data: Data, label: Label, named: bool) -> Scored:
    import numpy as np

    labels, confidences = scores
    places = np.flatnonzero((labels == label) & (data.named == named))
    return [
        (float(confidences[place]), data.rooms[place], bool(data.decisions[place] != label))
        for place in places.tolist()
    ]


def _plan(known: Scored, counts: Callable[[Sequence[float]], list[int]], max_error: float) -> list[float]:
    """Thresholds in the order they are tried: from the highest down to which a head answers in enough rooms to prove
    something although some disagree. `counts` says in how many it answers down to each."""
    thresholds = _thresholds(known)
    in_rooms = counts(thresholds)
    needed = rooms_needed(max_error)
    wanted = max(needed, min(_SPARE * needed, _MOST * max(in_rooms, default=0)))
    start = next((place for place, rooms in enumerate(in_rooms) if rooms >= wanted), len(thresholds))
    return thresholds[start:]


def _thresholds(known: Scored) -> list[float]:
    ordered = sorted((confidence for confidence, _, _ in known if confidence >= _UNSURE), reverse=True)
    steps = (len(ordered) * step // _STEPS for step in range(1, _STEPS + 1))
    return list(dict.fromkeys(ordered[min(len(ordered) - 1, step)] for step in steps if ordered))


def _counted(scored: Scored, share: float = 1.0) -> Callable[[Sequence[float]], list[int]]:
    """In how many of these rooms, or of a share of as many, a head answers down to each threshold. Of the held-out
    decisions only how sure it is is looked at, not what the log says."""
    return lambda thresholds: [round(len(rooms) * share) for rooms in by_threshold(scored, thresholds)]


def _better(named: bool, judged: _Judged, max_error: float) -> By:
    """The scorer that would be let answer more, as far as cross-validation tells; that disagrees less if neither."""

    def answered(by: By) -> tuple[int, float]:
        total = 0
        for label in LABELS:
            known = judged.crossed[by, named, label]
            thresholds = _plan(known, _counted(known, judged.rooms), max_error)
            likely: Rooms = {}
            for found in by_threshold(known, thresholds):
                if not is_likely(found, round(len(found) * judged.rooms), max_error):
                    break
                likely = dict(found)
            total += sum(count for count, _ in likely.values())
        return total, judged.agreeing[by, named]

    return max(_SCORERS, key=answered)


# --- the report ---


def _reported(found: Read, learn: Data, prove: Data, settled: _Settled, max_error: float, name: str) -> Trained:
    chosen = [group for by in _SCORERS for group in settled.groups[by] if settled.scorers[group.named] == by]
    groups = tuple(sorted(chosen, key=lambda group: (group.label, not group.named)))
    majority, count = Counter(prove.decisions.tolist()).most_common(1)[0]
    head = Head(
        name=name,
        model_type="should_respond",
        agents=found.agents,
        max_error=max_error,
        scorers=settled.scorers,
        groups=groups,
        rules=settled.fitted.rules,
        linear=settled.fitted.linear,
    )
    proofs = {label: [group.proof for group in groups if group.label == label and group.proven] for label in LABELS}
    answered = {label: sum(proof.answered for proof in proofs[label]) / len(prove) for label in LABELS}
    return Trained(
        head=head,
        samples=len(found.data),
        labelled=found.labelled,
        rooms=len(set(found.data.rooms)),
        held_out=len(prove),
        held_out_rooms=len(set(prove.rooms)),
        left_out=len(found.data) - len(learn) - len(prove),
        contradicting=found.contradicting,
        majority=majority,
        majority_share=count / len(prove),
        named_share=float(prove.named.mean()),
        by_scorer={by: _found(settled, by, prove) for by in _SCORERS},
        share_at=settled.share_at,
        share=sum(answered.values()),
        share_by_label=answered,
        proof=_together([proof for label in LABELS for proof in proofs[label]]),
        learned=learn.numbers,
        proven_on=prove.numbers,
    )


def _found(settled: _Settled, by: By, prove: Data) -> Found:
    import numpy as np

    labels, confidences = settled.held_out[by]
    proof = _together([group.proof for group in settled.groups[by] if group.proven])
    order = np.argsort(-confidences, kind="stable")
    wrong = np.cumsum(labels[order] != prove.decisions[order])
    count = len(order)
    places = sorted({ceil(count * step / 100) for step in range(1, 101)})
    return Found(
        accuracy=float(np.mean(labels == prove.decisions)),
        share=proof.answered / count,
        disagreed=proof.disagreed / max(1, proof.answered),
        curve=tuple((round(place / count, 4), round(float(wrong[place - 1]) / place, 5)) for place in places),
    )


def _together(proofs: Sequence[Proof]) -> Proof:
    """Several groups as one line: their sums, the fewest rooms and the highest bound among them."""
    if not proofs:
        return _NO_PROOF
    return Proof(
        min(proof.rooms for proof in proofs),
        sum(proof.answered for proof in proofs),
        sum(proof.disagreed for proof in proofs),
        max(proof.at_most for proof in proofs),
    )
