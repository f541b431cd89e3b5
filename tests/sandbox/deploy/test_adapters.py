"""LoRA adapters: attached where the config takes them, loaded after a while."""

from __future__ import annotations

from typing import Any

from tests.sandbox.conftest import PROJECT, Api, deployments_of, endpoint_of, path_of

_BASE = "Qwen/Qwen3-8B"


def _base_deployment(api: Api) -> dict[str, Any]:
    """A deployment of the base itself, whose config takes adapters."""
    offer = api.ok("GET", "/v2/supported-models", search=_BASE)["data"][0]
    profile = next(one for one in offer["deploymentProfiles"] if "H100" in one["gpuType"] and one["gpuCount"] == 1)
    body = {
        "name": "base",
        "model": profile["model"],
        "config": profile["config"],
        "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
    }
    return api.ok("POST", deployments_of(api.endpoint()), body)  # type: ignore[no-any-return]


def _adapter(api: Api, base: str = _BASE, suffix: str = "planner") -> str:
    return api.ok("POST", "/_sandbox/fine-tunes", {"model": base, "suffix": suffix})["adapter_object_id"]  # type: ignore[no-any-return]


def test_an_adapter_is_attached_loaded_and_detached(api: Api) -> None:
    deployment = _base_deployment(api)
    path = f"{path_of(deployment)}/adapters"
    adapter = api.ok("POST", path, {"adapterModelId": _adapter(api)})
    assert [one["id"] for one in api.ok("GET", path)["data"]] == [adapter["id"]]

    def state() -> str:
        return api.ok("GET", f"{path}/{adapter['id']}")["perCluster"][0]["state"]  # type: ignore[no-any-return]

    assert state() == "ADAPTER_LOAD_STATE_PENDING"
    api.advance(300)
    assert state() == "ADAPTER_LOAD_STATE_READY", "it was loading while the replica started"
    assert api.error("DELETE", f"{path}/{adapter['id']}")[0] == 400
    assert api.error("DELETE", f"{path}/{adapter['id']}", etag="old")[0] == 409
    assert api.ok("DELETE", f"{path}/{adapter['id']}", etag=adapter["etag"]) == {}
    assert api.ok("GET", path)["data"] == []


def test_another_revision_is_loaded_anew(api: Api) -> None:
    deployment = _base_deployment(api)
    api.advance(300)
    path = f"{path_of(deployment)}/adapters"
    model_id = _adapter(api)
    adapter = api.ok("POST", path, {"adapterModelId": model_id})
    api.advance(20)
    upload = {"modelId": model_id, "remoteUrl": "https://huggingface.co/someone/adapter"}
    api.ok("POST", f"{PROJECT}/models/uploads", upload)
    api.advance(200)
    newest = api.ok("GET", f"{PROJECT}/models/{model_id}/revisions")["data"][0]["revisionId"]
    assert newest != adapter["desiredRevisionId"]
    change = {"adapterRevisionId": newest, "etag": adapter["etag"]}
    shown = api.ok("PATCH", f"{path}/{adapter['id']}", change)
    assert (shown["desiredRevisionId"], shown["perCluster"][0]["state"]) == (newest, "ADAPTER_LOAD_STATE_LOADING")
    assert api.error("PATCH", f"{path}/{adapter['id']}", change)[0] == 409
    api.advance(20)
    assert api.ok("GET", path)["data"][0]["perCluster"][0]["state"] == "ADAPTER_LOAD_STATE_READY"


def test_what_does_not_fit_is_refused(api: Api) -> None:
    deployment = _base_deployment(api)
    path = f"{path_of(deployment)}/adapters"
    foreign = _adapter(api, "openai/gpt-oss-20b", "foreign")
    assert api.error("POST", path, {"adapterModelId": foreign, "force": True})[0] == 400
    own = _adapter(api)
    api.ok("POST", path, {"adapterModelId": own})
    assert api.error("POST", path, {"adapterModelId": own, "force": True})[0] == 409
    assert api.error("POST", path, {"adapterModelId": deployment["modelId"]})[0] == 400
    assert api.error("POST", path, {"adapterModelId": "ml_0"})[0] == 404
    assert api.error("GET", f"{path}/dad_0")[0] == 404
    plain = api.serving(name="plain")
    status, message = api.error("POST", f"{path_of(plain)}/adapters", {"adapterModelId": foreign})
    assert (status, "adapter_mode" in message) == (400, True)
    api.ok("DELETE", f"/_sandbox/endpoints/{endpoint_of(deployment)['id']}")
    assert api.error("GET", path)[0] == 404


def test_a_full_deployment_takes_another_in_place_of_the_oldest(api: Api) -> None:
    path = f"{path_of(_base_deployment(api))}/adapters"
    first = api.ok("POST", path, {"adapterModelId": _adapter(api, suffix="first")})
    for number in range(15):
        api.ok("POST", path, {"adapterModelId": _adapter(api, suffix=f"next-{number}")})
    last = {"adapterModelId": _adapter(api, suffix="last")}
    assert api.error("POST", path, last) == (400, "the deployment has 16 adapters, and takes no more")
    made = api.ok("POST", path, last | {"force": True})
    ids = {one["id"] for one in api.ok("GET", path)["data"]}
    assert (len(ids), made["id"] in ids, first["id"] in ids) == (16, True, False)


def test_a_request_names_the_adapter_it_wants(api: Api) -> None:
    deployment = _base_deployment(api)
    endpoint = endpoint_of(deployment)
    split = {"trafficSplit": [{"deploymentId": deployment["id"], "weight": 1}]}
    name = api.ok("PATCH", f"{PROJECT}/endpoints/{endpoint['id']}", split, updateMask="trafficSplit")["name"]
    api.advance(300)
    api.ok("POST", f"{path_of(deployment)}/adapters", {"adapterModelId": _adapter(api, suffix="mine")})

    def ask(model: str) -> int:
        return api.chat("hello", model=model).status_code

    assert (ask(name), ask(f"{name}:sandbox/mine-adapter")) == (200, 400)
    api.advance(20)
    assert ask(f"{name}:sandbox/mine-adapter") == ask(f"{name}:mine-adapter") == 200
    assert ask(f"{name}:sandbox/other") == 404
