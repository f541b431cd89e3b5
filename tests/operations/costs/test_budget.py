"""The budget: what it refuses, before anything is made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reasoning_cli.errors import LimitError
from reasoning_cli.operations.costs.budget import (
    Limits,
    Standing,
    check_deploy,
    period_end,
    period_start,
    read_limits,
    spending_rate,
    standing,
    standings,
)
from reasoning_cli.operations.costs.ledger import Usage
from reasoning_cli.operations.costs.reserve import reserve_unwatched
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.open import open_store
from reasoning_cli.values import Period, parse_usd
from tests.engines.together.service import MODELS, NO_LIMITS, Service, service

LAST = datetime(9000, 1, 1)  # noqa: DTZ001  # the strategy adds the zone
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
RECORD = DeploymentRecord(
    key="k",
    model_type="planning",
    model_name="acme/model",
    model_id="ml_1",
    endpoint_name="planning",
    endpoint_id="ep_1",
    deployment_name="planning-1",
    deployment_id="dep_1",
    serving_name="acme/planning",
    project_id="proj_1",
    hardware="1x-h100",
    price_cents_per_hour=549,
    config="cr_1",
    idle_minutes=0,
    min_replicas=1,
    max_replicas=2,
    state="READY",
    ready_replicas=2,
    created_at=AT,
    state_at=AT,
)


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def limits(month: str | None = None, hour: str | None = None, reserve: str = "1") -> Limits:
    return Limits(Decimal(month) if month else None, Decimal(hour) if hour else None, Decimal(reserve))


def stand(set_to: Limits, low: str = "0", high: str | None = None, spending: int = 0, at: datetime = AT) -> Standing:
    used = Usage(low_cents=Decimal(low), high_cents=Decimal(high or low))
    return Standing(set_to, at, period_start(Period.MONTH, at), used, spending)


def test_without_limits_everything_may_run() -> None:
    check_deploy(stand(NO_LIMITS, "99999999", spending=99999), "planning", 99999)


@pytest.mark.parametrize(
    ("standing", "added", "allowed"),
    [
        (stand(limits("5.49")), 549, True),
        (stand(limits("5.48")), 549, False),
        (stand(limits("10.98"), spending=549), 549, True),
        (stand(limits("10.97"), spending=549), 549, False),
        (stand(limits("10"), "451"), 549, True),
        (stand(limits("10"), "451.01"), 549, False),
        (stand(limits("10"), "0", high="451.01"), 549, False),
        (stand(limits("10", reserve="2")), 549, False),
        (stand(limits("10.98", reserve="2")), 549, True),
        (stand(limits("10", reserve="0"), "999.99"), 549, True),
        (stand(limits("10", reserve="0"), "1000"), 549, False),
        (stand(limits("10"), "5000"), 549, False),
        (stand(limits(hour="5.49")), 549, True),
        (stand(limits(hour="5.48")), 549, False),
        (stand(limits(hour="10.97"), spending=549), 549, False),
    ],
)
def test_what_is_left_must_pay_for_the_reserve_of_all_that_runs(standing: Standing, added: int, allowed: bool) -> None:
    if allowed:
        check_deploy(standing, "planning", added)
        return
    with pytest.raises(LimitError, match="`planning` costs") as caught:
        check_deploy(standing, "planning", added)
    assert caught.value.exit_code == 6


@given(st.integers(0, 10**7), st.integers(0, 10**5), st.integers(1, 10**5), st.integers(0, 720))
@example(used=200, spending=0, added=1, reserve=0)
def test_the_budget_a_hint_names_is_enough(used: int, spending: int, added: int, reserve: int) -> None:
    now = stand(limits("0.01", reserve=str(reserve)), str(used), spending=spending)
    try:
        check_deploy(now, "planning", added)
    except LimitError as refusal:
        assert refusal.hint is not None
        enough = refusal.hint.split("set-budget ")[1].split("`")[0]
        check_deploy(stand(limits(enough, reserve=str(reserve)), str(used), spending=spending), "planning", added)
    else:
        assert used + reserve * (spending + added) <= 1 and used < 1


@pytest.mark.parametrize(
    ("standing", "error", "hint"),
    [
        (
            stand(limits("10"), "451.01"),
            "the budget of $10 would be broken: $4.51 used, `planning` costs $5.49 an hour",
            "set-budget 11`",
        ),
        (
            stand(limits("1", reserve="0"), "100"),
            "the budget of $1 would be broken: $1.00 used, `planning` costs $5.49 an hour",
            "set-budget 2`",
        ),
        (
            stand(limits("1", reserve="0"), "199"),
            "the budget of $1 would be broken: $1.99 used, `planning` costs $5.49 an hour",
            "set-budget 2`",
        ),
        (
            stand(limits(hour="6"), spending=549),
            "the cap of $6 an hour would be broken: `planning` costs $5.49 an hour, $5.49 runs already",
            "set-cap 11`",
        ),
        (
            stand(limits(hour="5")),
            "the cap of $5 an hour would be broken: `planning` costs $5.49 an hour",
            "set-cap 6`",
        ),
    ],
)
def test_a_refusal_says_what_is_broken_and_the_least_that_is_enough(standing: Standing, error: str, hint: str) -> None:
    with pytest.raises(LimitError) as refused:
        check_deploy(standing, "planning", 549)
    assert refused.value.message == error
    assert refused.value.hint is not None
    assert hint in refused.value.hint


@given(st.integers(1, 10**5), st.integers(0, 10**5))
def test_the_cap_a_hint_names_is_enough(added: int, spending: int) -> None:
    try:
        check_deploy(stand(limits(hour="0.01"), spending=spending), "planning", added)
    except LimitError as refusal:
        assert refusal.hint is not None
        enough = refusal.hint.split("set-cap ")[1].split("`")[0]
        check_deploy(stand(limits(hour=enough), spending=spending), "planning", added)
    else:
        assert (added, spending) == (1, 0)


def test_how_long_the_rest_lasts() -> None:
    now = stand(limits("100"), "4510", spending=549)
    assert now.lasts() == timedelta(hours=10)
    assert now.lasts(549) == timedelta(hours=5)
    assert now.ends_at == AT + timedelta(hours=10)
    assert stand(limits("100")).lasts() is None
    assert stand(limits("100")).lasts(549) is not None
    assert stand(NO_LIMITS, spending=549).lasts() is None
    overdrawn = stand(limits("10"), "5000", spending=549)
    assert (overdrawn.left_cents, overdrawn.lasts(), overdrawn.ends_at) == (Decimal(0), timedelta(0), AT)


def test_a_budget_that_outlasts_the_month_does_not_end() -> None:
    assert stand(limits("10000"), spending=549).ends_at is None
    last = datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert stand(limits("5.49"), spending=549, at=last).ends_at is None
    assert stand(limits("5.48"), spending=549, at=last).ends_at is not None


@given(st.datetimes(timezones=st.just(UTC), max_value=LAST), st.sampled_from([Period.MONTH, Period.DAY]))
def test_periods_follow_each_other(at: datetime, period: Period) -> None:
    start = period_start(period, at)
    end = period_end(period, start)
    assert end is not None
    assert start <= at < end
    assert period_start(period, end) == end
    assert period_start(period, end - timedelta(microseconds=1)) == start


@pytest.mark.parametrize("here", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_period_is_of_utc_wherever_one_is(monkeypatch: pytest.MonkeyPatch, here: str) -> None:
    monkeypatch.setenv("TZ", here)
    time.tzset()
    try:
        new_year_in_tokyo = datetime(2027, 1, 1, 8, 59, tzinfo=timezone(timedelta(hours=9)))
        assert period_start(Period.DAY, new_year_in_tokyo) == datetime(2026, 12, 31, tzinfo=UTC)
        assert period_start(Period.MONTH, new_year_in_tokyo) == datetime(2026, 12, 1, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_total_begins_before_everything_and_never_ends() -> None:
    start = period_start(Period.TOTAL, AT)
    assert start.year == 2000
    assert period_end(Period.TOTAL, start) is None


def test_a_budget_of_one_type_says_whose_it_is() -> None:
    mine = Standing(Limits(None, None, Decimal(1), by_type={"planning": Decimal(5)}), AT, AT, Usage(), 0, "planning")
    with pytest.raises(LimitError) as refused:
        check_deploy(mine, "planning", 549)
    assert refused.value.hint is not None
    assert "set-budget 6 --model-type planning" in refused.value.hint


def test_limits_are_read_as_they_are_set(home: Path) -> None:
    paths = find_paths({"REASONING_HOME": str(home)})
    assert read_limits(load_settings(paths, {})) == Limits(None, Decimal(40), Decimal(1))
    set_to = {
        "REASONING_BUDGET_LIMIT_USD": "100",
        "REASONING_BUDGET_MAX_COST_PER_HOUR_USD": "7.50",
        "REASONING_BUDGET_RESERVE_HOURS": "3",
        "REASONING_BUDGET_PERIOD": "day",
        "REASONING_BUDGET_WARN_PERCENT": "60",
        "REASONING_PLANNING_BUDGET_USD": "20",
    }
    by_type = {"planning": Decimal(20)}
    assert read_limits(load_settings(paths, set_to)) == Limits(
        Decimal(100), Decimal("7.50"), Decimal(3), Period.DAY, by_type, 60
    )


# --- what people type ---


@given(st.decimals(min_value="0.01", max_value=10_000_000, places=2))
def test_amounts_are_read_exactly(amount: Decimal) -> None:
    assert parse_usd(str(amount)) == amount
    assert parse_usd(f" ${amount} ") == amount


@given(st.text(max_size=20) | st.from_regex(r"\A[-+$0-9.,eE_ ]{1,12}\Z"))
def test_an_amount_is_sane_or_refused(text: str) -> None:
    try:
        amount = parse_usd(text)
    except ValueError as refusal:
        assert str(refusal)
    else:
        assert Decimal("0.01") <= amount <= 10_000_000
        assert amount == amount.quantize(Decimal("0.01"))


@pytest.mark.parametrize(
    "text", ["", " ", "$", "-5", "0", "0.001", "1e999", "-1e999", "1e-999", "NaN", "sNaN", "inf", "abc", "10000000.01"]
)
def test_nonsense_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError):
        parse_usd(text)


# --- with what runs ---


def test_a_budget_too_small_lets_nothing_be_made(together: Service) -> None:
    with pytest.raises(LimitError, match=r"the budget of \$1 would be broken: \$0\.00 used"):
        together.deploy(limits=limits("1"))
    assert {one["method"] for one in together.journal()} == {"GET"}
    assert Deployments(together.store).all() == []


def test_the_second_model_is_counted_with_the_first(together: Service) -> None:
    together.deploy("planning")
    with pytest.raises(LimitError, match=r"\$5\.49 runs already"):
        together.plan("should-respond", limits=limits("10"))
    with pytest.raises(LimitError, match=r"\$5\.49 runs already"):
        together.plan("should-respond", limits=limits(hour="10"))
    together.plan("should-respond", limits=limits("11", hour="11"))


def test_all_replicas_it_may_scale_to_count(together: Service) -> None:
    with pytest.raises(LimitError):
        together.plan(max_replicas=4, limits=limits(hour="21"))
    together.deploy(max_replicas=4, limits=limits(hour="22"))
    assert sum(spending_rate(one) for one in Deployments(together.store).live()) == 4 * 549


def test_what_ran_unwatched_is_spent_before_the_next_deploy(together: Service) -> None:
    together.deploy("planning")
    together.advance(20 * 3600)
    with pytest.raises(LimitError, match=r"\$109\.\d\d used"):
        together.plan("should-respond", limits=limits("115"))


def test_what_stopped_unwatched_spends_no_more(together: Service) -> None:
    together.deploy("planning", idle_minutes=30)
    together.advance(3 * 3600)
    plan = together.plan("should-respond", limits=limits("100", hour="6"))
    assert plan.standing.burn_cents_per_hour == 0


def test_only_this_month_is_counted(together: Service) -> None:
    together.deploy()
    together.advance(100)
    together.stop()
    at = together.client.now()
    assert standing(together.store, NO_LIMITS, at).usage.cents > 0
    assert (
        standing(together.store, NO_LIMITS, period_end(Period.MONTH, period_start(Period.MONTH, at)) or at).usage
        == Usage()
    )


def test_a_stopped_model_spends_nothing_and_a_starting_one_all_it_may(together: Service) -> None:
    together.behave(never_ready=True)
    with pytest.raises(Exception, match="still"):
        together.deploy(max_replicas=2)
    (record,) = Deployments(together.store).live()
    assert (record.ready_replicas, spending_rate(record)) == (0, 2 * 549)
    together.stop(keep=True)
    refresh(together.client, together.store)
    assert [spending_rate(one) for one in Deployments(together.store).live()] == [0]


@pytest.mark.parametrize(
    ("changes", "cents"),
    [
        ({}, 2 * 549),
        ({"ready_replicas": 3}, 3 * 549),  # scaled down, and the third has not gone yet
        ({"ready_replicas": 1}, 2 * 549),
        ({"state": "STOPPED"}, 0),
        ({"deleted_at": AT}, 0),
        ({"price_cents_per_hour": None}, 0),
    ],
)
def test_a_deployment_spends_what_is_ready_or_may_become_so(changes: dict[str, object], cents: int) -> None:
    assert spending_rate(replace(RECORD, **changes)) == cents  # type: ignore[arg-type]


def test_an_unwatched_start_must_pay_for_an_hour_of_all_it_may_scale_to(tmp_path: Path) -> None:
    """A deployment that failed is at rest, and may scale to what it could before."""
    failed = replace(RECORD, state="FAILED", ready_replicas=0, max_replicas=4)
    with open_store(tmp_path / "log.db") as store:

        def check(record: DeploymentRecord = failed, **changes: object) -> None:
            set_to = replace(NO_LIMITS, reserve_hours=Decimal(0), **changes)  # type: ignore[arg-type]
            reserve_unwatched(store, set_to, record, AT).release()

        check()
        check(budget_usd=Decimal("21.96"), hour_usd=Decimal("21.96"), by_type={"planning": Decimal("21.96")})
        for changes in (
            {"budget_usd": Decimal("21.95")},
            {"hour_usd": Decimal("21.95")},
            {"by_type": {"planning": Decimal("21.95")}},
        ):
            with pytest.raises(LimitError, match=r"`planning` costs \$21\.96 an hour"):
                check(**changes)
        check(by_type={"coding": Decimal(1)})
        check(replace(failed, price_cents_per_hour=None), budget_usd=Decimal("0.01"))
        with pytest.raises(LimitError, match=r"costs \$5\.49 an hour"):
            check(replace(failed, min_replicas=0, max_replicas=0), hour_usd=Decimal(5))
        with pytest.raises(LimitError, match=r"costs \$10\.98 an hour"):
            check(replace(failed, min_replicas=2, max_replicas=0), hour_usd=Decimal(10))
        with pytest.raises(LimitError):
            reserve_unwatched(store, limits("43.91", reserve="2"), failed, AT)
        reserve_unwatched(store, limits("43.92", reserve="2"), failed, AT)


@pytest.mark.both_engines
def test_each_budget_stands_by_what_is_its_own(together: Service) -> None:
    tune(together, 3, "planning")
    tune(together, 4, "coding")
    together.deploy("planning", max_replicas=2)
    at = refresh(together.client, together.store)
    budgets = replace(NO_LIMITS, by_type={"planning": Decimal(100), "should_respond": Decimal(5)})
    whole, planning, should_respond = standings(together.store, budgets, at)
    start = period_start(Period.MONTH, at)
    assert [(budget.model_type, budget.at, budget.start) for budget in (whole, planning, should_respond)] == [
        (None, at, start),
        ("planning", at, start),
        ("should_respond", at, start),
    ]
    assert [budget.burn_cents_per_hour for budget in (whole, planning, should_respond)] == [2 * 549, 2 * 549, 0]
    assert should_respond.usage == Usage()
    assert (whole.usage.low_cents - planning.usage.low_cents, planning.usage.low_cents >= 300) == (400, True)
    assert (whole.left_cents, should_respond.left_cents) == (None, 500)
    assert planning.left_cents == 10_000 - planning.usage.high_cents


# --- fine-tuning jobs ---

DOLLAR = 1_000_000_000  # nano-dollars


def tune(together: Service, dollars: int, suffix: str, **more: object) -> str:
    body = {"model": MODELS["planning"], "suffix": suffix, "totalPriceNanoDollars": dollars * DOLLAR, **more}
    return str(together.ask("POST", "/_sandbox/fine-tunes", body)["id"])


def spent(together: Service, model_type: str | None = None, *, by: Limits = NO_LIMITS) -> Decimal:
    at = refresh(together.client, together.store)
    return standing(together.store, by, at, model_type).usage.high_cents


def test_a_fine_tune_is_spent_like_what_runs_and_refuses_the_same(together: Service) -> None:
    tune(together, 95, "anything")
    assert spent(together) == 9500
    together.forget_journal()
    stood = standing(together.store, limits("100"), together.client.now())
    assert (stood.left_cents, together.journal()) == (Decimal(500), []), "nobody is asked"
    with pytest.raises(LimitError, match=r"\$95\.00 used"):
        together.plan("planning", limits=limits("100"))
    tune(together, 5, "on-top")
    with pytest.raises(LimitError, match=r"\$100\.00 used"):
        together.plan("planning", limits=limits("100", reserve="0"))


def test_a_fine_tune_counts_for_the_type_it_was_made_for(together: Service) -> None:
    tune(together, 1, "should-respond-2026")
    tune(together, 2, "Planning_v3")
    tune(together, 4, "coding")
    tune(together, 8, "my-own")
    together.deploy("sandbox/my-own", model_type="coding")
    tune(together, 16, "nobody-knows")
    assert [spent(together, one) // 100 for one in ("should_respond", "planning", "coding")] == [1, 2, 12]
    assert spent(together) // 100 == 31


def test_a_fine_tune_counts_in_its_period_and_stays_spent(together: Service) -> None:
    tune(together, 7, "planning")
    daily = Limits(Decimal(100), None, Decimal(1), period=Period.DAY)
    assert spent(together, by=daily) == 700
    together.advance(86_400)
    assert (spent(together, by=daily), spent(together)) == (0, 700)
    together.fault("/v1/fine-tunes", status=200, body={"data": []})
    assert spent(together) == 700, "what Together forgets was paid all the same"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_where_jobs_cannot_be_seen_the_rest_goes_on(together: Service, status: int) -> None:
    tune(together, 7, "planning")
    assert spent(together) == 700
    tune(together, 9, "coding")
    together.fault("/v1/fine-tunes", status=status)
    assert spent(together) == 700, "as last seen"


def test_a_price_that_comes_later_counts_then(together: Service) -> None:
    job = {"id": "ft-1", "status": "running", "created_at": "2000-01-01T00:00:00Z", "suffix": "planning"}
    forever = Limits(Decimal(100), None, Decimal(1), period=Period.TOTAL)
    for price, cents in ((None, 0), (3 * DOLLAR, 300), (4 * DOLLAR, 400)):
        together.fault("/v1/fine-tunes", status=200, body={"data": [{**job, "total_price": price}]}, times=1)
        assert spent(together, by=forever) == cents
    together.fault("/v1/fine-tunes", status=200, body={"data": [{"id": "ft-2", "total_price": DOLLAR}]}, times=1)
    assert spent(together, by=forever) == 500, "without a time it began when it was first seen"
