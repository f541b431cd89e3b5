"""A real agent on Python elizaOS 2.0 through the gateway: each validation level, each way of taking an answer.

    python -m benchmarks.eliza_py_agent
    python -m benchmarks.eliza_py_agent --level strict --way whole

The runtime of PyPI gets eight messages in groups and direct messages, directly and through the gateway: its slots off,
in shadow, live, and live with a model that says nothing of use. It takes its answers whole, as a stream that it
validates, and as a stream that it passes on. No message may go unanswered that was answered directly; the original must
be asked as often, and the answer be the same, wherever it answers; each message must be recorded as one planning
decision. Ends with 1 where the agent was treated otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reasoning_cli.values import Mode
from tests.gateway import canned, eliza_py
from tests.gateway.eliza_py import Answer
from tests.gateway.provider import Provider
from tests.gateway.serving import Served, served
from tests.waiting import until

MESSAGES = (
    ("GROUP", "Hi Nova! Who are you?"),
    ("GROUP", "Bob, did you see the game yesterday?"),
    ("GROUP", "Nova please stop talking now"),
    ("DM", "Hi! Who are you?"),
    ("DM", "Write a Python function that adds two numbers."),
    ("DM", "你好 👋 <b>x</b> & y"),
    ("GROUP", eliza_py.QUOTED),
    ("DM", ""),
)
_MODEL_SAYS = "Hello from the model"


@dataclass(frozen=True)
class Case:
    """How the slots stand, who then answers, and which sources the log may name."""

    name: str
    prepare: Callable[[Served], None]
    by_model: bool
    sources: frozenset[str]


def _off(gateway: Served) -> None:
    _change_all(gateway, closed="no model is deployed")


def _shadow(gateway: Served) -> None:
    _change_all(gateway, mode=Mode.SHADOW)


def _live(gateway: Served) -> None:
    """As a gateway for tests begins."""


def _useless(gateway: Served) -> None:
    gateway.model.handler = canned.saying("I think the agent should say hello.")


def _change_all(gateway: Served, **changes: object) -> None:
    for model_type in list(gateway.gateway.book.view.slots):
        gateway.change(model_type, **changes)


CASES = (
    Case("off", _off, False, frozenset({"original"})),
    Case("shadow", _shadow, False, frozenset({"original"})),
    Case("live", _live, True, frozenset({"slot"})),
    # Once the circuit is open, the original is asked at once.
    Case("useless", _useless, False, frozenset({"fallback", "original"})),
)


@dataclass
class Seen:
    """One run: what became of each message, how often the original was asked, and who answered by the log."""

    answers: list[Answer]
    asked: int
    recorded: Counter[tuple[str, str]]


def directly(python: Path, level: str, way: str) -> Seen:
    with closing(Provider(eliza_py.original)) as original:
        answers = eliza_py.run_agent(python, original.url, level, way, MESSAGES)
        return Seen(answers, len(original.asked("/chat/completions")), Counter())


def through(python: Path, level: str, way: str, case: Case) -> Seen:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as gateway:
        gateway.original.handler = eliza_py.original
        case.prepare(gateway)
        answers = eliza_py.run_agent(python, gateway.url, level, way, MESSAGES)
        until(lambda: gateway.gateway.figures.in_flight == 0, "the end of all calls")
        with contextlib.suppress(AssertionError):  # what is missing is told below
            gateway.samples(len(MESSAGES))
        recorded = Counter((sample.model_type, sample.source) for sample in gateway.samples(0))
        return Seen(answers, len(gateway.original.asked("/chat/completions")), recorded)


def differences(case: Case, direct: Seen, seen: Seen) -> list[str]:
    """Where the agent was treated otherwise than directly."""
    found = []
    for (_, message), before, after in zip(MESSAGES, direct.answers, seen.answers, strict=True):
        if before.answered and not after.answered:
            found.append(f"{message!r} went unanswered")
        elif case.by_model and _MODEL_SAYS not in (after.text or ""):
            found.append(f"{message!r} was not answered by the model: {after.text!r}")
        elif not case.by_model and before != after:
            found.append(f"{message!r} got {after}, directly {before}")
    asked = 0 if case.by_model else direct.asked
    if seen.asked != asked:
        found.append(f"the original was asked {seen.asked} times, and not {asked}")
    expected = {("planning", source) for source in case.sources}
    if seen.recorded.total() != len(MESSAGES) or not expected >= seen.recorded.keys():
        recorded = ", ".join(f"{count} {kind} by {source}" for (kind, source), count in seen.recorded.items())
        found.append(
            f"recorded were {recorded}, and not {len(MESSAGES)} planning by {' or '.join(sorted(case.sources))}"
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", action="append", choices=eliza_py.LEVELS, help="of these alone; repeatable")
    parser.add_argument("--way", action="append", choices=eliza_py.WAYS, help="of these alone; repeatable")
    wanted = parser.parse_args()
    python, started, bad = eliza_py.python(), time.monotonic(), 0
    console = Console()
    title = f"{len(MESSAGES)} messages through the gateway as directly"
    table = Table("level", "answers", "directly answered", *(case.name for case in CASES), title=title)
    for level in wanted.level or eliza_py.LEVELS:
        for way in wanted.way or eliza_py.WAYS:
            direct = directly(python, level, way)
            cells = []
            for case in CASES:
                found = differences(case, direct, through(python, level, way, case))
                bad += bool(found)
                cells.append("differs" if found else "same")
                for line in found:
                    console.print(f"{level}, {way}, {case.name}: {line}", markup=False, highlight=False)
            answered = sum(answer.answered for answer in direct.answers)
            table.add_row(level, way, f"{answered} of {len(MESSAGES)}", *cells)
            console.print(f"{level}, {way}: {', '.join(cells)}", highlight=False)
    console.print(table)
    console.print(f"{time.monotonic() - started:.0f} s", highlight=False)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
