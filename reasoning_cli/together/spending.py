"""What Together says about money: fine-tuning jobs with their prices, and the organisation's bill where it is enabled.

Prices of jobs are whole billionths of a dollar; the bill's amounts are decimal strings in dollars.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from reasoning_cli.together.calls import Calls, read

_NANO_DOLLARS_PER_CENT = 10_000_000


class _Shape(BaseModel):
    """v1 writes its members in snake case."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class FineTuneJob(_Shape):
    """A job as the list of jobs has it; what has no price yet costs nothing yet."""

    id: str
    status: str = ""
    created_at: datetime | None = None
    model: str | None = None
    suffix: str | None = None
    model_output_name: str | None = None
    total_price: int | None = None

    @property
    def cents(self) -> Decimal:
        return Decimal(self.total_price or 0) / _NANO_DOLLARS_PER_CENT


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

    def fine_tunes(self) -> list[FineTuneJob]:
        """Every fine-tuning job of the account."""
        data = self._connection.request("GET", "/v1/fine-tunes").get("data")
        return [read(FineTuneJob, one) for one in (data if isinstance(data, list) else [])]

    def billing_usage(self, month: str) -> list[UsageWindow]:
        """The organisation's bill of a month (`2026-11`) by day. MissingError (404) where it is not enabled."""
        return list(self._list(UsageWindow, "/v1/billing/usage", {"month": month, "granularity": "day", "limit": 1000}))
