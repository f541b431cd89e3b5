"""However somebody floods a text, it is read in a time in proportion to its length: all calls wait meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import pytest

from reasoning_cli.decisions.addressing import people_in
from reasoning_cli.decisions.coding_agents import BILLING, is_aside
from reasoning_cli.decisions.prompts import received_message

RECEIVED, FOCUS = "# Received Message\n", "\n\n\n# Focus your response"


def _lines(count: int) -> str:
    """As many lines that may each begin the message, of which all end alike and none is what stands above it."""
    half = RECEIVED * (count // 2)
    return f"x{half}!{half}{FOCUS}"


# Each takes the square of its length where a text is read to its end from each of its places.
FLOODS: dict[str, tuple[Callable[[str], object], Callable[[int], str], int]] = {
    "spaces behind a bill": (lambda text: is_aside("x", text, None), lambda size: f"{BILLING}{' ' * size}x", 500),
    "spaces in a message": (lambda text: is_aside(text, None, None), lambda size: f"{BILLING}{' ' * size}x", 500),
    "quotes in a list of people": (
        lambda text: people_in(text, "Nova"),
        lambda size: "\n# People in the Room\n" + '"a' * (size // 2) + "\n",
        1_000,
    ),
    "lines that may begin the message": (received_message, lambda size: _lines(size // len(RECEIVED)), 20_000),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_text_that_is_longer_takes_longer_by_as_much(flood: str) -> None:
    """What is eight times as long may take so many times as long, and more on a busy machine; its square is 64."""
    read, made, size = FLOODS[flood]
    short, long = (min(_seconds(read, made(times * size)) for _ in range(2)) for times in (1, 8))
    assert long < 0.005 or long / short < 24


def _seconds(read: Callable[[str], object], text: str) -> float:
    begun = process_time()
    read(text)
    return process_time() - begun
