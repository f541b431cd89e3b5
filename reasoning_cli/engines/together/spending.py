"""What Together says about money: the organisation's bill where it is enabled, in decimal strings of dollars."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from reasoning_cli.engines.together.calls import Calls


class _Shape(BaseModel):
    """v1 writes its members in snake case."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class LineItem(_Shape):
    """What was charged for: `cost` is in dollars, as is `unit_price`; what the unit of a `quantity` is nobody says."""

    product_name: str = ""
    cost: Decimal
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    pricing_dimensions: dict[str, str] = Field(default_factory=dict)


class UsageWindow(_Shape):
    """One day (or hour) of the bill."""

    date: str
    start_time: datetime
    end_time: datetime
    line_items: list[LineItem]


class Spending(Calls):
    """The calls about money."""

    def billing_usage(self, month: str, granularity: str = "day") -> list[UsageWindow]:
        """The organisation's bill of a month (`2026-11`) by `day` or `hour`. MissingError where it is not enabled."""
        query: dict[str, str | int] = {"month": month, "granularity": granularity, "limit": 1000}
        return list(self._list(UsageWindow, "/v1/billing/usage", query))
