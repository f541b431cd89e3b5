"""Charts with axes and units, in colours that differ for all eyes, each with its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from reasoning_cli.dashboard.parts import LiveTable, Zone, box, write
from reasoning_cli.dashboard.program import Table

# Okabe and Ito's, those that stand out on light and dark alike.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8f7700", "#56b4e9")
# Of what they are held against: a colour and a width that no series has.
_LIMIT = "#a06cd5"
_DASHES = ("solid", "dashed", "dotted")
_GREY = "#8a8f96"


@dataclass(frozen=True)
class Series:
    """Values over the same places of an axis; None is a gap, and is drawn as one."""

    name: str
    values: Sequence[float | None]
    kind: str = "line"
    stack: str | None = None
    step: bool = False


@dataclass(frozen=True)
class Limit:
    """A line that something is held against."""

    name: str
    value: float


def draw(
    title: str,
    places: Sequence[str],
    series: Sequence[Series],
    *,
    unit: str,
    table: Table,
    zone: Zone,
    limit: Limit | None = None,
    says: str = "",
    across: str = "",
    below: str = "",
    levels: Sequence[str] = (),
    empty: str = "Nothing to draw yet.",
) -> None:
    """A chart and, folded below it, the table of what it is made of.

    `says` is for who does not see it, `below` what its axes have no room for. With `levels` a value is the number of
    one of them. Where there is nothing to be seen, `empty` says why.
    """
    write("h2", title)
    if not limit and not any(value or (levels and value is not None) for each in series for value in each.values):
        write("p", empty, "quiet")
    else:
        label = f"{title}. {says}" if says else title
        with box("div", role="img", aria_label=label):
            options = _options(places, series, unit, limit, across)
            if levels:
                options["yAxis"] |= {"type": "category", "data": list(levels)}
                options["grid"] |= {"left": 12, "containLabel": True}
            ui.echart(options, renderer="svg").classes("chart")
        if below:
            write("p", below, "quiet")
    with box("details"):
        write("summary", f"Table: {title}")
        LiveTable(title, zone, empty="Nothing yet.", row_id=table.keys[0] if table.keys else "name").show(table)


def _options(
    places: Sequence[str], series: Sequence[Series], unit: str, limit: Limit | None, across: str
) -> dict[str, Any]:
    drawn = [_series(each, number) for number, each in enumerate(series)]
    if limit is not None and drawn:
        drawn[0]["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": {"color": _LIMIT, "width": 3, "type": "solid"},
            # Without an outline, which is white and blots a name on dark.
            "label": {"formatter": limit.name, "position": "insideEndTop", "textBorderColor": "transparent"},
            "data": [{"yAxis": limit.value}],
        }
    highest = max([limit.value if limit else 0.0, *(value or 0.0 for each in series for value in each.values)])
    return {
        "animation": False,
        "aria": {"enabled": False, "decal": {"show": True}},
        "color": list(COLORS),
        "grid": {"left": 64, "right": 18, "top": 56 if len(series) > 1 else 34, "bottom": 46},
        "legend": {"show": len(series) > 1, "top": 0},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "category",
            "data": list(places),
            "name": across,
            "nameLocation": "middle",
            "nameGap": 28,
            "axisLine": {"lineStyle": {"color": _GREY}},
        },
        "yAxis": {
            "type": "value",
            "name": unit,
            "max": _above(highest) if limit else None,
            "nameTextStyle": {"align": "left"},
            "splitLine": {"lineStyle": {"color": _GREY, "opacity": 0.3}},
        },
        "series": drawn,
    }


def _above(value: float) -> float:
    """A round number above a value, for the end of an axis: room for the name of a line that stands at it."""
    step = 10.0 ** math.floor(math.log10(value or 1.0)) / 2
    return (math.floor(value / step) + 1) * step


def _series(series: Series, number: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": series.name,
        "type": series.kind,
        "data": list(series.values),
        "connectNulls": False,
        "barMaxWidth": 48,
        "lineStyle": {"type": _DASHES[number % len(_DASHES)], "width": 2},
        # What is measured now and then stands between gaps, where no line is drawn.
        "showSymbol": sum(value is not None for value in series.values) < 40,
    }
    if series.stack:
        made["stack"] = series.stack
    if series.step:
        made["step"] = "end"
    return made
