"""What Together says about money: the organisation's bill where it is enabled, in decimal strings of dollars."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from reasoning_cli.together.calls import Calls


class _Shape(BaseModel):
    """v1 writes its members in snake case."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class LineItem(_Shape):
    product_name: str = ""
    cost: Decimal


class UsageWindow(_Shape):
    """One day (or hour) of the bill."""

    date: str
    start_time: datetime
    end_time: datetime
    line_items: list[LineItem]


class Spending(Calls):
    """The calls about money."""

    def billing_usage(self, month: str) -> list[UsageWindow]:
        """The organisation's bill of a month (`2026-11`) by day. MissingError (404) where it is not enabled."""
        return list(self._list(UsageWindow, "/v1/billing/usage", {"month": month, "granularity": "day", "limit": 1000}))
