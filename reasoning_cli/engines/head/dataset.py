"""Decisions of the log as numbers to learn from. Needs numpy and scipy, which come with the extra `head`."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reasoning_cli.engines.head.features import SIZE, STRUCTURE_WEIGHT, signs_of
from reasoning_cli.engines.head.moment import Moment

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, slots=True)
class Sample:
    """One decision of the log. `decision` is RESPOND, IGNORE or STOP: a label's where there is one (`labelled`), else
    what the baseline answered. `person` is who wrote the message, by id or name."""

    number: int
    room: str
    person: str
    moment: Moment
    decision: str
    labelled: bool = False


@dataclass(frozen=True)
class Data:
    """Samples as numbers, in their order: a row of `matrix` each, with what rules look at, whether the message names
    somebody, and what was decided."""

    matrix: csr_matrix
    situations: Sequence[str]
    named: np.ndarray[Any, Any]
    decisions: np.ndarray[Any, Any]
    rooms: Sequence[str]
    people: Sequence[str]
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, places: Sequence[int]) -> Data:
        """Some of them."""
        return Data(
            self.matrix[places],
            [self.situations[place] for place in places],
            self.named[places],
            self.decisions[places],
            [self.rooms[place] for place in places],
            [self.people[place] for place in places],
            [self.numbers[place] for place in places],
        )


@dataclass(frozen=True)
class Read:
    """What was read: the data, whose decisions, how many are labelled, and how many differ from that of another sample
    with the same message of the same person."""

    data: Data
    agents: tuple[str, ...]
    labelled: int
    contradicting: int


def read(samples: Iterable[Sample]) -> Read:
    """Take samples in, one after another: of each a few hundred bytes stay."""
    import numpy as np
    from scipy.sparse import csr_matrix

    places, values, counts, ends = array("i"), array("f"), array("i"), array("q", [0])
    situations: list[str] = []
    named, decisions, rooms, people, numbers = array("b"), [], [], [], array("q")
    seen: dict[int, Counter[str]] = {}
    agents: set[str] = set()
    labelled = 0
    known: dict[str, str] = {}  # the few texts that come again and again, once
    for sample in samples:
        signs = signs_of(sample.moment)
        places.extend(signs.structure)
        places.extend(signs.words)
        values.extend((STRUCTURE_WEIGHT, signs.words_value))
        counts.extend((len(signs.structure), len(signs.words)))
        ends.append(len(places))
        situations.append(known.setdefault(signs.situation, signs.situation))
        named.append(signs.named)
        decisions.append(known.setdefault(sample.decision, sample.decision))
        rooms.append(known.setdefault(sample.room, sample.room))
        people.append(known.setdefault(sample.person, sample.person))
        numbers.append(sample.number)
        agents.add(sample.moment.agent)
        labelled += sample.labelled
        said = hash((sample.room, sample.person, sample.moment.message))
        seen.setdefault(said, Counter())[sample.decision] += 1
    matrix = csr_matrix(
        (
            np.repeat(np.frombuffer(values, np.float32), np.frombuffer(counts, np.int32)),
            np.frombuffer(places, np.int32),
            np.frombuffer(ends, np.int64),
        ),
        shape=(len(numbers), SIZE),
    )
    data = Data(
        matrix,
        situations,
        np.frombuffer(named, np.bool_) if named else np.zeros(0, np.bool_),
        np.array(decisions, dtype="U7"),
        rooms,
        people,
        numbers,
    )
    contradicting = sum(count.total() for count in seen.values() if len(count) > 1)
    return Read(data, tuple(sorted(agents)), labelled, contradicting)
