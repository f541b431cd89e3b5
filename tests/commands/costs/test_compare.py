"""`reasoning costs compare` as it is typed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.conftest import Run


def test_nothing_to_compare(home: Path, reasoning: Run) -> None:
    shown = reasoning("costs", "compare")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("There is nothing to compare")
    assert "hint: `reasoning data import FILE`" in shown.stderr
    assert json.loads(reasoning("costs", "compare", "--json").stdout) == []


def test_what_the_original_costs_without_a_deployment(home: Path, reasoning: Run) -> None:
    home.mkdir()
    at = datetime.now(UTC) - timedelta(hours=1)
    with open_store(home / "reasoning.db", "together") as store:
        Samples(store).insert_many(
            [
                Sample(
                    str(number), at, "coding", "gpt-4o-mini", "original", "gateway", "p", "o",
                    prompt_tokens=2000, completion_tokens=500,
                )
                for number in range(240)
            ]
        )  # fmt: skip
    shown = reasoning("costs", "compare", "coding")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[0] == "coding   10 decisions an hour over the last day"
    assert "gpt-4o-mini   0.060 ¢ a decision = $0.60 per 1,000" in shown.stdout
    (record,) = json.loads(reasoning("costs", "compare", "--json").stdout)
    assert (record["model_type"], record["original_cents_per_1000_decisions"]) == ("coding", 60)
    assert record["cents_per_hour"] is None
    assert not (home / "prices.toml").exists(), "comparing writes nothing"
    assert reasoning("costs", "compare", "planning").stdout.startswith("There is nothing to compare")
    assert reasoning("costs", "compare", "codng").exit_code == 2


def test_a_log_whose_answers_are_dated_by_a_wrong_clock_says_of_when_they_are(home: Path, reasoning: Run) -> None:
    home.mkdir()
    dates = {"slot": datetime.now(UTC) - timedelta(hours=1), "original": datetime(2026, 1, 2, tzinfo=UTC)}
    with open_store(home / "reasoning.db", "together") as store:
        Samples(store).insert_many(
            [Sample(source, at, "coding", "gpt-4o", source, "gateway", "p", "o") for source, at in dates.items()]
        )
    shown = reasoning("costs", "compare", "coding").stdout
    assert "no answer of the original provider from the last 30 days; its newest is of 2026-01-02" in shown
