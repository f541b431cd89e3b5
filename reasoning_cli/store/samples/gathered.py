"""The small columns of samples from archives and a log, side by side in one temporary table, to choose by.

DuckDB holds it in a file and sorts on the disk, so that fifty million rows take no more memory than a million. The
statements are those of the training log, in the words that PostgreSQL and DuckDB share. A day is added at a time, its
samples numbered in the order of their times, so that nothing is ever sorted whole.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.store.database import Parameters, Row, Store
from reasoning_cli.store.dialect import arguments, statement
from reasoning_cli.store.samples.training_log import SampleFilter, conditions_of, where

# By name, with DuckDB's types. `seq` is the number here, `log_seq` that in the log; a sample stands in the row `place`
# of the file `part`, or with `part` -1 in the log.
SMALL: dict[str, str] = {
    "id": "VARCHAR",
    "created_at": "BIGINT",
    "model_type": "VARCHAR",
    "source": "VARCHAR",
    "origin": "VARCHAR",
    "agent_id": "VARCHAR",
    "agent_name": "VARCHAR",
    "room_id": "VARCHAR",
    "decision": "VARCHAR",
    "label": "VARCHAR",
    "corrected": "VARCHAR",
    "confidence": "DOUBLE",
    "prompt_hash": "BLOB",
    "shape_hash": "BLOB",
    "prompt_chars": "BIGINT",
    "output_chars": "BIGINT",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "conversation": "BOOLEAN",
}
_MEMORY = "600MB"
_THREADS = 2


class GatheredSamples:
    """The table; it answers what a store answers of its samples, as far as small columns tell."""

    def __init__(self, folder: Path) -> None:
        try:
            import duckdb
        except ImportError:
            raise ReasoningError(
                "reading archives needs duckdb, which is not installed", "`pip install 'reasoning[datasets]'`"
            ) from None
        self._errors, self._folder = duckdb.Error, folder
        self._connection = duckdb.connect(
            str(folder / "samples.duckdb"),
            config={
                "memory_limit": _MEMORY,
                "threads": str(_THREADS),
                "temp_directory": str(folder / "spill"),
                "autoinstall_known_extensions": "false",
            },
        )
        columns = ", ".join(f"{name} {kind}" for name, kind in SMALL.items())
        self._connection.execute(
            f"CREATE TABLE samples(seq BIGINT, log_seq BIGINT, part INTEGER, place INTEGER, {columns})"
        )
        self._count = 0
        self.source_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def add_day(self, tables: Sequence[Any], logged: Any | None, wanted: SampleFilter) -> None:
        """Add what is wanted of a day: tables of pyarrow with the small columns, `seq`, `part` and `place`. What
        stands in the log as well is taken from there."""
        # The number is the row's within all; the log's own stands beside it.
        named = ", ".join(SMALL)
        sources = [f"SELECT seq, part, place, {named} FROM part_{number}" for number, _ in enumerate(tables)]
        for number, table in enumerate(tables):
            self._connection.register(f"part_{number}", table)
        if logged is not None:
            self._connection.register("logged", logged)
            sources = [f"{source} WHERE id NOT IN (SELECT id FROM logged)" for source in sources]
            sources.append(f"SELECT seq, part, place, {named} FROM logged")
        conditions, parameters = conditions_of(wanted)
        sql, names = statement(
            f"INSERT INTO samples SELECT {self._count} + row_number() OVER (ORDER BY created_at, seq, id) - 1,"
            f" seq, part, place, {named} FROM ({' UNION ALL '.join(sources)}) AS found {where(conditions)}"
            " ORDER BY created_at, found.seq, id"
        )
        with self._explained():
            self._connection.execute(sql, list(arguments(names, parameters)))
        self._count = self.number("SELECT count(*) FROM samples")
        for name in [
            *(f"part_{number}" for number, _ in enumerate(tables)),
            *(["logged"] if logged is not None else []),
        ]:
            self._connection.unregister(name)

    def of_part(self, part: int) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """The samples of a file (of the log: -1) in their order: places in it, numbers here, numbers in the log."""
        columns = array("q"), array("q"), array("q")
        sql = "SELECT place, seq, log_seq FROM samples WHERE part = :part ORDER BY seq"
        for rows in self.tuples(sql, {"part": part}):
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.extend(values)
        return columns

    def rows(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        """The rows of a query."""
        for part in self.tuples(sql, parameters):
            yield from part

    def tuples(self, sql: str, parameters: Parameters = (), *, at_once: int = 4000) -> Iterator[list[Any]]:
        """The rows of a query, so many at once."""
        with self._explained():
            found = self._found(sql, parameters)
            while part := found.fetchmany(at_once):
                yield part

    def row(self, sql: str, parameters: Parameters = ()) -> Any:
        """The first row, None where there is none."""
        with self._explained():
            return self._found(sql, parameters).fetchone()

    def number(self, sql: str, parameters: Parameters = ()) -> int:
        """The one number of a query."""
        return int(self.row(sql, parameters)[0] or 0)

    def _found(self, sql: str, parameters: Parameters) -> Any:
        written, names = statement(sql)
        return self._connection.cursor().execute(written, list(arguments(names, parameters)))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever statement it is that finds no room: sorting takes some, too."""
        try:
            yield
        except self._errors as error:
            raise DataError(
                f"samples could not be gathered: {error}",
                f"free some space in `{self._folder.parent}`, or name another folder: `TMPDIR=FOLDER`",
            ) from error

    def size_bytes(self) -> int:
        """What the files take that they were gathered of."""
        return self.source_bytes


def logged_rows(store: Store, since_ms: int, until_ms: int) -> Iterator[list[tuple[Any, ...]]]:
    """The small columns of the log's samples of a time, behind their `seq`, in the order of `SMALL`."""
    columns = ", ".join(name for name in SMALL if name != "conversation")
    return store.tuples(
        f"SELECT seq, {columns}, conversation IS NOT NULL FROM samples WHERE created_at >= ? AND created_at < ?"
        " ORDER BY created_at, seq",
        (since_ms, until_ms),
        at_once=2000,
    )
