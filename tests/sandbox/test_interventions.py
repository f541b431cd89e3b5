"""What happens at the vendor without the client: it shows in the states, the feed and the bill alike."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import CODING, PLANNING, PROJECT, Api, endpoint_of, path_of


def test_a_crash_degrades_and_a_restore_heals(api: Api) -> None:
    deployment = api.serving(autoscaling={"minReplicas": 3, "maxReplicas": 3})
    api.advance(3600)
    api.ok("POST", f"/_sandbox/deployments/{deployment['id']}/crash", {"replicas": 2})
    assert api.state(deployment) == ("DEGRADED", 1)
    assert api.get(deployment)["desiredReplicas"] == 3
    assert api.chat("hello").status_code == 200
    api.advance(3600)
    api.ok("POST", f"/_sandbox/deployments/{deployment['id']}/restore")
    assert api.state(deployment) == ("READY", 3)
    api.advance(3600)
    assert api.meter()["totalCents"] == str(549 * (3 + 1 + 3))
    scaled = api.events(endpoint_of(deployment), types="deployment.scaled")
    assert [(one["oldReplicas"], one["newReplicas"]) for one in scaled] == [(1, 3), (3, 1), (0, 3)]
    warned = api.events(endpoint_of(deployment), minLevel="LEVEL_WARN")
    assert [one["message"] for one in warned] == ["DEPLOYMENT_STATE_DEGRADED"]


def test_a_crash_can_heal_by_itself(api: Api) -> None:
    deployment = api.serving()
    body = {"restoreAfterSeconds": 90}
    api.ok("POST", f"/_sandbox/deployments/{deployment['id']}/crash", body)
    assert api.state(deployment) == ("DEGRADED", 0)
    response = api.chat("hello")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "dedicated_endpoint_not_running")
    api.ok("POST", "/_sandbox/behaviour", {"fail_start": True})  # this is not a start
    api.advance(89)
    assert api.state(deployment) == ("DEGRADED", 0)
    api.advance(1)
    assert api.state(deployment) == ("READY", 1)


def test_a_degraded_deployment_can_be_stopped_and_resized(api: Api) -> None:
    deployment = api.serving(autoscaling={"minReplicas": 3, "maxReplicas": 3})
    api.ok("POST", f"/_sandbox/deployments/{deployment['id']}/crash", {"replicas": 2})
    api.scale(deployment, 2, 2)
    assert api.state(deployment) == ("SCALING", 1)
    api.advance(180)
    assert api.state(deployment) == ("READY", 2)
    api.ok("POST", f"/_sandbox/deployments/{deployment['id']}/crash")
    api.scale(deployment, 0, 0)
    api.advance(60)
    assert api.state(deployment) == ("STOPPED", 0)


def test_a_failure_is_final(api: Api) -> None:
    deployment = api.serving()
    api.ok("POST", f"/_sandbox/deployments/{deployment['id']}/fail", {"message": "the node is gone"})
    assert api.state(deployment) == ("FAILED", 0)
    assert api.get(deployment)["status"]["message"] == "the node is gone"
    assert api.error("PATCH", path_of(deployment), {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}})[0] == 400
    api.advance(3600)
    assert api.meter()["totalCents"] == "0"


def test_load_moves_replicas_within_the_bounds(api: Api) -> None:
    deployment = api.serving(autoscaling={"minReplicas": 1, "maxReplicas": 3})
    path = f"/_sandbox/deployments/{deployment['id']}/scale"
    api.ok("POST", path, {"desired": 3})
    assert api.state(deployment) == ("SCALING", 1)
    api.advance(180)
    assert api.state(deployment) == ("READY", 3)
    assert api.error("POST", path, {"desired": 4})[0] == 400
    assert api.get(deployment)["autoscaling"]["minReplicas"] == 1
    api.scale(deployment, 0, 0)
    assert api.error("POST", path, {"desired": 1})[0] == 400


def test_what_cannot_crash_is_refused(api: Api) -> None:
    deployment = api.deployment(api.endpoint())
    path = f"/_sandbox/deployments/{deployment['id']}"
    assert api.error("POST", f"{path}/crash")[0] == 400
    assert api.error("POST", f"{path}/restore")[0] == 400
    api.advance(300)
    assert api.error("POST", f"{path}/crash", {"replicas": 2})[0] == 400
    assert api.error("POST", "/_sandbox/deployments/dep_0/crash")[0] == 404
    assert api.error("POST", f"{path}/crash", {"number": 2}) == (400, 'unknown field "number"')


def test_a_new_price_holds_from_that_moment_on(api: Api) -> None:
    deployment = api.serving()
    other = api.serving(model=CODING, name="other")
    api.advance(1800)
    shown = api.ok("POST", "/_sandbox/prices", {"1xnvidia-h100-80gb": 399})
    assert (shown["1xnvidia-h100-80gb"], shown["4xnvidia-h100-80gb"]) == (399, 2196)
    prices = {one["name"]: one for one in api.ok("GET", "/v2/public/inference-instance-types")["data"]}
    assert prices["1xnvidia-h100-80gb"]["priceCentsPerHour"] == 399
    api.advance(3600)
    rows = {one["deploymentId"]: one for one in api.meter()["deployments"]}
    first = rows[deployment["id"]]
    assert first["priceCentsPerHour"] == 399
    assert Decimal(first["costCents"]) == Decimal(549) * 2100 / 3600 + 399, "300 s passed until the other was ready"
    assert Decimal(rows[other["id"]]["costCents"]) == Decimal(2196) * 5400 / 3600
    assert api.error("POST", "/_sandbox/prices", {"1xabacus": 1})[0] == 400


def test_prices_and_bill_outlive_the_process(tmp_path: Path) -> None:
    state = tmp_path / "sandbox.json"
    with SandboxServer(state, speed=0) as server:
        api = Api(server.url)
        with api.http:
            api.serving()
            api.advance(60)
            api.ok("POST", "/_sandbox/prices", {"1xnvidia-h100-80gb": 399})
            api.advance(60)
            before = api.meter()
    with SandboxServer(state, speed=0) as server:
        api = Api(server.url)
        with api.http:
            assert api.meter() == before
            assert api.ok("GET", "/_sandbox/prices")["1xnvidia-h100-80gb"] == 399


def test_others_can_make_endpoints_that_run_at_once(api: Api) -> None:
    made = api.ok("POST", "/_sandbox/endpoints", {"name": "not-ours", "model": PLANNING, "replicas": 2})
    assert api.ok("GET", f"{PROJECT}/endpoints")["data"] == [made["endpoint"]]
    assert made["endpoint"]["trafficSplit"] == [{"deploymentId": made["deployment"]["id"], "weight": 1}]
    assert api.state(made["deployment"]) == ("READY", 2)
    assert api.chat("hello", model="sandbox/not-ours").status_code == 200
    api.advance(3600)
    assert api.meter()["totalCents"] == "1098"
    assert api.error("POST", "/_sandbox/endpoints", {"name": "other", "model": "nobody/knows"})[0] == 404
    body = {"name": "other", "model": PLANNING, "hardware": "8xnvidia-h100-80gb"}
    assert api.error("POST", "/_sandbox/endpoints", body)[0] == 400
    assert len(api.ok("GET", f"{PROJECT}/endpoints")["data"]) == 1


def test_a_deployment_can_vanish(api: Api) -> None:
    deployment = api.serving()
    api.advance(3600)
    api.ok("DELETE", f"/_sandbox/deployments/{deployment['id']}")
    assert api.error("GET", path_of(deployment))[0] == 404
    endpoint = api.ok("GET", f"{PROJECT}/endpoints/{deployment['endpointId']}")
    assert (endpoint["deployments"], endpoint["trafficSplit"]) == ([], [])
    api.advance(3600)
    assert api.meter()["totalCents"] == "549"
    assert api.error("DELETE", f"/_sandbox/deployments/{deployment['id']}")[0] == 404


def test_an_endpoint_can_vanish_with_all_it_has(api: Api) -> None:
    deployment = api.serving()
    api.ok("DELETE", f"/_sandbox/endpoints/{deployment['endpointId']}")
    assert api.ok("GET", f"{PROJECT}/endpoints")["data"] == []
    assert api.error("GET", path_of(deployment))[0] == 404
    told = [one["type"] for one in api.events(endpoint_of(deployment))][:3]
    assert told == ["endpoint.deleted", "deployment.deleted", "deployment.scaled"]


@pytest.mark.parametrize("by_behaviour", [True, False])
def test_a_ready_deployment_denies_running_for_some_calls(api: Api, by_behaviour: bool) -> None:
    if by_behaviour:
        api.ok("POST", "/_sandbox/behaviour", {"flap_calls": 2})
    deployment = api.serving()
    if not by_behaviour:
        api.ok("POST", f"/_sandbox/deployments/{deployment['id']}/flap", {"calls": 2})
    answers = [api.chat("hello") for _ in range(3)]
    assert [one.status_code for one in answers] == [400, 400, 200]
    assert answers[0].json()["error"]["code"] == "dedicated_endpoint_not_running"
    assert api.state(deployment) == ("READY", 1)


def test_a_ready_deployment_denies_running_for_some_time(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"flap_seconds": 60})
    deployment = api.serving()
    assert api.chat("hello").status_code == 400
    api.advance(59.999)
    assert api.chat("hello").status_code == 400
    api.advance(0.001)
    assert api.chat("hello").status_code == 200
    metrics = api.ok("GET", f"{PROJECT}/endpoints/{deployment['endpointId']}/analytics")["metrics"]
    assert metrics["requestMetrics"]["failedRequests"] == "2"
