"""Which of the matching samples an export takes, and into which of its files each goes.

A byte for each sample of the log says what becomes of it, so a choice among a million takes a megabyte. Samples that
must not be parted are groups: one room's, since its prompts repeat each other's messages, and near-copies, wherever
they are. Rooms and shapes are nodes by a keyed hash; two that fall together only make a group larger.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, parse_answer
from reasoning_cli.errors import ReasoningError, UsageError
from reasoning_cli.store.samples.export_reader import ExportRows

Dedupe = Literal["none", "exact", "near"]
DEDUPES: tuple[Dedupe, ...] = ("none", "exact", "near")
SIDES = ("train", "validation", "test")

_COPY, _SURPLUS, _FIRST_SIDE = 0, 1, 2
_LEFT_OUT = bytes([_COPY, _SURPLUS])
_SIDE_OF = bytes(max(0, outcome - _FIRST_SIDE) for outcome in range(256))
_ROOMS = 1 << 16
_SHAPES = 1 << 12
# Of an outcome, 0 when the sample is left out, else its file and 1.
_MARKS = bytes(max(0, outcome - _FIRST_SIDE + 1) for outcome in range(256))
REASONS = {_COPY: "a copy of another sample", _SURPLUS: "more of its decision than of the others"}


class UnsplittableError(ReasoningError):
    """All samples belong together, so that no split parts them."""


@dataclass(frozen=True)
class Choice:
    """What becomes of each sample, by its number less `first`; without `outcomes` all go to the first file.

    `largest_group` is the share of the samples that the largest group holds, 0 when there are no groups.
    """

    first: int = 0
    outcomes: bytearray | None = None
    left_out: tuple[tuple[str, int], ...] = ()
    largest_group: float = 0

    def among(self, numbers: Iterable[list[int]]) -> Iterator[tuple[list[int], bytes]]:
        """The chosen ones of `numbers`, each with its file; no files named: all go to the first."""
        if self.outcomes is None:
            yield from ((some, b"") for some in numbers)
            return
        first, outcomes = self.first, self.outcomes
        for some in numbers:
            # Stored since the choice was made: not part of it.
            known = [number for number in some if 0 <= number - first < len(outcomes)]
            decided = bytes([outcomes[number - first] for number in known])
            chosen = [number for number, outcome in zip(known, decided, strict=True) if outcome >= _FIRST_SIDE]
            yield chosen, decided.translate(_SIDE_OF, _LEFT_OUT)

    def marks(self, numbers: Sequence[int]) -> bytes:
        """For each of `numbers` 0 when it is not chosen, else its file and 1."""
        if self.outcomes is None:
            return b"\1" * len(numbers)
        first, outcomes = self.first, self.outcomes
        return bytes([outcomes[number - first] for number in numbers]).translate(_MARKS)


def parse_split(text: str) -> tuple[float, ...]:
    """`0.9/0.1` or `80/10/10` as shares that add up to 1."""
    try:
        parts = tuple(float(part) for part in text.split("/"))
        if not 2 <= len(parts) <= 3 or not all(0 < part < 1000 for part in parts):
            raise ValueError
        total = sum(parts)
        if min(abs(total - 1), abs(total - 100)) > 1e-6:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"`{text}` is not a split", "write `0.9/0.1` (train/validation) or `0.8/0.1/0.1` (train/validation/test)"
        ) from None
    return tuple(part / total for part in parts)


def choose(rows: ExportRows, *, dedupe: Dedupe, balance: bool, split: Sequence[float], seed: int) -> Choice:
    """Leave out copies, then surplus, then part what is left into files of the shares in `split`."""
    if dedupe == "none" and not balance and not split:
        return Choice()
    first, last = rows.span()
    outcomes = bytearray([_FIRST_SIDE]) * max(0, last - first + 1)
    left_out: Counter[str] = Counter()
    if dedupe != "none":
        with closing(rows.copies(dedupe)) as found:
            for number in found:
                if 0 <= number - first < len(outcomes):
                    outcomes[number - first] = _COPY
                    left_out[REASONS[_COPY]] += 1
    if balance:
        for number in _surplus(rows, first, outcomes, seed):
            outcomes[number - first] = _SURPLUS
            left_out[REASONS[_SURPLUS]] += 1
    largest = _part(rows, first, outcomes, split, seed) if split else 0.0
    return Choice(first, outcomes, tuple(left_out.items()), largest)


def _surplus(rows: ExportRows, first: int, outcomes: bytearray, seed: int) -> list[int]:
    """Of should_respond, those by which the commonest decision exceeds the next, drawn evenly."""
    counts: Counter[str] = Counter()

    def decided() -> Iterator[tuple[int, str]]:
        with closing(rows.decisions()) as found:
            for number, model_type, decision, corrected in found:
                if model_type != "should_respond" or not 0 <= number - first < len(outcomes):
                    continue
                if corrected is not None:
                    answer = parse_answer(model_type, corrected)
                    decision = None if isinstance(answer, InvalidAnswer) else decision_of(answer)
                if decision is not None and outcomes[number - first] >= _FIRST_SIDE:
                    yield number, decision

    counts.update(decision for _, decision in decided())
    if len(counts) < 2:
        return []
    (common, total), (_, next_most) = counts.most_common(2)
    drawn = random.Random(f"balance {seed}")
    dropped: list[int] = []
    drop, seen = total - next_most, 0
    for number, decision in decided():
        if decision == common:
            # Each of those still to come is dropped with the same chance, so exactly `drop` are.
            if drawn.random() * (total - seen) < drop - len(dropped):
                dropped.append(number)
            seen += 1
    return dropped


def _part(rows: ExportRows, first: int, outcomes: bytearray, split: Sequence[float], seed: int) -> float:
    """Give each group a side, so that the sizes come near `split`; the share of the largest group."""
    key = blake2b(str(seed).encode(), digest_size=16).digest()
    nodes = array("i", [-1]) * len(outcomes)
    usables = [0] * (_ROOMS + _SHAPES)
    parents = list(range(_ROOMS + _SHAPES))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    kinds: tuple[Literal["near", "exact"], ...] = ("near", "exact")
    for kind in kinds:
        before, last = b"", -1
        with closing(rows.shared(kind)) as found:
            for number, shared, room, usable in found:
                place = number - first
                if not 0 <= place < len(outcomes) or outcomes[place] < _FIRST_SIDE:
                    continue
                node = nodes[place]
                if node < 0:
                    node = _hash(key, room.encode(), _ROOMS) if room else _ROOMS + _hash(key, shared, _SHAPES)
                    nodes[place] = node
                    usables[node] += usable
                if shared == before:
                    # The smaller becomes the root: in which order those of one hash come, no engine promises.
                    mine, theirs = root(node), root(last)
                    parents[max(mine, theirs)] = min(mine, theirs)
                before, last = shared, node
    sizes: Counter[int] = Counter()
    for node, count in enumerate(usables):
        if count:
            sizes[root(node)] += count
    if not sizes:
        return 0.0
    sides = _assigned(sizes, split, seed)
    for place, node in enumerate(nodes):
        if node >= 0:
            outcomes[place] = _FIRST_SIDE + sides.get(root(node), 0)
    total, biggest = sizes.total(), max(sizes.values())
    if len(set(sides.values())) < len(split):
        raise UnsplittableError(
            f"this cannot be split: of {total:,} samples {biggest:,} belong together, as one room's or as near-copies",
            "export without --split, or take two exports that meet at a date (--until, --since)",
        )
    return biggest / total


def _assigned(sizes: Counter[int], split: Sequence[float], seed: int) -> dict[int, int]:
    """A side for each group: large groups first, each drawn among the sides that still have room for it."""
    drawn = random.Random(f"split {seed}")
    total = sizes.total()
    missing = [share * total for share in split]
    order = sorted(sizes)
    drawn.shuffle(order)
    # By powers of two, so that another seed gives another split and small groups still fill what large ones leave.
    order.sort(key=lambda group: -sizes[group].bit_length())
    sides = {}
    for group in order:
        size = sizes[group]
        fitting = [side for side, left in enumerate(missing) if left >= size]
        if fitting:
            [side] = drawn.choices(fitting, [missing[side] for side in fitting])
        else:
            side = max(range(len(missing)), key=lambda number: missing[number])
        missing[side] -= size
        sides[group] = side
    empty = [side for side in range(len(split)) if side not in sides.values()]
    for side in empty:  # a small share of few groups: give it the smallest group of a side that has several
        many = Counter(sides.values())
        movable = [group for group in order if many[sides[group]] > 1]
        if movable:
            sides[min(movable, key=lambda group: sizes[group])] = side
    return sides


def _hash(key: bytes, value: bytes, count: int) -> int:
    return int.from_bytes(blake2b(value, key=key, digest_size=4).digest()) % count
