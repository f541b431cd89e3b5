"""What the pages work with: commands to read by, and commands to act by. Whoever starts the dashboard hands it in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class Table:
    """A listing as its command shows it: `records` are the rows of its JSON, `cells` what a person reads of each.

    `headers` and `cells` are of the columns a person sees, `keys` their names in the records; `numbers` tells which of
    them are numbers, `styles` how good a state is.
    """

    keys: Sequence[str] = ()
    headers: Sequence[str] = ()
    numbers: Sequence[bool] = ()
    records: Sequence[Mapping[str, Any]] = ()
    cells: Sequence[Sequence[str]] = ()
    styles: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Answer:
    """What a command said at a moment: its JSON `document`, the listing where it has one, and its problem, if any, with
    the next thing to type."""

    at: datetime
    document: Any = None
    table: Table = field(default_factory=Table)
    notes: Sequence[str] = ()
    problem: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a command ended that did something: `text` is what it said."""

    done: bool
    text: str


@dataclass(frozen=True)
class Facts:
    """What does not change while the dashboard runs. `command` is how the program is called, for commands to type."""

    sandbox: bool
    profile: str | None
    command: str
    version: str


class Program(Protocol):
    """Commands by their words, without `reasoning` and its global options. For one thread at a time."""

    @property
    def facts(self) -> Facts: ...

    def read(self, *words: str) -> Answer:
        """What `reasoning WORDS --json` says. Never raises what a command does: a problem is in the answer."""

    def describe(self, *words: str) -> Answer:
        """What `reasoning WORDS` tells a person, in `notes`."""

    def change_setting(self, name: str, text: str | None) -> Outcome:
        """Write a setting (None: take it out of the file), checked as `config set` does, and put that on record."""

    def close(self) -> None:
        """Close what was opened."""


class Runner(Protocol):
    """Runs a command that acts, in a process of its own; `stdin` is what it reads. From any thread."""

    def __call__(self, *words: str, stdin: str | None = None) -> Outcome: ...
