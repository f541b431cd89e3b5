"""What our own models answered, by the training log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import to_ms


def answered(store: Store, since: datetime, until: datetime) -> Mapping[str, int]:
    """How many decisions each model answered in its slot with since <= time < until, by the name it is served under."""
    rows = store.rows(
        "SELECT model, count(*) FROM samples"
        " WHERE source = 'slot' AND created_at >= ? AND created_at < ? GROUP BY model ORDER BY model",
        (to_ms(since), to_ms(until)),
    )
    return {str(model): int(count) for model, count in rows}


def adapters(store: Store) -> Mapping[str, str]:
    """The key of the deployment that carries each adapter, by the name the adapter is served under; gone ones, too."""
    rows = store.rows("SELECT serving_name, rides_on FROM deployments WHERE rides_on IS NOT NULL ORDER BY created_at")
    return {str(name): str(key) for name, key in rows if name}
