"""Waiting and watching: a line that moves on a terminal, a log everywhere else, never on stdout."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.progress import Pace, Phases, picture, waiting, watching
from tests.terminal.conftest import Piped, Screen

MakePiped = Callable[..., Piped]


def test_a_log_gets_one_line_a_change(piped: MakePiped) -> None:
    made = piped()
    with waiting(made.terminal, "asking Together") as shown:
        for state, detail in [("provisioning", "0:01"), ("provisioning", "0:02"), ("ready", "0:03")]:
            shown.show(state, detail)
    assert [line.split("  ")[0] for line in made.stderr.splitlines() if "asking" not in line] == [
        "provisioning",
        "ready",
    ]
    assert made.stdout == ""


def test_a_log_repeats_what_does_not_change_ever_less_often(piped: MakePiped, monkeypatch: pytest.MonkeyPatch) -> None:
    made, at = piped(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    with waiting(made.terminal, "asking") as shown:
        for _ in range(200):
            at[0] += 1
            shown.show("shadow", "0 of 50 decisions")
        at[0] += 1
        shown.show("shadow", "0 of 50 decisions")
        before = made.stderr.count("0 of 50 decisions")
        for number in range(1, 40):
            at[0] += 1
            shown.show("shadow", f"{number} of 50 decisions")
    assert before == 4  # after 10, 20, 40 and 80 seconds
    assert made.stderr.count(" of 50 decisions") > before + 2, "what changes is said as before"


def test_each_phase_has_a_pace_of_its_own(piped: MakePiped, monkeypatch: pytest.MonkeyPatch) -> None:
    made, at = piped(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    with waiting(made.terminal, "exporting") as shown:
        phases = Phases(shown, {"gathering": "days", "rendering": "samples"})
        for seconds, doing, done, total in (
            (0, "gathering", 0, 60),
            (200, "gathering", 50, 60),
            (10, "choosing", 0, 0),
            (300, "choosing", 0, 0),
            (0, "rendering", 0, 100_000),
            (11, "rendering", 22_000, 100_000),
        ):
            at[0] += seconds
            phases(doing, done, total)
    assert made.stderr.splitlines() == [
        "gathering",
        "gathering  50 of 60 days, 15 a minute, 40 s to go",
        "choosing",
        "choosing",
        "rendering",
        "rendering  22,000 of 100,000 samples, 2,000 a second, 39 s to go",
    ]


def test_a_terminal_shows_what_changes_and_cleans_up(screen: Screen, piped: MakePiped) -> None:
    made = piped()
    terminal = Terminal(out=made.out, err=screen.stream, input=screen.stream, environ={"TERM": "xterm"})
    with waiting(terminal, "asking") as shown:
        shown.show("provisioning [acme/x]", "0:02")
    seen = screen.read()
    assert "provisioning [acme/x]" in seen
    assert seen.endswith(("\x1b[?25h", "\x1b[1A\x1b[2K")) or "\x1b[?25h" in seen
    assert made.stdout == ""


def test_what_is_said_meanwhile_has_a_line_of_its_own(screen: Screen, piped: MakePiped) -> None:
    terminal = Terminal(out=piped().out, err=screen.stream, input=screen.stream, environ={"TERM": "xterm"})
    with waiting(terminal, "asking Together") as shown:
        time.sleep(0.3)  # until the line has been drawn
        terminal.note("sandbox: started")
        with shown.paused():
            terminal.warn("look here")  # the line stays away until the block is over
            terminal.note("and here")
    terminal.note("over")
    seen = screen.read()
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert [line for line in said.replace("\r", "\n").splitlines() if "sandbox" in line] == ["sandbox: started"]
    between = seen[seen.index("look here") : seen.index("and here")]
    assert "asking" not in between
    assert "asking" in seen[seen.index("sandbox") : seen.index("look here")], "it goes on behind a word"
    assert "asking" not in seen[seen.rindex("over") :]


def test_a_dumb_terminal_is_treated_like_a_log(screen: Screen, piped: MakePiped) -> None:
    made = piped()
    terminal = Terminal(out=made.out, err=screen.stream, input=screen.stream, environ={"TERM": "dumb"})
    with waiting(terminal, "asking") as shown:
        shown.show("provisioning", "0:01")
    assert "\x1b" not in screen.read()


def test_watching_a_pipe_appends(piped: MakePiped) -> None:
    made = piped()
    with watching(made.terminal) as show:
        show(["one", "[two]"])
        show(["three"])
    assert made.stdout == "one\n[two]\nthree\n"


@pytest.mark.parametrize(("rows", "first"), [(3, "row 0"), (40, "SPENT")])
def test_of_a_look_taller_than_the_screen_the_money_stays(rows: int, first: str, screen: Screen) -> None:
    terminal = Terminal(out=screen.stream, err=screen.stream, environ={"LINES": "24"})
    lines = picture(terminal, "now", [f"row {number}" for number in range(rows)], ["SPENT $5 of $10"])
    assert lines[0] == "now"
    assert lines[1].startswith(first)
    assert len(lines) == rows + 3


@pytest.mark.parametrize(
    ("done", "seconds", "says"),
    [
        (0, 30, "0 of 7,000 answers"),
        (6000, 2, "6,000 of 7,000 answers, 3,000 a second, 0 s to go"),
        (180, 60, "180 of 7,000 answers, 3 a second, "),
        (12, 60, "12 of 7,000 answers, 12 a minute, "),
        (1, 120, "1 of 7,000 answers, 30 an hour, "),
    ],
)
def test_a_pace_is_a_number_that_says_something(
    done: int, seconds: float, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace()
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + seconds)
    assert pace.of(done, 7000, "answers").startswith(says)
