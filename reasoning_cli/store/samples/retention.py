"""Taking samples out of the training log without standing in anybody's way.

Whoever writes beside a clean-up waits for one short transaction at most: rows are chosen outside the lock, deleted so
many at a time as take some milliseconds, and the space they leave goes back to the file system in the same small steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.samples.training_log import SampleRange
from reasoning_cli.store.timestamps import from_ms, to_ms

LOCK_SECONDS = 0.02  # what a step aims at; one on a busy machine takes some times that
_LOG_BYTES = 8_000_000  # of write-ahead log, after which it is carried into the file
_FIRST_STEP = 50
_LARGEST_STEP = 4000


@dataclass(frozen=True)
class Cut:
    """Where the samples of a type are cut: those before (`at`, `seq`) in the order of time go."""

    model_type: str
    at: datetime
    seq: int = 0


@dataclass(frozen=True)
class CutRange:
    """What a cut takes: how many from when to when, and how many labelled ones it leaves."""

    samples: SampleRange
    protected: int


# Both bounds are said of the time alone as well: that is what the index is searched by.
_CUT = "model_type = :type AND created_at <= :at AND (created_at, seq) < (:at, :seq)"
_UNLABELLED = " AND label IS NULL"


def nth_newest(store: Store, model_type: str, number: int) -> Cut | None:
    """The cut that leaves the newest so many of a type; None when there are no more."""
    row = store.row(
        "SELECT created_at, seq FROM samples WHERE model_type = ? ORDER BY created_at DESC, seq DESC LIMIT 1 OFFSET ?",
        (model_type, number - 1),
    )
    return None if row is None else Cut(model_type, from_ms(row["created_at"]), row["seq"])


def range_of_cut(store: Store, cut: Cut, *, keep_labelled: bool) -> CutRange:
    """What a cut would take."""
    values: dict[str, Value] = {"type": cut.model_type, "at": to_ms(cut.at), "seq": cut.seq}
    every = store.number(f"SELECT count(*) FROM samples WHERE {_CUT}", values)
    protected = 0
    if keep_labelled:
        protected = store.number(f"SELECT count(*) FROM samples WHERE {_CUT} AND label IS NOT NULL", values)
    oldest, newest = (
        store.row(
            f"SELECT created_at FROM samples WHERE {_CUT}{_UNLABELLED if keep_labelled else ''}"
            f" ORDER BY created_at {order} LIMIT 1",
            values,
        )
        for order in ("", "DESC")
    )
    return CutRange(
        SampleRange(
            every - protected,
            from_ms(oldest[0]) if oldest is not None else None,
            from_ms(newest[0]) if newest is not None else None,
        ),
        protected,
    )


def delete_cut(store: Store, step: Step, cut: Cut, *, keep_labelled: bool) -> Iterator[int]:
    """Delete what a cut takes a step at a time, yielding how many are gone so far.

    A sample that gets a label in the meantime stays.
    """
    condition = _UNLABELLED if keep_labelled else ""
    place: dict[str, Value] = {"type": cut.model_type, "at": to_ms(cut.at), "seq": cut.seq, "from": -(1 << 62)}
    gone = 0
    while rows := list(
        store.rows(
            # Asking for the length reads the pages that are to go, from the disk if need be, before the lock is held.
            f"SELECT seq, created_at, length(prompt) FROM samples WHERE {_CUT} AND created_at >= :from{condition}"
            " ORDER BY created_at LIMIT :most",
            {**place, "most": step.rows},
        )
    ):
        place["from"] = rows[-1]["created_at"]
        gone += _delete_rows(store, step, rows, condition)
        yield gone


def _delete_rows(store: Store, step: Step, rows: Sequence[Row], condition: str) -> int:
    """Delete the samples with these `seq` in one short transaction, and give their space back."""
    numbers = json.dumps([row["seq"] for row in rows])
    with step.holding(len(rows)):
        gone = store.write(f"DELETE FROM samples WHERE seq IN (SELECT value FROM json_each(?)){condition}", (numbers,))
    step.give_back()
    return gone


class Step:
    """How many rows the next transaction may touch, by how long the last ones took; and how long the longest took."""

    def __init__(self, store: Store) -> None:
        self.rows = _FIRST_STEP
        self.longest_seconds = 0.0
        self._pages = _FIRST_STEP
        self._store = store

    @contextmanager
    def holding(self, rows: int) -> Iterator[None]:
        """The time the lock is held for, after which others get a turn."""
        with _Stopwatch() as held:
            yield
        self.rows = self._next(self.rows, rows, held)

    def give_back(self) -> None:
        """Hand the freed pages to the file system, in steps as short."""
        while self._store.free_pages():
            with _Stopwatch() as held:
                self._store.give_back_pages(self._pages)
            self._pages = self._next(self._pages, self._pages, held)

    def _next(self, size: int, done: int, held: _Stopwatch) -> int:
        """The size of the next step, by what the last one took; who waits for the lock gets it in between."""
        self.longest_seconds = max(self.longest_seconds, held.seconds)
        if self._store.log_bytes() > _LOG_BYTES:
            self._store.shorten_log()
        # Who finds the lock taken looks again some milliseconds later; without a pause it might never be free then.
        time.sleep(min(held.seconds, LOCK_SECONDS))
        wanted = int(done * LOCK_SECONDS / max(held.seconds, 1e-6))
        return max(1, min(wanted, 2 * size, _LARGEST_STEP))


class _Stopwatch:
    seconds = 0.0

    def __enter__(self) -> _Stopwatch:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began


@contextmanager
def small_steps(store: Store) -> Iterator[Step]:
    """The steps of one clean-up. The write-ahead log is carried into the file between them, and cut at the end."""
    with store.writing_back_apart():
        yield Step(store)
    store.shorten_log()
