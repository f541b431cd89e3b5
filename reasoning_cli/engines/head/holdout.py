"""Which rooms a head learns from and which it is proven on: no room and no person is on both sides.

Nothing but who wrote where decides, so that nobody can choose the rooms that prove most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Literal

Side = Literal["learn", "prove"]
# Little is learned from more than so many decisions, while each further room makes the proof tighter.
ENOUGH_TO_LEARN = 3000
_LEAST_PROVING, _MOST_PROVING = 0.6, 0.75
_LARGE = 0.1  # of all decisions: such circles of rooms are placed first
_TOO_LARGE = 0.75  # to be on one side: then people are parted instead, and what crosses is left out


def part(rooms: Sequence[str], people: Sequence[str]) -> list[Side | None]:
    """The side of each decision, by its room and who wrote its message; None for those that would cross."""
    share = min(_MOST_PROVING, max(_LEAST_PROVING, 1 - ENOUGH_TO_LEARN / max(1, len(rooms))))
    circles = _circles(rooms, people)
    sizes = Counter(circles[room] for room in rooms)
    if max(sizes.values(), default=0) > _TOO_LARGE * len(rooms):
        return _parted_people(rooms, people, share)
    weight: dict[Side, float] = {"learn": 0.0, "prove": 0.0}
    side_of: dict[str, Side] = {}
    order = sorted(
        sizes, key=lambda circle: (-sizes[circle] if sizes[circle] > _LARGE * len(rooms) else 0, _dice(circle))
    )
    for circle in order:
        lacking = share * len(rooms) - weight["prove"], (1 - share) * len(rooms) - weight["learn"]
        side: Side = "prove" if _dice(circle) * max(1e-9, sum(lacking)) < lacking[0] else "learn"
        if sizes[circle] > _LARGE * len(rooms):
            side = "learn" if lacking[1] >= lacking[0] else "prove"
        side_of[circle] = side
        weight[side] += sizes[circle]
    return [side_of[circles[room]] for room in rooms]


def folds(rooms: Sequence[str], people: Sequence[str], count: int) -> list[int]:
    """The fold of each decision, for what is settled within one side: rooms of one circle are in one fold, as far as
    that makes folds."""
    circles = _circles(rooms, people)
    sizes = Counter(circles[room] for room in rooms)
    if max(sizes.values(), default=0) > _TOO_LARGE * len(rooms):
        return [int(_dice(f"fold {room}") * count) for room in rooms]
    weight = [0] * count
    fold_of = {}
    for circle in sorted(sizes, key=lambda circle: (-sizes[circle], _dice(circle))):
        fold_of[circle] = min(range(count), key=weight.__getitem__)
        weight[fold_of[circle]] += sizes[circle]
    return [fold_of[circles[room]] for room in rooms]


def _circles(rooms: Sequence[str], people: Sequence[str]) -> Mapping[str, str]:
    """For each room the name of all rooms it is linked with by people who write in both."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for room, person in zip(rooms, people, strict=True):
        first, second = top(f"room {room}"), top(f"person {person}")
        above[max(first, second)] = min(first, second)
    return {room: top(f"room {room}") for room in set(rooms)}


def _parted_people(rooms: Sequence[str], people: Sequence[str], proving_share: float) -> list[Side | None]:
    """People by dice, each room to the side that more of it is of than is of it elsewhere."""
    counts = Counter(people)
    person_side: dict[str, Side] = {}
    proving = 0
    seen = 0
    for person in sorted(counts, key=_dice):
        side: Side = "prove" if proving < proving_share * seen else "learn"
        person_side[person] = side
        seen += counts[person]
        proving += counts[person] if side == "prove" else 0
    share = proving / len(people)
    proving_in = Counter(room for room, person in zip(rooms, people, strict=True) if person_side[person] == "prove")
    room_side: dict[str, Side] = {
        room: "prove" if proving_in[room] > share * count else "learn" for room, count in Counter(rooms).items()
    }
    return [
        room_side[room] if room_side[room] == person_side[person] else None
        for room, person in zip(rooms, people, strict=True)
    ]


def _dice(name: str) -> float:
    """A number from 0 to 1, the same for the same name and for nobody to choose."""
    return int.from_bytes(blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()) / 2**64
