"""A training that is broken off, by Ctrl-C, a full disk, a lost network, another process; and the same again."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from reasoning_cli.store.train.runs import TrainingRuns
from tests.commands.screens import Person
from tests.commands.train.test_train import JOBS, START, files, jobs, newest
from tests.commands.train.test_train import trained as trained
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.waiting import until

UPLOADS = "^/v1/files$"


def program(*command: str, most_bytes: int | None = None) -> subprocess.Popen[str]:
    """The program as a process, which with `most_bytes` can write no larger file."""
    most = most_bytes, resource.RLIM_INFINITY
    bound = None if most_bytes is None else partial(resource.setrlimit, resource.RLIMIT_FSIZE, most)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "reasoning_cli", *command],
        env=os.environ | {"REASONING_DEPLOY_POLL_SECONDS": "0.2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=bound,
    )


def test_ctrl_c_leaves_the_job_and_says_how_to_come_back(reasoning: Run, trained: Service) -> None:
    trained.behave(training_seconds=10**6)
    with program(*START) as process:
        until(lambda: TrainingRuns(trained.store).all() and newest(trained).job_status == "running", "the job")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Run 1 (should-respond) goes on at Together, and is billed as it trains." in told
    assert "`reasoning train watch 1`; end it: `reasoning train cancel 1`" in told
    assert "Traceback" not in told
    trained.advance(10**6)
    done = reasoning(*START)
    assert (done.exit_code, "Run 1 is done" in done.stdout) == (0, True)
    assert len(jobs(trained)) == 1


def test_ctrl_c_before_there_is_a_job_says_that_nothing_is_billed(reasoning: Run, trained: Service) -> None:
    trained.behave(file_check_seconds=10**6)
    with program(*START) as process:
        until(lambda: TrainingRuns(trained.store).all() and newest(trained).stage == "uploaded", "the upload")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Run 1 (should-respond) is uploaded; there is no job, nothing is billed." in told
    assert "go on: `reasoning train start should-respond`; give it up: `reasoning train cancel 1`" in told
    trained.advance(10**6)
    assert reasoning(*START).exit_code == 0
    assert (len(jobs(trained)), len(files(trained))) == (1, 2)


def test_a_disk_that_is_full_while_it_exports_leaves_nothing_half_written(
    reasoning: Run, trained: Service, home: Path
) -> None:
    trained.store.shorten_log()  # the log of the database is to have room
    with program(*START, most_bytes=150_000) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1, told
    assert "nothing was written; free some space" in told
    assert newest(trained).stage == "planned"
    assert [one.name for one in (home / "training" / "1").iterdir()] == []
    assert reasoning(*START).exit_code == 0


def test_an_export_that_was_killed_leaves_no_samples_behind(reasoning: Run, trained: Service, home: Path) -> None:
    trained.store.shorten_log()
    with program(*START, most_bytes=150_000) as process:
        process.communicate(timeout=60)
    assert newest(trained).stage == "planned"
    folder = home / "training" / "1"
    (folder / ".should-respond-r1.train.jsonl.0a1b2c3d.part").write_text("as SIGKILL would have left it\n")
    assert reasoning(*START).exit_code == 0
    assert [one.name for one in folder.iterdir()] == ["should-respond-r1.jsonl.manifest.json"]


def test_files_that_are_cleared_away_before_they_are_sent_are_made_again(
    reasoning: Run, trained: Service, home: Path
) -> None:
    trained.fault(UPLOADS, status=503)
    assert reasoning(*START).exit_code == 7
    before = newest(trained)
    assert before.stage == "exported"
    (home / "training" / "1" / "should-respond-r1.train.jsonl").write_text("something else\n")
    (home / "training" / "1" / "should-respond-r1.validation.jsonl").unlink()
    trained.clear_faults()
    assert reasoning(*START).exit_code == 0
    assert newest(trained).train_sha256 == before.train_sha256
    assert (len(jobs(trained)), len(files(trained))) == (1, 2)


def test_two_processes_do_not_train_twice(reasoning: Run, trained: Service) -> None:
    with trained.store.alone("training-should_respond") as alone:
        assert alone
        refused = reasoning(*START)
        given_up = reasoning("train", "cancel", "1", "--yes")
    for done in (refused, given_up):
        assert (done.exit_code, "another process is at work" in done.stderr) == (1, True)
    assert reasoning(*START).exit_code == 0
    assert len(jobs(trained)) == 1


def test_a_network_that_is_lost_while_it_trains_is_told(reasoning: Run, trained: Service) -> None:
    assert reasoning(*START, "--detach").exit_code == 0
    trained.fault("^/v1/fine-tunes/ft-", status=503)
    lost = reasoning(*START)
    assert (lost.exit_code, "lost Together while the training goes on there" in lost.stderr) == (7, True)
    trained.clear_faults()
    assert reasoning("train", "watch").exit_code == 0


def test_a_job_whose_answer_was_lost_is_found_again(reasoning: Run, trained: Service) -> None:
    trained.fault(JOBS, method="POST", cut="after_action", times=1)
    assert reasoning(*START).exit_code == 0
    assert len(jobs(trained)) == 1


def test_a_job_that_nobody_can_tell_of_is_looked_for_by_the_next_command(reasoning: Run, trained: Service) -> None:
    trained.behave(training_seconds=0)
    trained.fault(JOBS, method="POST", cut="after_action", times=1)
    trained.fault(JOBS, method="GET", status=503, skip=2)
    lost = reasoning(*START)
    assert lost.exit_code == 7, lost.stderr
    assert newest(trained).job_status == "creating"
    trained.clear_faults()
    assert "go on: `reasoning train start should-respond`" in reasoning("train", "status").stderr
    assert reasoning(*START).exit_code == 0
    asked = [one for one in trained.journal("POST") if one["path"] == "/v1/fine-tunes"]
    assert (len(jobs(trained)), len(asked)) == (1, 1)


def test_what_may_have_been_made_is_found_and_cancelled(reasoning: Run, trained: Service) -> None:
    trained.behave(training_seconds=10**6)
    trained.fault(JOBS, method="POST", cut="after_action", times=1)
    trained.fault(JOBS, method="GET", status=503, skip=2)
    assert reasoning(*START).exit_code == 7
    trained.clear_faults()
    assert reasoning("train", "cancel", "should-respond", "--yes").exit_code == 0
    [job] = jobs(trained)
    assert job["status"] in ("cancel_requested", "cancelled")
    assert newest(trained).job_id == job["id"]


def test_a_training_is_told_of_in_status_and_doctor(reasoning: Run, trained: Service) -> None:
    trained.behave(fail_job="error")
    assert reasoning(*START, "--detach").exit_code == 0
    assert "TRAIN  run 1 for should-respond, " in reasoning("status").stdout
    assert "run 1 for should-respond goes on" in reasoning("doctor", "--offline").stdout
    trained.advance(10**5)
    assert "TRAIN  run 1 for should-respond, failed: " in reasoning("status").stdout
    assert "run 1 for should-respond failed: " in reasoning("doctor", "--offline").stdout
    assert "failed" in reasoning("train", "show", "1").stdout
    assert "run 1" not in reasoning("doctor", "--offline").stdout


def test_a_person_is_asked_before_and_again_when_it_costs_more(trained: Service) -> None:
    body = {"estimation_available": True, "estimated_total_price": 12.5, "allowed_to_proceed": True}
    trained.fault("/v1/fine-tunes/estimate-price", status=200, body=body)
    asked = [one for one in START if one != "--yes"]
    with Person(*asked, columns=100, lines=50, REASONING_DEPLOY_POLL_SECONDS="0.01") as person:
        person.sees("Train it? [y/N]")
        person.type("y\n")
        person.sees("Together asks $12.50, and $0.", "was agreed to. Go on? [y/N]")
        person.type("n\n")
        person.sees("error: Together asks $12.50 for this training, and $0.", "--max-cost 13")
        assert person.ends()[0] == 6
    assert (newest(trained).stage, jobs(trained)) == ("validated", [])
    with Person(*asked, columns=100, lines=50, REASONING_DEPLOY_POLL_SECONDS="0.01") as person:
        person.sees("Run 1 goes on (validated).", "Go on? [y/N]")
        person.type("y\n")
        person.sees("Run 1 is done: ")
        assert person.ends()[0] == 0
    assert len(jobs(trained)) == 1
