"""What gateways did, by the training log: who answered, how fast, how often in vain and how often alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import to_ms
from reasoning_cli.values import HEAD_PREFIX, MODEL_TYPES

# Whatever is decided while an agent waits, by HTTP or in its process.
_ORIGINS = ("gateway", "library")
# Who answered, the head in line apart from the slot's model.
_PLACE = f"CASE WHEN source='slot' AND model LIKE '{HEAD_PREFIX}%' THEN 'head' ELSE source END"
_OF_MODEL = f"model NOT LIKE '{HEAD_PREFIX}%'"


@dataclass(frozen=True)
class Answers:
    """The decisions of one type that one place (`head`, `slot`, `fallback`, `original`) answered. `reasons` counts why
    a model of ours was asked in vain; half of the latencies are below `p50_ms`, 95 % below `p95_ms`."""

    model_type: str
    source: str
    count: int
    p50_ms: int | None
    p95_ms: int | None
    reasons: Mapping[str, int] = field(default_factory=dict)


def answers(store: Store, since: datetime, until: datetime) -> list[Answers]:
    """Who answered what came through gateways from `since` to `until`, by type and source."""
    return [row for model_type in MODEL_TYPES for row in _of_type(store, model_type, since, until)]


def _of_type(store: Store, model_type: str, since: datetime, until: datetime) -> Iterator[Answers]:
    # By type and time, as the index is; within that, each row is looked at.
    span = "model_type=? AND created_at>=? AND created_at<? AND origin IN (?, ?)"
    of = (model_type, to_ms(since), to_ms(until), *_ORIGINS)
    counts = store.rows(
        f"SELECT {_PLACE} AS place, count(*), count(latency_ms) FROM samples WHERE {span} GROUP BY place"
        " ORDER BY place",
        of,
    )
    for source, count, timed in list(counts):
        p50, p95 = (
            store.number(
                f"SELECT latency_ms FROM samples WHERE {span} AND {_PLACE}=? AND latency_ms IS NOT NULL"
                " ORDER BY latency_ms LIMIT 1 OFFSET ?",
                (*of, source, min(timed - 1, int(timed * share))),
            )
            if timed
            else None
            for share in (0.5, 0.95)
        )
        reasons = _failures(store, model_type, since, until) if source == "fallback" else {}
        yield Answers(model_type, source, count, p50, p95, reasons)


def agreement(store: Store, since: datetime, until: datetime) -> dict[str, tuple[int, int]]:
    """By type: how often a shadow agreed with the original, of how many times."""
    rows = store.rows(
        "SELECT a.model_type, sum(agrees), count(agrees) FROM attempts AS a JOIN samples AS s ON s.id=a.sample_id"
        " WHERE at>=? AND at<? AND mode='shadow' AND agrees IS NOT NULL AND s.source<>'slot'"
        f" AND a.{_OF_MODEL} GROUP BY a.model_type",
        (to_ms(since), to_ms(until)),
    )
    return {str(model_type): (int(agreed), int(all_of_them)) for model_type, agreed, all_of_them in rows}


def _failures(store: Store, model_type: str, since: datetime, until: datetime) -> dict[str, int]:
    rows = store.rows(
        "SELECT failure, count(*) FROM attempts WHERE model_type=? AND at>=? AND at<? AND mode<>'shadow'"
        f" AND {_OF_MODEL} AND failure IS NOT NULL GROUP BY failure ORDER BY count(*) DESC, failure",
        (model_type, to_ms(since), to_ms(until)),
    )
    return {str(failure): int(count) for failure, count in rows}
