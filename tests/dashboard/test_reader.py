"""What the reader asks, and how often."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest

from tests.dashboard.conftest import run_apart

if TYPE_CHECKING:
    from reasoning_cli.dashboard.program import Answer


def test_what_a_long_log_makes_expensive_is_asked_less_often_but_at_once_after_something_was_done() -> None:
    """A report that takes two seconds of CPU may take a twentieth of a core: it is asked once in forty seconds."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.program import Answer, Program
    from reasoning_cli.dashboard.reader import QUESTIONS, Reader

    class Slow:
        def __init__(self) -> None:
            self.asked: Counter[tuple[str, ...]] = Counter()
            self.worked = 0.0

        def read(self, *words: str) -> Answer:
            self.asked[words] += 1
            self.worked += 2.0 if words == QUESTIONS["report"] else 0.0
            return Answer(datetime.now(UTC), {})

    async def rounds(program: Slow) -> tuple[int, int]:
        reader = Reader(cast("Program", program), 0.001, lambda: program.worked)
        reader.subscribe("a tab", lambda: None)
        task = asyncio.create_task(reader.run())
        while reader.rounds < 5:
            await asyncio.sleep(0)
        often = program.asked[QUESTIONS["report"]]
        reader.look_now()
        while program.asked[QUESTIONS["report"]] == often:
            await asyncio.sleep(0)
        task.cancel()
        reader.close()
        return often, program.asked[QUESTIONS["events"]]

    often, events = run_apart(rounds(Slow()))
    assert often == 1
    assert events >= 5
