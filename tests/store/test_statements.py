"""Every statement of the store that is written whole is one to PostgreSQL, too: those no test asks there as well."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import reasoning_cli.store
from reasoning_cli.store import dialect
from tests.stores import Schemas

pytestmark = pytest.mark.says_which_store

ASKED_BY = {"execute", "executemany", "number", "row", "rows", "tuples", "write"}
OF_FILES = {
    "backup",
    "database",
    "foreign_schema",
    "gathered",
    "migrations",
    "open",
    "postgres",
    "search_postgres",
    "spool",
}
# Each engine has an index of its own, and its tests ask both.
BY_ENGINE = {"search"}
WORDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def statements() -> Iterator[tuple[str, str]]:
    """Where a statement stands, and the statement: its parts are constants of its module."""
    for found in pkgutil.walk_packages(reasoning_cli.store.__path__, "reasoning_cli.store."):
        if found.ispkg or found.name.rpartition(".")[2] in OF_FILES | BY_ENGINE:
            continue
        module = importlib.import_module(found.name)
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKED_BY:
                try:
                    sql = eval(compile(ast.Expression(node.args[0]), "", "eval"), vars(module))
                except (NameError, IndexError):  # put together of what is known when it is asked
                    continue
                # SQLite alone may give a number again, and asks for the last one.
                if isinstance(sql, str) and sql.lstrip().startswith(WORDS) and "last_seq" not in sql:
                    yield f"{found.name}:{node.lineno}", sql


def test_every_statement_is_understood(schemas: Schemas | None, tmp_path: Path) -> None:
    if schemas is None:
        pytest.skip("there is no PostgreSQL here")
    address = schemas.address(tmp_path / "reasoning.db")
    wrong, count = [], 0
    with psycopg.connect(schemas.url, autocommit=True, options=f"-c search_path={address.schema}") as connection:
        for place, sql in statements():
            count += 1
            result = connection.pgconn.prepare(b"", dialect.statement(sql)[0].encode())
            if result.error_message:
                wrong.append(f"{place} {result.error_message.decode().splitlines()[0]}: {sql}")
    schemas.give_back(tmp_path)
    assert not wrong, "\n".join(wrong)
    assert count > 100
