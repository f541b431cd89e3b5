"""Deploying: one endpoint, one deployment, however often and wherever it is interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.engines.errors import QuotaError, RequestRefusedError
from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.deploy.apply import run_deploy
from reasoning_cli.operations.deploy.plan import Action
from reasoning_cli.operations.deploy.wait import TRIES_TO_ANSWER, TRIES_TO_REACH, Waiting
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import CREATING, DELETED, Deployments
from tests.engines.together.service import DEPLOYMENTS, ENDPOINTS, MODELS, PROJECT, SOLD_OUT, Service, service

NO_CONFIG, NO_WEIGHTS, LARGE_ONLY = "sandbox/no-config-27b", "sandbox/no-weights-8b", "sandbox/large-only-120b"


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def test_a_deploy_ends_ready_routed_answering_and_on_record(together: Service) -> None:
    done = together.deploy(idle_minutes=45)
    (endpoint,), (made,) = together.endpoints(), together.deployments()
    assert done.answered_in is not None and done.answered_in > timedelta()
    assert made["status"]["state"] == "DEPLOYMENT_STATE_READY"
    assert made["inactiveTimeout"] == 45
    assert made["hardware"] == "1xnvidia-h100-80gb", "cheapest with room: the A100 is sold out"
    assert endpoint["trafficSplit"] == [{"deploymentId": made["id"], "weight": 1}]
    record = Deployments(together.store).get(done.record.key)
    assert record == done.record
    assert (record.state, record.ready_replicas, record.deployment_id) == ("READY", 1, made["id"])
    assert (record.serving_name, record.price_cents_per_hour) == ("sandbox/planning", 549)
    (slot,) = Deployments(together.store).slots()
    assert (slot.model_type, slot.deployment_key) == ("planning", record.key)
    chats = [one for one in together.journal() if one["path"] == "/v1/chat/completions"]
    assert [(one["body"]["model"], one["body"]["max_tokens"]) for one in chats] == [("sandbox/planning", 1)]
    assert [(event.actor, event.action) for event in Events(together.store).list()] == [
        ("operator", "deploy"),
        ("together", "provisioning"),
        ("together", "scaling"),
        ("together", "ready"),
    ]
    assert together.creations() == ["endpoints", "deployments"]


def test_progress_is_told_by_the_services_clock(together: Service) -> None:
    together.deploy()
    states = list(dict.fromkeys(one.state for one in together.told))
    assert states == ["PROVISIONING", "SCALING", "READY"]
    assert together.told[-1].elapsed == timedelta(seconds=300)


def test_a_plan_makes_nothing(together: Service) -> None:
    plan = together.plan()
    assert plan.action is Action.CREATE
    assert (plan.max_cents_per_hour, plan.added_cents_per_hour) == (549, 549)
    assert {one["method"] for one in together.journal()} == {"GET"}
    assert Deployments(together.store).all() == []


def test_the_same_again_is_nothing(together: Service) -> None:
    first = together.deploy().record
    together.forget_journal()
    plan = together.plan()
    assert (plan.action, plan.added_cents_per_hour) == (Action.NOTHING, 0)
    again = run_deploy(together.client, together.store, plan, wait=together.wait())
    assert again.record.key == first.key
    assert together.creations() == []
    assert together.journal("PATCH") == []


def test_the_same_again_needs_no_room_that_it_took_itself(together: Service) -> None:
    together.deploy()
    together.sell(regions=SOLD_OUT)
    assert together.plan().action is Action.NOTHING
    together.stop(keep=True)
    with pytest.raises(LimitError, match="free"):
        together.plan()


def test_more_replicas_are_a_change_that_costs(together: Service) -> None:
    together.deploy()
    plan = together.plan(max_replicas=4)
    assert (plan.action, plan.added_cents_per_hour) == (Action.SCALE, 3 * 549)
    with pytest.raises(LimitError):
        together.plan(max_replicas=4, limits=Limits(None, Decimal(20), Decimal(1)))
    record = run_deploy(together.client, together.store, plan, wait=together.wait()).record
    assert (record.min_replicas, record.max_replicas) == (1, 4)
    assert together.plan().action is Action.NOTHING, "what is not asked for stays"


@pytest.mark.parametrize("low, high", [(0, None), (-1, None), (None, 0), (2, 1), (0, 0), (None, -3)])
def test_replicas_that_make_no_sense_are_refused_at_once(together: Service, low: int | None, high: int | None) -> None:
    with pytest.raises(UsageError, match="replicas"):
        together.plan(min_replicas=low, max_replicas=high)
    assert together.journal() == []


def test_replica_bounds_arrive(together: Service) -> None:
    together.deploy(min_replicas=2, max_replicas=3)
    (made,) = together.deployments()
    assert (made["autoscaling"]["minReplicas"], made["autoscaling"]["maxReplicas"]) == (2, 3)
    assert "inactiveTimeout" not in together.journal("POST")[-2].get("body", {}), "0 = never is not sent"


def test_two_model_types_in_one_breath_are_refused(together: Service) -> None:
    with pytest.raises(UsageError):
        together.plan("planning", model_type="coding")


def test_a_model_by_name_needs_to_know_its_decisions(together: Service) -> None:
    assert together.plan(MODELS["coding"]).model_type == "coding"
    assert together.plan(LARGE_ONLY, model_type="coding").model.name == LARGE_ONLY
    with pytest.raises(UsageError, match="which decisions"):
        together.plan(LARGE_ONLY)


# --- interrupted ---


class KilledError(BaseException):
    """Stands for kill -9: nothing gets to run after it."""


@pytest.mark.parametrize("method", ["POST", "PATCH", "GET"])
@pytest.mark.parametrize("number", range(12))
def test_killed_after_any_request_the_next_run_finishes(
    together: Service, monkeypatch: pytest.MonkeyPatch, method: str, number: int
) -> None:
    """The process ends right after its nth request of a kind was acted upon, before it can write anything down."""
    plan = together.plan()
    original, seen = together.client._connection.request, 0

    def request(verb: str, *args: Any, **named: Any) -> Any:
        nonlocal seen
        answer = original(verb, *args, **named)
        if verb == method:
            seen += 1
            if seen == number + 1:
                raise KilledError
        return answer

    monkeypatch.setattr(together.client._connection, "request", request)
    with contextlib.suppress(KilledError):
        run_deploy(together.client, together.store, plan, wait=together.wait())
    monkeypatch.setattr(together.client._connection, "request", original)
    done = together.deploy()
    assert (done.record.state, len(together.endpoints()), len(together.deployments())) == ("READY", 1, 1)
    assert together.creations().count("endpoints") == together.creations().count("deployments") == 1
    assert len(Deployments(together.store).all()) == 1
    together.stop()
    (usage,), (exact,) = together.usage().values(), together.metered().values()
    assert usage.low_cents == usage.high_cents
    assert abs(usage.low_cents - exact) < Decimal("1e-9")


@pytest.mark.parametrize("cut", ["after_action", "before", "mid_body"])
@pytest.mark.parametrize("path", [ENDPOINTS, DEPLOYMENTS])
def test_a_lost_answer_never_makes_a_second_one(together: Service, path: str, cut: str) -> None:
    if path == DEPLOYMENTS:
        together.fault(path, method="POST", status=200, body={}, times=1)  # the check
    together.fault(path, method="POST", cut=cut, times=1)
    if cut == "before":
        with pytest.raises(RemoteError):
            together.deploy()
    together.deploy()
    assert (len(together.endpoints()), len(together.deployments())) == (1, 1)
    assert len(Deployments(together.store).all()) == 1


def test_without_waiting_it_is_on_its_way_and_in_its_slot(together: Service) -> None:
    done = run_deploy(together.client, together.store, together.plan(), wait=None)
    assert done.answered_in is None
    assert (done.record.state, together.slept) == ("PROVISIONING", [])
    (slot,) = Deployments(together.store).slots()
    assert slot.deployment_key == done.record.key
    assert together.plan().action is Action.CONTINUE
    assert together.deploy().record.state == "READY"


# --- what can go wrong ---


def test_never_ready_ends_with_a_warning_about_money(together: Service) -> None:
    together.behave(never_ready=True)
    with pytest.raises(RemoteError, match=r"still SCALING after 30 minutes; .*\$5\.49 an hour") as caught:
        together.deploy()
    assert caught.value.hint is not None and "undeploy planning" in caught.value.hint
    together.behave(never_ready=False)
    assert together.deploy().record.state == "READY"


def test_a_failed_start_says_why_and_how_to_clear_it_away(together: Service) -> None:
    together.behave(fail_start=True)
    with pytest.raises(RemoteError, match="FAILED: the replicas failed to start"):
        together.deploy()
    with pytest.raises(ReasoningError, match="FAILED") as caught:
        together.plan()
    assert caught.value.hint is not None and "undeploy planning" in caught.value.hint
    together.stop()
    together.behave(fail_start=False)
    assert together.deploy().record.state == "READY"


@pytest.mark.parametrize(
    ("target", "error"), [("planning", QuotaError), (NO_WEIGHTS, RequestRefusedError)], ids=["quota", "no weights"]
)
def test_a_refused_deployment_leaves_nothing(together: Service, target: str, error: type[ReasoningError]) -> None:
    together.behave(quota_replicas=0)
    with pytest.raises(error) as caught:
        together.deploy(target, model_type=None if target == "planning" else "planning")
    assert caught.value.exit_code == (6 if error is QuotaError else 1)
    assert together.endpoints() == []
    (record,) = Deployments(together.store).all()
    assert (record.state, record.deleted_at is not None) == (DELETED, True)
    assert record.last_error == caught.value.message


def test_a_refused_endpoint_leaves_nothing(together: Service) -> None:
    with pytest.raises(RequestRefusedError, match="name"):
        together.deploy(endpoint="Not A Name")
    assert Deployments(together.store).live() == []
    assert together.plan().standing.burn_cents_per_hour == 0


def test_the_refusal_is_told_even_when_taking_back_fails(together: Service) -> None:
    together.behave(quota_replicas=0)
    together.fault(r"/endpoints/ep_", method="DELETE", status=503)
    with pytest.raises(QuotaError):
        together.deploy()
    (record,) = Deployments(together.store).live()
    assert record.state == CREATING, "what is left stays on record"
    together.clear_faults()
    together.stop()
    assert together.endpoints() == []


def test_a_model_without_config_makes_nothing(together: Service) -> None:
    with pytest.raises(NotFoundError, match="no config"):
        together.plan(NO_CONFIG, model_type="planning")
    assert together.creations() == []


def test_no_room_anywhere_makes_nothing(together: Service) -> None:
    together.sell(regions=SOLD_OUT)
    with pytest.raises(LimitError, match="is free"):
        together.plan()
    assert together.creations() == []


def test_somebody_elses_endpoint_is_left_alone(together: Service) -> None:
    together.ask("POST", f"{PROJECT}/endpoints", {"name": "planning"})
    with pytest.raises(ReasoningError, match="not made from here") as caught:
        together.plan()
    assert caught.value.hint is not None and "--endpoint planning-2" in caught.value.hint
    assert together.deploy(endpoint="planning-2").record.serving_name == "sandbox/planning-2"


def test_hardware_and_config_can_be_chosen(together: Service) -> None:
    plan = together.plan(hardware="2xnvidia-h100-80gb")
    assert (plan.choice.hardware.name, plan.max_cents_per_hour) == ("2xnvidia-h100-80gb", 1098)
    by_id = together.plan(config=plan.choice.hardware.config_id)
    assert by_id.choice.hardware == plan.choice.hardware
    with pytest.raises(NotFoundError, match="8xnvidia"):
        together.plan(hardware="8xnvidia-h100-80gb")
    with pytest.raises(LimitError, match="a100"):
        together.plan(hardware="1xnvidia-a100-80gb")
    run_deploy(together.client, together.store, plan, wait=together.wait())
    assert together.plan().choice.hardware == plan.choice.hardware, "what runs stays on its hardware"
    with pytest.raises(ReasoningError, match="fixed for life"):
        together.plan(hardware="1xnvidia-h100-80gb")


def test_another_model_for_the_same_decisions_replaces_the_one_that_serves(together: Service) -> None:
    first = together.deploy().record
    plan = together.plan(MODELS["should_respond"], model_type="planning")
    assert (plan.action, plan.replaces, plan.added_cents_per_hour) == (Action.CREATE, first, 549)
    with pytest.raises(ReasoningError, match="answers planning decisions"):
        together.plan(MODELS["coding"], endpoint="planning")


def test_what_stopped_when_idle_is_started_again(together: Service) -> None:
    first = together.deploy(idle_minutes=30).record
    together.advance(3 * 3600)
    plan = together.plan(idle_minutes=30)
    assert (plan.action, plan.added_cents_per_hour) == (Action.RESTART, 549)
    again = run_deploy(together.client, together.store, plan, wait=together.wait()).record
    assert (again.key, again.state) == (first.key, "READY")
    assert together.creations().count("deployments") == 1


def test_a_restart_is_paid_for_by_the_budget(together: Service) -> None:
    together.deploy()
    together.stop(keep=True)
    with pytest.raises(LimitError):
        together.plan(limits=Limits(Decimal(1), None, Decimal(1)))


def test_what_is_still_stopping_is_waited_for(together: Service) -> None:
    together.deploy()
    together.scale(0, 0)
    plan = together.plan()
    assert plan.action is Action.RESTART
    with pytest.raises(ReasoningError, match="still stopping"):
        run_deploy(together.client, together.store, plan, wait=None)
    assert run_deploy(together.client, together.store, plan, wait=together.wait()).record.state == "READY"


def test_a_deployment_deleted_behind_our_back_is_made_anew_on_its_endpoint(together: Service) -> None:
    old = together.deploy().record
    together.scale(0, 0)
    together.advance(60)
    endpoint = f"{PROJECT}/endpoints/{old.endpoint_id}"
    together.ask("PATCH", endpoint, {"trafficSplit": []}, updateMask="trafficSplit")
    together.ask("DELETE", f"{endpoint}/deployments/{old.deployment_id}")
    new = together.deploy().record
    assert new.key != old.key
    assert new.endpoint_id == old.endpoint_id
    assert len(together.endpoints()) == len(together.deployments()) == 1


def test_the_network_lost_while_waiting_is_told_with_the_price(together: Service) -> None:
    wait = together.wait()

    def sleep(seconds: float) -> None:
        together.server.close()

    with pytest.raises(RemoteError, match=r"lost Together while waiting: .*\$5\.49 an hour") as caught:
        run_deploy(
            together.client, together.store, together.plan(), wait=Waiting(wait.poll_seconds, wait.timeout, sleep)
        )
    assert caught.value.hint is not None and "undeploy planning" in caught.value.hint


def test_trouble_that_passes_while_waiting_is_waited_out(together: Service) -> None:
    plan = together.plan()
    together.fault(r"/deployments/dep_[^/]+$", method="GET", status=503, times=4)
    with pytest.raises(RemoteError, match=r"may have been made, and then costs up to \$5\.49 an hour"):
        run_deploy(together.client, together.store, plan, wait=together.wait())  # the first look belongs to making it
    made = together.plan()
    assert made.action is Action.CONTINUE
    together.fault(r"/deployments/dep_[^/]+$", method="GET", status=200, body=together.deployments()[0], times=2)
    together.fault(r"/deployments/dep_[^/]+$", method="GET", status=503, times=4 * (TRIES_TO_REACH - 1))
    assert run_deploy(together.client, together.store, made, wait=together.wait()).record.state == "READY"


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 400, "body": {"error": {"message": "no", "code": "dedicated_endpoint_not_running"}}},
        {"status": 503},
        {"cut": "before"},
    ],
    ids=["not running", "busy", "cut"],
)
def test_flapping_after_ready_is_waited_out_within_bounds(together: Service, trouble: dict[str, object]) -> None:
    together.fault("/v1/chat/completions", times=3, **trouble)
    assert together.deploy().answered_in is not None
    together.fault("/v1/chat/completions", **trouble)
    with pytest.raises(RemoteError, match="READY, and billed, but does not answer"):
        together.deploy()
    chats = [one for one in together.journal() if one["path"] == "/v1/chat/completions"]
    assert len(chats) == 4 + TRIES_TO_ANSWER


def test_a_route_that_does_not_hold_is_told(together: Service) -> None:
    endpoint = {"id": "ep_1", "name": "sandbox/planning", "projectId": "p", "trafficSplit": []}
    together.fault(rf"^{PROJECT}/endpoints/ep_[^/]+$", status=200, body=endpoint)
    with pytest.raises(NotFoundError, match="does not route"):
        together.deploy()


def test_two_deploys_of_the_same_at_once_are_one(together: Service) -> None:
    """Both planned before either was made: one record, one deployment, one bill."""
    one, other = together.plan(), together.plan()
    run_deploy(together.client, together.store, one, wait=together.wait())
    run_deploy(together.client, together.store, other, wait=together.wait())
    together.advance(3600)
    together.stop()
    (usage,) = together.usage().values()
    assert usage.cents == sum(together.metered().values())
    assert (len(Deployments(together.store).all()), together.creations().count("deployments")) == (1, 1)


def test_of_two_deploys_at_once_the_budget_lets_one_pass(together: Service) -> None:
    limits = Limits(Decimal(8), None, Decimal(1))
    one, other = together.plan("planning", limits=limits), together.plan("should_respond", limits=limits)
    run_deploy(together.client, together.store, one, wait=together.wait())
    with pytest.raises(LimitError, match="budget of"):
        run_deploy(together.client, together.store, other, wait=together.wait())
    assert (together.creations().count("endpoints"), together.creations().count("deployments")) == (1, 1)
    assert [record.endpoint_name for record in Deployments(together.store).live()] == ["planning"]
