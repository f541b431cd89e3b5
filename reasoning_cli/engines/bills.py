"""What an engine says it charged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol


class LineItem(Protocol):
    """What was charged for: `cost` is in dollars, as is `unit_price`."""

    @property
    def product_name(self) -> str: ...

    @property
    def cost(self) -> Decimal: ...

    @property
    def quantity(self) -> Decimal | None: ...

    @property
    def unit_price(self) -> Decimal | None: ...

    @property
    def pricing_dimensions(self) -> Mapping[str, str]: ...


class UsageWindow(Protocol):
    """One day (or hour) of the bill."""

    @property
    def date(self) -> str: ...

    @property
    def start_time(self) -> datetime: ...

    @property
    def end_time(self) -> datetime: ...

    @property
    def line_items(self) -> Sequence[LineItem]: ...
