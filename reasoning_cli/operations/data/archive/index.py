"""What an archive holds, and in which files: one JSON file, written last, so that what it names is there and whole.

A partition is the decisions of a type and a day (UTC), in files that no sample stands in twice. A file that the index
does not name belongs to nobody: a run that was cut off left it, or one that was rewritten stood there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

from reasoning_cli.errors import DataError, NotFoundError, UsageError
from reasoning_cli.operations.data.archive.place import Place
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.rewrite import log_salt
from reasoning_cli.values import MODEL_TYPES

INDEX = "index.json"
_FORMAT = "reasoning archive"
VERSION = 1
_OURS = re.compile(r"type=\w+/day=\d{4}-\d{2}-\d{2}/[0-9a-f]{20}\.parquet")


@dataclass(frozen=True, order=True)
class PartitionFile:
    """A file of the archive: of which type and day (`2026-11-21`, UTC), how many rows, and its hash. Times of the first
    and the last row in milliseconds."""

    day: str
    model_type: str
    oldest: int
    newest: int
    path: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The files of an archive in the order of their days. `log` tells the training log whose samples they are, by a
    hash; `columns` are those of the files with SQLite's types, which later versions only add to."""

    realm: str
    log: str
    columns: Mapping[str, str]
    files: tuple[PartitionFile, ...] = ()

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def of(self, model_type: str, day: str) -> tuple[PartitionFile, ...]:
        """The files of a partition."""
        return tuple(file for file in self.files if (file.model_type, file.day) == (model_type, day))

    def with_partition(self, model_type: str, day: str, files: Iterable[PartitionFile]) -> Index:
        """The index with other files for a partition."""
        others = [file for file in self.files if (file.model_type, file.day) != (model_type, day)]
        return replace(self, files=tuple(sorted([*others, *files])))

    def days(self) -> Iterator[tuple[str, list[PartitionFile]]]:
        """The files by day, oldest first."""
        by_day: dict[str, list[PartitionFile]] = {}
        for file in self.files:
            by_day.setdefault(file.day, []).append(file)
        yield from sorted(by_day.items())

    def spelt(self) -> bytes:
        """As it is stored."""
        partitions = [asdict(file) for file in self.files]
        about = {"format": _FORMAT, "version": VERSION, "realm": self.realm, "log": self.log, "rows": self.rows}
        return json.dumps({**about, "columns": dict(self.columns), "partitions": partitions}, indent=1).encode() + b"\n"


def read_index(place: Place, realm: str) -> Index | None:
    """The index at a place, None where there is none. DataError for one that is not ours, or of the other realm."""
    content = place.read(INDEX)
    if content is None:
        return None
    try:
        found: dict[str, Any] = json.loads(content)
        if found["format"] != _FORMAT:
            raise ValueError("it is none of ours")
        if found["version"] > VERSION:
            raise DataError(
                f"the archive in `{place.address}` was written by a newer `reasoning`",
                "upgrade this one with `pip install --upgrade reasoning`",
            )
        files = tuple(sorted(map(_file, found["partitions"])))
        index = Index(str(found["realm"]), str(found["log"]), {**found["columns"]}, files)
        if found["rows"] != index.rows or len({file.path for file in files}) != len(files):
            raise ValueError("its rows do not add up")
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise DataError(
            f"the index of the archive in `{place.address}` is damaged: {error}",
            f"put `{INDEX}` back from a copy; the partitions beside it are as they were",
        ) from error
    if index.realm != realm:
        raise DataError(
            f"`{place.address}` holds {index.realm} data of ours, not {realm} data; the two never mix",
            "give what `reasoning data archive` wrote",
        )
    return index


def need_index(place: Place, realm: str) -> Index:
    """The index at a place. NotFoundError where there is none."""
    index = read_index(place, realm)
    if index is None:
        raise NotFoundError(
            f"`{place.address}` holds no archive",
            f"`reasoning data archive --older-than 90 -o {place.address}` makes one, or adds an index to earlier files",
        )
    return index


def write_index(place: Place, before: Index | None, index: Index) -> None:
    """Put the index in place and read it back. DataError where it is no longer the one that was read before."""
    if (place.read(INDEX) or b"") != (before.spelt() if before is not None else b""):
        raise DataError(f"somebody else is writing to `{place.address}`", "wait for it, and run the command again")
    content = index.spelt()
    place.write(INDEX, content)
    if place.read(INDEX) != content:
        raise DataError(f"the index in `{place.address}` does not read back as it was written", "nothing was deleted")


def checked(place: Place, files: Iterable[PartitionFile]) -> None:
    """Raise DataError for the first of these files that is not there whole, by its size."""
    sizes = place.sizes()
    for file in files:
        if (found := sizes.get(file.path)) != file.size_bytes:
            raise damaged(
                place, file, "is missing" if found is None else f"has {found:,} bytes, not {file.size_bytes:,}"
            )


def damaged(place: Place, file: PartitionFile, how: str) -> DataError:
    """The error for a file that is not as the index says."""
    return DataError(
        f"the partition `{file.path}` of `{place.address}` {how}",
        "it is torn, or was edited: put it back from a copy; nothing was read from it",
    )


def log_of(store: Store) -> str:
    """What tells this training log from others, and gives nothing of it away."""
    return blake2b(b"archive", key=log_salt(store), digest_size=12).hexdigest()


def is_ours(path: str) -> bool:
    """Whether that is the name of a partition's file."""
    return _OURS.fullmatch(path) is not None


def check_log(place: Place, index: Index, store: Store) -> None:
    """Raise UsageError for the archive of another training log."""
    if index.log != log_of(store):
        raise UsageError(
            f"`{place.address}` is the archive of another training log", "name another folder: one log, one archive"
        )


def day_bounds(day: str) -> tuple[datetime, datetime]:
    """The first moment of a day, and the first after it."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return begin, begin + timedelta(days=1)


def _file(record: dict[str, Any]) -> PartitionFile:
    file = PartitionFile(**record)
    numbers = (file.rows, file.size_bytes, file.oldest, file.newest)
    if file.model_type not in MODEL_TYPES or not all(type(number) is int for number in numbers) or file.rows < 1:
        raise ValueError(f"`{file.path}` is described in a way nobody here knows")
    if not all(isinstance(text, str) for text in (file.path, file.day, file.sha256)):
        raise ValueError("the name, the day or the hash of a partition is not a text")
    # A name of ours and no other: of what an index names, files are read, and deleted when they are written anew.
    is_named = is_ours(file.path) and file.path.startswith(f"type={file.model_type}/day={file.day}/")
    if not is_named or file.oldest > file.newest:
        raise ValueError(f"`{file.path}` cannot be the name of a partition")
    if date.fromisoformat(file.day).isoformat() != file.day:
        raise ValueError(f"`{file.day}` is not spelt as a day")
    day_bounds(file.day)
    return file
