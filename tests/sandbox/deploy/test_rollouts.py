"""Rollouts move the traffic from one deployment to another, and keep others' hands off the split meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import PROJECT, Api, endpoint_of


class Pair:
    """A serving source and a target under one endpoint."""

    def __init__(self, api: Api, target_replicas: int = 1) -> None:
        self.api = api
        bounds = {"minReplicas": target_replicas, "maxReplicas": target_replicas}
        self.source = api.serving()
        self.target = api.deployment(endpoint_of(self.source), "second", autoscaling=bounds)
        self.endpoint = f"{PROJECT}/endpoints/{self.source['endpointId']}"
        self.rollouts = f"{self.endpoint}/rollouts"
        api.advance(300)

    def body(self, **members: object) -> dict[str, Any]:
        return {"sourceDeploymentId": self.source["id"], "targetDeploymentId": self.target["id"], **members}

    def create(self, **members: object) -> str:
        """The path of a new rollout."""
        return f"{self.rollouts}/{self.api.ok('POST', self.rollouts, self.body(**members))['id']}"

    def start(self, **members: object) -> str:
        path = self.create(**members)
        self.api.ok("POST", f"{path}/start")
        return path

    def share(self) -> int:
        """Percent of the traffic on the target."""
        return round(100 * self.api.get(self.target)["estimatedEffectiveTrafficShare"])


def _state(api: Api, path: str) -> str:
    return api.ok("GET", path)["state"].removeprefix("ROLLOUT_STATE_")  # type: ignore[no-any-return]


@pytest.mark.parametrize("target_replicas", [1, 2])
def test_a_canary_goes_up_its_ladder_and_drains_the_source(api: Api, target_replicas: int) -> None:
    pair = Pair(api, target_replicas)
    path = pair.create()
    assert (_state(api, path), pair.share()) == ("PENDING", 0)
    assert "activeRolloutId" not in api.ok("GET", pair.endpoint)
    api.ok("POST", f"{path}/start")
    shares = []
    for _ in range(4):
        api.advance(0)
        shares.append((pair.share(), api.ok("GET", path)["currentTrafficPercent"]))
        assert api.ok("GET", pair.endpoint)["activeRolloutId"] in path
        api.advance(180)
    assert shares == [(5, 5), (25, 25), (50, 50), (100, 100)]
    assert _state(api, path) == "STABILIZING"
    api.advance(180)
    shown = api.ok("GET", path)
    assert shown["state"] == "ROLLOUT_STATE_COMPLETED"
    assert {one["state"] for one in shown["status"]["steps"]} == {"ROLLOUT_STEP_STATE_PASSED"}
    endpoint = api.ok("GET", pair.endpoint)
    assert [one["deploymentId"] for one in endpoint["trafficSplit"]] == [pair.target["id"]]
    assert "activeRolloutId" not in endpoint
    api.advance(60)
    assert api.state(pair.source) == ("STOPPED", 0)
    assert api.state(pair.target) == ("READY", target_replicas)


@pytest.mark.parametrize(
    ("members", "shares"),
    [
        ({"blueGreen": {}}, [100]),
        ({"rolling": {}}, [25, 50, 75, 100]),
        ({"canary": {"stepInterval": "60s", "steps": [{"traffic": 10}, {"traffic": 100}]}}, [10, 100]),
    ],
)
def test_each_strategy_has_its_own_ladder(api: Api, members: dict[str, Any], shares: list[int]) -> None:
    pair = Pair(api)
    seconds = 60 if "canary" in members else 180
    path = pair.start(**members, finalSourceReplicas=1)
    seen = []
    for _ in shares:
        api.advance(0)
        seen.append(pair.share())
        api.advance(seconds)
    api.advance(seconds)
    assert (seen, _state(api, path)) == (shares, "COMPLETED")
    assert api.state(pair.source) == ("READY", 1), "it was to be kept"


def test_a_stopped_target_is_started_and_waited_for(api: Api) -> None:
    pair = Pair(api, 0)
    assert api.state(pair.target) == ("STOPPED", 0)
    path = pair.start()
    api.advance(179)
    assert (_state(api, path), pair.share()) == ("RUNNING", 0)
    assert api.chat("hello").status_code == 200
    api.advance(1)
    assert pair.share() == 5


def test_the_split_cannot_be_changed_meanwhile(api: Api) -> None:
    pair = Pair(api)
    path = pair.start()
    split = {"trafficSplit": [{"deploymentId": pair.source["id"], "weight": 1}]}
    assert api.error("PATCH", pair.endpoint, split)[0] == 409
    assert api.error("POST", pair.rollouts, pair.body())[0] == 409
    assert api.error("DELETE", path)[0] == 400
    api.ok("POST", f"{path}/cancel", {"reason": "enough"})
    assert _state(api, path) == "CANCELLING"
    api.advance(5)
    assert (_state(api, path), pair.share()) == ("CANCELED", 5)
    api.advance(10_000)
    assert pair.share() == 5, "frozen"
    api.ok("PATCH", pair.endpoint, split)
    assert [one["state"] for one in api.ok("GET", pair.rollouts, filter="ROLLOUT_FILTER_TERMINAL")["data"]] == [
        "ROLLOUT_STATE_CANCELED"
    ]
    assert api.ok("GET", pair.rollouts, filter="ROLLOUT_FILTER_ACTIVE")["data"] == []
    api.ok("DELETE", path)
    assert api.error("GET", path)[0] == 404


def test_a_pause_holds_the_step(api: Api) -> None:
    pair = Pair(api)
    path = pair.start()
    api.advance(0)
    shown = api.ok("POST", f"{path}/pause", {"reason": "lunch"})
    assert shown["state"] == "ROLLOUT_STATE_PAUSING"
    api.advance(10_000)
    shown = api.ok("GET", path)
    assert (shown["state"], shown["pauseInfo"]["reason"]) == ("ROLLOUT_STATE_PAUSED", "lunch")
    assert pair.share() == 5
    assert api.error("POST", f"{path}/resume", {"etag": "old"})[0] == 409
    api.ok("POST", f"{path}/resume", {"etag": shown["etag"]})
    api.advance(180)
    assert pair.share() == 25
    assert "pauseInfo" not in api.ok("GET", path)


def test_a_promotion_is_the_end_at_once(api: Api) -> None:
    pair = Pair(api)
    path = pair.start()
    api.advance(0)
    shown = api.ok("POST", f"{path}/promote", {})
    assert (shown["state"], shown["currentTrafficPercent"]) == ("ROLLOUT_STATE_COMPLETED", 100)
    assert pair.share() == 100
    assert api.error("POST", f"{path}/promote")[0] == 400


def test_a_failed_gate_holds_until_it_is_resumed(api: Api) -> None:
    pair = Pair(api)
    api.ok("POST", "/_sandbox/behaviour", {"fail_gates": True})
    path = pair.start(metrics=[{"name": "router_error_rate"}])
    api.advance(10_000)
    shown = api.ok("GET", path)
    assert shown["state"] == "ROLLOUT_STATE_SYSTEM_PAUSED"
    assert shown["status"]["condition"]["category"] == "ROLLOUT_FAILURE_CATEGORY_METRIC_REGRESSION"
    assert (shown["status"]["steps"][0]["state"], pair.share()) == ("ROLLOUT_STEP_STATE_FAILED", 5)
    api.ok("POST", "/_sandbox/behaviour", {"fail_gates": False})
    api.ok("POST", f"{path}/resume")
    api.advance(10_000)
    assert _state(api, path) == "COMPLETED"


@pytest.mark.parametrize("how", ["fail", "vanish"])
def test_a_lost_target_holds_the_rollout(api: Api, how: str) -> None:
    pair = Pair(api)
    path = pair.start()
    api.advance(0)
    target = f"/_sandbox/deployments/{pair.target['id']}"
    if how == "fail":
        api.ok("POST", f"{target}/fail")
    else:
        api.ok("DELETE", target)
    api.advance(180)
    shown = api.ok("GET", path)
    assert shown["status"]["condition"]["category"] == "ROLLOUT_FAILURE_CATEGORY_TARGET_NOT_READY"
    assert api.chat("hello").status_code == 200
    assert api.error("POST", f"{path}/promote")[0] == 400


def test_a_preview_tells_the_defaults_and_makes_nothing(api: Api) -> None:
    pair = Pair(api)
    api.scale(pair.source, 2, 3)
    api.advance(180)
    shown = api.ok("POST", f"{pair.rollouts}/preview-defaults", pair.body())
    assert (shown["spec"]["finalSourceReplicas"], shown["spec"]["finalTargetReplicas"]) == (0, 2)
    assert [one["traffic"] for one in shown["estimatedEffectiveSteps"]] == [5, 25, 50, 100]
    assert (shown["sourceReplicas"], shown["landingMaxReplicas"]) == (2, 3)
    assert [one["code"] for one in shown["warnings"]] == ["ROLLOUT_WILL_RAISE_TARGET_MAX"]
    assert api.ok("GET", pair.rollouts)["data"] == []


def test_what_cannot_be_rolled_out_is_refused(api: Api) -> None:
    pair = Pair(api)
    backwards = {"sourceDeploymentId": pair.target["id"], "targetDeploymentId": pair.source["id"]}
    for body in (
        backwards,
        pair.body(targetDeploymentId=pair.source["id"]),
        pair.body(canary={}, rolling={}),
        pair.body(canary={"steps": [{"traffic": 50}]}),
        pair.body(canary={"steps": [{"traffic": 50}, {"traffic": 20}, {"traffic": 100}]}),
        pair.body(canary={"stepInterval": "0s"}),
        pair.body(rolling={}, metrics=[{"name": "router_latency"}]),
    ):
        assert api.error("POST", pair.rollouts, body)[0] == 400
    path = pair.create()
    assert api.error("POST", f"{path}/pause")[0] == 400
    api.ok("POST", f"{path}/start")
    assert api.error("POST", f"{path}/start")[0] == 400
    revert = {"reason": "x", "disposition": "CANCEL_DISPOSITION_REVERT"}
    assert api.error("POST", f"{path}/cancel", revert)[0] == 400
    assert api.error("GET", f"{pair.rollouts}/rol_0")[0] == 404
