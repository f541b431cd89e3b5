"""Replacing a model that serves: no gap, the share that was asked for, and always a way on or back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.deploy.plan import DeployPlan
from reasoning_cli.operations.deploy.rollout import (
    Replaced,
    Return,
    Shift,
    plan_promote,
    plan_rollback,
    run_replace,
    run_return,
)
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from tests.engines.together.service import MODELS, NO_LIMITS, PROJECT, Service, service

NEXT = "Qwen/Qwen3-8B"


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def replace(together: Service, target: str = NEXT, **shift: Any) -> Replaced:
    plan = together.plan(target, model_type="planning")
    return run_replace(together.client, together.store, plan, Shift(**shift), together.wait())


def promote(together: Service, **shift: Any) -> Replaced:
    plan = plan_promote(together.client, together.store, NO_LIMITS, "planning")
    return run_replace(together.client, together.store, plan, Shift(**shift), together.wait())


def rollback(together: Service, **shift: Any) -> None:
    plan = plan_rollback(together.client, together.store, NO_LIMITS, "planning")
    if isinstance(plan, DeployPlan):
        run_replace(together.client, together.store, plan, Shift(**shift, is_rollback=True), together.wait())
    else:
        run_return(together.client, together.store, plan, together.wait())


def shares(together: Service) -> dict[str, float]:
    """The split by model id: weight times ready replicas, as the service uses it."""
    (endpoint,) = together.endpoints()
    made = {one["id"]: one for one in together.deployments()}
    weighed = {
        made[one["deploymentId"]]["modelId"]: one["weight"] * made[one["deploymentId"]]["status"]["readyReplicas"]
        for one in endpoint["trafficSplit"]
    }
    whole = sum(weighed.values())
    return {model: round(weight / whole, 3) for model, weight in weighed.items()}


def serving(together: Service) -> DeploymentRecord:
    (slot,) = Deployments(together.store).slots()
    record = Deployments(together.store).get(slot.deployment_key or "")
    assert record is not None
    return record


def ledger_is_the_meter(together: Service) -> bool:
    exact = together.metered()
    return all(
        usage.low_cents == usage.high_cents and abs(usage.cents - exact[key]) < Decimal("0.01")
        for key, usage in together.usage().items()
    )


def test_the_new_one_is_tried_before_the_old_one_is_touched(together: Service) -> None:
    old = together.deploy().record
    together.forget_journal()
    done = replace(together)
    assert (done.percent, done.old.state, done.record.state) == (100, "DELETED", "READY")
    steps = [(one["method"], one["path"].rpartition("/")[2]) for one in together.journal() if one["method"] != "GET"]
    new = done.record.deployment_id
    endpoint = old.endpoint_id
    assert steps == [
        ("POST", "deployments"),  # the check
        ("POST", "deployments"),
        ("PATCH", endpoint),  # weight 0, so that it can be asked
        ("POST", "completions"),
        ("PATCH", endpoint),
        ("PATCH", old.deployment_id),  # 0/0
        ("DELETE", old.deployment_id),
    ]
    (asked,) = [one for one in together.journal() if one["path"] == "/v1/chat/completions"]
    assert asked["body"]["model"] == f"sandbox/planning/{done.record.deployment_name}"
    assert [one["id"] for one in together.deployments()] == [new]
    assert serving(together).key == done.record.key
    assert ledger_is_the_meter(together)


def test_there_is_always_somebody_who_answers(together: Service) -> None:
    together.deploy()
    plan = together.plan(NEXT, model_type="planning")
    wait = together.wait()

    def sleep(seconds: float) -> None:
        wait.sleep(seconds)
        together.client.chat("sandbox/planning", [{"role": "user", "content": "ping"}], max_tokens=1)

    watched = type(wait)(wait.poll_seconds, wait.timeout, sleep, wait.notify)
    run_replace(together.client, together.store, plan, Shift((10, 50, 100), timedelta(minutes=5)), watched)
    assert serving(together).model_name == NEXT


def test_a_canary_stays_at_its_share_until_it_is_promoted(together: Service) -> None:
    old = together.deploy(max_replicas=2, min_replicas=2).record
    done = replace(together, steps=(10,))
    assert done.percent == 10
    assert shares(together) == {old.model_id: 0.9, done.record.model_id: 0.1}
    assert serving(together).key == old.key
    assert replace(together, steps=(10,)).percent == 10, "the same again changes nothing"
    with pytest.raises(ReasoningError, match="a canary of `planning` already, at 10 %"):
        together.plan()
    with pytest.raises(ReasoningError, match="a canary of"):
        together.plan(MODELS["coding"], model_type="planning")
    promoted = promote(together, steps=(50, 100), interval=timedelta(minutes=5))
    assert (promoted.percent, promoted.old.state) == (100, "DELETED")
    assert [one["name"].split("/")[1] for one in together.deployments()] == ["planning"]
    assert Replacements(together.store).going("planning") is None
    with pytest.raises(NotFoundError, match="no canary"):
        promote(together)
    assert ledger_is_the_meter(together)


def test_steps_take_their_time_and_are_read_back(together: Service) -> None:
    together.deploy()
    began = together.client.now()
    replace(together, steps=(10, 50, 100), interval=timedelta(minutes=20))
    splits = [
        [one["weight"] for one in sent["body"]["trafficSplit"]]
        for sent in together.journal("PATCH")
        if "trafficSplit" in sent["body"]
    ]
    assert splits[-4:] == [[1.0, 0], [0.9, 0.1], [0.5, 0.5], [1.0]]
    assert together.client.now() - began >= timedelta(minutes=40)


def test_others_on_the_endpoint_keep_their_share(together: Service) -> None:
    old = together.deploy().record
    (made,) = together.deployments()
    body = {"name": "theirs", "config": made["config"], "model": made["model"]}
    body |= {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}}
    theirs = together.ask("POST", f"{PROJECT}/endpoints/{old.endpoint_id}/deployments", body)
    split = [{"deploymentId": made["id"], "weight": 3}, {"deploymentId": theirs["id"], "weight": 1}]
    path = f"{PROJECT}/endpoints/{old.endpoint_id}"
    together.ask("PATCH", path, {"trafficSplit": split}, updateMask="trafficSplit")
    done = replace(together)
    (endpoint,) = together.endpoints()
    assert {one["deploymentId"]: one["weight"] for one in endpoint["trafficSplit"]} == {
        theirs["id"]: 1,
        done.record.deployment_id: 3,
    }


def test_one_that_breaks_on_the_way_gives_its_traffic_back(together: Service) -> None:
    old = together.deploy().record
    plan = together.plan(NEXT, model_type="planning")
    wait = together.wait()

    def sleep(seconds: float) -> None:
        wait.sleep(seconds)
        for one in together.deployments():
            if one["id"] != old.deployment_id and len(together.endpoints()[0]["trafficSplit"]) == 2:
                together.ask("POST", f"/_sandbox/deployments/{one['id']}/fail", {"message": "out of memory"})

    watched = type(wait)(wait.poll_seconds, wait.timeout, sleep, wait.notify)
    with pytest.raises(RemoteError, match=f"its traffic is back with `{old.model_name}`"):
        run_replace(together.client, together.store, plan, Shift((10, 100), timedelta(minutes=5)), watched)
    assert shares(together) == {old.model_id: 1}
    rollback(together)
    assert [one["id"] for one in together.deployments()] == [old.deployment_id]


def test_one_that_never_answers_takes_nothing(together: Service) -> None:
    old = together.deploy().record
    together.fault("/v1/chat/completions", status=503)
    with pytest.raises(RemoteError, match="does not answer"):
        replace(together)
    assert shares(together) == {old.model_id: 1, together.plan(NEXT, model_type="planning").model.id: 0}
    assert serving(together).key == old.key
    together.clear_faults()
    assert replace(together).percent == 100


def test_a_refused_new_one_leaves_the_old_one_alone(together: Service) -> None:
    old = together.deploy().record
    together.behave(quota_replicas=1)
    with pytest.raises(LimitError):
        replace(together)
    assert [one["id"] for one in together.deployments()] == [old.deployment_id]
    assert [one.key for one in Deployments(together.store).live()] == [old.key]


def test_both_have_to_be_paid_for(together: Service) -> None:
    together.deploy()
    with pytest.raises(LimitError, match=r"\$5.49 runs already"):
        together.plan(NEXT, model_type="planning", limits=Limits(Decimal(8), None, Decimal(1)))


def test_rollback_from_a_canary_leaves_the_old_one_alone_again(together: Service) -> None:
    old = together.deploy().record
    replace(together, steps=(10,))
    assert isinstance(plan_rollback(together.client, together.store, NO_LIMITS, "planning"), Return)
    rollback(together)
    assert shares(together) == {old.model_id: 1}
    assert [one["id"] for one in together.deployments()] == [old.deployment_id]
    assert serving(together).key == old.key
    assert replace(together).percent == 100, "and it can be tried again"


@pytest.mark.parametrize("keep_old", [True, False], ids=["kept", "deleted"])
def test_rollback_goes_back_to_the_former_one(together: Service, keep_old: bool) -> None:
    old = together.deploy().record
    new = replace(together, keep_old=keep_old).record
    assert (len(together.deployments()), serving(together).key) == (1 + keep_old, new.key)
    rollback(together)
    now = serving(together)
    assert (now.model_name, now.key == old.key) == (old.model_name, keep_old)
    assert shares(together) == {old.model_id: 1}
    assert len(together.deployments()) == 1
    assert ledger_is_the_meter(together)
    rollback(together)
    assert serving(together).model_name == NEXT, "and forth"


def test_nothing_replaced_nothing_to_go_back_to(together: Service) -> None:
    together.deploy()
    with pytest.raises(NotFoundError, match="no former model"):
        plan_rollback(together.client, together.store, NO_LIMITS, "planning")


def test_undeploy_with_a_canary_leaves_nothing(together: Service) -> None:
    together.deploy()
    replace(together, steps=(10,))
    together.stop()
    assert together.endpoints() == []
    assert Deployments(together.store).live() == []
    assert ledger_is_the_meter(together)


@pytest.mark.parametrize("steps", [(), (0, 10), (50, 10), (10, 10), (101,)])
def test_steps_that_make_no_sense_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        Shift(steps)
