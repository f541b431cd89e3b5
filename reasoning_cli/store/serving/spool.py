"""Decisions that wait on this machine for a store that cannot be written now, in their order.

One file for all who record beside it. What was written into the store and could not be taken out here comes again: the
store knows each decision by its id.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from reasoning_cli.paths import make_private_dir
from reasoning_cli.store.database import family
from reasoning_cli.store.locks import hold_file
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.store.serving.attempts import AttemptRecord
from reasoning_cli.store.timestamps import from_ms, to_ms

# A decision, and what models answered beside it that the agent did not get.
Recording = tuple[Sample, Sequence[AttemptRecord]]

_log = logging.getLogger(__name__)
_BUSY_SECONDS = 5.0
_MAKE = """
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
CREATE TABLE IF NOT EXISTS decisions(number INTEGER PRIMARY KEY, at INTEGER NOT NULL, record BLOB NOT NULL);
"""


@dataclass(frozen=True)
class Waiting:
    """How many decisions wait, how many bytes of disk they take, and since when the first of them does."""

    count: int = 0
    size_bytes: int = 0
    since: datetime | None = None


def spool_of(database: Path, most_bytes: int = 0) -> Spool:
    """The spool that lies beside the database of a run, or where that would be."""
    return Spool(database.with_name(f"{database.name}.spool"), most_bytes)


class Spool:
    """The file at `path`, made when something is first put in. It takes up to `most_bytes`; none at all where that is
    0, but gives out what it has. For several threads."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path, self._most_bytes = path, most_bytes
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def append(self, records: Sequence[bytes]) -> bool:
        """Put records behind the others, all or none; False where they do not fit, or the disk does not take them."""
        if self._most_bytes == 0:
            return False
        with self._lock:
            try:
                connection = self._opened()
                if _used_bytes(connection) + sum(map(len, records)) > self._most_bytes:
                    return False
                now = to_ms(datetime.now(UTC))
                with connection:
                    rows = [(now, record) for record in records]
                    connection.executemany("INSERT INTO decisions(at, record) VALUES (?, ?)", rows)
                return True
            except (sqlite3.Error, OSError) as error:
                _log.warning("%s cannot be written: %s", self.path, error)
                return False

    def oldest(self, count: int, most_bytes: int) -> list[tuple[int, bytes]]:
        """The first records with their numbers, as many as are wanted at once."""
        found: list[tuple[int, bytes]] = []
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            if self._connection is None and not self.path.exists():
                return []
            size = 0
            query = "SELECT number, record FROM decisions ORDER BY number LIMIT ?"
            try:
                with contextlib.closing(self._opened().execute(query, (count,))) as rows:
                    for number, record in rows:
                        found.append((number, record))
                        size += len(record)
                        if size >= most_bytes:
                            break
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) or found:
                    raise  # busy, or the disk; or what stands before the damage goes first
                self._salvage(error)
        return found

    def remove(self, last: int) -> bool:
        """Take out all up to that number; their place is written over, and with nothing left given back. False where
        that cannot be done now."""
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            connection = self._opened()
            try:
                with connection:
                    connection.execute("DELETE FROM decisions WHERE number <= ?", (last,))
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._salvage(error, last)
                return True
            if not _waiting(connection).count:
                connection.executescript("PRAGMA incremental_vacuum")  # only so it steps to the end
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return True
        return False

    def waiting(self) -> Waiting:
        """What waits here. Makes no file, and takes one that cannot be read for empty."""
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            if self._connection is not None or self.path.exists():
                return _waiting(self._opened())
        return Waiting()

    def problem(self) -> str | None:
        """Why what waits here cannot be read, None where it can or there is nothing. Makes no file."""
        with self._lock:
            try:
                if self._connection is not None or self.path.exists():
                    _waiting(self._opened())
            except (sqlite3.Error, OSError) as error:
                return str(error)
        return None

    @contextlib.contextmanager
    def draining(self) -> Iterator[bool]:
        """Whether it may be emptied now: False while another process does."""
        with hold_file(self.path.with_name(f"{self.path.name}.lock")) as hold:
            yield hold is not None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            make_private_dir(self.path.parent)
            try:
                self._connection = _open(self.path)
            except sqlite3.OperationalError:
                raise  # busy, or the disk: it is what it was
            except sqlite3.DatabaseError as error:
                self._move_aside(error)
                self._connection = _open(self.path)
        return self._connection

    def _salvage(self, error: sqlite3.DatabaseError, after: int = -1) -> None:
        """Go on in a new file with what can still be read before and behind damage: all would wait for ever."""
        connection, left = self._opened(), dict[int, tuple[int, bytes]]()
        for order in ("ASC", "DESC"):
            query = f"SELECT number, at, record FROM decisions WHERE number > ? ORDER BY number {order}"
            with contextlib.suppress(sqlite3.Error), contextlib.closing(connection.execute(query, (after,))) as rows:
                left.update((number, (at, record)) for number, at, record in rows)
        self.close()
        self._move_aside(error)
        with (made := self._opened()):
            entries = [(number, *entry) for number, entry in sorted(left.items())]
            made.executemany("INSERT INTO decisions(number, at, record) VALUES (?, ?, ?)", entries)

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        """Keep a damaged file under a name that is free, and what belongs to it: its log is nothing for another."""
        aside, number = self.path.with_name(f"{self.path.name}.bad"), 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.bad{number}")
        _log.warning("%s is damaged (%s) and was moved to %s", self.path, error, aside)
        for file, name in zip(family(self.path), family(aside), strict=True):
            with contextlib.suppress(FileNotFoundError):
                file.replace(name)


def _open(path: Path) -> sqlite3.Connection:
    # Of a pipe, opening alone would wait for somebody at its other end.
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, and not a file")
        if found.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)  # there are prompts in it
    finally:
        os.close(descriptor)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        connection.executescript(_MAKE)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _used_bytes(connection: sqlite3.Connection) -> int:
    numbers = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return int(next(numbers) - next(numbers)) * int(connection.execute("PRAGMA page_size").fetchone()[0])


def _waiting(connection: sqlite3.Connection) -> Waiting:
    # They go from the front alone, so that no row has to be counted.
    first = connection.execute("SELECT number, at FROM decisions ORDER BY number LIMIT 1").fetchone()
    if first is None:
        return Waiting()
    last = connection.execute("SELECT max(number) FROM decisions").fetchone()
    return Waiting(last[0] - first[0] + 1, _used_bytes(connection), from_ms(first[1]))


# --- a record ---


def packed(recording: Recording) -> bytes:
    """A decision with what models answered beside it. Raises TypeError for what no database can hold."""
    sample, attempts = recording
    return orjson.dumps(
        {
            "sample": vars(sample) | {"created_at": to_ms(sample.created_at)},
            "attempts": [vars(attempt) | {"at": to_ms(attempt.at)} for attempt in attempts],
        },
        default=dict,
    )


def unpacked(record: bytes) -> Recording:
    """The decision that was packed; of a later version what this one knows. Raises ValueError, KeyError, TypeError for
    what is none."""
    found = orjson.loads(record)
    return (
        Sample(**_known(Sample, found["sample"], "created_at")),
        [AttemptRecord(**_known(AttemptRecord, attempt, "at")) for attempt in found["attempts"]],
    )


def _known(made: type[Sample | AttemptRecord], found: Mapping[str, Any], time: str) -> dict[str, Any]:
    members = {name: value for name, value in found.items() if name in made.__dataclass_fields__}
    return members | {time: from_ms(found[time])}
