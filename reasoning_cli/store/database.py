"""The database file: how it is made, opened, checked, and what its errors mean.

A new file is built under another name and renamed into place, so whoever opens the path finds a whole database or
none; starts that happen together wait for each other on a lock file beside it. One `Store` serves one process; its
writes are short `BEGIN IMMEDIATE` transactions, so several processes may write to the same file.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from reasoning_cli.errors import DataError
from reasoning_cli.store import migrations
from reasoning_cli.store.foreign_schema import Stranger, strangers
from reasoning_cli.store.locks import Hold, hold_file
from reasoning_cli.values import DatabaseAddress

Value = str | int | float | bytes | None
Parameters = Sequence[Value] | Mapping[str, Value]

BUSY_TIMEOUT_SECONDS = 30.0
_FEW_PAGES = 16


class Row(Protocol):
    """A row of a result: its values in order, each also by the name of its column."""

    def __getitem__(self, key: int | str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...

    def keys(self) -> list[str]: ...


class Result(Protocol):
    """What a statement gave. `lastrowid` is the number that a new row got."""

    @property
    def rowcount(self) -> int: ...

    @property
    def lastrowid(self) -> int | None: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """What runs the statements of a transaction."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Result: ...

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Result: ...


class Column(NamedTuple):
    """A column of a table: its name, its type (INTEGER, REAL, TEXT or BLOB), whether it is part of the key."""

    name: str
    type: str
    is_key: bool


DOCTOR = "see what is wrong with `reasoning doctor`"


@dataclass(frozen=True)
class StoreCheck:
    """What `doctor` shows of the database: `problems` is empty when it is intact."""

    path: Path
    realm: str
    schema_version: int
    size_bytes: int
    problems: tuple[str, ...]
    strangers: tuple[Stranger, ...] = ()


class MissingStoreError(DataError):
    """There is no store where one was to be opened without making it."""


class UnavailableError(DataError):
    """Nothing can be written to the store now, whatever it is. The same again may succeed."""


class UnreachableError(UnavailableError):
    """The store is behind a network, and does not answer: what was to be written was not, or nobody knows."""


class Store:
    """One open database. Made by `open_store`; the other modules of this room use its methods.

    One that can only be read says why in `read_only_for`, which is raised where something is to be written.
    """

    is_shared = False  # whether several hosts work on it
    numbers_may_return = True  # of the highest samples, once they are deleted

    def __init__(
        self, path: Path, realm: str, connection: sqlite3.Connection, read_only_for: DataError | None = None
    ) -> None:
        self.path = path
        self.realm = realm
        self.connection = connection
        self.read_only_for = read_only_for
        # A gateway writes from whichever worker thread is free; two transactions must not mix on one connection.
        self._writing = threading.RLock()

    @property
    def place(self) -> Path | DatabaseAddress:
        """What another process opens it by."""
        return self.path.absolute()

    @property
    def name(self) -> str:
        """What it is called where people read it."""
        return str(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Refresh the planner's statistics if that is cheap, then close. Closing twice is fine."""
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA busy_timeout=0")
            self.connection.execute("PRAGMA analysis_limit=400")
            self.connection.execute("PRAGMA optimize").fetchall()
        self.connection.close()

    def require_writable(self) -> None:
        """Raise DataError where nothing can be written, before anything is begun that would be put on record."""
        if self.read_only_for is not None:
            raise self.read_only_for

    def rows(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        """Stream the rows of a query: memory stays the same however many there are."""
        with translated(self.path):
            cursor = self.connection.execute(sql, parameters)
            try:
                yield from cursor
            finally:
                cursor.close()

    def tuples(self, sql: str, parameters: Parameters = (), *, at_once: int = 1000) -> Iterator[list[tuple[Any, ...]]]:
        """Stream the same as bare tuples, so many at a time: for what is read by the thousand."""
        with translated(self.path), closing(self.connection.cursor()) as cursor:
            cursor.row_factory = None
            cursor.execute(sql, parameters)
            while rows := cursor.fetchmany(at_once):
                yield rows

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a query, if any."""
        with translated(self.path):
            row: Row | None = self.connection.execute(sql, parameters).fetchone()
            return row

    def number(self, sql: str, parameters: Parameters = ()) -> int:
        """The one integer a `SELECT count(*)` or a pragma gives."""
        row = self.row(sql, parameters)
        return int(row[0] or 0) if row is not None else 0

    def write(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one writing statement in its own transaction; the number of rows it changed."""
        with self.transaction() as connection:
            return connection.execute(sql, parameters).rowcount

    def write_many(self, sql: str, parameters: Iterable[Parameters], *, exclusive: bool = True) -> int:
        """Run one statement for many rows in one transaction, all or none; the number of rows changed."""
        with self.transaction(exclusive=exclusive) as connection:
            return connection.executemany(sql, parameters).rowcount

    @contextmanager
    def transaction(self, *, exclusive: bool = True) -> Iterator[Connection]:
        """All that is written inside is stored together, or not at all; nobody else writes meanwhile. What is not
        `exclusive` adds rows that nobody else writes: an engine that can lets others write at the same time."""
        self.require_writable()
        with self._writing, translated(self.path):
            try:  # Ctrl-C may come when it has begun
                self.connection.execute("BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                # A full disk has already rolled back by itself.
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that this thread reads inside is of one moment, however much others write meanwhile; nothing is written
        inside."""
        with self._writing, translated(self.path):
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                self.connection.execute("ROLLBACK")

    def clock(self) -> datetime:
        """The time by the clock that all have who share the store."""
        return datetime.now(UTC)

    @contextmanager
    def alone(self, what: str) -> Iterator[Hold | None]:
        """Be the only process that does `what` with this store for as long as the block runs, on any host that shares
        it; None while another one does. Let go of when the process dies, however it dies."""
        with hold_file(self.path.with_name(f"{self.path.name}.{what}")) as hold:
            yield hold

    def cut_off(self, what: str, name: str | None = None) -> bool:
        """Take the lock from whoever does `what` alone, because it stands still; with the `name` of a hold from that
        one, whoever has it by now. Whether there was anybody. A lock file is not taken from anybody."""
        return False

    def size_bytes(self) -> int:
        """Bytes on disk, with the write-ahead log."""
        return sum(file.stat().st_size for file in family(self.path) if file.exists())

    def log_bytes(self) -> int:
        """Bytes of the write-ahead log."""
        log = family(self.path)[1]
        return log.stat().st_size if log.exists() else 0

    def tables(self) -> list[str]:
        """The names of all tables."""
        return [row[0] for row in self.rows("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]

    def engine(self) -> tuple[str, str]:
        """What runs the store, and its version."""
        return "sqlite", sqlite3.sqlite_version

    def schema_version(self) -> int:
        """Which step of the schema it is at."""
        return self.number("PRAGMA user_version")

    def word_indexes(self) -> list[str]:
        """The search indexes, which hold words of deleted rows until their parts are merged."""
        found = self.rows("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%'")
        return [row[0] for row in found]

    def columns(self, table: str) -> list[Column]:
        """The columns of a table, in its order."""
        found = self.rows(f"PRAGMA table_info({table})")
        return [Column(row["name"], row["type"], bool(row["pk"])) for row in found]

    def links(self, table: str) -> list[tuple[str, str, str]]:
        """What a table refers to: by which of its columns, to which table, to which column of that."""
        return [(row["from"], row["table"], row["to"]) for row in self.rows(f"PRAGMA foreign_key_list({table})")]

    def insert_rows(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]
    ) -> None:
        """Add many whole rows, none of which is there, in a transaction: by the engine's quickest way."""
        places = ", ".join("?" for _ in columns)
        connection.executemany(f"INSERT INTO {table}({', '.join(columns)}) VALUES ({places})", rows)

    def number_after(self, connection: Connection, table: str, key: str, highest: int) -> None:
        """Let rows that get their number here get a higher one than those that bring theirs along, in a transaction:
        SQLite counts from the highest there is."""

    def highest_number(self, table: str, key: str) -> int:
        """The highest number a table ever gave, as far as that is known."""
        highest = self.number(f"SELECT coalesce(max({key}), 0) FROM {table}")
        if table != "samples":
            return highest
        return max(highest, self.number("SELECT CAST(value AS INTEGER) FROM about WHERE name = 'last_seq'"))

    def set_highest_number(self, connection: Connection, table: str, key: str, highest: int) -> None:
        """Let a table, whose rows came from elsewhere, give no number again that was given there."""
        if table == "samples":  # of other rows nothing outside knows the numbers
            connection.execute(
                "INSERT INTO about(name, value) SELECT 'last_seq', :highest"
                " WHERE :highest > (SELECT coalesce(max(seq), 0) FROM samples)"
                " ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                {"highest": highest},
            )

    def free_pages(self) -> int:
        """How many pages deletions have freed that `give_back_pages` can hand back."""
        return self.number("PRAGMA freelist_count")

    def give_back_pages(self, pages: int) -> None:
        """Hand so many of the pages freed by deletions back to the file system."""
        with self._writing, translated(self.path):
            # A step of this pragma frees one page and gives no row; only executescript() steps to the end.
            self.connection.executescript(f"PRAGMA incremental_vacuum({pages})")

    def write_often(self) -> None:
        """Spend memory on writing all day long, a third less work a row: pages of indexes stay at hand (8 MB), and go
        into the file from a write-ahead log of up to 16 MB instead of 4, having changed more often."""
        with translated(self.path):
            self.connection.execute("PRAGMA cache_size=-8000")
            self.connection.execute("PRAGMA wal_autocheckpoint=4000").fetchall()
            self.connection.execute("PRAGMA temp_store=MEMORY")  # journals of statements that write many rows

    @contextmanager
    def writing_back_apart(self) -> Iterator[None]:
        """Inside, no commit carries the write-ahead log into the file, which takes longer than most commits:
        `write_back` does, between two of them."""
        with translated(self.path):
            pages = self.number("PRAGMA wal_autocheckpoint")
            self.connection.execute("PRAGMA wal_autocheckpoint=0")
            try:
                yield
            finally:
                self.connection.execute(f"PRAGMA wal_autocheckpoint={pages}")

    def write_back(self) -> None:
        """Carry the write-ahead log into the file as far as its readers allow; others go on writing meanwhile."""
        with self._writing, translated(self.path):
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def shorten_log(self) -> None:
        """Move the write-ahead log into the file and cut it to nothing, if no reader is in the way.

        The moving keeps nobody from writing; the cutting would, and so it does not wait for readers.
        """
        self.write_back()
        with self._writing, translated(self.path):
            self.connection.execute("PRAGMA busy_timeout=0")
            try:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self.connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_SECONDS * 1000)}")

    @contextmanager
    def overwriting(self) -> Iterator[None]:
        """Inside, the place of what is changed or deleted is written over."""
        before = self.number("PRAGMA secure_delete")
        self.number("PRAGMA secure_delete=1")
        try:
            yield
        finally:
            self.number(f"PRAGMA secure_delete={before}")

    def is_log_cut(self) -> bool:
        """Whether no old page is left in the write-ahead log, which a reader elsewhere may keep from being cut."""
        return self.log_bytes() == 0

    @contextmanager
    def each_page_once(self) -> Iterator[None]:
        """Inside, texts are read in a tenth less time: what is read once and never again leaves the processor's cache
        to what is made of it."""
        [pages] = self.connection.execute("PRAGMA cache_size").fetchone()
        self.connection.execute(f"PRAGMA cache_size={_FEW_PAGES}")
        try:
            yield
        finally:
            self.connection.execute(f"PRAGMA cache_size={pages}")

    def check(self) -> StoreCheck:
        """Quick integrity check, schema version and size, and what no step of ours made; reading the whole file, so
        seconds per gigabyte."""
        strange: list[Stranger] = []
        try:
            strange = strangers(self.connection)
            found = [str(row[0]) for row in self.connection.execute("PRAGMA quick_check(10)")]
        except sqlite3.DatabaseError as error:
            found = [str(error)]
        return StoreCheck(
            path=self.path,
            realm=self.realm,
            schema_version=self.schema_version(),
            size_bytes=self.size_bytes(),
            problems=tuple(line for line in found if line != "ok"),
            strangers=tuple(strange),
        )


def connect(path: Path) -> sqlite3.Connection:
    connection = opened(path, trusted=True, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def opened(
    path: Path | str,
    *,
    trusted: bool = False,
    timeout: float = 5.0,
    uri: bool = False,
    check_same_thread: bool = True,
) -> sqlite3.Connection:
    """A connection to a file that may be another's, or may have been in another's hands.

    A damaged page is found before it is used, and what stands in the file cannot change how it is read. The functions
    that views and triggers in it name are not run, unless it is `trusted`: our own triggers keep the search index, and
    older SQLite (3.40) counts that among what only a trusted file may do.
    """
    connection = sqlite3.connect(
        path, timeout=timeout, isolation_level=None, uri=uri, check_same_thread=check_same_thread
    )
    if not trusted:
        connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE)
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_ours(connection: sqlite3.Connection, path: Path, realm: str) -> None:
    """Refuse a stranger's database, one of a newer program, and one of the other realm, before anything is written."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != migrations.APPLICATION_ID:
        raise DataError(
            f"`{path}` is a database of another program", hint="name another file, or move this one out of the way"
        )
    version = version_of(connection)
    if version > migrations.VERSION:
        raise DataError(
            f"`{path}` was written by a newer `reasoning` (schema {version}, this one knows {migrations.VERSION})",
            hint="upgrade it with `pip install --upgrade reasoning`",
        )
    row = connection.execute("SELECT value FROM about WHERE name='realm'").fetchone()
    held = str(row[0]) if row is not None else "unknown"
    if held != realm:
        raise DataError(
            f"`{path}` holds {held} data, not {realm} data; the two never mix",
            hint="use another folder for one of them, with `REASONING_HOME`",
        )


def family(path: Path) -> tuple[Path, Path, Path]:
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The one place where SQLite's errors become ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(error, path) from error


def _meaning(error: sqlite3.Error, path: Path) -> DataError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DataError(
                f"`{path}` is locked by another program",
                hint="wait for it to finish, or stop it, and run the command again",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return DataError(
                f"`{path}` is damaged or not a database", hint=f"move it aside with `mv {path} {path}.bad`; {DOCTOR}"
            )
        case sqlite3.SQLITE_FULL:
            return DataError(
                f"the disk is full: `{path}` cannot grow", hint="free some space; nothing half-written was kept"
            )
        case sqlite3.SQLITE_IOERR:
            return DataError(
                f"`{path}` cannot be read or written: {error}",
                hint=f"see whether its disk is full or failing; nothing half-written was kept; {DOCTOR}",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return DataError(
                f"`{path}` cannot be opened for writing", hint=f"check who owns the file and its folder; {DOCTOR}"
            )
        case _:
            return DataError(f"the database `{path}` failed: {error}", hint=DOCTOR)
