"""The words of samples on PostgreSQL: found by its own index, and judged by SQLite's, so that a search finds the same
on both engines and shows the same of it.

What a word is, FTS5 says: of each sample the words it makes are kept in a `tsvector`. Of an expression the words that
must be there choose candidates, newest first, and FTS5 in memory tells which of those match, and where.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import cast

from reasoning_cli.errors import DataError
from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.samples.training_log import where

HIT_BEGINS, HIT_ENDS = "\x02", "\x03"
SNIPPET = "snippet(samples_words, -1, :begins, :ends, '…', 24)"

# Number, version, message and answer of a sample.
ReadRow = tuple[int, int, str, str]

_AT_ONCE = 200
_MOST_CHARS = 500  # of a word: a lexeme has 2,046 bytes at the most
_PART = re.compile(r'"((?:[^"]|"")*)"( \*)?|(AND|OR|NOT)')

# It runs as the owner of the index, to which a role that records decisions needs no right.
_NOTING = """CREATE FUNCTION samples_noted() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM samples_words WHERE seq = old.seq;
    DELETE FROM samples_unread WHERE seq = old.seq;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO samples_unread VALUES (new.seq, (random() * 9e15)::bigint);
  END IF;
  RETURN NULL;
END $$"""


class WordsOnPostgres:
    """The index of a store on PostgreSQL."""

    making = (
        'CREATE TABLE samples_words(seq BIGINT PRIMARY KEY, message TEXT COLLATE "C" NOT NULL,'
        ' answer TEXT COLLATE "C" NOT NULL, words TSVECTOR NOT NULL)',
        "CREATE INDEX samples_words_words ON samples_words USING gin(words)",
        "CREATE TABLE samples_unread(seq BIGINT PRIMARY KEY, version BIGINT NOT NULL)",
        "INSERT INTO samples_unread SELECT seq, 0 FROM samples",
        _NOTING,
        "CREATE TRIGGER samples_noted AFTER INSERT OR DELETE ON samples FOR EACH ROW EXECUTE FUNCTION samples_noted()",
        "CREATE TRIGGER samples_changed AFTER UPDATE OF prompt, output, corrected ON samples FOR EACH ROW WHEN"
        " (old.prompt IS DISTINCT FROM new.prompt OR old.output IS DISTINCT FROM new.output"
        " OR old.corrected IS DISTINCT FROM new.corrected) EXECUTE FUNCTION samples_noted()",
    )
    dropping = (
        "DROP TRIGGER IF EXISTS samples_noted ON samples",
        "DROP TRIGGER IF EXISTS samples_changed ON samples",
        "DROP FUNCTION IF EXISTS samples_noted()",
        "DROP TABLE IF EXISTS samples_words",
        "DROP TABLE IF EXISTS samples_unread",
    )
    adding = (
        "INSERT INTO samples_words(seq, message, answer, words)"
        " SELECT seq, ?, ?, array_to_tsvector(ARRAY(SELECT json_array_elements_text(?::json)))"
        " FROM samples_unread WHERE seq = ? AND version = ?"
    )

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def is_made(self) -> bool:
        return bool(self._store.number("SELECT count(*) FROM pg_class WHERE oid = to_regclass('samples_words')"))

    def rows_of(self, rows: Sequence[ReadRow]) -> list[tuple[Value, ...]]:
        with _index() as index:
            _put(index, [(seq, message, answer) for seq, _, message, answer in rows])
            words = _words_in(index)
        return [
            (message, answer, json.dumps(sorted(words.get(seq, ()))), seq, version)
            for seq, version, message, answer in rows
        ]

    def matching(
        self, expression: str, conditions: Sequence[str], parameters: Mapping[str, Value], limit: int
    ) -> dict[int, str]:
        """The newest samples that match, by number, with the words around what was searched for."""
        found: dict[int, str] = {}
        with _index() as index:
            list(_judged(index, expression))  # what makes no sense is said before anything is read
            query = _must_hold(expression)
            candidates = self._store.tuples(
                "SELECT w.seq, w.message, w.answer FROM samples_words AS w JOIN samples ON samples.seq = w.seq"
                f" {where([*(_of_samples(condition) for condition in conditions), 'w.words @@ :query::tsquery'])}"
                " ORDER BY created_at DESC, samples.seq DESC",
                {**parameters, "query": query},
                at_once=_AT_ONCE,
            )
            for batch in candidates:
                index.execute("DELETE FROM samples_words")
                _put(index, cast(list[tuple[int, str, str]], batch))
                judged = dict(_judged(index, expression))
                found |= {seq: judged[seq] for seq, *_ in batch if seq in judged}
                if 0 <= limit <= len(found):
                    break
        return dict(list(found.items())[: limit if limit >= 0 else None])


def _of_samples(condition: str) -> str:
    """A condition on samples beside another table that has a `seq` too."""
    return re.sub(r"(?<![\w.:])seq\b", "samples.seq", condition)


@contextmanager
def _index() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(
            'CREATE VIRTUAL TABLE samples_words USING fts5(message, answer, tokenize="unicode61 remove_diacritics 2")'
        )
        connection.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab(samples_words, instance)")
        yield connection


def _put(index: sqlite3.Connection, rows: Sequence[tuple[int, str, str]]) -> None:
    index.executemany("INSERT INTO samples_words(rowid, message, answer) VALUES (?, ?, ?)", rows)


def _words_in(index: sqlite3.Connection) -> dict[int, set[str]]:
    words: dict[int, set[str]] = {}
    for term, number in index.execute("SELECT DISTINCT term, doc FROM vocabulary"):
        words.setdefault(number, set()).add(term[:_MOST_CHARS])
    return words


def _judged(index: sqlite3.Connection, expression: str) -> Iterator[tuple[int, str]]:
    """What is in the index and matches. Raises DataError for an expression that makes no sense."""
    try:
        yield from index.execute(
            f"SELECT rowid, {SNIPPET} FROM samples_words WHERE samples_words MATCH :expression",
            {"expression": expression, "begins": HIT_BEGINS, "ends": HIT_ENDS},
        )
    except sqlite3.OperationalError as error:
        raise DataError(f"the search makes no sense: {error}") from error


def _must_hold(expression: str) -> str:
    """The words without which nothing matches, as a `tsquery`: all of them, and where OR stands any; no words that are
    to be missing."""
    parts, without, any_will_do = [], False, False
    for phrase, star, operator in _PART.findall(expression):
        if operator:
            without, any_will_do = operator == "NOT", any_will_do or operator == "OR"
        elif not without:
            parts.append((phrase.replace('""', '"'), bool(star)))
        else:
            without = False
    with _index() as index:
        queries = [query for number, part in enumerate(parts) if (query := _query_of(index, number, *part))]
    return (" | " if any_will_do else " & ").join(queries)


def _query_of(index: sqlite3.Connection, number: int, phrase: str, begins: bool) -> str:
    _put(index, [(number, phrase, "")])
    terms = index.execute('SELECT term FROM vocabulary WHERE doc = ? ORDER BY "offset"', (number,)).fetchall()
    quoted = ["'" + term[:_MOST_CHARS].replace("\\", "\\\\").replace("'", "''") + "'" for (term,) in terms]
    if begins and quoted:
        quoted[-1] += ":*"
    return f"({' & '.join(quoted)})" if quoted else ""
