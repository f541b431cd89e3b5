"""`train eval`: a weak model and a fine-tuned one on decisions that neither was trained on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.decisions.answers import ShouldRespondAnswer, render_answer
from reasoning_cli.decisions.prompts import shape_of
from reasoning_cli.operations.data.review import Asked, Review
from reasoning_cli.store.evaluate.evaluations import Evaluations
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from reasoning_cli.store.train.runs import TrainingRuns
from tests.conftest import Result, Run
from tests.engines.together.service import Service
from tests.sandbox.decisions import Decision, decisions
from tests.waiting import until

CHAT = r"^/v1/chat/completions$"
WEAK = "meta-llama/Llama-3.2-3B-Instruct"
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)


def samples(made: Sequence[Decision], kind: str = "should_respond", *, name: str) -> list[Sample]:
    """Decisions of the log, a minute apart, each in a room of its own."""
    return [
        Sample(
            f"{name}{number}",
            BEGIN + timedelta(minutes=number, days="cnpz".index(name) * 8),
            kind,
            "gpt-4o-mini",
            "original",
            "gateway",
            one.prompt,
            one.answer,
            decision=one.decided,
            room_id=f"{name} {number}",
            prompt_tokens=400,
            completion_tokens=40,
            latency_ms=700 + number % 50,
            shape=shape_of(one.prompt),
        )
        for number, one in enumerate(made)
    ]


@pytest.fixture
def weak(still: Service) -> Service:
    """A log of decisions with a rule behind them, and a weak model in the slot."""
    Samples(still.store).insert_many(samples(list(decisions("should_respond", 120, 1)), name="n"))
    still.deploy(WEAK, model_type="should_respond")
    still.forget_journal()
    return still


@pytest.fixture
def both(still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Service, str]]:
    """The same after a training: (Together, the name of the model that came of it), both deployed."""
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.01")
    Samples(still.store).insert_many(samples(list(decisions("should_respond", 300, 1)), name="n"))
    still.behave(training_seconds=120)
    still.run_clock()
    done = reasoning("train", "start", "should-respond", "--yes", "--base", WEAK)
    assert done.exit_code == 0, done.stderr
    tuned = str(TrainingRuns(still.store).all()[-1].model_name)
    for name, as_type in ((WEAK, "planning"), (tuned, "should-respond")):
        deployed = reasoning("models", "deploy", name, "--as", as_type, "--merged", "--yes")
        assert deployed.exit_code == 0, deployed.stderr
    yield still, tuned


def calls(service: Service) -> int:
    return sum(one["path"] == "/v1/chat/completions" for one in service.journal("POST"))


def record_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def model(report: dict[str, Any], number: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = report["models"][number]
    return found


# --- one model ---


@pytest.mark.both_engines
def test_a_weak_model_is_told_as_such(reasoning: Run, weak: Service) -> None:
    done = reasoning("train", "eval", "should-respond")
    assert done.exit_code == 0, done.stderr
    assert "Evaluation 1: 120 decisions of should-respond" in done.stdout
    assert "Right is: 120 the original's answer." in done.stdout
    assert "Nobody judged these decisions" in done.stdout
    assert "`reasoning data review --evaluation 1`" in done.stdout
    assert "it runs already: asking it costs nothing more" in done.stderr
    assert "what should-respond was trained on is not known here" in done.stderr
    report = record_of(reasoning("train", "eval", "--show", "1", "--json"))
    weak_one = model(report)
    truths = [one.decided for one in decisions("should_respond", 120, 1)]
    invalid = sum(weak_one["failures"].values())
    assert weak_one["failures"] == {"no XML answer": invalid}
    right = weak_one["confusion"]["RESPOND"]["RESPOND"]
    assert weak_one["metrics"]["accuracy"]["value"] == right / 120
    assert weak_one["metrics"]["recall_RESPOND"]["value"] == right / truths.count("RESPOND")
    assert weak_one["valid"]["value"] == (120 - invalid) / 120
    for figure in (*weak_one["metrics"].values(), weak_one["valid"], weak_one["latency_p95_ms"]):
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert figure["low"] < figure["high"] or figure is weak_one["latency_p95_ms"]
    # The original's price is in the table, and its latencies in the log.
    original = model(report, 0)
    assert original["cost_cents_per_1000"]["value"] == pytest.approx(8.4)
    assert original["latency_p50_ms"]["value"] == 719
    assert original["metrics"] == {}
    assert report["differences"][0]["metric"] == "valid"


def test_typed_again_the_stored_result_is_shown_until_something_changed(reasoning: Run, weak: Service) -> None:
    first = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert calls(weak) == 120
    again = reasoning("train", "eval", "should-respond", "--json")
    assert record_of(again) == first
    assert "Nothing changed since evaluation 1" in again.stderr
    # A label is other data; what was answered before need not be asked again.
    Labels(weak.store).set([Labelling("n0", "bad"), Labelling("n1", "good")], at=BEGIN, by="ada")
    labelled = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert (labelled["evaluation"], labelled["labelled"], calls(weak)) == (2, 2, 120)
    assert labelled["bases"] == {"original": 118, "bad": 1, "good": 1}
    assert model(labelled, 0)["metrics"]["accuracy"]["count"] == 2
    assert record_of(reasoning("train", "eval", "should-respond", "--again", "--json"))["evaluation"] == 3
    assert calls(weak) == 240
    listed = json.loads(reasoning("train", "evals", "--json").stdout)
    assert [one["evaluation"] for one in listed] == [3, 2, 1]
    assert reasoning("train", "evals", "planning").stderr.startswith("Nothing was evaluated yet")


def test_corrections_outrank_what_the_original_said(reasoning: Run, weak: Service) -> None:
    """Where people say that speaking was right each time, a model that always speaks is the better one."""
    speak = render_answer(ShouldRespondAnswer("Nova", "it should", "RESPOND"))
    ids = [f"n{number}" for number in range(120)]
    Labels(weak.store).set([Labelling(one, "corrected", speak) for one in ids], at=BEGIN, by="ada")
    report = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert report["bases"] == {"corrected": 120}
    (difference,) = [one for one in report["differences"] if one["metric"] == "accuracy"]
    assert (difference["one"], difference["other"], difference["verdict"]) == ("should-respond", "original", "better")
    assert difference["figure"]["low"] > 0


def test_mistakes_cost_what_the_operator_says(reasoning: Run, weak: Service) -> None:
    command = ("train", "eval", "should-respond", "--wrong-respond-cost", "5", "--wrong-ignore-cost", "0.5")
    report = record_of(reasoning(*command, "--json"))
    metrics = model(report)["metrics"]
    assert metrics["wrong_ignore"]["value"] == 0
    assert metrics["mistake_cost"]["value"] == pytest.approx(5 * metrics["wrong_respond"]["value"])
    assert "Mistakes are weighed 5 for speaking" in reasoning(*command).stdout
    for bad in ("-1", "nan", "much"):
        refused = reasoning("train", "eval", "should-respond", f"--wrong-respond-cost={bad}")
        assert (refused.exit_code, "--wrong-respond-cost 5" in refused.stderr) == (2, True)


def test_a_sample_stays_what_it_was_as_the_log_grows(reasoning: Run, weak: Service) -> None:
    command = ("train", "eval", "should-respond", "--sample", "30", "--seed", "4", "--until", "20d", "--json")
    assert record_of(reasoning(*command))["count"] == 30
    Samples(weak.store).insert_many(samples(list(decisions("should_respond", 5, 9)), name="z"))
    assert record_of(reasoning(*command))["evaluation"] == 1
    assert calls(weak) == 30


def test_planning_and_coding_have_figures_of_their_own(reasoning: Run, still: Service) -> None:
    Samples(still.store).insert_many(samples(list(decisions("planning", 40, 1)), "planning", name="n"))
    fenced = "Here:\n\n```{}\n{}\n```"
    coded = [("python", "def f(): return 1"), ("javascript", "let a = {b: [1]};"), ("ts", "const a: number = (1;")]
    Samples(still.store).insert_many(
        samples(
            [Decision(f"write code {text}", fenced.format(name, text), name) for name, text in coded],
            "coding",
            name="c",
        )
    )
    for kind in ("planning", "coding"):
        still.deploy(kind)
    planned = model(record_of(reasoning("train", "eval", "planning", "--json")))["metrics"]
    assert set(planned) >= {"actions_f1", "actions_same", "providers_same", "text_similarity", "words_count"}
    assert 0 < planned["actions_f1"]["value"] < 1
    report = record_of(reasoning("train", "eval", "coding", "--json"))
    assert model(report, 0)["metrics"]["parses"]["value"] == pytest.approx(2 / 3)
    assert model(report, 0)["checked"].get("brackets", 0) >= 1
    assert set(model(report)["metrics"]) >= {"similarity", "same", "parses"}
    assert "looked at for brackets alone" in reasoning("train", "eval", "coding").stdout


def test_tests_run_only_when_that_is_asked_for(reasoning: Run, still: Service, tmp_path: Path) -> None:
    still.deploy("coding")
    marker = tmp_path / "ran"
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"write a python function, the {number}."},
                {"role": "assistant", "content": "```python\nprint(1)\n```"},
            ],
            "tests": f"open({str(marker)!r}, 'w')\nassert first([3, 1], 2) == {number}",
        }
        for number in (1, 2)
    ]
    file = tmp_path / "tests.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))
    report = record_of(reasoning("train", "eval", "coding", "--dataset", file, "--json"))
    assert "tests_pass" not in model(report, 0)["metrics"]
    assert not marker.exists()
    report = record_of(reasoning("train", "eval", "coding", "--dataset", file, "--run-tests", "--again", "--json"))
    assert model(report, 0)["metrics"]["tests_pass"] == pytest.approx(
        {"value": 0.5, "low": 0.0945, "high": 0.9055, "count": 2}, abs=1e-3
    )
    assert marker.exists()


# --- a weak and a tuned one ---


def test_the_tuned_model_beats_the_weak_one_on_what_neither_has_seen(reasoning: Run, both: tuple[Service, str]) -> None:
    service, tuned = both
    new = samples(list(decisions("should_respond", 150, 2)), name="p")
    Samples(service.store).insert_many(new)
    trained = TrainingRuns(service.store).trained_on(1)
    assert trained is not None
    command = ("train", "eval", "should-respond", "--model", tuned, "--model", WEAK)
    report = record_of(reasoning(*command, "--json"))
    assert report["count"] == 450 - sum(report["left_out"].values())
    assert report["left_out"][f"in the training of {tuned}"] == len(list(trained))
    (difference,) = [one for one in report["differences"] if (one["other"], one["metric"]) == (WEAK, "accuracy")]
    assert (difference["one"], difference["verdict"]) == (tuned, "better")
    assert difference["figure"]["low"] > 0.2
    assert model(report)["metrics"]["accuracy"]["value"] > 0.85
    assert (model(report)["run"], model(report)["training"]) == (1, "known")
    said = reasoning(*command).stdout
    assert f"{tuned} is better than {WEAK}: accuracy +" in said
    store = Evaluations(service.store)
    record = store.latest("should_respond", str(TrainingRuns(service.store).all()[-1].model_id))
    assert record is not None
    assert record.number == 1
    asked = {one.item for group in store.answers(1) for one in group}
    assert asked.isdisjoint(set(trained))


def test_near_copies_of_what_was_trained_on_are_left_out(reasoning: Run, both: tuple[Service, str]) -> None:
    service, tuned = both
    seen = next(iter(TrainingRuns(service.store).trained_on(1) or ()))
    old = next(one for one in Samples(service.store).iterate() if one.seq == seen)
    later = old.prompt.replace("(just now)", "(2 hours ago)").replace("12:0", "14:0")
    assert later != old.prompt
    copy = replace(old, id="copy", prompt=later, shape=shape_of(later), created_at=BEGIN + timedelta(days=20))
    fresh = samples(list(decisions("should_respond", 20, 7)), name="p")
    Samples(service.store).insert_many([copy, *fresh])
    report = record_of(reasoning("train", "eval", "should-respond", "--since", "28d", "--json"))
    assert report["left_out"]["a near-copy of what should-respond was trained on"] >= 1
    assert report["count"] + sum(report["left_out"].values()) == 21
    assert tuned


def test_the_holdout_is_the_validation_side(reasoning: Run, both: tuple[Service, str]) -> None:
    service, tuned = both
    held = TrainingRuns(service.store).trained_on(1, "validation")
    assert held is not None
    report = record_of(reasoning("train", "eval", "should-respond", "--model", tuned, "--holdout", "--json"))
    assert report["count"] + sum(report["left_out"].values()) == len(list(held))
    refused = reasoning("train", "eval", "should-respond", "--model", WEAK, "--holdout")
    assert (refused.exit_code, "no validation side is known" in refused.stderr) == (1, True)


def test_a_file_that_overlaps_the_training_is_found_out(
    reasoning: Run, both: tuple[Service, str], tmp_path: Path
) -> None:
    """Whether it is what was exported, or the same turned round and with other lines among it."""
    service, tuned = both
    fresh = [json.loads(one.line()) for one in decisions("should_respond", 30, 77)]
    assert reasoning("data", "export", "-m", "should-respond", "-o", "all.jsonl").exit_code == 0
    lines = [json.loads(line) for line in Path("all.jsonl").read_text().splitlines()]
    trained = len(list(TrainingRuns(service.store).trained_on(1) or ()))
    mixed, clean = tmp_path / "mixed.jsonl", tmp_path / "clean.jsonl"
    mixed.write_text("".join(json.dumps(one) + "\n" for one in [*fresh, *reversed(lines)]))
    clean.write_text("".join(json.dumps(one) + "\n" for one in fresh))
    for file, count in ((Path("all.jsonl"), len(lines)), (mixed, len(lines) + 30)):
        command = ("train", "eval", "should-respond", "--model", tuned, "--dataset", file)
        done = reasoning(*command, "--json")
        report = record_of(done)
        assert report["leaked"] >= trained
        assert report["count"] + sum(report["left_out"].values()) == count
        flag = f"warning: {report['leaked']:,} of the {count:,} lines of {file.name} were in the training of a model"
        assert flag in done.stderr
        assert flag in reasoning(*command).stderr  # the stored result is no better
    report = record_of(reasoning("train", "eval", "should-respond", "--model", "1", "--dataset", clean, "--json"))
    assert (report["count"], report["leaked"], report["bases"]) == (30, 0, {"file": 30})
    assert [one["name"] for one in report["models"]] == ["1"]
    kept = [one.output for group in Evaluations(service.store).answers(report["evaluation"]) for one in group]
    assert kept == [""] * 30  # what is not a sample's nobody could find to delete it
    assert reasoning("train", "eval", "should-respond", "--dataset", "none.jsonl").exit_code == 5
    # Of archives some are drawn, and what was trained on is left out by the same lines.
    pytest.importorskip("duckdb")
    drawing = ("train", "eval", "should-respond", "--model", tuned, "--sample", "60", "--dry-run", "--json", "--from")
    assert reasoning(*drawing, "archive").exit_code == 5
    assert reasoning(*drawing, "archive", "--dataset", clean).exit_code == 2
    assert reasoning("data", "archive", "--older-than", "1", "-o", "archive").exit_code == 0
    drawn = json.loads(reasoning(*drawing, "archive", "--from", "log").stdout)
    assert drawn["decisions"] + sum(drawn["left_out"].values()) == 60 and drawn["leaked"] > 0
    assert json.loads(reasoning(*drawing, "archive", "--from", "log").stdout) == drawn


def test_it_is_asked_in_the_form_it_was_trained_in_and_known_by_it(
    reasoning: Run, still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.01")
    made = samples(list(decisions("should_respond", 150, 1)), name="n")
    secret = [
        replace(one, prompt=one.prompt.replace("# Received", f"my card: {one.id}@mail.example\n# Received"))
        for one in made
    ]
    Samples(still.store).insert_many([replace(one, shape=shape_of(one.prompt)) for one in secret])
    still.behave(training_seconds=120)
    still.run_clock()
    assert reasoning("train", "start", "should-respond", "--yes", "--base", WEAK, "--compact").exit_code == 0
    tuned = str(TrainingRuns(still.store).all()[-1].model_name)
    assert reasoning("models", "deploy", tuned, "--as", "should-respond", "--merged", "--yes").exit_code == 0
    report = record_of(reasoning("train", "eval", "should-respond", "--holdout", "--json"))
    assert model(report)["form"] == "compact"
    chats = [one for one in still.journal("POST") if one["path"].endswith("completions")]
    assert chats[-1]["body"]["messages"][-1]["content"].startswith("# Decision for ")
    # A file of compact prompts, redacted or not, put together in another order, holds what was trained on.
    trained = len(list(TrainingRuns(still.store).trained_on(1) or ()))
    for redact in ("--redact", "--no-redact"):
        done = reasoning(
            "data", "export", "-m", "should-respond", "--compact", redact, "-o", "c.jsonl", "--force", "--seed", "0"
        )
        assert done.exit_code == 0, done.stderr
        Path("d.jsonl").write_text("\n".join(reversed(Path("c.jsonl").read_text().splitlines())))
        plan = json.loads(
            reasoning("train", "eval", "should-respond", "--dataset", "d.jsonl", "--dry-run", "--json").stdout
        )
        assert plan["leaked"] >= trained, redact


def test_of_two_in_one_endpoint_each_is_asked_by_its_name(reasoning: Run, both: tuple[Service, str]) -> None:
    service, tuned = both
    Samples(service.store).insert_many(samples(list(decisions("should_respond", 20, 5)), name="p"))
    answered = reasoning("train", "eval", "should-respond", "--model", tuned, "--limit", "20", "--json")
    assert model(record_of(answered))["serving_name"] == "sandbox/should-respond"
    done = reasoning("models", "deploy", WEAK, "--as", "should-respond", "--canary", "10", "--yes")
    assert done.exit_code == 0, done.stderr
    command = ("train", "eval", "should-respond", "--model", tuned, "--model", WEAK, "--sample", "40")
    report = record_of(reasoning(*command, "--holdout", "--json"))
    names = [one["serving_name"] for one in report["models"][1:]]
    assert len({*names}) == 2
    assert all(name.count("/") == 2 for name in names)


def test_an_adapter_on_a_base_is_asked_as_well(reasoning: Run, still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.01")
    Samples(still.store).insert_many(samples(list(decisions("should_respond", 150, 1)), name="n"))
    still.behave(training_seconds=120)
    still.run_clock()
    assert reasoning("train", "start", "should-respond", "--yes", "--base", WEAK).exit_code == 0
    run = TrainingRuns(still.store).all()[-1]
    done = reasoning("models", "deploy", str(run.job_id), "--as", "should-respond", "--adapter", "--yes")
    assert done.exit_code == 0, done.stderr
    report = record_of(reasoning("train", "eval", "should-respond", "--model", str(run.job_id), "--holdout", "--json"))
    assert (model(report)["run"], model(report)["training"]) == (1, "known")
    assert ":" in model(report)["serving_name"]
    assert model(report)["metrics"]["accuracy"]["value"] > 0.6


# --- bad days ---


def test_what_is_busy_or_flaps_is_waited_for(reasoning: Run, weak: Service) -> None:
    for skip in (5, 40, 80):
        weak.fault(CHAT, status=429, body={"error": {"message": "slow down"}}, skip=skip, times=3)
        weak.fault(CHAT, status=503, body={"error": {"message": "overloaded"}}, skip=skip + 10, times=2)
        flapping = {"error": {"message": "no", "code": "dedicated_endpoint_not_running"}}
        weak.fault(CHAT, status=400, body=flapping, skip=skip + 20, times=4)
        weak.fault(CHAT, cut="before", skip=skip + 30, times=2)
    report = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert (report["count"], model(report)["answers"]) == (120, 120)
    assert set(model(report)["failures"]) == {"no XML answer"}


def test_it_waits_as_long_as_it_is_asked_to(reasoning: Run, weak: Service, session_facts: dict[str, object]) -> None:
    slept: list[float] = []
    session_facts["sleep"] = slept.append
    for status, asked in ((429, "7"), (503, "11"), (503, "86400")):
        weak.fault(CHAT, status=status, headers={"retry-after": asked}, body={"error": {"message": "busy"}}, times=2)
    report = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert (report["count"], model(report)["answers"]) == (120, 120)
    assert sorted(slept) == [7, 7, 11, 11, 60, 60]


def test_what_a_model_refuses_is_its_answer(reasoning: Run, weak: Service) -> None:
    refusal = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    weak.fault(CHAT, status=403, body=refusal, skip=10, times=7)
    report = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert model(report)["failures"]["refused: context_length_exceeded"] == 7


def test_a_service_that_stays_away_ends_it_and_what_is_done_is_kept(reasoning: Run, weak: Service) -> None:
    weak.fault(CHAT, status=503, body={"error": {"message": "overloaded"}}, skip=70)
    broken = reasoning("train", "eval", "should-respond")
    assert broken.exit_code == 7
    assert "It broke off. 70 of 120 answers are kept; the same command goes on with the others." in broken.stderr
    assert "not finished" in reasoning("train", "evals").stdout
    assert reasoning("train", "eval", "--show", "1").exit_code == 5
    weak.clear_faults()
    weak.forget_journal()
    dry = reasoning("train", "eval", "should-respond", "--dry-run", "--json")
    assert (json.loads(dry.stdout)["answers_known"], calls(weak)) == (70, 0)
    report = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert (report["evaluation"], report["count"], calls(weak)) == (1, 120, 50)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_it_goes_on_where_it_was(reasoning: Run, weak: Service, how: signal.Signals) -> None:
    at_once = 4
    weak.fault(CHAT, hold="before", skip=100)
    running = subprocess.Popen(
        [sys.executable, "-m", "reasoning_cli", "train", "eval", "should-respond", "--concurrency", str(at_once)],
        env={**os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    kept = "SELECT count(*) FROM evaluation_answers WHERE place = 1"
    until(lambda: weak.store.number(kept) >= 50, "half of the answers")
    until(lambda: len(weak.server.service.faults.held()) == at_once, "the others")
    assert calls(weak) == 100
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    # The sandbox finds out that nobody is there any more, and notes what it held, in its own time.
    until(lambda: calls(weak) == 100 + at_once, "the calls it held")
    there = weak.store.number(kept)
    if how is signal.SIGINT:
        assert running.returncode == 130
        assert f"Interrupted. {there} of 120 answers are kept; the same command goes on with the others." in said
    assert there >= 50
    weak.clear_faults()
    weak.forget_journal()
    report = record_of(reasoning("train", "eval", "should-respond", "--json"))
    assert (report["evaluation"], report["count"], calls(weak)) == (1, 120, 120 - there)


def test_a_serverless_model_is_asked_about_before_it_costs(reasoning: Run, weak: Service) -> None:
    command = ("train", "eval", "should-respond", "--model", "gpt/unknown")
    refused = reasoning(*command)
    assert (refused.exit_code, "add --yes" in refused.stderr) == (1, True)
    assert "has no price in your table" in reasoning(*command, "--yes").stderr
    assert calls(weak) >= 1
    plan = json.loads(reasoning(*command, "--dry-run", "--json").stdout)
    (candidate,) = plan["models"]
    assert (candidate["free"], candidate["questions"], candidate["prompt_tokens_estimated"]) == (False, 120, 48_000)


def test_what_a_serverless_model_costs_is_told_before_and_after(reasoning: Run, weak: Service, home: Path) -> None:
    (home / "prices.toml").write_text('["acme/quick"]\ninput = 2.0\noutput = 10.0\n')
    said = render_answer(ShouldRespondAnswer("Nova", "always", "RESPOND"))
    answer = {
        "choices": [{"message": {"content": said}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 20},
    }
    weak.fault(CHAT, status=200, body=answer)
    command = ("train", "eval", "should-respond", "--model", "acme/quick")
    (candidate,) = json.loads(reasoning(*command, "--dry-run", "--json").stdout)["models"]
    assert (candidate["prompt_tokens_estimated"], candidate["completion_tokens_estimated"]) == (48_000, 4_800)
    assert float(candidate["cents_estimated"]) == pytest.approx(4.8 * 2 + 0.48 * 10)
    done = reasoning(*command, "--yes", "--json")
    assert "about 48,000 tokens in and 4,800 out, $0.14" in done.stderr
    asked = model(record_of(done))
    cost = asked["cost_cents_per_1000"]
    assert cost["value"] == pytest.approx(cost["low"]) == pytest.approx(500 * 0.2 + 20 * 1.0)
    assert (asked["training"], asked["cost_basis"]) == ("none", "the price of its tokens")
    assert asked["valid"]["value"] == 1
    weak.clear_faults()
    missing = reasoning("train", "eval", "should-respond", "--model", "acme/other", "--yes")
    assert (missing.exit_code, "0 of 120 answers are kept" in missing.stderr) == (5, True)


def test_mistyped_it_says_what_there_is(reasoning: Run, weak: Service) -> None:
    for typed, code, said in (
        (("--model", "should-respnd"), 5, "did you mean `should-respond`?"),
        (("--model", "original"), 2, "always shown"),
        (("--model", "should-respond", "--model", "should_respond"), 2, "the same model"),
        (("--dataset", "a.jsonl", "--limit", "5"), 2, "leave one of them out"),
        (("--since", "2999-01-01"), 2, "future"),
        (("--show", "9"), 5, "no evaluation 9"),
        (("--label", "corrected"), 1, "no decision is left"),
    ):
        refused = reasoning("train", "eval", "should-respond", *typed)
        assert (refused.exit_code, said in refused.stderr) == (code, True), (typed, refused.stderr)
    assert reasoning("train", "eval").exit_code == 2
    assert calls(weak) == 0
    weak.stop("should-respond", keep=True)
    stopped = reasoning("train", "eval", "should-respond")
    assert (stopped.exit_code, "`reasoning models start should-respond`" in stopped.stderr) == (1, True)


# --- how it looks ---


def test_forty_columns_are_enough(reasoning: Run, weak: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = reasoning("train", "eval", "should-respond")
    assert done.exit_code == 0
    table = [line for line in done.stdout.splitlines() if " % (" in line]
    assert table
    assert max(map(len, table)) <= 40
    assert max(map(len, reasoning("train", "evals").stdout.splitlines())) <= 60


def test_formats_hold_the_same_figures(reasoning: Run, weak: Service) -> None:
    report = record_of(reasoning("train", "eval", "should-respond", "--json"))
    rows = [
        json.loads(line) for line in reasoning("train", "eval", "--show", "1", "--format", "jsonl").stdout.splitlines()
    ]
    (valid,) = [one for one in rows if (one["model"], one["metric"]) == ("should-respond", "valid")]
    assert {name: valid[name] for name in ("value", "low", "high", "count")} == model(report)["valid"]
    head = reasoning("train", "eval", "--show", "1", "--format", "csv").stdout.splitlines()[0]
    assert head == "model,metric,value,low,high,count"


def test_what_went_wrong_is_listed_and_can_be_reviewed(reasoning: Run, weak: Service) -> None:
    report = record_of(reasoning("train", "eval", "should-respond", "--disagreements", "3", "--json"))
    ids = [one["sample_id"] for one in report["disagreeing"]]
    assert len(ids) == 3
    shown = reasoning("train", "eval", "--show", "1", "--disagreements", "2").stdout
    assert ids[0] in shown
    assert ids[2] not in shown
    wrong = Evaluations(weak.store).disagreeing(1)
    assert len(wrong) == report["disagreements"]
    walk = Review(weak.store, Asked(SampleFilter(), chosen=tuple(wrong)), by="ada", now=lambda: BEGIN)
    assert walk.progress.total == len(wrong)
    first = walk.next()
    assert first is not None
    assert first.id == wrong[0]
    refused = reasoning("data", "review", "--evaluation", "1")
    assert (refused.exit_code, "needs a terminal" in refused.stderr) == (2, True)
