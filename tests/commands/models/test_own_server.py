"""What somebody sees who sets up a server of their own in a fresh home, without a key."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.gateway.model_server import MODEL
from tests.sandbox.decisions import decisions


def test_each_step_of_a_newcomer_leads_to_the_next_without_together(home: Path, reasoning: Run) -> None:
    enabled = reasoning("models", "enable", "should-respond", "--mode", "shadow")
    assert "`reasoning config set should_respond.provider_url URL`" in enabled.stderr
    for name, value in (("model", MODEL), ("provider_url", "http://127.0.0.1:9/v1")):
        assert reasoning("config", "set", f"should_respond.{name}", value).exit_code == 0
    for words in (("status",), ("models", "status")):
        shown = reasoning(*words).stdout
        assert "OFF    no server is set for planning, coding: `reasoning config set planning.provider_url URL`" in shown
        assert "models deploy" not in shown
    evaluated = reasoning("train", "eval", "should-respond", "--yes")
    assert (evaluated.exit_code, evaluated.stderr.splitlines()[0]) == (
        1,
        "error: the log holds no decision to evaluate should-respond on",
    )
    assert "`reasoning data import FILE`" in evaluated.stderr


def test_what_an_own_server_was_asked_in_the_last_hour_is_shown(home: Path, reasoning: Run) -> None:
    for name, value in (("model", MODEL), ("provider_url", "http://127.0.0.1:9/v1")):
        assert reasoning("config", "set", f"should_respond.{name}", value).exit_code == 0
    now = datetime.now(UTC)
    made = samples(list(decisions("should_respond", 5, 1)), name="n")
    ages = [timedelta(minutes=minutes) for minutes in (5, 20, 50, 70, 90)]
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(
            [
                replace(one, source="slot", model=MODEL, created_at=now - age)
                for one, age in zip(made, ages, strict=True)
            ]
        )
    listed = json.loads(reasoning("models", "status", "--json").stdout)
    slot = next(row for row in listed if row["model_type"] == "should_respond")
    assert slot["requests_last_hour"] == 3
