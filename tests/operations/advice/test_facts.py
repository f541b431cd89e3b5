"""What the ways are computed from, as store and settings have it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.operations.advice.facts import Asked, SideBySide, side_by_side
from reasoning_cli.operations.costs.token_prices import TokenPrice, parse_prices, shipped_prices
from reasoning_cli.operations.costs.ways import Kind, Way, cheapest
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store.audit_log import Event
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.store.serving.heads import Heads
from tests.operations.advice.scenes import GPT_4O_CENTS, HEAD, MODEL, TYPE, decisions, deployed, evaluated, head_run

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
PRICES = parse_prices(shipped_prices()) | {"local/m": TokenPrice("local/m", Decimal(0), Decimal(0))}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with open_store(tmp_path / "reasoning.db") as opened:
        yield opened
    monkeypatch.undo()
    time.tzset()


def compared(store: Store, asked: Asked = Asked(), **environ: str) -> SideBySide:
    environ = {"REASONING_HOME": "/nowhere", **environ}
    (found,) = side_by_side(store, load_settings(find_paths(environ), environ), PRICES, NOW, asked)
    return found


def way(found: SideBySide, kind: Kind) -> Way:
    return next(way for way in found.ways if way.kind is kind)


def test_hours_and_speed_are_those_of_the_log(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 100)  # 20:00
    decisions(store, NOW - timedelta(hours=23), 20)  # 00:00
    found = compared(store)
    assert found.known.load.by_hour[20] == 100 and found.known.load.by_hour[0] == 20
    assert found.known.load.a_day == 120
    baseline = way(found, Kind.BASELINE)
    assert baseline.cents_a_month == GPT_4O_CENTS * 120 * 730 / 24
    assert baseline.speed is not None
    assert (baseline.speed.p50_ms, baseline.speed.p95_ms) == (440, 494)


def test_a_week_is_the_mean_of_its_days(store: Store) -> None:
    for day in (1, 3):
        decisions(store, NOW - timedelta(days=day, hours=2), 70)
    found = compared(store, Asked(since=NOW - timedelta(days=7)))
    assert found.known.load.by_hour[21] == Decimal(20)
    assert found.comparison.decisions_per_hour == Decimal(140) / (7 * 24)
    assert way(found, Kind.BASELINE).cents_a_month == GPT_4O_CENTS * 20 * 730 / 24
    hours = compared(store, Asked(since=NOW - timedelta(hours=27)))
    assert hours.comparison.decisions == 70


def test_the_newest_head_that_proved_something_is_taken(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 100)
    assert way(compared(store), Kind.HEAD).cents_a_month is None
    head_run(store, NOW - timedelta(days=2))
    head_run(store, NOW - timedelta(days=1), share=0.2, model="head/should-respond-00000000")
    head_run(store, NOW, share=0, model="head/should-respond-11111111")
    head = compared(store).known.head
    assert head is not None and (head.model, head.share) == ("head/should-respond-00000000", Decimal("0.2"))
    found = "head/should-respond-00000000"
    assert way(compared(store), Kind.HEAD).next == f"reasoning train eval should-respond --model {found}"
    evaluated(store, NOW - timedelta(hours=1), model=found)
    assert way(compared(store), Kind.HEAD).next == f"reasoning train promote should-respond --to {found}"


def test_a_gpu_has_what_its_evaluation_and_its_traffic_say(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 100)
    deployed(store, NOW)
    unproven = way(compared(store), Kind.GPU)
    assert not unproven.passes and unproven.at_most is None and not unproven.share_is_measured
    assert compared(store).known.gpu is not None
    evaluated(store, NOW - timedelta(days=1))
    proven = way(compared(store), Kind.GPU)
    assert proven.passes and proven.at_most is not None and Decimal("0.042") < proven.at_most < Decimal("0.043")
    decisions(store, NOW - timedelta(hours=2), 180, source="slot", model=MODEL)
    fallbacks(store, NOW - timedelta(hours=2), 20)
    answers = way(compared(store), Kind.GPU)
    assert (answers.share, answers.share_is_measured) == (Decimal("0.9"), True)
    assert answers.speed is not None and answers.is_now


def fallbacks(store: Store, at: datetime, count: int) -> None:
    """So many questions that the model was asked in vain, and the baseline answered."""
    decisions(store, at - timedelta(hours=1), count, source="fallback")
    Attempts(store).insert_many(
        [
            AttemptRecord(
                f"{at - timedelta(hours=1):%d%H}-fallback-{number}",
                *(at, TYPE, "live", MODEL, "k1", None, None, "timeout", None, 100, None, None, ""),
            )
            for number in range(count)
        ]
    )


def test_an_evaluation_that_fails_the_gate_is_no_proof(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 100)
    deployed(store, NOW)
    evaluated(store, NOW - timedelta(days=1), agreed=700)
    found = way(compared(store), Kind.GPU)
    assert not found.passes and found.at_most is not None and found.at_most > Decimal("0.3")
    old = NOW - timedelta(days=30)
    evaluated(store, old)
    assert not way(compared(store), Kind.GPU).passes


def test_a_server_here_is_ones_own_and_one_away_is_serverless(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 100)
    slot = {"REASONING_SHOULD_RESPOND_MODEL": "local/m", "REASONING_SHOULD_RESPOND_MODE": "shadow"}
    here = compared(store, **slot, REASONING_SHOULD_RESPOND_PROVIDER_URL="http://127.0.0.1:8080/v1")
    assert way(here, Kind.OWN_SERVER).cents_a_month == 0 and way(here, Kind.SERVERLESS).cents_a_month is None
    assert way(here, Kind.OWN_SERVER).next == "reasoning train eval should-respond --model local/m"
    assert way(here, Kind.BASELINE).is_now
    away = compared(store, **slot, REASONING_SHOULD_RESPOND_PROVIDER_URL="https://api.acme.example/v1")
    assert way(away, Kind.SERVERLESS).cents_a_month == 0 and way(away, Kind.OWN_SERVER).cents_a_month is None


def test_what_another_server_showed_is_no_proof_of_this_one(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 100)
    here = "http://127.0.0.1:8080/v1"
    slot = {"REASONING_SHOULD_RESPOND_MODEL": "local/m", "REASONING_SHOULD_RESPOND_PROVIDER_URL": here}
    evaluated(store, NOW - timedelta(days=1), model="local/m", server="http://127.0.0.1:9090/v1")
    assert not way(compared(store, **slot), Kind.OWN_SERVER).passes
    evaluated(store, NOW - timedelta(days=1), model="local/m", server=here)
    proven = way(compared(store, **slot), Kind.OWN_SERVER)
    assert (proven.passes, proven.next) == (True, "reasoning train promote should-respond --to local/m")


def test_what_is_assumed_takes_the_place_of_what_the_log_says(store: Store) -> None:
    decisions(store, NOW - timedelta(hours=3), 100)
    asked = Asked(decisions_per_hour=Decimal(30), tokens=(1000, 0), gpu_cents_per_hour=300, serverless="gpt-4.1-nano")
    found = compared(store, asked)
    assert way(found, Kind.BASELINE).cents_a_month == Decimal("0.25") * 30 * 730
    assert way(found, Kind.GPU).cents_a_month == 300 * 730
    assert way(found, Kind.SERVERLESS).cents_a_month == Decimal("0.01") * 30 * 730
    assert found.is_assumed


def test_a_head_in_line_has_what_it_answered_measured(store: Store) -> None:
    head_run(store, NOW - timedelta(days=3))
    in_line = {"REASONING_SHOULD_RESPOND_LINE": "head, together", "REASONING_SHOULD_RESPOND_HEAD": HEAD[5:]}
    decisions(store, NOW - timedelta(hours=3), 143)
    decisions(store, NOW - timedelta(hours=3), 57, source="slot", model=HEAD)
    audited(store, NOW - timedelta(hours=3), 3)
    Heads(store).put_in_line(HEAD, NOW - timedelta(days=2))
    shadow = way(compared(store, **in_line), Kind.HEAD)
    assert not shadow.is_now and not shadow.share_is_measured
    live = compared(store, **in_line, REASONING_SHOULD_RESPOND_HEAD_MODE="live")
    assert way(live, Kind.HEAD).is_now and not way(live, Kind.BASELINE).is_now
    assert (way(live, Kind.HEAD).share, way(live, Kind.HEAD).share_is_measured) == (Decimal("0.285"), True)
    assert way(live, Kind.HEAD).cents_a_month == GPT_4O_CENTS * 143 * 730 / 24
    assert way(live, Kind.HEAD).speed is not None
    assert way(live, Kind.BASELINE).next == f"reasoning models disable {HEAD}"
    Heads(store).put_in_line(HEAD, NOW - timedelta(hours=1))
    assert not way(compared(store, **in_line, REASONING_SHOULD_RESPOND_HEAD_MODE="live"), Kind.HEAD).share_is_measured


def test_what_a_head_answers_does_not_hang_on_how_much_of_it_was_audited_before(store: Store) -> None:
    head_run(store, NOW - timedelta(days=3))
    at = NOW - timedelta(hours=3)
    decisions(store, at, 170)
    decisions(store, at, 30, source="slot", model=HEAD)
    audited(store, at, 30)  # half of what it was sure of, until the share was set to 5 %
    audited(store, at, 20, first=30, failure="not confident enough")
    Heads(store).put_in_line(HEAD, NOW - timedelta(days=2))
    found = compared(
        store,
        REASONING_SHOULD_RESPOND_LINE="head, together",
        REASONING_SHOULD_RESPOND_HEAD=HEAD[5:],
        REASONING_SHOULD_RESPOND_HEAD_MODE="live",
    )
    assert (found.known.head and found.known.head.share, way(found, Kind.HEAD).share) == (
        Decimal("0.3"),
        Decimal("0.285"),
    )


def audited(store: Store, at: datetime, count: int, *, first: int = 0, failure: str | None = None) -> None:
    """So many of the hour's decisions, which the original answered, were drawn to audit the head."""
    agrees = True if failure is None else None
    Attempts(store).insert_many(
        [
            AttemptRecord(
                f"{at:%d%H}--{number}", at, TYPE, "live", HEAD, None, "IGNORE", agrees, failure, 0.99, 0, 0, 0, ""
            )
            for number in range(first, first + count)
        ]
    )


def test_a_head_that_its_audits_took_out_is_not_advised(store: Store) -> None:
    head_run(store, NOW - timedelta(days=3))
    decisions(store, NOW - timedelta(hours=3), 100)
    assert cheapest(compared(store).ways) == way(compared(store), Kind.HEAD)
    since = NOW - timedelta(days=2)
    Heads(store).put_in_line(HEAD, since)
    Heads(store).take_out(HEAD, since, Event(NOW, "gateway", "take_out_head", TYPE, {}), "it disagreed")
    assert cheapest(compared(store).ways) == way(compared(store), Kind.BASELINE)
    assert way(compared(store), Kind.HEAD).next == "reasoning train start should-respond --engine head"
