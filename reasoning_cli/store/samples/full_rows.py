"""Samples as whole rows, with all that hangs on them (labels, what other models said): out, back in, and away.

Nothing here knows the columns: they are asked of the database, so that what a later step of the schema adds is kept
as well. A row is a mapping of column to value; what hangs on it stands under the name of its table, as JSON.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from reasoning_cli.errors import DataError
from reasoning_cli.store.database import Connection, Store, Value
from reasoning_cli.store.samples.retention import Step

WholeRow = dict[str, Value]

# The columns of a sample that may be long.
_LONG = ("system", "prompt", "output", "corrected", "conversation", "metadata")

# A number beyond is nobody's: behind the highest that a database can hold there is none for the next row.
MOST_NUMBER = 1 << 53

# Columns that name another row of their own table by its number.
_OWN = {"labels": ("undoes",)}


@dataclass(frozen=True)
class _Child:
    """A table whose rows hang on a sample: by which of its columns, on which column of the sample; its key, and all of
    its columns."""

    table: str
    column: str
    parent: str
    key: str
    columns: frozenset[str]


class WholeRows:
    """The whole rows of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Column and its type as the schema declares it: INTEGER, REAL, TEXT or BLOB.
        self.columns: dict[str, str] = {column.name: column.type for column in store.columns("samples")}
        self._children = list(self._find_children())
        self.columns |= {child.table: "TEXT" for child in self._children}

    def moments(self, before_ms: int, model_types: Sequence[str]) -> Iterator[int]:
        """Times of samples before a moment, oldest first, at most one an hour: enough to see which days hold any."""
        types, last = json.dumps(list(model_types)), -(1 << 62)
        while True:
            row = self._store.row(
                "SELECT created_at FROM samples WHERE created_at >= ? AND created_at < ?"
                " AND (? = '[]' OR model_type IN (SELECT value FROM json_each(?))) ORDER BY created_at LIMIT 1",
                (last, before_ms, types, types),
            )
            if row is None:
                return
            yield row[0]
            last = (row[0] // 3_600_000 + 1) * 3_600_000

    def read(
        self, since_ms: int, until_ms: int, model_types: Sequence[str], most_bytes: int
    ) -> Iterator[list[WholeRow]]:
        """The rows of a time in order, as many at once as their texts have bytes, so that memory stays flat."""
        types = json.dumps(list(model_types))
        batch: list[WholeRow] = []
        size = 0
        for row in self._store.rows(
            "SELECT * FROM samples WHERE created_at >= ? AND created_at < ?"
            " AND (? = '[]' OR model_type IN (SELECT value FROM json_each(?))) ORDER BY created_at, seq",
            (since_ms, until_ms, types, types),
        ):
            batch.append(dict(row))
            size += sum(len(row[name] or "") for name in _LONG)
            if size >= most_bytes or len(batch) >= 2000:
                yield self._with_children(batch)
                batch, size = [], 0
        if batch:
            yield self._with_children(batch)

    def insert(self, rows: Sequence[Mapping[str, Value]]) -> int:
        """Put rows back in one transaction, all or none; how many were not there. A number that is taken is given
        anew. Raises DataError for what fits into no table of ours."""
        unknown = {name for row in rows for name in row} - set(self.columns)
        if unknown:
            raise DataError(
                f"the archive holds columns this database does not know: {', '.join(sorted(unknown))}",
                "it was written by a newer `reasoning`: upgrade it with `pip install --upgrade reasoning`",
            )
        try:
            return self._insert(rows)
        except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError, sqlite3.IntegrityError) as error:
            raise DataError(
                f"the archive holds a row that is none of ours: {error}",
                "what stands before it is put back; give what `reasoning data archive` wrote",
            ) from error

    def _insert(self, rows: Sequence[Mapping[str, Value]]) -> int:
        added = 0
        tables = {child.table for child in self._children}
        with self._store.transaction() as connection:
            for table, key, highest in self._numbers(rows):
                self._store.number_after(connection, table, key, highest)
            for row in rows:
                if connection.execute("SELECT 1 FROM samples WHERE id = ?", (row["id"],)).fetchone():
                    continue
                values = {name: value for name, value in row.items() if name not in tables}
                if connection.execute("SELECT 1 FROM samples WHERE seq = ?", (row["seq"],)).fetchone():
                    del values["seq"]
                added_row = connection.execute(_insert("samples", values), values)
                seq = values.get("seq") or added_row.lastrowid
                for child in self._children:
                    self._insert_children(connection, child, row.get(child.table), {"seq": seq, "id": row["id"]})
                added += 1
        return added

    def _numbers(self, rows: Sequence[Mapping[str, Value]]) -> Iterator[tuple[str, str, int]]:
        """The highest number that rows bring along, by table and column."""
        yield "samples", "seq", _highest(row["seq"] for row in rows)
        for child in self._children:
            texts = [text for row in rows if isinstance(text := row.get(child.table), str)]
            brought = [item[child.key] for text in texts for item in json.loads(text)]
            yield child.table, child.key, _highest(brought)

    def drop(self, sample_id: str) -> None:
        """Delete a sample with what hangs on it."""
        self._store.write("DELETE FROM samples WHERE id = ?", (sample_id,))

    def delete_unchanged(self, step: Step, hashes: Mapping[int, bytes]) -> int:
        """Delete the samples of these numbers that are still what their hash says; how many went."""
        numbers = json.dumps(list(hashes))
        with step.holding(len(hashes)), self._store.transaction() as connection:
            found = connection.execute(
                "SELECT * FROM samples WHERE seq IN (SELECT value FROM json_each(?))", (numbers,)
            ).fetchall()
            rows = {int(row["seq"]): dict(row) for row in found}
            self._with_children(rows.values())
            same = [number for number, row in rows.items() if hash_of(row) == hashes[number]]
            connection.execute("DELETE FROM samples WHERE seq IN (SELECT value FROM json_each(?))", (json.dumps(same),))
        step.give_back()
        return len(same)

    def _find_children(self) -> Iterator[_Child]:
        for table in self._store.tables():
            for column, other, parent in self._store.links(table):
                if other == "samples":
                    columns = self._store.columns(table)
                    key = next(column.name for column in columns if column.is_key)
                    yield _Child(table, column, parent, key, frozenset(column.name for column in columns))

    def _with_children(self, rows: Iterable[WholeRow]) -> list[WholeRow]:
        every = list(rows)
        for child in self._children:
            hanging: dict[Value, list[dict[str, Value]]] = {}
            parents = json.dumps([row[child.parent] for row in every])
            for row in self._store.rows(
                f"SELECT * FROM {child.table} WHERE {child.column} IN (SELECT value FROM json_each(?)) ORDER BY 1",
                (parents,),
            ):
                hanging.setdefault(row[child.column], []).append(dict(row))
            for parent in every:
                found = hanging.get(parent[child.parent])
                parent[child.table] = json.dumps(found, ensure_ascii=False) if found else None
        return every

    def _insert_children(self, connection: Connection, child: _Child, text: Value, parent: Mapping[str, Value]) -> None:
        if not isinstance(text, str):
            return
        renamed: dict[Value, Value] = {}
        for row in json.loads(text):
            if unknown := set(row) - child.columns:  # the names go into a statement
                raise ValueError(f"`{child.table}` has no column `{min(unknown)}`")
            row[child.column] = parent[child.parent]
            number = row[child.key]
            taken = f"SELECT 1 FROM {child.table} WHERE {child.key} = ?"
            if connection.execute(taken, (number,)).fetchone():
                del row[child.key]
            for name in _OWN.get(child.table, ()):
                row[name] = renamed.get(row.get(name), row.get(name))
            added = connection.execute(_insert(child.table, row), row)
            renamed[number] = row.get(child.key) or added.lastrowid


def _highest(numbers: Iterable[Value]) -> int:
    """The highest of the numbers of rows. Raises ValueError for one that no row here can have."""
    known = [number for number in numbers if isinstance(number, int)]
    for number in known:
        if not 0 < number <= MOST_NUMBER:
            raise ValueError(f"no row here has the number {number}")
    return max(known, default=0)


def hash_of(row: Mapping[str, Value]) -> bytes:
    """What tells whether two whole rows are the same, to the last character."""
    return blake2b(repr(sorted(row.items())).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _insert(table: str, values: Mapping[str, Value]) -> str:
    return f"INSERT INTO {table}({', '.join(values)}) VALUES ({', '.join(f':{name}' for name in values)})"
