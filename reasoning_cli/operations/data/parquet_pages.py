"""Parquet that may be anybody's, read in memory that does not grow with what the file claims to hold.

Packed pages, and strings that stand in a file once and are meant a million times, make a gigabyte of some kilobytes.
So each page is looked at before anything is unpacked: Parquet says there how long it will be, and pyarrow makes room
for that much and no more. Strings stay the one in the dictionary that they are in the file until a few rows are made.
"""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasoning_cli.errors import ReasoningError

# What the pages of one row may take unpacked; a prompt is at most 64 MB. As many rows are read at once as stay below
# the second, and are made into as many values as stay below the third.
MOST_BYTES = 192_000_000
_AT_ONCE_BYTES = 48_000_000
_GIVEN_BYTES = 16_000_000
_AT_ONCE_ROWS = 2048
# What an entry of a dictionary takes beside its characters, or one of a list beside what is in the page for it.
_ENTRY_BYTES = 24
_FOOTER_BYTES = 16_000_000
_FOOTER_ITEMS = 200_000

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_HEADERS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}


class PageError(ValueError):
    """The file is not Parquet, or none that can be read in bounded memory."""


@dataclass(frozen=True)
class Written:
    """What a file may be written with: how it is packed, and by which encodings."""

    packers: frozenset[str]
    encodings: frozenset[int]


# PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY are all that our archives have. Others may also have differences of
# numbers and split bytes, but not DELTA_BYTE_ARRAY (7): where each value is spelt by the one before it, a megabyte is a
# bit.
OURS = Written(frozenset({"ZSTD", "UNCOMPRESSED"}), frozenset({0, 2, 3, 8}))
ANY = Written(frozenset({"ZSTD", "UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "LZ4"}), OURS.encodings | {4, 5, 6, 9})


@dataclass(frozen=True)
class PagedFile:
    """An open file: what it says of its columns, how many rows there are, and the rows themselves."""

    schema: Any
    count: int
    _file: Any
    _groups: list[int]

    def rows(self, columns: list[str] | None = None, *, moments_as_ms: bool = False) -> Iterator[list[dict[str, Any]]]:
        """The rows, some at a time; of all columns, or of some. Timestamps in milliseconds may come as these, so that
        they need not be in the years that Python knows."""
        for number, at_once in enumerate(self._groups):
            options = {"row_groups": [number], "columns": columns, "use_threads": False}
            for batch in self._file.iter_batches(at_once, **options):
                yield from _parts(_with_ms(batch) if moments_as_ms else batch)


def pyarrow_of(what: str = "an archive") -> tuple[Any, Any]:
    """The library and its part for Parquet."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ReasoningError(
            f"{what} needs pyarrow, which is not installed", "`pip install 'reasoning[parquet]'`"
        ) from None
    return pyarrow, parquet


@contextmanager
def opened(path: Path, written: Written) -> Iterator[PagedFile]:
    """The file, if all its pages are such as may be read; raises PageError, then and while its rows are read."""
    pyarrow, parquet = pyarrow_of()
    limits = {"thrift_string_size_limit": _FOOTER_BYTES, "thrift_container_size_limit": _FOOTER_ITEMS}
    # Parts of the file are read as they are needed, not whole groups in advance.
    sparing = {"pre_buffer": False, "buffer_size": 1 << 20}
    try:
        with parquet.ParquetFile(path, **limits) as file:
            leaves = [file.schema.column(number) for number in range(file.metadata.num_columns)]
            groups = _groups(path, file.metadata, [leaf.max_repetition_level > 0 for leaf in leaves], written)
            texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        with parquet.ParquetFile(path, read_dictionary=texts, **limits, **sparing) as file:
            # The schema as it stands there: that of the second file names dictionaries.
            schema = parquet.read_schema(path)
            yield PagedFile(schema, file.metadata.num_rows, file, groups)
    except PageError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, IndexError) as error:
        raise PageError(str(error)) from error


def _groups(path: Path, metadata: Any, nested: list[bool], written: Written) -> list[int]:
    """How many rows of each group to read at once, so that the pages they stand in take bounded memory."""
    groups = []
    with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            chunks = [
                _chunk(content, group.column(column), written, group.num_rows if lists else None)
                for column, lists in enumerate(nested)
            ]
            at_once = _AT_ONCE_ROWS
            while at_once > 1 and _most(chunks, group.num_rows, at_once) > _AT_ONCE_BYTES:
                at_once //= 2
            if at_once == 1 and (most := _most(chunks, group.num_rows, at_once)) > MOST_BYTES:
                raise PageError(
                    f"it would take {most / 1e6:,.0f} MB of memory to read a row of it, and {MOST_BYTES / 1e6:,.0f} MB"
                    " is the most"
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


def _chunk(content: mmap.mmap, column: Any, written: Written, rows: int | None) -> _Chunk:
    """The pages of a column as their own headers tell them, which is what pyarrow goes by.

    Of a column of lists, in so many `rows`, pages do not tell how long each is: they are taken to be equally long.
    """
    if column.file_path or column.compression not in written.packers:
        raise PageError(f"packed with {column.compression}")
    at = column.data_page_offset
    if column.dictionary_page_offset and 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    end = at + column.total_compressed_size
    if not 0 < at <= end <= len(content):
        raise PageError("a column stands outside of the file")
    dictionary, sums = 0, [0]
    ends: list[int] = []
    while at < end:
        header, at = _Thrift(content, at).struct()
        unpacked, packed = _number(header, 2), _number(header, 3)
        about = header.get(_HEADERS.get(_number(header, 1), 0))
        if not isinstance(about, dict) or at + packed > end:
            raise PageError("a page of no kind that is known")
        values, version_2 = _number(about, 1), _number(header, 1) == _DATA_V2
        if _number(about, 4 if version_2 else 2) not in written.encodings:
            raise PageError("a page is written in a way ours never are")
        if _number(header, 1) == _DICTIONARY:
            dictionary += unpacked + _ENTRY_BYTES * values
        else:
            ends.append((ends[-1] if ends else 0) + values)
            sums.append(sums[-1] + unpacked + (0 if rows is None else _ENTRY_BYTES * values))
        at += packed
    if rows is not None and ends:
        ends = [end * rows // max(1, ends[-1]) for end in ends]
    return _Chunk(dictionary, ends, sums)


def _number(struct: dict[int, object], field: int) -> int:
    value = struct.get(field)
    if not isinstance(value, int) or value < 0:
        raise PageError("a page does not say what is in it")
    return value


class _Thrift:
    """The header of a page: Thrift's compact protocol, so far as it is in use there."""

    _DEEPEST = 8

    def __init__(self, content: mmap.mmap, at: int) -> None:
        self._content, self._at = content, at

    def struct(self, depth: int = 0) -> tuple[dict[int, object], int]:
        """The fields by their numbers, and where the struct ends."""
        if depth > self._DEEPEST:
            raise PageError("nested too deeply")
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
                raise PageError("a page with a header of no known form")
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
                raise PageError("a number without end")
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)


def _with_ms(batch: Any) -> Any:
    pyarrow, _ = pyarrow_of()
    columns = [
        column.cast(pyarrow.int64()) if pyarrow.types.is_timestamp(column.type) else column for column in batch.columns
    ]
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _parts(batch: Any) -> Iterator[list[dict[str, Any]]]:
    """The rows of a batch as values, so many at a time as have a bounded number of bytes."""
    size = sum(_bytes_of(column) for column in batch.columns)
    if size > _GIVEN_BYTES and batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _parts(batch.slice(0, half))
        yield from _parts(batch.slice(half))
        return
    if size > MOST_BYTES:
        raise PageError(f"a row of it has {size / 1e6:,.0f} MB")
    yield _values(batch)


def _bytes_of(column: Any) -> int:
    """How long all texts in a column are, each as often as it is meant, and what else is in there."""
    pyarrow, _ = pyarrow_of()
    from pyarrow import compute

    types = pyarrow.types
    if types.is_dictionary(column.type):
        lengths = compute.binary_length(column.dictionary).take(column.indices)
        return int(compute.sum(lengths).as_py() or 0)
    if types.is_struct(column.type):
        return sum(_bytes_of(value) for value in column.flatten())
    if types.is_list(column.type) or types.is_large_list(column.type):
        return _bytes_of(column.flatten()) + 8 * len(column)
    return int(column.nbytes)


def _values(batch: Any) -> list[dict[str, Any]]:
    pyarrow, _ = pyarrow_of()
    columns = [
        column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column for column in batch.columns
    ]
    rows: list[dict[str, Any]] = pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return rows
