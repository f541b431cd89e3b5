"""`reasoning costs …` as it is typed: the bill, the budget, the automatic stop; exit codes and both streams whole."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
from pathlib import Path

import pytest

from tests.commands.models.test_models import program
from tests.conftest import Run
from tests.engines.together.service import EVENTS, MODELS, Service


def undated(text: str) -> str:
    """`text` with its days written out of it: a test runs on any."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DAY", text)


def test_the_bill_of_nothing(still: Service, reasoning: Run) -> None:
    shown = reasoning("costs", "report")
    assert (shown.exit_code, shown.stderr) == (0, "hint: set one: `reasoning costs set-budget 100`\n")
    assert undated(shown.stdout).splitlines()[0].startswith("total  $0.00 since DAY")
    assert shown.stdout.splitlines()[1:] == ["no budget is set"]


def test_the_bill_of_what_ran_and_what_runs(still: Service, reasoning: Run) -> None:
    still.deploy("coding")
    still.advance(3600)
    still.stop("coding")
    still.deploy("planning")
    still.advance(7200)
    assert reasoning("costs", "set-budget", "100").exit_code == 0
    shown = reasoning("costs", "report")
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = undated(shown.stdout).splitlines()
    assert lines[:4] == [
        "NAME      STATE       $/H  HOURS    COST  DECISIONS  PER 1,000  7 DAYS   MODEL",
        f"coding    DELETED  $21.96    1.0  $21.96          –          –  ▁▁▁▁▁▁█  {MODELS['coding']}",
        f"planning  READY     $5.49    2.0  $10.98          1          –  ▁▁▁▁▁▁█  {MODELS['planning']}",
        "",
    ]
    assert lines[4].startswith("total  $32.94 since DAY")
    assert lines[5:] == [
        "Not settled: how Together bills a begun minute, up to $0.46 more for 2 starts"
        " (`reasoning doctor --live --spend 2` settles it).",
        "Where the training log has no decisions, they are Together's count of requests.",
        "budget $100.00 a month, 33 % used, $67.06 left",
        "spending $5.49 an hour; the budget lasts 12 h 12, until DAY",
    ]
    bill = json.loads(reasoning("costs", "report", "--json").stdout)
    assert [(one["name"], one["cost_cents"], one["ready_seconds"]) for one in bill["models"]] == [
        ("coding", 2196, 3600),
        ("planning", 1098, 7200),
    ]
    assert bill["total"] == {
        "ready_seconds": 10_800,
        "cost_cents": 3294,
        "cost_low_cents": 3294,
        "cost_high_cents": 3294,
    }
    assert {key: value for key, value in bill["budget"].items() if key != "ends_at"} == {
        "period": "month",
        "used_cents": 3294,
        "used_low_cents": 3294,
        "used_high_cents": 3294,
        "limit_cents": 10_000,
        "left_cents": 6706,
        "used_share": 0.3294,
        "burn_cents_per_hour": 549,
        "token_cents_last_hour": "0",
        "rate_cents_per_hour": 549,
        "cap_cents_per_hour": 4000,
        "is_capped": False,
        "lasts_seconds": 6706 * 3600 // 549,
    }
    assert bill["total"]["cost_cents"] == int(still.ask("GET", "/_sandbox/meter")["totalCents"])
    assert reasoning("costs", "report", "-q").stdout == "coding\nplanning\n"
    rows = list(csv.DictReader(io.StringIO(reasoning("costs", "report", "--format", "csv").stdout)))
    assert [row["cost_cents"] for row in rows] == ["2196", "1098"]


def test_a_bill_that_is_not_exact_says_so(still: Service, reasoning: Run) -> None:
    still.deploy("planning")
    still.fault(EVENTS, status=403)
    still.advance(3600)
    still.scale(0, 0)
    shown = reasoning("costs", "report")
    assert shown.exit_code == 0
    assert "Known to ±$2.7" in shown.stdout


@pytest.mark.both_engines
def test_a_bill_by_day_by_type_and_of_a_fine_tune(still: Service, reasoning: Run) -> None:
    still.deploy("planning")
    still.advance(30 * 3600)
    still.ask("POST", "/_sandbox/fine-tunes", {"model": MODELS["planning"], "totalPriceNanoDollars": 8_140_000_000})
    by_model = json.loads(reasoning("costs", "report", "--json").stdout)
    (job,) = by_model["fine_tunes"]
    assert (job["cost_cents"], job["state"], job["decisions"]) == (814, "completed", None)
    assert [one["name"] for one in by_model["models"]] == ["planning"]
    by_day = json.loads(reasoning("costs", "report", "--by", "day", "--since", "3d", "--json").stdout)
    assert sum(one["cost_cents"] for one in by_day["lines"]) == by_day["total"]["cost_cents"] == 30 * 549 + 814
    by_type = reasoning("costs", "report", "--by", "type").stdout.splitlines()
    assert [line.split()[0] for line in by_type[1:3]] == ["planning", "fine-tunes"]
    hours = list(csv.DictReader(io.StringIO(reasoning("costs", "report", "--by", "hour", "--format", "csv").stdout)))
    assert sum(int(row["ready_seconds"]) for row in hours) == 30 * 3600


def test_a_bill_of_a_time_that_makes_no_sense_is_refused(still: Service, reasoning: Run) -> None:
    shown = reasoning("costs", "report", "--since", "tomorrow")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.splitlines() == [
        "error: `tomorrow` is not a time for --since",
        "hint: for example 2026-11-01, 2026-11-01T18:00:00Z, 7d or 24h",
    ]
    assert reasoning("costs", "report", "--watch", "--json").exit_code == 2


def test_a_watched_bill_is_written_again_until_ctrl_c(still: Service) -> None:
    still.deploy("planning")
    with program("costs", "report", "--watch", "--interval", "0.1s") as process:
        assert process.stdout is not None
        totals: list[str] = []
        while len(totals) < 2:
            line = process.stdout.readline()
            if line.startswith("total"):
                totals.append(line[:12])
                still.advance(3600)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert totals == ["total  $0.00", "total  $5.49"]


def test_without_network_the_last_known_bill_is_shown(still: Service, reasoning: Run) -> None:
    still.deploy("planning")
    still.advance(3600)
    reasoning("costs", "report")
    still.server.close()
    shown = reasoning("costs", "report")
    assert shown.exit_code == 7
    assert "planning  READY" in shown.stdout and "total  $5.49" in shown.stdout
    said = undated(shown.stderr).splitlines()
    assert said[1] == "warning: this bill ends at DAY, the last look"
    assert said[2].startswith(f"error: cannot reach Together at `{still.url}`")
    offline = reasoning("costs", "report", "--offline")
    assert (offline.exit_code, offline.stdout) == (0, shown.stdout)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("-5", "is not more than zero"),
        ("0", "is not more than zero"),
        ("1e999", "is not an amount between"),
        ("abc", "is not an amount of dollars"),
        ("NaN", "is not an amount between"),
        ("inf", "is not an amount between"),
        ("", "is not an amount of dollars"),
        ("0.001", "more than two decimals"),
        ("--yes", "is not an amount of dollars"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(
    still: Service, reasoning: Run, home: Path, amount: str, said: str
) -> None:
    shown = reasoning("costs", "set-budget", amount)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert said in shown.stderr
    assert shown.stderr.endswith("hint: for example `reasoning costs set-budget 100`\n")
    assert not (home / "config.toml").exists()


def test_a_budget_is_set_and_taken_away(still: Service, reasoning: Run) -> None:
    still.deploy("planning")
    still.advance(3600)
    reasoning("costs", "report")
    shown = reasoning("costs", "set-budget", "$50")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == "budget: $5.49 of $50.00 used this month; at $5.49 an hour the rest lasts 8 h 06\n"
    assert reasoning("config", "get", "budget.limit_usd").stdout == "50.00\n"
    small = reasoning("costs", "set-budget", "5")
    assert small.exit_code == 0
    assert small.stderr.splitlines()[0].startswith("warning: it is used up")
    gone = reasoning("costs", "set-budget", "none")
    assert (gone.exit_code, gone.stdout, gone.stderr) == (0, "There is no budget now.\n", "")
    assert still.journal("POST")[-1]["path"] == "/v1/chat/completions", "a budget asks Together for nothing"


def test_a_variable_that_hides_the_budget_is_named(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONING_SERVICE_BUDGET_LIMIT", "7")
    shown = reasoning("costs", "set-budget", "50")
    assert shown.stderr.splitlines()[0].startswith("warning: REASONING_SERVICE_BUDGET_LIMIT says otherwise")


def test_the_automatic_stop_reaches_what_runs_and_what_will(still: Service, reasoning: Run) -> None:
    still.deploy("planning")
    shown = reasoning("costs", "auto-shutdown", "--idle-minutes", "90")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == "Models stop after 90 idle minutes: every new one, planning.\n"
    assert [one["inactiveTimeout"] for one in still.deployments()] == [90]
    plan = json.loads(reasoning("models", "deploy", "coding", "--dry-run", "--json").stdout)
    assert plan["idle_minutes"] == 90
    never = reasoning("costs", "auto-shutdown", "--idle-minutes", "0")
    assert never.stderr == "warning: a forgotten model now costs until somebody stops it\n"
    assert [one["inactiveTimeout"] for one in still.deployments()] == [0]


@pytest.mark.parametrize("minutes", ["1441", "-30", "soon", "30.5", ""])
def test_minutes_that_together_would_refuse_are_refused(still: Service, reasoning: Run, minutes: str) -> None:
    shown = reasoning("costs", "auto-shutdown", "--idle-minutes", minutes)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.endswith("hint: for example --idle-minutes 30\n")
    assert still.journal() == []


@pytest.mark.parametrize(
    "typed",
    [
        ("costs", "set-budget", "5", "--period", "day"),
        ("costs", "clear-budget"),
        ("costs", "set-cap", "7"),
        ("costs", "auto-shutdown", "--idle-minutes", "60"),
        ("costs", "schedule", "planning", "18:00-23:00"),
        ("models", "disable", "planning"),
    ],
    ids=" ".join,
)
def test_what_ends_in_an_error_has_changed_no_limit(
    home: Path, still: Service, reasoning: Run, typed: tuple[str, ...]
) -> None:
    """The store takes no event, as that of a role which may only read: the setting was changed all the same."""
    assert reasoning("costs", "set-budget", "100").exit_code == 0
    file = home / "config.toml"
    before = file.read_bytes()
    with still.store.transaction() as connection:
        connection.execute("DROP TABLE events")
    done = reasoning(*typed)
    assert (done.exit_code, done.stdout) == (1, "")
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "typed",
    [
        ("costs", "set-budget", "5", "-m", ""),
        ("costs", "clear-budget", "--model-type", ""),
        ("costs", "auto-shutdown", "--idle-minutes", "60", "-m", ""),
        ("costs", "compare", ""),
        ("costs", "compare", "planning", "--decisions-per-hour", ""),
        ("costs", "compare", "planning", "--decisions-per-hour", "9", "--tokens", ""),
        ("costs", "compare", "planning", "--decisions-per-hour", "9", "--gpu-per-hour", ""),
        ("costs", "guard", "--once", "--interval", ""),
    ],
    ids=" ".join,
)
def test_an_empty_word_is_not_one_that_was_left_out(home: Path, reasoning: Run, typed: tuple[str, ...]) -> None:
    """A shell's variable that nobody set: the budget of one type would be that of all."""
    assert reasoning("costs", "set-budget", "100").exit_code == 0
    before = (home / "config.toml").read_bytes()
    done = reasoning(*typed)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: `` is not ")
    assert (home / "config.toml").read_bytes() == before
