"""The gate: each rule alone, the cautious end of every interval, and what an operator may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import ConfigurationError, DataError
from reasoning_cli.operations.evaluate.gate_rules import DEFAULTS, MEANINGS, Gate, read_gate
from reasoning_cli.operations.promote.gate import Bounds, Criterion, Evidence, judge, refusal, rules_of_watch
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


EVALUATE = "`reasoning train eval should-respond --model acme/new`"
COLLECT = "collect more decisions that it was not trained on (`reasoning data stats`), then "
AGREEMENT = "right decisions, less those of what answers now"


def test_each_rule_shows_what_is_wanted_and_found_and_what_would_help() -> None:
    found = replace(GOOD, decisions=5000, leaked=1200, wrong_respond=0.075, live_decisions=4321, p95_ms=1700)
    gate = replace(DEFAULTS["should_respond"], min_decisions=1000)
    assert judge(gate, found, "should_respond", "acme/new", 2000, NOW, first="deploy it, ") == [
        Criterion(
            *("min_decisions", "decisions evaluated", "at least 1,000", "5,000", True),
            f"{COLLECT}deploy it, {EVALUATE}",
        ),
        Criterion(
            *("max_age_days", "days since the evaluation", "at most 14", "1", True),
            f"evaluate it anew, with `--again`: deploy it, {EVALUATE}",
        ),
        Criterion(
            *("leak", "decisions it was trained on", "none", "1,200", False),
            f"evaluate on what it has not seen: deploy it, {EVALUATE}",
        ),
        Criterion(
            *("valid_percent", "valid answers", "at least 95 %", "99.0 %, between 98.0 and 100.0", True),
            f"{COLLECT}deploy it, {EVALUATE}",
        ),
        Criterion(
            *("margin_percent", AGREEMENT, "at least -2 %", "3.0 %, between -1.0 and 7.0", True),
            "more labels narrow the interval: `reasoning data review -m should-respond`; better training moves it",
        ),
        Criterion(
            *("wrong_respond_percent", "RESPOND where it should keep out", "at most 10 %", "7.5 %", True),
            "train on more decisions to stay out: `reasoning train init` shows the balance",
        ),
        Criterion(
            *("p95_ms", "95 % of answers come within", "at most 2,000 ms", "1,700 ms", True),
            "a smaller model, more replicas, or a longer deadline: `reasoning config set should_respond.deadline_ms`",
        ),
        Criterion(
            *("live", "in live traffic", "not worse, once there is any", "undecided, of 4,321 decisions", True),
            "`reasoning train compare should-respond`",
        ),
    ]


def test_what_was_not_measured_is_shown_as_that_with_how_to_measure_it() -> None:
    found = replace(GOOD, difference=None, baseline="acme/old", valid=None, wrong_respond=None, p95_ms=None, live=None)
    evaluate = "`reasoning train eval should-respond --model acme/new --model acme/old`"
    out_of = f"evaluate on decisions to stay out of: {evaluate}; or let the gate say wrong_respond_percent = 100"
    text = "right decisions, less those of acme/old"
    shown = judge(DEFAULTS["should_respond"], found, "should_respond", "acme/new", 2000, NOW)
    assert shown[3:] == [
        Criterion("valid_percent", "valid answers", "at least 95 %", "not measured", False, evaluate),
        Criterion("margin_percent", text, "at least -2 %", "not measured", False, f"ask both the same: {evaluate}"),
        Criterion(
            *("wrong_respond_percent", "RESPOND where it should keep out", "at most 10 %", "not measured", False),
            out_of,
        ),
        Criterion(
            *("p95_ms", "95 % of answers come within", "at most 2,000 ms", "not measured", False),
            f"ask it: {evaluate}",
        ),
        Criterion(
            *("live", "in live traffic", "not worse, once there is any", "no traffic yet", None),
            "`reasoning train compare should-respond`",
        ),
    ]
    never = judge(DEFAULTS["should_respond"], Evidence(), "should_respond", "acme/new", 2000, NOW)
    wanted = "one of at least 100 decisions"
    assert never == [Criterion("evaluated", "an evaluation", wanted, "none", False, EVALUATE), shown[-1]]


def test_where_no_label_tells_the_original_is_held_to_be_right() -> None:
    found = replace(GOOD, difference=None)
    (agreement,) = (
        criterion
        for criterion in judge(DEFAULTS["planning"], found, "planning", "acme/new", 2000, NOW)
        if criterion.key == "agreement_percent"
    )
    assert agreement == Criterion(
        *("agreement_percent", "decides as the original", "at least 65 %", "95.0 %, between 92.0 and 97.0", True),
        "label where they differ, so that it is known who is right: `reasoning data review -m planning`",
    )


def test_a_refusal_names_all_that_failed_and_what_helps_with_the_first() -> None:
    criteria = judge(
        DEFAULTS["should_respond"], replace(GOOD, leaked=2, p95_ms=2500), "should_respond", "acme/new", 2000, NOW
    )
    refused = refusal(criteria, "acme/new", "should-respond")
    assert refused is not None
    assert refused.message == (
        "`acme/new` is not promoted to should-respond: decisions it was trained on: 2, wanted none;"
        " 95 % of answers come within: 2,500 ms, wanted at most 2,000 ms"
    )
    assert refused.hint == f"evaluate on what it has not seen: {EVALUATE}"


@pytest.mark.parametrize(
    ("just", "beyond", "rule"),
    [
        ({"decisions": 100}, {"decisions": 99}, "min_decisions"),
        ({"at": NOW - timedelta(days=14)}, {"at": NOW - timedelta(days=14, seconds=1)}, "max_age_days"),
        ({"valid": Bounds(0.97, 0.95, 0.99)}, {"valid": Bounds(0.97, 0.9499, 0.99)}, "valid_percent"),
        ({"difference": Bounds(0.0, -0.02, 0.03)}, {"difference": Bounds(0.0, -0.0201, 0.03)}, "margin_percent"),
        ({"wrong_respond": 0.1}, {"wrong_respond": 0.1001}, "wrong_respond_percent"),
        ({"p95_ms": 2000}, {"p95_ms": 2001}, "p95_ms"),
    ],
)
def test_what_is_just_enough_passes(just: dict[str, object], beyond: dict[str, object], rule: str) -> None:
    assert failed(replace(GOOD, **just)) == []  # type: ignore[arg-type]
    assert failed(replace(GOOD, **beyond)) == [rule]  # type: ignore[arg-type]


def test_an_evaluation_by_a_clock_that_is_ahead_is_of_today() -> None:
    ahead = judge(Gate(), replace(GOOD, at=NOW + timedelta(days=3)), "planning", "m", 2000, NOW)[1]
    assert (ahead.found, ahead.passed) == ("0", True)


@pytest.mark.parametrize(
    ("baseline", "agreement", "percent"),
    [
        (None, Bounds(0.3, 0.2, 0.4), 75),  # the original is what it is held to
        ("acme/old", None, 0),
        ("acme/old", Bounds(0.9, 0.8, 0.95), 70),  # ten points below the low end
        ("acme/old", Bounds(0.99, 0.95, 1.0), 75),  # never more than the gate asks
        ("acme/old", Bounds(0.08, 0.05, 0.12), 0),
    ],
)
def test_a_model_that_follows_another_of_ours_is_watched_by_how_often_they_agreed(
    baseline: str | None, agreement: Bounds | None, percent: float
) -> None:
    gate = DEFAULTS["should_respond"]
    watched = rules_of_watch(gate, replace(GOOD, baseline=baseline, baseline_agreement=agreement))
    assert watched == replace(gate, live_agreement_percent=pytest.approx(percent))


@pytest.mark.parametrize(
    ("changes", "help"),
    [
        ({"decisions": 15}, "collect more decisions that it was not trained on"),
        ({"valid": Bounds(1.0, 0.796, 1.0)}, "collect more decisions that it was not trained on"),
        ({"valid": Bounds(0.8, 0.75, 0.85)}, "`reasoning data review --evaluation 3`"),
        ({"valid": None}, "`reasoning train eval should-respond --model acme/new`"),
    ],
)
def test_what_helps_does_not_lead_back_to_the_same_evaluation(changes: dict[str, object], help: str) -> None:
    """Fifteen decisions were all that there were: the same command again finds the same fifteen."""
    found = replace(GOOD, **changes)  # type: ignore[arg-type]
    refused = refusal(judge(DEFAULTS["should_respond"], found, "should_respond", "acme/new", 2000, NOW), "m", "n")
    assert refused is not None
    assert help in (refused.hint or "")


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


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("accuracy = 1", "`accuracy` in `gate.toml` is not a rule", "there are min_decisions, valid_percent, "),
        (
            "min_decisions = -1",
            "`min_decisions` in `gate.toml` is not a number from 0",
            "for example valid_percent = 97",
        ),
        ("min_decisions = 1e9", "`min_decisions` in `gate.toml` is not a number from 0", "for example"),
        ("valid_percent = 100.1", "`valid_percent = 100.1` in `gate.toml` makes no sense", "for example"),
        ("alpha_percent = 50", "`alpha_percent = 50` in `gate.toml` makes no sense", "for example"),
        ("[talking]\np95_ms = 5", "`talking` in `gate.toml` is not a model type", "there are should_respond, planning"),
        ("x", None, "one rule a line, like valid_percent = 97"),
    ],
)
def test_a_wrong_rule_is_named_with_its_file(text: str, message: str | None, hint: str) -> None:
    path = Path("gate.toml")
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_gate(path, "planning")
    assert refused.value.message == message if message else "gate.toml" in refused.value.message
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(hint)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match=r"there is no file `nowhere\.toml`") as refused:
        read_gate(Path("nowhere.toml"), "planning")
    assert refused.value.hint == "`--gate FILE` names a TOML file"


def test_rules_reach_from_nothing_to_all(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(
        "min_decisions = 0\nvalid_percent = 100\nmargin_percent = 0.5\nalpha_percent = 49.9\np95_ms = 300.0\n"
    )
    gate = read_gate(path, "planning")
    assert (gate.min_decisions, gate.valid_percent, gate.margin_percent, gate.alpha_percent) == (0, 100, 0.5, 49.9)
    assert (gate.p95_ms, type(gate.p95_ms), type(gate.valid_percent)) == (300, int, float)
    path.write_text("alpha_percent = 0.1\nmin_decisions = 999999999\n")
    assert read_gate(path, "planning") == replace(DEFAULTS["planning"], alpha_percent=0.1, min_decisions=999_999_999)


def test_every_rule_has_its_meaning() -> None:
    assert set(MEANINGS) == set(vars(Gate()))
