"""Which decisions ask for a stopped model, and how often it is looked at for them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from reasoning_cli.errors import LimitError
from reasoning_cli.gateway.waking import Waker
from reasoning_cli.operations.deploy.slots import SlotNow
from reasoning_cli.values import Mode
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.serving import Served, open_slot

ASLEEP = open_slot("planning", "http://127.0.0.1:1", closed="the model is STOPPED", wakes=True)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def settle(waker: Waker) -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("wake "):
            thread.join(60)


def test_however_many_decisions_come_in_it_is_looked_at_once_a_minute() -> None:
    looks: list[str] = []
    clock, go = Clock(), threading.Event()

    def wake(slot: SlotNow, tell: Callable[[str], None]) -> None:
        looks.append(slot.model_type)
        go.wait(60)

    waker = Waker(wake, clock=clock)
    for _ in range(50):
        waker.wanted(ASLEEP)
    go.set()
    settle(waker)
    waker.wanted(ASLEEP)
    settle(waker)
    assert looks == ["planning"]
    clock.now += 61
    waker.wanted(ASLEEP)
    settle(waker)
    assert looks == ["planning", "planning"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LimitError("the budget of $1 would be broken"), "the budget of $1 would be broken"),
        (ValueError("x"), "could not be woken: ValueError"),
    ],
)
def test_what_keeps_it_from_being_started_is_told(error: Exception, said: str) -> None:
    def wake(slot: SlotNow, tell: Callable[[str], None]) -> None:
        raise error

    waker = Waker(wake)
    waker.wanted(ASLEEP)
    settle(waker)
    assert waker.said == {"planning": said}


@pytest.mark.parametrize(
    ("changes", "more", "wanted"),
    [
        ({}, {}, True),
        ({"wakes": False}, {}, False),
        ({"closed": "the budget is spent"}, {}, False),
        ({"closed": "the slot is disabled"}, {}, False),
        ({"closed": "the model is STARTING"}, {}, False),
        ({"window_tokens": 10}, {}, False),
        ({"mode": Mode.CANARY, "share_percent": 0}, {}, False),
        ({"mode": Mode.SHADOW}, {}, True),
        ({}, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, False),
    ],
)
def test_only_what_its_model_would_be_asked_wakes_it(
    gateway: Served, changes: dict[str, object], more: dict[str, object], wanted: bool
) -> None:
    asked: list[str] = []

    class Listening(Waker):
        def wanted(self, slot: SlotNow) -> None:
            asked.append(slot.model_type)

    gateway.gateway.waker = Listening(lambda slot, tell: None)
    gateway.change("planning", **{"closed": "the model is STOPPED", "wakes": True, **changes})
    body = {**request("chat", PROMPTS["planning"]), **more}
    assert gateway.client.post(PATHS["chat"], json=body).status_code == 200
    gateway.client.post(PATHS["chat"], json=request("chat", PROMPTS["other"]))
    assert asked == (["planning"] if wanted else [])
    assert gateway.model.received == []
