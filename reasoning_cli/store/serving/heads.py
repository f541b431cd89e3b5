"""Heads in line: since when each is audited, what its audits found, and why one was taken out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.audit_log import Event, insert_event
from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class HeadInLine:
    """A head, audited since then. One that was taken out answers nothing until it is put in line again."""

    model: str
    since: datetime
    out_at: datetime | None
    why: str | None


@dataclass(frozen=True)
class Audited:
    """A decision that was drawn to be audited: `agrees` is None where the head was not sure, or nothing could be
    compared; `named` whether its message names somebody."""

    number: int
    agrees: bool | None
    named: bool | None


class Heads:
    """The heads in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, model: str) -> HeadInLine | None:
        row = self._store.row("SELECT model, since, out_at, why FROM heads_in_line WHERE model=?", (model,))
        if row is None:
            return None
        return HeadInLine(row[0], from_ms(row[1]), None if row[2] is None else from_ms(row[2]), row[3])

    def put_in_line(self, model: str, at: datetime) -> None:
        """Audit a head from now on, whatever was found before."""
        self._store.write(
            "INSERT INTO heads_in_line(model, since) VALUES (?, ?)"
            " ON CONFLICT(model) DO UPDATE SET since=excluded.since, out_at=NULL, why=NULL",
            (model, to_ms(at)),
        )

    def take_out(self, model: str, since: datetime, event: Event, why: str) -> bool:
        """Take a head out of its line, with the event that says so; False where it is out already."""
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO heads_in_line(model, since) VALUES (?, ?) ON CONFLICT DO NOTHING", (model, to_ms(since))
            )
            changed = connection.execute(
                "UPDATE heads_in_line SET out_at=?, why=? WHERE model=? AND out_at IS NULL",
                (to_ms(event.at), why, model),
            ).rowcount
            if changed:
                insert_event(connection, event)
        return changed == 1

    def audited(self, model_type: str, model: str, since: datetime, after: int = 0) -> Iterator[Audited]:
        """What was drawn of a head's decisions while it answered, as they were stored, behind the number `after`."""
        for number, agrees, named in self._store.rows(
            "SELECT number, agrees, named FROM attempts WHERE model_type=? AND at>=? AND model=?"
            " AND mode IN ('live', 'canary') AND number>? ORDER BY number",
            (model_type, to_ms(since), model, after),
        ):
            yield Audited(number, None if agrees is None else bool(agrees), None if named is None else bool(named))

    def withheld(self, model_type: str, model: str, since: datetime, until: datetime) -> int:
        """How many decisions a head was sure of and did not answer: it was audited, or only compared."""
        return self._store.number(
            "SELECT count(*) FROM attempts WHERE model_type=? AND at>=? AND at<? AND model=? AND failure IS NULL",
            (model_type, to_ms(since), to_ms(until), model),
        )
