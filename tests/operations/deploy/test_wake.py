"""A stopped model that traffic asks for: started when money, hours and the last start allow it, and never in a loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.errors import LimitError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.deploy.wake import Woken, look, wake
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.values import Hours, parse_daily_hours
from tests.engines.together.service import NO_LIMITS, Service, service


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Service]:
    """A planning model that was deployed, and is STOPPED."""
    with service(tmp_path) as one:
        one.deploy()
        one.stop(keep=True)
        one.advance(60)
        yield one


def key(together: Service) -> str:
    (record,) = Deployments(together.store).live()
    return record.key


def woken(together: Service, limits: Limits = NO_LIMITS, hours: Hours | None = None) -> Woken:
    return wake(together.client, together.store, limits, hours, "planning", key(together))


def until_ready(together: Service) -> str:
    for _ in range(40):
        state = look(together.client, together.store, key(together)).state
        if state == "READY":
            break
        together.advance(30)
    return state


def test_it_is_started_once_and_the_log_says_why(stopped: Service) -> None:
    done = woken(stopped)
    assert (done.started, done.text) == (True, "started: a planning decision came in")
    event = [one for one in Events(stopped.store).list() if one.actor != "together"][-1]
    assert (event.actor, event.action, event.subject) == ("gateway", "wake", "planning")
    assert event.detail == {"why": "traffic", "text": "a planning decision came in"}
    stopped.advance(10)
    again = woken(stopped)
    assert not again.started
    assert until_ready(stopped) == "READY"
    assert (woken(stopped).started, woken(stopped).text) == (False, "the model is READY")


def test_after_it_was_ready_it_may_be_started_again_but_not_within_minutes(stopped: Service) -> None:
    assert woken(stopped).started
    assert until_ready(stopped) == "READY"
    stopped.stop(keep=True)
    said = woken(stopped)
    while "started lately" in said.text:
        stopped.advance(60)
        said = woken(stopped)
    assert said.started


def test_a_start_in_vain_doubles_the_wait(stopped: Service) -> None:
    waits = []
    for _ in range(4):
        waited = 0
        while not woken(stopped).started:
            stopped.advance(60)
            waited += 1
        waits.append(waited)
        stopped.scale(0, 0)  # it never gets READY
        stopped.advance(30)
        look(stopped.client, stopped.store, key(stopped))
    assert waits[0] == 0
    assert 4 <= waits[1] <= 6
    assert 8 <= waits[2] <= 11
    assert 17 <= waits[3] <= 21


@pytest.mark.parametrize(
    "limits",
    [
        Limits(Decimal(1), None, Decimal(0)),
        Limits(None, Decimal(1), Decimal(0)),
        replace(NO_LIMITS, by_type={"planning": Decimal("0.01")}),
    ],
    ids=["budget", "cap", "budget of its type"],
)
def test_money_says_no(stopped: Service, limits: Limits) -> None:
    with pytest.raises(LimitError):
        woken(stopped, limits)
    assert look(stopped.client, stopped.store, key(stopped)).state == "STOPPED"
    assert not [one for one in Events(stopped.store).list() if one.action == "wake"]


def test_outside_its_hours_it_is_left_alone(stopped: Service) -> None:
    now = stopped.client.now().astimezone()
    outside = parse_daily_hours(f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M}")
    done = woken(stopped, hours=outside)
    assert (done.started, done.text) == (False, f"its hours are {outside}")
