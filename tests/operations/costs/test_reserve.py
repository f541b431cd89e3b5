"""Of several that ask for money at once each counts what the others were given, before the service knows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.engines.errors import UnreachableError
from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.errors import LimitError, ReasoningError, RemoteError
from reasoning_cli.operations.costs import reserve
from reasoning_cli.operations.costs.budget import Limits, standing
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.costs.reserve import Reserved, reserve_price, reserve_replicas
from reasoning_cli.operations.deploy.apply import run_deploy
from reasoning_cli.operations.deploy.plan import plan_deploy, plan_start
from reasoning_cli.operations.deploy.wake import wake
from reasoning_cli.operations.guard.loop import Guard
from reasoning_cli.operations.guard.policy import Rules
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.deploy.reservations import LASTS, Reservations
from reasoning_cli.store.open import open_store
from tests.engines.together.service import KEY, NO_LIMITS, Service, service
from tests.operations.fleet import Fleet

pytestmark = pytest.mark.both_engines

CAP = Limits(None, Decimal(8), Decimal(1))  # one of two models of $5.49 an hour
BUDGET = Limits(Decimal("8.00"), None, Decimal(1))


@dataclass
class Host:
    """Another host: its own connection to the same store, and to Together."""

    client: TogetherClient
    store: Store


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as found:
        yield found


@pytest.fixture
def elsewhere(together: Service) -> Iterator[Host]:
    with ExitStack() as stack:
        client = TogetherClient(together.url, KEY, sleep=lambda seconds: None)
        stack.callback(client.close)
        yield Host(client, stack.enter_context(open_store(together.store.path)))


@pytest.fixture
def stopped(together: Service) -> Service:
    for model_type in ("planning", "should_respond"):
        together.deploy(model_type)
        together.stop(model_type, keep=True)
    together.advance(60)
    return together


def key(together: Service, name: str) -> str:
    return next(record.key for record in Deployments(together.store).live() if record.endpoint_name == name)


def running(together: Service) -> list[str]:
    return [
        found["name"].split("/")[1]
        for found in together.deployments()
        if found["status"]["state"].removeprefix("DEPLOYMENT_STATE_") not in ("STOPPED", "STOPPING")
    ]


@pytest.mark.parametrize("limits", [CAP, BUDGET])
def test_what_was_planned_before_another_deployed_is_looked_at_again(
    together: Service, elsewhere: Host, limits: Limits
) -> None:
    ours = together.plan("planning", limits=limits)
    theirs = plan_deploy(elsewhere.client, elsewhere.store, limits, together.request("should-respond"))
    run_deploy(elsewhere.client, elsewhere.store, theirs, wait=None)
    with pytest.raises(LimitError, match=r"`planning` costs \$5\.49 an hour, \$5\.49 runs already"):
        run_deploy(together.client, together.store, ours, wait=None)
    assert running(together) == ["should-respond"]
    assert [record.endpoint_name for record in Deployments(together.store).all()] == ["should-respond"]


@pytest.mark.parametrize("limits", [CAP, BUDGET])
def test_two_starts_that_were_both_allowed_are_not_both_done(stopped: Service, elsewhere: Host, limits: Limits) -> None:
    ours = plan_start(stopped.client, stopped.store, limits, "planning")
    theirs = plan_start(elsewhere.client, elsewhere.store, limits, "should-respond")
    run_deploy(elsewhere.client, elsewhere.store, theirs, wait=None)
    with pytest.raises(LimitError):
        run_deploy(stopped.client, stopped.store, ours, wait=None)
    assert running(stopped) == ["should-respond"]


def test_scaling_up_is_looked_at_again_and_scaling_down_is_not(together: Service, elsewhere: Host) -> None:
    together.deploy(max_replicas=2)
    ours = together.plan(max_replicas=3, limits=Limits(None, Decimal(17), Decimal(1)))
    down = together.plan(max_replicas=1, limits=Limits(None, Decimal(5), Decimal(1)))
    theirs = plan_deploy(
        elsewhere.client, elsewhere.store, Limits(None, Decimal(17), Decimal(1)), together.request("should-respond")
    )
    run_deploy(elsewhere.client, elsewhere.store, theirs, wait=None)
    with pytest.raises(LimitError, match=r"`planning` costs \$5\.49 an hour, \$16\.47 runs already"):
        run_deploy(together.client, together.store, ours, wait=None)
    run_deploy(together.client, together.store, down, wait=None)


@pytest.mark.parametrize("how", ["wake", "guard", "start"])
def test_a_start_that_is_under_way_counts_although_together_has_not_heard_of_it(
    stopped: Service, elsewhere: Host, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """At the moment another host sends its request, ours decides."""
    refusals: list[ReasoningError] = []

    def ours() -> None:
        with pytest.raises(LimitError) as refused:
            wake(stopped.client, stopped.store, CAP, None, "planning", key(stopped, "planning"))
        refusals.append(refused.value)

    usual = elsewhere.client.scale

    def scale(*values: object) -> None:
        ours()
        usual(*values)  # type: ignore[arg-type]

    theirs: dict[str, Callable[[], object]] = {
        "wake": lambda: wake(
            elsewhere.client, elsewhere.store, CAP, None, "should_respond", key(stopped, "should-respond")
        ),
        "start": lambda: run_deploy(
            elsewhere.client,
            elsewhere.store,
            plan_start(elsewhere.client, elsewhere.store, CAP, "should-respond"),
            wait=None,
        ),
        "guard": lambda: by_hours(elsewhere),
    }
    monkeypatch.setattr(elsewhere.client, "scale", scale)
    theirs[how]()
    assert ["the cap of $8 an hour would be broken" in refusal.message for refusal in refusals] == [True]
    assert running(stopped) == ["should-respond"]


def by_hours(host: Host) -> None:
    """The guard starts what it stopped outside its hours, when they begin."""
    from reasoning_cli.operations.guard.policy import Verdict, Why

    record = Deployments(host.store).find("should_respond")
    assert record is not None
    rules = Rules(CAP, {}, 0, {}, timedelta(minutes=1))
    Guard(host.store)._act(host.client, Verdict(record, Why.HOURS, "", start=True), rules, host.client.now())


def test_a_look_from_before_the_start_hides_nothing(stopped: Service, elsewhere: Host) -> None:
    """Whoever looked before, and writes that down after, makes a model that starts seem to rest."""
    planning = key(stopped, "planning")
    before = Deployments(elsewhere.store).get(planning)
    assert before is not None
    wake(stopped.client, stopped.store, CAP, None, "planning", planning)
    Deployments(elsewhere.store).update(planning, seen_at=stopped.client.now(), state="STOPPED", max_replicas=0)
    with pytest.raises(LimitError):
        wake(elsewhere.client, elsewhere.store, CAP, None, "should_respond", key(stopped, "should-respond"))
    stopped.advance(60)
    seen = observe(stopped.client, stopped.store, before)
    assert (seen.state, seen.max_replicas) == ("SCALING", 1)
    Deployments(elsewhere.store).update(planning, seen_at=before.state_at, state="STOPPED", max_replicas=0)
    assert Deployments(stopped.store).get(planning) == seen


def test_what_was_stopped_makes_room_at_once(stopped: Service, elsewhere: Host) -> None:
    planning, other = key(stopped, "planning"), key(stopped, "should-respond")
    wake(stopped.client, stopped.store, CAP, None, "planning", planning)
    stopped.stop("planning", keep=True)
    assert wake(elsewhere.client, elsewhere.store, CAP, None, "should_respond", other).started


def test_a_refused_request_needs_nothing_a_lost_one_counts_until_it_cannot_come_any_more(
    stopped: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    planning = Deployments(stopped.store).get(key(stopped, "planning"))
    assert planning is not None

    def reserved() -> Reserved:
        return reserve_replicas(stopped.store, CAP, planning, 1, stopped.client.now())

    with pytest.raises(ReasoningError, match="refused"), reserved().sending():
        raise ReasoningError("refused", "")
    assert burn(stopped) == 0
    with pytest.raises(UnreachableError), reserved().sending():
        raise UnreachableError("lost", "", maybe_done=True)
    assert burn(stopped) == 549
    late = stopped.store.clock() + LASTS
    monkeypatch.setattr(stopped.store, "clock", lambda: late)
    assert burn(stopped) == 0
    again = reserved()
    assert len(Reservations(stopped.store).standing()) == 1
    began = again.began[1]
    monkeypatch.setattr(reserve.time, "time", lambda: began + 601)  # the machine slept
    with pytest.raises(RemoteError, match="ran out before it was sent"), again.sending():
        pytest.fail("it was sent")
    assert burn(stopped) == 0


def test_cents_that_are_spent_once_are_reserved_by_type(together: Service) -> None:
    store, at = together.store, together.client.now()
    typed = Limits(Decimal(10), None, Decimal(1), by_type={"planning": Decimal(10), "coding": Decimal(10)})
    held = reserve_price(store, "training run 1", "planning", 400, lambda: None)
    used = {name: standing(store, typed, at, name).usage.high_cents for name in (None, "planning", "coding")}
    assert used == {None: 400, "planning": 400, "coding": 0}
    held.release()
    assert standing(store, typed, at).usage.high_cents == 0


def burn(together: Service) -> int:
    return standing(together.store, NO_LIMITS, together.client.now()).burn_cents_per_hour


@pytest.mark.parametrize("seed", [5, 6])
def test_three_hosts_at_once_never_pass_the_limits(together: Service, tmp_path: Path, seed: int) -> None:
    with Fleet(together, [together.store.path] * 3, seed) as fleet:
        fleet.play(7)
    assert fleet.problems == []
    assert fleet.refused
    assert fleet.started
