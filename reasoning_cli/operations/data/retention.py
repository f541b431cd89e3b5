"""Clearing the training log of what is too old, or too much of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reasoning_cli.errors import UsageError
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.retention import Cut, CutRange, delete_cut, nth_newest, range_of_cut, small_steps
from reasoning_cli.values import MODEL_TYPES

OPERATOR = "operator"


@dataclass(frozen=True)
class Retention:
    """What is kept: the last `days` days, and of each type the newest `most`; None is no limit."""

    days: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class CleanupPlan:
    """What a clean-up deletes: of each type what lies before its cut, but for labelled samples where those are kept.

    Shown by `--dry-run`, run by `run_cleanup`. `before` is the time the days begin at, None without a limit of days.
    """

    retention: Retention
    before: datetime | None
    keep_labelled: bool
    cuts: tuple[Cut, ...]
    by_type: Mapping[str, CutRange]

    @property
    def count(self) -> int:
        """How many samples go."""
        return sum(part.samples.count for part in self.by_type.values())

    @property
    def protected(self) -> int:
        """How many would go if they had no label."""
        return sum(part.protected for part in self.by_type.values())

    @property
    def oldest(self) -> datetime | None:
        """The time of the oldest sample that goes."""
        return min((part.samples.oldest for part in self.by_type.values() if part.samples.oldest), default=None)


def plan_cleanup(
    store: Store,
    now: datetime,
    retention: Retention,
    *,
    model_types: Sequence[str] = (),
    keep_labelled: bool = True,
) -> CleanupPlan:
    """What keeping to `retention` would delete of the types wanted (all when none is named); deletes nothing."""
    before = _before(now, retention.days)
    if retention.most is not None and retention.most < 1:
        raise UsageError(
            f"`{retention.most}` is not a number of samples to keep",
            "give a whole number from 1 on: `--max-samples 5000`",
        )
    cuts = []
    for name in model_types or MODEL_TYPES:
        by_age = Cut(name, before) if before is not None else None
        by_count = nth_newest(store, name, retention.most) if retention.most is not None else None
        if found := [cut for cut in (by_age, by_count) if cut is not None]:
            cuts.append(max(found, key=lambda cut: (cut.at, cut.seq)))
    ranges = {cut.model_type: range_of_cut(store, cut, keep_labelled=keep_labelled) for cut in cuts}
    by_type = {name: part for name, part in ranges.items() if part.samples.count or part.protected}
    return CleanupPlan(retention, before, keep_labelled, tuple(cuts), by_type)


def run_cleanup(
    store: Store,
    plan: CleanupPlan,
    now: datetime,
    *,
    actor: str = OPERATOR,
    seconds: float | None = None,
    on_progress: Callable[[int], None] = lambda gone: None,
) -> int:
    """Delete what the plan names, a little at a time; how many are gone. `on_progress` gets that after each step.

    Stopping in the middle, or after so many `seconds`, keeps what was not reached yet; running it again goes on. What
    was deleted becomes an event.
    """
    gone, began = 0, time.monotonic()
    try:
        with small_steps(store) as step:
            for cut in plan.cuts:
                before = gone
                for count in delete_cut(store, step, cut, keep_labelled=plan.keep_labelled):
                    gone = before + count
                    on_progress(gone)
                    if seconds is not None and time.monotonic() - began > seconds:
                        return gone
    finally:
        if gone:
            limits = {"days": plan.retention.days, "max_samples": plan.retention.most}
            detail = {"deleted": gone, **{name: value for name, value in limits.items() if value is not None}}
            Events(store).add(Event(now, actor, "cleanup", "training log", detail))
    return gone


def _before(now: datetime, days: int | None) -> datetime | None:
    if days is None:
        return None
    try:
        if days <= 0:
            raise ValueError
        return now - timedelta(days=days)
    except (ValueError, OverflowError):
        raise UsageError(
            f"`{days}` is not a number of days to keep", "give a whole number from 1 on, such as `--days 30`"
        ) from None
