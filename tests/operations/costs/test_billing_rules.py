"""What is settled of the service makes the ledger more exact: it follows the bill, and its doubt shrinks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.commands._shared.cost_views import report_lines, report_record
from reasoning_cli.operations.costs.billing_rules import BillingRules
from reasoning_cli.operations.costs.reconcile import reconcile
from reasoning_cli.operations.costs.report import CostReport, cost_report
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.operations.deploy.unmanaged import find_foreign
from reasoning_cli.operations.doctor.live.facts import FACTS
from reasoning_cli.store.open import open_store
from reasoning_cli.store.service_facts import ServiceFact, ServiceFacts
from tests.engines.together.service import EVENTS, NO_LIMITS, Service
from tests.engines.together.service import service as together_standing_still


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with together_standing_still(tmp_path) as one:
        yield one


def settle(together: Service, name: str, holds: bool, value: object, why: str = "seen") -> None:
    assert name in {fact.name for fact in FACTS}
    ServiceFacts(together.store).settle(ServiceFact(name, holds, value, why, together.client.now(), "1.0"))


def run_twice(together: Service) -> None:
    """Two starts of some minutes and seconds, looked at all the time, and then the next day."""
    for seconds in (100, 395):
        together.deploy()
        together.advance(seconds)
        refresh(together.client, together.store)
        together.stop()
    together.advance(timedelta(days=1).total_seconds())


def unexplained(together: Service) -> Decimal:
    """Cents by which bill and ledger differ beyond the ledger's own range."""
    at = together.client.now()
    return reconcile(together.client, together.store, f"{at - timedelta(days=1):%Y-%m}", at).difference_cents


LIES = [
    ({"billing_rounding": "up"}, "billing_exact", "up"),
    ({"billing_rounding": "down"}, "billing_exact", "down"),
    ({"billing_minimum_seconds": 3600}, "no_billing_minimum", 3600),
    ({"bills_cold_start": True}, "cold_start_free", True),
]


@pytest.mark.parametrize(("behaviour", "fact", "value"), LIES, ids=lambda one: one if isinstance(one, str) else None)
def test_the_ledger_follows_what_is_settled_of_the_bill(
    together: Service, behaviour: dict[str, object], fact: str, value: object
) -> None:
    together.behave(billing_enabled=True, **behaviour)
    run_twice(together)
    assert abs(unexplained(together)) > 1
    settle(together, fact, False, value)
    assert abs(unexplained(together)) < Decimal("0.01")


def test_a_fact_that_holds_changes_no_sum(together: Service) -> None:
    together.behave(billing_enabled=True)
    run_twice(together)
    before = together.usage()
    assert abs(unexplained(together)) < Decimal("0.01")
    for name, value in (("billing_exact", "exact"), ("no_billing_minimum", 0), ("cold_start_free", False)):
        settle(together, name, True, value)
    assert together.usage() == before


# --- the doubt that is stated ---


def bill(together: Service) -> CostReport:
    at = together.client.now()
    return cost_report(together.store, NO_LIMITS, at - timedelta(days=3), at, at)


def test_what_is_not_settled_is_a_doubt_that_is_stated_until_it_is(together: Service) -> None:
    run_twice(together)
    report = bill(together)
    price = Decimal(549) / 60
    assert (report.starts, report.rounding_cents) == (2, 2 * price)
    said = [line for line in report_lines(report) if "Not settled" in line]
    assert said == [
        "Not settled: how Together bills a begun minute, up to $0.18 more for 2 starts"
        " (`reasoning doctor --live --spend 2` settles it)."
    ]
    assert report_record(report, [{}, {}])["unsettled"] == {"starts": 2, "rounding_cents": 18, "price": None}
    settle(together, "billing_exact", True, "exact")
    report = bill(together)
    assert not [line for line in report_lines(report) if "Not settled" in line]
    assert report_record(report, [{}, {}])["unsettled"] == {"starts": 0, "rounding_cents": 0, "price": None}


def test_a_price_that_is_not_the_one_billed_is_said(together: Service) -> None:
    run_twice(together)
    assert not [line for line in report_lines(bill(together)) if "bills another" in line]
    settle(together, "billed_price", False, "400.77", "$4.01 an hour is billed, $5.49 shown")
    (said,) = [line for line in report_lines(bill(together)) if "bills another" in line]
    assert "$4.01 an hour is billed, $5.49 shown" in said


# --- events ---


def deploy_unwatched(together: Service) -> None:
    """Made, and not looked at until long after it became ready."""
    together.fault(r"/deployments/dep_", cut="before")
    with pytest.raises(Exception, match="cannot reach"):
        together.deploy()
    together.clear_faults()
    together.advance(7200)
    refresh(together.client, together.store)


def ranged(together: Service) -> tuple[Decimal, Decimal, Decimal]:
    """At least, truly, at most."""
    ((usage, billed),) = zip(together.usage().values(), together.metered().values(), strict=True)
    return usage.low_cents, billed, usage.high_cents


def test_events_that_count_what_is_wanted_are_no_longer_taken_for_the_bill(together: Service) -> None:
    together.behave(scaled_counts="desired")
    deploy_unwatched(together)
    low, billed, high = ranged(together)
    assert low == high > billed + 1  # certain, and wrong: it counts the cold start


def test_that_is_so_once_it_is_settled(together: Service) -> None:
    together.behave(scaled_counts="desired")
    settle(together, "scaled_counts_ready", False, "desired")
    deploy_unwatched(together)
    low, billed, high = ranged(together)
    assert low <= billed <= high


@pytest.mark.parametrize("is_settled", [False, True])
def test_the_same_of_what_others_deployed(together: Service, tmp_path: Path, is_settled: bool) -> None:
    together.behave(scaled_counts="desired")
    together.deploy()
    together.advance(3600)
    with open_store(tmp_path / "elsewhere.db") as elsewhere:
        if is_settled:
            fact = ServiceFact("scaled_counts_ready", False, "desired", "seen", together.client.now(), "1.0")
            ServiceFacts(elsewhere).settle(fact)
        usage = find_foreign(together.client, elsewhere, "planning").usage
    (billed,) = together.metered().values()
    assert (usage.low_cents <= billed <= usage.high_cents) is is_settled


def gap_with_a_lost_event(together: Service) -> None:
    """Two hours nobody looked, in which it was scaled twice; the events begin after the first of it."""
    together.deploy(max_replicas=4)
    for low, high in ((2, 4), (3, 4)):
        together.advance(3600)
        together.scale(low, high)
        together.advance(600)
    events = together.ask("GET", f"{events_path(together)}", limit=500)["data"]
    scaled = [one for one in events if one["type"] == "deployment.scaled"]
    lost = next(one for one in scaled if one["newReplicas"] == 2)
    kept = [one for one in events if one["id"] != lost["id"]]
    together.fault(EVENTS, status=200, body={"data": kept, "next_cursor": None})
    refresh(together.client, together.store)
    together.clear_faults()


def events_path(together: Service) -> str:
    (one,) = together.deployments()
    return f"/v2/projects/proj_sandbox/endpoints/{one['endpointId']}/events"


def test_events_known_to_count_what_is_ready_narrow_a_gap(together: Service, tmp_path: Path) -> None:
    gap_with_a_lost_event(together)
    low, billed, high = ranged(together)
    assert low <= billed <= high
    (tmp_path / "second").mkdir()
    with together_standing_still(tmp_path / "second") as second:
        settle(second, "scaled_counts_ready", True, "ready")
        gap_with_a_lost_event(second)
        low_settled, billed, high_settled = ranged(second)
    assert low_settled <= billed <= high_settled
    assert high_settled - low_settled < high - low - 100


def test_a_service_that_takes_no_commas_is_asked_for_all_events(together: Service) -> None:
    together.behave(separate_arrays=True)
    deploy_unwatched(together)
    low, _, high = ranged(together)
    assert high - low > 100  # none of the events it asked for came
    together.stop()
    settle(together, "comma_arrays", False, "repeated")
    together.deploy("coding")
    together.advance(7200)
    together.scale(2, 2, "coding")
    together.advance(7200)
    refresh(together.client, together.store)
    usage, truth = list(together.usage().values())[-1], list(together.metered().values())[-1]
    assert usage.low_cents == usage.high_cents == truth


def test_a_gap_longer_than_events_last_is_a_doubt(together: Service) -> None:
    together.behave(event_days=2)
    settle(together, "event_days", False, 2)
    together.deploy()
    together.advance(3600)
    together.scale(0, 0)
    together.advance(timedelta(days=5).total_seconds())
    together.scale(1, 1)
    together.advance(600)
    refresh(together.client, together.store)
    low, billed, high = ranged(together)
    assert low <= billed < high


def test_nothing_settled_is_no_rule(together: Service) -> None:
    assert BillingRules.of(together.store) == BillingRules()
