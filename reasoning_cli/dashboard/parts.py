"""What pages are built of: plain elements with their texts, tables that stay up to date, facts, questions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from reasoning_cli.dashboard.program import Table
from reasoning_cli.terminal.cleaning import visible
from reasoning_cli.terminal.units import duration

Handler = Callable[..., Any]
Button = tuple[str, Handler]

# Of a text that others wrote so much is shown in a cell, and in a text of its own.
_MOST_IN_CELL, MOST_IN_TEXT = 400, 20_000
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b(?!:)")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# Beside the colour of a state stands a sign: not everybody sees colours.
_SIGNS = {"good": "✓", "bad": "✗", "warning": "▲", "going": "◦", "dim": "–"}


def shown(text: str, most: int = MOST_IN_TEXT, but: str = "\n\t") -> str:
    """A text of others as text: what would steer a terminal or turn a line round spelt out, and no more than `most`."""
    cut = visible(text[:most], but=but)
    return f"{cut} … {len(text) - most:,} characters more" if len(text) > most else cut


def write(tag: str, text: str = "", classes: str = "", **attributes: str) -> TextElement:
    """An element with a text in it, which is never markup."""
    element = TextElement(tag=tag, text=text)
    if classes:
        element.classes(classes)
    element.props.update({name.replace("_", "-"): value for name, value in attributes.items()})
    return element


def box(tag: str, classes: str = "", **attributes: str) -> ui.element:
    """An element to put others in."""
    element = ui.element(tag)
    if classes:
        element.classes(classes)
    element.props.update({name.replace("_", "-"): value for name, value in attributes.items()})
    return element


def button(text: str, on_click: Handler, *, main: bool = False, label: str | None = None) -> TextElement:
    """A button; `label` is what it is called where its text alone does not say what it is for."""
    made = write("button", text, f"do{' main' if main else ''}", type="button")
    if label is not None:
        made.props["aria-label"] = label
    made.on("click", on_click, args=[])
    return made


def link(text: str, to: str, classes: str = "", **attributes: str) -> TextElement:
    return write("a", text, classes, href=to, **attributes)


class Field:
    """A labelled input, list of choices or text area; `value` is what stands in it."""

    def __init__(
        self,
        label: str,
        *,
        value: str = "",
        choices: Sequence[tuple[str, str]] | None = None,
        kind: str = "text",
        lines: bool = False,
        wide: bool = False,
        on_change: Handler | None = None,
    ) -> None:
        self.value, self._on_change = value, on_change
        with box("label", f"field{' wide' if wide else ''}"):
            write("span", label)
            if choices is not None:
                self.element = box("select")
                with self.element:
                    for key, text in choices:
                        option = write("option", text, value=key)
                        if key == value:
                            option.props["selected"] = True
            else:
                self.element = box("textarea" if lines else "input")
                if not lines:
                    self.element.props["type"] = kind
                    self.element.props["autocomplete"] = "off"
                self.element.props["value"] = value
        event = "change" if choices is not None else "input"
        self.element.on(event, self._changed, js_handler="(event) => emit(event.target.value)")
        if on_change is not None and choices is None:
            self.element.on("keydown.enter", lambda: on_change(), args=[])

    def _changed(self, event: Any) -> Any:
        self.value = str(event.args)
        is_chosen = self._on_change is not None and self.element.tag == "select"
        return self._on_change() if is_chosen and self._on_change is not None else None


class Zone:
    """The viewer's time zone, once the browser has said it; until then the one of this machine."""

    def __init__(self, name: str | None = None) -> None:
        self._zone: ZoneInfo | None = None
        self.set(name)

    def set(self, name: str | None) -> bool:
        """Whether that is another one than before."""
        try:
            zone = ZoneInfo(name) if name else None
        except (ValueError, OSError, KeyError):
            return False
        changed, self._zone = zone != self._zone, zone
        return changed

    @property
    def name(self) -> str:
        return str(self._zone)

    def moment(self, at: str | datetime, form: str = "%Y-%m-%d %H:%M") -> str:
        """A time as the viewer's clocks show it."""
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
        return found.astimezone(self._zone).strftime(form)

    def respelled(self, text: str) -> str:
        """What a command told a person on this machine, its times as the viewer's clocks show them."""
        return _MOMENT.sub(lambda found: self.moment(datetime.strptime(found[0], "%Y-%m-%d %H:%M").astimezone()), text)

    def ago(self, at: str | datetime, now: datetime) -> str:
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
        return f"{duration(now - found)} ago"


@dataclass(frozen=True)
class Show:
    """A column of a table that a page makes of the records of a JSON document."""

    key: str
    header: str
    number: bool = False
    text: Callable[[Any], str] = lambda value: "–" if value is None else str(value)
    style: Callable[[Mapping[str, Any]], str] = lambda record: ""


def table_of(records: Sequence[Mapping[str, Any]], columns: Sequence[Show], zone: Zone | None = None) -> Table:
    """Records as a table; times of theirs as the viewer's clocks show them."""

    def cell(record: Mapping[str, Any], column: Show) -> str:
        value = record.get(column.key)
        if zone is not None and isinstance(value, str) and _ISO.fullmatch(value):
            return zone.moment(value)
        return column.text(value)

    return Table(
        keys=[column.key for column in columns],
        headers=[column.header for column in columns],
        numbers=[column.number for column in columns],
        records=records,
        cells=[[cell(record, column) for column in columns] for record in records],
        styles=[[column.style(record) for column in columns] for record in records],
    )


class LiveTable:
    """A listing that stays up to date: as long as its rows stay the same ones, only texts that changed are sent."""

    def __init__(
        self,
        caption: str,
        zone: Zone,
        *,
        empty: str,
        buttons: Callable[[Mapping[str, Any]], Sequence[Button]] | None = None,
        row_id: str = "name",
        leave_out: Sequence[str] = (),
        name: str = "",
    ) -> None:
        self._zone, self._buttons, self._row_id, self._leave_out = zone, buttons, row_id, frozenset(leave_out)
        self._shape: object = None
        self._records: Sequence[Mapping[str, Any]] = ()
        self._cells: list[list[TextElement]] = []
        with box("div", "scroll", tabindex="0", role="region", aria_label=caption):
            self._table = box("table", role="table")
            if name:
                self._table.props["data-table"] = name
        self._caption, self._empty = caption, write("p", empty, "quiet")

    def show(self, table: Table) -> None:
        """The rows as they are now."""
        places = [place for place, key in enumerate(table.keys) if key not in self._leave_out]
        texts = [[self._text(table, row, place) for place in places] for row in range(len(table.cells))]
        self._records = table.records
        buttons = [list(self._buttons(record)) if self._buttons else [] for record in table.records]
        shape = (
            tuple(table.headers),
            tuple(str(record.get(self._row_id)) for record in table.records),
            tuple(tuple(label for label, _ in each) for each in buttons),
        )
        self._empty.set_visibility(not texts)
        self._table.set_visibility(bool(texts))
        if shape != self._shape:
            self._shape = shape
            self._build(table, places, texts, buttons)
            return
        for row, line in enumerate(texts):
            for column, text in enumerate(line):
                cell = self._cells[row][column]
                if cell.text != text:
                    cell.set_text(text)
                    self._dress(cell, table, row, places[column])

    def _text(self, table: Table, row: int, place: int) -> str:
        text = table.cells[row][place]
        value = table.records[row].get(table.keys[place])
        if isinstance(value, str) and _MOMENT.fullmatch(text):
            text = self._zone.moment(value)
        style = table.styles[row][place] if table.styles else ""
        # A sign and its word stay on one line.
        signed = f"{_SIGNS[style]}\N{NO-BREAK SPACE}{text}" if style in _SIGNS and text != "–" else text
        return shown(signed, _MOST_IN_CELL, but="")

    def _build(
        self, table: Table, places: Sequence[int], texts: Sequence[Sequence[str]], buttons: Sequence[Sequence[Button]]
    ) -> None:
        self._table.clear()
        self._cells = []
        with self._table:
            write("caption", self._caption)
            with box("thead", role="rowgroup"), box("tr", role="row"):
                for place in places:
                    number = "number" if table.numbers[place] else ""
                    write("th", table.headers[place], number, scope="col", role="columnheader")
                if any(buttons):
                    write("th", "ACTIONS", scope="col", role="columnheader")
            with box("tbody", role="rowgroup"):
                for row, line in enumerate(texts):
                    with box("tr", role="row"):
                        self._cells.append(self._row(table, places, row, line))
                        if any(buttons):
                            self._row_buttons(row, line[0], [label for label, _ in buttons[row]])

    def _row(self, table: Table, places: Sequence[int], row: int, line: Sequence[str]) -> list[TextElement]:
        cells = []
        for place, text in zip(places, line, strict=True):
            cell = write("td", text, role="cell")
            cell.props.update({"data-label": table.headers[place], "data-key": table.keys[place]})
            self._dress(cell, table, row, place)
            cells.append(cell)
        return cells

    @staticmethod
    def _dress(cell: TextElement, table: Table, row: int, place: int) -> None:
        style = table.styles[row][place] if table.styles else ""
        blank = "blank" if cell.text in ("", "–") else ""
        number = "number" if table.numbers[place] else ""
        cell.classes(replace=" ".join(filter(None, (number, style, blank))))

    def _row_buttons(self, row: int, name: str, labels: Sequence[str]) -> None:
        with box("td", role="cell"):
            for place, label in enumerate(labels):
                button(label, partial(self._do, row, place), label=f"{label} {name}")

    def _do(self, row: int, place: int) -> Any:
        """What a button is for, with the row as it is now: it may have changed since the button was made."""
        return self._buttons(self._records[row])[place][1]() if self._buttons else None


class Tiles:
    """Figures, each with its name, the place it has in a command's JSON, and a line that explains it."""

    def __init__(self) -> None:
        self._list = box("dl", "tiles")
        self._tiles: dict[str, tuple[TextElement, TextElement]] = {}
        self._boxes: dict[str, ui.element] = {}

    def hide(self, *names: str) -> None:
        """Take figures away that are not known now."""
        for name in names:
            if self._tiles.pop(name, None) is not None:
                self._boxes.pop(name).delete()

    def show(
        self,
        name: str,
        text: str,
        *,
        fact: str,
        value: object,
        more: str = "",
        more_fact: str = "",
        style: str = "",
    ) -> None:
        """`fact` is `command.path` of what stands in the JSON of the command, `value` what stands there; `more_fact` is
        where the numbers in `more` are from."""
        if name not in self._tiles:
            with self._list, box("div", "tile") as tile:
                self._boxes[name] = tile
                write("dt", name)
                self._tiles[name] = write("dd"), write("dd", "", "more", data_fact=more_fact)
        figure, below = self._tiles[name]
        if figure.text != text:
            figure.set_text(text)
        known = {"data-fact": fact, "data-value": "null" if value is None else str(value)}
        if {key: figure.props.get(key) for key in known} != known:
            figure.props.update(known)
            figure.update()
        if style in _SIGNS or figure.classes:
            figure.classes(replace=style)
        if below.text != more:
            below.set_text(more)


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names with their texts."""
    with box("dl", "facts"):
        for name, text in pairs:
            write("dt", name)
            write("dd", shown(text, 2000))


def is_under_way(row: Mapping[str, Any]) -> bool:
    """Whether a model of `train history` is on its way into its slot, by its gate or forced against it."""
    return str(row["state"]).partition(",")[0] in ("rolling out", "begun")


def rebuild(place: ui.element, build: Callable[[], None]) -> None:
    """Build anew what stands in `place`."""
    place.clear()
    with place:
        build()
