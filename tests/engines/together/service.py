"""Together for tests: a sandbox whose clock moves only when told, its controls, and a store to go with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.costs.ledger import Usage, usage_by_deployment
from reasoning_cli.operations.deploy.apply import Deployed, run_deploy
from reasoning_cli.operations.deploy.plan import DeployPlan, DeployRequest, plan_deploy
from reasoning_cli.operations.deploy.teardown import Stopped, plan_stop, run_stop
from reasoning_cli.operations.deploy.wait import Progress, Waiting
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.server import SandboxServer
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store

KEY = "sandbox-key"
HEADERS = {"authorization": f"Bearer {KEY}"}
PROJECT = "/v2/projects/proj_sandbox"
MODELS = {
    "should_respond": "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond",
    "planning": "moonmakesmagic/DeepSeek-Qwen-14B-planning",
    "coding": "moonmakesmagic/DeepSeek-Llama-67B-coding",
}
NO_LIMITS = Limits(None, None, Decimal(1))
ENDPOINTS = rf"^{PROJECT}/endpoints$"
DEPLOYMENTS = rf"^{PROJECT}/endpoints/[^/]+/deployments$"
INSTANCE_TYPES = "/v2/public/inference-instance-types"
SOLD_OUT = [{"name": "us-central-1", "headroom": {"value": 0, "relation": "RELATION_EQ"}}]
EVENTS = r"/events$"


@dataclass
class Service:
    """One sandbox, one store, and everything a test does to them."""

    url: str
    http: httpx.Client
    client: TogetherClient
    store: Store
    server: SandboxServer
    slept: list[float] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)

    # --- the sandbox's controls ---

    def ask(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Somebody else's request, or a control of the sandbox: put to it without a connection, of which there would be
        a quarter of all."""
        queries = tuple((name, str(value)) for name, value in query.items())
        content = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, dict(queries), content, self.url, "", queries)
        answer = self.server.service.respond(request, HEADERS, time.sleep, lambda: None)
        assert answer.status == 200, answer.body.decode()
        return json.loads(answer.body)

    def advance(self, seconds: float) -> None:
        self.ask("POST", "/_sandbox/clock", {"advance_seconds": seconds})

    def run_clock(self) -> None:
        """From now on each request takes ten seconds of the service's clock, whatever the machine's says: the same
        looks see the same states however slow it is."""
        self.ask("POST", "/_sandbox/clock", {"step_seconds": 10})

    def fault(self, path: str, **members: object) -> None:
        self.ask("POST", "/_sandbox/faults", {"path": path, **members})

    def clear_faults(self) -> None:
        self.ask("DELETE", "/_sandbox/faults")

    def sell(self, **members: object) -> None:
        """Hardware as Together offers it from now on: each instance type with `members` changed."""
        types = self.ask("GET", INSTANCE_TYPES)["data"]
        self.fault(INSTANCE_TYPES, status=200, body={"data": [one | members for one in types], "next_cursor": None})

    def behave(self, **members: object) -> None:
        self.ask("POST", "/_sandbox/behaviour", members)

    def journal(self, method: str | None = None) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.ask("GET", "/_sandbox/requests")
        return [one for one in entries if method in (None, one["method"])]

    def forget_journal(self) -> None:
        self.ask("DELETE", "/_sandbox/requests")

    def creations(self) -> list[str]:
        """What was asked to be made, in order: `endpoints`, `deployments`; checks (validateOnly) are none."""
        return [
            one["path"].rpartition("/")[2]
            for one in self.journal("POST")
            if one["path"].startswith("/v2/") and one["query"].get("validateOnly") != "true"
        ]

    def endpoints(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"{PROJECT}/endpoints")["data"]
        return found

    def deployments(self) -> list[dict[str, Any]]:
        return [
            one
            for endpoint in self.endpoints()
            for one in self.ask("GET", f"{PROJECT}/endpoints/{endpoint['id']}/deployments")["data"]
        ]

    def scale(self, low: int, high: int, name: str = "") -> None:
        """Somebody scales the one deployment (whose name begins so) at Together."""
        (one,) = [one for one in self.deployments() if one["name"].split("/")[1].startswith(name)]
        path = f"{PROJECT}/endpoints/{one['endpointId']}/deployments/{one['id']}"
        self.ask("PATCH", path, {"autoscaling": {"minReplicas": low, "maxReplicas": high}})

    def metered(self) -> dict[str, Decimal]:
        """Exact cents by deployment id, as the vendor's meter has them."""
        return {
            one["deploymentId"]: Decimal(one["costCents"]) for one in self.ask("GET", "/_sandbox/meter")["deployments"]
        }

    # --- the program's operations ---

    def sleep(self, seconds: float) -> None:
        """What is slept while waiting passes on the service's clock: 30 seconds for each look."""
        self.slept.append(seconds)
        self.advance(30)

    def wait(self, minutes: float = 30) -> Waiting:
        return Waiting(5, timedelta(minutes=minutes), self.sleep, self.told.append)

    def request(self, target: str = "planning", idle_minutes: int = 0, **members: Any) -> DeployRequest:
        return DeployRequest(target, MODELS, idle_minutes, **members)

    def plan(self, target: str = "planning", *, limits: Limits = NO_LIMITS, **members: Any) -> DeployPlan:
        return plan_deploy(self.client, self.store, limits, self.request(target, **members))

    def deploy(self, target: str = "planning", *, limits: Limits = NO_LIMITS, **members: Any) -> Deployed:
        return run_deploy(self.client, self.store, self.plan(target, limits=limits, **members), wait=self.wait())

    def stop(self, target: str = "planning", *, keep: bool = False) -> Stopped:
        return run_stop(self.client, self.store, plan_stop(self.store, target, keep=keep), self.wait())

    def usage(self) -> dict[str, Usage]:
        """What the ledger says about every deployment, by Together's id, over all time."""
        ever = datetime.fromisoformat("2000-01-01T00:00:00Z"), datetime.fromisoformat("2100-01-01T00:00:00Z")
        by_key = usage_by_deployment(self.store, *ever)
        ids = {
            row["key"]: row["deployment_id"] for row in self.store.rows("SELECT key, deployment_id FROM deployments")
        }
        return {str(ids[key]): usage for key, usage in by_key.items()}


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """A fresh sandbox standing still on the second day of a month, and a store in `folder`."""
    with ExitStack() as stack:
        server = stack.enter_context(SandboxServer(speed=0))
        http = stack.enter_context(httpx.Client(base_url=server.url, headers=HEADERS, timeout=60, trust_env=False))
        store = stack.enter_context(open_store(folder / "reasoning.db"))
        slept: list[float] = []
        client = TogetherClient(server.url, KEY, sleep=slept.append)
        stack.callback(client.close)
        one = Service(server.url, http, client, store, server, slept)
        # The Date header knows whole seconds only: begin with one, so that sums come out exact; and far from the end of
        # a month, so that what is spent is spent in one.
        now = datetime.fromisoformat(one.ask("GET", "/_sandbox")["now"])
        begin = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=2)
        one.advance(round((begin - now).total_seconds(), 3))
        yield one
