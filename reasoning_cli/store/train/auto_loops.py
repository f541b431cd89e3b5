"""Training loops: which type trains itself anew on what conditions, and how far its present round has come."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Literal, get_args

from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms
from reasoning_cli.values import HEAD, TOGETHER

Step = Literal["resting", "training", "deploying", "evaluating", "comparing", "waiting", "promoting", "leaving"]
STEPS: tuple[Step, ...] = get_args(Step)
# In these a model stands beside what answers, and is asked what that is asked.
TRYING: tuple[Step, ...] = ("evaluating", "comparing", "waiting")
Counted = Literal["labelled", "all"]


@dataclass(frozen=True)
class Loop:
    """The loop of a type: its conditions, and its present round, `step` being what is done next.

    A round begins when `every` has passed since the last one and `min_new` samples came since then: those a person
    labelled or corrected, or (`counted` is `all`) any. It may cost `max_cost_cents`, its job and the hours of its model
    together. `run`, `evaluation` and `candidate_key` are those of the round, `outcome` is what came of it; `begun_at`
    is when it began, or the last one did, `ended_at` when that was over, `seen_seq` the newest sample of then. `line`
    says in one line how it stands, `line_at` since when; `told` whether the guard has said so. `by` is who set it
    up. One with a `max_error` (a share) learns heads.
    """

    model_type: str
    created_at: datetime
    by: str
    every_seconds: int
    min_new: int
    counted: Counted
    max_cost_cents: int
    unattended: bool
    step: Step
    line: str
    line_at: datetime
    told: bool
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    seen_seq: int = 0
    run: int | None = None
    evaluation: int | None = None
    candidate_key: str | None = None
    outcome: str | None = None
    max_error: float | None = None

    @property
    def engine(self) -> str:
        """Who trains: Together, or this process heads."""
        return TOGETHER if self.max_error is None else HEAD

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=self.every_seconds)


_COLUMNS = tuple(field.name for field in fields(Loop))
_TIMES = ("created_at", "line_at", "begun_at", "ended_at")
_FLAGS = ("unattended", "told")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM loops"


class Loops:
    """The training loops in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(
        self,
        model_type: str,
        *,
        every: timedelta,
        min_new: int,
        counted: Counted,
        max_cost_cents: int,
        unattended: bool,
        max_error: float | None,
        by: str,
        at: datetime,
    ) -> Loop:
        """Let a type train itself on these conditions. One that does already has new conditions; its round goes on."""
        values: dict[str, Value] = {
            "model_type": model_type,
            "every_seconds": int(every.total_seconds()),
            "min_new": min_new,
            "counted": counted,
            "max_cost_cents": max_cost_cents,
            "unattended": unattended,
            "max_error": max_error,
            "by": by,
        }
        new = {**values, "created_at": to_ms(at), "step": "resting", "line": "", "line_at": to_ms(at), "told": True}
        self._store.write(
            f"INSERT INTO loops({', '.join(new)}) VALUES ({', '.join(f':{name}' for name in new)})"
            f" ON CONFLICT(model_type) DO UPDATE SET {', '.join(f'{name}=excluded.{name}' for name in values)}",
            new,
        )
        loop = self.get(model_type)
        assert loop is not None
        return loop

    def update(self, model_type: str, **changes: object) -> Loop | None:
        """Write down what changed, named as in `Loop`, together or not at all; None where it was taken away."""
        self._store.write(
            f"UPDATE loops SET {', '.join(f'{name}=:{name}' for name in changes)} WHERE model_type=:model_type",
            {**{name: _stored(value) for name, value in changes.items()}, "model_type": model_type},
        )
        return self.get(model_type)

    def remove(self, model_type: str) -> bool:
        """Let a type train itself no longer; False when it did not."""
        return self._store.write("DELETE FROM loops WHERE model_type=?", (model_type,)) > 0

    def get(self, model_type: str) -> Loop | None:
        row = self._store.row(f"{_SELECT} WHERE model_type=?", (model_type,))
        return _loop(row) if row is not None else None

    def all(self) -> list[Loop]:
        return [_loop(row) for row in self._store.rows(f"{_SELECT} ORDER BY model_type")]

    def new_samples(self, loop: Loop) -> int:
        """How many samples of its type came since its last round, or were labelled or corrected since where only those
        count."""
        if loop.counted == "all":
            return self._store.number(
                "SELECT count(*) FROM samples WHERE model_type=? AND seq > ?", (loop.model_type, loop.seen_seq)
            )
        return self._store.number(
            "SELECT count(*) FROM samples WHERE model_type=:type AND label IS NOT NULL AND"
            " (seq > :seq OR seq IN (SELECT sample_seq FROM labels WHERE at > :since))",
            {"type": loop.model_type, "seq": loop.seen_seq, "since": to_ms(loop.begun_at) if loop.begun_at else -1},
        )

    def newest_sample(self) -> int:
        """The number of the newest sample, 0 without any."""
        return self._store.number("SELECT coalesce(max(seq), 0) FROM samples")


def _loop(row: Row) -> Loop:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _TIMES:
        values[name] = None if values[name] is None else from_ms(values[name])
    for name in _FLAGS:
        values[name] = bool(values[name])
    return Loop(**values)


def _stored(value: object) -> Value:
    if isinstance(value, datetime):
        return to_ms(value)
    assert value is None or isinstance(value, str | int)
    return value
