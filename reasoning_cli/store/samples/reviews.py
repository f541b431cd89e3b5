"""Which samples were drawn for a review, so that it is gone on with the same ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import to_ms


class Reviews:
    """The drawn samples in a store, by what was asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> list[str] | None:
        """The ids drawn under that name, in their order; None when none were."""
        row = self._store.row("SELECT samples FROM reviews WHERE name = ?", (name,))
        return [str(sample_id) for sample_id in json.loads(row["samples"])] if row is not None else None

    def keep(self, name: str, numbers: Sequence[int], *, at: datetime) -> list[str]:
        """Keep the samples with these numbers under a name that is new; their ids. Of two at once the first counts."""
        ids = [
            row["id"]
            for row in self._store.rows(
                "SELECT samples.id FROM json_each(?) AS drawn"
                " CROSS JOIN samples ON seq = drawn.value ORDER BY drawn.key",
                (json.dumps(numbers),),
            )
        ]
        if ids:
            self._store.write(
                "INSERT INTO reviews(name, at, samples) VALUES (?, ?, ?) ON CONFLICT(name) DO NOTHING",
                (name, to_ms(at), json.dumps(ids)),
            )
        return self.get(name) or []
