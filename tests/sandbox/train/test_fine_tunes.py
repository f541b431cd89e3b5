"""Fine-tuning jobs can be read, and what they left can be deployed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import PROJECT, Api, deployments_of

_BASE = "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"


def _seed(api: Api, **members: object) -> dict[str, Any]:
    return api.ok("POST", "/_sandbox/fine-tunes", {"model": _BASE, **members})  # type: ignore[no-any-return]


@pytest.mark.parametrize(("kind", "member"), [("Lora", "adapter"), ("Lora", "model"), ("Full", "model")])
def test_what_a_completed_job_left_can_be_deployed(api: Api, kind: str, member: str) -> None:
    seeded = _seed(api, type=kind, suffix="planner")
    job = api.ok("GET", f"/v1/fine-tunes/{seeded['id']}")
    assert job == seeded
    assert ("adapter_object_id" in job) == (kind == "Lora")
    model = api.ok("GET", f"{PROJECT}/models/{job[f'{member}_object_id']}")
    assert model["name"] == job[f"{member}_object_name"]
    config = api.config(model)
    body = api.deployment_body() | {
        "model": f"projects/proj_sandbox/models/{model['id']}/revisions/{job[f'{member}_object_revision_id']}",
        "config": f"projects/{config['projectId']}/configs/{config['id']}",
    }
    shown = api.ok("POST", deployments_of(api.endpoint()), body)
    assert shown["modelId"] == model["id"]


def test_a_job_tells_its_price_in_nano_dollars(api: Api) -> None:
    job = _seed(api, totalPriceNanoDollars=7_210_000_000, tokenCount=15_000_000)
    assert (job["total_price"], job["token_count"]) == (7_210_000_000, 15_000_000)
    assert _seed(api, suffix="cheap")["id"] != job["id"]
    listed = api.ok("GET", "/v1/fine-tunes")["data"]
    assert [one["total_price"] for one in listed] == [4_000_000_000, 7_210_000_000]
    assert "model_object_id" not in listed[0]


@pytest.mark.parametrize("members", [{"status": "running"}, {"status": "error"}, {"registered": False}])
def test_a_job_without_a_result_has_no_objects(api: Api, members: dict[str, Any]) -> None:
    before = len(api.ok("GET", f"{PROJECT}/models")["data"])
    job = _seed(api, **members)
    assert not {name for name in job if "_object_" in name}
    assert len(api.ok("GET", f"{PROJECT}/models")["data"]) == before
    assert ("model_output_name" in job) == (job["status"] == "completed")


def test_a_base_without_configs_can_be_tuned_in_vain(api: Api) -> None:
    job = _seed(api, model="google/gemma-3-27b-it")
    assert api.ok("GET", f"{PROJECT}/configs", referenceModelId=job["model_object_id"])["data"] == []


def test_what_cannot_be_is_refused(api: Api) -> None:
    assert api.error("GET", "/v1/fine-tunes/ft-0")[0] == 404
    _seed(api, suffix="same")
    assert api.error("POST", "/_sandbox/fine-tunes", {"model": _BASE, "suffix": "same"})[0] == 409
    assert api.error("POST", "/_sandbox/fine-tunes", {"model": "nobody/knows"})[0] == 404
    assert api.error("POST", "/_sandbox/fine-tunes", {"model": _BASE, "suffix": "a b"})[0] == 400
