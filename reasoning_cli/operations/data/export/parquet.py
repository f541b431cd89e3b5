"""An export as Parquet: the same samples as in JSON lines, in columns. pyarrow is loaded here and when needed only."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import orjson

from reasoning_cli.errors import ConfigurationError
from reasoning_cli.operations.data.export.batches import Batch, Batcher, Facts, Stream
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.store.database import Store


def write_parquet(
    store: Store, rules: Rules, batches: Iterator[Batch], streams: Sequence[Stream]
) -> Generator[tuple[Batch, Facts]]:
    """Render and write the batches, a row group each; yields each with what became of it."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigurationError(
            "Parquet needs pyarrow, which is not installed", "`pip install 'reasoning[parquet]'`, or `-f jsonl`"
        ) from None
    text = pyarrow.string()
    messages = pyarrow.list_(pyarrow.struct([("role", text), ("content", text)]))
    schema = pyarrow.schema(
        [
            ("input", pyarrow.struct([("messages", messages)])),
            ("preferred_output", messages),
            ("non_preferred_output", messages),
        ]
        if rules.preference
        else [("messages", messages)]
    )
    batcher = Batcher(store, rules, len(streams))
    writers = [parquet.ParquetWriter(stream, schema, compression="zstd") for stream in streams]
    for batch in batches:
        pieces, facts = batcher.render(*batch)
        for writer, mine in zip(writers, pieces, strict=True):
            if mine:
                writer.write_table(pyarrow.Table.from_pylist([orjson.loads(line) for line in mine], schema))
        yield batch, facts
    for writer in writers:
        writer.close()
