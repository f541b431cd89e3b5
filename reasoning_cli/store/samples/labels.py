"""What people said of samples: the label as it is now, and every change of it with who, when and what it was.

A label and its history change in one transaction, so a process that dies leaves both or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Connection, Row, Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms

_INSERT = (
    "INSERT INTO labels(sample_seq, at, by, label, answer, was_label, was_answer, note, undoes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_HISTORY = (
    "SELECT labels.number, samples.id, labels.at, labels.by, labels.label, labels.answer, labels.was_label,"
    " labels.was_answer, labels.note, labels.undoes FROM labels JOIN samples ON samples.seq = labels.sample_seq"
)


@dataclass(frozen=True)
class Labelling:
    """A label for one sample: `good`, `bad`, `corrected` or None, and the answer that belongs to `corrected`."""

    sample_id: str
    label: str | None
    answer: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class LabelRecord:
    """One change of a label, as it is kept. `undoes` is the number of the change that this one took back."""

    number: int
    sample_id: str
    at: datetime
    by: str
    label: str | None
    answer: str | None
    was_label: str | None
    was_answer: str | None
    note: str | None
    undoes: int | None


class Labels:
    """The labels in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(self, labellings: Sequence[Labelling], *, at: datetime, by: str) -> list[int | None]:
        """Label samples in one transaction; the number each change is kept under.

        None stands for a sample that had that label, or that is gone.
        """
        numbers: list[int | None] = []
        with self._store.transaction() as connection:
            for labelling in labellings:
                row = connection.execute(
                    "SELECT seq, label, corrected FROM samples WHERE id = ?", (labelling.sample_id,)
                ).fetchone()
                if row is None or (
                    (row["label"], row["corrected"]) == (labelling.label, labelling.answer) and not labelling.note
                ):
                    numbers.append(None)
                    continue
                numbers.append(_change(connection, row, labelling.label, labelling.answer, at, by, note=labelling.note))
        return numbers

    def undo(self, number: int, *, at: datetime, by: str) -> bool:
        """Give a sample back what it was before that change; False when it was changed anew since, or is gone."""
        with self._store.transaction() as connection:
            change = connection.execute("SELECT * FROM labels WHERE number = ?", (number,)).fetchone()
            if change is None:
                return False
            seq = change["sample_seq"]
            row = connection.execute("SELECT seq, label, corrected FROM samples WHERE seq = ?", (seq,)).fetchone()
            if (row["label"], row["corrected"]) != (change["label"], change["answer"]):
                return False
            later = connection.execute("SELECT number, undoes FROM labels WHERE sample_seq = ?", (seq,)).fetchall()
            undone = {change["undoes"] for change in later}
            standing = [
                change["number"] for change in later if change["undoes"] is None and change["number"] not in undone
            ]
            if not standing or max(standing) != number:
                return False
            _change(connection, row, change["was_label"], change["was_answer"], at, by, undoes=number)
            return True

    def history(
        self, sample_id: str | None = None, *, by: str | None = None, before: int | None = None, limit: int = -1
    ) -> list[LabelRecord]:
        """Changes, newest first: of one sample or of all, by one person or by all, those before a number."""
        rows = self._store.rows(
            f"{_HISTORY} WHERE (labels.sample_seq = (SELECT seq FROM samples WHERE id = :sample) OR :sample IS NULL)"
            " AND (labels.by = :by OR :by IS NULL) AND (labels.number < :before OR :before IS NULL)"
            " ORDER BY labels.number DESC LIMIT :limit",
            {"sample": sample_id, "by": by, "before": before, "limit": limit},
        )
        return [LabelRecord(number, sample, from_ms(at), *rest) for number, sample, at, *rest in rows]


def _change(
    connection: Connection,
    row: Row,
    label: str | None,
    answer: str | None,
    at: datetime,
    by: str,
    *,
    note: str | None = None,
    undoes: int | None = None,
) -> int:
    """Change one sample and write its history; `row` holds its number and what it was."""
    connection.execute("UPDATE samples SET label = ?, corrected = ? WHERE seq = ?", (label, answer, row["seq"]))
    values: tuple[Value, ...] = (
        *(row["seq"], to_ms(at), by, label, answer),
        *(row["label"], row["corrected"], note, undoes),
    )
    return int(connection.execute(_INSERT, values).lastrowid or 0)
