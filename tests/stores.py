"""Stores on a real PostgreSQL in the place of files: each path a schema of its own, which the next test gets wiped."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from reasoning_cli.store import migrations
from reasoning_cli.store import open as opening
from reasoning_cli.store.database import MissingStoreError, Store
from reasoning_cli.store.postgres import PostgresStore, open_postgres
from reasoning_cli.store.samples import stats
from reasoning_cli.values import DatabaseAddress
from tests.sources.postgres_server import is_there, postgres_server

_WIPE = """
DO $$
DECLARE t record; filled boolean;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR t IN SELECT relname AS name FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r'
    AND relname NOT IN ('reasoning_steps', 'samples_words', 'samples_unread')
  LOOP
    EXECUTE format('SELECT EXISTS(SELECT 1 FROM {schema}.%I)', t.name) INTO filled;
    IF filled THEN EXECUTE format('DELETE FROM {schema}.%I', t.name); END IF;
  END LOOP;
  FOR t IN SELECT relname AS name FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'S'
  LOOP
    PERFORM setval(format('{schema}.%I', t.name)::regclass, 1, false);
  END LOOP;
END $$
"""

_SHAPE = """
SELECT (SELECT count(*) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = n.oid),
  (SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE c.relnamespace = n.oid)
FROM pg_namespace AS n WHERE nspname = '{schema}'
"""


class Schemas:
    """The schemas of one server: which path has which, and which are free."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._admin = psycopg.connect(url, autocommit=True)
        self._free: list[str] = []
        self._taken: dict[Path, tuple[str, tuple[object, ...]]] = {}
        self._shape: object = None
        self._count = 0

    def close(self) -> None:
        self._admin.close()

    def address(self, path: Path, realm: str = "together") -> DatabaseAddress:
        """The schema of a path, an empty one for a path that is new."""
        if path not in self._taken:
            steps = migrations.STEPS
            if self._free and steps == _FIRST_STEPS:
                schema = self._free.pop()
                self._admin.execute(f"INSERT INTO {schema}.about(name, value) VALUES ('realm', '{realm}')")
            else:
                self._count += 1
                schema = f"test_{self._count}"
                open_postgres(DatabaseAddress(self.url, schema, path), path, realm).close()
                if steps == _FIRST_STEPS:
                    self._shape = self._shape_of(schema)
            self._taken[path] = schema, steps
        return DatabaseAddress(self.url, self._taken[path][0], path)

    def is_taken(self, path: Path) -> bool:
        return path in self._taken

    def give_back(self, folder: Path) -> None:
        """After a test, those of paths in its folder: all are wiped, and those it changed the shape of are gone."""
        stats._SETTLED.clear()  # the next store of this name has samples with the same numbers
        for path in [path for path in self._taken if path.is_relative_to(folder)]:
            schema, steps = self._taken.pop(path)
            if steps == _FIRST_STEPS and self._shape_of(schema) == self._shape:
                self._admin.execute(_WIPE.format(schema=schema))
                self._free.append(schema)
            else:
                self._admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    def _shape_of(self, schema: str) -> object:
        """How many columns and triggers it has."""
        return self._admin.execute(_SHAPE.format(schema=schema)).fetchone()


_FIRST_STEPS = migrations.STEPS


def is_database(path: Path) -> bool:
    """Whether there is a file of SQLite's."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def spelt(store: Store) -> str:
    """For a program that opens the same store, as an argument: `open_store(pickle.loads(bytes.fromhex(argument)))`."""
    return pickle.dumps(store.place).hex()


def shared_place(request: pytest.FixtureRequest, path: Path) -> Path | DatabaseAddress:
    """Where a store is that several tests share: at the path, or with `--store postgresql` in a schema of its own."""
    if request.config.getoption("--store") != "postgresql":
        return path
    found: Schemas | None = request.getfixturevalue("schemas")
    if found is None:
        pytest.skip("there is no PostgreSQL here")
    return found.address(path)


@contextmanager
def in_place_of_files(schemas: Schemas, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """Inside, whoever opens a path gets the schema of it, and programs that are started find that of the home."""

    usual_file = opening._open_file

    def open_file(path: Path, realm: str, *, create: bool, or_read: bool) -> Store:
        path = path.absolute()
        # What becomes a file in any case, and what was written as one: a backup, a copy.
        if path.suffix == ".part" or (not schemas.is_taken(path) and is_database(path)):
            return usual_file(path, realm, create=create, or_read=or_read)
        if not create and not schemas.is_taken(path):
            raise MissingStoreError(f"there is no database at `{path}`", "`reasoning setup` makes one")
        return open_postgres(schemas.address(path, realm), path, realm, create=create, or_read=or_read)

    monkeypatch.setattr(opening, "_open_file", open_file)
    usual = schemas.address(home / "reasoning.db")
    monkeypatch.setenv("REASONING_STORE_URL", usual.url)
    monkeypatch.setenv("REASONING_STORE_SCHEMA", usual.schema)
    try:
        yield
    finally:
        schemas.give_back(home.parent)


@contextmanager
def server() -> Iterator[Schemas | None]:
    """A server with nothing in it; None where there is no PostgreSQL."""
    if not is_there():
        yield None
        return
    with postgres_server() as url:
        schemas = Schemas(url)
        try:
            yield schemas
        finally:
            schemas.close()


_filled: dict[object, str] = {}


def fill_log(store: PostgresStore, key: object) -> bool:
    """Put in what a log was filled with before; False when none was yet."""
    name = f"filled_{hashlib.sha256(repr((store.address.url, key)).encode()).hexdigest()[:16]}"
    with psycopg.connect(store.address.url, autocommit=True) as admin:
        if name not in _filled.values():
            return False
        for (table,) in admin.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (name,)).fetchall():
            admin.execute(f"DELETE FROM {store.address.schema}.{table}")
            admin.execute(f"INSERT INTO {store.address.schema}.{table} SELECT * FROM {name}.{table}")
    with store.transaction() as connection:
        for table, key in (("samples", "seq"), ("labels", "number")):
            store.number_after(connection, table, key, store.number(f"SELECT coalesce(max({key}), 0) FROM {table}"))
    return True


def keep_log(store: PostgresStore, key: object) -> None:
    """Keep what a log was filled with for the next one."""
    name = f"filled_{hashlib.sha256(repr((store.address.url, key)).encode()).hexdigest()[:16]}"
    with psycopg.connect(store.address.url, autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {name}")
        for table in ("samples", "labels", "about"):
            admin.execute(f"CREATE TABLE {name}.{table} AS SELECT * FROM {store.address.schema}.{table}")
    _filled[key] = name
