"""Endpoints of v1: there are none unless one was left running, and that can only be stopped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.sandbox.conftest import CODING, Api


def _seed(api: Api, **members: object) -> dict[str, Any]:
    return api.ok("POST", "/_sandbox/v1/endpoints", {"model": CODING, **members})  # type: ignore[no-any-return]


def test_there_are_none_and_none_can_be_made(api: Api) -> None:
    assert api.ok("GET", "/v1/endpoints") == {"object": "list", "data": []}
    response = api.request("POST", "/v1/endpoints", {"model": "m"})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "endpoints_v1_create_access_disabled")


def test_a_forgotten_one_is_listed_and_billed(api: Api) -> None:
    endpoint = _seed(api, hardware="4x_nvidia_h100_80gb_sxm", replicas=2, displayName="old coding")
    assert endpoint["state"] == "STARTED"
    assert api.ok("GET", "/v1/endpoints", type="dedicated", usage_type="on-demand")["data"] == [endpoint]
    assert api.ok("GET", "/v1/endpoints", type="serverless")["data"] == []
    assert api.ok("GET", f"/v1/endpoints/{endpoint['id']}") == endpoint
    api.advance(3600)
    meter = api.meter()
    assert meter["deployments"] == []
    row = meter["v1Endpoints"][0]
    assert (row["endpointId"], row["readyReplicaSeconds"]) == (endpoint["id"], "7200")
    assert meter["totalCents"] == row["costCents"] == "4392"


def test_it_can_be_stopped_but_not_started(api: Api) -> None:
    path = f"/v1/endpoints/{_seed(api)['id']}"
    api.advance(3600)
    assert api.ok("PATCH", path, {"state": "STOPPED"})["state"] == "STOPPING"
    api.advance(60)
    assert api.ok("GET", path)["state"] == "STOPPED"
    response = api.request("PATCH", path, {"state": "STARTED"})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "endpoints_v1_create_access_disabled")
    assert api.ok("GET", path)["state"] == "STOPPED"
    assert api.meter()["totalCents"] == "549"


def test_other_members_can_be_changed(api: Api) -> None:
    path = f"/v1/endpoints/{_seed(api, replicas=2)['id']}"
    bounds = {"min_replicas": 1, "max_replicas": 3}
    shown = api.ok("PATCH", path, {"display_name": "renamed", "autoscaling": bounds})
    assert (shown["display_name"], shown["autoscaling"]) == ("renamed", bounds)
    api.advance(3600)
    assert api.meter()["totalCents"] == "549"
    assert api.error("PATCH", path, {"state": "PAUSED"})[0] == 400


def test_an_inactive_one_stops_by_itself(api: Api) -> None:
    path = f"/v1/endpoints/{_seed(api, inactiveTimeout=30)['id']}"
    api.advance(1799)
    assert api.ok("GET", path)["state"] == "STARTED"
    api.advance(61)
    assert api.ok("GET", path)["state"] == "STOPPED"
    assert Decimal(api.meter()["v1Endpoints"][0]["readyReplicaSeconds"]) == 1800


def test_a_delete_answers_nothing_and_ends_the_bill(api: Api) -> None:
    path = f"/v1/endpoints/{_seed(api)['id']}"
    api.advance(1800)
    response = api.request("DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    assert api.error("GET", path)[0] == 404
    api.advance(3600)
    assert api.meter()["v1Endpoints"][0]["costCents"] == "274.5"


def test_hardware_costs_cents_per_minute(api: Api) -> None:
    rows = {one["id"]: one for one in api.ok("GET", "/v1/hardware")["data"]}
    h100 = rows["1x_nvidia_h100_80gb_sxm"]
    assert h100["pricing"] == {"cents_per_minute": 9.15}
    assert h100["specs"] == {"gpu_type": "h100", "gpu_link": "sxm", "gpu_memory": 80, "gpu_count": 1}
    assert "availability" not in h100
    fitting = api.ok("GET", "/v1/hardware", model="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B")["data"]
    assert {one["id"]: one["availability"]["status"] for one in fitting} == {
        "1x_nvidia_a100_80gb_sxm": "unavailable",
        "1x_nvidia_h100_80gb_sxm": "available",
        "1x_nvidia_h200_140gb_sxm": "available",
        "2x_nvidia_h100_80gb_sxm": "available",
    }
    assert api.ok("GET", "/v1/clusters/availability-zones")["avzones"] == ["eu-west-1", "us-central-1"]
