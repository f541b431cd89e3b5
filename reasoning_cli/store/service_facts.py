"""What was found out about the service itself at the first live contact, and what a probe measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class ServiceFact:
    """A fact that is settled: whether what the program assumes `holds`, what was found (JSON), when and by which
    version of the program."""

    name: str
    holds: bool
    value: object
    why: str
    at: datetime
    version: str


@dataclass(frozen=True)
class StoredProbe:
    """What a probe measured (JSON), when it ended; its bill is read when there is one."""

    number: int
    at: datetime
    version: str
    measured: Mapping[str, object]


class ServiceFacts:
    """The settled facts in a store, the newest word on each."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def settle(self, fact: ServiceFact) -> None:
        """Remember a fact; what was known of it before is replaced."""
        self._store.write(
            "INSERT INTO service_facts(name, holds, value, why, at, version) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT(name) DO UPDATE SET holds=excluded.holds, value=excluded.value, why=excluded.why,"
            " at=excluded.at, version=excluded.version",
            (fact.name, int(fact.holds), json.dumps(fact.value), fact.why, to_ms(fact.at), fact.version),
        )

    def all(self) -> dict[str, ServiceFact]:
        """What is settled, by name."""
        rows = self._store.rows("SELECT name, holds, value, why, at, version FROM service_facts ORDER BY name")
        return {
            name: ServiceFact(name, bool(holds), json.loads(value), why, from_ms(at), version)
            for name, holds, value, why, at, version in rows
        }

    def add_probe(self, at: datetime, version: str, measured: Mapping[str, object]) -> None:
        self._store.write(
            "INSERT INTO service_probes(at, version, measured) VALUES (?, ?, ?)",
            (to_ms(at), version, json.dumps(measured, sort_keys=True)),
        )

    def probes(self) -> list[StoredProbe]:
        """All that were made, the newest first."""
        rows = self._store.rows("SELECT number, at, version, measured FROM service_probes ORDER BY number DESC")
        return [StoredProbe(number, from_ms(at), version, json.loads(found)) for number, at, version, found in rows]
