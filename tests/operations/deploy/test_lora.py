"""Adapters attached to a deployment of their base model: brought up, shared, replaced, taken back and ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.deploy.apply import Deployed, run_deploy
from reasoning_cli.operations.deploy.lora import (
    AttachPlan,
    ServingChoiceError,
    plan_serving,
    plan_start,
    run_attach,
    spellings,
)
from reasoning_cli.operations.deploy.plan import Action, DeployPlan
from reasoning_cli.operations.deploy.rollout import Return, plan_rollback
from reasoning_cli.operations.deploy.status import model_statuses, refresh
from reasoning_cli.operations.deploy.teardown import plan_stop, plan_stop_all
from reasoning_cli.operations.guard.loop import Guard
from reasoning_cli.operations.guard.policy import Rules
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from tests.engines.together.service import MODELS, NO_LIMITS, PROJECT, Service, service

BASE = "Qwen/Qwen3-8B"
CHAT = "/v1/chat/completions"


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def tuned(together: Service, suffix: str = "planner", base: str = BASE, **members: object) -> str:
    """A completed job that left merged weights and an adapter."""
    return str(together.ask("POST", "/_sandbox/fine-tunes", {"model": base, "suffix": suffix, **members})["id"])


def planned(together: Service, job: str, model_type: str = "planning", **members: Any) -> AttachPlan:
    members.setdefault("merged", False)
    request = together.request(job, model_type=model_type, **members)
    plan = plan_serving(together.client, together.store, NO_LIMITS, request)
    assert isinstance(plan, AttachPlan)
    return plan


def attach(together: Service, job: str, model_type: str = "planning", **members: Any) -> Deployed:
    plan = planned(together, job, model_type, **members)
    return run_attach(together.client, together.store, plan, wait=together.wait())


def attached(together: Service) -> list[str]:
    """The models of every adapter at Together, by name."""
    names = {one["id"]: one["name"] for one in together.ask("GET", f"{PROJECT}/models", limit=100)["data"]}
    return [
        names[one["adapterModelId"]]
        for made in together.deployments()
        for one in together.ask("GET", f"{PROJECT}/endpoints/{made['endpointId']}/deployments/{made['id']}/adapters")[
            "data"
        ]
    ]


def serving(together: Service, model_type: str = "planning") -> DeploymentRecord | None:
    key = Deployments(together.store).serving(model_type)
    return Deployments(together.store).get(key) if key else None


def assert_billed_once(together: Service) -> None:
    """The ledger and the meter agree to the cent, and the hour was paid for once."""
    together.advance(3600)
    refresh(together.client, together.store)
    exact, known = together.metered(), together.usage()
    assert exact.keys() == known.keys()
    for key, cents in exact.items():
        assert known[key].low_cents <= cents <= known[key].high_cents
        assert abs(known[key].cents - cents) < Decimal("0.01")


def test_an_adapter_brings_its_base_up_and_serves_under_its_own_name(together: Service) -> None:
    job = tuned(together)
    plan = planned(together, job)
    assert (plan.action, plan.base.action, plan.added_cents_per_hour) == (Action.CREATE, Action.CREATE, 549)
    assert (plan.base.model.name, plan.endpoint_name, plan.base.choice.hardware.takes_adapters) == (
        BASE,
        "qwen3-8b",
        True,
    )
    assert together.creations() == [], "a plan makes nothing"
    done = attach(together, job)
    rider = done.record
    assert (rider.model_name, rider.state, rider.model_type) == ("sandbox/planner-adapter", "READY", "planning")
    assert rider.serving_name == "sandbox/qwen3-8b:sandbox/planner-adapter"
    assert done.answered_in is not None and serving(together) == rider
    assert attached(together) == ["sandbox/planner-adapter"]
    asked = [one["body"]["model"] for one in together.journal("POST") if one["path"] == CHAT]
    assert asked == [rider.serving_name], "the adapter was asked, and not its base"
    (made,), (endpoint,) = together.deployments(), together.endpoints()
    assert endpoint["trafficSplit"] == [{"deploymentId": made["id"], "weight": 1}]
    (base,) = Deployments(together.store).live()
    assert (base.model_name, base.model_type, base.key) == (BASE, "planning", rider.rides_on)
    assert_billed_once(together)


def test_the_second_adapter_costs_nothing_more(together: Service) -> None:
    attach(together, tuned(together))
    plan = planned(together, tuned(together, "coder"), "coding")
    assert (plan.base.action, plan.added_cents_per_hour, plan.action) == (Action.NOTHING, 0, Action.CREATE)
    done = run_attach(together.client, together.store, plan, wait=together.wait())
    assert done.record.serving_name == "sandbox/qwen3-8b:sandbox/coder-adapter"
    assert sorted(attached(together)) == ["sandbox/coder-adapter", "sandbox/planner-adapter"]
    assert len(together.deployments()) == len(Deployments(together.store).live()) == 1
    enabled = dict.fromkeys(MODELS, True)
    lines = model_statuses(together.store, MODELS, enabled, together.client.now())
    assert [(one.name, one.model_name, one.burn_cents_per_hour) for one in lines if one.record] == [
        ("planning", "sandbox/planner-adapter", 0),
        ("coding", "sandbox/coder-adapter", 0),
        ("qwen3-8b", BASE, 549),
    ]
    assert_billed_once(together)


def test_a_deployment_of_the_base_that_serves_itself_carries_adapters_too(together: Service) -> None:
    base = together.deploy(BASE, model_type="coding").record
    plan = planned(together, tuned(together))
    assert (plan.endpoint_name, plan.added_cents_per_hour) == ("coding", 0)
    rider = run_attach(together.client, together.store, plan, wait=together.wait()).record
    stop = plan_stop(together.store, "planning", keep=False)
    assert (stop.base, stop.stays_for, stop.saves_cents_per_hour) == (None, ("coding",), 0)
    together.stop("planning")
    assert attached(together) == [] and serving(together) is None
    assert serving(together, "coding") is not None and Deployments(together.store).live()[0].key == base.key
    assert Deployments(together.store).get(rider.key).state == "DELETED"  # type: ignore[union-attr]


def test_nobody_is_guessed_merged_or_attached(together: Service) -> None:
    job = tuned(together)
    with pytest.raises(ServingChoiceError) as asked:
        planned(together, job, merged=None)
    assert [(choice.merged, choice.added_cents_per_hour, choice.on) for choice in asked.value.choices] == [
        (True, 549, None),
        (False, 549, None),
    ]
    assert asked.value.hint is not None and {"`--merged`", "`--adapter`"} <= set(asked.value.hint.split())
    attach(together, job)
    assert planned(together, job, merged=None).action is Action.NOTHING, "what was chosen once goes on"
    with pytest.raises(ServingChoiceError) as again:
        planned(together, tuned(together, "coder"), "coding", merged=None)
    assert [(choice.added_cents_per_hour, choice.on) for choice in again.value.choices] == [
        (549, None),
        (0, "qwen3-8b"),
    ]
    name = "sandbox/coder-adapter"
    with pytest.raises(ServingChoiceError):
        planned(together, name, "coding", merged=None)
    alone = plan_serving(
        together.client, together.store, NO_LIMITS, together.request(name, model_type="coding", merged=True)
    )
    assert isinstance(alone, DeployPlan) and alone.model.name == name, "Together merges it when it starts"
    with pytest.raises(UsageError, match="which decisions"):
        plan_serving(together.client, together.store, NO_LIMITS, together.request(job))


def test_where_no_config_takes_adapters_there_is_one_way(together: Service) -> None:
    job = tuned(together, "large", MODELS["coding"])
    plan = plan_serving(together.client, together.store, NO_LIMITS, together.request(job, model_type="coding"))
    assert isinstance(plan, DeployPlan) and plan.model.name == "sandbox/large"
    with pytest.raises(NotFoundError, match="none of its configs takes one") as refused:
        planned(together, job, "coding")
    assert refused.value.hint is not None and "--merged" in refused.value.hint
    with pytest.raises(NotFoundError, match="not an adapter"):
        planned(together, MODELS["coding"], "coding")


def test_the_budget_is_asked_first(together: Service) -> None:
    limits = Limits(Decimal(1), None, Decimal(1))
    request = together.request(tuned(together), model_type="planning", merged=False)
    with pytest.raises(LimitError):
        plan_serving(together.client, together.store, limits, request)
    assert together.deployments() == []


def test_undeploy_detaches_and_ends_the_base_with_its_last_rider(together: Service) -> None:
    attach(together, tuned(together))
    attach(together, tuned(together, "coder"), "coding")
    first = plan_stop(together.store, "planning", keep=False)
    assert (first.base, first.stays_for, first.saves_cents_per_hour) == (None, ("sandbox/coder-adapter",), 0)
    together.stop("planning")
    assert attached(together) == ["sandbox/coder-adapter"]
    (base,) = Deployments(together.store).live()
    assert base.model_type == "coding", "who is left has the bill"
    last = plan_stop(together.store, "coding", keep=False)
    assert (last.base, last.saves_cents_per_hour) == (base, 549)
    together.forget_journal()
    together.stop("coding")
    written = [(one["method"], one["path"].split("/")[-2]) for one in together.journal() if one["method"] != "GET"]
    assert written[0] == ("DELETE", "adapters"), "detached first"
    assert together.endpoints() == [] and Deployments(together.store).riders() == []
    assert serving(together, "coding") is None
    assert_billed_once(together)


def test_what_carries_adapters_is_undeployed_with_them(together: Service) -> None:
    attach(together, tuned(together))
    attach(together, tuned(together, "coder"), "coding")
    plan = plan_stop(together.store, "qwen3-8b", keep=False)
    assert (plan.record.model_name, [one.model_name for one in plan.riders]) == (
        BASE,
        ["sandbox/planner-adapter", "sandbox/coder-adapter"],
    )
    assert [(one.record.model_name, len(one.riders)) for one in plan_stop_all(together.store, keep=False)] == [
        (BASE, 2)
    ]
    together.stop("qwen3-8b")
    assert together.endpoints() == [] and Deployments(together.store).riders() == []
    assert serving(together) is None and serving(together, "coding") is None


def test_an_adapter_is_stopped_and_started_with_what_it_rides_on(together: Service) -> None:
    attach(together, tuned(together))
    assert together.stop("planning", keep=True).record.model_name == BASE
    assert (serving(together) or pytest.fail()).state == "STOPPED"
    plan = plan_start(together.client, together.store, NO_LIMITS, "planning")
    assert isinstance(plan, AttachPlan)
    assert (plan.action, plan.added_cents_per_hour) == (Action.RESTART, 549)
    assert run_attach(together.client, together.store, plan, wait=together.wait()).record.state == "READY"
    attach(together, tuned(together, "coder"), "coding")
    with pytest.raises(ReasoningError, match=r"rides on `qwen3-8b` with sandbox/coder-adapter") as refused:
        plan_stop(together.store, "planning", keep=True)
    assert refused.value.hint is not None and "reasoning models stop qwen3-8b" in refused.value.hint


def test_an_adapter_takes_over_from_an_adapter_and_gives_back(together: Service) -> None:
    first = attach(together, tuned(together)).record
    plan = planned(together, tuned(together, "better"))
    assert plan.replaces is not None and plan.replaces.key == first.key
    second = run_attach(together.client, together.store, plan, wait=together.wait()).record
    assert attached(together) == ["sandbox/better-adapter"] and serving(together) == second
    back = plan_rollback(together.client, together.store, NO_LIMITS, "planning")
    assert isinstance(back, AttachPlan) and (back.model.name, back.added_cents_per_hour) == (first.model_name, 0)
    run_attach(together.client, together.store, back, wait=together.wait())
    assert attached(together) == ["sandbox/planner-adapter"]
    assert len(together.deployments()) == 1
    assert_billed_once(together)


def test_an_adapter_takes_over_from_a_deployment_and_gives_back(together: Service) -> None:
    old = together.deploy("planning").record
    attach(together, tuned(together))
    (made,) = together.deployments()
    assert made["name"].startswith("sandbox/qwen3-8b/"), "the old one is gone"
    back = plan_rollback(together.client, together.store, NO_LIMITS, "planning")
    assert isinstance(back, DeployPlan) and back.retires is not None
    assert (back.model.name, back.endpoint_name) == (old.model_name, "planning")
    run_deploy(together.client, together.store, back, wait=together.wait())
    (made,) = together.deployments()
    assert made["name"].startswith("sandbox/planning/") and Deployments(together.store).riders() == []
    again = plan_rollback(together.client, together.store, NO_LIMITS, "planning")
    assert not isinstance(again, Return) and again.model.name == "sandbox/planner-adapter"
    assert_billed_once(together)


def test_a_new_model_that_does_not_answer_leaves_the_adapter_in_its_place(together: Service) -> None:
    first = attach(together, tuned(together)).record
    together.behave(flap_calls=1000)
    with pytest.raises(RemoteError, match="does not answer"):
        together.deploy("planning")
    assert (serving(together) or pytest.fail()).key == first.key
    together.fault(CHAT, status=404, times=3)
    together.behave(flap_calls=0)
    with pytest.raises(RemoteError, match="under none of these names"):
        attach(together, tuned(together, "better"))
    assert (serving(together) or pytest.fail()).key == first.key


def test_what_others_ride_on_is_not_replaced(together: Service) -> None:
    together.deploy(BASE, model_type="coding")
    attach(together, tuned(together))
    with pytest.raises(ReasoningError, match="rides on the deployment that") as refused:
        together.plan("coding")
    assert refused.value.hint is not None and "undeploy planner-adapter" in refused.value.hint


def test_a_refusal_leaves_nothing_behind(together: Service) -> None:
    together.fault(r"/adapters$", status=400, method="POST", body={"error": {"message": "not from this service"}})
    with pytest.raises(ReasoningError, match="not from this service") as refused:
        attach(together, tuned(together))
    assert refused.value.hint is not None and "--merged" in refused.value.hint
    assert together.endpoints() == [] and Deployments(together.store).live() == []
    assert Deployments(together.store).riders() == [] and serving(together) is None
    assert all(not cents for cents in together.metered().values()), "it was refused before anything was ready"


def test_one_that_cannot_be_loaded_says_so_and_what_is_billed(together: Service) -> None:
    load = {"state": "ADAPTER_LOAD_STATE_FAILED", "message": "rank too high"}
    body = {"id": "dad_1", "adapterModelId": "ml_1", "etag": "1", "perCluster": [load]}
    together.fault(r"/adapters/dad_", status=200, method="GET", body=body)
    with pytest.raises(RemoteError, match="`planner-adapter` is FAILED: rank too high") as failed:
        attach(together, tuned(together))
    assert failed.value.hint is not None and failed.value.hint.startswith("what it rides on is billed")
    assert "undeploy planner-adapter" in failed.value.hint
    together.clear_faults()
    together.fault(r"/adapters/dad_", status=200, method="GET", body=body | {"perCluster": []})
    with pytest.raises(RemoteError, match="still PENDING after 30 minutes; what it rides on goes on"):
        attach(together, tuned_id(together))
    together.clear_faults()
    together.stop("planner-adapter")
    assert together.endpoints() == []


def test_a_lost_answer_attaches_nothing_twice(together: Service) -> None:
    together.fault(r"/adapters$", cut="after_action", method="POST", times=1)
    assert attach(together, tuned(together)).record.adapter_id is not None
    assert attached(together) == ["sandbox/planner-adapter"]


def test_the_name_that_answers_is_kept(together: Service) -> None:
    together.fault(CHAT, status=404, times=1)
    rider = attach(together, tuned(together)).record
    assert rider.serving_name == spellings("sandbox/qwen3-8b", "sandbox/planner-adapter")[1]
    assert attach(together, tuned_id(together)).record.serving_name == rider.serving_name


def tuned_id(together: Service) -> str:
    return str(together.ask("GET", "/v1/fine-tunes")["data"][0]["id"])


def test_one_adapter_answers_one_model_type(together: Service) -> None:
    job = tuned(together)
    attach(together, job)
    with pytest.raises(ReasoningError, match="answers planning decisions"):
        planned(together, job, "coding")
    with pytest.raises(ReasoningError, match="rides on `qwen3-8b` already"):
        planned(together, job, endpoint="another")


def test_an_adapter_that_vanished_is_closed(together: Service) -> None:
    rider = attach(together, tuned(together)).record
    (base,) = Deployments(together.store).live()
    path = f"{PROJECT}/endpoints/{base.endpoint_id}/deployments/{base.deployment_id}/adapters/{rider.adapter_id}"
    together.ask("DELETE", path, etag=together.ask("GET", path)["etag"])
    refresh(together.client, together.store)
    assert Deployments(together.store).riders() == [] and serving(together) is None
    assert attach(together, tuned_id(together)).record.key != rider.key
    together.ask("DELETE", f"/_sandbox/endpoints/{base.endpoint_id}")
    refresh(together.client, together.store)
    assert Deployments(together.store).riders() == Deployments(together.store).live() == []


def test_the_guard_stops_what_nobody_asks_and_the_adapters_with_it(together: Service) -> None:
    attach(together, tuned(together))
    coder = attach(together, tuned(together, "coder"), "coding").record
    guard, rules = Guard(together.store), Rules(NO_LIMITS, {}, 10, {}, timedelta(minutes=1))

    def rounds(*, asked: bool) -> list[str]:
        done, problems = [], []
        for _ in range(15):
            together.advance(60)
            if asked:
                together.client.chat(coder.serving_name or "", [{"role": "user", "content": "hello"}], max_tokens=1)
            seen = guard.look(together.client, rules)
            done += [one.record.endpoint_name for one in seen.done]
            problems += seen.problems
        assert problems == []
        return done

    assert rounds(asked=True) == [], "one adapter in use keeps the deployment of both"
    assert set(rounds(asked=False)) == {"qwen3-8b"}
    assert {one.state for one in Deployments(together.store).riders()} == {"STOPPED"}
    assert_billed_once(together)


def test_without_waiting_it_is_on_its_way(together: Service) -> None:
    job = tuned(together)
    done = run_attach(together.client, together.store, planned(together, job), wait=None)
    assert (done.answered_in, done.record.state) == (None, "PROVISIONING")
    assert planned(together, job).action is Action.CONTINUE
    assert attach(together, job).record.state == "READY"
    assert [one.action for one in Events(together.store).list()].count("attach") == 1
