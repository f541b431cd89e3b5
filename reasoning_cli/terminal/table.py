"""Lay a table out: unbordered, exact widths, one column that gives way.

Drawn here and not with Rich's tables: those cut the short columns before the long one, box and cut what goes into a
pipe, and cost half of a local listing's time. Only Rich's knowledge of how wide a character is drawn is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

GAP = "  "
NARROWEST = 8

Cell = tuple[str, str]  # text and style


def lay_out(
    headers: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    right: Sequence[bool],
    shrinks: int | None,
    prose: bool = False,
    width: int,
    paint: Callable[[str, str], str],
) -> list[str]:
    """The lines of a table at most `width` columns wide, if the column number `shrinks` can give enough.

    A cell that is cut loses its beginning: of `slug/name` the end tells more; `prose` loses its end. `paint(text,
    style)` adds colour.
    """
    from rich.cells import cell_len, chop_cells

    def fit(text: str, size: int) -> str:
        if cell_len(text) <= size:
            return text
        if prose and size > 1:
            return f"{chop_cells(text, size - 1)[0].rstrip()}…"
        return f"…{chop_cells(text[::-1], size - 1)[0][::-1]}" if size > 1 else "…"

    table = [[(header, "header") for header in headers], *rows]
    widths = [max(cell_len(row[column][0]) for row in table) for column in range(len(headers))]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    if shrinks is not None and excess > 0:
        widths[shrinks] = max(NARROWEST, widths[shrinks] - excess)
    lines = []
    for row in table:
        cells = []
        for column, (text, style) in enumerate(row):
            shown = fit(text, widths[column])
            padding = " " * (widths[column] - cell_len(shown))
            painted = paint(shown, style)
            cells.append(padding + painted if right[column] else painted + padding)
        lines.append(GAP.join(cells).rstrip())
    return lines
