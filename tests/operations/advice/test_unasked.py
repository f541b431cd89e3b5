"""When another way is named without being asked for, and when not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.operations.advice.unasked import Advice, advice
from reasoning_cli.operations.costs.token_prices import parse_prices, shipped_prices
from reasoning_cli.operations.costs.ways import Kind
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from tests.conftest import Run
from tests.operations.advice.scenes import HEAD, decisions, deployed, evaluated, head_run

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
PRICES = parse_prices(shipped_prices())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as opened:
        yield opened


def advised(store: Store) -> list[Advice]:
    return advice(store, load_settings(find_paths({"REASONING_HOME": "/nowhere"}), {}), PRICES, NOW)


def test_nothing_is_said_where_nothing_is_proven(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 300)
    deployed(store, NOW, ready=0, cents=1)
    assert advised(store) == []


def test_a_head_is_named_once_it_is_proven_and_there_is_enough_traffic(store: Store) -> None:
    head_run(store, NOW)
    decisions(store, NOW - timedelta(hours=3), 99)
    assert advised(store) == []
    decisions(store, NOW - timedelta(hours=5), 201)
    (found,) = advised(store)
    assert (found.model_type, found.way.kind, found.now.kind) == ("should_respond", Kind.HEAD, Kind.BASELINE)
    assert found.saved_cents_a_month == 300 * Decimal("0.395") * Decimal("0.2945") * 730 / 24


def test_what_saves_little_is_not_worth_a_line(store: Store) -> None:
    head_run(store, NOW, share=0.05)
    decisions(store, NOW - timedelta(hours=3), 300)
    assert advised(store) == []


def test_a_gpu_that_costs_more_than_it_saves_is_advised_against(store: Store) -> None:
    deployed(store, NOW)
    evaluated(store, NOW - timedelta(hours=2))
    decisions(store, NOW - timedelta(hours=3), 300)
    (found,) = advised(store)
    assert (found.way.kind, found.now.kind) == (Kind.BASELINE, Kind.GPU)
    assert found.way.next == "reasoning models stop should-respond"


def test_status_says_it_first(home: Path, reasoning: Run) -> None:
    home.mkdir()
    at = datetime.now(UTC)
    with open_store(home / "reasoning.db", "together") as store:
        head_run(store, at)
        decisions(store, at - timedelta(hours=2), 240)
        evaluated(store, at, model=HEAD)
    lines = reasoning("status").stdout.splitlines()
    said = [line for line in lines if line.startswith("ADVICE")]
    assert said == [
        "ADVICE should-respond: head, then baseline would cost $8.49 a month less than baseline:"
        f" `reasoning train promote should-respond --to {HEAD}`"
    ]
    assert lines[lines.index("") + 1] == said[0]
