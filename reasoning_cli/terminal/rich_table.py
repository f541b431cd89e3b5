"""Tables on a terminal, by Rich: the one column that gives way is cut, the others stay whole, and nothing wraps.

What others wrote is always a `Text`, which is never read as markup. Loaded by a terminal alone: a pipe needs none of it
(`table`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reasoning_cli.terminal.listing import Column, Kind
from reasoning_cli.terminal.styles import Cell, marked, rich_style
from reasoning_cli.terminal.table import chosen, room_for
from reasoning_cli.terminal.units import bar

Row = TypeVar("Row")

BLOCKS_BELOW = 60  # columns of a terminal
_BAR = 10
_INDENT = 2
_BLANKS = re.compile(r"(?: |\x1b\[[\d;]*m *\x1b\[0m)+$")  # at a line's end, the faint ones between columns too
_UNSAID = ("", "–")  # no value: not worth a line of a block

# The look of a heading: bold words over a faint line.
_HEADING = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}


@dataclass(frozen=True)
class _Tail:
    """A name as much of its end as fits: of `slug/name` the end tells more. Rich itself cuts ends only."""

    text: str
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text, size = self.text, options.max_width
        if cell_len(text) > size:
            text = f"…{chop_cells(text[::-1], size - 1)[0][::-1]}" if size > 1 else "…"
        yield _text(text, self.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, cell_len(self.text)))


class _Drawn(Generic[Row]):
    """The cells of a listing as a terminal shows them: states with their symbol, shares with a bar."""

    def __init__(self, columns: Sequence[Column[Row]], cells: Sequence[Sequence[Cell]], rows: Sequence[Row]) -> None:
        self.columns = columns
        self.cells = [
            [self._cell(column, cell, row) for column, cell in zip(columns, line, strict=True)]
            for line, row in zip(cells, rows, strict=True)
        ]
        self.widths = [
            max(cell_len(column.header or ""), *(cell_len(line[place][0]) for line in self.cells))
            for place, column in enumerate(columns)
        ]

    @staticmethod
    def _cell(column: Column[Row], cell: Cell, row: Row) -> Cell:
        text, style = cell
        if text in _UNSAID:
            return text, "dim"
        if column.kind is Kind.STATE:
            return marked(text, style), style
        if column.kind is Kind.SHARE and isinstance(share := column.value(row), float):
            return f"{bar(share, _BAR)} {text:>5}", style
        return text, style

    def table(self, places: Sequence[int]) -> Table:
        """The columns at `places`, a line each row."""
        table = Table(header_style="", border_style=rich_style("dim"), **_HEADING)  # type: ignore[arg-type]
        for place in places:
            column = self.columns[place]
            table.add_column(
                _text(column.header or "", "header"),
                justify="right" if column.kind.right else "left",
                no_wrap=not column.gives_way,
                overflow="ellipsis",
                min_width=room_for(column, self.widths[place]) if column.gives_way else None,
            )
        for line in self.cells:
            table.add_row(*(_shown(self.columns[place], line[place]) for place in places))
        return table

    def blocks(self) -> RenderableType:
        """A small block each row: its first value, and below it what else is known, a line each."""
        labels = max((cell_len(column.header or "") for column in self.columns[1:]), default=0)
        blocks: list[RenderableType] = []
        for number, line in enumerate(self.cells):
            title = line[0][0]
            if self.columns[0].kind is Kind.NUMBER:
                title = f"{self.columns[0].header} {title}"
            values = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
            values.add_column(min_width=labels, no_wrap=True)
            values.add_column(overflow="ellipsis")
            for column, cell in zip(self.columns[1:], line[1:], strict=True):
                if cell[0] not in _UNSAID:
                    values.add_row(_text(column.header or "", "dim"), _shown(column, cell))
            blocks += [Text("")] if number else []
            blocks += [_shown(self.columns[0], (title, "header")), Padding(values, (0, 0, 0, _INDENT))]
        return Group(*blocks)


def draw(
    console: Console, columns: Sequence[Column[Row]], cells: Sequence[Sequence[Cell]], rows: Sequence[Row]
) -> list[str]:
    """The lines of a listing on `console`, none wider than it: a table, or where that has no room a block a row."""
    drawn = _Drawn(columns, cells, rows)
    places = chosen(columns, drawn.widths, console.width)
    too_narrow = places is None or console.width < BLOCKS_BELOW
    return _lines(console, drawn.blocks() if too_narrow or places is None else drawn.table(places))


def draw_beside(
    console: Console, rows: Sequence[tuple[Cell, Sequence[str], str]], *, indent: int = 0, gap: int
) -> list[str]:
    """Labels, and beside each the lines of its text in a style."""
    table = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    for label, lines, style in rows:
        table.add_row(_text(*label), Text("\n").join(_text(line, style) for line in lines))
    # A command to copy stays whole where it is longer than the terminal: the lines are as wide as they are.
    widest = max((cell_len(line) for _, lines, _ in rows for line in lines), default=0)
    labels = max((cell_len(label[0]) for label, _, _ in rows), default=0)
    console.width = max(console.width, indent + labels + gap + widest)
    return _lines(console, Padding(table, (0, 0, 0, indent)))


def _shown(column: Column[Row], cell: Cell) -> RenderableType:
    text, style = cell
    return _Tail(text, style) if column.gives_way and not column.prose else _text(text, style)


def _text(text: str, style: str) -> Text:
    """A style for the words alone, not for the blanks beside them: those are taken off a line's end."""
    made = Text(no_wrap=True, overflow="ellipsis")
    made.append(text, rich_style(style) or None)
    return made


def _lines(console: Console, shown: RenderableType) -> list[str]:
    with console.capture() as captured:
        console.print(shown)
    return [_BLANKS.sub("", line) for line in captured.get().removesuffix("\n").split("\n")]
