"""The vendor's own client, in its strictest mode, fine-tunes on the sandbox from the file to the weights."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import together
import zstandard
from together import Together
from together.lib.types.fine_tuning import FinetuneJobStatus

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.engines.together.fine_tune_requests import JobRequest
from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import Api
from tests.sandbox.decisions import write

BASE = "meta-llama/Llama-3.2-3B-Instruct"


class Recorder(httpx.BaseTransport):
    """Sends requests on, and keeps them."""

    def __init__(self) -> None:
        self._real = httpx.HTTPTransport()
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.seen.append(request)
        return self._real.handle_request(request)

    def close(self) -> None:
        self._real.close()

    def to(self, method: str, path: str) -> httpx.Request:
        (one,) = [one for one in self.seen if (one.method, one.url.path) == (method, path)]
        return one


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(server: SandboxServer, recorder: Recorder) -> Iterator[Together]:
    with Together(
        base_url=server.url,
        api_key="sandbox-key",
        project_id="proj_sandbox",
        max_retries=0,
        http_client=httpx.Client(transport=recorder, follow_redirects=True),
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def training(tmp_path: Path) -> Path:
    return write(tmp_path / "train.jsonl", "should_respond", 24, 1)


def _uploaded(client: Together, api: Api, path: Path) -> str:
    file_id = client.files.upload(path).id
    api.advance(60)
    return file_id


def _job(client: Together, api: Api, path: Path, **members: Any) -> str:
    return client.fine_tuning.create(training_file=_uploaded(client, api, path), model=BASE, **members).id


def test_it_uploads_and_watches_the_check(client: Together, api: Api, training: Path) -> None:
    sent = client.files.upload(training)
    assert (sent.processing_status, sent.bytes) == ("QUEUED", training.stat().st_size)
    assert client.files.upload(training).id == sent.id, "the same bytes are the same file"
    api.advance(10)
    assert client.files.retrieve(sent.id).processing_status == "RUNNING"
    api.advance(60)
    checked = client.files.retrieve(sent.id)
    assert checked.processing_status == "COMPLETED"
    assert checked.validation_report is not None
    assert (checked.validation_report.valid, checked.validation_report.nlines) == (True, 24)
    assert checked.validation_report.dataset_format == "conversation"
    assert [one.id for one in client.files.list().data] == [sent.id]
    assert client.files.content(sent.id).read() == training.read_bytes()
    assert client.files.delete(sent.id).deleted
    with pytest.raises(together.NotFoundError):
        client.files.retrieve(sent.id)


def test_it_uploads_in_parts(
    client: Together, training: Path, monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    monkeypatch.setattr("together.lib.resources.files.MULTIPART_THRESHOLD_GB", 1e-6)
    monkeypatch.setattr("together.lib.resources.files._calculate_parts", lambda size: (4000, -(-size // 4000)))
    sent = client.files.upload(training)
    assert sent.bytes == training.stat().st_size
    assert client.files.content(sent.id).read() == training.read_bytes()
    puts = [one for one in recorder.seen if one.method == "PUT"]
    assert len(puts) == -(-sent.bytes // 4000) > 3
    assert not any("authorization" in one.headers for one in puts)


def test_it_asks_for_limits_price_and_a_preview(client: Together, api: Api, training: Path) -> None:
    limits = client.fine_tuning.model_limits(model_name=BASE)
    assert limits.lora_training.default_rank <= limits.lora_training.max_rank
    with pytest.raises(together.NotFoundError):
        client.fine_tuning.model_limits(model_name="openai/gpt-oss-20b")
    file_id = client.files.upload(training).id
    early = client.fine_tuning.estimate_price(training_file=file_id, model=BASE)
    assert (early.estimation_available, early.unavailable_reason) == (False, "train_file_not_validated")  # type: ignore[union-attr]
    api.advance(60)
    once, thrice = (client.fine_tuning.estimate_price(training_file=file_id, model=BASE, n_epochs=n) for n in (1, 3))
    assert once.estimation_available
    assert thrice.estimation_available
    assert once.allowed_to_proceed
    assert once.estimated_total_price
    assert thrice.estimated_total_price == pytest.approx(3 * once.estimated_total_price)
    shown = client.fine_tuning.preview(model=BASE, training_file=file_id, top_k=2)
    assert shown.dataset_format == "conversation"
    assert [row.num_tokens > row.num_trained_tokens > 0 for row in shown.rows] == [True, True]


def test_it_follows_a_job_to_its_result(client: Together, api: Api, training: Path) -> None:
    held = write(training.with_name("held.jsonl"), "should_respond", 8, 2)
    made = client.fine_tuning.create(
        training_file=_uploaded(client, api, training),
        validation_file=_uploaded(client, api, held),
        model=BASE,
        n_epochs=3,
        n_evals=3,
        n_checkpoints=3,
        suffix="answers",
        lora=True,
    )
    assert made.status == FinetuneJobStatus.STATUS_PENDING
    assert client.fine_tuning.list_checkpoints(made.id).data == []
    api.advance(6)
    waiting = client.fine_tuning.retrieve(made.id)
    assert (waiting.status, waiting.queue_depth, waiting.total_price) == ("queued", 2, 0)
    api.advance(360)
    half = client.fine_tuning.retrieve(made.id)
    assert (half.status, half.epochs_completed) == ("running", 1)
    assert half.progress is not None
    assert (half.progress.estimate_available, half.progress.seconds_remaining) == (True, 299)
    assert half.total_price
    measured = client.fine_tuning.list_metrics(made.id).metrics or []
    assert len(measured) == 4
    api.advance(420)
    done = client.fine_tuning.retrieve(made.id)
    assert (done.status, done.epochs_completed) == ("completed", 3)
    assert done.api_model_object_name == "sandbox/answers"
    assert client.models.retrieve(str(done.adapter_object_id)).weights.type == "WEIGHTS_TYPE_ADAPTER"
    losses = [one["train/loss"] for one in client.fine_tuning.list_metrics(made.id).metrics or []]
    assert len(losses) == 9
    assert losses == sorted(losses, reverse=True)
    evaluated = [one for one in client.fine_tuning.list_metrics(made.id).metrics or [] if "eval/loss" in one]
    assert [one["train/global_step"] for one in evaluated] == [3, 6, 9]
    late = client.fine_tuning.list_metrics(made.id, global_step_from=8).metrics or []
    assert [one["train/global_step"] for one in late] == [8, 9]
    types = [one.type for one in client.fine_tuning.list_events(made.id).data]
    assert types[0] == "job_pending"
    assert types[-1] == "job_complete"
    assert (types.count("epoch_complete"), types.count("checkpoint_save")) == (3, 3)
    checkpoints = client.fine_tuning.list_checkpoints(made.id).data
    assert [(one.step, one.checkpoint) for one in checkpoints] == [
        (3, "adapter"),
        (6, "adapter"),
        (9, "model"),
        (9, "adapter"),
    ]
    assert all(client.models.retrieve(str(one.object_id)).name == one.object_name for one in checkpoints)
    assert [one.id for one in client.fine_tuning.list().data] == [made.id]
    packed = client.fine_tuning.content(ft_id=made.id, checkpoint="merged").read()
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().decompress(packed))) as archive:
        assert sorted(archive.getnames()) == ["config.json", "model.safetensors"]
    located = client.fine_tuning.retrieve_tokenized_dataset(made.id)
    sent = httpx.get(located.url, trust_env=False)
    assert len(sent.content) == located.size
    assert len(zstandard.ZstdDecompressor().decompress(sent.content).splitlines()) == 24
    assert httpx.get(f"{located.url}0", trust_env=False).status_code == 403


def test_its_command_line_downloads_the_result(
    client: Together, api: Api, server: SandboxServer, training: Path, tmp_path: Path
) -> None:
    """It asks for a range first, and reads the size off the answer."""
    job_id = _job(client, api, training)
    api.advance(900)
    done = subprocess.run(
        [Path(sys.executable).with_name("tg"), "ft", "download", job_id, "--checkpoint-type", "merged", "--json"],
        env={
            "HOME": str(tmp_path),
            "TOGETHER_API_KEY": "sandbox-key",
            "TOGETHER_BASE_URL": server.url,
            "TOGETHER_PROJECT_ID": "proj_sandbox",
            "TOGETHER_TELEMETRY_DISABLED": "1",
            "TOGETHER_DISABLE_VERSION_CHECK": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    path = Path(json.loads(done.stdout)["filename"])
    assert path.read_bytes() == client.fine_tuning.content(ft_id=job_id, checkpoint="merged").read()


def test_it_cancels_and_deletes(client: Together, api: Api, training: Path) -> None:
    job_id = _job(client, api, training, n_epochs=2)
    with pytest.raises(together.BadRequestError):
        client.fine_tuning.delete(job_id)
    api.advance(65 + 300)
    full = client.fine_tuning.retrieve(job_id).total_price
    assert full
    assert client.fine_tuning.cancel(job_id).status == "cancel_requested"
    api.advance(5)
    cancelled = client.fine_tuning.retrieve(job_id)
    assert cancelled.status == "cancelled"
    assert cancelled.total_price == pytest.approx(full * 305 / 600, abs=1), "the steps done are billed"
    assert client.fine_tuning.delete(job_id).message
    assert client.fine_tuning.list().data == []


def test_it_goes_on_from_a_result(client: Together, api: Api, training: Path) -> None:
    job_id = _job(client, api, training)
    api.advance(900)
    more = write(training.with_name("more.jsonl"), "should_respond", 8, 3)
    file_id = _uploaded(client, api, more)
    assert client.fine_tuning.model_limits(model_name=job_id).api_model_name == BASE
    second = client.fine_tuning.create(training_file=file_id, from_checkpoint=job_id)
    assert client.fine_tuning.retrieve(second.id).from_checkpoint == job_id
    with pytest.raises(together.BadRequestError):
        client.fine_tuning.create(
            training_file=file_id, from_checkpoint="ft-0", model_limits=client.fine_tuning.model_limits(model_name=BASE)
        )


def test_it_trains_on_preferences(client: Together, api: Api, tmp_path: Path) -> None:
    asked = {"messages": [{"role": "user", "content": "q"}]}
    row = {"input": asked} | {
        name: [{"role": "assistant", "content": name}] for name in ("preferred_output", "non_preferred_output")
    }
    path = tmp_path / "preferences.jsonl"
    path.write_text(json.dumps(row) + "\n")
    job_id = _job(client, api, path, training_method="dpo", dpo_beta=0.2)
    method = client.fine_tuning.retrieve(job_id).training_method
    assert method is not None
    assert method.method == "dpo"
    with pytest.raises(together.BadRequestError, match="sft cannot be trained on preference_openai"):
        _job(client, api, path, training_method="sft")


def test_what_it_sends_and_what_we_send_are_the_same(
    client: Together, server: SandboxServer, api: Api, training: Path, recorder: Recorder
) -> None:
    file_id = _uploaded(client, api, training)
    client.fine_tuning.create(
        training_file=file_id, model=BASE, n_epochs=2, suffix="one", lora=True, lora_r=16, random_seed=7
    )
    mine = Recorder()
    ours = TogetherClient(server.url, "sandbox-key", transport=mine)
    own = write(training.with_name("own.jsonl"), "should_respond", 24, 2)
    own_id = ours.upload_file(own)
    api.advance(60)
    request = JobRequest(own_id, "two", model=BASE, n_epochs=2, lora_r=16, learning_rate=1e-5, random_seed=7)
    ours.estimate_price(request)
    ours.create_job(request)
    ours.close()

    def form(one: httpx.Request) -> tuple[list[str], dict[str, str]]:
        lines = one.content.decode().split("\r\n")
        named = [index for index, line in enumerate(lines) if "name=" in line]
        fields = {lines[index].partition('name="')[2].rstrip('"'): lines[index + 2] for index in named}
        return sorted(fields), {name: fields[name] for name in ("purpose", "file_type")}

    theirs = recorder.to("POST", "/v1/files")
    assert form(theirs) == form(mine.to("POST", "/v1/files"))
    for path in ("/v1/files", "/v1/fine-tunes", "/v1/fine-tunes/estimate-price"):
        one, other = recorder.to("POST", path), mine.to("POST", path)
        kinds = [request.headers.get("content-type", "").partition(";")[0] for request in (one, other)]
        assert kinds[0] == kinds[1]
        assert one.headers["authorization"] == other.headers["authorization"]
    (put,) = [request for request in recorder.seen if request.method == "PUT"]
    assert "authorization" not in put.headers, "the sandbox refuses it with one; ours has a connection of its own"
    assert not [request for request in mine.seen if request.method == "PUT"]
    their_price, our_price = (json.loads(one.to("POST", f"{_JOBS}/estimate-price").content) for one in (recorder, mine))
    assert {**their_price, "training_file": own_id} == our_price
    their_job, our_job = (json.loads(one.to("POST", _JOBS).content) for one in (recorder, mine))
    assert {**their_job, "training_file": own_id, "suffix": "two"} == our_job
    orders = [[one.url.path for one in sent.seen if one.url.path.startswith(_JOBS)] for sent in (recorder, mine)]
    assert orders[0] == [f"{_JOBS}/models/limits", f"{_JOBS}/estimate-price", _JOBS]
    assert orders[1] == [f"{_JOBS}/estimate-price", _JOBS, _JOBS], "ours looks for the job before it makes one"


_JOBS = "/v1/fine-tunes"
