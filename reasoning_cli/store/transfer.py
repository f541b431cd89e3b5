"""A store copied row by row into another, of whatever engine: killed at any moment it goes on, and it counts as done
when every row of one is that of the other.

Each batch is written in one transaction with the place it came to. What somebody changed in the source meanwhile the
comparison finds, and it is brought over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from hashlib import blake2b
from typing import Any

from reasoning_cli.errors import DataError
from reasoning_cli.store.database import Store, Value

Progress = Callable[[str, int, int], None]  # what is done, how many rows of how many

_MARK = "copy"  # in `about` of the target, until it is whole
_OWN = ("realm", "last_seq", "last_guard", _MARK)  # what each store has for itself
_NOT_COPIED = ("instances", "samples_words", "samples_unread", "_sqlite_migrations", "sqlite_")
_AT_ONCE = 500
_ROUNDS = 4


_Row = tuple[Any, ...]  # the values of a table's columns, in their order


@dataclass(frozen=True)
class TableCopied:
    """How many rows a table has on both sides, and the hash of all of them in the order of their keys."""

    name: str
    rows: int
    hash: str


@dataclass(frozen=True)
class Transferred:
    """What a copy came to: `changed` rows had changed in the source since they were read, and were brought over."""

    tables: tuple[TableCopied, ...]
    resumed: bool
    changed: int

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    number: str | None  # the one column that numbers its rows
    itself: str | None  # the column that refers to another row of the same table

    @property
    def places(self) -> tuple[int, ...]:
        """Where in a row the values of its key are."""
        return tuple(self.columns.index(column) for column in self.key)

    @property
    def insert(self) -> str:
        places = ", ".join(f":{column}" for column in self.columns)
        return f"INSERT INTO {self.name}({', '.join(self.columns)}) VALUES ({places}) ON CONFLICT DO NOTHING"

    @property
    def update(self) -> str:
        values = ", ".join(f"{column} = :{column}" for column in self.columns)
        return f"UPDATE {self.name} SET {values} WHERE {self._this}"

    @property
    def delete(self) -> str:
        return f"DELETE FROM {self.name} WHERE {self._this}"

    @property
    def _this(self) -> str:
        return " AND ".join(f"{column} = :{column}" for column in self.key)

    def key_of(self, row: _Row) -> tuple[Any, ...]:
        return tuple(row[place] for place in self.places)

    def named(self, row: _Row) -> dict[str, Value]:
        return dict(zip(self.columns, row, strict=True))


def transfer(source: Store, target: Store, on_progress: Progress = lambda doing, done, total: None) -> Transferred:
    """Bring all of `source` into `target`, which is empty, or an interrupted copy of the same. Raises DataError where
    it is neither, and where the source is changed faster than it can be compared."""
    tables = _tables(source)
    if [table.columns for table in tables] != [table.columns for table in _tables(target)]:
        raise DataError(f"`{source.name}` and `{target.name}` are of different versions", "open both with this one")
    place = _begun(source, target, tables)
    resumed = place is not None
    total = sum(source.number(f"SELECT count(*) FROM {table.name}") for table in tables)
    done = 0
    for number, table in enumerate(tables):
        if place is not None and number < int(place["table"]):
            done += source.number(f"SELECT count(*) FROM {table.name}")
            continue
        after = _key_read(place["after"]) if place is not None and number == int(place["table"]) else None
        if after is not None:
            done += target.number(f"SELECT count(*) FROM {table.name}")
        for batch in _batches(source, table, after):
            with target.transaction() as connection:
                target.insert_rows(connection, table.name, table.columns, batch)
                mark = {"source": source.name, "table": number, "after": _key_written(table.key_of(batch[-1]))}
                connection.execute("UPDATE about SET value = ? WHERE name = ?", (json.dumps(mark), _MARK))
            done += len(batch)
            on_progress("copying", min(done, total), total)
    changed = 0
    for _ in range(_ROUNDS):
        compared, differing = _compare(source, target, tables, on_progress, total)
        if not differing:
            break
        changed += differing
    else:
        raise DataError(
            f"`{source.name}` is changed while it is copied", "end what writes to it, and give the same command again"
        )
    _number_on(source, target, tables)
    target.write("DELETE FROM about WHERE name = ?", (_MARK,))
    return Transferred(tuple(compared), resumed, changed)


def _begun(source: Store, target: Store, tables: Sequence[_Table]) -> dict[str, Any] | None:
    """Where an interrupted copy has come to; None for one that begins, which is marked."""
    row = target.row("SELECT value FROM about WHERE name = ?", (_MARK,))
    if row is None:
        for table in tables:
            extra = f" WHERE name NOT IN ({', '.join('?' * len(_OWN))})" if table.name == "about" else ""
            values = _OWN if extra else ()
            if target.number(f"SELECT count(*) FROM (SELECT 1 FROM {table.name}{extra} LIMIT 1) AS any_row", values):
                raise DataError(
                    f"`{target.name}` holds data already (`{table.name}`)", "name a store that is empty, or a new file"
                )
        mark = json.dumps({"source": source.name, "table": 0, "after": None})
        target.write("INSERT INTO about(name, value) VALUES (?, ?)", (_MARK, mark))
        return None
    place: dict[str, Any] = json.loads(row[0])
    if place["source"] != source.name:
        raise DataError(
            f"`{target.name}` is an unfinished copy of `{place['source']}`",
            f"end that first: `reasoning store copy {place['source']} …`, or name another target",
        )
    return place


def _tables(store: Store) -> list[_Table]:
    """What is copied, whatever refers to another table after that one."""
    names = [name for name in store.tables() if not name.startswith(_NOT_COPIED)]
    links = {name: store.links(name) for name in names}
    order = TopologicalSorter({name: {other for _, other, _ in links[name]} - {name} for name in names})
    found = []
    order.prepare()
    while order.is_active():
        for name in sorted(ready := order.get_ready()):
            columns = store.columns(name)
            key = tuple(column.name for column in columns if column.is_key)
            is_number = len(key) == 1 and next(c for c in columns if c.is_key).type == "INTEGER"
            itself = next((column for column, other, _ in links[name] if other == name), None)
            found.append(
                _Table(name, tuple(column.name for column in columns), key, key[0] if is_number else None, itself)
            )
        order.done(*ready)
    return found


def _batches(store: Store, table: _Table, after: tuple[Any, ...] | None = None) -> Iterator[list[_Row]]:
    """The rows of a table behind a key, in the order of keys. One whose rows refer to each other is one batch, what is
    referred to first."""
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    conditions = ["1 = 1"]
    if table.name == "about":
        conditions.append(f"name NOT IN ({', '.join(repr(name) for name in _OWN)})")
    if table.itself is not None:
        found = store.tuples(f"SELECT {columns} FROM {table.name} ORDER BY {table.itself} IS NOT NULL, {key}")
        if batch := [row for rows in found for row in rows]:
            yield batch
        return
    places = ", ".join(f":key{number}" for number in range(len(table.key)))
    while True:
        behind = [f"({key}) > ({places})"] if after is not None else []
        values: dict[str, Value] = {f"key{number}": value for number, value in enumerate(after or ())}
        found = store.tuples(
            f"SELECT {columns} FROM {table.name} WHERE {' AND '.join([*conditions, *behind])} ORDER BY {key}"
            f" LIMIT {_AT_ONCE}",
            values,
            at_once=_AT_ONCE,
        )
        batch = [row for rows in found for row in rows]
        if not batch:
            return
        yield batch
        after = table.key_of(batch[-1])


def _rows(store: Store, table: _Table) -> Iterator[_Row]:
    for batch in _batches(store, table):
        yield from sorted(batch, key=table.key_of) if table.itself is not None else batch


def _compare(
    source: Store, target: Store, tables: Sequence[_Table], on_progress: Progress, total: int
) -> tuple[list[TableCopied], int]:
    """Every row against its own on the other side; what differs is brought over, and how many that were."""
    compared, differing, done = [], 0, 0
    for table in tables:
        digest, count = blake2b(digest_size=16), 0
        changes: list[tuple[str, dict[str, Value]]] = []
        for ours, theirs in _pairs(_rows(source, table), _rows(target, table), table.key_of):
            if ours is None:
                assert theirs is not None
                gone = table.named(theirs)
                changes.append((table.delete, {name: gone[name] for name in table.key}))
                continue
            digest.update(repr(ours).encode("utf-8", "surrogatepass"))
            count += 1
            if theirs is None:
                changes.append((table.insert, table.named(ours)))
            elif not _are_same(ours, theirs):
                changes.append((table.update, table.named(ours)))
            if count % _AT_ONCE == 0:
                on_progress("comparing", min(done + count, total), total)
        for start in range(0, len(changes), _AT_ONCE):
            with target.transaction() as connection:
                for statement, row in changes[start : start + _AT_ONCE]:
                    connection.execute(statement, row)
        done += count
        differing += len(changes)
        compared.append(TableCopied(table.name, count, digest.hexdigest()))
    return compared, differing


def _are_same(ours: _Row, theirs: _Row) -> bool:
    """Whether two rows have the same values of the same types: 1 is not 1.0, and what is not a number is itself."""
    return (ours == theirs and [*map(type, ours)] == [*map(type, theirs)]) or repr(ours) == repr(theirs)


def _pairs(
    ours: Iterator[_Row], theirs: Iterator[_Row], key_of: Callable[[_Row], tuple[Any, ...]]
) -> Iterator[tuple[_Row | None, _Row | None]]:
    """The rows of two tables by key, None where one side has none of that key."""
    left, right = next(ours, None), next(theirs, None)
    while left is not None or right is not None:
        if right is None or (left is not None and key_of(left) < key_of(right)):
            yield left, None
            left = next(ours, None)
        elif left is None or key_of(right) < key_of(left):
            yield None, right
            right = next(theirs, None)
        else:
            yield left, right
            left, right = next(ours, None), next(theirs, None)


def _number_on(source: Store, target: Store, tables: Sequence[_Table]) -> None:
    """New rows of the target get numbers that no row of the source ever had."""
    with target.transaction() as connection:
        for table in tables:
            if table.number is not None:
                highest = source.highest_number(table.name, table.number)
                target.set_highest_number(connection, table.name, table.number, highest)


def _key_written(key: tuple[Any, ...]) -> list[Any]:
    return [{"hex": value.hex()} if isinstance(value, bytes) else value for value in key]


def _key_read(written: list[Any] | None) -> tuple[Any, ...] | None:
    if written is None:
        return None
    return tuple(bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in written)
