"""Changing and deleting the text of stored samples so that the old text is gone from the file.

SQLite leaves deleted text in free space unless it is told to write zeros over it, and in the write-ahead log until
that is cut; a search index keeps words of deleted rows until its parts are merged. All three are seen to here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.samples.retention import Step, small_steps
from reasoning_cli.store.samples.training_log import Sample, derived

# What belongs to samples and holds text of theirs: table, its key, the column that names the sample and how, texts.
_BESIDE = (
    ("labels", "number", "sample_seq", "seq", ("answer", "was_answer", "note")),
    ("attempts", "number", "sample_id", "id", ("output",)),
    ("evaluation_answers", "number", "sample_seq", "seq", ("output",)),
)


@dataclass(frozen=True)
class Beside:
    """A row that belongs to a sample: a label or the answer of another model, with the texts in it by column."""

    table: str
    key: int
    texts: dict[str, str]


def log_salt(store: Store) -> bytes:
    """What placeholders in this log are made with: the same over all runs, made when it is first asked for."""
    store.write(
        "INSERT INTO about(name, value) VALUES ('redaction', ?) ON CONFLICT DO NOTHING", (secrets.token_hex(32),)
    )
    row = store.row("SELECT value FROM about WHERE name = 'redaction'")
    assert row is not None
    return bytes.fromhex(row[0])


@contextmanager
def erasing(store: Store) -> Iterator[Step]:
    """Inside, what is changed or deleted is written over; at the end search index and write-ahead log follow."""
    with store.overwriting(), small_steps(store) as step:
        yield step
        for table in store.word_indexes():
            _merge_index(store, step, table)


def _merge_index(store: Store, step: Step, table: str) -> None:
    """Bring a search index into one part, some pages at a time: only then do the words of deleted rows go."""
    pages = -200  # below zero: parts that were merged before take part again
    changes = 2
    while changes >= 2:  # one is the command itself
        before = store.connection.total_changes
        with step.holding(1):
            store.write(f"INSERT INTO {table}({table}, rank) VALUES ('merge', ?)", (pages,))
        changes, pages = store.connection.total_changes - before, abs(pages)
    step.give_back()


def beside(store: Store, samples: Sequence[Sample]) -> dict[int, list[Beside]]:
    """The rows that belong to these samples and hold text, by the sample's `seq`."""
    found: dict[int, list[Beside]] = {}
    numbers = json.dumps([sample.seq for sample in samples])
    for table, key, sample_column, named, columns in _BESIDE:
        for row in store.rows(
            f"SELECT samples.seq AS sample, {table}.{key} AS key, {', '.join(f'{table}.{name}' for name in columns)}"
            f" FROM samples JOIN {table} ON {table}.{sample_column} = samples.{named}"
            " WHERE samples.seq IN (SELECT value FROM json_each(?))",
            (numbers,),
        ):
            texts = {column: row[column] for column in columns if row[column] is not None}
            found.setdefault(row["sample"], []).append(Beside(table, row["key"], texts))
    return found


def replace_texts(
    store: Store, step: Step, samples: Sequence[tuple[Sample, Sample]], rows: Iterable[Beside] = ()
) -> None:
    """Put each second sample's texts in the place of the first's, and the rows beside them, in one transaction.

    Of `corrected`, `feedback` and `metadata` a value that somebody changed in the meantime stays.
    """
    with step.holding(len(samples)), store.transaction() as connection:
        for old, new in samples:
            connection.execute(
                "UPDATE samples SET prompt = :prompt, output = :output, system = :system,"
                " conversation = :conversation, entity_id = :entity_id, reply_targets = :reply_targets,"
                " spoke_before = :spoke_before,"
                " corrected = CASE WHEN corrected IS :was_corrected THEN :corrected ELSE corrected END,"
                " feedback = CASE WHEN feedback IS :was_feedback THEN :feedback ELSE feedback END,"
                " metadata = CASE WHEN metadata IS :was_metadata THEN :metadata ELSE metadata END,"
                " prompt_hash = :prompt_hash, shape_hash = :shape_hash,"
                " prompt_chars = :prompt_chars, output_chars = :output_chars WHERE seq = :seq",
                _values(old, new),
            )
        for row in rows:
            connection.execute(
                f"UPDATE {row.table} SET {', '.join(f'{column} = ?' for column in row.texts)} WHERE number = ?",
                (*row.texts.values(), row.key),
            )


def _values(old: Sample, new: Sample) -> dict[str, Value]:
    prompt_hash, shape_hash, prompt_chars, output_chars = derived(new)
    was_metadata, metadata = (
        json.dumps(sample.metadata, ensure_ascii=False) if sample.metadata else None for sample in (old, new)
    )
    return {
        "seq": old.seq,
        "prompt": new.prompt,
        "output": new.output,
        "system": new.system,
        "conversation": new.conversation,
        "entity_id": new.entity_id,
        "reply_targets": new.reply_targets,
        "spoke_before": new.spoke_before,
        "corrected": new.corrected,
        "was_corrected": old.corrected,
        "feedback": new.feedback,
        "was_feedback": old.feedback,
        "metadata": metadata,
        "was_metadata": was_metadata,
        "prompt_hash": prompt_hash,
        "shape_hash": shape_hash,
        "prompt_chars": prompt_chars,
        "output_chars": output_chars,
    }
