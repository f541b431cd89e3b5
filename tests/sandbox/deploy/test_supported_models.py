"""The catalogue: what is offered, on what terms, and that an offer can be taken up by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import CODING, PROJECT, Api, deployments_of

_PATH = "/v2/supported-models"


def _names(api: Api, **query: object) -> set[str]:
    return {one["name"] for one in api.ok("GET", _PATH, **query)["data"]}


def test_it_can_be_searched_and_cut_by_product(api: Api) -> None:
    everything = _names(api)
    assert len(everything) == 9
    assert _names(api, search="GPT-oss") == {"openai/gpt-oss-20b"}
    dedicated = _names(api, product="PRODUCT_DEDICATED")
    assert everything - dedicated == {"google/gemma-3-27b-it", "Qwen/Qwen2.5-7B-Instruct"}
    assert "google/gemma-3-27b-it" in _names(api, product="PRODUCT_FINE_TUNING")
    assert "Qwen/Qwen2.5-7B-Instruct" in _names(api, product="PRODUCT_SERVERLESS")
    assert _names(api, modality="MODALITY_IMAGE") == {"google/gemma-3-27b-it"}
    assert _names(api, adapterMode="ADAPTER_MODE_DYNAMIC") == {"Qwen/Qwen3-8B", "meta-llama/Llama-3.2-3B-Instruct"}
    assert _names(api, search="deepseek", product="PRODUCT_SERVERLESS") == set()


@pytest.mark.parametrize("name", ["product", "modality", "adapterMode"])
def test_an_unknown_choice_is_refused(api: Api, name: str) -> None:
    assert api.error("GET", _PATH, **{name: "SOMETHING"})[0] == 400


def test_it_is_paged(api: Api) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = api.ok("GET", _PATH, **query)
        seen += [one["name"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        query["after"] = page["next_cursor"]
    assert (len(seen), set(seen)) == (9, _names(api))


def test_only_what_is_serverless_has_a_price_per_token(api: Api) -> None:
    for one in api.ok("GET", _PATH)["data"]:
        is_serverless = "PRODUCT_SERVERLESS" in one["products"]
        assert ("pricing" in one) == ("serverlessEndpoint" in one) == is_serverless
    llama = api.ok("GET", _PATH, search="llama-3.3")["data"][0]
    assert llama["pricing"] == {"input": 0.88, "output": 0.88}


def test_each_profile_can_be_deployed_as_it_stands(api: Api) -> None:
    endpoint = api.endpoint()
    tried = 0
    for one in api.ok("GET", _PATH)["data"]:
        assert api.ok("GET", f"{_PATH}/{one['id']}") == one
        for profile in one["deploymentProfiles"]:
            tried += 1
            bounds = {"minReplicas": 1, "maxReplicas": 1}
            body = {"name": "x", "model": profile["model"], "config": profile["config"], "autoscaling": bounds}
            shown = api.ok("POST", deployments_of(endpoint), body, validateOnly="true")
            assert shown["hardware"].startswith(f"{profile['gpuCount']}x")
            assert shown["modelId"] == one["baseModelId"]
    assert tried > 8


def test_files_of_a_revision_add_up(api: Api) -> None:
    model = api.model(CODING)
    (revision,) = api.ok("GET", f"{PROJECT}/models/{model['id']}/revisions")["data"]
    assert revision["validationStatus"] == "REVISION_VALIDATION_STATUS_SUCCESS"
    path = f"{PROJECT}/models/{model['id']}/files"
    shown = api.ok("GET", path)
    assert shown["revisionId"] == revision["revisionId"]
    assert sum(int(one["sizeBytes"]) for one in shown["data"]) == int(shown["totalSizeBytes"]) > 67_000_000_000
    assert api.ok("GET", path, revisionId=revision["revisionId"]) == shown
    assert api.error("GET", path, revisionId="rv_0")[0] == 404
    empty = api.model("sandbox/no-weights-8b")
    assert api.ok("GET", f"{PROJECT}/models/{empty['id']}/files")["data"] == []
