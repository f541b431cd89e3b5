"""Keeping the log in order as it is typed: clean-ups, archives, copies, and the statistics by day and type."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.conftest import Run

pytestmark = pytest.mark.both_engines

NOW = datetime.now(UTC)


@pytest.fixture
def database(home: Path) -> Path:
    """Two decisions a day of sixty days, one of each sixth labelled."""
    home.mkdir()
    path = home / "reasoning.db"
    made = Sample("", NOW, "planning", "m", "original", "test", "p", "o", decision="REPLY", agent_name="Nova")
    with open_store(path) as store:
        Samples(store).insert_many(
            [
                replace(
                    made,
                    id=f"{name} {days}",
                    created_at=NOW - timedelta(days=days, minutes=5),
                    model_type=name,
                    decision="IGNORE" if name == "should_respond" else "REPLY",
                    label="good" if days % 6 == 0 and name == "planning" else None,
                )
                for days in range(60)
                for name in ("planning", "should_respond")
            ]
        )
    return path


def total(reasoning: Run) -> int:
    return int(json.loads(reasoning("data", "stats", "--json").stdout)["total"])


def test_cleanup_keeps_labels_and_one_type_and_says_so(reasoning: Run, database: Path) -> None:
    done = reasoning("data", "cleanup", "--days", "30", "-m", "planning", "--dry-run")
    assert done.stdout.startswith("25 samples older than 30 days (before ")
    assert done.stdout.endswith(". 5 labelled ones among them stay.\n")
    assert reasoning("data", "cleanup", "--days", "30", "-m", "planning", "--yes").exit_code == 0
    assert total(reasoning) == 95
    done = reasoning("data", "cleanup", "--max-samples", "10", "--no-keep-labelled", "--yes", "--json")
    record = json.loads(done.stdout)
    assert (record["deleted"], record["by_type"]) == (75, {"should_respond": 50, "planning": 25})
    assert total(reasoning) == 20


def test_settings_say_what_is_kept_when_nothing_is_typed(reasoning: Run, database: Path) -> None:
    assert reasoning("config", "set", "data.max_samples_per_type", "20").exit_code == 0
    done = reasoning("data", "cleanup", "--dry-run", "--no-keep-labelled")
    assert done.stdout.startswith("80 samples older than 30 days (before ")
    assert ") or beyond the newest 20 of a type, " in done.stdout
    typed = reasoning("data", "cleanup", "--days", "50", "--dry-run", "--no-keep-labelled")
    assert typed.stdout.startswith("20 samples older than 50 days (before ")


def test_the_guard_clears_the_log_when_it_may(reasoning: Run, database: Path, together: object) -> None:
    assert reasoning("costs", "guard", "--once").exit_code == 0
    assert total(reasoning) == 120
    assert reasoning("config", "set", "data.guard_cleanup", "true").exit_code == 0
    done = reasoning("costs", "guard", "--once")
    assert "55 samples deleted: kept no longer" in done.stdout
    assert total(reasoning) == 65
    assert '"deleted": 55' in reasoning("costs", "events", "--json").stdout


def test_a_day_a_line_in_every_format(reasoning: Run, database: Path) -> None:
    rows = json.loads(reasoning("data", "stats", "--by-day", "--json", "-m", "planning").stdout)
    assert (len(rows), rows[-1]["total"], rows[-1]["planning"]) == (60, 1, 1)
    assert "should_respond" not in rows[-1]
    lines = reasoning("data", "stats", "--by-day").stdout.splitlines()
    assert lines[0].split() == ["DAY", "PLANNING", "SHOULD-RESPOND", "DECISIONS"]
    assert lines[-1].split()[1:] == ["1", "1", "2", "█" * 24]
    csv = reasoning("data", "stats", "--by-day", "--format", "csv").stdout.splitlines()
    assert csv[0] == "day,planning,should_respond,total"
    whole = reasoning("data", "stats", "--format", "csv").stdout.splitlines()
    assert [line.partition(",")[0] for line in whole] == ["model_type", "planning", "should_respond"]


def test_statistics_of_one_type(reasoning: Run, database: Path) -> None:
    record = json.loads(reasoning("data", "stats", "-m", "planning", "--json").stdout)
    assert (record["total"], list(record["by_type"]), record["by_type"]["planning"]["labels"]) == (
        60,
        ["planning"],
        {"good": 10},
    )
    assert record["personal_data"] == {"looked_at": 60, "holding": 0, "kinds": {}}
    shown = reasoning("data", "stats").stdout
    for line in (
        "each day",
        "sources          original 100 %",
        "agents           Nova 100 %",
        "labels           good 8.3 %",
    ):
        assert f"\n  {line}" in shown


def test_an_archive_and_back(reasoning: Run, database: Path) -> None:
    pytest.importorskip("pyarrow")
    archive = ("data", "archive", "--older-than", "30", "-o", "old")
    assert "deleted after" in reasoning(*archive, "--dry-run").stdout
    assert not Path("old").exists()
    assert reasoning(*archive).stdout.startswith("60 samples written to ")
    again = json.loads(reasoning(*archive, "--json").stdout)
    assert (again["written"], again["already_there"], again["deleted"]) == (0, 60, 0)
    refused = reasoning(*archive, "--delete")
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (1, "hint: add --yes")
    assert reasoning(*archive, "--delete", "--yes").stdout.endswith(" 60 deleted from the log.\n")
    assert total(reasoning) == 60
    assert reasoning("data", "unarchive", "old").stdout.startswith("60 samples put back from ")
    assert reasoning("data", "unarchive", "old").stdout.startswith("0 samples put back from ")
    assert json.loads(reasoning("data", "stats", "--json").stdout)["by_type"]["planning"]["labels"] == {"good": 10}


@pytest.mark.sqlite("`data restore` puts a file in the place of a file")
def test_a_copy_and_back(reasoning: Run, database: Path) -> None:
    done = reasoning("data", "backup", "copy.db")
    assert done.stdout.startswith("120 samples and the ledger copied to copy.db, ")
    assert reasoning("data", "backup", "copy.db").exit_code == 2
    assert reasoning("data", "backup", "copy.db", "--force").exit_code == 0
    reasoning("data", "cleanup", "--days", "10", "--yes", "--no-keep-labelled")
    assert total(reasoning) == 20
    shown = reasoning("data", "restore", "copy.db", "--dry-run")
    assert "copy.db: 120 samples" in shown.stdout
    assert f"{database}: 20 samples" in shown.stdout
    refused = reasoning("data", "restore", "copy.db")
    assert (refused.exit_code, refused.stderr.splitlines()[-1]) == (1, "hint: add --yes")
    assert total(reasoning) == 20
    assert reasoning("data", "restore", "copy.db", "--yes").exit_code == 0
    assert total(reasoning) == 120
    assert len(list(database.parent.glob("reasoning.db.before-restore-*"))) == 1


@pytest.mark.sqlite("`data vacuum` writes the file anew")
def test_writing_anew_needs_the_database_alone(reasoning: Run, database: Path) -> None:
    with open_store(database) as store:
        store.number("SELECT count(*) FROM samples")
        refused = reasoning("data", "vacuum")
    assert (refused.exit_code, "in use by another program" in refused.stderr) == (1, True)
    record = json.loads(reasoning("data", "vacuum", "--json").stdout)
    assert 0 < record["after_bytes"] <= record["before_bytes"]
    assert total(reasoning) == 120


def test_a_home_that_cannot_be_written_is_told(reasoning: Run, database: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in (("backup", tmp_path / "file" / "copy.db"), ("backup", tmp_path / "none" / "copy.db")):
        done = reasoning("data", *command)
        assert done.exit_code == 1
        assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
