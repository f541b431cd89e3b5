"""`reasoning costs reconcile` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.engines.together.service import KEY, MODELS, Service, service


@pytest.fixture
def still(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        yield one


def test_where_it_is_not_enabled_it_says_so_and_is_no_failure(still: Service, reasoning: Run) -> None:
    shown = reasoning("costs", "reconcile")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr.splitlines()[0].startswith("warning: Together does not show this organisation's bill")
    record = json.loads(reasoning("costs", "reconcile", "--json").stdout)
    assert (record["enabled"], record["days"]) == (False, [])


def test_agreement_and_difference(still: Service, reasoning: Run) -> None:
    still.behave(billing_enabled=True)
    still.deploy("planning")
    still.advance(2 * 86_400)
    agreed = reasoning("costs", "reconcile")
    assert (agreed.exit_code, agreed.stderr) == (0, "")
    assert agreed.stdout.splitlines()[0].split() == ["DAY", "(UTC)", "LEDGER", "BILL", "DIFFERENCE"]
    assert agreed.stdout.endswith("they agree.\n")
    still.ask("POST", "/_sandbox/endpoints", {"name": "theirs", "model": MODELS["planning"]})
    still.advance(86_400)
    differing = reasoning("costs", "reconcile")
    assert "more than the ledger can explain" in differing.stdout
    total = json.loads(reasoning("costs", "reconcile", "--json").stdout)["total"]
    assert total["difference_cents"] > 0
    # Each is rounded from its exact sum.
    assert abs(total["billed_cents"] - total["ledger_cents"] - total["difference_cents"]) <= 1


def test_a_month_that_is_none_is_refused_before_anybody_is_asked(still: Service, reasoning: Run) -> None:
    still.forget_journal()
    shown = reasoning("costs", "reconcile", "--month", "november")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert still.journal() == []
