"""Who is at work on a store that several hosts share: each gateway and guard, by its signs of life.

All times are of the server's clock, so that hosts whose clocks differ agree on how long ago somebody was seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms

Kind = Literal["gateway", "guard"]

# After so many signs of life that did not come, or where those come often after so long, nobody counts on it.
_MISSED = 3
_AT_LEAST = timedelta(seconds=2)
_NOW = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
_FORGET_MS = 86_400_000
_BEAT = f"""INSERT INTO instances(id, kind, host, pid, version, every_ms, facts, started_at, seen_at)
 VALUES (:id, :kind, :host, :pid, :version, :every_ms, :facts, {_NOW}, {_NOW})
 ON CONFLICT(id) DO UPDATE SET seen_at = excluded.seen_at, pid = excluded.pid, facts = excluded.facts,
 every_ms = excluded.every_ms"""


@dataclass(frozen=True)
class Instance:
    """A program at work: `id` is its own for as long as it runs, `every` how often it gives a sign of life."""

    id: str
    kind: Kind
    host: str
    pid: int
    version: str
    every: timedelta


@dataclass(frozen=True)
class InstanceSeen:
    """One as it was last seen, `ago`; it began `since`. `facts` are what it tells of itself."""

    instance: Instance
    ago: timedelta
    since: timedelta
    facts: Mapping[str, Any]

    @property
    def is_gone(self) -> bool:
        """Whether it was killed, or its host stands still or cannot reach the store: nothing is known of it."""
        return self.ago > max(_MISSED * self.instance.every, _AT_LEAST)


class Instances:
    """The gateways and guards of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def beat(self, instance: Instance, facts: Mapping[str, Any]) -> None:
        """A sign of life, with what it tells of itself; the first one puts it on the list."""
        values = {
            **{name: getattr(instance, name) for name in ("id", "kind", "host", "pid", "version")},
            "every_ms": int(instance.every.total_seconds() * 1000),
            "facts": json.dumps(facts),
        }
        with self._store.transaction(exclusive=False) as connection:
            connection.execute(_BEAT, values)

    def leave(self, instance_id: str) -> None:
        """It ended as it should; and whoever was not seen for a day is not listed any more."""
        with self._store.transaction(exclusive=False) as connection:
            gone = f"DELETE FROM instances WHERE id = :id OR seen_at < {_NOW} - {_FORGET_MS}"
            connection.execute(gone, {"id": instance_id})

    def record_last(self, instance: Instance, ago: timedelta, facts: Mapping[str, Any]) -> None:
        """Remember what one that ends did `ago`, as the last of its kind."""
        at = to_ms(self._store.clock() - ago)
        every_ms = int(instance.every.total_seconds() * 1000)
        value = {**vars(instance), "every": every_ms, "at": at, "facts": dict(facts)}
        self._store.write(
            "INSERT INTO about(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
            (f"last_{instance.kind}", json.dumps(value)),
        )

    def last(self, kind: Kind) -> InstanceSeen | None:
        """The last of a kind that ended as it should; its age is that of what it did last."""
        row = self._store.row("SELECT value FROM about WHERE name = ?", (f"last_{kind}",))
        if row is None:
            return None
        value = json.loads(row[0])
        ago = max(timedelta(), self._store.clock() - from_ms(value.pop("at")))
        facts, every = value.pop("facts"), timedelta(milliseconds=value.pop("every"))
        return InstanceSeen(Instance(**value, every=every), ago, ago, facts)

    def all(self) -> list[InstanceSeen]:
        """Everybody on the list, by kind and host."""
        ages = f"{_NOW} - seen_at AS ago, {_NOW} - started_at AS since"
        query = f"SELECT id, kind, host, pid, version, every_ms, facts, {ages} FROM instances ORDER BY kind, host, id"
        return [
            InstanceSeen(
                Instance(
                    row["id"],
                    row["kind"],
                    row["host"],
                    row["pid"],
                    row["version"],
                    timedelta(milliseconds=row["every_ms"]),
                ),
                ago=timedelta(milliseconds=max(0, row["ago"])),
                since=timedelta(milliseconds=max(0, row["since"])),
                facts=json.loads(row["facts"]),
            )
            for row in self._store.rows(query)
        ]
