"""Waiting: a line that moves on a terminal, one line a change everywhere else. Always on stderr."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from reasoning_cli.redact import redact
from reasoning_cli.terminal.cleaning import drawn, visible
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.units import duration
from reasoning_cli.terminal.wrapping import wrap_lines

if TYPE_CHECKING:
    from rich.status import Status


QUIET_SECONDS = 10.0


class Waiting:
    """What is going on right now. `show` may be called as often as the caller likes.

    Away from a terminal a change of state is a line, and so is a state that has lasted ten seconds more; where there is
    nothing new to say of it, each time after twice as long.
    """

    def __init__(self, terminal: Terminal, status: Status | None, first: str) -> None:
        self._terminal = terminal
        self._status = status
        self._last = first
        self._said_at = time.monotonic()
        self._line, self._quiet_seconds = "", QUIET_SECONDS
        self._is_paused = False

    def show(self, state: str, detail: str = "") -> None:
        """Say `state`; `detail` (elapsed time, a count) changes too often for a log."""
        line = visible(redact(f"{state}  {detail}" if detail else state))
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(line))
            return
        now = time.monotonic()
        if line != self._line:
            self._quiet_seconds = QUIET_SECONDS
        if state != self._last or now - self._said_at > self._quiet_seconds:
            self._quiet_seconds *= 2 if line == self._line else 1
            self._terminal.note(state if state != self._last else line)
            self._last, self._said_at, self._line = state, now, line

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the line away while something else is shown or asked."""
        if self._status is None or self._is_paused:
            yield
            return
        self._is_paused = True
        self._status.stop()
        try:
            yield
        finally:
            self._is_paused = False
            self._status.start()


class Pace:
    """How fast something goes, since this was made, and when it will be done at that rate."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def of(self, done: int, total: int | None, noun: str) -> str:
        """`12,000 of 1,000,000 samples, 31,000 a second, 32 s to go`; without a total no end is foretold."""
        seconds = time.monotonic() - self._began
        parts = [f"{done:,} of {total:,} {noun}" if total else f"{done:,} {noun}"]
        if done and seconds >= 1:
            parts.append(_rate(done / seconds))
            if total and total > done:
                parts.append(f"{duration(timedelta(seconds=seconds / done * (total - done)))} to go")
        return ", ".join(parts)


def _rate(each_second: float) -> str:
    """Of the shortest unit of time in which at least two are done."""
    for seconds, unit in ((1, "a second"), (60, "a minute")):
        if each_second * seconds >= 2:
            return f"{each_second * seconds:,.0f} {unit}"
    return f"{each_second * 3600:,.0f} an hour"


class Phases:
    """What is going on, one thing after the other, each with a pace of its own."""

    def __init__(self, shown: Waiting, counted: Mapping[str, str]) -> None:
        self._shown, self._counted = shown, counted
        self._phase, self._pace = "", Pace()

    def __call__(self, doing: str, done: int, total: int) -> None:
        """So much of so much is done of it, of 0 where nobody can say; `counted` names what, by phase."""
        if doing != self._phase:
            self._phase, self._pace = doing, Pace()
        self._shown.show(doing, self._pace.of(done, total, self._counted[doing]) if total else "")


def picture(terminal: Terminal, heading: str, table: list[str], below: list[str]) -> list[str]:
    """One look, for `watching`: a heading, a table, and what stands below it; above it where all of it is taller than
    the screen, so that what is cut off is the table's end and not the money."""
    said = [line for text in below for line in wrap_lines(text, terminal.width).splitlines()]
    whole = [heading, *table, "", *said]
    return whole if not terminal.out_is_terminal or len(whole) < terminal.height else [heading, *said, "", *table]


@contextlib.contextmanager
def watching(terminal: Terminal) -> Iterator[Callable[[list[str]], None]]:
    """Show lines again and again in the same place of a terminal; elsewhere each time anew, below the last."""
    if not terminal.out_is_terminal or terminal.environ.get("TERM") == "dumb":

        def append(lines: list[str]) -> None:
            for line in lines:
                terminal.print(line)

        yield append
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=terminal.console(terminal.out), auto_refresh=False) as live:
        yield lambda lines: live.update(
            Text.from_ansi(terminal.writable(terminal.out, drawn("\n".join(lines))), no_wrap=True, overflow="crop"),
            refresh=True,
        )


@contextlib.contextmanager
def waiting(terminal: Terminal, first: str) -> Iterator[Waiting]:
    """Show that something takes its time, until the block ends."""
    if not terminal.err_is_terminal or terminal.environ.get("TERM") == "dumb":
        yield Waiting(terminal, None, first)
        return
    from rich.text import Text

    console = terminal.console(terminal.err)
    with console.status(Text(visible(redact(first))), spinner="dots") as status:
        shown = Waiting(terminal, status, first)
        terminal.aside = shown.paused
        try:
            yield shown
        finally:
            terminal.aside = contextlib.nullcontext
