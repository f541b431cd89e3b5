"""Reading an archive that may be anybody's, in memory that does not grow with what the file claims to hold.

Packed pages, and strings that stand in a file once and are meant a million times, make a gigabyte of some kilobytes.
So each page is looked at before anything is unpacked: Parquet says there how long it will be, and pyarrow makes room
for that much and no more. Strings stay the one in the dictionary that they are in the file until a few rows are made.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasoning_cli.errors import DataError, ReasoningError

REALM = b"reasoning.realm"
HINT = "give what `reasoning data archive` wrote"

# What the pages of one row may take unpacked; a prompt is at most 64 MB. As many rows are read at once as stay below
# the second, and are made into as many values as stay below the third.
MOST_BYTES = 192_000_000
_AT_ONCE_BYTES = 48_000_000
_GIVEN_BYTES = 16_000_000
_AT_ONCE_ROWS = 2048
# An entry of a dictionary takes so much beside its characters, a page as good as nothing.
_ENTRY_BYTES = 24
_FOOTER_BYTES = 16_000_000
_FOOTER_ITEMS = 200_000

# All that our archives are written with. Others can spell a value by the one before it, a megabyte in a bit.
_ENCODINGS = {0, 2, 3, 8}  # PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_HEADERS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}


def read_rows(path: Path, columns: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file, some at a time. `columns` are those that may stand in it, with SQLite's types."""
    pyarrow, _ = pyarrow_of()
    with _opened(path, columns) as (file, groups):
        for number, at_once in enumerate(groups):
            for batch in file.iter_batches(at_once, row_groups=[number], use_threads=False):
                yield from _parts(pyarrow, batch)


def check_file(path: Path, columns: Mapping[str, str], realm: str) -> None:
    """Raise DataError for a file that is no archive of this realm, or cannot be read in bounded memory."""
    with _opened(path, columns) as (file, _):
        held = (file.schema_arrow.metadata or {}).get(REALM, b"").decode("utf-8", "replace")
    if held != realm:
        raise DataError(f"`{path}` holds {held or 'no'} data of ours, not {realm} data; the two never mix", HINT)


def pyarrow_of() -> tuple[Any, Any]:
    """The library and its part for Parquet."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ReasoningError(
            "an archive needs pyarrow, which is not installed", "`pip install 'reasoning[parquet]'`"
        ) from None
    return pyarrow, parquet


def types_of(columns: Mapping[str, str]) -> dict[str, Any]:
    """The columns with their types in a file."""
    pyarrow, _ = pyarrow_of()
    types = {"INTEGER": pyarrow.int64(), "REAL": pyarrow.float64(), "BLOB": pyarrow.binary()}
    return {name: types.get(kind, pyarrow.string()) for name, kind in columns.items()}


@contextmanager
def _opened(path: Path, columns: Mapping[str, str]) -> Iterator[tuple[Any, list[int]]]:
    """The file, and how many rows of each of its groups are read at once."""
    pyarrow, parquet = pyarrow_of()
    limits = {"thrift_string_size_limit": _FOOTER_BYTES, "thrift_container_size_limit": _FOOTER_ITEMS}
    # Parts of the file are read as they are needed, not whole groups in advance.
    sparing = {"pre_buffer": False, "buffer_size": 1 << 20}
    try:
        with parquet.ParquetFile(path, **limits) as file:
            texts = _texts(pyarrow, path, file, columns)
            groups = _groups(path, file.metadata)
        with parquet.ParquetFile(path, read_dictionary=texts, **limits, **sparing) as file:
            yield file, groups
    except (pyarrow.ArrowException, OSError, ValueError, IndexError) as error:
        raise DataError(f"`{path}` cannot be read as an archive: {error}", HINT) from None


def _texts(pyarrow: Any, path: Path, file: Any, columns: Mapping[str, str]) -> list[str]:
    """The columns that hold text, where all columns are such as ours."""
    schema = file.schema_arrow
    unknown = sorted(set(schema.names) - set(columns))
    if unknown:
        raise DataError(
            f"`{path}` holds columns this database does not know: {', '.join(unknown[:5])}",
            "it was written by a newer `reasoning`: upgrade it with `pip install --upgrade reasoning`",
        )
    types = types_of(columns)
    for field in schema:
        if field.type != types[field.name]:
            raise ValueError(f"`{field.name}` is {field.type}, not {types[field.name]}")
    if file.metadata.num_columns != len(set(schema.names)) or len(schema.names) != len(set(schema.names)):
        raise ValueError("a column stands there twice")
    return [field.name for field in schema if field.type in (pyarrow.string(), pyarrow.binary())]


def _groups(path: Path, metadata: Any) -> list[int]:
    """How many rows of each group to read at once, so that the pages they stand in take bounded memory."""
    groups = []
    with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            chunks = [_chunk(content, group.column(column)) for column in range(group.num_columns)]
            at_once = _AT_ONCE_ROWS
            while at_once > 1 and _most(chunks, group.num_rows, at_once) > _AT_ONCE_BYTES:
                at_once //= 2
            if (most := _most(chunks, group.num_rows, at_once)) > max(MOST_BYTES, _AT_ONCE_BYTES):
                raise DataError(
                    f"`{path}` would take {most / 1e6:,.0f} MB of memory to read a row of it,"
                    f" and {MOST_BYTES / 1e6:,.0f} MB is the most",
                    f"it is none of ours: {HINT}",
                )
            groups.append(at_once)
    return groups


@dataclass(frozen=True)
class _Chunk:
    """The pages of one column: what its dictionary takes, behind which value each page ends, and its bytes so far."""

    dictionary: int
    ends: list[int]
    sums: list[int]

    def bytes_of(self, first: int, last: int) -> int:
        """What the pages take in which the values from `first` to `last` stand."""
        begin, end = bisect_right(self.ends, first), bisect_right(self.ends, last)
        return self.dictionary + self.sums[min(end + 1, len(self.sums) - 1)] - self.sums[min(begin, len(self.sums) - 1)]


def _most(chunks: list[_Chunk], rows: int, at_once: int) -> int:
    """The most that any so many rows take. Between two ends of pages nothing changes, so few places are looked at."""
    firsts = {0} | {end // at_once * at_once for chunk in chunks for end in chunk.ends if end < rows}
    return max(sum(chunk.bytes_of(first, first + at_once - 1) for chunk in chunks) for first in firsts)


def _chunk(content: mmap.mmap, column: Any) -> _Chunk:
    """The pages of a column as their own headers tell them, which is what pyarrow goes by. Raises ValueError."""
    if column.file_path or column.compression not in ("ZSTD", "UNCOMPRESSED"):
        raise ValueError(f"packed with {column.compression}")
    at = column.data_page_offset
    if column.dictionary_page_offset and 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    end = at + column.total_compressed_size
    if not 0 < at <= end <= len(content):
        raise ValueError("a column stands outside of the file")
    dictionary, sums = 0, [0]
    ends: list[int] = []
    while at < end:
        header, at = _Thrift(content, at).struct()
        unpacked, packed = _number(header, 2), _number(header, 3)
        about = header.get(_HEADERS.get(_number(header, 1), 0))
        if not isinstance(about, dict) or at + packed > end:
            raise ValueError("a page of no kind that is known")
        values, version_2 = _number(about, 1), _number(header, 1) == _DATA_V2
        if _number(about, 4 if version_2 else 2) not in _ENCODINGS:
            raise ValueError("a page is written in a way ours never are")
        if _number(header, 1) == _DICTIONARY:
            dictionary += unpacked + _ENTRY_BYTES * values
        else:
            ends.append((ends[-1] if ends else 0) + values)
            sums.append(sums[-1] + unpacked)
        at += packed
    return _Chunk(dictionary, ends, sums)


def _number(struct: dict[int, object], field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or value < 0:
        raise ValueError("a page does not say what is in it")
    return value


class _Thrift:
    """The header of a page: Thrift's compact protocol, so far as it is in use there."""

    _DEEPEST = 8

    def __init__(self, content: mmap.mmap, at: int) -> None:
        self._content, self._at = content, at

    def struct(self, depth: int = 0) -> tuple[dict[int, object], int]:
        """The fields by their numbers, and where the struct ends."""
        if depth > self._DEEPEST:
            raise ValueError("nested too deeply")
        fields: dict[int, object] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            fields[field] = self._value(head & 15, depth)
        return fields, self._at

    def _value(self, kind: int, depth: int) -> object:
        match kind:
            case 1 | 2:  # true and false stand in the kind itself
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                self._at += 8
            case 8:
                length = self._unsigned()
                self._at += length
            case 12:
                return self.struct(depth + 1)[0]
            case _:
                raise ValueError("a page with a header of no known form")
        return None

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number without end")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)


def _parts(pyarrow: Any, batch: Any) -> Iterator[list[dict[str, Any]]]:
    """The rows of a batch as values, so many at a time as have a bounded number of bytes."""
    first = size = 0
    for number, length in enumerate(_row_bytes(pyarrow, batch)):
        if size and size + length > _GIVEN_BYTES:
            yield _values(pyarrow, batch.slice(first, number - first))
            first, size = number, 0
        size += length
    if batch.num_rows > first:
        yield _values(pyarrow, batch.slice(first))


def _row_bytes(pyarrow: Any, batch: Any) -> list[int]:
    """How long the texts of each row are."""
    from pyarrow import compute

    total = pyarrow.repeat(pyarrow.scalar(0, pyarrow.int64()), batch.num_rows)
    for column in batch.columns:
        if pyarrow.types.is_dictionary(column.type):
            lengths = compute.binary_length(column.dictionary).take(column.indices)
            total = compute.add(total, compute.fill_null(lengths, 0))
    lengths_of: list[int] = total.to_pylist()
    return lengths_of


def _values(pyarrow: Any, batch: Any) -> list[dict[str, Any]]:
    columns = [
        column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column for column in batch.columns
    ]
    rows: list[dict[str, Any]] = pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return rows
