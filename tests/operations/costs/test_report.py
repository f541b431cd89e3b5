"""The bill: which span, which lines, and that they add up to what the meter says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reasoning_cli.errors import UsageError
from reasoning_cli.operations.costs.attribution import Owners
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.costs.date_range import day_edges, hour_edges, parse_bounds, parse_span
from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
from reasoning_cli.operations.costs.ledger import readings_by_deployment
from reasoning_cli.operations.costs.report import By, CostReport, cost_report
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.engines.together.service import EVENTS, MODELS, NO_LIMITS, Service, service

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
MONTH = datetime(2026, 11, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def span(since: str | None = None, until: str | None = None, at: datetime = NOW) -> tuple[str, str]:
    begin, end = parse_span(since, until, at, MONTH, BERLIN)
    return f"{begin:%d %H:%M}", f"{end:%d %H:%M}"


def test_without_dates_it_is_this_month_until_now() -> None:
    assert span() == ("01 00:00", "20 12:30")


def test_days_are_those_of_the_operator_and_the_last_counts_whole() -> None:
    assert span("2026-11-18", "2026-11-18") == ("17 23:00", "18 23:00")
    assert span("2026-11-18", "2026-11-25") == ("17 23:00", "20 12:30"), "nothing is known of the future"


def test_moments_and_times_ago() -> None:
    assert span("2026-11-18T10:00:00Z", "2026-11-18T12:00:00+01:00") == ("18 10:00", "18 11:00")
    assert span("2026-11-18T10:00", "2026-11-18T12:00:00") == ("18 09:00", "18 11:00"), "in the operator's zone"
    summer = datetime(2026, 8, 1, tzinfo=UTC)
    assert parse_span("2026-07-01T10:00", None, summer, MONTH, BERLIN)[0] == datetime(2026, 7, 1, 8, tzinfo=UTC)
    assert span("24h") == ("19 12:30", "20 12:30")
    assert span("7d", "2d") == ("13 12:30", "18 12:30")
    assert span("1w") == span("7d")


def test_a_filter_has_no_bound_where_none_was_typed_and_any_where_one_was() -> None:
    assert parse_bounds(None, None, NOW, BERLIN) == (None, None)
    assert parse_bounds("2026-10-25", "2026-10-25", NOW, BERLIN) == (
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    )
    assert parse_bounds(None, "2099-12-31", NOW, UTC) == (None, datetime(2100, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="is not after the beginning"):
        parse_bounds("2026-10-25", "2026-10-24", NOW, BERLIN)


def test_a_day_ago_is_the_same_time_of_yesterday_where_clocks_were_changed() -> None:
    after = datetime(2026, 3, 29, 10, tzinfo=UTC)  # 12:00 in Berlin, summer time since 03:00
    assert span("1d", at=after) == ("28 11:00", "29 10:00")
    assert span("24h", at=after) == ("28 10:00", "29 10:00")


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("yesterday", None, "`yesterday` is not a time for --since"),
        (None, "2026-13-01", "`2026-13-01` is not a time for --until"),
        (None, "2026-02-30", "`2026-02-30` is not a time for --until"),
        ("20261121", None, "is not a time for --since"),
        ("2026-W47-6", None, "is not a time for --since"),
        ("", None, "`` is not a time for --since"),
        ("21.11.2026", None, "is not a time for --since"),
        ("0001-01-01x", None, "is not a time for --since"),
        (None, "9999-12-31", "is not a time for --until"),
        ("2026-12-01", None, "is in the future"),
        ("2026-11-18", "2026-11-17", "is not after the beginning"),
        ("9999999d", None, "is not a time for --since"),
    ],
)
def test_dates_that_make_no_sense_are_refused(since: str | None, until: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_span(since, until, NOW, MONTH, BERLIN)
    assert said in caught.value.message
    assert caught.value.hint


def test_a_day_on_which_clocks_are_changed_has_23_or_25_hours() -> None:
    march = day_edges(datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC), BERLIN)
    assert [(end - begin) // timedelta(hours=1) for begin, end in pairwise(march)] == [11, 23, 14]
    october = day_edges(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC), BERLIN)
    assert [(end - begin) // timedelta(hours=1) for begin, end in pairwise(october)] == [25]
    hours = hour_edges(datetime(2026, 10, 24, 22, 30, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC), BERLIN)
    assert len(hours) == 26
    assert hours[1] == datetime(2026, 10, 24, 23, tzinfo=UTC)


# --- the bill ---


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


def bill(together: Service, by: By = By.MODEL, days: int = 1, limits: Limits = NO_LIMITS) -> CostReport:
    at = refresh(together.client, together.store)
    since = at.replace(hour=0, minute=0, second=0) - timedelta(days=days - 1)
    return cost_report(together.store, limits, since, at, at, by=by, client=together.client, zone=UTC)


def sample(number: int, at: datetime, source: str = "slot", model_type: str = "planning", **more: object) -> Sample:
    return Sample(
        f"s{number}",
        at,
        model_type,
        str(more.pop("model", f"sandbox/{model_type}" if source == "slot" else "a-model")),
        source,
        "gateway",
        "prompt",
        "output",
        **more,  # type: ignore[arg-type]
    )


def test_nothing_is_a_bill_of_nothing(together: Service) -> None:
    report = bill(together)
    assert (report.lines, report.total.cents, report.share_of_budget, report.doubt) == ((), Decimal(0), None, None)


def test_the_bill_keeps_what_is_gone_and_adds_up(together: Service) -> None:
    for target in ("planning", "coding"):
        together.deploy(target)
        together.advance(600)
    together.stop("planning")
    report = bill(together, limits=Limits(Decimal(100), None, Decimal(1)))
    assert [(one.name, one.record and one.record.state) for one in report.lines] == [
        ("planning", "DELETED"),
        ("coding", "READY"),
    ]
    assert report.total.cents == sum((one.usage.cents for one in report.lines), Decimal(0))
    assert abs(report.total.cents - sum(together.metered().values())) < Decimal("1e-9")
    assert report.share_of_budget == report.total.high_cents / 10_000
    assert report.standing.burn_cents_per_hour == 2196


def test_what_is_gone_and_cost_nothing_is_not_on_the_bill(together: Service) -> None:
    together.fault(r"/endpoints$", method="POST", cut="before")
    with pytest.raises(Exception, match="disconnected"):
        together.deploy()
    together.clear_faults()
    together.stop()
    assert bill(together).lines == ()
    assert len(Deployments(together.store).all()) == 1


@pytest.mark.both_engines
@pytest.mark.parametrize("by", By)
def test_every_grouping_adds_up_to_the_same(together: Service, by: By) -> None:
    together.ask("POST", "/_sandbox/fine-tunes", {"model": MODEL, "totalPriceNanoDollars": 4_123_456_789})
    together.deploy("planning")
    together.advance(40_000)
    together.deploy("coding")
    together.advance(80_000)
    report = bill(together, by, days=3)
    exact = sum(together.metered().values()) + Decimal("412.3456789")
    assert abs(report.total.cents - exact) < Decimal("1e-9")
    assert len(report.lines) == {By.MODEL: 3, By.TYPE: 3, By.DAY: 3}.get(by, len(report.lines))


MODEL = "moonmakesmagic/DeepSeek-Qwen-14B-planning"


def test_a_days_line_holds_what_ran_on_that_day(together: Service) -> None:
    together.deploy("planning")
    ready = together.client.now()
    together.advance(86_400)
    report = bill(together, By.DAY, days=2)
    first, second = report.lines
    midnight = (ready + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    assert first.usage.time == midnight - ready
    assert second.usage.time == timedelta(days=1) - (midnight - ready)
    assert (first.begin, second.begin) == (midnight - timedelta(days=1), midnight)


def test_decisions_are_those_our_model_answered_while_it_was_there(together: Service) -> None:
    together.deploy("planning")
    at = together.client.now()
    samples = [sample(number, at + timedelta(minutes=number)) for number in range(40)]
    samples += [sample(100, at, "original"), sample(101, at, "fallback"), sample(102, at, model_type="coding")]
    samples += [sample(103, at - timedelta(days=2))]
    Samples(together.store).insert_many(samples)
    together.advance(3600)
    (line,) = bill(together).lines
    assert (line.decisions, line.counted_by) == (40, "log")
    assert line.cents_per_1000 is None, "too few for a price"


@pytest.mark.parametrize(("decisions", "price"), [(99, None), (100, Decimal(5490))])
def test_a_price_of_a_thousand_takes_a_hundred_decisions(
    together: Service, decisions: int, price: Decimal | None
) -> None:
    together.deploy("planning")
    at = together.client.now()
    Samples(together.store).insert_many([sample(number, at + timedelta(seconds=number)) for number in range(decisions)])
    together.advance(3600)
    (line,) = bill(together).lines
    assert (line.decisions, line.cents_per_1000) == (decisions, price)


def test_a_decision_is_that_of_the_deployment_it_names(together: Service) -> None:
    """Two deployments of one type: each has its own; who else answered in a slot is told apart."""
    together.deploy("planning")
    together.deploy("planning", model_type="planning", endpoint="second")
    at = together.client.now()
    answers = [*["sandbox/planning"] * 3, *["sandbox/second"] * 5, MODELS["planning"], *["elsewhere/tuned"] * 2]
    Samples(together.store).insert_many(
        [sample(number, at + timedelta(minutes=number), model=model) for number, model in enumerate(answers)]
        + [sample(100 + number, at, "fallback", model="sandbox/planning") for number in range(7)]
    )
    together.advance(3600)
    report = bill(together)
    assert {one.name: one.decisions for one in report.lines} == {"planning": 4, "second": 5}
    assert [(one.model, one.decisions) for one in report.elsewhere] == [("elsewhere/tuned", 2)]
    assert [(one.source, one.decisions) for one in report.original] == [("fallback", 7)]
    assert [one.decisions for one in bill(together, By.TYPE).lines] == [9]
    assert [one.decisions for one in bill(together, By.DAY).lines] == [9]


@pytest.mark.both_engines
def test_of_deployments_under_one_name_it_is_the_one_that_was_ready(together: Service) -> None:
    together.deploy("planning")
    Samples(together.store).insert_many([sample(1, together.client.now() + timedelta(minutes=1))])
    together.advance(3600)
    together.stop("planning")
    together.advance(600)
    together.deploy("planning")
    later = together.client.now()
    Samples(together.store).insert_many([sample(10 + number, later + timedelta(minutes=number)) for number in range(2)])
    together.advance(3600)
    assert [(one.name, one.decisions) for one in bill(together).lines] == [("planning", 1), ("planning", 2)]
    assert sum(one.decisions or 0 for one in bill(together, By.HOUR).lines) == 3


def test_while_one_takes_the_others_place_it_is_the_first(together: Service) -> None:
    old, new = (replace(together.deploy(one).record, serving_name="sandbox/planning") for one in ("planning", "coding"))
    begin = together.client.now()
    together.advance(3600)
    together.stop("planning")
    stopped = together.client.now()
    together.advance(3600)
    refresh(together.client, together.store)
    owners = Owners([old, new], readings_by_deployment(together.store))
    moments = [begin - timedelta(days=9), begin, stopped - timedelta(minutes=9), stopped, stopped + timedelta(days=9)]
    assert [owners.at(one) == new.key for one in moments] == [False, False, False, True, True]
    assert Owners([old, new], {}).at(begin) == new.key, "without a reading the newest"


def test_what_an_adapter_answered_is_its_deployments(together: Service) -> None:
    host = together.deploy("planning").record
    Deployments(together.store).record_intent(
        replace(host, key="rider", deployment_name="a", serving_name="sandbox/planning#a", rides_on=host.key)
    )
    Samples(together.store).insert_many([sample(1, together.client.now(), model="sandbox/planning#a")])
    together.advance(60)
    assert [one.decisions for one in bill(together).lines] == [1]


@pytest.mark.parametrize("by", [By.DAY, By.HOUR])
def test_by_day_and_hour_together_counts_where_the_log_has_none(together: Service, by: By) -> None:
    ours = together.deploy("planning").record
    other = together.deploy("coding").record
    for _ in range(3):
        for record in (ours, other):
            together.client.chat(record.serving_name or "", [{"role": "user", "content": "hello"}], max_tokens=5)
        together.advance(3600)
    at = together.client.now() - timedelta(hours=1)
    Samples(together.store).insert_many([sample(number, at, model="sandbox/coding") for number in range(50)])
    report = bill(together, by)
    totals = {one.name: one.decisions for one in bill(together).lines}
    assert totals == {"planning": 4, "coding": 50}, "three, and the first answer of the deploy"
    assert sum(one.decisions or 0 for one in report.lines) == 54
    assert {one.counted_by for one in report.lines if one.decisions} <= {"log", "together", "log and together"}
    assert not report.has_uncounted


def test_together_is_not_asked_for_hundreds_of_lines(together: Service) -> None:
    together.deploy("planning")
    together.advance(7 * 86_400)
    refresh(together.client, together.store)
    together.forget_journal()
    report = bill(together, By.HOUR, days=8)
    assert (report.has_uncounted, {one.decisions for one in report.lines}) == (True, {None})
    assert not [one for one in together.journal("GET") if one["path"].endswith("/analytics")]


def test_where_the_log_has_no_decisions_together_counts_requests(together: Service) -> None:
    record = together.deploy("planning").record
    for _ in range(4):
        together.client.chat(record.serving_name or "", [{"role": "user", "content": "hello"}], max_tokens=5)
    together.advance(3600)
    (line,) = bill(together).lines
    assert (line.decisions, line.counted_by) == (5, "together"), "four, and the first answer of the deploy"


def test_what_the_original_provider_answered_is_counted_in_tokens_as_far_as_known(together: Service) -> None:
    at = together.client.now() - timedelta(minutes=1)
    Samples(together.store).insert_many(
        [sample(1, at, "original", prompt_tokens=100, completion_tokens=7), sample(2, at, "original"), sample(3, at)]
    )
    (original,) = bill(together, days=2).original
    assert (original.decisions, original.counted, original.prompt_tokens, original.completion_tokens) == (2, 1, 100, 7)
    assert (original.uncounted_prompt_chars, original.uncounted_output_chars) == (6, 6)


def test_the_last_days_of_a_line(together: Service) -> None:
    together.deploy("planning")
    together.advance(3 * 86_400)
    (line,) = bill(together).lines
    assert len(line.days) == 7
    assert [day > 0 for day in line.days] == [False, False, False, True, True, True, True]
    assert line.days[-2] == line.days[-3] == 24 * 549


def test_the_span_that_is_known_least_is_named(together: Service) -> None:
    together.deploy("planning")
    together.fault(EVENTS, status=403)
    refresh(together.client, together.store)
    before = together.client.now()
    together.advance(3600)
    report = bill(together)
    assert report.doubt is not None
    assert (report.doubt.begin, report.doubt.end) == (before, before + timedelta(hours=1))


def test_a_key_that_may_not_see_jobs_still_gets_a_bill(together: Service) -> None:
    together.fault("/v1/fine-tunes", status=403)
    assert not note_fine_tunes(together.client, together.store)
    assert bill(together).lines == ()


def test_a_bill_nobody_reads_is_refused(together: Service) -> None:
    with pytest.raises(UsageError, match="lines"):
        bill(together, By.HOUR, days=100)


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z"),
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00Z"),
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00Z"),
        ("America/Havana", "2026-03-08", "2026-03-08T05:00Z"),
    ],
)
def test_a_day_without_a_midnight_begins_an_hour_later(
    zone: str, day: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bills, in their columns and in filters, by name and as the system's zone."""
    begin = datetime.fromisoformat(begins)
    for chosen in (ZoneInfo(zone), None):
        with monkeypatch.context() as patch:
            if chosen is None:
                patch.setenv("TZ", zone)
                time.tzset()
            try:
                assert parse_span(day, None, NOW, MONTH, chosen)[0] == begin
                assert begin in day_edges(begin - timedelta(days=2), begin + timedelta(days=2), chosen)
            finally:
                patch.undo()
                time.tzset()
