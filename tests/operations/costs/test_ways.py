"""Every way side by side, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from reasoning_cli.operations.costs.ways import (
    Baseline,
    Gpu,
    Kind,
    Known,
    Load,
    Proof,
    ProvenHead,
    Server,
    Way,
    cheaper_unproven,
    cheapest,
    ways,
)
from reasoning_cli.values import parse_daily_hours

BASELINE = Baseline("gpt-4o", Decimal("0.395"))
HEAD = ProvenHead("head/x", Decimal("0.40"), Decimal("0.019"), audited=Decimal("0.05"), next="reasoning train promote")
PASSES = Proof(passes=True, at_most=Decimal("0.04"))
EVENING = Load((Decimal(10),) * 18 + (Decimal(4000),) * 5 + (Decimal(10),))


def known(load: Load, **changes: object) -> Known:
    return replace(Known("should-respond", load, BASELINE, heads=True), **changes)  # type: ignore[arg-type]


def by_kind(of: Known) -> dict[Kind, Way]:
    return {way.kind: way for way in ways(of)}


def test_a_month_of_the_baseline_is_730_hours() -> None:
    way = by_kind(known(Load.even(Decimal(30))))[Kind.BASELINE]
    assert way.cents_a_month == Decimal(30) * 730 * Decimal("0.395") == Decimal("8650.5")
    assert way.is_now and way.passes and way.share == 0


def test_a_head_saves_what_it_answers_but_for_what_is_audited() -> None:
    way = by_kind(known(Load.even(Decimal(30)), head=HEAD))[Kind.HEAD]
    assert way.share == Decimal("0.38")  # 40 %, less a twentieth of it
    assert way.cents_a_month == Decimal("8650.5") * Decimal("0.62")
    assert (way.at_most, way.share_is_measured, way.hours_up) == (Decimal("0.019"), False, 0)
    assert not by_kind(known(Load.even(Decimal(30)), heads=False)).get(Kind.HEAD)


def test_a_gpu_behind_a_head_runs_in_the_hours_in_which_what_is_left_pays_for_it() -> None:
    way = by_kind(known(EVENING, head=HEAD, gpu=Gpu(549, PASSES)))[Kind.GPU_HOURS]
    assert way.hours == parse_daily_hours("18:00-23:00") and way.hours_up == 5
    # A day: 19 quiet hours at the baseline, but for the head's 38 %, and five hours of a GPU.
    assert way.cents_a_month is not None
    assert way.cents_a_month == (190 * Decimal("0.62") * Decimal("0.395") + 5 * 549) * 730 / 24
    # The head's part of all, and the rest of the 20,000 in the evening, of 20,190.
    assert way.share is not None
    assert round(way.share, 9) == round(Decimal("0.38") + 20000 * Decimal("0.62") / 20190, 9)
    assert way.at_most == Decimal("0.04")  # the higher of the two
    assert way.passes


def test_a_span_over_midnight_is_one_span() -> None:
    late = Load((Decimal(2000),) * 2 + (Decimal(0),) * 20 + (Decimal(2000),) * 2)
    way = by_kind(known(late, gpu=Gpu(549, PASSES)))[Kind.GPU_HOURS]
    assert str(way.hours) == "22:00-02:00" and way.hours_up == 4
    assert way.cents_a_month == Decimal(4 * 549) * 730 / 24


def test_a_gpu_that_pays_in_no_hour_is_never_up_and_in_all_hours_always() -> None:
    few = by_kind(known(Load.even(Decimal(300)), head=HEAD, gpu=Gpu(549, PASSES)))
    assert (few[Kind.GPU_HOURS].hours_up, few[Kind.GPU_HOURS].passes) == (0, False)
    assert few[Kind.GPU_HOURS].cents_a_month == few[Kind.HEAD].cents_a_month
    assert "pays in no hour" in few[Kind.GPU_HOURS].lacks
    many = by_kind(known(Load.even(Decimal(3000)), gpu=Gpu(549, PASSES)))
    assert (many[Kind.GPU_HOURS].hours_up, many[Kind.GPU_HOURS].hours) == (24, None)
    assert many[Kind.GPU_HOURS].cents_a_month == many[Kind.GPU].cents_a_month == 549 * 730


def test_what_a_model_left_to_the_baseline_is_paid_there_too() -> None:
    found = by_kind(known(Load.even(Decimal(300)), gpu=Gpu(549, PASSES, answers=Decimal("0.9"))))
    assert found[Kind.GPU].cents_a_month == 549 * 730 + Decimal("0.1") * 300 * 730 * Decimal("0.395")
    assert (found[Kind.GPU].share, found[Kind.GPU].share_is_measured) == (Decimal("0.9"), True)
    assumed = by_kind(known(Load.even(Decimal(300)), gpu=Gpu(549)))[Kind.GPU]
    assert (assumed.share, assumed.share_is_measured, assumed.at_most) == (1, False, None)


def test_a_server_costs_by_the_token_and_one_without_a_price_is_not_free() -> None:
    load = Load.even(Decimal(300))
    served = Server("m", Decimal("0.03"))
    assert by_kind(known(load, serverless=served))[Kind.SERVERLESS].cents_a_month == 300 * 730 * Decimal("0.03")
    assert by_kind(known(load, server=replace(served, cents_per_decision=Decimal(0))))[
        Kind.OWN_SERVER
    ].cents_a_month == Decimal(0)
    unpriced = by_kind(known(load, server=replace(served, cents_per_decision=None)))[Kind.OWN_SERVER]
    assert unpriced.cents_a_month is None and "has no price" in unpriced.lacks


def test_the_cheapest_is_named_of_those_that_have_proven_it() -> None:
    free = Server("m", Decimal(0), Proof(next="reasoning train eval should-respond --model m"))
    found = ways(known(Load.even(Decimal(300)), head=HEAD, server=free))
    best, other = cheapest(found), cheaper_unproven(found)
    assert best is not None and best.kind is Kind.HEAD
    assert best.next == HEAD.next
    assert other is not None and (other.kind, other.next) == (Kind.OWN_SERVER, free.proof.next)
    proven = ways(known(Load.even(Decimal(300)), head=HEAD, server=replace(free, proof=PASSES)))
    best = cheapest(proven)
    assert best is not None and (best.kind, cheaper_unproven(proven)) == (Kind.OWN_SERVER, None)


def test_a_model_that_answers_already_needs_no_new_proof_to_run_in_fewer_hours() -> None:
    gpu = Gpu(549, Proof(next="reasoning train eval"), running=True, live=True)
    found = ways(known(EVENING, gpu=gpu))
    best = cheapest(found)
    assert best is not None and best.kind is Kind.GPU_HOURS
    assert best.next == "reasoning costs schedule should-respond 18:00-23:00"
    assert [way.kind for way in found if way.is_now] == [Kind.GPU]
    in_hours = replace(gpu, hours=parse_daily_hours("18:00-23:00"))
    found = ways(known(EVENING, gpu=in_hours))
    assert [way.kind for way in found if way.is_now] == [Kind.GPU_HOURS]


def test_where_nothing_has_a_price_nothing_is_the_cheapest() -> None:
    found = ways(replace(known(Load.even(Decimal(30)), head=HEAD), baseline=None))
    assert cheapest(found) is None and cheaper_unproven(found) is None
    assert all(way.lacks for way in found)


def test_no_decision_costs_nothing_but_a_gpu_that_runs() -> None:
    found = by_kind(known(Load.even(Decimal(0)), head=HEAD, gpu=Gpu(549, PASSES)))
    assert found[Kind.BASELINE].cents_a_month == found[Kind.HEAD].cents_a_month == 0
    assert found[Kind.GPU].cents_a_month == 549 * 730
