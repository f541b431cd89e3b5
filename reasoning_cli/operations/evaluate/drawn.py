"""Decisions of archives to evaluate models on: so many, drawn by lot, as a dataset that stays where it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.data.export.archived import MANIFEST, export_archived, open_sources
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.run import ExportRequest
from reasoning_cli.paths import make_private_dir
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter


def draw_dataset(
    store: Store,
    folder: Path,
    addresses: Sequence[str],
    wanted: SampleFilter,
    *,
    count: int,
    seed: int,
    form: str,
    now: datetime,
    on_progress: Callable[[str, int, int], None] = lambda doing, done, total: None,
) -> Path:
    """A file with so many of the decisions that can be used. The same words and the same archives give the same file,
    which is made once, so that an evaluation that broke off goes on with it."""
    sources = open_sources(store, addresses)
    digest = blake2b(repr((wanted, count, seed, form, sources.with_log)).encode(), digest_size=8)
    for place, index in sources.archives:
        digest.update(place.address.encode() + index.spelt())
    target = folder / digest.hexdigest()
    if not (target / MANIFEST).exists():
        make_private_dir(folder)
        forms = dict.fromkeys(wanted.model_types, form)
        request = ExportRequest(wanted=wanted, rules=Rules(forms=forms), seed=seed, drawn=count)
        export_archived(store, sources, str(target), request, now=now, on_progress=on_progress)
    shards = json.loads((target / MANIFEST).read_bytes())["shards"]
    if len(shards) != 1:
        raise UsageError(f"{count:,} decisions are too many to evaluate at once", "draw fewer: `--sample 1000`")
    return target / str(shards[0]["path"])
