"""What archives hold, counted by the log's own statements over small columns; of texts a few are read, by lot."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from reasoning_cli.operations.data.archive.index import PartitionFile
from reasoning_cli.operations.data.archive.partition import whole_file
from reasoning_cli.operations.data.archive.place import Place
from reasoning_cli.operations.data.export.archived import Sources, gather
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.operations.data.stats import LOOKED_AT, SampleStatistics, judged, personal_data
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.export_reader import ExportRows, texts
from reasoning_cli.store.samples.gathered import GatheredSamples
from reasoning_cli.store.samples.stats import sample_figures
from reasoning_cli.store.samples.training_log import SampleFilter


def archived_statistics(
    store: Store,
    sources: Sources,
    now: datetime,
    *,
    wanted: SampleFilter,
    windows: Mapping[str, int],
    looked_at: int = LOOKED_AT,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SampleStatistics:
    """The statistics of a log, of archives: whole files are read for `looked_at` samples that are searched for personal
    data."""
    with tempfile.TemporaryDirectory(prefix="reasoning-") as made, GatheredSamples(Path(made)) as gathered:
        files = gather(store, sources, wanted, gathered, on_progress=on_progress)
        figures = sample_figures(gathered, now - timedelta(days=1), wanted=wanted, windows=windows)
        drawn = frozenset(ExportRows(gathered, wanted).drawn(looked_at, 0)) if looked_at else frozenset()
        personal = personal_data(_texts(store, gathered, files, drawn))
    return judged(figures, personal, now, alone=len(wanted.model_types) == 1)


def _texts(
    store: Store, gathered: GatheredSamples, files: list[tuple[Place, PartitionFile]], drawn: frozenset[int]
) -> Iterator[tuple[str, str]]:
    """Prompt and output of the samples with these numbers."""
    _, parquet = pyarrow_of()
    for part in range(-1, len(files)):
        chosen = [(place, log_seq) for place, seq, log_seq in zip(*gathered.of_part(part), strict=True) if seq in drawn]
        if not chosen:
            continue
        if part < 0:
            yield from ((row[8].decode(), row[7]) for row in texts(store, [log_seq for _, log_seq in chosen]))
            continue
        with whole_file(*files[part]) as path, parquet.ParquetFile(path) as file:
            first = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                inside = [place - first for place, _ in chosen if first <= place < first + rows]
                if inside:
                    found = file.read_row_group(group, ["prompt", "output"]).take(inside)
                    yield from zip(found["prompt"].to_pylist(), found["output"].to_pylist(), strict=True)
                first += rows
