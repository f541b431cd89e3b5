"""Fine-tuning jobs through the client: made once, told exactly, and clear about every bad end."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from reasoning_cli.engines.errors import BusyError, CreditError, MissingError, RequestRefusedError, UnreachableError
from reasoning_cli.engines.together.file_types import Sending
from reasoning_cli.engines.together.fine_tune_requests import JobRequest
from reasoning_cli.engines.together.fine_tunes import Job, JobEvent, PriceEstimate, error_of
from reasoning_cli.errors import ExitCode
from tests.engines.together.service import Service, service
from tests.sandbox.decisions import write

BASE = "meta-llama/Llama-3.2-3B-Instruct"
JOBS = "^/v1/fine-tunes$"


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


@pytest.fixture
def request_(together: Service, tmp_path: Path) -> JobRequest:
    file_id = together.client.upload_file(write(tmp_path / "train.jsonl", "should_respond", 40, 1))
    together.advance(60)
    return JobRequest(file_id, "should-respond-r1-0a1b2c3d", model=BASE, n_epochs=2, lora_r=16)


def test_limits_say_what_can_be_asked_for(together: Service) -> None:
    small, large = (together.client.limits_of(name) for name in (BASE, "meta-llama/Llama-3.3-70B-Instruct"))
    assert small.supports_full_training
    assert not large.supports_full_training
    assert small.lora_training.default_rank is not None
    assert small.min_learning_rate < small.max_learning_rate
    with pytest.raises(MissingError):
        together.client.limits_of("openai/gpt-oss-20b")
    together.behave(retired_base=BASE)
    with pytest.raises(MissingError):
        together.client.limits_of(BASE)


def test_an_estimate_is_exact_dollars(together: Service, request_: JobRequest) -> None:
    told = together.client.estimate_price(request_)
    assert (told.available, told.allowed_to_proceed, told.user_limit) == (True, True, Decimal(100))
    assert told.train_tokens
    assert told.total_price == Decimal(int(told.train_tokens)) * 480 / 10**9
    assert PriceEstimate.model_validate(
        {"estimation_available": True, "estimated_total_price": 0.1 + 0.2}
    ).total_price == Decimal("0.30000000000000004"), "as it is written on the wire"
    together.behave(spending_limit_dollars=0)
    assert together.client.estimate_price(request_).allowed_to_proceed is False


@pytest.mark.parametrize("cut", ["before", "after_action"])
def test_a_lost_estimate_is_asked_for_again(together: Service, request_: JobRequest, cut: str) -> None:
    together.fault("/estimate-price$", cut=cut, times=1)
    assert together.client.estimate_price(request_).available


def test_an_estimate_that_cannot_be_had_says_why(together: Service, tmp_path: Path) -> None:
    file_id = together.client.upload_file(write(tmp_path / "late.jsonl", "planning", 4, 1))
    told = together.client.estimate_price(JobRequest(file_id, "x", model=BASE))
    assert (told.available, told.unavailable_reason, told.total_price) == (False, "train_file_not_validated", None)


def test_a_job_is_made_once(together: Service, request_: JobRequest) -> None:
    made = together.client.create_job(request_)
    assert together.client.create_job(request_).id == made.id
    assert together.client.create_job(replace(request_, suffix="another")).id != made.id
    assert len(together.journal("POST")) == 2 + 2, "two for the file, two for jobs"


@pytest.mark.parametrize("fault", [{"cut": "before"}, {"cut": "after_action"}, {"cut": "mid_body"}, {"status": 503}])
def test_a_lost_answer_makes_no_second_job(together: Service, request_: JobRequest, fault: dict[str, Any]) -> None:
    together.fault(JOBS, method="POST", times=1, **fault)
    try:
        made = together.client.create_job(request_)
    except (UnreachableError, BusyError):
        made = together.client.create_job(request_)
    assert [one.id for one in together.client.jobs()] == [made.id]


def test_a_refused_lookup_after_a_lost_answer_makes_no_second_job(together: Service, request_: JobRequest) -> None:
    together.fault(JOBS, method="POST", cut="after_action", times=1)
    together.fault(JOBS, method="GET", status=503, skip=1, times=4)
    with pytest.raises(BusyError):
        together.client.create_job(request_)
    assert together.client.create_job(request_).suffix == request_.suffix
    assert len(together.client.jobs()) == 1


@pytest.mark.parametrize("members", [{"insufficient_balance": True}, {"spending_limit_dollars": 0}])
def test_want_of_credit_is_told_apart(together: Service, request_: JobRequest, members: dict[str, Any]) -> None:
    assert together.client.estimate_price(request_).allowed_to_proceed
    together.behave(**members)
    with pytest.raises(CreditError) as caught:
        together.client.create_job(request_)
    assert (caught.value.code, caught.value.exit_code) == ("insufficient_balance", ExitCode.LIMIT)
    assert together.client.jobs() == []


def test_a_refused_request_says_what_is_wrong(together: Service, request_: JobRequest) -> None:
    for members, said in (
        ({"n_epochs": 99}, "n_epochs"),
        ({"lora_r": 999}, "lora_r"),
        ({"learning_rate": 1.0}, "learning_rate"),
        ({"method": "dpo"}, "dpo cannot be trained"),
        ({"n_evals": 2}, "validation_file"),
        ({"model": "meta-llama/Llama-3.3-70B-Instruct", "full": True, "lora_r": None}, "LoRA only"),
        ({"suffix": "a b"}, "suffix"),
        ({"batch_size": 10_000}, "batch_size"),
    ):
        with pytest.raises(RequestRefusedError, match=said):
            together.client.create_job(replace(request_, **members))  # type: ignore[arg-type]
    assert together.client.jobs() == []


def test_a_job_runs_to_its_result(together: Service, request_: JobRequest, tmp_path: Path) -> None:
    client = together.client
    job_id = client.create_job(request_).id
    seen = []
    while not client.job(job_id).is_over:
        seen.append(client.job(job_id).status)
        together.advance(20)
    assert list(dict.fromkeys(seen)) == ["pending", "queued", "running", "compressing", "uploading"]
    job = client.job(job_id)
    assert (job.status, job.is_registered, job.epochs_completed) == ("completed", True, 2)
    assert job.total_price
    assert job.dollars * 100 == job.cents
    assert error_of(job, client.job_events(job_id)) is None
    events = client.job_events(job_id)
    assert [one.created_at for one in events] == sorted(one.created_at for one in events if one.created_at)
    together.behave(capital_events=True)
    assert client.job_events(job_id) == events, "the case says nothing"
    assert client.job_metrics(job_id)[-1]["train/global_step"] == 10
    assert [one["train/global_step"] for one in client.job_metrics(job_id, since_step=9)] == [9, 10]
    client.delete_job(job_id)
    client.delete_job(job_id)
    assert client.jobs() == []
    assert client.model(str(job.model_object_id)).name == job.model_object_name, "its models stay"


@pytest.mark.parametrize("fault", [None, {"cut": "mid_body", "times": 3}, {"cut": "before", "times": 1}])
def test_a_result_is_downloaded_whole(
    together: Service, request_: JobRequest, tmp_path: Path, fault: dict[str, Any] | None
) -> None:
    job_id = together.client.create_job(request_).id
    together.advance(900)
    path = tmp_path / "weights.tar.zst"
    if fault:
        together.fault("/v1/finetune/download", **fault)
    told: list[tuple[int, int | None]] = []
    size = together.client.download_job(job_id, path, "adapter", lambda *one: told.append(one))
    assert size == path.stat().st_size == told[-1][0] == told[-1][1]
    with (
        path.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        assert [one.name for one in archive] == ["adapter_config.json", "adapter_model.safetensors"]


def test_a_download_that_fails_leaves_nothing(together: Service, request_: JobRequest, tmp_path: Path) -> None:
    job_id = together.client.create_job(request_).id
    with pytest.raises(RequestRefusedError, match="nothing to download"):
        together.client.download_job(job_id, tmp_path / "x.tar.zst")
    assert not list(tmp_path.glob("*x.tar*"))


def test_cancelling_bills_the_steps_done(together: Service, request_: JobRequest) -> None:
    client = together.client
    job_id = client.create_job(request_).id
    together.advance(65 + 150)
    full = client.job(job_id).total_price or 0
    together.fault("/cancel$", cut="after_action", times=1)
    assert client.cancel_job(job_id).status == "cancel_requested"
    together.advance(10)
    job = client.job(job_id)
    assert job.status == "cancelled"
    assert 0.24 < (job.total_price or 0) / full < 0.27
    assert client.cancel_job(job_id).status == "cancelled"
    problem = error_of(job)
    assert problem is not None
    assert "cancelled" in problem.message
    charged = client.create_job(replace(request_, suffix="early"))
    assert client.cancel_job(charged.id).status == "cancel_requested"
    together.advance(10)
    assert client.job(charged.id).total_price == 0


@pytest.mark.parametrize(
    ("how", "status", "exit_code", "said", "is_billed"),
    [
        ("error", "error", ExitCode.REMOTE, "a node was lost", False),
        ("user_error", "user_error", ExitCode.FAILED, "loss is not finite", True),
        ("billing_limit", "error", ExitCode.LIMIT, "spending limit", True),
    ],
)
def test_every_bad_end_is_told_apart(
    together: Service, request_: JobRequest, how: str, status: str, exit_code: ExitCode, said: str, is_billed: bool
) -> None:
    together.behave(fail_job=how)
    job_id = together.client.create_job(request_).id
    together.advance(900)
    job = together.client.job(job_id)
    assert (job.status, job.is_registered, bool(job.total_price)) == (status, False, is_billed)
    problem = error_of(job, together.client.job_events(job_id))
    assert problem is not None
    assert problem.exit_code == exit_code
    assert said in problem.message


def test_a_result_that_was_never_registered_is_a_trouble(together: Service, request_: JobRequest) -> None:
    together.behave(register_results=False)
    job_id = together.client.create_job(request_).id
    together.advance(900)
    problem = error_of(together.client.job(job_id))
    assert problem is not None
    assert "registration failed" in problem.message


def test_words_are_open_sets_in_any_letters() -> None:
    job = Job.model_validate({"id": "ft-1", "status": "Warming_Up", "later": 1})
    assert (job.status, job.is_over, error_of(job)) == ("warming_up", False, None)
    assert Job(id="ft-1", status="CANCELLED").is_over
    event = JobEvent.model_validate({"type": "COMPRESSING_MODEL", "created_at": "yesterday", "level": "Info"})
    assert (event.type, event.created_at, event.level) == ("model_compressing", None, "info")
    assert JobEvent.model_validate({"type": "Model_Blessed"}).type == "model_blessed"


def test_a_price_is_billed_to_the_nano_dollar(together: Service, request_: JobRequest) -> None:
    told = together.client.estimate_price(request_)
    job_id = together.client.create_job(request_).id
    assert together.client.job(job_id).total_price == 0
    together.advance(900)
    job = together.client.job(job_id)
    assert job.dollars == told.total_price
    assert job.token_count == told.train_tokens
    metered = together.ask("GET", "/_sandbox/meter")
    assert metered["fineTuneNanoDollars"] == str(job.total_price)
    assert [one["jobId"] for one in metered["fineTunes"]] == [job_id]


@pytest.mark.parametrize("fault", [{"cut": "before"}, {"cut": "after_action"}, {"cut": "mid_body"}, {"status": 502}])
@pytest.mark.parametrize("lost", range(8))
def test_whatever_is_lost_the_same_calls_again_leave_one_file_and_one_job(
    together: Service, tmp_path: Path, lost: int, fault: dict[str, Any]
) -> None:
    path = write(tmp_path / "train.jsonl", "planning", 40, 1)

    def run() -> Job:
        file_id = together.client.upload_file(path, sending=Sending(10_000, 40_000))
        while not together.client.file(file_id).is_checked:
            together.advance(20)
        request = JobRequest(file_id, "planning-r1-0a1b2c3d", model=BASE)
        assert together.client.estimate_price(request).allowed_to_proceed
        return together.client.create_job(request)

    together.fault("^/(v1|_storage)/", skip=lost, times=1, **fault)
    try:
        made = run()
    except (BusyError, UnreachableError):
        made = run()
    assert [one.id for one in together.client.jobs()] == [made.id]
    (file,) = together.client.files()
    assert made.training_file == file.id
    assert file.bytes == path.stat().st_size


def test_a_base_that_can_be_trained_and_not_served(together: Service, request_: JobRequest) -> None:
    job_id = together.client.create_job(replace(request_, model="google/gemma-3-27b-it")).id
    together.advance(900)
    job = together.client.job(job_id)
    assert job.is_registered
    assert together.client.configs(together.client.model(str(job.model_object_id))) == []


def test_a_base_that_was_retired_meanwhile(together: Service, request_: JobRequest) -> None:
    together.behave(retired_base=BASE)
    for call in (together.client.estimate_price, together.client.create_job):
        with pytest.raises(MissingError, match="not available for fine-tuning"):
            call(request_)
    assert together.client.jobs() == []
