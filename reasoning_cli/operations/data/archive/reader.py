"""Reading the files of an archive: only what ours are written with, and only of this realm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reasoning_cli.errors import DataError
from reasoning_cli.operations.data.parquet_pages import OURS, PageError, opened, pyarrow_of

REALM = b"reasoning.realm"
# How the database calls columns of times.
_MOMENT = "_at"
# What has been in every file from the first version on, and tells which sample a row is.
_NEEDED = {
    *("seq", "id", "created_at", "model_type", "model", "source", "origin", "agent_id", "agent_name", "room_id"),
    *("entity_id", "metadata", "prompt", "output"),
}
HINT = "give what `reasoning data archive` wrote"


def read_rows(path: Path, columns: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
    """The rows of a file, some at a time. `columns` are those that may stand in it, with SQLite's types."""
    with _archive(path, columns) as file:
        yield from file.rows(moments_as_ms=True)


def check_file(path: Path, columns: Mapping[str, str], realm: str) -> None:
    """Raise DataError for a file that is not an archive of this realm, or cannot be read in bounded memory."""
    with _archive(path, columns) as file:
        held = (file.schema.metadata or {}).get(REALM, b"").decode("utf-8", "replace")
    if held != realm:
        raise DataError(f"`{path}` holds {held or 'no'} data of ours, not {realm} data; the two never mix", HINT)


def types_of(columns: Mapping[str, str]) -> dict[str, Any]:
    """The columns with their types in a file: what the database holds as milliseconds is a timestamp there."""
    pyarrow, _ = pyarrow_of()
    moment = pyarrow.timestamp("ms", tz="UTC")
    types = {"INTEGER": pyarrow.int64(), "REAL": pyarrow.float64(), "BLOB": pyarrow.binary()}
    return {
        name: moment if name.endswith(_MOMENT) and kind == "INTEGER" else types.get(kind, pyarrow.string())
        for name, kind in columns.items()
    }


@contextmanager
def _archive(path: Path, columns: Mapping[str, str]) -> Iterator[Any]:
    try:
        with opened(path, OURS) as file:
            check_columns(str(path), file.schema, columns)
            yield file
    except PageError as error:
        raise DataError(f"`{path}` cannot be read as an archive: {error}", HINT) from None


def check_columns(name: str, schema: Any, columns: Mapping[str, str]) -> None:
    """DataError for columns of a later version, PageError for those of a file that is none of ours."""
    unknown = sorted(set(schema.names) - set(columns))
    if unknown:
        raise DataError(
            f"`{name}` holds columns this database does not know: {', '.join(unknown[:5])}",
            "it was written by a newer `reasoning`: upgrade it with `pip install --upgrade reasoning`",
        )
    if missing := sorted(_NEEDED.difference(schema.names)):
        raise PageError(f"there is no column `{missing[0]}`")
    if len(schema.names) != len(set(schema.names)):
        raise PageError("a column stands there twice")
    pyarrow, _ = pyarrow_of()
    types = types_of(columns)
    for field in schema:
        # Earlier versions wrote moments as the numbers they are in the database.
        as_number = pyarrow.types.is_timestamp(types[field.name]) and field.type == pyarrow.int64()
        if field.type != types[field.name] and not as_number:
            raise PageError(f"`{field.name}` is {field.type}, not {types[field.name]}")
