"""What stands in a database that no step of ours made: a trigger in a file of others would run with our next write.

SQLite keeps the text of whatever was made. Played through once more in memory, the steps up to the version of a file
give the very same texts, so what differs is not ours.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from reasoning_cli.store import migrations

# Made by libraries, each version of which may write it in other words: any plain list of columns will do.
_LIBRARIES = re.compile(
    r"_sqlite_migrations|idx__sqlite_migrations_migration_set_name"
    r"|samples_words_(?:data|idx|content|docsize|config)|sqlite_stat[134]"
)
_PLAIN = re.compile(
    r"CREATE (?:TABLE|UNIQUE INDEX) [^()]*\((?:[^()]|PRIMARY KEY ?\([\w, ]*\))*\)(?: WITHOUT ROWID)?", re.IGNORECASE
)
_SHOWN = 3


@dataclass(frozen=True)
class Stranger:
    """One thing in a database that is not as our steps make it: not ours at all, another than ours, or missing."""

    kind: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"the {self.kind} `{self.name}`, which {self.what}"

    def cure(self, path: Path) -> str:
        """What to type about it."""
        if self.what != _FOREIGN:
            return "put a copy back that is sound: `reasoning data restore FILE`"
        quoted = self.name.replace('"', '""')
        statement = f'DROP {self.kind.upper()} "{quoted}"'
        return f"sqlite3 {shlex.quote(str(path))} {shlex.quote(statement)}"


_FOREIGN = "this program did not make"


def strangers(connection: sqlite3.Connection) -> list[Stranger]:
    """What differs from a database of ours of the same version; of a version that is not known here, nothing is said.

    Only the list of what there is gets read: nothing that stands in the file is run.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > migrations.VERSION:
        return []
    found = _objects(connection)
    ours = _made(version, with_search=("table", "samples_words") in found)
    strange = []
    for key, text in found.items():
        kind, name = key
        if key in ours:
            if text != ours[key]:
                strange.append(Stranger(kind, name, "is not as this program makes it"))
        elif not (_LIBRARIES.fullmatch(name) and _PLAIN.fullmatch(text)):
            strange.append(Stranger(kind, name, _FOREIGN))
    strange += [Stranger(*key, "is missing") for key in ours if key not in found]
    return strange


def listed(found: list[Stranger]) -> str:
    """The first few in words."""
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(map(str, found[:_SHOWN])) + more


def _made(version: int, *, with_search: bool) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for _, script in migrations.STEPS[:version]:
            for statement in migrations.statements(script):
                connection.execute(statement)
        for statement in migrations.SEARCH if with_search else ():
            connection.execute(statement)
        return {key: text for key, text in _objects(connection).items() if not _LIBRARIES.fullmatch(key[1])}


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Kind and name of each thing with the text it was made by, the table first where the text does not name it."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid")
    return {(str(kind), str(name)): str(text) if text else f"of {table}" for kind, name, table, text in rows}
