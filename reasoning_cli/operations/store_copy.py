"""What a store is, and a copy of it in another that is checked to the row and to the cent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from reasoning_cli.errors import DataError, UsageError
from reasoning_cli.operations.costs.ledger import usage_by_deployment
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.train.fine_tunes import FineTunes
from reasoning_cli.store.train.runs import TrainingRuns
from reasoning_cli.store.transfer import Progress, TableCopied, transfer
from reasoning_cli.values import HEAD_PREFIX, DatabaseAddress

_EVER = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class StoreInfo:
    """Where a store is, what runs it, and what it holds by table; `why_read_only` where nothing can be written."""

    store: str
    engine: str
    engine_version: str
    realm: str
    schema_version: int
    size_bytes: int
    rows: Mapping[str, int]
    why_read_only: str | None


@dataclass(frozen=True)
class StoreCopied:
    """What is in both stores now: rows by table with a hash of them all, and what the ledger comes to in dollars.

    `heads` are the files of the heads that it knows: they lie beside no store, and stay on this machine.
    """

    source: str
    target: str
    rows: int
    tables: tuple[TableCopied, ...]
    spent_usd: Decimal
    resumed: bool
    changed: int
    heads: tuple[str, ...] = ()


def describe(store: Store) -> StoreInfo:
    """What a store is. Every row is counted."""
    engine, version = store.engine()
    return StoreInfo(
        store=store.name,
        engine=engine,
        engine_version=version,
        realm=store.realm,
        schema_version=store.schema_version(),
        size_bytes=store.size_bytes(),
        rows={name: store.number(f"SELECT count(*) FROM {name}") for name in store.tables() if _is_ours(name)},
        why_read_only=None if store.read_only_for is None else store.read_only_for.message,
    )


def copy_store(
    source: Path | DatabaseAddress,
    target: Path | DatabaseAddress,
    realm: str,
    now: datetime,
    heads: Path,
    on_progress: Progress = lambda doing, done, total: None,
) -> StoreCopied:
    """Bring a store into another that is new, empty, or an interrupted copy of it; `heads` is this machine's folder of
    trained heads. Raises DataError where the two come
    to differ, and for what keeps either from being used."""
    with open_store(source, realm, create=False, or_read=True) as reading, open_store(target, realm) as writing:
        if reading.name == writing.name:
            raise UsageError(f"`{reading.name}` is both source and target", "name two stores")
        done = transfer(reading, writing, on_progress)
        spent, copied = _spent(reading, now), _spent(writing, now)
        if spent != copied:
            raise DataError(
                f"the ledger says ${spent} in `{reading.name}` and ${copied} in `{writing.name}`",
                "end what writes to the source, and give the same command again with an empty target",
            )
        files = _head_files(reading, heads)
        return StoreCopied(reading.name, writing.name, done.rows, done.tables, spent, done.resumed, done.changed, files)


def _head_files(store: Store, folder: Path) -> tuple[str, ...]:
    """The files of the heads that were trained from this store, as far as they are here."""
    trained = {(run.model_name or "").removeprefix(HEAD_PREFIX) for run in TrainingRuns(store).all()}
    return tuple(str(file) for file in sorted(folder.glob("*.head")) if file.stem in trained)


def _spent(store: Store, now: datetime) -> Decimal:
    """What the ledger comes to until now, deployments and fine-tuning jobs."""
    hours = sum((usage.cents for usage in usage_by_deployment(store, _EVER, now).values()), Decimal())
    jobs = sum((job.cents for job in FineTunes(store).all()), Decimal())
    return ((hours + jobs) / 100).quantize(Decimal("0.01"))


def _is_ours(table: str) -> bool:
    return not table.startswith(("samples_words", "sqlite_", "_sqlite"))
