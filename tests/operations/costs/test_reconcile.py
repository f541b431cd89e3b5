"""The ledger against the vendor's bill: to the cent where all was seen, and the difference where not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.costs.reconcile import Reconciliation, parse_month, reconcile
from reasoning_cli.operations.deploy.status import refresh
from tests.engines.together.service import EVENTS, MODELS, Service, service


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        one.behave(billing_enabled=True)
        yield one


def compared(together: Service) -> Reconciliation:
    at = refresh(together.client, together.store)
    return reconcile(together.client, together.store, parse_month(None, at), at)


def test_where_it_is_not_enabled_it_says_so(together: Service) -> None:
    together.behave(billing_enabled=False)
    assert not compared(together).enabled


def test_ledger_and_bill_agree_to_the_cent_day_by_day(together: Service) -> None:
    together.ask("POST", "/_sandbox/fine-tunes", {"model": MODELS["planning"], "totalPriceNanoDollars": 4_123_456_789})
    together.deploy("planning", max_replicas=2)
    together.advance(100_000)
    together.scale(2, 2)
    together.advance(50_000)
    together.stop("planning")
    together.advance(2 * 86_400)
    found = compared(together)
    assert len(found.days) == 2
    for day in found.days:
        assert day.billed_cents is not None and day.billed_cents > 0
        assert abs(day.billed_cents - day.ledger.cents) < Decimal("1e-6")
        assert abs(day.difference_cents or 0) < Decimal("1e-6")
    assert abs(found.billed_cents - sum(together.metered().values()) - Decimal("412.3456789")) < Decimal("1e-6")


def test_the_present_day_is_not_billed_yet(together: Service) -> None:
    together.deploy("planning")
    together.advance(86_400)
    first, second = compared(together).days
    assert first.billed_cents is not None
    assert (second.billed_cents, second.difference_cents) == (None, None)
    assert second.ledger.cents > 0


def test_what_others_run_is_the_difference(together: Service) -> None:
    together.ask("POST", "/_sandbox/endpoints", {"name": "theirs", "model": MODELS["planning"]})
    together.advance(2 * 86_400)
    found = compared(together)
    assert found.ledger.cents == 0
    assert found.difference_cents == found.billed_cents == 2 * 24 * 549


def test_a_bill_within_the_range_of_the_ledger_is_no_difference(together: Service) -> None:
    together.deploy("planning")
    together.fault(EVENTS, status=403)
    together.advance(40_000)
    together.scale(0, 0)
    together.advance(86_400)
    (first, *_) = compared(together).days
    assert first.ledger.doubt_cents > 0
    assert first.difference_cents == 0


def test_months_are_read_strictly() -> None:
    at = datetime(2026, 12, 1, 0, 30, tzinfo=UTC) - timedelta(hours=1)
    assert parse_month(None, at) == "2026-11"
    assert parse_month(" 2026-02 ", at) == "2026-02"
    for text in ("2026-13", "11-2026", "2026", "november", ""):
        with pytest.raises(UsageError):
            parse_month(text, at)
