"""What imports need of the store: how far each source was read, and what is there already."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.samples import text_hash
from reasoning_cli.store.times import to_ms

_AT_ONCE = 500


class Imports:
    """The positions of the sources in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def position(self, source: str) -> Mapping[str, object] | None:
        """Where the last import of a source ended; None when there was none."""
        row = self._store.row("SELECT position FROM imports WHERE source=?", (source,))
        found = json.loads(row[0]) if row is not None else None
        return found if isinstance(found, dict) else None

    def remember(self, source: str, position: Mapping[str, object]) -> None:
        """Keep where an import has come to."""
        self._store.write(
            "INSERT INTO imports(source, position, at) VALUES (?, ?, ?)"
            " ON CONFLICT(source) DO UPDATE SET position=excluded.position, at=excluded.at",
            (source, json.dumps(position), to_ms(datetime.now(UTC))),
        )

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these samples are stored."""
        found: set[str] = set()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found.update(row[0] for row in self._store.rows(f"SELECT id FROM samples WHERE id IN ({marks})", some))
        return found

    def answers_to(self, model_type: str, prompt: str) -> Collection[str]:
        """What is stored as the answer wherever this prompt was asked, a person's word before the model's."""
        return {
            row[0]
            for row in self._store.rows(
                "SELECT coalesce(corrected, output) FROM samples WHERE model_type=? AND prompt_hash=?",
                (model_type, text_hash(prompt)),
            )
        }
