"""What every source of past decisions gives: one row after another, and where to go on behind each.

A source is read by one caller at a time: whatever is said between two rows (`done`, `position()`) is of the rows given
so far, so a caller that has stored these may remember it.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import orjson

# Each empty list takes three bytes of a text and thirty times that in memory. No real row has nearly as many values.
MOST_VALUES = 4_000_000
# What writes JSON goes less deep than what reads it.
MOST_DEPTH = 200
TOO_DEEP = "nested too deeply"
TOO_MANY = "more values in one row than any has"

# Fit for JSON; only the source that made it can read it.
Position = Mapping[str, object]


class Row(NamedTuple):
    """One row by its number, from 1: a parsed value, or `why` there is none. `raw` is what stood there, if known."""

    number: int
    value: object
    raw: bytes | None = None
    why: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What a source may leave out by itself: `agent` is an id or a name, `since` the earliest time of a row."""

    agent: str | None = None
    since: datetime | None = None


class Source(Protocol):
    """Somewhere decisions come from. `name` is what a person calls it, `file` the file it is, if it is one; `key` what
    a position is remembered by, None where none can be. `total` and `done` are in `unit`, `total` None when nobody
    knows. One that `picks_agent` gives no rows of agents that are not wanted, and knows their names better than their
    prompts do."""

    name: str
    file: Path | None
    key: str | None
    unit: Literal["bytes", "rows"]
    total: int | None
    done: int
    went_on: bool
    picks_agent: bool

    def rows(self, after: Position | None = None) -> Generator[Row, None, None]:
        """The rows behind `after`, or all where the source is not what it was then (`went_on` says which)."""

    def position(self) -> Position | None:
        """Where to go on behind the last row given."""


def parsed(text: bytes) -> tuple[object, str | None]:
    """The JSON value in a text, or why there is none."""
    if is_too_many(text):
        return None, TOO_MANY
    try:
        value = _loaded(text)
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except RecursionError:
        return None, TOO_DEEP
    except ValueError:
        return None, "not JSON"
    return (None, TOO_DEEP) if is_too_deep(value, text.count(b"[") + text.count(b"{")) else (value, None)


def _loaded(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # what is refused may still be JSON, as Python and JavaScript write it
        return json.loads(text.decode())


def is_too_deep(value: object, brackets: int) -> bool:
    """Whether a value could be read and not be written again; `brackets` are those in its text, as a first look."""
    if brackets <= MOST_DEPTH:
        return False
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return False
    return True


def _parts(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def is_too_many(text: bytes | str, start: int = 0) -> bool:
    """Whether more values than any row has may stand in a text; what looks like some in its strings counts as well."""
    if len(text) - start < MOST_VALUES:
        return False
    if isinstance(text, bytes):
        return sum(text.count(sign, start) for sign in (b",", b"[", b"{")) > MOST_VALUES
    return sum(text.count(sign, start) for sign in (",", "[", "{")) > MOST_VALUES
