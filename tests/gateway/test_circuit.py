"""The circuit of a slot by itself: when it opens, how long it pauses, and who may try it then."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from reasoning_cli.gateway.circuit import Circuit


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Tried:
    """A circuit with a clock of its own; `calls` is what became of calls, in order: `+` was answered, `-` failed."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.circuit = Circuit(self.clock)

    def calls(self, outcomes: str) -> None:
        for one in outcomes:
            assert self.circuit.lets_through()
            self.circuit.succeeded() if one == "+" else self.circuit.failed()

    def pause(self) -> float:
        """How long it lets nothing through, to the tenth of a second."""
        begun = self.clock.now
        while not self.circuit.lets_through():
            self.clock.now = round(self.clock.now + 0.1, 1)
            assert self.clock.now < begun + 1000, "it lets nothing through any more"
        return round(self.clock.now - begun, 1)


@pytest.fixture
def tried() -> Tried:
    return Tried()


def test_five_failures_in_a_row_open_it_and_four_do_not(tried: Tried) -> None:
    tried.calls("----+----")
    assert tried.circuit.state == "closed"
    tried.calls("-")
    assert tried.circuit.state == "open"
    assert not tried.circuit.lets_through()


def test_half_of_the_last_twenty_open_it(tried: Tried) -> None:
    tried.calls("+-" * 9 + "+")
    assert tried.circuit.state == "closed", "nine of nineteen"
    tried.calls("-")
    assert tried.circuit.state == "open", "ten of twenty"


def test_less_than_half_of_twenty_do_not_open_it(tried: Tried) -> None:
    tried.calls("++-" * 20)
    assert tried.circuit.state == "closed"


def test_what_is_longer_ago_than_twenty_calls_is_forgotten(tried: Tried) -> None:
    tried.calls("+-" * 9 + "+" * 4)
    tried.calls("-++-")
    assert tried.circuit.state == "closed", "nine of the last twenty, eleven of all"


def test_it_needs_twenty_calls_to_know_a_half(tried: Tried) -> None:
    tried.calls("-" * 4 + "+" + "-" * 4)
    assert tried.circuit.state == "closed"


def test_the_pause_doubles_up_to_five_minutes(tried: Tried) -> None:
    tried.calls("-----")
    pauses = []
    for _ in range(7):
        pauses.append(tried.pause())
        assert tried.circuit.state == "half-open"
        tried.circuit.failed()
    assert pauses == [10, 20, 40, 80, 160, 300, 300]


def test_one_call_probes_and_its_good_answer_closes_it_with_a_clean_slate(tried: Tried) -> None:
    tried.calls("-----")
    tried.pause()
    tried.circuit.failed()
    assert tried.pause() == 20
    assert not tried.circuit.lets_through(), "another one while the first is asked"
    tried.circuit.succeeded()
    assert (tried.circuit.state, tried.circuit.lets_through()) == ("closed", True)
    tried.calls("----")
    assert tried.circuit.state == "closed", "what failed before counts no more"
    tried.calls("-")
    assert tried.pause() == 10, "nor does the longer pause"


def test_a_probe_that_was_abandoned_leaves_the_next_to_try(tried: Tried) -> None:
    tried.calls("-----")
    tried.pause()
    tried.circuit.abandoned()
    assert tried.circuit.lets_through()
    assert not tried.circuit.lets_through()
    tried.circuit.failed()
    assert tried.pause() == 20


def test_what_fails_late_does_not_lengthen_the_pause(tried: Tried) -> None:
    """Calls that were under way when it opened."""
    tried.calls("-----")
    tried.circuit.failed()
    assert tried.pause() == 10
