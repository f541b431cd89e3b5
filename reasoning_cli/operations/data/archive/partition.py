"""One partition: its rows into files and back, each file hashed, and read back before anybody counts on it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from reasoning_cli.errors import DataError
from reasoning_cli.operations.data.archive.index import PartitionFile, damaged
from reasoning_cli.operations.data.archive.place import Place, hash_of_file
from reasoning_cli.operations.data.archive.reader import REALM, read_rows, types_of
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.store.samples.full_rows import WholeRow, hash_of

# A group of rows is what is held in memory while it is written; a file is what one process works on at a time.
_GROUP_ROWS, _GROUP_BYTES = 20_000, 48_000_000
_FILE_ROWS, _FILE_BYTES = 200_000, 1_000_000_000
LONG = ("system", "prompt", "output", "corrected", "conversation", "metadata")


def write_partition(
    place: Place, spool: Path, named: tuple[str, str], rows: Iterator[WholeRow], columns: Mapping[str, str], realm: str
) -> Iterator[PartitionFile]:
    """Write the rows of a type and a day, in the order of their times, as files; yields each when it is in place and
    was read back. No rows, no file."""
    model_type, day = named
    number, left = 0, rows
    while (first := next(left, None)) is not None:
        number += 1
        path = spool / f"{model_type}-{day}-{number}.parquet"
        try:
            hashes, oldest, newest = write_file(path, chain([first], left), columns, realm)
        except OSError as error:
            raise DataError(f"cannot write `{path}`: {error.strerror or error}", "nothing was deleted") from error
        if [hash_of(row) for part in read_rows(path, columns) for row in part] != hashes:
            raise DataError(f"`{path}` does not read back as it was written", "nothing was deleted; try another disk")
        sha256, size = hash_of_file(path), path.stat().st_size
        name = f"type={model_type}/day={day}/{sha256[:20]}.parquet"
        place.take(path, name)
        file = PartitionFile(day, model_type, oldest, newest, name, len(hashes), size, sha256)
        if place.sha256(name) != sha256:
            raise damaged(place, file, "does not read back as it was written")
        yield file


def write_file(
    path: Path, rows: Iterator[WholeRow], columns: Mapping[str, str], realm: str
) -> tuple[list[bytes], int, int]:
    """Write as many of the rows as go into one file; their hashes, and the times of the first and the last."""
    pyarrow, parquet = pyarrow_of()
    schema = pyarrow.schema(list(types_of(columns).items()), metadata={REALM: realm.encode()})
    hashes: list[bytes] = []
    size, times = 0, list[int]()
    writer_options = {"compression": "zstd", "use_dictionary": [name for name in columns if name not in LONG]}
    with path.open("wb") as file, parquet.ParquetWriter(file, schema, **writer_options) as writer:
        path.chmod(0o600)
        while len(hashes) < _FILE_ROWS and size < _FILE_BYTES:
            group, group_bytes = list[WholeRow](), 0
            for row in islice(rows, min(_GROUP_ROWS, _FILE_ROWS - len(hashes))):
                group.append(row)
                group_bytes += sum(len(text) for name in LONG if isinstance(text := row[name], str))
                if group_bytes >= _GROUP_BYTES:
                    break
            if not group:
                break
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
            hashes += map(hash_of, group)
            times += [int(group[place]["created_at"] or 0) for place in (0, -1)]
            size += group_bytes
    return hashes, times[0], times[-1]


def partition_rows(place: Place, files: Iterable[PartitionFile], columns: Mapping[str, str]) -> Iterator[WholeRow]:
    """The rows of these files in their order. DataError for a file that is not as its index says."""
    for file in files:
        with whole_file(place, file) as path:
            for part in read_rows(path, columns):
                # Of a column that came later, an earlier file says nothing.
                yield from ({name: row.get(name) for name in columns} for row in part)


def whole_file(place: Place, file: PartitionFile) -> Any:
    """The file as a path of this machine, for the time of a `with`, if it is what the index says."""
    return _Whole(place, file)


class _Whole:
    def __init__(self, place: Place, file: PartitionFile) -> None:
        self._place, self._file = place, file
        self._local = place.local(file.path)

    def __enter__(self) -> Path:
        try:
            path: Path = self._local.__enter__()
        except FileNotFoundError:
            raise damaged(self._place, self._file, "is missing") from None
        try:
            if not path.is_file():
                raise damaged(self._place, self._file, "is missing")
            if hash_of_file(path) != self._file.sha256:
                raise damaged(self._place, self._file, "is not what the index says")
        except BaseException:
            self._local.__exit__(None, None, None)
            raise
        return path

    def __exit__(self, *problem: Any) -> None:
        self._local.__exit__(*problem)


def merged(*sorted_rows: Iterator[WholeRow]) -> Iterator[WholeRow]:
    """Rows of several sources, each in the order of its times, in one order."""
    return heapq.merge(*sorted_rows, key=_order)


def _order(row: WholeRow) -> tuple[Any, Any]:
    return row["created_at"], row["seq"]
