"""Rows and columns, described once, so that the table a person reads and the JSON a script reads cannot differ."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from reasoning_cli.spreadsheet import cell
from reasoning_cli.terminal.units import iso

Row = TypeVar("Row")

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


class Format(StrEnum):
    """What a listing can be written as."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"


class Kind(StrEnum):
    """What a column holds, and so how a table shows it."""

    TEXT = "text"
    NUMBER = "number"  # to the right; money, durations and counts alike
    SHARE = "share"  # a share of one: the same, with a bar on a terminal
    STATE = "state"  # in its colour, and on a terminal with a sign that says the same

    @property
    def right(self) -> bool:
        return self in (Kind.NUMBER, Kind.SHARE)


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column: its stable `key` for machines, its `header` for people, and how to get at both values.

    `value` is what JSON and CSV hold; `text` what a table shows (default: the value as text). A column without
    header is for machines only. Where there is no room for all, columns go by `priority`: 1 stays, 2 goes last, and
    from 5 on they go before another is cut. One column of a table `gives_way`: it is cut, a name losing its beginning
    and what is `prose` its end, while the others stay whole.
    """

    key: str
    value: Callable[[Row], object]
    header: str | None = None
    text: Callable[[Row], str] | None = None
    kind: Kind = Kind.TEXT
    priority: int = 1
    gives_way: bool = False
    prose: bool = False
    style: Callable[[Row], str] | None = None

    def cell(self, row: Row) -> str:
        """What a person sees."""
        if self.text is not None:
            return self.text(row)
        value = self.value(row)
        return "–" if value is None else str(value)


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """Columns and rows, and which value is a row's id (`--quiet`). What is `exact` keeps the passwords that stand in
    addresses in it: what agents said is what it is."""

    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    id: Callable[[Row], str]
    exact: bool = False

    def records(self) -> list[dict[str, object]]:
        """The rows as machines read them."""
        return [{column.key: plain(column.value(row)) for column in self.columns} for row in self.rows]


def plain(value: object) -> object:
    """A value as JSON holds it: times in UTC, exact decimals as strings, durations in seconds."""
    match value:
        case datetime():
            return iso(value)
        case timedelta():
            return int(value.total_seconds())
        case Decimal() | Path():
            return str(value)
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value


def to_json(value: object) -> str:
    """One JSON document, indented, characters as they are."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False)


def to_json_lines(records: Iterable[dict[str, object]]) -> str:
    """One JSON object a line."""
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


def json_escaped(text: str) -> str:
    """JSON that says the same in ASCII: only strings hold other characters, and there each has an escape."""
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def to_separated(
    keys: Sequence[str],
    records: Iterable[Mapping[str, object]],
    fmt: Format,
    clean: Callable[[str], str] | None = None,
) -> str:
    """CSV (RFC 4180 quoting) or TSV with a header line; empty for none. Text that a spreadsheet would run gets an
    apostrophe before it; `clean` is what each cell passes besides."""
    import csv
    import io

    def line(cells: Iterable[str]) -> str:
        # With this end the writer quotes both of its characters: a cell with one must not begin another row.
        out = io.StringIO()
        csv.writer(out, delimiter="\t" if fmt is Format.TSV else ",", lineterminator="\r\n").writerow(cells)
        return out.getvalue().removesuffix("\r\n")

    lines = [line(keys)]
    for record in records:
        cells = ("" if record[key] is None else _flat(record[key]) for key in keys)
        lines.append(line(map(clean, cells) if clean else cells))
    return "\n".join(lines)


def _flat(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return cell(value) if isinstance(value, str) else str(value)
