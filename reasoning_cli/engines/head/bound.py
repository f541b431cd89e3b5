"""The bound: how often a head may disagree with the log, counted by rooms, and down to which confidence it may answer.

Messages of one room resemble each other, so that a bound that counts each of them promises too much. The unit here is a
room: of each held-out room one decision, drawn at random from those that the head would answer there, agrees or not.
Instead of drawing once, the test is averaged over all ways of drawing: what it promises stays the same, and there is no
draw that anybody could choose. Where no room disagrees at all it is the exact binomial bound of one decision a room: 59
rooms for 5 %, 149 for 2 %. A room with few answers, beside the others, counts for less than a whole one.

The test is a game against the log, a stake on each room: where as much as the bound disagrees, or more, it is fair at
best, so that its stake grows twentyfold with a chance of 1 in 20 (Markov). Thresholds are tried one after the other in
an order that is settled before, until the first that fails, so that trying many costs nothing.

What is bounded, at 95 %: the share of disagreement in what a head answers, in rooms like the held-out ones, each
counted as above. Each group (IGNORE and RESPOND, with names and without) is bounded on its own: of two that answer, one
or the other is beyond its bound in up to one of ten trainings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log, log1p
from statistics import median_low

# Confidence of the head, room, whether the log says otherwise.
Scored = Sequence[tuple[float, str, bool]]
# Of each room how many decisions are answered there, and how many of them disagree.
Rooms = dict[str, tuple[int, int]]
CONFIDENCE = 0.95
# Of the largest stake that can be set on a room. The whole of it would let a single room end all.
_STAKE = 0.999
_WON = log(1 / (1 - CONFIDENCE))
_TOO_MANY_ROOMS = 10_000
_WHOLE_ROOM = 4  # answers that make a room count whole, where the others have as many


@dataclass(frozen=True, slots=True)
class Proof:
    """What held-out rooms say of one group of decisions down to a confidence.

    `rooms` in which it answers, `answered` decisions there, `disagreed` of them; `at_most` is the bound by rooms.
    """

    rooms: int
    answered: int
    disagreed: int
    at_most: float


def rooms_needed(bound: float) -> int:
    """The fewest rooms that can prove a bound, none of them disagreeing."""
    return ceil(log(1 - CONFIDENCE) / log1p(-bound))


def is_proven(rooms: Rooms, bound: float) -> bool:
    """Whether these rooms rule out that as much as `bound` disagrees, or more."""
    return bool(rooms) and winnings(rooms, bound) >= _WON


def is_likely(known: Rooms, rooms: int, bound: float) -> bool:
    """Whether so many rooms like the known ones would prove the bound."""
    return bool(known) and winnings(known, bound) * rooms / len(known) >= _WON


def rooms_to_win(known: Rooms, bound: float) -> int | None:
    """How many rooms like the known ones would prove the bound; None where no number would."""
    won = winnings(known, bound) / len(known)
    return ceil(_WON / won) if won > _WON / _TOO_MANY_ROOMS else None


def winnings(rooms: Rooms, bound: float) -> float:
    """What the rooms win (log) in a game that is fair where `bound` disagrees."""
    whole = min(_WHOLE_ROOM, median_low(answered for answered, _ in rooms.values()))
    factor = _STAKE / (1 - bound)
    return sum(
        log1p(max(-1 + 1e-12, factor * min(1, answered / whole) * (bound - disagreed / answered)))
        for answered, disagreed in rooms.values()
    )


def upper_bound(rooms: Rooms) -> float:
    """The largest disagreement that these rooms do not rule out."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        if is_proven(rooms, middle):
            high = middle
        else:
            low = middle
    return high


def proven(scored: Scored, thresholds: Sequence[float], bound: float) -> tuple[float | None, Proof | None]:
    """The lowest of `thresholds` (from high to low) down to which the bound holds, tested one after the other until
    the first that fails, and its proof; where the first fails, None and what failed."""
    lowest: float | None = None
    found: Rooms = {}
    for threshold, rooms in zip(thresholds, by_threshold(scored, thresholds), strict=True):
        if not is_proven(rooms, bound):
            found = found or dict(rooms)
            break
        lowest, found = threshold, dict(rooms)
    return lowest, _proof(found) if found else None


def by_threshold(scored: Scored, thresholds: Sequence[float]) -> Iterator[Rooms]:
    """The rooms down to each of the thresholds, which fall; each as it is until the next is asked for."""
    ordered = sorted(scored, key=lambda decision: -decision[0])
    rooms: Rooms = {}
    place = 0
    for threshold in thresholds:
        while place < len(ordered) and ordered[place][0] >= threshold:
            _, room, disagrees = ordered[place]
            answered, disagreed = rooms.get(room, (0, 0))
            rooms[room] = answered + 1, disagreed + disagrees
            place += 1
        yield rooms


def shares_of(rooms: Rooms) -> list[float]:
    """Of each room the share of what is answered there that disagrees."""
    return [disagreed / answered for answered, disagreed in rooms.values()]


def proof_of(scored: Scored, threshold: float) -> Proof:
    """What the rooms say of all that is at least so sure."""
    return _proof(next(by_threshold(scored, [threshold])))


def _proof(rooms: Rooms) -> Proof:
    return Proof(
        rooms=len(rooms),
        answered=sum(answered for answered, _ in rooms.values()),
        disagreed=sum(disagreed for _, disagreed in rooms.values()),
        at_most=upper_bound(rooms) if rooms else 1.0,
    )
