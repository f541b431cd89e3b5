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
from reasoning_cli.store import migrations
from reasoning_cli.store.database import DOCTOR, Store, check_ours, connect, family, translated, version_of


def open_store(path: Path, realm: str = "together", *, create: bool = True) -> Store:
    """Open the database at `path`, making or upgrading it first when needed.

    `realm` is `together` or `sandbox`, written into the file when it is made: what was rehearsed on the sandbox never
    mixes with what cost money. Raises DataError for anything that keeps the file from being used.
    """
    with translated(path):
        if path.is_dir():
            raise DataError(f"`{path}` is a folder, not a database", hint="name a file inside it")
        try:
            if not path.exists() or path.stat().st_size == 0:
                if not create:
                    raise DataError(f"there is no database at `{path}`", hint="`reasoning setup` makes one")
                _create(path, realm)
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
    return Store(path, realm, connection)


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
        draft.replace(path)


@contextmanager
def _start_lock(path: Path) -> Iterator[None]:
    """One process at a time makes or upgrades the file; the kernel lets go of the lock when its holder dies."""
    handle = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
