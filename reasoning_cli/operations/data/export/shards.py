"""A shard of a dataset: the chosen samples of some partitions as JSON lines, a file for each side of a split.

This is what a worker does, in a process of this machine or on a cluster. It is told all by plain values and reads from
the place itself; the partition is read some rows at a time, so that its size does not matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from hashlib import blake2b, sha256
from itertools import compress
from pathlib import Path
from typing import IO, Any, cast

from reasoning_cli.operations.data.archive.index import PartitionFile, damaged
from reasoning_cli.operations.data.archive.partition import whole_file
from reasoning_cli.operations.data.archive.place import open_place
from reasoning_cli.operations.data.export.batches import Facts, LineMaker, SideFacts
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.split import SIDES
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.store.samples.export_reader import TextRow

# Where it is noted what is done, until the manifest says it all.
PROGRESS = ".export"
_SHARD = re.compile(rf"(?:samples|{'|'.join(SIDES)})-\d{{5,}}-[0-9a-f]{{8}}\.jsonl")
_AT_ONCE_ROWS, _AT_ONCE_BYTES = 2000, 32_000_000
# A row of an export behind its number.
_COLUMNS = (
    *("created_at", "model_type", "label", "corrected", "decision", "system", "output", "prompt", "cut"),
    *("conversation", "metadata"),
)
# The pieces of each side, what became of the rows, and the numbers of those left out.
Rendered = Iterator[tuple[list[list[bytes]], Facts, list[int]]]


@dataclass(frozen=True)
class Part:
    """A partition file and what is chosen of it: a byte a row, 0 for none and else the side and 1."""

    place: str
    file: PartitionFile
    chosen: bytes


@dataclass(frozen=True)
class ShardJob:
    """What one worker renders at once. Plain values throughout."""

    number: int
    parts: tuple[Part, ...]
    rules: Rules
    sides: int
    out: str

    @property
    def digest(self) -> str:
        """What tells whether a shard that is there is this one."""
        rules = json.dumps(asdict(self.rules), sort_keys=True)
        digest = blake2b(f"{self.number} {self.sides} {rules}".encode(), digest_size=8)
        for part in self.parts:
            digest.update(f"{part.place} {part.file.sha256} ".encode() + part.chosen)
        return digest.hexdigest()


@dataclass(frozen=True)
class ShardFile:
    """A file of a shard: of which side, how many bytes, its hash."""

    path: str
    side: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """What became of a job: its files (none for a side without samples), and per partition the rows left out."""

    digest: str
    files: tuple[ShardFile, ...]
    facts: Facts
    skipped: tuple[tuple[int, ...], ...]

    def spelt(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, content: bytes) -> Shard:
        """What `spelt` gave; ValueError, LookupError or TypeError for anything else."""
        found = json.loads(content)
        files = tuple(ShardFile(**file) for file in found["files"])
        skipped = tuple(tuple(part) for part in found["skipped"])
        return cls(found["digest"], files, Facts.read(found["facts"]), skipped)


def shard_name(number: int, side: int, sides: int, digest: str) -> str:
    """The file of a side: `train-00012-9f86d081.jsonl`."""
    return f"{SIDES[side] if sides > 1 else 'samples'}-{number:05}-{digest[:8]}.jsonl"


def is_shard(name: str) -> bool:
    """Whether that is the name of a shard, and not one of somebody else's files (`train-mine.jsonl`)."""
    return _SHARD.fullmatch(name) is not None


def render_shard(job: ShardJob) -> Shard:
    """Render a job, put its files in place, and note that it is done."""
    maker = LineMaker(job.rules, job.sides)
    return write_shard(job.out, job.number, job.digest, job.sides, [_of_part(maker, part) for part in job.parts])


def write_shard(out: str, number: int, digest: str, sides: int, parts: Iterable[Rendered]) -> Shard:
    """Put what is rendered in place as the files of a shard, and note that it is done."""
    place = open_place(out)
    total = Facts([SideFacts() for _ in range(sides)])
    skipped: list[tuple[int, ...]] = []
    with place.spool() as spool, ExitStack() as stack:
        outs = [_Out(spool / f"{side}.jsonl", stack) for side in range(sides)]
        for part in parts:
            left_out: list[int] = []
            for pieces, facts, some in part:
                for file, mine in zip(outs, pieces, strict=True):
                    file.write(b"".join(mine))
                left_out += some
                total.add(facts)
            skipped.append(tuple(left_out))
        files = []
        for side, file in enumerate(outs):
            file.stream.close()
            if file.size:
                name = shard_name(number, side, sides, digest)
                place.take(file.path, name)
                files.append(ShardFile(name, side, file.size, file.hash.hexdigest()))
    shard = Shard(digest, tuple(files), total, tuple(skipped))
    place.write(progress_name(number), shard.spelt())
    return shard


def progress_name(number: int) -> str:
    """Where it is noted that a shard is done."""
    return f"{PROGRESS}/{number:05}.json"


class _Out:
    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self.size, self.hash = path, 0, sha256()
        self.stream: IO[bytes] = stack.enter_context(path.open("wb"))
        path.chmod(0o600)

    def write(self, content: bytes) -> None:
        self.stream.write(content)
        self.hash.update(content)
        self.size += len(content)


def _of_part(maker: LineMaker, part: Part) -> Rendered:
    pyarrow, _ = pyarrow_of()
    try:
        for rows, places, to in _chosen(part):
            pieces, facts = maker.render_rows(rows, None, places, to)
            yield pieces, facts, [places[skipped] for skipped in facts.skipped]
    except (pyarrow.ArrowException, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        place, why = open_place(part.place), f"holds a row that is none of ours: {error}"
        raise damaged(place, part.file, why) from error


def _chosen(part: Part) -> Iterator[tuple[list[TextRow], Sequence[int], bytes]]:
    """The chosen rows of a file some at a time, with their places in it and the side each goes to."""
    pyarrow, parquet = pyarrow_of()
    with whole_file(open_place(part.place), part.file) as path, parquet.ParquetFile(path, pre_buffer=False) as file:
        named = [name for name in _COLUMNS if name in file.schema_arrow.names]
        first = 0
        for batch in file.iter_batches(_at_once(file), columns=named, use_threads=False):
            chosen = part.chosen[first : first + batch.num_rows]
            places = list(compress(range(batch.num_rows), chosen))
            if places:
                taken = batch if len(places) == batch.num_rows else batch.take(pyarrow.array(places))
                to = bytes(chosen[place] - 1 for place in places)
                yield _rows(pyarrow, taken), [first + place for place in places], to
            first += batch.num_rows


def _at_once(file: Any) -> int:
    """How many rows are read at once: as many as stay below some megabytes."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    longest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1)
    return max(16, min(_AT_ONCE_ROWS, int(_AT_ONCE_BYTES / max(1, longest))))


def _rows(pyarrow: Any, batch: Any) -> list[TextRow]:
    """A batch as rows of an export: the prompt as bytes, metadata of coding alone."""
    columns: dict[str, list[Any]] = {name: [None] * batch.num_rows for name in _COLUMNS}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name == "prompt":
            column = column.cast(pyarrow.binary())
        elif name == "created_at":
            column = column.cast(pyarrow.int64())
        columns[name] = column.to_pylist()
    columns["metadata"] = [
        text if kind == "coding" else None
        for text, kind in zip(columns["metadata"], columns["model_type"], strict=True)
    ]
    numbers = range(batch.num_rows)
    return [cast(TextRow, row) for row in zip(numbers, *(columns[name] for name in _COLUMNS), strict=True)]
