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
    assert record["cheapest"] == "baseline"
    ways = {way["way"]: way for way in record["ways"]}
    assert list(ways) == ["baseline", "gpu_hours", "own_server", "serverless", "gpu"]
    assert ways["baseline"]["cents_a_month"] == 438  # 240 a day at 0.06 cents, for 730 hours
    assert ways["gpu"] | {"command": ""} == {
        "way": "gpu",
        "is_now": False,
        "cents_a_month": None,
        "share": None,
        "share_is_measured": False,
        "disagrees_at_most": None,
        "p50_ms": None,
        "p95_ms": None,
        "hours_up_a_day": None,
        "hours": None,
        "proven": False,
        "why_no_price": "never deployed; its price: `reasoning models deploy coding --dry-run`",
        "command": "",
    }
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


def test_any_traffic_can_be_compared_without_log_and_account(home: Path, reasoning: Run) -> None:
    shown = reasoning(
        *("costs", "compare", "should-respond", "--decisions-per-hour", 300, "--tokens", "1500/20"),
        *("--baseline", "gpt-4o", "--gpu-per-hour", 5.49),
    )
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0] == "should-respond   300 decisions an hour of 1,500 + 20 tokens, as assumed"
    assert any(line.startswith("baseline, now") and "$865.05" in line for line in lines)
    assert any(line.startswith("GPU at all hours") and "~$4,007.70" in line for line in lines)
    assert "head, then baseline: none is trained" in shown.stdout
    assert lines[-1] == "  → The cheapest that may answer: baseline, $865.05 a month: it answers now"


def test_what_makes_no_sense_is_refused(home: Path, reasoning: Run) -> None:
    per_hour = ("--decisions-per-hour", 30)
    for typed, code, said in [
        (["--tokens", "1500/20"], 2, "what is assumed needs a traffic"),
        ([*per_hour], 2, "a traffic that is assumed is that of one type"),
        (["coding", *per_hour, "--since", "7d"], 2, "--since and --decisions-per-hour are two traffics"),
        (["coding", "--decisions-per-hour", "-3"], 2, "`-3` is not a number of decisions an hour"),
        (["coding", "--decisions-per-hour", "many"], 2, "`many` is not a number of decisions an hour"),
        (["coding", *per_hour, "--tokens", "1500"], 2, "`1500` is not a number of tokens in and out"),
        (["coding", *per_hour, "--gpu-per-hour", "free"], 2, "`free` is not an amount of dollars"),
        (["coding", *per_hour, "--baseline", "gpt-99"], 5, "`gpt-99` has no price in your table"),
        (["coding", *per_hour, "--serverless", "gpt-99"], 5, "`gpt-99` has no price in your table"),
    ]:
        done = reasoning("costs", "compare", *typed)
        assert (done.exit_code, done.stdout) == (code, ""), typed
        assert done.stderr.splitlines()[0] == f"error: {said}"
        assert done.stderr.splitlines()[1].startswith("hint: "), typed
