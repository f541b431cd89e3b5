"""Every call the client can make, none skipped, judged by the vendor's own descriptions of its API."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.engines.together.file_types import Sending
from reasoning_cli.engines.together.fine_tune_requests import JobRequest
from reasoning_cli.engines.together.fine_tunes import Job
from reasoning_cli.engines.together.uploads import FileLinks, SentFile
from reasoning_cli.engines.together.wire import Adapter, Model, RemoteUpload
from tests.engines.together.service import MODELS, Service, service
from tests.sandbox.contract import CONTRACT_FILE, load_contract, load_legacy_contract
from tests.sandbox.decisions import write


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


class Facts:
    """What the calls need: a model, an endpoint with a deployment that serves, a job, an old endpoint, a time."""

    def __init__(self, together: Service, folder: Path) -> None:
        self.client = together.client
        together.ask("POST", "/_sandbox/behaviour", {"billing_enabled": True})
        deployed = together.deploy().record
        self.endpoint_id, self.deployment_id = deployed.endpoint_id or "", deployed.deployment_id or ""
        self.serving_name = deployed.serving_name or ""
        self.model = next(one for one in self.client.models() if one.name == MODELS["planning"])
        self.config = self.client.configs(self.model)[0]
        for one in self.client.configs(self.model):
            if one.hardware == deployed.hardware:
                self.config = one
        job = together.ask("POST", "/_sandbox/fine-tunes", {"model": self.model.name})
        self.job_id = str(job["id"])
        old = together.ask("POST", "/_sandbox/v1/endpoints", {"model": self.model.name})
        self.old_id = str(old["id"])
        base = together.deploy("Qwen/Qwen3-8B", model_type="coding").record
        self.carrier = base.endpoint_id or "", base.deployment_id or ""
        self.tuned_id = str(
            together.ask("POST", "/_sandbox/fine-tunes", {"model": base.model_name})["adapter_object_id"]
        )
        self.now = self.client.now()
        self.training = write(folder / "train.jsonl", "should_respond", 4, 1)
        self.advance = together.advance
        self.folder = folder

    def keep(self, made: Model) -> None:
        self.new_id = made.id

    def keep_adapter(self, attached: Adapter) -> None:
        self.adapter_id = attached.id

    def keep_upload(self, begun: RemoteUpload) -> None:
        self.upload_id = begun.id

    def keep_links(self, files: list[FileLinks]) -> None:
        self.upl, self.link = files[0].upload_id, files[0].parts[0]

    def send_part(self) -> None:
        with self.client.storage(1) as storage:
            storage.put(self.link.url, self.link.headers, len(DATA), lambda: [DATA], MD5, lambda seconds: None)

    def upload_training(self) -> None:
        """Whole, and in parts."""
        self.file_id = self.client.upload_file(self.training)
        parts = write(self.folder / "parts.jsonl", "should_respond", 4, 2)
        self.client.upload_file(parts, sending=Sending(multipart_above=1000, part_bytes=4000))

    def request(self) -> JobRequest:
        return JobRequest(self.file_id, "planning-r1-00000000", model=BASE, n_epochs=2, lora_r=8)

    def keep_job(self, made: Job) -> None:
        self.made_id = made.id
        self.advance(900)

    def spare_job(self) -> Job:
        return self.client.create_job(JobRequest(self.file_id, "planning-r2-00000000", model=BASE))

    def body(self, name: str) -> dict[str, object]:
        return {
            "name": name,
            "model": self.model.resource,
            "config": self.config.resource,
            "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
            "inactiveTimeout": 30,
        }


Call = Callable[[Facts], Any]

FILE, DATA = "config.json", b"{}"
BASE = "meta-llama/Llama-3.2-3B-Instruct"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
# In no published contract; `test_it_asks_what_the_vendors_own_command_line_asks` judges them.
UNPUBLISHED = re.compile(r".*/models/upload/(create|complete)|/_storage/.*")

# In the order that works: what is deleted is needed by nobody after it.
CALLS: dict[str, Call] = {
    "whoami": lambda f: f.client.whoami(),
    "now": lambda f: f.client.now(),
    "look": lambda f: f.client.look("/v2/public/inference-instance-types"),
    "models": lambda f: list(f.client.models()),
    "model": lambda f: f.client.model(f.model.id),
    "revisions": lambda f: f.client.revisions(f.model),
    "configs": lambda f: f.client.configs(f.model),
    "create_model": lambda f: f.keep(f.client.create_model("uploaded", f.model.id, "model")),
    "find_model_record": lambda f: f.client.find_model_record("uploaded"),
    "create_upload": lambda f: f.keep_upload(f.client.create_upload(f.new_id, "https://hf.example/acme/one", None)),
    "uploads": lambda f: f.client.uploads(f.new_id),
    "upload": lambda f: f.client.upload(f.upload_id),
    "begin_files": lambda f: f.keep_links(f.client.begin_files(f.new_id, [(FILE, MD5, 1)])),
    "storage": lambda f: f.send_part(),
    "complete_files": lambda f: f.client.complete_files(
        f.client.model(f.new_id), [SentFile(FILE, MD5, f.upl, {1: MD5})]
    ),
    "model_files": lambda f: f.client.model_files(f.model, f.client.revisions(f.model)[0].revision_id),
    "delete_model": lambda f: f.client.delete_model(f.client.create_model("short", f.model.id, "model").id),
    "supported_models": lambda f: list(f.client.supported_models("qwen")),
    "instance_types": lambda f: f.client.instance_types(),
    "upload_file": lambda f: f.upload_training(),
    "upload_at_once": lambda f: f.client.delete_file(f.client.upload_at_once("small.jsonl", b'{"text": "hello"}\n').id),
    "preprocess": lambda f: f.client.preprocess(f.file_id),
    "file": lambda f: f.client.file(f.file_id),
    "files": lambda f: f.client.files(),
    "stands_in_the_way": lambda f: f.client.stands_in_the_way(f.file_id),
    "previewed": lambda f: f.client.previewed(BASE, f.file_id),
    "limits_of": lambda f: f.client.limits_of(BASE),
    "estimate_price": lambda f: (f.advance(60), f.client.estimate_price(f.request())),
    "create_job": lambda f: f.keep_job(f.client.create_job(f.request())),
    "find_job": lambda f: f.client.find_job(f.request()),
    "job_events": lambda f: f.client.job_events(f.made_id),
    "job_metrics": lambda f: f.client.job_metrics(f.made_id, since_step=2),
    "download_job": lambda f: f.client.download_job(f.made_id, f.folder / "weights.tar.zst", "adapter"),
    "cancel_job": lambda f: f.client.cancel_job(f.spare_job().id),
    "delete_job": lambda f: f.client.delete_job(f.made_id),
    "delete_file": lambda f: f.client.delete_file(f.file_id),
    "job": lambda f: f.client.job(f.job_id),
    "jobs": lambda f: f.client.jobs(),
    "billing_usage": lambda f: f.client.billing_usage(f"{f.now:%Y-%m}"),
    "endpoints": lambda f: list(f.client.endpoints()),
    "endpoint": lambda f: f.client.endpoint(f.endpoint_id),
    "find_endpoint": lambda f: f.client.find_endpoint("planning"),
    "create_endpoint": lambda f: f.client.create_endpoint("another"),
    "named_again": lambda f: f.client.named_again("another"),
    "events": lambda f: f.client.events(f.endpoint_id, since=f.now - timedelta(hours=1), types=("deployment.scaled",)),
    "requests": lambda f: f.client.requests(f.endpoint_id, f.deployment_id, f.now - timedelta(hours=1), f.now),
    "activity": lambda f: f.client.activity(f.endpoint_id, f.deployment_id, f.now - timedelta(hours=1), f.now),
    "deployments": lambda f: f.client.deployments(f.endpoint_id),
    "deployment": lambda f: f.client.deployment(f.endpoint_id, f.deployment_id),
    "find_deployment": lambda f: f.client.find_deployment(f.endpoint_id, "nobody"),
    "check_deployment": lambda f: f.client.check_deployment(f.endpoint_id, f.body("checked")),
    "create_deployment": lambda f: f.client.create_deployment(f.endpoint_id, f.body("second")),
    "attach": lambda f: f.keep_adapter(f.client.attach(*f.carrier, f.tuned_id)),
    "adapters": lambda f: f.client.adapters(*f.carrier),
    "find_adapter": lambda f: f.client.find_adapter(*f.carrier, f.tuned_id),
    "adapter": lambda f: f.client.adapter(*f.carrier, f.adapter_id),
    "detach": lambda f: f.client.detach(*f.carrier, f.adapter_id),
    "chat": lambda f: f.client.chat(f.serving_name, [{"role": "user", "content": "hello"}], max_tokens=1),
    "set_idle_stop": lambda f: f.client.set_idle_stop(f.endpoint_id, f.deployment_id, 45),
    "scale": lambda f: f.client.scale(f.endpoint_id, f.deployment_id, 0, 0),
    "route": lambda f: f.client.route(f.endpoint_id, {}),
    "routed_nowhere": lambda f: f.client.routed_nowhere(f.endpoint_id),
    "delete_deployment": lambda f: f.client.delete_deployment(f.endpoint_id, f.deployment_id),
    "delete_endpoint": lambda f: f.client.delete_endpoint(f.client.create_endpoint("another").id),
    "legacy_endpoints": lambda f: f.client.legacy_endpoints(),
    "legacy_endpoint": lambda f: f.client.legacy_endpoint(f.old_id),
    "legacy_prices": lambda f: f.client.legacy_prices(),
    "stop_legacy": lambda f: f.client.stop_legacy(f.old_id),
    "delete_legacy": lambda f: f.client.delete_legacy(f.old_id),
}
# The last three ask nothing of their own: `doctor --live` is tested by what it says.
NO_REQUEST = {"close", "project", "job_error", "read_everything", "arrays_understood"}


def test_no_call_is_left_out() -> None:
    public = {name for name, _ in inspect.getmembers(TogetherClient) if not name.startswith("_")}
    assert public - NO_REQUEST == set(CALLS)


def test_every_call_keeps_the_contract_and_is_answered(together: Service, shared: Path, tmp_path: Path) -> None:
    if not (shared / CONTRACT_FILE).exists():
        pytest.skip("no contract file here")
    contract, legacy = load_contract(shared), load_legacy_contract(shared)
    facts = Facts(together, tmp_path)
    silent = []
    for name, call in CALLS.items():
        together.forget_journal()
        call(facts)
        if name == "scale":
            together.advance(3600)
        made = together.journal()
        if not made:
            silent.append(name)
        for one in made:
            if UNPUBLISHED.fullmatch(one["path"]):
                continue
            judge = legacy if _is_legacy(one["path"]) else contract
            flaws = judge.request_violations(one["method"], one["path"], one["query"], one.get("body"))
            assert flaws == [], f"{name}: {one['method']} {one['path']}: {flaws}"
    assert silent == ["now"], "the clock is read off the last answer"


def _is_legacy(path: str) -> bool:
    return path.startswith(("/v1/endpoints", "/v1/hardware", "/v1/files/upload"))
