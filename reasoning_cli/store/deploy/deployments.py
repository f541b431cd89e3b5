"""What we deployed: one row a deployment, kept after its end, and which of them serves each model type.

A row is written before the first request goes out (state `creating`), so a crash between "Together made it" and "we
know about it" leaves something to look for, and something that costs money is never unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from reasoning_cli.errors import NotFoundError
from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms

CREATING = "creating"
DELETED = "DELETED"


@dataclass(frozen=True)
class DeploymentRecord:
    """One deployment as last seen.

    `state` is `creating` until Together confirmed it, then Together's own word without its prefix (`READY`), and
    `DELETED` at the end. Names are bare; `serving_name` is `slug/endpoint`, what a chat call names.

    A rider is a LoRA adapter attached to another deployment: `rides_on` is the key of that one, which has the hardware
    and the bill. A rider has neither price nor readings nor an id of a deployment, but an `adapter_id` (`dad_…`).

    `idle_minutes` are those after which Together stops it, 0 for never; `own_idle_minutes` what was asked of this
    deployment alone, which wins over the settings.
    """

    key: str
    model_type: str | None
    model_name: str
    model_id: str | None
    endpoint_name: str
    endpoint_id: str | None
    deployment_name: str
    deployment_id: str | None
    serving_name: str | None
    project_id: str | None
    hardware: str | None
    price_cents_per_hour: int | None
    config: str | None
    idle_minutes: int
    min_replicas: int
    max_replicas: int
    state: str
    ready_replicas: int
    created_at: datetime
    state_at: datetime
    deleted_at: datetime | None = None
    last_error: str | None = None
    rides_on: str | None = None
    adapter_id: str | None = None
    own_idle_minutes: int | None = None


@dataclass(frozen=True)
class Slot:
    """Which deployment answers for a model type; `deployment_key` is None while none does."""

    model_type: str
    deployment_key: str | None
    model_name: str | None
    updated_at: datetime


_COLUMNS = tuple(field.name for field in fields(DeploymentRecord))
_TIMES = frozenset({"created_at", "state_at", "deleted_at"})
_INSERT = f"INSERT INTO deployments({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)})"
_UPDATE = f"UPDATE deployments SET {', '.join(f'{name}=:{name}' for name in _COLUMNS)} WHERE key=:key"
# Of several that answer to a name the one that still runs comes first, then what others ride on, then the newest.
_ORDER = "ORDER BY deleted_at IS NOT NULL, rides_on IS NOT NULL, created_at DESC, key"


class Deployments:
    """The deployments and slots in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record_intent(self, record: DeploymentRecord, check: Callable[[], None] = lambda: None) -> DeploymentRecord:
        """Remember a deployment before the first request for it is sent; from then on what it may cost is counted.

        A live one of the same names is the same deployment, and is returned instead: two runs at once must not count,
        and bill, one deployment twice. Otherwise `check` is called while nobody else writes, and what it raises keeps
        the deployment from being remembered.
        """
        with self._store.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM deployments WHERE endpoint_name=? AND deployment_name=? AND deleted_at IS NULL",
                (record.endpoint_name, record.deployment_name),
            ).fetchone()
            if row is not None:
                return _record(row)
            check()
            connection.execute(_INSERT, _parameters(record))
        return record

    def update(self, key: str, *, seen_at: datetime | None = None, **changes: object) -> DeploymentRecord:
        """Change fields of a deployment by their names; the record as it is now. NotFoundError when there is none.

        What was seen at `seen_at` changes nothing where another look was later, and written down sooner.
        """
        with self._store.transaction() as connection:
            row = connection.execute("SELECT * FROM deployments WHERE key=?", (key,)).fetchone()
            if row is None:
                raise NotFoundError(f"no deployment `{key}` is on record", hint="`reasoning models list --all`")
            if seen_at is not None and seen_at < _record(row).state_at:
                return _record(row)
            # replace() refuses a name that is not a field; the types are the caller's word.
            record = replace(_record(row), **changes)  # type: ignore[arg-type]
            connection.execute(_UPDATE, _parameters(record))
        return record

    def get(self, key: str) -> DeploymentRecord | None:
        """The deployment with our own key."""
        return self._first("WHERE key=?", key)

    def live(self) -> list[DeploymentRecord]:
        """Those not deleted, oldest first: whatever may still cost money, which riders do not."""
        return self._many("WHERE deleted_at IS NULL AND rides_on IS NULL ORDER BY created_at, key")

    def all(self) -> list[DeploymentRecord]:
        """Every deployment ever made, oldest first; no riders."""
        return self._many("WHERE rides_on IS NULL ORDER BY created_at, key")

    def riders(self, key: str | None = None) -> list[DeploymentRecord]:
        """The live adapters that ride on the deployment with that key, or on any, oldest first."""
        return self._many(
            "WHERE deleted_at IS NULL AND rides_on IS NOT NULL AND ? IN (rides_on, '') ORDER BY created_at, key",
            key or "",
        )

    def find(self, name: str) -> DeploymentRecord | None:
        """The deployment an operator means: by model type (its slot, else the newest made for it), endpoint name,
        serving name, deployment name, Together's `ep_…` or `dep_…` id, or our key. Running ones win over deleted."""
        model_type = name.replace("-", "_")
        serving = self._first(
            "JOIN slots ON slots.deployment_key = deployments.key WHERE slots.model_type=?", model_type
        )
        if serving is not None:
            return serving
        return self._first(
            "WHERE ? IN (key, endpoint_name, serving_name, deployment_name, endpoint_id, deployment_id)"
            f" OR model_type=? {_ORDER}",
            name,
            model_type,
        )

    def slots(self) -> list[Slot]:
        """The slots that were ever set, by model type."""
        return [
            Slot(str(row["model_type"]), row["deployment_key"], row["model_name"], from_ms(row["updated_at"]))
            for row in self._store.rows(
                "SELECT slots.*, deployments.model_name FROM slots"
                " LEFT JOIN deployments ON deployments.key = slots.deployment_key ORDER BY slots.model_type"
            )
        ]

    def serving(self, model_type: str) -> str | None:
        """The key of what answers for a model type."""
        return next((slot.deployment_key for slot in self.slots() if slot.model_type == model_type), None)

    def set_slot(self, model_type: str, key: str | None, *, now: datetime | None = None) -> None:
        """Let a deployment answer for a model type, or none."""
        self._store.write(
            "INSERT INTO slots(model_type, deployment_key, updated_at) VALUES (?, ?, ?) ON CONFLICT(model_type)"
            " DO UPDATE SET deployment_key=excluded.deployment_key, updated_at=excluded.updated_at",
            (model_type, key, to_ms(now or datetime.now(UTC))),
        )

    def _first(self, tail: str, *parameters: Value) -> DeploymentRecord | None:
        row = self._store.row(f"SELECT deployments.* FROM deployments {tail}", parameters)
        return _record(row) if row is not None else None

    def _many(self, tail: str, *parameters: Value) -> list[DeploymentRecord]:
        return [_record(row) for row in self._store.rows(f"SELECT * FROM deployments {tail}", parameters)]


def _parameters(record: DeploymentRecord) -> dict[str, Value]:
    values = {name: getattr(record, name) for name in _COLUMNS}
    return {name: to_ms(value) if isinstance(value, datetime) else value for name, value in values.items()}


def _record(row: Row) -> DeploymentRecord:
    values = {name: from_ms(row[name]) if name in _TIMES and row[name] is not None else row[name] for name in _COLUMNS}
    return DeploymentRecord(**values)  # type: ignore[arg-type]  # the columns are the fields
