"""Killed after any request, the same command ends what was begun: nothing twice, nothing left over, no cent astray.

The death is an exception that nothing catches, raised where the answer of the nth request would have come back: what
the service did is done, and nothing here was written down about it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx

from reasoning_cli.operations.deploying import DeployPlan
from reasoning_cli.operations.ledger import observe
from reasoning_cli.operations.replacing import Shift, plan_rollback, run_replace
from reasoning_cli.store.deployments import Deployments
from reasoning_cli.store.replacements import Replacements
from reasoning_cli.together.client import TogetherClient
from tests.together.service import KEY, MODELS, NO_LIMITS, Service, service

NEXT = "Qwen/Qwen3-8B"
MOST = 200  # more requests than any command here makes


class KilledError(BaseException):
    """Stands for kill -9: nothing gets to run after it."""


class Deadly(httpx.BaseTransport):
    """Passes requests on; dies instead of answering the one whose turn it is."""

    def __init__(self, dies_after: int, only_writes: bool) -> None:
        self._through = httpx.HTTPTransport()
        self._left = dies_after
        self._only_writes = only_writes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._through.handle_request(request)
        self._left -= not (self._only_writes and request.method == "GET")
        if self._left == 0:
            response.read()
            response.close()
            raise KilledError
        return response

    def close(self) -> None:
        self._through.close()


def deploy(together: Service) -> None:
    together.deploy()


def undeploy(together: Service) -> None:
    if Deployments(together.store).live():
        together.stop()


def replace(together: Service) -> None:
    plan = together.plan(NEXT, model_type="planning")
    shift = Shift((50, 100), timedelta(seconds=30))
    if plan.replaces is not None:
        run_replace(together.client, together.store, plan, shift, together.wait())


def roll_back(together: Service) -> None:
    (slot,) = Deployments(together.store).slots()
    if slot.model_name == MODELS["planning"] and not half_way(together):
        return
    plan = plan_rollback(together.client, together.store, NO_LIMITS, "planning")
    assert isinstance(plan, DeployPlan)
    if plan.replaces is not None:
        run_replace(together.client, together.store, plan, Shift(is_rollback=True), together.wait())


def half_way(together: Service) -> bool:
    return Replacements(together.store).going("planning") is not None


def kill_everywhere(
    folder: Path, before: Callable[[Service], None], act: Callable[[Service], None], *, only_writes: bool = False
) -> Iterator[Service]:
    """For every request that `act` makes: a world in which it died there and was run again. Ends when none kills it."""
    for number in range(1, MOST):
        place = folder / str(number)
        place.mkdir()
        with service(place) as together:
            together.behave(provisioning_seconds=5, scaling_seconds=5, stopping_seconds=5)
            before(together)
            whole = together.client
            together.client = TogetherClient(
                together.url, KEY, transport=Deadly(number, only_writes), sleep=lambda seconds: None
            )
            died = False
            try:
                act(together)
            except KilledError:
                died = True
            finally:
                with contextlib.suppress(KilledError):
                    together.client.close()
                together.client = whole
            if not died:
                assert number > 5
                return
            act(together)
            yield together
    raise AssertionError("it never ends")


def assert_exact(together: Service) -> None:
    """Everything at Together is on record once, and costs what the meter says."""
    made = {one["id"] for one in together.deployments()}
    assert {one.deployment_id for one in Deployments(together.store).live()} == made
    together.advance(3600)
    for one in Deployments(together.store).live():
        observe(together.client, together.store, one)
    exact, known = together.metered(), together.usage()
    assert exact.keys() == {key for key in known if key != "None"}
    for key, cents in exact.items():
        assert known[key].low_cents == known[key].high_cents, "events tell the exact moments"
        assert abs(known[key].cents - cents) < Decimal("0.01")


def test_a_deploy(tmp_path: Path) -> None:
    for together in kill_everywhere(tmp_path, lambda _: None, deploy):
        (made,), (endpoint,) = together.deployments(), together.endpoints()
        assert endpoint["trafficSplit"] == [{"deploymentId": made["id"], "weight": 1}]
        assert together.creations().count("endpoints") == together.creations().count("deployments") == 1
        assert_exact(together)


def test_an_undeploy(tmp_path: Path) -> None:
    for together in kill_everywhere(tmp_path, deploy, undeploy):
        assert together.endpoints() == []
        assert Deployments(together.store).live() == []
        assert_exact(together)


def test_a_replacement(tmp_path: Path) -> None:
    for together in kill_everywhere(tmp_path, deploy, replace):
        (made,), (endpoint,) = together.deployments(), together.endpoints()
        assert [one["deploymentId"] for one in endpoint["trafficSplit"]] == [made["id"]]
        (slot,) = Deployments(together.store).slots()
        assert slot.model_name == NEXT
        assert not half_way(together)
        assert together.creations().count("deployments") == 2
        assert_exact(together)


def test_a_rollback(tmp_path: Path) -> None:
    def replaced(together: Service) -> None:
        deploy(together)
        plan = together.plan(NEXT, model_type="planning")
        run_replace(together.client, together.store, plan, Shift(keep_old=True), together.wait())

    for together in kill_everywhere(tmp_path, replaced, roll_back, only_writes=True):
        (made,), (endpoint,) = together.deployments(), together.endpoints()
        assert [one["deploymentId"] for one in endpoint["trafficSplit"]] == [made["id"]]
        (slot,) = Deployments(together.store).slots()
        assert slot.model_name == MODELS["planning"]
        assert not half_way(together)
        assert_exact(together)
