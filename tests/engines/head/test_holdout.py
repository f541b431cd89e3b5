"""No room and no person is learned from and proven on at once."""

from __future__ import annotations

import random

import pytest

from reasoning_cli.engines.head.holdout import folds, part

DICE = random.Random(1)
VILLAGE = [(f"r{room}", f"p{room * 4 + DICE.randrange(4)}") for room in range(200) for _ in range(20)]
CITY = [(f"r{room}", f"p{DICE.randrange(12)}") for room in range(200) for _ in range(20)]
HERMIT = [*VILLAGE[:2000], *(("large", f"x{DICE.randrange(30)}") for _ in range(1500))]


@pytest.mark.parametrize("log", [VILLAGE, CITY, HERMIT], ids=["rooms apart", "everybody everywhere", "a large room"])
def test_nobody_is_on_both_sides(log: list[tuple[str, str]]) -> None:
    rooms, people = zip(*log, strict=True)
    sides = part(rooms, people)
    for place in (0, 1):
        on = {side: {pair[place] for pair, its in zip(log, sides, strict=True) if its == side} for side in sides}
        assert on["learn"]
        assert on["prove"]
        assert not on["learn"] & on["prove"]
    left_out = sides.count(None) / len(sides)
    assert left_out < 0.5
    assert log is CITY or left_out == 0
    assert 0.2 < sides.count("prove") / len(sides) < 0.8
    assert part(rooms, people) == sides


def test_folds_keep_rooms_whole_and_people_in_one_where_that_makes_folds() -> None:
    rooms, people = zip(*VILLAGE, strict=True)
    found = folds(rooms, people, 3)
    for place in (0, 1):
        whose: dict[str, set[int]] = {}
        for pair, fold in zip(VILLAGE, found, strict=True):
            whose.setdefault(pair[place], set()).add(fold)
        assert all(len(in_folds) == 1 for in_folds in whose.values())
    assert set(found) == {0, 1, 2}
    assert set(folds(*zip(*CITY, strict=True), 3)) == {0, 1, 2}
