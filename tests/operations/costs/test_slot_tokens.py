"""What slots cost by the token: counted from the log, in the report and the budget, and exact."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli import settings as s
from reasoning_cli.operations.costs.budget import read_limits, standing
from reasoning_cli.operations.deploy.slots import SlotNow, read_slots
from reasoning_cli.paths import find_paths
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.sandbox.decisions import decisions

MODEL = "acme/smol"
EACH = Decimal("0.20") * 400 / 10_000 + Decimal("0.60") * 40 / 10_000  # cents of a decision


@pytest.fixture
def store(home: Path, reasoning: Run) -> Iterator[Store]:
    """A log of ten decisions that the slot's model answered at a provider elsewhere, this month."""
    home.mkdir(mode=0o700)
    for name, value in (("provider_url", "https://models.example/v1"), ("model", MODEL)):
        assert reasoning("config", "set", f"should_respond.{name}", value).exit_code == 0
    with open_store(home / "reasoning.db") as opened:
        Samples(opened).insert_many(answered(10, "n"))
        yield opened


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


@pytest.mark.both_engines
def test_tokens_times_the_price_are_in_report_and_budget(store: Store, reasoning: Run) -> None:
    reasoning("config", "set", "should_respond.token_price", "0.20/0.60")
    assert spent(store) == (EACH * 10, EACH * 10)
    text, (line,) = report(reasoning)
    assert f"{MODEL} (should-respond): 4,000 tokens in, 400 out; $0.00 by the token" in text.replace("\n", " ")
    assert (line["answers"], line["prompt_tokens"], line["completion_tokens"]) == (10, 4000, 400)
    assert (Decimal(str(line["cost_low_cents"])), line["uncounted"]) == (EACH * 10, 0)


@pytest.mark.both_engines
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


def test_what_the_last_hour_took_is_the_rate_that_status_and_outlook_go_by(store: Store, reasoning: Run) -> None:
    reasoning("config", "set", "should_respond.token_price", "900/900")  # 39.6 cents a decision
    assert "spending $3.96/h by the token" in reasoning("status").stdout
    assert reasoning("config", "set", "budget.limit_usd", "8").exit_code == 0
    shown = reasoning("status").stdout
    assert "$3.96 of $8.00 this month" in shown and ("lasts 1h" in shown or "gone at" in shown), shown
    (first,) = json.loads(reasoning("costs", "outlook", "--json").stdout)["next"]
    assert (first["name"], first["action"], first["why"]) == (MODEL, "baseline", "budget")
    limits = read_limits(s.load_settings(find_paths(os.environ), os.environ))
    later = standing(store, limits, datetime.now(UTC) + timedelta(hours=1, seconds=1))
    assert (later.token_cents_last_hour, later.usage.high_cents) == (0, 396)


@pytest.mark.parametrize(
    ("price", "cap", "closed"),
    [
        ("900/900", "3", "the cap of an hour is reached"),
        ("900/900", "4", None),
        ("free", "0.01", None),
        (None, "0.01", None),
    ],
)
def test_an_hour_that_reached_the_cap_leaves_the_slot_to_the_baseline_and_says_so(
    store: Store, reasoning: Run, price: str | None, cap: str, closed: str | None
) -> None:
    assert reasoning("config", "set", "budget.max_cost_per_hour_usd", cap).exit_code == 0
    if price is not None:
        reasoning("config", "set", "should_respond.token_price", price)
    assert slot(store).closed == closed
    assert ("the cap of $3.00 is reached: the baseline answers" in reasoning("status").stdout) is (closed is not None)
    if closed is not None:
        (first,) = json.loads(reasoning("costs", "outlook", "--json").stdout)["next"]
        assert (first["action"], first["why"]) == ("baseline", "cap")
        checked = reasoning("doctor", "--offline").stdout
        assert "the last hour cost $3.96, the cap is $3" in checked
        assert "reasoning costs set-cap 5" in checked
        assert reasoning("costs", "set-cap", "10").exit_code == 0
        assert slot(store).closed is None


@pytest.mark.both_engines
def test_what_a_promotion_brings_in_or_took_out_is_paid_for_too(store: Store, reasoning: Run) -> None:
    """Of whichever model the settings name: the others took tokens of the same slot."""
    reasoning("config", "set", "should_respond.token_price", "0.20/0.60")
    plan = {"steps": [0, 100], "server": "https://models.example/v1", "old_answers": True, "old_model": MODEL}
    Promotions(store).begin("should_respond", "acme/next", by="ann", at=datetime.now(UTC), plan=plan)
    Samples(store).insert_many([replace(one, model="acme/next") for one in answered(4, "c")])  # type: ignore[type-var]
    assert spent(store)[0] == EACH * 14
    reasoning("config", "set", "should_respond.model", "acme/next")
    assert spent(store)[0] == EACH * 14
    assert [line["model"] for line in report(reasoning)[1]] == ["acme/next", MODEL]


def test_the_comparison_goes_by_the_price_that_is_set_for_the_slot(store: Store, reasoning: Run) -> None:
    """30 decisions an hour of 400 tokens in and 40 out: 0.0104 cents each, 730 hours."""
    asked = ("costs", "compare", "should-respond", "--decisions-per-hour", "30", "--tokens", "400/40", "--json")
    for price, cents in (("0.20/0.60", EACH * 30 * 730), ("free", Decimal(0))):
        reasoning("config", "set", "should_respond.token_price", price)
        done = reasoning(*asked, "--baseline", "gpt-4o-mini")
        assert done.exit_code == 0, done.stderr
        (found,) = [way for way in json.loads(done.stdout)[0]["ways"] if way["way"] == "serverless"]
        assert found["cents_a_month"] == round(cents)


@pytest.mark.parametrize("text", ["cheap", "1", "1/2/3", "NaN/1", "1/1000000"])
def test_what_is_no_price_is_refused(reasoning: Run, text: str) -> None:
    done = reasoning("config", "set", "should_respond.token_price", text)
    assert (done.exit_code, "is not a price like 0.20/0.60" in done.stderr) == (2, True), done.stderr
