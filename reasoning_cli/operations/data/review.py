"""A review: one decision after the other, each label kept at once, so that it can be left and gone on with any time."""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.listing import Pages
from reasoning_cli.store.samples.reviews import Reviews
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples

_PAGE = 100
_LABELS = ("good", "bad", "corrected")


@dataclass(frozen=True)
class Asked:
    """What is reviewed: what matches `wanted`, all of it or `sample` of them drawn by `seed`; `again` also what was
    labelled before. `typed` are the words of the filter: the same words mean the same sample, a day later too. `chosen`
    are the ids of what is reviewed, whatever else is asked for."""

    wanted: SampleFilter
    typed: str = ""
    sample: int | None = None
    seed: int = 0
    again: bool = False
    chosen: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Progress:
    """How far a review is: `done` of `total`, and what was said of them; `skipped` counts this run's."""

    done: int
    total: int
    labels: Counter[str]
    skipped: int


class Review:
    """One person's walk through decisions. A sample of them is drawn once and stays the same for the same question."""

    def __init__(self, store: Store, asked: Asked, *, by: str, now: Callable[[], datetime]) -> None:
        self.store, self._asked, self._by, self._now = store, asked, by, now
        self._labels, self._samples = Labels(store), Samples(store)
        self._drawn = None if asked.chosen is None else list(asked.chosen)
        if self._drawn is None and asked.sample is not None:
            self._drawn = self._draw()
        self._ahead = self._walk()
        self._returned: list[str] = []
        self._made: list[tuple[int, str, str]] = []  # number of the change, sample, label
        self._skipped: set[str] = set()
        self._tally = Counter[str]()
        self._total = self._count()

    @property
    def progress(self) -> Progress:
        labels = +self._tally
        return Progress(sum(labels.values()), self._total, labels, len(self._skipped))

    def next(self) -> Sample | None:
        """The next decision; None behind the last one."""
        while (sample_id := self._returned.pop() if self._returned else next(self._ahead, None)) is not None:
            sample = self._samples.get(sample_id)
            # Deleted, or labelled by somebody else, since the list was made.
            if sample is not None and (sample.label is None or self._asked.again):
                return sample
        return None

    def label(self, labelling: Labelling) -> None:
        """Keep what a person says."""
        (number,) = self._labels.set([labelling], at=self._now(), by=self._by)
        label = labelling.label or "none"
        if number is not None:
            self._made.append((number, labelling.sample_id, label))
        self._skipped.discard(labelling.sample_id)
        self._tally[label] += 1

    def skip(self, sample: Sample) -> None:
        """Leave one out for now."""
        self._skipped.add(sample.id)

    def undo(self, current: Sample | None) -> Sample | None:
        """Take the last label of this run back and return its decision; `current` comes after it.

        None when there is none, or when somebody else labelled it since.
        """
        if not self._made:
            return None
        number, sample_id, label = self._made.pop()
        if not self._labels.undo(number, at=self._now(), by=self._by):
            return None
        self._tally[label] -= 1
        if current is not None:
            self._returned.append(current.id)
        return self._samples.get(sample_id)

    def _walk(self) -> Iterator[str]:
        """Ids in the order of the review, newest first or as they were drawn, a page at a time: no question to the
        database stays open while a person thinks."""
        if self._drawn is not None:
            yield from self._drawn
            return
        wanted = self._asked.wanted if self._asked.again else replace(self._asked.wanted, label="none")
        after = None
        while page := Pages(self.store).page(wanted, after=after, limit=_PAGE, with_tail=False):
            yield from (row.id for row in page)
            after = page[-1].seq

    def _draw(self) -> list[str]:
        """The ids of the sample: as it was drawn before, or drawn now."""
        asked = self._asked
        reviews, question = Reviews(self.store), json.dumps([asked.typed, asked.sample, asked.seed])
        drawn = reviews.get(question)
        if drawn is None:
            rng = random.Random(asked.seed)
            chosen = heapq.nsmallest(
                asked.sample or 0, ((rng.random(), seq) for seq in Pages(self.store).numbers(asked.wanted))
            )
            drawn = reviews.keep(question, [seq for _, seq in chosen], at=self._now())
        return drawn

    def _count(self) -> int:
        """How many there are to do, noting what was said of those that are done."""
        if self._drawn is not None:
            samples = [sample for sample_id in self._drawn if (sample := self._samples.get(sample_id)) is not None]
            if not self._asked.again:
                self._tally.update(sample.label for sample in samples if sample.label is not None)
            return len(samples)
        if not self._asked.again:
            for label in _LABELS:
                self._tally[label] = self._samples.count(replace(self._asked.wanted, label=label))
        return self._samples.count(self._asked.wanted)
