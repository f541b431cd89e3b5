"""How an engine's answers were, held against what it documents: differences, and what reading everything told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True)
class Answer:
    """What was answered: the status, and the JSON of the body (None where there is none)."""

    status: int
    body: object


class Kind(StrEnum):
    """How an answer can differ from what is documented."""

    UNKNOWN_MEMBER = "unknown member"
    UNKNOWN_VALUE = "unknown value"
    MISSING_MEMBER = "missing member"
    OTHER_TYPE = "other type"


@dataclass(frozen=True, order=True)
class Deviation:
    """One difference: at which member (`data[].status.state`), and what stood there, as far as it is a word of theirs.

    Of what has another type it is the type alone that is said, and of an unknown member its type.
    """

    member: str
    kind: Kind
    found: str


@dataclass(frozen=True)
class Answered:
    """How one route answered: the statuses (0 is none), how many answers, how they differ from the contract, and what
    of them the program itself could not read."""

    route: str
    statuses: tuple[int, ...]
    answers: int
    deviations: tuple[Deviation, ...] = ()
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feed:
    """The events of one endpoint: its age, whether its beginning is among them, and the age of the oldest."""

    age: timedelta
    has_beginning: bool
    oldest: timedelta | None


@dataclass(frozen=True)
class Reads:
    """What reading alone tells. `arrays` is how a list in a query is understood: `comma`, `repeated`, `both`,
    `neither`; `private` are names and ids that must not be told on."""

    at: datetime
    answered: tuple[Answered, ...] = ()
    feeds: tuple[Feed, ...] = ()
    arrays: str | None = None
    twins: bool = False
    private: frozenset[str] = frozenset()
