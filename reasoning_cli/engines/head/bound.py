"""The bound: how often a head may disagree with the log, counted by rooms, and down to which confidence it may answer.

Messages of one room resemble each other, so that a bound that counts each of them promises too much. The unit here is a
room: of each held-out room one decision, drawn at random among those that a head would answer there, agrees or not.
Instead of drawing once, the test is averaged over all ways of drawing, which changes nothing of what it promises and
leaves nobody a draw to choose. Where no room disagrees at all it is the exact binomial bound of one decision a room:
59 rooms for 5 %, 149 for 2 %.

What is bounded, at 95 %: the chance that a decision disagrees that is drawn at random from those a head answers in a
room drawn at random from rooms like the held-out ones. Each group (IGNORE and RESPOND, with names and without) is
bounded on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log, log1p

# Confidence of the head, room, whether the log says otherwise.
Scored = Sequence[tuple[float, str, bool]]
CONFIDENCE = 0.95
_LOG_ODDS = log(1 / (1 - CONFIDENCE))
# Shares of the largest stake that can be set against each room. The whole of it would let a single room end all.
STAKES = (0.97, 0.85, 0.7, 0.5, 0.3)


def rooms_needed(bound: float) -> int:
    """The fewest rooms that can prove a bound, none of them disagreeing."""
    return ceil(log(1 - CONFIDENCE) / log1p(-bound))


@dataclass(frozen=True, slots=True)
class Proof:
    """What held-out rooms say of one group of decisions down to a confidence.

    `rooms` in which it answers, `answered` decisions there, `disagreed` of them; `at_most` is the bound by rooms.
    """

    rooms: int
    answered: int
    disagreed: int
    at_most: float


def gain(share: float, disagreement: float, stake: float) -> float:
    """What a room in which this share disagrees wins (log) in a game that is fair at this disagreement."""
    return log1p(max(-1 + 1e-12, stake / (1 - disagreement) * (disagreement - share)))


def upper_bound(room_shares: Sequence[float], stake: float) -> float:
    """The largest disagreement by rooms that these rooms do not rule out. `room_shares`: the share of what is answered
    in each room that disagrees."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        if sum(gain(share, middle, stake) for share in room_shares) >= _LOG_ODDS:
            high = middle
        else:
            low = middle
    return high


def proven(
    scored: Scored, thresholds: Sequence[float], bound: float, stake: float
) -> tuple[float | None, Proof | None]:
    """The lowest of `thresholds` (from high to low) down to which the bound holds, tested one after the other until
    the first that fails, and its proof; where the first fails, None and what failed."""
    lowest: float | None = None
    found: Proof | None = None
    for threshold in thresholds:
        proof = proof_of(scored, threshold, stake)
        if proof.at_most > bound:
            return lowest, found or proof
        lowest, found = threshold, proof
    return lowest, found


def room_shares(scored: Scored, threshold: float) -> dict[str, tuple[int, int]]:
    """Of each room how many decisions are at least so sure, and how many of them disagree."""
    rooms: dict[str, tuple[int, int]] = {}
    for confidence, room, disagrees in scored:
        if confidence >= threshold:
            answered, disagreed = rooms.get(room, (0, 0))
            rooms[room] = answered + 1, disagreed + disagrees
    return rooms


def proof_of(scored: Scored, threshold: float, stake: float) -> Proof:
    """What the rooms say of all that is at least so sure."""
    rooms = room_shares(scored, threshold).values()
    return Proof(
        rooms=len(rooms),
        answered=sum(answered for answered, _ in rooms),
        disagreed=sum(disagreed for _, disagreed in rooms),
        at_most=upper_bound([disagreed / answered for answered, disagreed in rooms], stake) if rooms else 1.0,
    )
