"""The bound counts rooms, and holds where messages of one room resemble each other."""

from __future__ import annotations

import random
from math import isclose

import pytest

from reasoning_cli.engines.head.bound import Rooms, is_proven, proven, rooms_needed, upper_bound

BOUND = 0.05


def agreeing(count: int) -> Rooms:
    return {str(room): (10, 0) for room in range(count)}


@pytest.mark.parametrize(("bound", "rooms"), [(0.05, 59), (0.02, 149)])
def test_rooms_that_all_agree_prove_as_much_as_one_decision_of_each_would(bound: float, rooms: int) -> None:
    assert rooms_needed(bound) == rooms
    assert is_proven(agreeing(rooms), bound)
    assert not is_proven(agreeing(rooms - 1), bound)
    assert isclose(upper_bound(agreeing(rooms)), 1 - 0.05 ** (1 / rooms), rel_tol=0.01)


def test_many_messages_of_few_rooms_prove_nothing() -> None:
    assert not is_proven({str(room): (1000, 0) for room in range(20)}, BOUND)


def test_a_room_that_disagrees_in_part_costs_less_than_one_that_does_in_all() -> None:
    in_part, in_all = {**agreeing(80), "other": (10, 2)}, {**agreeing(80), "other": (10, 10)}
    assert BOUND > upper_bound(in_part) > upper_bound(agreeing(81))
    assert upper_bound(in_all) > BOUND


def test_what_disagrees_in_as_much_as_the_bound_is_proven_in_one_of_twenty_logs_at_most() -> None:
    """Messages of a room alike: a room disagrees in all of its answers or hardly any."""
    dice = random.Random(1)
    passed = 0
    for _ in range(1500):
        rooms: Rooms = {}
        for room in range(100):
            answered = dice.randint(1, 12)
            share = dice.choice((0.0, 0.0, 0.0, 0.0, 0.25)) if dice.random() < 0.9 else 0.05
            rooms[str(room)] = answered, sum(dice.random() < share for _ in range(answered))
        passed += is_proven(rooms, BOUND)
    assert passed <= 0.05 * 1500


def test_the_first_threshold_that_fails_stops_whatever_comes_after_it() -> None:
    scored = [(0.9, f"a{room}", False) for room in range(70)]
    scored += [(0.8, f"b{room}", True) for room in range(5)]
    scored += [(0.7, f"c{room}", False) for room in range(500)]
    threshold, proof = proven(scored, [0.9, 0.8, 0.7], BOUND)
    assert threshold == 0.9
    assert proof is not None
    assert (proof.rooms, proof.answered, proof.disagreed) == (70, 70, 0)
    assert proven(scored, [0.8, 0.7], BOUND)[0] is None
