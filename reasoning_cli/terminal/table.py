"""Which columns of a table a width has room for, and tables as a pipe gets them: unbordered, exact widths, no Rich."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reasoning_cli.terminal.listing import Column
from reasoning_cli.terminal.styles import Cell

Row = TypeVar("Row")

GAP = "  "
NARROWEST = 8  # of a column that gives way in a pipe, which has no other way out
_LEGIBLE = 16  # below that other columns go first
_PLENTY = {True: 24, False: 64}  # prose and names: what they get before the columns that are nice to have
_NICE_TO_HAVE = 5
_OURS = frozenset("–…→█░▁▂▃▄▅▆▇")


def room_for(column: Column[Row], width: int, least: int = _LEGIBLE) -> int:
    """The columns of the terminal that one of the table, `width` wide at its widest, cannot do without."""
    return min(width, least) if column.gives_way else width


def chosen(columns: Sequence[Column[Row]], widths: Sequence[int], width: int) -> list[int] | None:
    """The places of the columns that `width` has room for: while there is too little, those of the lowest priority go,
    the rightmost first. None where what must stay does not fit either."""

    def fits(places: list[int], give: Callable[[Column[Row]], int]) -> bool:
        needed = sum(room_for(columns[place], widths[place], give(columns[place])) for place in places)
        return needed + len(GAP) * (len(places) - 1) <= width

    places = list(range(len(columns)))
    for least, give in ((_NICE_TO_HAVE, _plenty), (2, _legible)):
        while not fits(places, give):
            last = max(places, key=lambda place: (columns[place].priority, place))
            if columns[last].priority < least:
                break
            places.remove(last)
    if not fits(places, _legible):
        return None
    # Where a wide one went there may be room again for one that went before it.
    for place in sorted(set(range(len(columns))) - set(places), key=lambda number: (columns[number].priority, number)):
        if fits([*places, place], _plenty if columns[place].priority >= _NICE_TO_HAVE else _legible):
            places.append(place)
    return sorted(places)


def _plenty(column: Column[Row]) -> int:
    return _PLENTY[column.prose]


def _legible(column: Column[Row]) -> int:
    return _LEGIBLE


def lay_out(
    columns: Sequence[Column[Row]],
    rows: Sequence[Sequence[Cell]],
    *,
    width: int,
    paint: Callable[[str, str], str],
) -> list[str]:
    """The lines of a table for a pipe, at most `width` columns wide if the column that gives way can give enough.

    A cell that is cut loses its beginning: of `slug/name` the end tells more; prose loses its end. `paint(text,
    style)` adds colour.
    """
    table = [[(column.header or "", "header") for column in columns], *rows]
    widths = [max(cells(row[place][0]) for row in table) for place in range(len(columns))]
    places = chosen(columns, widths, width)
    if places is None:
        places = [place for place, column in enumerate(columns) if column.priority == 1]
    excess = sum(widths[place] for place in places) + len(GAP) * (len(places) - 1) - width
    for place in places:
        if columns[place].gives_way and excess > 0:
            left = min(widths[place], max(NARROWEST, widths[place] - excess))
            excess, widths[place] = excess - widths[place] + left, left
    lines = []
    for row in table:
        shown = []
        for place in places:
            text, style = row[place]
            text = _fit(text, widths[place], prose=columns[place].prose)
            padding = " " * (widths[place] - cells(text))
            painted = paint(text, style)
            shown.append(padding + painted if columns[place].kind.right else painted + padding)
        lines.append(GAP.join(shown).rstrip())
    return lines


def cells(text: str) -> int:
    """How many columns a text is wide. Only what is not plain needs tables to tell."""
    if text.isascii() or all(character < "\u0300" or character in _OURS for character in text):
        return len(text)
    from wcwidth import wcswidth

    return max(0, wcswidth(text))


def _fit(text: str, size: int, *, prose: bool) -> str:
    if cells(text) <= size:
        return text
    if not prose:
        rest = next((text[cut:] for cut in range(1, len(text)) if cells(text[cut:]) < size), "")
        return f"…{rest}"
    rest = next((text[:cut] for cut in range(len(text) - 1, 0, -1) if cells(text[:cut]) < size), "")
    return f"{rest.rstrip()}…"
