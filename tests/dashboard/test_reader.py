"""What the reader asks, and how often."""

from __future__ import annotations

import asyncio
import copy
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

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


def test_while_nothing_happens_it_looks_less_often_and_says_so() -> None:
    """Money that runs up is no event; an event, a call, another state and whoever did something are."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.program import Answer, Program
    from reasoning_cli.dashboard.reader import CALM_ROUNDS, CALM_TICKS, QUESTIONS, Reader

    known: dict[str, Any] = {
        "status": [{"name": "planning", "state": "READY", "ready_replicas": 1, "cost_cents": 0}],
        "gateway": {"requests": 7, "uptime_seconds": 0},
        "events": [],
    }

    class Still:
        def read(self, *words: str) -> Answer:
            (name,) = (name for name, asked in QUESTIONS.items() if asked == words)
            known["status"][0]["cost_cents"] += 1
            known["gateway"]["uptime_seconds"] += 1
            return Answer(datetime.now(UTC), copy.deepcopy(known.get(name, [])))

    async def paces() -> list[float]:
        reader = Reader(cast("Program", Still()), 0.001, lambda: 0.0)
        reader.subscribe("a tab", lambda: None)
        task = asyncio.create_task(reader.run())

        async def rounds(count: int) -> float:
            until = reader.rounds + count
            while reader.rounds < until:
                await asyncio.sleep(0)
            return reader.every_seconds

        found = [await rounds(CALM_ROUNDS), await rounds(1)]  # the first round is news
        for happens in (
            lambda: known["events"].append({"action": "stop"}),
            lambda: known["gateway"].update(requests=8),
            lambda: known["status"][0].update(state="STOPPED"),
            reader.look_now,
        ):
            happens()
            found += [await rounds(2), await rounds(CALM_ROUNDS)]
        task.cancel()
        reader.close()
        return found

    assert run_apart(paces()) == [0.001, 0.001 * CALM_TICKS] * 5


def test_what_is_counted_from_a_look_is_of_the_look_of_the_same_round() -> None:
    """Money was counted from the look before: up to a whole round older than what stood beside it."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.program import Answer, Program
    from reasoning_cli.dashboard.reader import QUESTIONS, Reader

    class Looking:
        looks = 0

        def read(self, *words: str) -> Answer:
            self.looks += words == QUESTIONS["status"]
            found = [] if words == QUESTIONS["status"] else {"look": self.looks}
            return Answer(datetime.now(UTC), found)

    async def after(rounds: int) -> tuple[object, object, int]:
        program = Looking()
        reader = Reader(cast("Program", program), 0.001, lambda: 0.0)
        reader.subscribe("a tab", lambda: None)
        task = asyncio.create_task(reader.run())
        while reader.rounds < rounds:
            await asyncio.sleep(0)
        task.cancel()
        reader.close()
        return reader.seen["report"].good.document, reader.seen["outlook"].good.document, program.looks

    assert run_apart(after(1)) == ({"look": 0}, {"look": 0}, 1)
    assert run_apart(after(3)) == ({"look": 3}, {"look": 3}, 3)


def test_nothing_is_older_than_the_page_says() -> None:
    """All is of the oldest answer that is fresh, each that is older has a line with its age; what could not be looked
    at, and what counts from looks, is of the last one, however new the answer."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.pages.now import ages
    from reasoning_cli.dashboard.parts import Zone
    from reasoning_cli.dashboard.program import Answer
    from reasoning_cli.dashboard.reader import Seen

    now, zone = datetime.now(UTC), Zone("Asia/Kathmandu")

    def seen(seconds: float, document: object = (), problem: str | None = None) -> Seen:
        answer = Answer(
            now - timedelta(seconds=seconds), document, problem=problem, hint="set a key" if problem else None
        )
        return Seen(answer, answer)

    assert ages({}, 5, zone, sandbox=False) == (None, ["Nothing was read yet."])
    fresh = {"report": seen(2), "events": seen(4), "status": seen(1, [{"seen_at": None, "is_known": True}])}
    assert ages(fresh, 5, zone, sandbox=False) == (now - timedelta(seconds=4), [])
    as_of, lines = ages({**fresh, "report": seen(8)}, 5, zone, sandbox=False)
    assert as_of == now - timedelta(seconds=4) and lines in (["Costs: 8 s old"], ["Costs: 9 s old"])
    away = [{"seen_at": "2026-11-29T21:00:00.000Z", "is_known": False}]
    told = "Models, costs and what the guard does next are as last seen at 2026-11-30 02:45"
    _, (why, when) = ages({**fresh, "status": seen(0, away, "Together is out of reach")}, 5, zone, sandbox=False)
    assert why == "Models: Together is out of reach (set a key)"
    assert when.startswith(f"{told}, ") and when.endswith(" ago")
    assert ages({**fresh, "status": seen(0, away)}, 5, zone, sandbox=True)[1] == [told]
    lost = Seen(seen(0, None, "the database is locked").last, seen(30).last)
    assert "Costs, 30 s old: the database is locked (set a key)" in ages({"report": lost}, 5, zone, sandbox=True)[1]


def test_times_in_what_a_command_told_are_those_of_the_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's page said when it began by the clock of the machine, below a table that said so by the viewer's."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.parts import Zone

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        told = Zone("Asia/Kathmandu").respelled("begun 2026-11-29 23:39, at 2026-11-29 23:39:10, 2026-11-29T23:39Z")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told == "begun 2026-11-30 05:24, at 2026-11-29 23:39:10, 2026-11-29T23:39Z"
