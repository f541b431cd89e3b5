"""The judge itself must be able to say no; then every route is put before it, and no route may be missing."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import PROJECT, Api, deployments_of, endpoint_of, path_of
from tests.sandbox.contract import Contract


def test_a_good_request_has_no_violations(contract: Contract) -> None:
    body = {
        "name": "first",
        "model": "projects/p/models/ml_1",
        "config": "projects/q/configs/cr_1",
        "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
        "inactiveTimeout": 30,
    }
    path = f"{PROJECT}/endpoints/ep_1/deployments"
    assert contract.request_violations("POST", path, {"validateOnly": "true"}, body) == []
    assert contract.request_violations("GET", path, {"limit": "5"}) == []
    events = {"types": "a,b", "since": "2026-11-21T00:00:00Z", "sourceKinds": "SOURCE_KIND_ENDPOINT"}
    assert contract.request_violations("GET", f"{PROJECT}/endpoints/ep_1/events", events) == []


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "why"),
    [
        ("GET", "/v2/nowhere", {}, None, "not in the contract"),
        ("POST", f"{PROJECT}/endpoints", {}, None, "body: missing"),
        ("GET", f"{PROJECT}/endpoints", {}, {"name": "x"}, "body: not wanted"),
        ("POST", f"{PROJECT}/endpoints", {}, {}, "'name' is a required property"),
        ("POST", f"{PROJECT}/endpoints", {}, {"name": "x", "slug": "y"}, "'slug' was unexpected"),
        ("GET", f"{PROJECT}/endpoints", {"limit": "many"}, None, "query limit"),
        ("GET", f"{PROJECT}/endpoints", {"colour": "red"}, None, "query colour"),
        ("GET", f"{PROJECT}/endpoints/ep_1/events", {"since": "yesterday"}, None, "query since"),
        ("GET", f"{PROJECT}/endpoints/ep_1/events", {"sourceKinds": "X"}, None, "query sourceKinds"),
        (
            "PATCH",
            f"{PROJECT}/endpoints/ep_1/deployments/dep_1",
            {},
            {"autoscaling": {"minReplicas": 0, "replicas": 1}},
            "'replicas' was unexpected",
        ),
        (
            "PATCH",
            f"{PROJECT}/endpoints/ep_1/deployments/dep_1",
            {},
            {"maxConcurrentRequestsPerReplica": 8},
            "not of type 'string'",
        ),
    ],
)
def test_a_bad_request_is_noticed(
    contract: Contract, method: str, path: str, query: dict[str, str], body: object, why: str
) -> None:
    violations = contract.request_violations(method, path, query, body)
    assert len(violations) == 1
    assert why in violations[0]


def test_a_bad_response_is_noticed(contract: Contract) -> None:
    assert contract.response_violations("GET", f"{PROJECT}/endpoints", 200, {"object": "list", "data": [{}]})
    assert contract.response_violations("GET", f"{PROJECT}/endpoints", 400, {"message": "no"})
    assert contract.response_violations("GET", "/v3/whoami", 200, {"type": "project_api_key"})


def test_every_answer_keeps_the_contract(api: Api, contract: Contract) -> None:
    """The `api` fixture judges each answer; here every route and both kinds of outcome come by."""
    deployment = api.serving(
        inactiveTimeout=30, maxConcurrentRequestsPerReplica="8", placement={"inline": {"regions": ["eu-west-1"]}}
    )
    endpoint = f"{PROJECT}/endpoints/{deployment['endpointId']}"
    model = api.model("sandbox/no-weights-8b")
    supported = api.ok("GET", "/v2/supported-models")["data"][0]["id"]
    instance = api.ok("GET", "/v2/public/inference-instance-types")["data"][0]["id"]
    config = api.ok("GET", f"{PROJECT}/configs")["data"][0]["id"]
    for path in (
        "/v3/whoami",
        "/v1/projects",
        f"{PROJECT}/endpoints",
        endpoint,
        f"{endpoint}/events",
        f"{endpoint}/analytics",
        deployments_of(endpoint_of(deployment)),
        path_of(deployment),
        f"{PROJECT}/models",
        f"{PROJECT}/models/{model['id']}",
        f"{PROJECT}/models/{model['id']}/revisions",
        f"{PROJECT}/configs/{config}",
        "/v2/organizations/org_sandbox/endpoints",
        "/v2/organizations/org_sandbox/models",
        f"/v2/supported-models/{supported}",
        f"/v2/public/inference-instance-types/{instance}",
    ):
        assert contract.request_violations("GET", path) == []
        api.ok("GET", path)
    for path in (f"{PROJECT}/endpoints/ep_0", f"{PROJECT}/configs/cr_0", "/v2/organizations/org_0/endpoints"):
        assert api.error("GET", path)[0] == 404
    assert api.chat("hello").status_code == 200


def test_what_the_tests_send_keeps_the_contract_too(api: Api, contract: Contract) -> None:
    """The journal and the request judge fit together, as a client's tests will use them."""
    api.ok("DELETE", "/_sandbox/requests")
    deployment = api.serving()
    api.scale(deployment, 0, 0)
    api.events(endpoint_of(deployment), types="deployment.scaled,deployment.updated")
    journal = api.ok("GET", "/_sandbox/requests")
    assert len(journal) > 5
    for one in journal:
        assert contract.request_violations(one["method"], one["path"], one["query"], one.get("body")) == []
