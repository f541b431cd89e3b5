"""Whole copies of the database: taken while others write, checked before they count, put back, and made compact.

A copy is written beside its place under another name, private from its first byte, and renamed when it has passed
SQLite's check; whatever goes wrong leaves what was there.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reasoning_cli.errors import DataError
from reasoning_cli.store import migrations
from reasoning_cli.store.database import Store, opened, translated
from reasoning_cli.store.foreign_schema import listed, strangers
from reasoning_cli.store.timestamps import from_ms, to_ms

Progress = Callable[[str, float], None]  # what is going on, and how far from 0 to 1

_STEP_PAGES = 4096
_CHUNK = 16 * 1024 * 1024
_MARGIN = 1.05


@dataclass(frozen=True)
class CopyFacts:
    """What a file that may be a copy of the database holds; `problem` says why it cannot be used, if it cannot."""

    size_bytes: int
    realm: str
    schema_version: int
    samples: int
    problem: str | None = None


def silent(doing: str, share: float) -> None:
    """Progress nobody looks at."""


def copy_database(
    source: Path, out: Path, on_progress: Progress = silent, *, connection: sqlite3.Connection | None = None
) -> None:
    """A copy of the database at `source` as it is now, others writing meanwhile; replaces `out`.

    It is read by a connection of its own, or by the one that is open where another could not be. Raises DataError when
    the copy is not sound, and for what keeps it from being written.
    """
    with draft_of(out) as draft:
        require_space(out.parent, _size(source), f"a copy of `{source}`")
        reading = closing(opened(source)) if connection is None else nullcontext(connection)
        with reading as reader, closing(_raw(draft)) as writer:
            # A transaction that has begun to read holds on to one state; without it each write of others would make
            # the copying begin anew.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reader.backup(
                writer,
                pages=_STEP_PAGES,
                progress=lambda _, left, total: on_progress("copying", 1 - left / max(1, total)),
                sleep=0,
            )
            reader.execute("ROLLBACK")
        check_copy(draft, on_progress)


def compact_database(path: Path, on_progress: Progress = silent) -> None:
    """Write the database anew without gaps, and put that in its place.

    Needs as much space again as its content takes. Raises DataError while anybody else has it open.
    """
    with alone(path) as connection, draft_of(path) as draft:
        size, free, used = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "freelist_count", "page_count")
        )
        live = max(1, (used - free) * size)
        require_space(path.parent, live, f"a compact copy of `{path}`")
        with _notified(connection, lambda: on_progress("writing anew", min(1.0, _size(draft) / live))):
            connection.execute("VACUUM INTO ?", (str(draft),))
        with closing(_raw(draft)) as made:
            made.execute("PRAGMA journal_mode=WAL").fetchone()
        check_copy(draft, on_progress)
        _without_log(connection)


def put_in_place(copy: Path, path: Path, aside: Path, on_progress: Progress = silent) -> None:
    """Make `path` a copy of the file `copy`, and keep what was there as `aside`.

    Raises DataError while anybody has it open.
    """
    with ExitStack() as held:
        present = held.enter_context(alone(path)) if path.exists() else None
        draft = held.enter_context(draft_of(path))
        size = _size(copy)
        require_space(path.parent, size, f"a copy of `{copy}`")
        with copy.open("rb") as source, draft.open("wb") as target:
            done = 0
            while chunk := source.read(_CHUNK):
                target.write(chunk)
                done += len(chunk)
                on_progress("copying", done / max(1, size))
        _refuse_strangers(draft)
        check_copy(draft, on_progress)
        if present is not None:
            _without_log(present)
            path.rename(aside)
    if aside.exists():
        with closing(_raw(aside)) as database:
            database.execute("PRAGMA journal_mode=WAL").fetchone()


def _refuse_strangers(path: Path) -> None:
    """Once more where it counts: what was looked at may have been another file than the one that was copied."""
    with closing(_raw(path)) as connection:
        if strange := strangers(connection):
            raise DataError(f"the copy holds {listed(strange)}", "give one that `reasoning data backup` wrote")


def refuse_if_used(path: Path) -> None:
    """Raise DataError when another program has the database open."""
    with alone(path):
        pass


def _without_log(connection: sqlite3.Connection) -> None:
    """A database that gets another name has no log of its own: closing it would take away the log of that name."""
    connection.execute("PRAGMA journal_mode=DELETE").fetchone()


@contextmanager
def alone(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database that nobody else has open, nor can open until it ends. Raises DataError otherwise."""
    with translated(path), closing(opened(path, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            raise DataError(
                f"`{path}` is in use by another program",
                "end what uses it first: the gateway, `reasoning costs guard`, other commands",
            ) from error
        yield connection


def copy_facts(path: Path) -> CopyFacts:
    """What a file holds, without changing it or leaving anything beside it."""
    if path.with_name(f"{path.name}-wal").exists():
        return CopyFacts(0, "", 0, 0, "is in use, or was not closed; take a copy of it with `reasoning data backup`")
    try:
        with closing(opened(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:

            def number(sql: str) -> int:
                return int(connection.execute(sql).fetchone()[0] or 0)

            if number("PRAGMA application_id") != migrations.APPLICATION_ID:
                return CopyFacts(_size(path), "", 0, 0, "is not a database of this program")
            version = number("PRAGMA user_version")
            strange = strangers(connection)
            problem = f"holds {listed(strange)}" if strange else None
            if any(
                thing.kind in ("table", "view") for thing in strange
            ):  # what is asked for next might answer as it likes
                return CopyFacts(_size(path), "", version, 0, problem)
            realm = str(connection.execute("SELECT value FROM about WHERE name='realm'").fetchone()[0])
            if version > migrations.VERSION:
                problem = f"was written by a newer `reasoning` (schema {version})"
            return CopyFacts(_size(path), realm, version, number("SELECT count(*) FROM samples"), problem)
    except (sqlite3.Error, TypeError) as error:
        return CopyFacts(_size(path), "", 0, 0, f"cannot be read as a database: {error}")


def check_copy(path: Path, on_progress: Progress = silent) -> None:
    """Raise DataError when SQLite's own check finds anything wrong with the file."""
    on_progress("checking", 0.0)
    with closing(_raw(path)) as connection:
        pages = max(1, int(connection.execute("PRAGMA page_count").fetchone()[0]))
        seen = [0]

        def notify() -> None:
            seen[0] += 1
            on_progress("checking", min(1.0, seen[0] * _TICK / (pages * 40)))

        with _notified(connection, notify):
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise DataError(f"the copy is not sound: {found[0]}", "see what is wrong with `reasoning doctor`")


def require_space(folder: Path, size_bytes: int, what: str) -> None:
    """Raise DataError when a file of this size would not fit."""
    needed, free = int(size_bytes * _MARGIN), shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{what} needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free in `{folder}`",
            "free some space, or name a place on another disk",
        )


_TICK = 20_000  # steps of SQLite's machine between two looks at how far it is


@contextmanager
def _notified(connection: sqlite3.Connection, notify: Callable[[], None]) -> Iterator[None]:
    """Call `tell` now and then during a long statement; what it raises (Ctrl-C) ends the statement."""
    raised: list[BaseException] = []

    def look() -> int:
        try:
            notify()
        except BaseException as error:
            raised.append(error)
        return len(raised)

    connection.set_progress_handler(look, _TICK)
    try:
        yield
    except sqlite3.OperationalError:
        if raised:
            raise raised[0] from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def draft_of(out: Path) -> Iterator[Path]:
    """A private file beside `out` that takes its name when the block ends well, and is gone otherwise. What a store
    that is opened there says of it is said of `out`."""
    draft = out.with_name(f".{out.name}.{os.urandom(4).hex()}.part")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with translated(out):
                yield draft
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            draft.replace(out)
        except DataError as error:
            if str(draft) not in error.message:
                raise
            raise DataError(error.message.replace(str(draft), str(out)), error.hint) from error
        finally:
            for end in ("", "-wal", "-shm", "-journal", ".lock", ".new", ".new-wal", ".new-shm"):
                draft.with_name(f"{draft.name}{end}").unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot write `{out}`: {error.strerror or error}", "name a place that can be written"
        ) from error


def _raw(path: Path) -> sqlite3.Connection:
    connection = opened(path)
    connection.execute("PRAGMA synchronous=OFF")  # synced once, at the end
    return connection


def _size(path: Path) -> int:
    return path.stat().st_size


@dataclass(frozen=True)
class BackupSeen:
    """The last copy that `data backup` made."""

    at: datetime
    path: Path


def remember_backup(store: Store, seen: BackupSeen) -> None:
    """Keep when and where the last copy was made."""
    value = json.dumps({"at": to_ms(seen.at), "path": str(seen.path)})
    store.write(
        "INSERT INTO about(name, value) VALUES ('backup', ?) ON CONFLICT(name) DO UPDATE SET value=excluded.value",
        (value,),
    )


def last_backup(store: Store) -> BackupSeen | None:
    """The last copy that was made of this database, wherever it is now."""
    row = store.row("SELECT value FROM about WHERE name='backup'")
    if row is None:
        return None
    value = json.loads(row[0])
    return BackupSeen(from_ms(value["at"]), Path(value["path"]))
