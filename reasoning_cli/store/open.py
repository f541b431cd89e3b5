"""Opening the database: made where there is none, brought up to date where it is older, one start at a time."""

from __future__ import annotations

import fcntl
import glob
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reasoning_cli.errors import DataError
from reasoning_cli.paths import make_private_dir
from reasoning_cli.store import migrations
from reasoning_cli.store.database import (
    DOCTOR,
    MissingStoreError,
    Store,
    check_ours,
    connect,
    family,
    opened,
    translated,
    version_of,
)
from reasoning_cli.values import DatabaseAddress


def open_store(
    place: Path | DatabaseAddress, realm: str = "together", *, create: bool = True, or_read: bool = False
) -> Store:
    """Open the store at `place`, a file or a database on PostgreSQL, making or upgrading it first when needed.

    `realm` is `together` or `sandbox`, written into the file when it is made: what was rehearsed on the sandbox never
    mixes with what cost money. Raises DataError for anything that keeps the file from being used; with `or_read` not
    for a disk that is full or cannot be written, from which it is then read alone.
    """
    if isinstance(place, DatabaseAddress):
        from reasoning_cli.store.postgres import open_postgres

        if create:
            make_private_dir(place.beside.parent)
        return open_postgres(place, place.beside, realm, create=create, or_read=or_read)
    return _open_file(place, realm, create=create, or_read=or_read)


def _open_file(path: Path, realm: str, *, create: bool, or_read: bool) -> Store:
    try:
        return Store(path, realm, _open_to_write(path, realm, create=create))
    except DataError as problem:
        code = getattr(problem.__cause__, "sqlite_errorcode", 0) & 0xFF
        if not or_read or code not in _UNWRITABLE or (connection := _open_to_read(path, realm)) is None:
            raise
        return Store(path, realm, connection, read_only_for=problem)


_UNWRITABLE = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
)


def _open_to_read(path: Path, realm: str) -> sqlite3.Connection | None:
    """A connection that writes nothing, no memory beside the file either; None where there is none that sees all.

    Beside other programs at work SQLite finds their memory. Where nobody is, the file alone is read, unless a log
    beside it holds what was written last.
    """
    log = family(path)[1]
    ways = ["mode=ro"] if log.exists() and log.stat().st_size else ["mode=ro", "mode=ro&immutable=1"]
    for way in ways:
        connection = opened(f"{path.absolute().as_uri()}?{way}", trusted=True, uri=True, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            check_ours(connection, path, realm)
            older = version_of(connection) < migrations.VERSION
        except sqlite3.Error:
            connection.close()
            continue
        if older:
            connection.close()
            raise DataError(
                f"`{path}` was written by an older `reasoning`, and cannot be brought up to date where it is",
                hint="copy it to a disk that can be written, and name the copy with `--db`",
            )
        return connection
    return None


def _open_to_write(path: Path, realm: str, *, create: bool) -> sqlite3.Connection:
    with translated(path):
        if path.is_dir():
            raise DataError(f"`{path}` is a folder, not a database", hint="name a file inside it")
        try:
            _check_place(path)
            if not path.exists() or path.stat().st_size == 0:
                if not create:
                    raise MissingStoreError(f"there is no database at `{path}`", hint="`reasoning setup` makes one")
                _create(path.resolve(), realm)  # of a link, the file it leads to
        except OSError as error:
            raise DataError(
                f"cannot make the database `{path}`: {error.strerror or error}", hint=f"check the folder; {DOCTOR}"
            ) from error
        connection = connect(path)
        try:
            check_ours(connection, path, realm)
            if version_of(connection) < migrations.VERSION:
                with _start_lock(path):
                    _upgrade(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _check_place(path: Path) -> None:
    """Raise DataError for what a new file would take the place of, and is none: a device, a pipe, a link to a disk that
    is not mounted now."""
    if path.is_symlink() and not path.exists():
        raise DataError(
            f"`{path}` is a link to `{path.readlink()}`, which is not there",
            hint="see whether its disk is mounted; for a new database, delete the link",
        )
    if path.exists() and not path.is_file():
        raise DataError(f"`{path}` is a device or a pipe, not a database", hint="name a file")


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the steps that are missing; what holds anything is copied first, as `NAME.schema-N.bak` beside it.

    The newest copy is kept, older ones go. The caller holds the start-up lock.
    """
    version = version_of(connection)
    if version >= migrations.VERSION:
        return  # another start was quicker
    tables = [name for name, since in (("deployments", 1), ("samples", 2)) if version >= since]
    holds = any(connection.execute(f"SELECT EXISTS(SELECT 1 FROM {table})").fetchone()[0] for table in tables)
    copy = path.with_name(f"{path.name}.schema-{version}.bak")
    if holds:
        from reasoning_cli.store.backup import copy_database

        copy_database(path, copy)
    migrations.migrate(connection)
    for older in path.parent.glob(f"{glob.escape(path.name)}.schema-*.bak"):
        if holds and older != copy:
            older.unlink(missing_ok=True)


def _create(path: Path, realm: str) -> None:
    """Build the file under another name, private from its first byte, and rename it into place."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _start_lock(path):
        if path.exists() and path.stat().st_size:
            return  # another start was quicker
        draft = path.with_name(f"{path.name}.new")
        # What an interrupted start left, and the log of a database whose main file was deleted: SQLite would
        # replay that log into the new file.
        for leftover in (*family(draft), *family(path)):
            leftover.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _fill(draft, realm)
        draft.replace(path)


def _fill(draft: Path, realm: str) -> None:
    """Make an empty file a database of ours that holds nothing, with no log beside it."""
    connection = connect(draft)
    try:
        # These two count only before the first table.
        connection.execute("PRAGMA page_size=4096")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA application_id={migrations.APPLICATION_ID}")
        migrations.migrate(connection)
        connection.execute("INSERT INTO about(name, value) VALUES ('realm', ?)", (realm,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


@contextmanager
def _start_lock(path: Path) -> Iterator[None]:
    """One process at a time makes or upgrades the file; the kernel lets go of the lock when its holder dies."""
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
