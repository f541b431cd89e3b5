"""The gate with a real difference behind it: a trained model and a weak one, evaluated, one over the other and back."""

from __future__ import annotations

import json

import pytest

from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.train.runs import TrainingRuns
from tests.commands.train.test_eval import WEAK, samples
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.sandbox.decisions import decisions


@pytest.fixture
def tuned(still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log with a rule behind it, later decisions that nobody was trained on, and what a training made of it."""
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.01")
    log = Samples(still.store)
    log.insert_many(samples(list(decisions("should_respond", 300, 1)), name="n"))
    still.behave(training_seconds=120)
    still.run_clock()
    done = reasoning("train", "start", "should-respond", "--yes", "--base", WEAK)
    assert done.exit_code == 0, done.stderr
    log.insert_many(samples(list(decisions("should_respond", 240, 2)), name="p"))
    return str(TrainingRuns(still.store).all()[-1].model_name)


def serve(reasoning: Run, first: str, beside: str) -> None:
    """One in the slot, live; the other its shadow; both evaluated on the same."""
    for name, more in ((first, ()), (beside, ("--canary", "0"))):
        done = reasoning("models", "deploy", name, "--as", "should-respond", "--merged", "--yes", *more)
        if "no adapter" in done.stderr:
            done = reasoning("models", "deploy", name, "--as", "should-respond", "--yes", *more)
        assert done.exit_code == 0, done.stderr
    assert reasoning("models", "enable", "should-respond", "--mode", "live").exit_code == 0
    done = reasoning("train", "eval", "should-respond", "--model", beside, "--model", first, "--yes")
    assert done.exit_code == 0, done.stderr


@pytest.mark.both_engines
def test_the_trained_one_passes_the_gate_over_the_weak_one(tuned: str, reasoning: Run) -> None:
    serve(reasoning, WEAK, tuned)
    shown = reasoning("train", "promote", "should-respond", "--dry-run")
    assert shown.exit_code == 0, shown.stdout + shown.stderr
    assert "✗" not in shown.stdout
    record = json.loads(reasoning("train", "promote", "should-respond", "--dry-run", "--json").stdout)
    assert (record["passes"], record["model"], record["answers_now"], record["run"]) == (True, tuned, WEAK, 1)


def test_a_deliberately_worse_one_is_refused_and_told_why(still: Service, tuned: str, reasoning: Run) -> None:
    serve(reasoning, tuned, WEAK)
    refused = reasoning("train", "promote", "should-respond", "--yes")
    assert (refused.exit_code, refused.stdout) == (6, "")
    assert f"error: `{WEAK}` is not promoted to should-respond:" in refused.stderr
    assert "✗ right decisions, less those of what answers now" in refused.stderr
    assert Promotions(still.store).latest("should_respond") is None
