"""Killed after any request while adapters come, change and go, the same command ends what was begun.

The death is an exception that nothing catches, raised where the answer of the nth request would have come back: what
the service did is done, and nothing here was written down about it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.errors import NotFoundError, ReasoningError
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.deploy.apply import run_deploy
from reasoning_cli.operations.deploy.lora import AttachPlan, plan_serving, run_attach
from reasoning_cli.operations.deploy.plan import DeployPlan
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from tests.engines.together.service import KEY, MODELS, NO_LIMITS, Service, service
from tests.operations.deploy.test_lora import attach, attached, serving, tuned

PLANNER, CODER = "sandbox/planner-adapter", "sandbox/coder-adapter"
MOST = 200  # more requests than any command here makes
Act = Callable[[Service], None]


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


def kill_everywhere(folder: Path, before: Act, act: Act, *, only_writes: bool = False) -> Iterator[Service]:
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
                assert number > (1 if only_writes else 3)
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


def jobs(together: Service) -> None:
    tuned(together)
    tuned(together, "coder")


def take(name: str, model_type: str = "planning") -> Act:
    """`models deploy NAME --adapter`, as a person types it again."""

    def act(together: Service) -> None:
        request = together.request(name, model_type=model_type, merged=False)
        plan = plan_serving(together.client, together.store, NO_LIMITS, request)
        assert isinstance(plan, AttachPlan)
        run_attach(together.client, together.store, plan, wait=together.wait())

    return act


def deploy(together: Service) -> None:
    plan = together.plan()
    assert isinstance(plan, DeployPlan)
    run_deploy(together.client, together.store, plan, wait=together.wait())


def undeploy(target: str) -> Act:
    def act(together: Service) -> None:
        with contextlib.suppress(NotFoundError):  # done already
            together.stop(target)

    return act


def after(*acts: Act) -> Act:
    def begin(together: Service) -> None:
        jobs(together)
        for act in acts:
            act(together)

    return begin


@pytest.mark.parametrize(
    ("before", "act", "serves", "rides", "only_writes"),
    [
        (after(), take(PLANNER), {"planning": PLANNER}, [PLANNER], False),
        (after(take(CODER, "coding")), take(PLANNER), {"planning": PLANNER, "coding": CODER}, [CODER, PLANNER], True),
        (after(take(PLANNER)), take(CODER), {"planning": CODER}, [CODER], True),
        (after(deploy), take(PLANNER), {"planning": PLANNER}, [PLANNER], True),
        (after(take(PLANNER)), deploy, {"planning": MODELS["planning"]}, [], True),
        (after(take(PLANNER)), undeploy("planning"), {}, [], False),
        (after(take(PLANNER), take(CODER, "coding")), undeploy("planning"), {"coding": CODER}, [CODER], True),
        (after(take(PLANNER), take(CODER, "coding")), undeploy("qwen3-8b"), {}, [], True),
    ],
    ids=[
        "attached",
        "attached beside",
        "for another adapter",
        "for a deployment",
        "a deployment for it",
        "undeployed",
        "undeployed from beside",
        "undeployed with what carries it",
    ],
)
def test_what_was_begun_is_ended(
    tmp_path: Path, before: Act, act: Act, serves: dict[str, str], rides: list[str], only_writes: bool
) -> None:
    for together in kill_everywhere(tmp_path, before, act, only_writes=only_writes):
        assert sorted(attached(together)) == rides
        assert len(together.deployments()) == len(together.endpoints()) == bool(serves)
        for endpoint, made in zip(together.endpoints(), together.deployments(), strict=True):
            assert endpoint["trafficSplit"] == [{"deploymentId": made["id"], "weight": 1}]
        slots = {one: record.model_name for one in MODELS if (record := serving(together, one)) is not None}
        assert slots == serves
        assert [one.model_name for one in Deployments(together.store).riders()] == rides
        assert all(Replacements(together.store).going(one) is None for one in MODELS)
        assert_exact(together)


def test_a_refusal_is_taken_back(tmp_path: Path) -> None:
    def refuse(together: Service) -> None:
        jobs(together)
        together.fault(r"/adapters$", status=400, method="POST", body={"error": {"message": "no"}})

    def act(together: Service) -> None:
        with contextlib.suppress(ReasoningError):
            attach(together, PLANNER)

    for together in kill_everywhere(tmp_path, refuse, act, only_writes=True):
        assert together.endpoints() == [] and Deployments(together.store).live() == []
        assert_exact(together)
