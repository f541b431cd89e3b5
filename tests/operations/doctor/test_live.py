"""The first contact: the service lies in each fact in turn, and that fact is found, and nothing false said of another.

The service is the sandbox over HTTP; what it lies in is a member of its behaviour.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import LimitError, RemoteError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.doctor.live import probe as probe_module
from reasoning_cli.operations.doctor.live.bill import read_bill
from reasoning_cli.operations.doctor.live.evidence import Evidence, Measured
from reasoning_cli.operations.doctor.live.facts import FACTS, Verdict
from reasoning_cli.operations.doctor.live.probe import Probe, plan_probe
from reasoning_cli.operations.doctor.live.report import LiveReport, make_report, report_record
from reasoning_cli.operations.guard.loop import Guard
from reasoning_cli.operations.guard.policy import Rules
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.service_facts import ServiceFacts
from tests.engines.together.service import NO_LIMITS, PROJECT, Service
from tests.engines.together.service import service as together_standing_still

HOLDS, FAILS, OPEN = Verdict.HOLDS, Verdict.FAILS, Verdict.OPEN
SHORT, WITH_IDLE_STOP = 2, 4  # dollars
OF_THE_BILL = {"billed_price", "cold_start_free", "billing_exact", "no_billing_minimum"}


@dataclass(frozen=True)
class Lie:
    """In which fact the service lies, how, what is then found, and what cannot be told beside it."""

    fact: str
    behaviour: dict[str, object]
    value: object
    spend: int = SHORT
    hides: set[str] = field(default_factory=set)


LIES = [
    Lie("comma_arrays", {"separate_arrays": True}, "repeated"),
    Lie("event_days", {"event_days": 2}, 0),
    Lie("unique_endpoints", {"unique_endpoints": False}, False),
    Lie("first_not_routed", {"routes_first": True}, True),
    Lie("empty_split", {"takes_empty_split": False}, False),
    Lie("scaled_counts_ready", {"scaled_counts": "desired"}, "desired"),
    Lie("idle_stop", {"idle_counts": "ready"}, "ready", WITH_IDLE_STOP, hides={"billing_exact"}),
    Lie("idle_stop", {"idle_counts": "reads"}, "none", WITH_IDLE_STOP),
    Lie("analytics_delay", {"analytics_delay_seconds": 600}, None),
    Lie("upload_not_checked", {"upload_checks": True}, True),
    Lie("long_samples_cut", {"long_samples": "split"}, "split"),
    Lie("long_samples_cut", {"long_samples": "kept"}, "kept"),
    Lie("billed_price", {"billed_percent": 73}, "400.77"),
    Lie("cold_start_free", {"bills_cold_start": True}, True),
    Lie("billing_exact", {"billing_rounding": "up"}, "up"),
    Lie("billing_exact", {"billing_rounding": "down"}, "down"),
    Lie("no_billing_minimum", {"billing_minimum_seconds": 3600}, 3600, hides={"cold_start_free", "billing_exact"}),
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with together_standing_still(tmp_path) as one:
        yield one


def probe_of(service: Service, spend: int = SHORT, limits: Limits = NO_LIMITS) -> Probe:
    """A probe that looks every ten seconds of the service's clock."""
    plan = plan_probe(service.client, service.store, limits, Decimal(spend))
    return Probe(service.client, service.store, plan, 10, service.advance)


def report_of(service: Service, measured: Measured | None = None) -> LiveReport:
    reads = service.client.read_everything()
    evidence = Evidence(reads, measured)
    if measured is not None:
        evidence = Evidence(reads, measured, read_bill(service.client, measured, service.client.now()))
    return make_report(service.store, reads, evidence, measured=measured)


def first_contact(service: Service, spend: int, **behaviour: object) -> LiveReport:
    """An account with an endpoint a month old; a probe; and the report once the bill is there."""
    service.behave(billing_enabled=True, **behaviour)
    service.ask("POST", f"{PROJECT}/endpoints", {"name": "grandmothers-bot"})
    service.advance(timedelta(days=31).total_seconds())
    probe = probe_of(service, spend)
    probe.run()
    assert probe.problem is None
    assert probe.measured.stopped
    assert all(one["status"]["state"] == "DEPLOYMENT_STATE_STOPPED" for one in service.deployments())
    service.advance(timedelta(hours=4).total_seconds())
    return report_of(service, probe.measured)


def verdicts(report: LiveReport) -> dict[str, Verdict]:
    return {one.fact.name: one.finding.verdict for one in report.judged}


@pytest.mark.parametrize(("spend", "open_facts"), [(SHORT, {"idle_stop"}), (WITH_IDLE_STOP, set())])
def test_of_a_service_as_assumed_every_fact_holds(service: Service, spend: int, open_facts: set[str]) -> None:
    report = first_contact(service, spend)
    found = verdicts(report)
    not_held = {name: one.finding for one in report.judged if found[name := one.fact.name] is not HOLDS}
    assert not_held.keys() == open_facts, not_held
    assert not report.differing


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: "-".join(map(str, (lie.fact, *lie.behaviour.values()))))
def test_each_lie_is_found_and_nothing_false_is_said_of_the_rest(service: Service, lie: Lie) -> None:
    report = first_contact(service, lie.spend, **lie.behaviour)
    found = {one.fact.name: one.finding for one in report.judged}
    assert (found[lie.fact].verdict, found[lie.fact].value) == (FAILS, lie.value), found[lie.fact]
    false = {name: one for name, one in found.items() if name != lie.fact and one.verdict is FAILS}
    assert not false
    hidden = {name for name, one in found.items() if one.verdict is OPEN}
    assert hidden == lie.hides | ({"idle_stop"} if lie.spend == SHORT else set()), found
    stored = ServiceFacts(service.store).all()
    assert (stored[lie.fact].holds, stored[lie.fact].value) == (False, lie.value)


def test_every_fact_is_lied_in() -> None:
    assert {lie.fact for lie in LIES} == {fact.name for fact in FACTS}


# --- answers that are not as documented ---


def test_members_and_values_that_nobody_documented_are_reported_by_their_names_alone(service: Service) -> None:
    service.ask(
        "POST", "/_sandbox/endpoints", {"name": "private-bot", "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}
    )
    service.behave(extra_members=True)
    report = report_of(service)
    route = "/v2/projects/{}/endpoints/{}/deployments"
    (found,) = [one for one in report.differing if one.route == route]
    assert [(one.member, one.kind.value, one.found) for one in found.deviations] == [
        ("data[].preemptible", "unknown member", "boolean"),
        ("data[].trafficMode", "unknown value", "TRAFFIC_MODE_MIRRORED"),
    ]
    assert {one.route for one in report.differing} == {route, f"{route}/{{}}"}


def test_an_answer_the_program_could_not_read_is_reported(service: Service) -> None:
    broken = {
        "object": "list",
        "data": [{"id": "ep_1", "name": "ours/secret-bot", "trafficSplit": [{"weight": "all"}]}],
    }
    service.fault(rf"^{PROJECT}/endpoints$", status=200, body=broken)
    (found,) = report_of(service).differing
    assert ("data[].trafficSplit[].weight", "other type", "string") in [
        (one.member, one.kind.value, one.found) for one in found.deviations
    ]
    assert len(found.unreadable) == 1
    assert "traffic" in found.unreadable[0].lower()


def test_a_route_that_is_down_keeps_nothing_of_the_others_from_being_told(service: Service) -> None:
    service.ask("POST", "/_sandbox/endpoints", {"name": "bot", "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"})
    for path in (r"/hardware$", r"/events$", r"/placement-profiles$"):
        service.fault(path, status=500)
    report = report_of(service)
    statuses = {one.route: one.statuses for one in report.answered}
    assert statuses["/v1/hardware"] == statuses["/v2/projects/{}/endpoints/{}/events"] == (0,)
    assert statuses["/v2/projects/{}/endpoints/{}/deployments"] == (200,)
    assert set(verdicts(report).values()) == {OPEN}


def test_the_report_names_nothing_of_the_account(service: Service) -> None:
    """Not even where the service puts a name of the account's where a word of its own belongs."""
    service.ask(
        "POST", "/_sandbox/endpoints", {"name": "private-bot", "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}
    )
    service.behave(extra_members=True)
    probe = probe_of(service)
    probe.run()
    report = report_of(service, probe.measured)
    (deployment,) = [one for one in service.deployments() if "private-bot" in one["name"]]
    deployment |= {"private-bot": 1, "trafficMode": deployment["id"], "hermit_grandmothers": True}
    service.fault(rf"{PROJECT}/endpoints/[^/]+/deployments$", status=200, body={"data": [deployment]})
    text = json.dumps(report_record(report_of(service)), default=str) + json.dumps(report_record(report), default=str)
    assert "hermit_grandmothers" in text
    whole = json.dumps([service.endpoints(), service.deployments(), service.ask("GET", "/v3/whoami")])
    for name in ("private-bot", "doctor-probe", "sandbox-key", "ep_", "dep_", "proj_", "org_", "ping"):
        assert name not in text, name
        assert name in whole or name in ("doctor-probe", "sandbox-key", "ping")


# --- money ---


def spent_cents(service: Service) -> Decimal:
    return sum(service.metered().values(), Decimal(0))


@pytest.mark.parametrize("spend", [1, 2, 4])
@pytest.mark.parametrize(
    "behaviour",
    [
        {},
        {"bills_cold_start": True},
        {"scaling_seconds": 600, "bills_cold_start": True},
        {"never_ready": True},
        {"fail_start": True},
        {"flap_calls": 1_000_000},
        {"analytics_delay_seconds": 900},
        {"stopping_seconds": 600},
        {"idle_counts": "reads"},
    ],
    ids=lambda one: "-".join(map(str, one)) or "as assumed",
)
def test_no_more_is_spent_than_was_allowed(service: Service, behaviour: dict[str, object], spend: int) -> None:
    service.behave(**behaviour)
    service.run_clock()
    probe = probe_of(service, spend)
    probe.run()
    assert probe.measured.stopped
    assert spent_cents(service) <= spend * 100
    assert service.deployments() == []
    assert service.endpoints() == []


def test_a_cap_that_would_not_last_is_refused_with_one_that_would(service: Service) -> None:
    with pytest.raises(LimitError) as refused:
        plan_probe(service.client, service.store, NO_LIMITS, Decimal("0.50"))
    assert "--spend 1" in (refused.value.hint or "")
    assert service.creations() == []


@pytest.mark.parametrize(
    "limits", [Limits(Decimal(1), None, Decimal(1)), Limits(None, Decimal(5), Decimal(1))], ids=["budget", "cap"]
)
def test_what_the_operator_allows_in_all_is_kept_to(service: Service, limits: Limits) -> None:
    with pytest.raises(LimitError):
        plan_probe(service.client, service.store, limits, Decimal(2))
    assert service.creations() == []


# --- it is stopped, however it ends ---


class Ending:
    """Sleeps on the service's clock, and ends the probe at the n-th time."""

    def __init__(self, service: Service, after: int) -> None:
        self.service, self.left = service, after

    def __call__(self, seconds: float) -> None:
        self.service.advance(seconds)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 2, 5, 12, 33, 36, 40])
def test_ctrl_c_stops_what_was_deployed(service: Service, after: int) -> None:
    plan = plan_probe(service.client, service.store, NO_LIMITS, Decimal(WITH_IDLE_STOP))
    probe = Probe(service.client, service.store, plan, 10, Ending(service, after))
    probe.run()
    assert isinstance(probe.problem, KeyboardInterrupt)
    assert probe.measured.stopped
    assert service.deployments() == []
    assert service.endpoints() == []
    assert Deployments(service.store).live() == []


FAULTS: list[tuple[str, dict[str, Any]]] = [
    (rf"^{PROJECT}/endpoints$", {"method": "POST", "status": 500}),
    (r"/deployments$", {"method": "POST", "status": 500}),
    (r"/deployments$", {"method": "POST", "cut": "after_action"}),
    (r"/deployments$", {"method": "POST", "cut": "after_action", "skip": 1}),
    (r"/deployments/[^/]+$", {"method": "GET", "status": 500, "times": 4, "skip": 3}),
    (r"/chat/completions$", {"method": "POST", "status": 401}),
    (r"/analytics$", {"method": "GET", "status": 500, "times": 4}),
    (r"/events$", {"method": "GET", "status": 403}),
    (r"/endpoints/[^/]+$", {"method": "PATCH", "status": 500, "times": 2}),
    (r"/deployments/[^/]+$", {"method": "PATCH", "status": 500, "times": 5}),
    (r"/deployments/[^/]+$", {"method": "PATCH", "cut": "before", "times": 3}),
    (r"/files/upload$", {"method": "POST", "status": 500}),
]


@pytest.mark.parametrize(("path", "fault"), FAULTS, ids=lambda one: one if isinstance(one, str) else "-".join(one))
def test_a_failure_at_any_step_leaves_nothing_running(service: Service, path: str, fault: dict[str, Any]) -> None:
    service.fault(path, **fault)
    probe = probe_of(service)
    probe.run()
    assert probe.measured.stopped
    service.clear_faults()
    assert [one["status"]["state"] for one in service.deployments()] in ([], ["DEPLOYMENT_STATE_STOPPED"])


def test_an_answer_that_does_not_come_is_not_waited_for_beyond_the_cap(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the service's clock stands still, and nothing is slept."""
    service.behave(provisioning_seconds=0, scaling_seconds=0)
    service.fault(r"/chat/completions$", method="POST", hold="before")
    probe = probe_of(service)
    monkeypatch.setattr(probe_module, "_STOP_MARGIN", probe.plan.lasts - timedelta(seconds=2))
    timer, began = signal.getitimer(signal.ITIMER_REAL), time.monotonic()
    probe.run()
    waited = time.monotonic() - began
    assert 2 <= waited < 30
    assert probe.measured.asked_at is None
    assert probe.measured.stopped
    assert service.deployments() == []
    assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(max(0.0, timer[0] - waited), abs=2)


def test_what_cannot_be_seen_stopped_is_said_with_its_name_its_price_and_what_to_type(service: Service) -> None:
    service.fault(r"/deployments/[^/]+$", method="PATCH", status=500)
    probe = probe_of(service)
    with pytest.raises(RemoteError) as raised:
        probe.run()
    (running,) = service.deployments()
    name = running["name"].split("/")[1]
    assert not probe.measured.stopped
    assert name in raised.value.message
    assert "$5.49 an hour" in raised.value.message
    assert f"`reasoning models undeploy {name}`" in (raised.value.hint or "")
    assert running["inactiveTimeout"] == 30
    service.clear_faults()
    service.stop(name)
    assert service.deployments() == []


def test_a_stop_by_a_guard_is_not_taken_for_togethers(service: Service) -> None:
    """A guard's idle time may be the same, and it looks at every deployment on record."""
    service.behave(idle_counts="reads")  # Together never stops it
    rules = Rules(NO_LIMITS, {}, 30, {}, timedelta(minutes=1))
    guard = Guard(service.store)
    looked = [0]

    def sleep(seconds: float) -> None:
        service.advance(seconds)
        looked[0] += 1
        if looked[0] % 6 == 0:
            guard.look(service.client, rules)

    plan = plan_probe(service.client, service.store, NO_LIMITS, Decimal(WITH_IDLE_STOP))
    probe = Probe(service.client, service.store, plan, 10, sleep)
    probe.run()
    assert [one.action for one in Events(service.store).list() if one.actor == "guard"] == ["stop"]
    assert probe.measured.idle_stop is None
    assert verdicts(report_of(service, probe.measured))["idle_stop"] is OPEN
    assert probe.measured.stopped
