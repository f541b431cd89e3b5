"""What the training log holds and what that is worth; and clearing it of what is too old."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reasoning_cli.errors import UsageError
from reasoning_cli.store.database import Store
from reasoning_cli.store.sample_figures import SampleFigures, sample_figures
from reasoning_cli.store.samples import SampleRange, Samples

Quality = Literal["Insufficient", "Limited", "Narrow", "Stale", "Good", "Excellent"]

ENOUGH_PER_TYPE = 100
RECENT_ENOUGH = 10
_DAY = timedelta(hours=24)


@dataclass(frozen=True)
class SampleStatistics:
    """The figures of the training log, a verdict on them and what would improve it."""

    figures: SampleFigures
    quality: Quality
    quality_reason: str
    recommendations: tuple[str, ...]


@dataclass(frozen=True)
class CleanupPlan:
    """What a clean-up deletes: every sample older than `before`. Shown by `--dry-run`, run by `run_cleanup`."""

    days: int
    before: datetime
    samples: SampleRange


def sample_statistics(store: Store, now: datetime) -> SampleStatistics:
    """Count what is stored and judge whether it is enough to train on."""
    figures = sample_figures(store, day_ago=now - _DAY)
    total, recent, types = figures.range.count, figures.last_day, tuple(figures.by_type)
    quality, reason = judge(total, recent, len(types))
    counts = {name: part.range.count for name, part in figures.by_type.items()}
    return SampleStatistics(figures, quality, reason, tuple(_recommendations(counts, recent)))


def judge(total: int, recent: int, types: int) -> tuple[Quality, str]:
    """The verdict on `total` samples of so many model types, `recent` of them from the last 24 hours, and why.

    The first rule that fits decides.
    """
    if total < 50:
        return "Insufficient", "fewer than 50 samples"
    if total < 200:
        return "Limited", "fewer than 200 samples"
    if types < 2:
        return "Narrow", "only one model type"
    if recent < 5:
        return "Stale", "fewer than 5 samples in the last 24 hours"
    if total > 1000:
        return "Excellent", "more than 1000 samples of several model types, and new ones coming in"
    return "Good", "enough samples of several model types, and new ones coming in"


def plan_cleanup(store: Store, days: int, now: datetime) -> CleanupPlan:
    """What deleting everything older than `days` days would delete; deletes nothing."""
    try:
        if days <= 0:
            raise ValueError
        before = now - timedelta(days=days)
    except (ValueError, OverflowError):
        raise UsageError(
            f"`{days}` is no number of days to keep", hint="give a whole number from 1 on, such as `--days 30`"
        ) from None
    return CleanupPlan(days, before, Samples(store).range_before(before))


def run_cleanup(store: Store, plan: CleanupPlan, on_progress: Callable[[int], None] | None = None) -> int:
    """Delete what the plan names, a batch at a time; how many are gone. `on_progress` gets that after each batch.

    Stopping in the middle keeps what was not reached yet; running it again goes on.
    """
    gone = 0
    for gone in Samples(store).delete_before(plan.before):
        if on_progress is not None:
            on_progress(gone)
    return gone


def _recommendations(counts: dict[str, int], recent: int) -> Sequence[str]:
    advice = [
        f"collect more {name.replace('_', '-')} samples: {count} now, {ENOUGH_PER_TYPE} or more recommended"
        for name, count in counts.items()
        if count < ENOUGH_PER_TYPE
    ]
    if recent < RECENT_ENOUGH:
        advice.append(f"let the agent do more: {recent} samples in the last 24 hours")
    if len(counts) == 1:
        advice.append("collect more than one model type, so that training does not depend on one kind of decision")
    return advice
