"""The vendor's own client, in its strictest mode, takes the sandbox for the real thing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import together
from together import Together

from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import PROJECT, SHOULD_RESPOND, Api


@pytest.fixture
def client(server: SandboxServer) -> Iterator[Together]:
    with Together(
        base_url=server.url,
        api_key="sandbox-key",
        project_id="proj_sandbox",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


def test_it_knows_who_it_is(client: Together) -> None:
    who = client.whoami()
    assert who.type == "project_api_key"
    assert (who.project.id, who.project.slug) == ("proj_sandbox", "sandbox")
    assert [project.slug for project in client.projects.list()] == ["sandbox"]


def test_it_reads_models_configs_and_prices(client: Together) -> None:
    models = {model.name: model for model in client.models.list(limit=2)}  # pages by itself
    model = models[SHOULD_RESPOND]
    assert client.models.retrieve(model.id).weights.context_length == "131072"
    assert client.models.list_revisions(model.id).data[0].revision_id.startswith("rv_")
    new_way = list(client.models.configs.list(reference_model=f"projects/{model.project_id}/models/{model.id}"))
    old_way = list(client.models.configs.list(reference_model_id=model.id))
    assert new_way == old_way
    assert client.models.configs.retrieve(new_way[0].id) == new_way[0]
    assert new_way[0].project_id != model.project_id
    instances = {one.name: one for one in client.endpoints.hardware.list().data}
    assert instances["1xnvidia-h100-80gb"].price_cents_per_hour == 549
    assert client.endpoints.hardware.retrieve(instances["1xnvidia-h100-80gb"].id).gpu_count == 1
    supported = next(iter(client.models.list_supported(search="70b")))
    assert client.models.retrieve_supported(supported.id).deployment_profiles[0].gpu_count == 4


def test_it_makes_changes_and_deletes_models(client: Together) -> None:
    base = next(iter(client.models.list_supported())).base_model_id
    model = client.models.create(name="mine", base_model_id=base, type="model", description="first")
    assert client.models.update(model.id, description="second").description == "second"
    client.models.delete(model.id)
    with pytest.raises(together.NotFoundError):
        client.models.retrieve(model.id)


def test_it_follows_a_remote_upload(client: Together, api: Api) -> None:
    base = next(iter(client.models.list_supported(search="1.5b"))).base_model_id
    model = client.models.create(name="fetched", base_model_id=base, type="model")
    url = "https://huggingface.co/someone/some-model"
    upload = client.models.remote_uploads.create(model_id=model.id, remote_url=url, token="hf_secret")
    api.advance(130)
    upload = client.models.remote_uploads.retrieve(upload.id)
    assert (upload.status, upload.restart_count) == ("REMOTE_UPLOAD_STATUS_SUCCEEDED", 0)
    assert [one.id for one in client.models.remote_uploads.list()] == [upload.id]
    assert len(client.models.remote_uploads.events(upload.id).data) == 3
    api.advance(60)
    revision = client.models.list_revisions(model.id).data[0]
    assert revision.validation_status == "REVISION_VALIDATION_STATUS_SUCCESS"
    files = client.models.list_files(model.id, revision_id=revision.revision_id)
    assert "config.json" in {one.path for one in files.data}


def test_its_command_line_uploads_local_weights(client: Together, server: SandboxServer, tmp_path: Path) -> None:
    """The only judge of these routes: no published contract has them."""
    base = next(iter(client.models.list_supported(search="1.5b"))).base_model_id
    model = client.models.create(name="sent", base_model_id=base, type="model")
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    (weights / "model.safetensors").write_bytes(bytes(21 * 1024 * 1024))  # two parts
    for sent in ("first", "all skipped"):
        done = subprocess.run(
            [Path(sys.executable).with_name("tg"), "models", "upload", model.id, weights, "--json"],
            env={
                "HOME": str(tmp_path),
                "TOGETHER_API_KEY": "sandbox-key",
                "TOGETHER_BASE_URL": server.url,
                "TOGETHER_PROJECT_ID": "proj_sandbox",
                "TOGETHER_TELEMETRY_DISABLED": "1",
                "TOGETHER_DISABLE_VERSION_CHECK": "1",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (sent, done.stdout, done.stderr)
        revision = client.models.list_revisions(model.id).data[0]
        assert json.loads(done.stdout) == {"revisionId": revision.revision_id}
    assert len(client.models.list_revisions(model.id).data) == 2
    files = client.models.list_files(model.id)
    assert {one.path: one.size_bytes for one in files.data} == {"config.json": "2", "model.safetensors": "22020096"}


def test_it_reads_fine_tunes_and_the_bill(client: Together, api: Api) -> None:
    seed = {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", "suffix": "planner"}
    job_id = api.ok("POST", "/_sandbox/fine-tunes", seed)["id"]
    job = client.fine_tuning.retrieve(job_id)
    assert client.models.retrieve(job.adapter_object_id).weights.type == "WEIGHTS_TYPE_ADAPTER"
    assert [one.total_price for one in client.fine_tuning.list().data] == [job.total_price]
    with pytest.raises(together.NotFoundError):
        client.organization.usage.costs.list()
    api.ok("POST", "/_sandbox/behaviour", {"billing_enabled": True})
    month = api.ok("GET", "/_sandbox")["now"][:7]
    api.advance(86400)
    (window,) = client.organization.usage.costs.list(month=month, granularity="day")
    assert window.line_items[0].cost == "4"


def test_it_rolls_out(client: Together, api: Api) -> None:
    source = api.serving()
    endpoint_id = source["endpointId"]
    target = api.deployment({"id": endpoint_id}, "second")
    api.advance(300)
    pair = {"source_deployment_id": source["id"], "target_deployment_id": target["id"]}
    rollouts = client.endpoints.rollouts
    preview = rollouts.preview_defaults(endpoint_id, **pair)
    assert [one.traffic for one in preview.estimated_effective_steps] == [5, 25, 50, 100]
    metrics = [{"name": "router_latency", "regression_check": {"direction": "REGRESSION_DIRECTION_HIGHER_IS_WORSE"}}]
    canary = {"step_interval": "60s", "steps": [{"traffic": 50}, {"traffic": 100}]}
    rollout = rollouts.create(endpoint_id, **pair, canary=canary, metrics=metrics)
    assert rollouts.start(rollout.id, endpoint_id=endpoint_id).state == "ROLLOUT_STATE_RUNNING"
    assert client.endpoints.retrieve(endpoint_id).active_rollout_id == rollout.id
    rollouts.pause(rollout.id, endpoint_id=endpoint_id, reason="look")
    rollouts.resume(rollout.id, endpoint_id=endpoint_id)
    api.advance(30)
    assert rollouts.retrieve(rollout.id, endpoint_id=endpoint_id).current_traffic_percent == 50
    rollouts.cancel(rollout.id, endpoint_id=endpoint_id, reason="enough", disposition="CANCEL_DISPOSITION_FREEZE")
    api.advance(5)
    (listed,) = rollouts.list(endpoint_id, filter="ROLLOUT_FILTER_TERMINAL")
    assert listed.state == "ROLLOUT_STATE_CANCELED"
    rollouts.delete(rollout.id, endpoint_id=endpoint_id)
    again = rollouts.create(endpoint_id, **pair, blue_green={})
    rollouts.start(again.id, endpoint_id=endpoint_id)
    assert rollouts.promote(again.id, endpoint_id=endpoint_id).state == "ROLLOUT_STATE_COMPLETED"


def test_it_attaches_adapters(client: Together, api: Api) -> None:
    made = api.ok("POST", "/_sandbox/endpoints", {"name": "base", "model": "Qwen/Qwen3-8B"})
    place = {"endpoint_id": made["endpoint"]["id"], "deployment_id": made["deployment"]["id"]}
    job = api.ok("POST", "/_sandbox/fine-tunes", {"model": "Qwen/Qwen3-8B"})
    adapters = client.endpoints.adapters
    adapter = adapters.create(**place, adapter_model_id=job["adapter_object_id"])
    api.advance(20)
    assert adapters.retrieve(adapter.id, **place).per_cluster[0].ready_pod_count == 1
    assert [one.id for one in adapters.list(**place)] == [adapter.id]
    name = f"{made['endpoint']['name']}:{job['adapter_object_name']}"
    asked = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "hello"}], max_tokens=1)
    assert (asked.model, asked.usage.completion_tokens) == (name, 1)
    adapter = adapters.update(adapter.id, **place, adapter_revision_id=adapter.desired_revision_id, etag=adapter.etag)
    assert adapter.per_cluster[0].state == "ADAPTER_LOAD_STATE_LOADING"
    adapters.delete(adapter.id, **place, etag=adapter.etag)
    assert list(adapters.list(**place)) == []


def test_it_deploys_chats_and_cleans_up(client: Together, api: Api) -> None:
    body = api.deployment_body()
    endpoint = client.endpoints.create(name="decisions")
    assert [one.id for one in client.endpoints.list(filter='name="decisions"')] == [endpoint.id]
    arguments = {
        "name": "first",
        "model": body["model"],
        "config": body["config"],
        "autoscaling": {"min_replicas": 1, "max_replicas": 2},
        "inactive_timeout": 30,
        "max_concurrent_requests_per_replica": "8",
    }
    client.endpoints.deployments.create(endpoint.id, validate_only=True, **arguments)
    assert list(client.endpoints.deployments.list(endpoint.id)) == []
    deployment = client.endpoints.deployments.create(endpoint.id, **arguments)
    assert deployment.status.state == "DEPLOYMENT_STATE_PROVISIONING"
    api.advance(300)
    deployment = client.endpoints.deployments.retrieve(deployment.id, endpoint_id=endpoint.id)
    assert (deployment.status.state, deployment.status.ready_replicas) == ("DEPLOYMENT_STATE_READY", 1)

    split = [{"deployment_id": deployment.id, "weight": 1}]
    endpoint = client.endpoints.update(endpoint.id, traffic_split=split, update_mask="trafficSplit", etag=endpoint.etag)
    assert endpoint.deployments[0].estimated_effective_traffic_share == 1
    messages = [{"role": "user", "content": "hello"}]
    whole = client.chat.completions.create(model=endpoint.name, messages=messages)
    stream = client.chat.completions.create(model=endpoint.name, messages=messages, stream=True)
    chunks = list(stream)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert client.endpoints.analytics(endpoint.id).metrics.request_metrics.total_requests == "2"

    deployment = client.endpoints.deployments.update(
        deployment.id,
        endpoint_id=endpoint.id,
        autoscaling={"min_replicas": 0, "max_replicas": 0},
        update_mask="autoscaling",
    )
    client.endpoints.update(endpoint.id, traffic_split=[], update_mask="trafficSplit")
    api.advance(60)
    client.endpoints.deployments.delete(deployment.id, endpoint_id=endpoint.id, etag=deployment.etag)
    events = client.endpoints.list_events(endpoint.id, types=["deployment.scaled"], limit=1)
    assert [(one.old_replicas, one.new_replicas) for one in events] == [(1, 0), (0, 1)]
    assert [one.id for one in client.endpoints.list_org_scoped("org_sandbox")] == [endpoint.id]
    client.endpoints.delete(endpoint.id)
    assert list(client.endpoints.list()) == []


def test_it_raises_the_error_of_each_status(client: Together, api: Api) -> None:
    endpoint = client.endpoints.create(name="decisions")
    with pytest.raises(together.ConflictError):
        client.endpoints.create(name="decisions")
    with pytest.raises(together.BadRequestError):
        client.endpoints.create(name="Bad Name")
    with pytest.raises(together.NotFoundError):
        client.endpoints.retrieve("ep_0")
    with pytest.raises(together.AuthenticationError):
        client.with_options(api_key="other").whoami()
    api.ok("POST", "/_sandbox/behaviour", {"quota_replicas": 0})
    body = api.deployment_body()
    with pytest.raises(together.RateLimitError):
        client.endpoints.deployments.create(
            endpoint.id,
            name="first",
            model=body["model"],
            config=body["config"],
            autoscaling={"min_replicas": 1, "max_replicas": 1},
        )
    api.ok("POST", "/_sandbox/faults", {"path": ".", "cut": "before", "times": 1})
    with pytest.raises(together.APIConnectionError):
        client.whoami()
    assert api.ok("GET", f"{PROJECT}/endpoints")["data"][0]["id"] == endpoint.id
