"""`train`: from the log to a model, what is said on the way, and how bad days end."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.generate_log import Generator, fill
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from tests import once
from tests.conftest import Run
from tests.engines.together.service import INSTANCE_TYPES, Service

BASE = "Qwen/Qwen3-8B"
ANY = ("train", "start", "should-respond", "--yes")
START = (*ANY, "--base", BASE)
JOBS = r"^/v1/fine-tunes$"
ESTIMATE = "/v1/fine-tunes/estimate-price"


@pytest.fixture
def trained(still: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Together, whose clock moves with each request, and a log of some hundred decisions."""
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.01")
    once.fill_log(still.store, 300, seed=3, prompt_bytes=600)
    still.behave(training_seconds=120)
    still.run_clock()
    return still


def newest(service: Service) -> TrainingRun:
    return TrainingRuns(service.store).all()[-1]


def jobs(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.ask("GET", "/v1/fine-tunes")["data"]
    return found


def files(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.ask("GET", "/v1/files")["data"]
    return found


@pytest.mark.both_engines
def test_from_the_log_to_a_model_in_one_command(reasoning: Run, trained: Service, home: Path) -> None:
    assert reasoning("costs", "set-budget", "100").exit_code == 0
    done = reasoning(*START)
    assert done.exit_code == 0, done.stderr
    run = newest(trained)
    assert f"Run 1 is done: {run.model_name} for should-respond, $" in done.stdout
    assert f"`reasoning models deploy {run.model_name} --as should-respond`" in done.stderr
    assert "`reasoning train eval should-respond --model " in done.stderr
    assert "`reasoning train promote should-respond --to 1`" in done.stderr
    for label in ("train", "samples", "decide", "left out", "with", "tokens", "price", "time", "serving", "budget"):
        assert f"  {label} " in done.stderr
    for stage in ("exporting", "uploading", "Together checks", "Together's price", "creating", "running"):
        assert stage in done.stderr
    [job] = jobs(trained)
    assert (job["id"], job["suffix"]) == (run.job_id, run.suffix)
    assert run.suffix == f"should-respond-r1-{run.manifest_sha256[:8]}"  # type: ignore[index]
    assert {one["id"] for one in files(trained)} == {run.training_file_id, run.validation_file_id}
    asked = [one for one in trained.journal("POST") if one["path"] == "/v1/fine-tunes"]
    assert len(asked) == 1
    # What was learnt from is gone from here, what it was is known.
    folder = home / "training" / "1"
    assert [one.name for one in folder.iterdir()] == ["should-respond-r1.jsonl.manifest.json"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    held = TrainingRuns(trained.store).trained_on(1)
    beside = TrainingRuns(trained.store).trained_on(1, "validation")
    assert held is not None
    assert beside is not None
    assert set(held).isdisjoint(beside)
    assert len(list(held)) == json.loads(reasoning("train", "show", "1", "--json").stdout)["plan_samples"]["train"]
    # Its price is in the bill, and what was done in the history.
    bill = json.loads(reasoning("costs", "report", "--since", "2000-01-01", "--json").stdout)
    assert int(bill["total"]["cost_cents"]) > 0
    events = json.loads(reasoning("costs", "events", "--json").stdout)
    assert [one["action"] for one in events if one["action"].startswith("train")] == ["train_done", "train_start"]


def test_the_model_that_came_of_it_can_be_deployed(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START, "--compact").exit_code == 0
    deployed = reasoning(
        "models", "deploy", str(newest(trained).model_name), "--as", "should-respond", "--merged", "--yes"
    )
    assert deployed.exit_code == 0, deployed.stderr
    assert "reasoning config set should_respond.prompt_form compact" in deployed.stderr
    told = reasoning("doctor", "--offline").stdout
    assert "was trained on compact prompts, and its slot asks exact" in told
    assert reasoning("config", "set", "should_respond.prompt_form", "compact").exit_code == 0
    assert "was trained on" not in reasoning("doctor", "--offline").stdout
    again = reasoning(
        "models", "deploy", str(newest(trained).model_name), "--as", "should-respond", "--merged", "--yes"
    )
    assert "prompt_form" not in again.stderr


@pytest.mark.parametrize("room", [0, 3, None])
def test_the_plan_names_the_hardware_that_a_deploy_takes(reasoning: Run, trained: Service, room: int | None) -> None:
    types = trained.ask("GET", INSTANCE_TYPES)["data"]
    cheapest = next(one for one in types if one["name"] == "1xnvidia-a100-80gb")
    relation = {"headroom": {"value": room, "relation": "RELATION_EQ"}} if room is not None else {}
    cheapest["regions"] = [{"name": "us-central-1", **relation}]
    trained.fault(INSTANCE_TYPES, status=200, body={"data": types}, times=20)
    plan = json.loads(reasoning("train", "init", "should-respond", "--json").stdout)
    shown = json.loads(
        reasoning("models", "deploy", plan["base"], "--as", "should-respond", "--dry-run", "--json").stdout
    )
    assert (plan["serving"], plan["serving_cents_per_hour"]) == (shown["hardware"], shown["price_cents_per_hour"])
    assert plan["serving"] == ("1xnvidia-h100-80gb" if room == 0 else "1xnvidia-a100-80gb")


def test_a_dry_run_shows_the_plan_and_does_nothing(reasoning: Run, trained: Service) -> None:
    shown = reasoning(*START, "--dry-run", "--json", "--epochs", "2", "--lora-rank", "16")
    plan = json.loads(shown.stdout)
    assert (plan["dry_run"], plan["epochs"], plan["lora_rank"], plan["base"]) == (True, 2, 16, BASE)
    assert plan["train_samples"] > 9 * plan["validation_samples"] - 50
    assert plan["agreed_cents"] > plan["estimate_cents"]
    assert plan["left_out"]["a copy of another sample"] > 0
    assert plan["serving_cents_per_hour"] == 549  # the cheapest has no room
    assert [one["path"] for one in trained.journal("POST")] == []
    assert TrainingRuns(trained.store).all() == []
    assert "Nothing was changed." in reasoning("train", "start", "should-respond", "--dry-run").stderr


def test_without_a_yes_nothing_begins(reasoning: Run, trained: Service) -> None:
    refused = reasoning("train", "start", "should-respond")
    assert (refused.exit_code, "add --yes" in refused.stderr) == (1, True)
    assert TrainingRuns(trained.store).all() == []


def test_a_run_of_an_earlier_version_is_the_same_again(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START).exit_code == 0
    unknown = ("trainer", "every_tools")  # to a version that exported for Together alone
    for name in unknown:
        (row,) = trained.store.rows("SELECT plan FROM training_runs")
        plan = json.loads(row["plan"])
        del plan["export"]["rules"][name]
        trained.store.write("UPDATE training_runs SET plan = ?", (json.dumps(plan),))
    again = reasoning(*START)
    assert (again.exit_code, "nothing is new since" in again.stderr) == (0, True)
    assert len(jobs(trained)) == 1


def test_the_same_again_trains_nothing_until_something_is_new(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START).exit_code == 0
    again = reasoning(*START)
    assert (again.exit_code, "nothing is new since" in again.stderr) == (0, True)
    assert len(jobs(trained)) == 1
    fill(trained.store, Generator(40, seed=4, prompt_bytes=600))
    assert reasoning(*START, "--json").exit_code == 0
    assert reasoning(*START, "--again").exit_code == 0
    assert [one.stage for one in TrainingRuns(trained.store).all()] == ["done"] * 3
    priced = json.loads(reasoning(*START, "--again", "--dry-run", "--json").stdout)
    assert priced["estimate_source"] == f"by what `{newest(trained).job_id}` cost on the same base"
    assert len(jobs(trained)) == 3


def test_other_options_than_those_of_the_run_that_goes_on_are_refused(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START, "--epochs", "2", "--detach").exit_code == 0
    assert newest(trained).stage == "training"
    other = reasoning(*START, "--epochs", "3")
    assert (other.exit_code, "reasoning train cancel 1" in other.stderr) == (2, True)
    assert reasoning(*START, "--epochs", "2").exit_code == 0
    assert (newest(trained).stage, len(jobs(trained))) == ("done", 1)


def test_detached_it_goes_on_and_is_watched_later(reasoning: Run, trained: Service) -> None:
    left = reasoning(*START, "--detach")
    assert (left.exit_code, "`reasoning train watch 1`" in left.stderr) == (0, True)
    status = reasoning("train", "status")
    assert "should-respond" in status.stdout
    assert "run 1 should-respond: " in status.stderr
    trained.advance(2 * 24 * 3600)  # the machine is off for two days
    done = reasoning("train", "watch")
    assert (done.exit_code, "Run 1 is done" in done.stdout) == (0, True)
    assert reasoning("train", "watch").exit_code == 1
    assert "Run 1 is done" in reasoning("train", "watch", "should-respond").stdout


def test_time_that_is_over_leaves_the_job_alone(reasoning: Run, trained: Service) -> None:
    trained.behave(training_seconds=36_000)
    over = reasoning(*START, "--timeout", "3m")
    assert (over.exit_code, "it goes on at Together" in over.stderr) == (7, True)
    assert newest(trained).stage == "training"


def one_class(service: Service) -> None:
    service.store.write("DELETE FROM samples WHERE model_type='should_respond' AND decision<>'RESPOND'")


def few(service: Service) -> None:
    service.store.write("DELETE FROM samples WHERE seq > 60")


@pytest.mark.parametrize(
    ("make", "said"),
    [(one_class, "decide RESPOND: a model learns to say nothing else"), (few, "are too few to learn from")],
)
def test_what_cannot_be_learnt_from_is_refused_unless_forced(
    reasoning: Run, trained: Service, make: Callable[[Service], None], said: str
) -> None:
    make(trained)
    refused = reasoning(*START)
    assert (refused.exit_code, said in refused.stderr, "--force" in refused.stderr) == (1, True, True)
    assert TrainingRuns(trained.store).all() == []
    forced = reasoning(*START, "--force")
    assert forced.exit_code == 0, forced.stderr
    assert "warning: " in forced.stderr
    assert said in forced.stderr


def test_no_decisions_at_all(reasoning: Run, still: Service) -> None:
    none = reasoning(*START)
    assert (none.exit_code, "no sample matches" in none.stderr) == (1, True)
    assert "`reasoning gateway serve`" in reasoning("train", "init").stderr


def test_a_base_whose_result_cannot_be_served_is_refused(reasoning: Run, trained: Service) -> None:
    refused = reasoning(*ANY, "--base", "google/gemma-3-27b-it")
    assert (refused.exit_code, "Together has no config for that base" in refused.stderr) == (5, True)
    forced = reasoning(*ANY, "--base", "google/gemma-3-27b-it", "--force")
    assert forced.exit_code == 0, forced.stderr
    run = newest(trained)
    assert (run.stage, run.problem) == ("done", "it cannot be served: Together has no config for it")
    assert "`reasoning train download 1 -o " in forced.stderr


def test_a_budget_that_cannot_pay_refuses_before_anything_is_sent(reasoning: Run, trained: Service) -> None:
    assert reasoning("costs", "set-budget", "0.10").exit_code == 0
    refused = reasoning(*START)
    assert (refused.exit_code, "the budget of $0.10 would be broken" in refused.stderr) == (6, True)
    assert files(trained) == []


def test_a_price_above_what_was_agreed_to_waits_for_another_yes(reasoning: Run, trained: Service) -> None:
    body = {"estimation_available": True, "estimated_total_price": 12.5, "user_limit": 100, "allowed_to_proceed": True}
    trained.fault(ESTIMATE, status=200, body=body)
    refused = reasoning(*START)
    assert refused.exit_code == 6
    assert "Together asks $12.50 for this training, and $0." in refused.stderr
    assert "reasoning train start should-respond --max-cost 13" in refused.stderr
    assert (newest(trained).stage, jobs(trained)) == ("validated", [])
    assert reasoning(*START, "--max-cost", "5").exit_code == 6
    assert "12.50" in reasoning("train", "show", "1").stdout
    agreed = reasoning(*START, "--max-cost", "13", "--detach")
    assert agreed.exit_code == 0, agreed.stderr
    assert len(jobs(trained)) == 1
    assert len(files(trained)) == 2
    # Reserved, as long as the job has no price of its own.
    assert json.loads(reasoning("train", "list", "--offline", "--json").stdout)[0]["cost_cents"] == 1250


def test_a_budget_is_looked_at_again_when_the_price_is_known(reasoning: Run, trained: Service) -> None:
    assert reasoning("costs", "set-budget", "5").exit_code == 0
    trained.fault(ESTIMATE, status=200, body={"estimation_available": True, "estimated_total_price": 12.5})
    refused = reasoning(*START, "--max-cost", "20")
    assert (refused.exit_code, "costs about $12.50" in refused.stderr) == (6, True)
    assert "12.50" in str(newest(trained).problem)
    assert reasoning("costs", "set-budget", "50").exit_code == 0
    assert reasoning(*START, "--max-cost", "20").exit_code == 0
    assert len(jobs(trained)) == 1


def test_an_account_that_may_not_spend_it_waits(reasoning: Run, trained: Service) -> None:
    trained.behave(spending_limit_dollars=0)
    refused = reasoning(*START)
    assert (refused.exit_code, "does not let this account spend it" in refused.stderr) == (6, True)
    trained.behave(spending_limit_dollars=100)
    assert reasoning(*START).exit_code == 0
    assert (len(jobs(trained)), len(files(trained))) == (1, 2)


def test_credit_that_is_missing_after_all_waits(reasoning: Run, trained: Service) -> None:
    trained.behave(insufficient_balance=True)
    refused = reasoning(*START)
    assert (refused.exit_code, "nothing was charged" in refused.stderr) == (6, True)
    assert "add credit at together.ai, then go on: `reasoning train start should-respond`" in refused.stderr
    assert newest(trained).stage == "validated"
    trained.behave(insufficient_balance=False)
    assert reasoning(*START).exit_code == 0
    assert len(jobs(trained)) == 1


def test_a_file_that_together_refuses_ends_the_run_with_its_words(reasoning: Run, trained: Service) -> None:
    trained.behave(fail_file_check="invalid_format")
    refused = reasoning(*START)
    assert refused.exit_code == 1
    assert "line 1: refused, as the sandbox was told to" in refused.stderr
    assert "`reasoning train start should-respond`" in refused.stderr
    assert (newest(trained).stage, jobs(trained)) == ("failed", [])


def test_a_check_that_breaks_off_sends_the_file_anew(reasoning: Run, trained: Service) -> None:
    trained.behave(fail_file_check="failed")
    broken = reasoning(*START)
    assert (broken.exit_code, "own check" in broken.stderr) == (7, True)
    trained.behave(fail_file_check="")
    done = reasoning(*START)
    assert done.exit_code == 0, done.stderr
    assert (len(jobs(trained)), len(files(trained))) == (1, 2)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("error", "internal error: a node was lost"),
        ("user_error", "the loss is not finite"),
        ("billing_limit", "the spending limit of the organization is reached"),
    ],
)
def test_a_job_that_fails_ends_the_run_with_its_reason(
    reasoning: Run, trained: Service, how: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")  # a pipe that nobody told a width cuts nothing
    trained.behave(fail_job=how)
    failed = reasoning(*START)
    assert (failed.exit_code, said in failed.stderr) == (1, True)
    assert "`reasoning train events 1`" in failed.stderr
    assert newest(trained).stage == "failed"
    assert said in reasoning("train", "events", "1").stdout
    trained.behave(fail_job="")
    assert reasoning(*START).exit_code == 0
    assert [one.stage for one in TrainingRuns(trained.store).all()] == ["failed", "done"]


def test_a_result_that_was_never_registered_names_the_way_around(reasoning: Run, trained: Service) -> None:
    trained.behave(register_results=False)
    failed = reasoning(*START)
    run = newest(trained)
    assert (failed.exit_code, run.stage) == (1, "failed")
    assert "registration failed" in failed.stderr
    assert f"reasoning train download 1 -o {run.suffix}.tar.zst" in failed.stderr
    assert f"reasoning models upload {run.suffix} --from ./DIR --base {run.base}" in failed.stderr
    got = reasoning("train", "download", "1", "-o", "weights.tar.zst")
    assert (got.exit_code, Path("weights.tar.zst").stat().st_size > 0) == (0, True), got.stderr
    assert reasoning("train", "download", "1", "-o", "weights.tar.zst").exit_code == 2


def test_a_base_that_is_retired_meanwhile_ends_the_run(reasoning: Run, trained: Service) -> None:
    trained.behave(insufficient_balance=True)
    assert reasoning(*START).exit_code == 6
    trained.behave(insufficient_balance=False, retired_base=BASE)
    failed = reasoning(*START)
    assert (failed.exit_code, "not available for fine-tuning" in failed.stderr) == (1, True)
    assert newest(trained).stage == "failed"


def test_a_slot_that_changed_meanwhile_is_told(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START, "--detach").exit_code == 0
    assert reasoning("models", "deploy", "should-respond", "--yes").exit_code == 0
    done = reasoning("train", "watch", "1")
    assert "The slot of should-respond changed meanwhile: from nothing to moonmakesmagic/" in done.stderr


def test_what_is_given_up_before_there_is_a_job_leaves_nothing(reasoning: Run, trained: Service) -> None:
    trained.behave(insufficient_balance=True)
    assert reasoning(*START).exit_code == 6
    assert "Nothing was changed" in reasoning("train", "cancel", "should-respond", "--dry-run").stderr
    given_up = reasoning("train", "cancel", "should-respond", "--yes")
    assert (given_up.exit_code, given_up.stdout) == (0, "Run 1 is cancelled: nothing was billed.\n")
    assert files(trained) == []
    assert reasoning("train", "cancel", "1", "--yes").exit_code == 1


def test_a_job_is_cancelled_and_deleted(reasoning: Run, trained: Service) -> None:
    trained.behave(training_seconds=36_000)
    assert reasoning(*START, "--detach").exit_code == 0
    assert reasoning("train", "delete", "1", "--yes").exit_code == 1
    cancelled = json.loads(reasoning("train", "cancel", "1", "--yes", "--json").stdout)
    assert cancelled["state"] in ("cancel_requested", "cancelled")
    watched = reasoning("train", "watch", "1")
    assert (watched.exit_code, "was cancelled; the steps it had done are billed" in watched.stderr) == (1, True)
    deleted = reasoning("train", "delete", "1", "--yes")
    assert deleted.exit_code == 0, deleted.stderr
    assert (jobs(trained), files(trained)) == ([], [])
    assert "cancelled" in reasoning("train", "list").stdout


def test_jobs_that_were_not_started_from_here_are_listed_too(reasoning: Run, trained: Service) -> None:
    seeded = trained.ask("POST", "/_sandbox/fine-tunes", {"model": "Qwen/Qwen3-8B", "suffix": "someone"})
    listed = json.loads(reasoning("train", "list", "--json").stdout)
    assert [(one["run"], one["job"], one["state"]) for one in listed] == [(None, seeded["id"], "completed")]
    assert "not started from here" in reasoning("train", "show", seeded["id"]).stdout
    assert reasoning("train", "list", "-q").stdout == f"{seeded['id']}\n"
    assert reasoning("train", "events", seeded["id"]).exit_code == 0
    for name in ("7", "ft-none", "planning", "nobody"):
        assert reasoning("train", "show", name).exit_code == 5


def test_init_says_what_to_type_and_why(reasoning: Run, trained: Service) -> None:
    advice = json.loads(reasoning("train", "init", "--json").stdout)
    assert advice["command"] == f"reasoning train start should-respond --base {advice['base']}"
    assert advice["lora_rank"] == 8
    assert any("labels" in one for one in advice["improvements"])
    assert reasoning("costs", "set-budget", "0.01").exit_code == 0
    shown = reasoning("train", "init", "coding")
    assert "of $0.01 used" in shown.stdout
    assert "hint: begin:" not in shown.stderr
    assert reasoning("costs", "set-budget", "50").exit_code == 0
    assert (shown.exit_code, "What would help more:" in shown.stdout) == (0, True)
    assert reasoning(*advice["command"].split()[1:], "--yes").exit_code == 0


def test_corrections_are_trained_as_preferences(reasoning: Run, trained: Service) -> None:
    answer = "<response><name>Nova</name><reasoning>Asked.</reasoning><action>RESPOND</action></response>"
    trained.store.write(
        "UPDATE samples SET label='corrected', corrected=? WHERE model_type='should_respond' AND decision='IGNORE'",
        (answer,),
    )
    done = reasoning(*START, "--method", "dpo", "--force")
    assert done.exit_code == 0, done.stderr
    [job] = jobs(trained)
    assert job["training_method"]["method"] == "dpo"


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "rlhf"),
        ("--dedupe", "some"),
        ("--learning-rate", "fast"),
        ("--epochs", "99"),
        ("--lora-rank", "4096"),
        ("--full", "--lora-rank", "8"),
        ("--from-job", "ft-b"),
        ("--learning-rate", "0.5"),
        ("--suffix", "not a name"),
        ("--split", "9"),
        ("--max-cost", "much"),
    ],
)
def test_what_makes_no_sense_is_refused(reasoning: Run, trained: Service, options: tuple[str, ...]) -> None:
    refused = reasoning(*START, *options)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 2), refused.stderr


def test_the_last_run_goes_on_in_the_next(reasoning: Run, trained: Service) -> None:
    assert reasoning(*ANY, "--base", "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", "--suffix", "first").exit_code == 0
    first = newest(trained)
    assert "should-respond-first-r1-" in str(first.suffix)
    assert reasoning(*ANY, "--from-job", str(first.job_id)).exit_code == 0
    asked = [one for one in trained.ask("GET", "/_sandbox/requests") if one["path"] == "/v1/fine-tunes"]
    assert newest(trained).base == first.base
    assert len([one for one in asked if one["method"] == "POST"]) == 2
    shown = json.loads(reasoning("train", "start", "should-respond", "--dry-run", "--json").stdout)
    assert (shown["base"], shown["base_reason"]) == (first.base, "that of run 2")


def test_a_log_of_one_room_is_trained_without_a_side_to_check_with(reasoning: Run, trained: Service) -> None:
    trained.store.write("UPDATE samples SET room_id='one'")
    refused = reasoning(*START)
    assert (refused.exit_code, "`--split none` trains without" in refused.stderr) == (1, True)
    assert reasoning(*START, "--split", "none").exit_code == 0
    run = newest(trained)
    assert (run.validation_file_id, len(files(trained))) == (None, 1)
    assert TrainingRuns(trained.store).trained_on(1, "validation") is None
    advice = json.loads(reasoning("train", "init", "--json").stdout)
    assert advice["command"].endswith(" --split none")
    assert any("more rooms" in one for one in advice["improvements"])


def test_what_cannot_be_fine_tuned_is_no_base(reasoning: Run, trained: Service) -> None:
    refused = reasoning(*ANY, "--base", "openai/gpt-oss-20b")
    assert (refused.exit_code, "cannot be fine-tuned at Together" in refused.stderr) == (5, True)
    assert "`reasoning train init`" in refused.stderr
    assert reasoning(*ANY, "--from-job", "ft-none").exit_code == 5
    assert reasoning(*ANY, "--base", "nobody/nothing").exit_code == 5


def test_a_price_that_cannot_be_foretold_needs_a_bound(
    reasoning: Run, trained: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reasoning_cli.operations.train.estimate._RATES", ())
    refused = reasoning(*START)
    assert (refused.exit_code, "add --max-cost USD" in refused.stderr) == (2, True)
    assert reasoning(*START, "--max-cost", "5").exit_code == 0


def test_files_that_somebody_deleted_are_sent_again(reasoning: Run, trained: Service) -> None:
    trained.behave(file_check_seconds=10**6)
    trained.fault("^/v1/files/file-", method="GET", status=503)
    assert reasoning(*START).exit_code == 7
    trained.clear_faults()
    assert newest(trained).stage == "uploaded"
    trained.ask("DELETE", f"/v1/files/{newest(trained).training_file_id}")
    trained.behave(file_check_seconds=10)
    trained.advance(10**6)
    assert reasoning(*START).exit_code == 0
    assert (len(jobs(trained)), len(files(trained))) == (1, 2)


def test_a_result_that_is_registered_late_is_waited_for(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START, "--detach").exit_code == 0
    path = f"/v1/fine-tunes/{newest(trained).job_id}"
    trained.advance(10**5)
    done = trained.ask("GET", path)
    now = trained.client.now().isoformat()
    late = {name: value for name, value in done.items() if "_object_" not in name} | {"updated_at": now}
    trained.fault(f"^{path}$", status=200, body=late, times=2)
    assert "registered" in reasoning("train", "status").stderr
    assert newest(trained).stage == "training"
    watched = reasoning("train", "watch")
    assert (watched.exit_code, newest(trained).stage) == (0, "done")
    assert "waiting for the model to be registered" in watched.stderr


@pytest.mark.both_engines
def test_forgetting_names_the_training_that_sent_a_sample_away(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START).exit_code == 0
    held = TrainingRuns(trained.store).trained_on(1)
    assert held is not None
    row = trained.store.row("SELECT id FROM samples WHERE seq=?", (next(iter(held)),))
    assert row is not None
    forgotten = reasoning("data", "forget", "--id", row["id"], "--yes")
    assert forgotten.exit_code == 0, forgotten.stderr
    assert "training run 1 sent them to Together: `reasoning train delete 1` deletes them there" in forgotten.stderr
    assert "delete what was exported" not in forgotten.stderr
    assert reasoning("train", "delete", "1", "--yes").exit_code == 0
    assert files(trained) == []


def test_a_base_that_is_only_there_to_be_tuned_can_be_tuned(reasoning: Run, trained: Service) -> None:
    path = "/v1/fine-tunes/models/limits"
    body = trained.ask("GET", path, model_name=BASE) | {"model_name": "org/only-8B-Reference"}
    trained.fault(path, status=200, body=body)
    refused = reasoning(*ANY, "--base", "org/only-8B-Reference", "--dry-run")
    assert (refused.exit_code, "Together has no config for that base" in refused.stderr) == (5, True)
    forced = reasoning(*ANY, "--base", "org/only-8B-Reference", "--dry-run", "--force", "--json")
    assert json.loads(forced.stdout)["serving"] is None
    trained.clear_faults()
    unknown = reasoning(*ANY, "--base", "Qwen/Qwen3-88B")
    assert (unknown.exit_code, "no model `Qwen/Qwen3-88B`" in unknown.stderr) == (5, True)


def test_init_recommends_nothing_that_a_start_refuses(reasoning: Run, trained: Service) -> None:
    """Each start that init names is made, and where a start would be refused init says so, in the same words."""
    trained.store.write(
        "DELETE FROM samples WHERE model_type='should_respond' AND seq NOT IN"
        " (SELECT seq FROM samples WHERE model_type='should_respond' LIMIT 30)"
    )
    refused = reasoning("train", "start", "should-respond", "--yes")
    advice = json.loads(reasoning("train", "init", "should-respond", "--json").stdout)
    assert (refused.exit_code, advice["command"]) == (1, None)
    assert refused.stderr.startswith(f"error: {advice['refused']}\n")
    shown = reasoning("train", "init", "should-respond")
    assert f"`reasoning train start` would refuse it: {advice['refused']}" in shown.stderr
    assert "begin:" not in shown.stderr


def test_a_dry_run_that_the_budget_cannot_pay_shows_the_plan_first(reasoning: Run, trained: Service) -> None:
    reasoning("costs", "set-budget", "0.01")
    done = reasoning("train", "start", "should-respond", "--dry-run")
    assert (done.exit_code, "samples" in done.stdout) == (6, True)
    assert "error: the budget of $0.01 would be broken" in done.stderr
