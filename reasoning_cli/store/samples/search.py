"""Full-text search over what people wrote and what was answered, as SQLite's FTS5 understands it.

The index is made when it is first asked for. From then on triggers note every sample that is added or changed as not
read yet, and take the words of one that is changed or deleted out at once, so a search never finds what is gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reasoning_cli.store import migrations
from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.samples.listing import SampleRow, sample_rows
from reasoning_cli.store.samples.retention import Step
from reasoning_cli.store.samples.search_postgres import HIT_BEGINS as HIT_BEGINS
from reasoning_cli.store.samples.search_postgres import HIT_ENDS as HIT_ENDS
from reasoning_cli.store.samples.search_postgres import SNIPPET, ReadRow, WordsOnPostgres
from reasoning_cli.store.samples.training_log import SampleFilter, Samples, where
from reasoning_cli.values import DatabaseAddress

# Model type, prompt and answer (the corrected one where there is one) to what is searched: message and answer.
Words = Callable[[str, str, str], tuple[str, str]]

# So many are read in one transaction, which holds up other writers for some tens of milliseconds.
BATCH = 200

# Scripts written without spaces between words: each of their characters is a word of its own here.
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0002fa1f])")
_BREAK = "\u200b"  # of no width, and no letter to the index


@dataclass(frozen=True)
class Hit:
    """A sample that was found; what was searched for stands in `snippet` between HIT_BEGINS and HIT_ENDS."""

    row: SampleRow
    snippet: str


class Search:
    """The index of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._words = WordsOnPostgres(store) if isinstance(store.place, DatabaseAddress) else _WordsInFile(store)

    @property
    def is_made(self) -> bool:
        return self._words.is_made

    def make(self) -> None:
        """Make the index, with nothing read yet."""
        with self._store.transaction() as connection:
            if not self.is_made:  # another process may have been quicker
                for statement in self._words.making:
                    connection.execute(statement)

    def drop(self) -> None:
        """Take the index away and give its space back; making it again reads all samples anew."""
        with self._store.transaction() as connection:
            for statement in self._words.dropping:
                connection.execute(statement)
        Step(self._store).give_back()

    def unread(self) -> int:
        """How many samples are still to be read."""
        return self._store.number("SELECT count(*) FROM samples_unread")

    def read(self, words: Words) -> Iterator[int]:
        """Read what was not read yet, the newest first, a batch at a time, yielding how many were read so far."""
        done = 0
        while batch := self._read_batch(words):
            done += batch
            yield done

    def _read_batch(self, words: Words) -> int:
        rows = [
            (seq, version, *(spaced(text) for text in words(*texts)))
            for seq, version, *texts in self._store.rows(
                "SELECT samples.seq, version, model_type, prompt, coalesce(corrected, output) FROM samples_unread"
                " JOIN samples ON samples.seq = samples_unread.seq ORDER BY samples_unread.seq DESC LIMIT ?",
                (BATCH,),
            )
        ][::-1]  # FTS5 writes its pages anew whenever a number is lower than the one before
        written = self._words.rows_of(rows)
        with self._store.transaction() as connection:
            # What was changed or deleted since it was read has another version, or none.
            connection.executemany(self._words.adding, written)
            connection.executemany(
                "DELETE FROM samples_unread WHERE seq = ? AND version = ?", [row[:2] for row in rows]
            )
        return len(rows)

    def find(self, expression: str, wanted: SampleFilter, *, after: int | None, limit: int) -> list[Hit]:
        """What matches an FTS5 expression and the filter, newest first."""
        conditions, parameters = Samples(self._store).bounds(wanted)
        if after is not None:
            conditions.append("(created_at, seq) < ((SELECT created_at FROM samples WHERE seq = :after), :after)")
            parameters |= {"after": after}
        snippets = self._words.matching(expression, conditions, parameters, limit)
        found = sample_rows(self._store, list(snippets))
        return [Hit(row, snippets[row.seq].replace(_BREAK, "")) for row in found]


# A word that stands in every third sample is found among the newest: all its places need not be read.
_NEWEST = 5000
_AMONG_NEWEST = """
WITH newest AS MATERIALIZED (
  SELECT seq, created_at FROM samples {where} ORDER BY created_at DESC, seq DESC LIMIT :newest
)
SELECT seq FROM newest WHERE seq IN (
  SELECT rowid FROM samples_words WHERE samples_words MATCH :expression
  AND rowid BETWEEN (SELECT min(seq) FROM newest) AND (SELECT max(seq) FROM newest)
) ORDER BY created_at DESC, seq DESC LIMIT :page
"""


class _WordsInFile:
    """The words of samples in SQLite's own index."""

    making = migrations.SEARCH
    dropping = (
        *(f"DROP TRIGGER IF EXISTS samples_{name}" for name in ("added", "gone", "changed")),
        *(f"DROP TABLE IF EXISTS samples_{name}" for name in ("words", "unread")),
    )
    adding = (
        "INSERT INTO samples_words(rowid, message, answer)"
        " SELECT seq, ?, ? FROM samples_unread WHERE seq = ? AND version = ?"
    )

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def is_made(self) -> bool:
        return bool(self._store.number("SELECT count(*) FROM sqlite_schema WHERE name = 'samples_words'"))

    def rows_of(self, rows: Sequence[ReadRow]) -> list[tuple[Value, ...]]:
        return [(message, answer, seq, version) for seq, version, message, answer in rows]

    def matching(
        self, expression: str, conditions: Sequence[str], parameters: Mapping[str, Value], limit: int
    ) -> dict[int, str]:
        """The newest samples that match, by number, with the words around what was searched for."""
        values = {**parameters, "expression": expression, "page": limit, "newest": _NEWEST}
        numbers = [row["seq"] for row in self._store.rows(_AMONG_NEWEST.format(where=where(conditions)), values)]
        if not 0 <= limit <= len(numbers):
            within = [*conditions, "seq IN (SELECT rowid FROM samples_words WHERE samples_words MATCH :expression)"]
            query = f"SELECT seq FROM samples {where(within)} ORDER BY created_at DESC, seq DESC LIMIT :page"
            numbers = [row["seq"] for row in self._store.rows(query, values)]
        snippets = {
            row[0]: row[1]
            for row in self._store.rows(
                f"SELECT rowid, {SNIPPET} FROM samples_words"
                " WHERE samples_words MATCH :expression AND rowid IN (SELECT value FROM json_each(:numbers))",
                {"expression": expression, "numbers": json.dumps(numbers), "begins": HIT_BEGINS, "ends": HIT_ENDS},
            )
        }
        return {number: snippets[number] for number in numbers if number in snippets}


def spaced(text: str) -> str:
    """A text as the index reads it: scripts without spaces get breaks that nobody sees."""
    return _UNSPACED.sub(rf"{_BREAK}\1{_BREAK}", text.replace(HIT_BEGINS, "").replace(HIT_ENDS, "").replace("\0", ""))
