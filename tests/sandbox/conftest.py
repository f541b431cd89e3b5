"""A sandbox whose clock only moves when told, and a plain HTTP client that checks every answer against the contract."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.conftest import SHARED
from tests.direct import over_http
from tests.sandbox.contract import CONTRACT_FILE, Contract, load_contract, load_legacy_contract

PROJECT = "/v2/projects/proj_sandbox"
SHOULD_RESPOND = "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond"
_LEGACY_PATHS = ("/v1/endpoints", "/v1/hardware", "/v1/clusters")
PLANNING = "moonmakesmagic/DeepSeek-Qwen-14B-planning"
CODING = "moonmakesmagic/DeepSeek-Llama-67B-coding"


class Api:
    """Requests with the sandbox's key; JSON in and out."""

    def __init__(self, url: str, contract: Contract | None = None) -> None:
        self.http = httpx.Client(base_url=url, headers={"authorization": "Bearer sandbox-key"}, timeout=60)
        self._contract = contract

    def request(self, method: str, path: str, body: object = None, **query: object) -> httpx.Response:
        params = {name: str(value) for name, value in query.items()}
        response = self.http.request(method, path, json=body, params=params)
        if self._contract and not path.startswith("/_sandbox"):
            is_legacy = path.startswith(_LEGACY_PATHS) and response.is_success  # its errors are described wrongly there
            contract = load_legacy_contract(SHARED) if is_legacy else self._contract
            answer = response.json() if response.content else None
            assert contract.response_violations(method, path, response.status_code, answer) == []
        return response

    def ok(self, method: str, path: str, body: object = None, **query: object) -> Any:
        response = self.request(method, path, body, **query)
        assert response.status_code == 200, response.text
        return response.json()

    def error(self, method: str, path: str, body: object = None, **query: object) -> tuple[int, str]:
        """(status, message) of a refusal."""
        response = self.request(method, path, body, **query)
        assert response.status_code >= 400, response.text
        return response.status_code, response.json()["error"]["message"]

    def advance(self, seconds: float) -> None:
        self.ok("POST", "/_sandbox/clock", {"advance_seconds": seconds})

    def model(self, name: str) -> dict[str, Any]:
        return next(one for one in self.ok("GET", f"{PROJECT}/models")["data"] if one["name"] == name)

    def config(self, model: dict[str, Any], hardware: str = "1xnvidia-h100-80gb") -> dict[str, Any]:
        path = f"projects/{model['projectId']}/models/{model['id']}"
        for config in self.ok("GET", f"{PROJECT}/configs", referenceModel=path)["data"]:
            selectors = {one["key"]: one["value"] for one in config["selectors"]}
            if f"{selectors['accelerator_count']}x{selectors['accelerator_type']}" == hardware:
                return config  # type: ignore[no-any-return]
        raise AssertionError(f"no config on {hardware}")

    def endpoint(self, name: str = "decisions") -> dict[str, Any]:
        return self.ok("POST", f"{PROJECT}/endpoints", {"name": name})  # type: ignore[no-any-return]

    def deployment_body(self, name: str = "first", model: str = SHOULD_RESPOND, **members: object) -> dict[str, Any]:
        row = self.model(model)
        config = self.config(row, "4xnvidia-h100-80gb" if model == CODING else "1xnvidia-h100-80gb")
        return {
            "name": name,
            "model": f"projects/{row['projectId']}/models/{row['id']}",
            "config": f"projects/{config['projectId']}/configs/{config['id']}",
            "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
            **members,
        }

    def deployment(self, endpoint: dict[str, Any], name: str = "first", **members: Any) -> dict[str, Any]:
        body = self.deployment_body(name, **members)
        return self.ok("POST", deployments_of(endpoint), body)  # type: ignore[no-any-return]

    def get(self, deployment: dict[str, Any]) -> dict[str, Any]:
        return self.ok("GET", path_of(deployment))  # type: ignore[no-any-return]

    def state(self, deployment: dict[str, Any]) -> tuple[str, int]:
        """(state without its prefix, ready replicas)."""
        status = self.get(deployment)["status"]
        return status["state"].removeprefix("DEPLOYMENT_STATE_"), status["readyReplicas"]

    def scale(self, deployment: dict[str, Any], low: int, high: int) -> None:
        self.ok("PATCH", path_of(deployment), {"autoscaling": {"minReplicas": low, "maxReplicas": high}})

    def route(self, endpoint: dict[str, Any], **weights: float) -> None:
        """Set the whole split, by deployment id."""
        split = [{"deploymentId": key, "weight": weight} for key, weight in weights.items()]
        self.ok("PATCH", f"{PROJECT}/endpoints/{endpoint['id']}", {"trafficSplit": split}, updateMask="trafficSplit")

    def serving(self, model: str = SHOULD_RESPOND, name: str = "decisions", **members: Any) -> dict[str, Any]:
        """An endpoint whose one deployment is ready and routed; answers the deployment."""
        endpoint = self.endpoint(name)
        deployment = self.deployment(endpoint, model=model, **members)
        self.advance(300)
        self.route(endpoint, **{deployment["id"]: 1})
        return self.get(deployment)

    def chat(self, text: str, model: str = "sandbox/decisions", **members: object) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        return self.request("POST", "/v1/chat/completions", body)

    def events(self, endpoint: dict[str, Any], **query: object) -> list[dict[str, Any]]:
        return self.ok("GET", f"{PROJECT}/endpoints/{endpoint['id']}/events", **query)["data"]  # type: ignore[no-any-return]

    def meter(self) -> dict[str, Any]:
        return self.ok("GET", "/_sandbox/meter")  # type: ignore[no-any-return]


def deployments_of(endpoint: dict[str, Any]) -> str:
    return f"{PROJECT}/endpoints/{endpoint['id']}/deployments"


def path_of(deployment: dict[str, Any]) -> str:
    return f"{PROJECT}/endpoints/{deployment['endpointId']}/deployments/{deployment['id']}"


def endpoint_of(deployment: dict[str, Any]) -> dict[str, Any]:
    return {"id": deployment["endpointId"]}


@pytest.fixture
def contract() -> Contract:
    if not (SHARED / CONTRACT_FILE).is_file():
        pytest.skip("no contract file here")
    return load_contract(SHARED)


@pytest.fixture
def server() -> Iterator[SandboxServer]:
    with SandboxServer(speed=Decimal(0)) as server:
        yield server


@pytest.fixture
def api(server: SandboxServer) -> Iterator[Api]:
    """Every answer is checked against the contract where that is at hand."""
    api = Api(server.url, load_contract(SHARED) if (SHARED / CONTRACT_FILE).is_file() else None)
    with api.http:
        yield api


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Real ones, which are what is tested here."""
    with over_http():
        yield
