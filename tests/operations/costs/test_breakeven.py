"""From when a model of one's own pays: worked by hand, and what is said where something is not known."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.commands.costs.compare import show_comparisons, show_prices
from reasoning_cli.operations.advice.facts import side_by_side
from reasoning_cli.operations.costs.breakeven import Comparison, compare
from reasoning_cli.operations.costs.token_prices import parse_prices, shipped_prices
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.terminal.console import Terminal

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
PRICES = parse_prices(shipped_prices())
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "money.md"


def comparison_lines(found: Comparison) -> list[str]:
    """What a pipe gets of the prices."""
    out = io.StringIO()
    show_prices(Terminal(out=out, err=out, environ={}), found)
    return out.getvalue().splitlines()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with open_store(tmp_path / "reasoning.db") as one:
        yield one
    monkeypatch.undo()
    time.tzset()


def deployed(store: Store, ready: int = 1, **changes: object) -> None:
    record = DeploymentRecord(
        key="k1",
        model_type="planning",
        model_name="acme/planning",
        model_id=None,
        endpoint_name="planning",
        endpoint_id="ep_1",
        deployment_name="planning",
        deployment_id="dep_1",
        serving_name="acme/planning",
        project_id=None,
        hardware="1xnvidia-h100-80gb",
        price_cents_per_hour=549,
        config=None,
        idle_minutes=30,
        min_replicas=1,
        max_replicas=1,
        state="READY",
        ready_replicas=ready,
        created_at=NOW - timedelta(days=2),
        state_at=NOW,
    )
    Deployments(store).record_intent(replace(record, **changes))  # type: ignore[arg-type]


def asked(store: Store, hour: int, count: int, **changes: object) -> None:
    """So many decisions in the hour that begins so many hours ago, answered by the original provider."""
    samples = [
        Sample(
            f"{hour}-{number}",
            NOW - timedelta(hours=hour) + timedelta(seconds=number),
            "planning",
            "gpt-4o",
            "original",
            "gateway",
            "prompt",
            "output",
            prompt_tokens=1500,
            completion_tokens=100,
        )
        for number in range(count)
    ]
    Samples(store).insert_many([replace(one, **changes) for one in samples])  # type: ignore[arg-type]


def only(store: Store) -> Comparison:
    (one,) = compare(store, PRICES, NOW)
    return one


def test_the_example_of_the_money_guide(store: Store, tmp_path: Path) -> None:
    deployed(store)
    for hour in range(1, 6):  # 18:00 to 23:00
        asked(store, hour, 1200)
    for hour in range(6, 25):
        asked(store, hour, 190 if hour < 24 else 180)
    one = only(store)
    assert one.decisions == 9600
    assert one.own_cents_per_decision == Decimal("1.3725")
    assert one.original is not None and one.original.cents_per_decision == Decimal("0.475")
    assert one.pays_from == 1156
    assert one.saved_cents_per_hour == Decimal(-359)
    assert str(one.busy) == "18:00-23:00"
    settings = load_settings(find_paths({"REASONING_HOME": str(tmp_path)}), {})
    out = io.StringIO()
    show_comparisons(Terminal(out=out, err=out, environ={}), side_by_side(store, settings, PRICES, NOW))
    (example,) = re.findall(r"```\n(planning   400.*?)\n```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert out.getvalue().splitlines() == example.splitlines()


def test_tokens_that_the_provider_had_cached_are_kept_apart(store: Store) -> None:
    asked(store, 1, 100, cached_tokens=1000)
    asked(store, 2, 100, cached_tokens=None)
    asked(store, 3, 100, cached_tokens=0)
    asked(store, 4, 1, cached_tokens=900, source="slot", model="acme/planning")  # nobody's bill
    one = only(store)
    assert one.original is not None
    assert (one.original.prompt_tokens, one.original.cached_tokens) == (Decimal(1500), Decimal(100_000) / 300)
    assert one.original.cents_per_decision == Decimal("0.475")
    [line] = [line for line in comparison_lines(one) if "cached" in line]
    assert line.startswith("  22 % of what goes in the provider had cached, and is counted at the full price")
    price = replace(PRICES["gpt-4o"], cached_usd=Decimal("1.25"))
    (one,) = compare(store, {"gpt-4o": price}, NOW)
    assert one.original is not None and one.original.cents_per_decision is not None
    # 1,500 tokens at $2.50, but 333⅓ of them at $1.25, and 100 at $10.00.
    assert round(one.original.cents_per_decision, 6) == round(Decimal("0.475") - Decimal(1000) / 3 * 125 / 1_000_000, 6)
    [line] = [line for line in comparison_lines(one) if "cached" in line]
    assert line == "  22 % of what goes in the provider had cached, and is counted at $1.25 for a million tokens."
    if not isinstance(store.place, Path):
        return
    plan = store.rows(
        "EXPLAIN QUERY PLAN SELECT model, sum(cached_tokens) FROM samples"
        " WHERE cached_tokens > 0 AND created_at >= 0 AND created_at < 1 GROUP BY model"
    )
    assert any("COVERING INDEX samples_cached" in row["detail"] for row in plan)


def test_too_few_decisions_give_no_price_of_a_thousand(store: Store) -> None:
    deployed(store)
    asked(store, 1, 99)
    assert only(store).own_cents_per_decision is None
    assert comparison_lines(only(store))[0] == "  your model   $5.49 an hour"
    asked(store, 2, 1)
    assert only(store).own_cents_per_decision is not None


def test_with_enough_traffic_it_pays(store: Store) -> None:
    deployed(store)
    for hour in range(1, 25):
        asked(store, hour, 1200)
    one = only(store)
    assert one.saved_cents_per_hour == Decimal("0.475") * 1200 - 549
    assert one.busy is None
    last = comparison_lines(one)[-1]
    assert last == "  Your model pays from 1,156 decisions an hour. Now it saves $0.21 an hour."


def test_exactly_as_many_as_it_pays_from_save_what_it_costs(store: Store) -> None:
    deployed(store)
    asked(store, 1, 24)
    one = only(store)
    assert one.pays_from is not None and one.original is not None and one.original.cents_per_decision is not None
    assert one.pays_from * one.original.cents_per_decision >= 549
    assert (one.pays_from - 1) * one.original.cents_per_decision < 549
    assert "Now it costs" in comparison_lines(one)[-1]


def test_two_replicas_cost_twice(store: Store) -> None:
    deployed(store, ready=2)
    asked(store, 1, 24)
    assert only(store).cents_per_hour == 1098


def test_what_is_off_is_judged_as_if_it_ran(store: Store) -> None:
    deployed(store, ready=0, state="DELETED", deleted_at=NOW)
    asked(store, 1, 24)
    assert "Running, it costs $5.49 an hour more than it saves." in comparison_lines(only(store))[-1]


def test_without_token_counts_characters_are_taken_and_it_says_so(store: Store) -> None:
    deployed(store)
    asked(store, 1, 10, prompt_tokens=None, completion_tokens=None, prompt="p" * 4000, system="s" * 400, output="o" * 8)
    asked(store, 2, 30, prompt_tokens=1100, completion_tokens=2)
    one = only(store)
    assert one.original is not None
    assert (one.original.prompt_tokens, one.original.completion_tokens) == (1100, 2)
    assert (one.original.decisions, one.original.estimated) == (40, 10)
    assert any("10 of these 40 answers have no token counts" in line for line in comparison_lines(one))


def test_a_model_without_a_price_is_not_guessed_at(store: Store) -> None:
    deployed(store)
    asked(store, 1, 24, model="gpt-99")
    one = only(store)
    assert one.pays_from is None and one.saved_cents_per_hour is None
    assert comparison_lines(one)[1].startswith("  gpt-99   has no price in your table")
    assert "costs prices --edit" in comparison_lines(one)[1]


def test_where_our_model_answered_the_whole_day_older_answers_tell_the_price(store: Store) -> None:
    deployed(store)
    asked(store, 24 * 3, 10)
    asked(store, 1, 48, source="slot", model="acme/planning")
    one = only(store)
    assert (one.decisions, one.original and one.original.model) == (48, "gpt-4o")


def test_nothing_known_is_said_as_it_is(store: Store) -> None:
    assert compare(store, PRICES, NOW) == []
    asked(store, 1, 24, source="slot", model="acme/planning")
    lines = comparison_lines(only(store))
    assert "was never deployed" in lines[0] and "holds no answer of the original provider" in lines[1]
    assert len(lines) == 2
