"""How often in a row a model of ours failed, by the log: over all gateways that write to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms

_NEWEST = (
    "SELECT at, failure FROM attempts WHERE model_type = :type AND at >= :since AND model = :model"
    " AND deployment_key IS :key ORDER BY at DESC, number DESC LIMIT :most"
)
_GOOD = (
    "SELECT count(*) FROM (SELECT 1 FROM samples WHERE model_type = :type AND created_at >= :since AND source = 'slot'"
    " AND model = :model LIMIT 1) AS good"
)


@dataclass(frozen=True)
class AskedModel:
    """A model in a slot: of its deployment, or None where it is served elsewhere."""

    model_type: str
    model: str
    deployment_key: str | None


def failed_in_a_row(
    store: Store, asked: AskedModel, since: datetime, most: int, no_fault: Collection[str]
) -> list[datetime]:
    """When a model was last asked in vain `most` times, none good between; nothing where it was not so often in a row.

    `no_fault` are failures that say nothing against it.
    """
    named: dict[str, Value] = {"type": asked.model_type, "model": asked.model}
    limits: dict[str, Value] = {"key": asked.deployment_key, "since": to_ms(since), "most": most}
    newest = list(store.rows(_NEWEST, named | limits))
    times = [row["at"] for row in takewhile(lambda row: row["failure"] not in (None, *no_fault), newest)]
    if len(times) < most:
        return []
    good = store.number(_GOOD, {**named, "since": times[-1]})
    return [] if good else [from_ms(at) for at in times]
