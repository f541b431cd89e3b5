"""What slots cost by the token: counted from the log, in the report and the budget, and exact."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli import settings as s
from reasoning_cli.operations.costs.budget import read_limits, standing
from reasoning_cli.operations.deploy.slots import SlotNow, read_slots
from reasoning_cli.paths import find_paths
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.sandbox.decisions import decisions

MODEL = "acme/smol"
EACH = Decimal("0.20") * 400 / 10_000 + Decimal("0.60") * 40 / 10_000  # cents of a decision


@pytest.fixture
def store(home: Path, reasoning: Run) -> Store:
    """A log of ten decisions that the slot's model answered at a provider elsewhere, this month."""
    home.mkdir(mode=0o700)
    for name, value in (("provider_url", "https://models.example/v1"), ("model", MODEL)):
        assert reasoning("config", "set", f"should_respond.{name}", value).exit_code == 0
    opened = open_store(home / "reasoning.db")
    Samples(opened).insert_many(answered(10, "n"))
    return opened


def answered(count: int, name: str, **changes: object) -> list[object]:
    made = samples(list(decisions("should_respond", count, 1)), name=name)
    at = datetime.now(UTC)
    return [replace(sample, created_at=at, source="slot", model=MODEL, **changes) for sample in made]  # type: ignore[arg-type]


def spent(store: Store) -> tuple[Decimal, Decimal]:
    usage = standing(store, read_limits(s.load_settings(find_paths(os.environ), os.environ)), datetime.now(UTC)).usage
    return usage.low_cents, usage.high_cents


def slot(store: Store) -> SlotNow:
    settings = s.load_settings(find_paths(os.environ), os.environ)
    slots = read_slots(settings, store, datetime.now(UTC), together_url="https://api.together.ai", together_key=None)
    return slots["should_respond"]


def report(reasoning: Run) -> tuple[str, list[dict[str, object]]]:
    shown, record = reasoning("costs", "report"), reasoning("costs", "report", "--json")
    assert (shown.exit_code, record.exit_code) == (0, 0), shown.stderr
    return shown.stdout + shown.stderr, json.loads(record.stdout)["by_token"]


def test_tokens_times_the_price_are_in_report_and_budget(store: Store, reasoning: Run) -> None:
    reasoning("config", "set", "should_respond.token_price", "0.20/0.60")
    assert spent(store) == (EACH * 10, EACH * 10)
    text, (line,) = report(reasoning)
    assert f"{MODEL} (should-respond): 4,000 tokens in, 400 out; $0.00 by the token" in text.replace("\n", " ")
    assert (line["answers"], line["prompt_tokens"], line["completion_tokens"]) == (10, 4000, 400)
    assert (Decimal(str(line["cost_low_cents"])), line["uncounted"]) == (EACH * 10, 0)


def test_what_is_new_is_added_and_what_is_deleted_stays_spent(store: Store, reasoning: Run) -> None:
    reasoning("config", "set", "should_respond.token_price", "0.20/0.60")
    assert spent(store)[0] == EACH * 10
    Samples(store).insert_many(answered(5, "c"))
    assert spent(store)[0] == EACH * 15
    reasoning("data", "forget", "--id", "n1", "--yes")
    assert spent(store)[0] == EACH * 15


def test_answers_that_no_agent_got_are_paid_for_too(store: Store, reasoning: Run) -> None:
    reasoning("config", "set", "should_respond.token_price", "0.20/0.60")
    at = datetime.now(UTC)
    attempt = AttemptRecord("n1", at, "should_respond", "shadow", MODEL, None, None, None, None, None, 9, 400, 40, "x")
    Attempts(store).insert_many([attempt, replace(attempt, deployment_key="d", model="other")])
    assert spent(store)[0] == EACH * 11


def test_tokens_that_nobody_counted_are_a_range(store: Store, reasoning: Run) -> None:
    reasoning("config", "set", "should_respond.token_price", "0.20/0.60")
    Samples(store).insert_many(answered(3, "c", prompt_tokens=None, completion_tokens=None))
    low, high = spent(store)
    assert EACH * 10 < low < high
    text, (line,) = report(reasoning)
    assert "and 3 answers whose tokens the server did not count" in text.replace("\n", " ")
    assert line["uncounted"] == 3


def test_an_unknown_price_is_said_and_in_no_sum(store: Store, reasoning: Run) -> None:
    assert spent(store) == (0, 0)
    text, (line,) = report(reasoning)
    assert "no price is known, and nothing of it is in any sum" in text.replace("\n", " ")
    assert line["cost_low_cents"] is None
    assert slot(store).closed is None


@pytest.mark.parametrize("how", ["told", "here", "table"])
def test_a_price_may_be_nothing_or_in_the_table(store: Store, reasoning: Run, home: Path, how: str) -> None:
    if how == "told":
        reasoning("config", "set", "should_respond.token_price", "free")
    elif how == "here":
        reasoning("config", "set", "should_respond.provider_url", "http://127.0.0.1:8000/v1")
    else:
        prices = s.load_settings(find_paths(os.environ), os.environ).paths.config_file.with_name("prices.toml")
        prices.write_text(f'["{MODEL}"]\ninput = 0.20\noutput = 0.60\n')
    assert spent(store)[0] == (EACH * 10 if how == "table" else 0)
    text, _ = report(reasoning)
    assert ("; free." in text) is (how != "table")


@pytest.mark.parametrize(("price", "closed"), [("9000/9000", "the budget is spent"), ("free", None), (None, None)])
def test_a_spent_budget_closes_the_slot_and_the_baseline_answers(
    store: Store, reasoning: Run, price: str | None, closed: str | None
) -> None:
    assert reasoning("config", "set", "budget.limit_usd", "1").exit_code == 0
    if price is not None:
        reasoning("config", "set", "should_respond.token_price", price)
    assert slot(store).closed == closed


@pytest.mark.parametrize("text", ["cheap", "1", "1/2/3", "NaN/1", "1/1000000"])
def test_what_is_no_price_is_refused(reasoning: Run, text: str) -> None:
    done = reasoning("config", "set", "should_respond.token_price", text)
    assert (done.exit_code, "is not a price like 0.20/0.60" in done.stderr) == (2, True), done.stderr
