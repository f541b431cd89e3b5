"""The gate: each rule alone, the cautious end of every interval, and what an operator may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import ConfigurationError, DataError
from reasoning_cli.operations.evaluate.gate_rules import DEFAULTS, MEANINGS, Gate, read_gate
from reasoning_cli.operations.promote.gate import Bounds, Evidence, judge, refusal
from reasoning_cli.operations.statistics.sequential import Verdict

NOW = datetime(2026, 11, 21, tzinfo=UTC)
GOOD = Evidence(
    evaluation=3,
    at=NOW - timedelta(days=1),
    decisions=500,
    valid=Bounds(0.99, 0.98, 1.0),
    agreement=Bounds(0.95, 0.92, 0.97),
    difference=Bounds(0.03, -0.01, 0.07),
    labelled=200,
    wrong_respond=0.02,
    p95_ms=700,
    live=Verdict.UNDECIDED,
    live_decisions=40,
)


def failed(found: Evidence, gate: Gate = DEFAULTS["should_respond"], model_type: str = "should_respond") -> list[str]:
    return [one.key for one in judge(gate, found, model_type, "acme/new", 2000, NOW) if one.passed is False]


def test_a_good_model_passes_every_rule_and_each_is_shown() -> None:
    criteria = judge(DEFAULTS["should_respond"], GOOD, "should_respond", "acme/new", 2000, NOW)
    assert refusal(criteria, "acme/new", "should-respond") is None
    assert [one.passed for one in criteria] == [True] * len(criteria)
    assert {one.key for one in criteria} > {
        "min_decisions",
        "valid_percent",
        "margin_percent",
        "p95_ms",
        "leak",
        "live",
    }


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"decisions": 99}, "min_decisions"),
        ({"at": NOW - timedelta(days=15)}, "max_age_days"),
        ({"leaked": 1}, "leak"),
        ({"valid": Bounds(0.97, 0.94, 0.99)}, "valid_percent"),
        ({"valid": None}, "valid_percent"),
        ({"difference": Bounds(0.0, -0.03, 0.03)}, "margin_percent"),
        ({"difference": None, "agreement": Bounds(0.9, 0.8, 0.95)}, "agreement_percent"),
        ({"difference": None, "baseline": "acme/old"}, "margin_percent"),
        ({"wrong_respond": 0.2}, "wrong_respond_percent"),
        ({"wrong_respond": None}, "wrong_respond_percent"),
        ({"p95_ms": None}, "p95_ms"),
        ({"p95_ms": 2001}, "p95_ms"),
        ({"live": Verdict.WORSE}, "live"),
        ({"evaluation": None}, "evaluated"),
    ],
)
def test_each_rule_refuses_alone_and_says_what_helps(changes: dict[str, object], rule: str) -> None:
    found = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert failed(found) == [rule]
    refused = refusal(judge(DEFAULTS["should_respond"], found, "should_respond", "acme/new", 2000, NOW), "m", "n")
    assert refused is not None
    assert refused.exit_code == 6
    assert refused.hint


def test_what_may_be_left_open_neither_passes_nor_fails() -> None:
    gate, found = replace(Gate(), wrong_respond_percent=100), replace(GOOD, wrong_respond=None, live=None)
    criteria = {one.key: one.passed for one in judge(gate, found, "should_respond", "m", 2000, NOW)}
    assert (criteria["wrong_respond_percent"], criteria["live"]) == (None, None)
    assert failed(found, gate) == []
    assert "wrong_respond_percent" not in {one.key for one in judge(Gate(), found, "planning", "m", 2000, NOW)}


def test_the_gates_own_latency_wins_over_the_deadline() -> None:
    gate = replace(DEFAULTS["should_respond"], p95_ms=700)
    assert failed(replace(GOOD, p95_ms=700), gate) == []
    assert failed(replace(GOOD, p95_ms=701), gate) == ["p95_ms"], "though the deadline of 2,000 ms would let it pass"
    assert failed(replace(GOOD, p95_ms=2500), replace(gate, p95_ms=3000)) == []
    assert failed(replace(GOOD, p95_ms=2000)) == []


def test_a_file_changes_rules_for_all_or_for_a_type(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text("min_decisions = 20\n[planning]\nvalid_percent = 99.5\n[should-respond]\np95_ms = 300\n")
    assert read_gate(path, "planning") == replace(DEFAULTS["planning"], min_decisions=20, valid_percent=99.5)
    assert read_gate(path, "should_respond").p95_ms == 300
    assert read_gate(None, "coding") == DEFAULTS["coding"]
    assert failed(replace(GOOD, decisions=20), read_gate(path, "coding"), "coding") == []


@pytest.mark.parametrize(
    "text",
    ["accuracy = 1", "valid_percent = 101", "alpha_percent = 0", "p95_ms = 'fast'", "leak = true", "x", "planning = 1"],
)
def test_what_is_no_rule_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        read_gate(path, "planning")
    with pytest.raises(DataError):
        read_gate(tmp_path / "none.toml", "planning")


def test_every_rule_has_its_meaning() -> None:
    assert set(MEANINGS) == set(vars(Gate()))
