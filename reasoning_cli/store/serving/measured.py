"""What the log tells of who answered: how fast, how much of what it was asked, and in which hours decisions come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms

_HOUR_MS = 3_600_000
# Of fewer answers the 95th of a hundred is one of the slowest there are, whatever it is.
_FEWEST_TIMED = 20


@dataclass(frozen=True)
class Measured:
    """The answers of one model to decisions of a type. `failed` counts those it was asked in vain; half of the `timed`
    answers came within `p50_ms`, 95 % within `p95_ms`, which are None where too few were timed."""

    answered: int = 0
    failed: int = 0
    p50_ms: int | None = None
    p95_ms: int | None = None

    @property
    def asked(self) -> int:
        return self.answered + self.failed


def measured(
    store: Store,
    model_type: str,
    since: datetime,
    until: datetime,
    *,
    source: str | None = None,
    model: str | None = None,
) -> Measured:
    """What is known of a model as `source`, or of all that answered, from `since` to `until`."""
    named = [("source", source), ("model", model)]
    span = "model_type=? AND created_at>=? AND created_at<?" + "".join(f" AND {name}=?" for name, text in named if text)
    of: tuple[Value, ...] = (model_type, to_ms(since), to_ms(until), *(text for _, text in named if text))
    row = store.row(f"SELECT count(*), count(latency_ms) FROM samples WHERE {span}", of)
    answered, timed = (int(row[0]), int(row[1])) if row is not None else (0, 0)
    p50, p95 = (
        store.number(
            f"SELECT latency_ms FROM samples WHERE {span} AND latency_ms IS NOT NULL"
            " ORDER BY latency_ms LIMIT 1 OFFSET ?",
            (*of, min(timed - 1, int(timed * share))),
        )
        if timed >= _FEWEST_TIMED
        else None
        for share in (0.5, 0.95)
    )
    if model is None:
        return Measured(answered, 0, p50, p95)
    failed = store.number(
        "SELECT count(*) FROM attempts WHERE model_type=? AND at>=? AND at<? AND mode<>'shadow' AND model=?"
        " AND failure IS NOT NULL",
        (model_type, to_ms(since), to_ms(until), model),
    )
    return Measured(answered, failed, p50, p95)


def decisions_by_hour(
    store: Store, model_type: str, since: datetime, until: datetime
) -> Iterator[tuple[datetime, int]]:
    """How many decisions of a type each hour (of UTC, by its beginning) has; none of those without."""
    for hour, count in store.rows(
        f"SELECT created_at / {_HOUR_MS} AS hour, count(*) FROM samples"
        f" WHERE model_type=? AND created_at>=? AND created_at<? GROUP BY created_at / {_HOUR_MS} ORDER BY hour",
        (model_type, to_ms(since), to_ms(until)),
    ):
        yield from_ms(0) + timedelta(hours=int(hour)), int(count)
