"""Imports as tests make them: a path or a stream into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from reasoning_cli.gateway.log.recorded_call import read_exchange
from reasoning_cli.operations.data.ingest.pipeline import ImportOptions, ImportReport, Progress, import_decisions
from reasoning_cli.sources.files import FileSource
from reasoning_cli.store.database import Store


def import_file(
    source: Path | BinaryIO,
    store: Store,
    *,
    rejects: Path | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> ImportReport:
    """What `data import` does with a file; `options` are those of ImportOptions."""
    return import_decisions(
        FileSource(source),
        store,
        ImportOptions(**options),
        read_exchange=read_exchange,
        rejects=rejects,
        on_progress=on_progress,
    )
