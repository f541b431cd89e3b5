"""Deployments move through their states at exact virtual times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.sandbox.conftest import PROJECT, Api, deployments_of, endpoint_of, path_of
from tests.waiting import until


def test_a_start_goes_through_provisioning_and_scaling_to_ready(api: Api) -> None:
    deployment = api.deployment(api.endpoint())
    assert api.state(deployment) == ("PROVISIONING", 0)
    api.advance(119.999)
    assert api.state(deployment) == ("PROVISIONING", 0)
    api.advance(0.001)
    assert api.state(deployment) == ("SCALING", 0)
    assert api.get(deployment)["status"]["scheduledReplicas"] == 1
    api.advance(179.999)
    assert api.state(deployment) == ("SCALING", 0)
    api.advance(0.001)
    assert api.state(deployment) == ("READY", 1)


def test_the_first_deployment_is_not_routed_by_itself(api: Api) -> None:
    endpoint = api.endpoint()
    api.deployment(endpoint)
    api.advance(300)
    shown = api.ok("GET", f"{PROJECT}/endpoints/{endpoint['id']}")
    assert shown["trafficSplit"] == []
    assert shown["deployments"][0]["readyReplicas"] == 1
    assert shown["deployments"][0]["estimatedEffectiveTrafficShare"] == 0


def test_zero_replicas_stop_and_both_bounds_start_again(api: Api) -> None:
    deployment = api.serving()
    api.scale(deployment, 0, 0)
    assert api.state(deployment) == ("STOPPING", 0)
    api.advance(60)
    assert api.state(deployment) == ("STOPPED", 0)
    api.scale(deployment, 2, 3)
    assert api.state(deployment) == ("SCALING", 0)
    api.advance(180)
    assert api.state(deployment) == ("READY", 2)
    assert api.get(deployment)["desiredReplicas"] == 2


@pytest.mark.parametrize("waited", [0, 150])
def test_a_start_can_be_stopped_before_it_is_ready(api: Api, waited: int) -> None:
    deployment = api.deployment(api.endpoint())
    api.advance(waited)
    api.scale(deployment, 0, 0)
    assert api.state(deployment) == ("STOPPING", 0)
    api.advance(600)
    assert api.state(deployment) == ("STOPPED", 0)
    assert api.meter()["totalCents"] == "0"


def test_a_stopping_deployment_cannot_be_started(api: Api) -> None:
    deployment = api.serving()
    api.scale(deployment, 0, 0)
    body = {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}}
    status, message = api.error("PATCH", path_of(deployment), body)
    assert (status, "STOPPED" in message) == (400, True)
    assert api.get(deployment)["autoscaling"]["maxReplicas"] == 0


def test_more_replicas_become_ready_together_while_the_old_ones_serve(api: Api) -> None:
    deployment = api.serving()
    api.scale(deployment, 3, 4)
    assert api.state(deployment) == ("SCALING", 1)
    assert api.get(deployment)["status"]["scheduledReplicas"] == 3
    assert api.chat("hello").status_code == 200
    api.advance(180)
    assert api.state(deployment) == ("READY", 3)


def test_fewer_replicas_are_unready_at_once(api: Api) -> None:
    deployment = api.serving(autoscaling={"minReplicas": 3, "maxReplicas": 3})
    api.scale(deployment, 1, 1)
    assert api.state(deployment) == ("SCALING", 1)
    assert api.get(deployment)["status"]["scheduledReplicas"] == 3
    api.advance(60)
    assert api.state(deployment) == ("READY", 1)
    assert api.get(deployment)["status"]["scheduledReplicas"] == 1


def test_a_failed_start_is_terminal_but_can_be_deleted(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"fail_start": True})
    deployment = api.deployment(api.endpoint())
    api.advance(300)
    assert api.state(deployment) == ("FAILED", 0)
    status, message = api.error("PATCH", path_of(deployment), {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}})
    assert (status, "terminal FAILED state" in message) == (400, True)
    assert api.ok("DELETE", path_of(deployment)) == {}


def test_a_start_that_is_never_ready_fails_after_six_hours(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"never_ready": True})
    deployment = api.deployment(api.endpoint())
    api.advance(6 * 3600 - 1)
    assert api.state(deployment) == ("SCALING", 0)
    api.advance(1)
    assert api.state(deployment) == ("FAILED", 0)


def test_a_gpu_that_is_sold_out_keeps_provisioning(api: Api) -> None:
    endpoint = api.endpoint()
    body = api.deployment_body()
    model = api.model("moonmakesmagic/DeepSeek-Qwen-14B-planning")
    config = api.config(model, "1xnvidia-a100-80gb")
    body |= {
        "model": f"projects/proj_sandbox/models/{model['id']}",
        "config": f"projects/proj_platform/configs/{config['id']}",
    }
    deployment = api.ok("POST", deployments_of(endpoint), body)
    api.advance(3600)
    assert api.state(deployment) == ("PROVISIONING", 0)


def test_idle_time_counts_from_ready(api: Api) -> None:
    deployment = api.serving(inactiveTimeout=30)
    api.advance(30 * 60 - 1)
    assert api.state(deployment) == ("READY", 1)
    api.advance(1)
    assert api.state(deployment) == ("STOPPING", 0)
    assert api.get(deployment)["autoscaling"]["maxReplicas"] == 0
    updated = api.events(endpoint_of(deployment), types="deployment.updated")[0]
    assert updated["reason"] == "INACTIVE_TIMEOUT"


def test_however_fast_the_clock_runs_a_person_has_time_for_the_next_command(api: Api) -> None:
    """Thirty minutes at 60 times are thirty seconds: at the least, ten real minutes pass before an idle stop."""
    deployment = api.serving(inactiveTimeout=30)
    api.ok("POST", "/_sandbox/clock", {"speed": 60})
    api.advance(9 * 60 * 60)
    assert api.state(deployment) == ("READY", 1)
    api.advance(60 * 60)
    api.advance(60)
    assert api.state(deployment) == ("STOPPED", 0)


def test_a_chat_request_puts_the_idle_stop_off(api: Api) -> None:
    deployment = api.serving(inactiveTimeout=30)
    api.advance(29 * 60)
    assert api.chat("hello").status_code == 200
    api.advance(29 * 60)
    assert api.state(deployment) == ("READY", 1)
    api.advance(60)
    assert api.state(deployment) == ("STOPPING", 0)


def test_reading_is_no_activity(api: Api) -> None:
    deployment = api.serving(inactiveTimeout=30)
    for _ in range(30):
        api.advance(60)
        api.get(deployment)
    assert api.state(deployment) == ("STOPPING", 0)


def test_the_path_taken_does_not_depend_on_how_often_one_looks(api: Api) -> None:
    """One leap over start, readiness and idle stop gives the same history as many small looks."""

    def history(step_seconds: int, name: str) -> list[tuple[float, Any, Any]]:
        endpoint = api.endpoint(name)
        api.deployment(endpoint, inactiveTimeout=30)
        begin = api.events(endpoint)[-1]["createdAt"]
        for _ in range(4000 // step_seconds):
            api.advance(step_seconds)
        events = api.events(endpoint, types="deployment.scaled,deployment.status_updated")
        return [(_seconds(begin, one["createdAt"]), one["type"], one["message"]) for one in events]

    assert history(4000, "one-leap") == history(100, "small-steps")


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def test_durations_can_be_changed(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"provisioning_seconds": 1, "scaling_seconds": 2})
    deployment = api.deployment(api.endpoint())
    api.advance(3)
    assert api.state(deployment) == ("READY", 1)


def test_a_faster_clock_moves_by_itself(api: Api) -> None:
    deployment = api.deployment(api.endpoint())
    before = api.ok("GET", "/_sandbox")["now"]
    api.ok("POST", "/_sandbox/clock", {"speed": 1_000_000})
    until(lambda: api.state(deployment)[0] == "READY")
    assert api.ok("GET", "/_sandbox")["now"] > before
