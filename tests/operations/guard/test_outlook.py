"""What the guard is expected to do is what it then does, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.guard.loop import Guard
from reasoning_cli.operations.guard.outlook import Expected, outlook
from reasoning_cli.operations.guard.policy import Rules, Why
from reasoning_cli.values import Hours, parse_daily_hours
from tests.engines.together.service import NO_LIMITS, Service, service

MINUTE = timedelta(minutes=1)


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as made:
        yield made


def rules(limits: Limits = NO_LIMITS, idle: int = 0, hours: dict[str, Hours] | None = None) -> Rules:
    return Rules(limits, {}, idle, hours or {}, MINUTE)


def expected(together: Service, kept_to: Rules) -> list[Expected]:
    return outlook(together.store, kept_to, together.client.now())


def until_done(together: Service, kept_to: Rules, looks: int = 200) -> tuple[Why, object]:
    """Why the guard acts first, and when, looking every minute."""
    guard = Guard(together.store)
    for _ in range(looks):
        together.advance(60)
        seen = guard.look(together.client, kept_to)
        if seen.done:
            return seen.done[0].why, seen.at
    raise AssertionError("it did nothing")


@pytest.mark.parametrize(
    ("kept_to", "why"),
    [
        (rules(Limits(Decimal("1.00"), None, Decimal(0))), Why.BUDGET),
        (rules(Limits(None, None, Decimal(0), by_type={"planning": Decimal("0.50")})), Why.BUDGET),
        (rules(idle=20), Why.IDLE),
        (rules(Limits(Decimal("1.00"), None, Decimal(0)), idle=30), Why.BUDGET),
        (rules(Limits(Decimal("9.00"), None, Decimal(0)), idle=20), Why.IDLE),
    ],
    ids=["budget", "budget of a type", "idle", "budget before idle", "idle before budget"],
)
def test_what_is_expected_comes_when_it_is_expected(together: Service, kept_to: Rules, why: Why) -> None:
    together.deploy()
    (ahead,) = expected(together, kept_to)
    assert (ahead.record.endpoint_name, ahead.why, ahead.start) == ("planning", why, False)
    done, at = until_done(together, kept_to)
    assert done is why
    # It looks once a minute, and waits two more for what Together may not have counted yet.
    assert -MINUTE <= at - ahead.at <= 4 * MINUTE  # type: ignore[operator]


def test_hours_stop_and_start(together: Service) -> None:
    together.deploy()
    now = together.client.now().astimezone()
    begin, end = now + timedelta(hours=2), now + timedelta(hours=3)
    later = rules(hours={"planning": parse_daily_hours(f"{begin:%H:%M}-{end:%H:%M}")})
    (ahead,) = expected(together, later)
    assert (ahead.why, ahead.start, ahead.at) == (Why.HOURS, False, together.client.now()), "outside them: at once"
    until_done(together, later)
    for _ in range(10):
        together.advance(60)
        Guard(together.store).look(together.client, later)
    (ahead,) = expected(together, later)
    assert (ahead.why, ahead.start) == (Why.HOURS, True)
    assert abs(ahead.at - begin) <= MINUTE


def test_nothing_is_expected_where_no_rule_reaches(together: Service) -> None:
    assert expected(together, rules(Limits(Decimal(1), Decimal(1), Decimal(0)), idle=10)) == []
    together.deploy()
    assert expected(together, rules()) == []
    (over,) = expected(together, rules(Limits(None, Decimal(1), Decimal(0))))
    assert (over.why, over.at) == (Why.CAP, together.client.now())
