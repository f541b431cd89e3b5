"""Stopping: the only order that is accepted, from wherever it was left, and never a word too early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.engines.errors import BusyError
from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.errors import ConfigurationError, NotFoundError, RemoteError
from reasoning_cli.operations.deploy.teardown import plan_stop, run_stop, set_idle_stop
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import Deployments
from tests.engines.together.service import KEY, MODELS, PROJECT, Service, service


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def test_undeploy_takes_the_steps_in_order_and_leaves_nothing(together: Service) -> None:
    record = together.deploy().record
    together.forget_journal()
    done = together.stop()
    steps = [(one["method"], one.get("body")) for one in together.journal() if one["method"] != "GET"]
    assert steps == [
        ("PATCH", {"trafficSplit": []}),
        ("PATCH", {"autoscaling": {"minReplicas": 0, "maxReplicas": 0}}),
        ("DELETE", None),
        ("DELETE", None),
    ]
    assert together.endpoints() == []
    assert (done.record.state, done.endpoint_left) == ("DELETED", None)
    assert Deployments(together.store).live() == []
    (slot,) = Deployments(together.store).slots()
    assert (slot.model_type, slot.deployment_key) == ("planning", None)
    assert [one.action for one in Events(together.store).list() if one.actor == "operator"] == ["deploy", "undeploy"]
    assert record.key == done.record.key


@pytest.mark.parametrize("name", ["planning", "sandbox/planning", "endpoint_id", "deployment_id"])
def test_it_is_found_by_any_of_its_names(together: Service, name: str) -> None:
    record = together.deploy().record
    target = str(getattr(record, name)) if name.endswith("_id") else name
    assert plan_stop(together.store, target, keep=False).record.key == record.key


def test_a_name_that_is_not_deployed_is_refused_with_the_nearest(together: Service) -> None:
    with pytest.raises(NotFoundError, match="`planing` is not deployed"):
        plan_stop(together.store, "planing", keep=False)
    together.deploy()
    with pytest.raises(NotFoundError) as caught:
        plan_stop(together.store, "planing", keep=False)
    assert caught.value.hint == "did you mean `planning`?"


@pytest.mark.parametrize("path", [r"/deployments/dep_", r"/endpoints/ep_[^/]+$"], ids=["deployment", "endpoint"])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("cut", ["before", "after_action"])
def test_broken_off_anywhere_the_next_run_finishes(together: Service, method: str, path: str, cut: str) -> None:
    together.deploy()
    together.fault(path, method=method, cut=cut, times=1)
    try:
        together.stop()
    except RemoteError:
        together.stop()
    assert together.endpoints() == []
    assert Deployments(together.store).live() == []
    (usage,), (exact,) = together.usage().values(), together.metered().values()
    assert usage.low_cents == usage.high_cents
    assert abs(usage.high_cents - exact) < 1


def test_a_split_that_cannot_be_emptied_does_not_keep_the_model_running(together: Service) -> None:
    together.deploy()
    refusal = {"error": {"message": "no fields to update", "type": "invalid_request_error"}}
    together.fault(rf"^{PROJECT}/endpoints/ep_[^/]+$", method="PATCH", status=400, body=refusal, times=1)
    together.stop()
    assert together.endpoints() == []


def test_a_split_that_is_refused_for_good_is_told_after_the_stop(together: Service) -> None:
    together.deploy()
    refusal = {"error": {"message": "no fields to update", "type": "invalid_request_error"}}
    together.fault(rf"^{PROJECT}/endpoints/ep_[^/]+$", method="PATCH", status=400, body=refusal)
    with pytest.raises(Exception, match="no fields to update"):
        together.stop()
    (made,) = together.deployments()
    assert made["status"]["state"] == "DEPLOYMENT_STATE_STOPPED", "it costs nothing any more"


@pytest.mark.parametrize("trouble", [{"status": 503}, {"cut": "before"}], ids=["busy", "cut"])
def test_a_stop_that_does_not_arrive_says_that_it_may_still_cost(together: Service, trouble: dict[str, object]) -> None:
    together.deploy()
    together.fault(r"/deployments/dep_", method="PATCH", **trouble)
    with pytest.raises(RemoteError, match=r"may still run, at up to \$5\.49 an hour") as caught:
        together.stop()
    assert isinstance(caught.value, RemoteError) and not isinstance(caught.value, BusyError)
    assert caught.value.hint is not None and "undeploy planning" in caught.value.hint


def test_kept_it_stays_stopped_in_its_slot(together: Service) -> None:
    together.deploy()
    done = together.stop(keep=True)
    (made,) = together.deployments()
    assert made["status"]["state"] == "DEPLOYMENT_STATE_STOPPED"
    assert (done.record.state, done.record.deleted_at) == ("STOPPED", None)
    (slot,) = Deployments(together.store).slots()
    assert slot.deployment_key == done.record.key
    together.stop()
    assert together.endpoints() == []


def test_a_failed_one_can_be_cleared_away(together: Service) -> None:
    together.behave(fail_start=True)
    with pytest.raises(RemoteError):
        together.deploy()
    together.stop()
    assert together.endpoints() == []


def test_deleted_by_somebody_else_while_waiting_is_as_good(together: Service) -> None:
    record = together.deploy().record
    endpoint = f"{PROJECT}/endpoints/{record.endpoint_id}"
    plan = plan_stop(together.store, "planning", keep=False)
    wait = together.wait()

    def tell(progress: object) -> None:
        if together.deployments() and together.deployments()[0]["status"]["state"] == "DEPLOYMENT_STATE_STOPPING":
            together.advance(60)
            together.ask("DELETE", f"{endpoint}/deployments/{record.deployment_id}")

    run_stop(together.client, together.store, plan, type(wait)(wait.poll_seconds, wait.timeout, wait.sleep, tell))
    assert together.endpoints() == []
    assert Deployments(together.store).live() == []


def test_an_endpoint_others_use_stays(together: Service) -> None:
    record = together.deploy().record
    (made,) = together.deployments()
    other = {key: made[key] for key in ("config",)} | {
        "name": "other",
        "model": made["model"],
        "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
    }
    theirs = together.ask("POST", f"{PROJECT}/endpoints/{record.endpoint_id}/deployments", other)
    split = [{"deploymentId": made["id"], "weight": 1}, {"deploymentId": theirs["id"], "weight": 3}]
    together.ask(
        "PATCH", f"{PROJECT}/endpoints/{record.endpoint_id}", {"trafficSplit": split}, updateMask="trafficSplit"
    )
    done = together.stop()
    assert done.endpoint_left == "sandbox/planning"
    (endpoint,) = together.endpoints()
    assert endpoint["trafficSplit"] == split[1:]
    assert Deployments(together.store).live() == []


def test_an_intent_that_came_to_nothing_can_be_cleared_away(together: Service) -> None:
    together.fault(r"/endpoints$", method="POST", cut="before")
    with pytest.raises(RemoteError):
        together.deploy()
    together.clear_faults()
    together.stop()
    assert Deployments(together.store).live() == []


def test_a_stop_that_takes_too_long_is_told(together: Service) -> None:
    together.deploy()
    together.behave(stopping_seconds=100_000)
    with pytest.raises(RemoteError, match="still STOPPING after 30 minutes"):
        together.stop()


def test_the_idle_stop_reaches_what_runs_and_only_that(together: Service) -> None:
    together.deploy("planning")
    together.deploy("should-respond")
    together.stop("should-respond", keep=True)
    together.forget_journal()
    assert set_idle_stop(lambda: together.client, together.store, 90) == ["planning"]
    (patch,) = together.journal("PATCH")
    assert (patch["query"], patch["body"]) == ({"updateMask": "inactiveTimeout"}, {"inactiveTimeout": 90})
    assert Deployments(together.store).find("planning").idle_minutes == 90  # type: ignore[union-attr]
    assert sorted(one["inactiveTimeout"] for one in together.deployments()) == [0, 90]


def test_the_idle_stop_asks_nobody_when_nothing_runs(together: Service) -> None:
    def connect() -> TogetherClient:
        raise AssertionError("nothing runs")

    assert set_idle_stop(connect, together.store, 90) == []


def test_a_foreign_key_closes_nothing(together: Service) -> None:
    together.deploy()
    other = TogetherClient(together.url, KEY, project_id="proj_other", sleep=lambda _: None)
    try:
        for act in (
            lambda: set_idle_stop(lambda: other, together.store, 90),
            lambda: run_stop(other, together.store, plan_stop(together.store, "planning", keep=False), together.wait()),
        ):
            with pytest.raises(ConfigurationError, match="proj_sandbox"):
                act()
    finally:
        other.close()
    assert [one.state for one in Deployments(together.store).live()] == ["READY"]
    assert MODELS["planning"] == Deployments(together.store).live()[0].model_name
