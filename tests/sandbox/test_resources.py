"""Endpoints, deployments and models: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import CODING, PLANNING, PROJECT, Api, deployments_of, path_of


def test_an_endpoint_comes_back_with_the_project_slug(api: Api) -> None:
    endpoint = api.endpoint("my-ep")
    assert endpoint["name"] == "sandbox/my-ep"
    assert endpoint["id"].startswith("ep_")
    assert "activeRolloutId" not in endpoint


def test_an_endpoint_name_is_unique_until_it_is_deleted(api: Api) -> None:
    endpoint = api.endpoint("my-ep")
    assert api.error("POST", f"{PROJECT}/endpoints", {"name": "my-ep"})[0] == 409
    api.ok("DELETE", f"{PROJECT}/endpoints/{endpoint['id']}")
    assert api.endpoint("my-ep")["id"] != endpoint["id"]


@pytest.mark.parametrize("name", ["", "Capital", "sandbox/my-ep", "-edge", "a b", "x" * 64, 7, None])
def test_a_bad_endpoint_name_is_refused(api: Api, name: object) -> None:
    assert api.error("POST", f"{PROJECT}/endpoints", {"name": name})[0] == 400


@pytest.mark.parametrize(
    ("path", "member"),
    [(f"{PROJECT}/endpoints", "display_name"), (f"{PROJECT}/models", "slug"), (f"{PROJECT}/endpoints", "etag")],
)
def test_an_unknown_member_is_refused_by_name(api: Api, path: str, member: str) -> None:
    status, message = api.error("POST", path, {"name": "x", member: "y"})
    assert (status, message) == (400, f'unknown field "{member}"')


def test_an_unknown_member_inside_autoscaling_is_refused(api: Api) -> None:
    body = api.deployment_body(autoscaling={"minReplicas": 1, "maxReplicas": 1, "replicas": 1})
    assert api.error("POST", deployments_of(api.endpoint()), body) == (400, 'unknown field "replicas"')


def test_snake_case_members_are_understood(api: Api) -> None:
    body = api.deployment_body(autoscaling={"min_replicas": 1, "max_replicas": 2})
    shown = api.ok("POST", deployments_of(api.endpoint()), body)
    assert shown["autoscaling"]["maxReplicas"] == 2


def test_a_null_member_is_refused(api: Api) -> None:
    body = api.deployment_body(inactiveTimeout=None)
    assert api.error("POST", deployments_of(api.endpoint()), body)[0] == 400


def test_a_stale_etag_conflicts_and_changes_nothing(api: Api) -> None:
    endpoint = api.endpoint("old")
    path = f"{PROJECT}/endpoints/{endpoint['id']}"
    renamed = api.ok("PATCH", path, {"name": "new", "etag": endpoint["etag"]})
    assert renamed["name"] == "sandbox/new"
    assert api.error("PATCH", path, {"name": "newer", "etag": endpoint["etag"]})[0] == 409
    assert api.error("DELETE", path, etag=endpoint["etag"])[0] == 409
    assert api.ok("GET", path)["name"] == "sandbox/new"
    assert api.ok("DELETE", path, etag=renamed["etag"]) == {}


def test_only_the_masked_members_change(api: Api) -> None:
    endpoint = api.endpoint("old")
    path = f"{PROJECT}/endpoints/{endpoint['id']}"
    body = {"name": "new", "visibility": "VISIBILITY_INTERNAL"}
    shown = api.ok("PATCH", path, body, updateMask="visibility")
    assert (shown["name"], shown["visibility"]) == ("sandbox/old", "VISIBILITY_INTERNAL")
    assert api.error("PATCH", path, body, updateMask="projectId")[0] == 400
    assert api.error("PATCH", path, {}) == (400, "no fields to update")


def test_the_split_takes_own_deployments_only(api: Api) -> None:
    mine, other = api.endpoint("mine"), api.endpoint("other")
    foreign = api.deployment(other)
    path = f"{PROJECT}/endpoints/{mine['id']}"
    assert api.error("PATCH", path, {"trafficSplit": [{"deploymentId": foreign["id"], "weight": 1}]})[0] == 400
    own = api.deployment(mine)
    assert api.error("PATCH", path, {"trafficSplit": [{"deploymentId": own["id"], "weight": -1}]})[0] == 400
    api.route(mine, **{own["id"]: 0.5})
    assert api.ok("GET", path)["trafficSplit"] == [{"deploymentId": own["id"], "weight": 0.5}]


def test_lists_are_paged_to_the_end_without_loss(api: Api) -> None:
    names = [f"ep-{number}" for number in range(7)]
    for name in names:
        api.endpoint(name)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = api.ok("GET", f"{PROJECT}/endpoints", **query)
        seen += [one["name"].removeprefix("sandbox/") for one in page["data"]]
        if page["next_cursor"] is None:
            break
        query["after"] = page["next_cursor"]
        api.endpoint(f"late-{len(seen)}")  # what is made meanwhile is newer, so the pages behind it stay whole
    assert seen == names[::-1]
    assert api.error("GET", f"{PROJECT}/endpoints", after="nonsense")[0] == 400
    assert api.error("GET", f"{PROJECT}/endpoints", limit=0)[0] == 400


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('name="alpha"', {"alpha"}),
        ('name="sandbox/alpha"', {"alpha"}),
        ('name:"al"', {"alpha", "alpine"}),
        ('name="al*"', {"alpha", "alpine"}),
        ('name!="alpha" AND NOT name="beta"', {"alpine"}),
        ('(name="alpha" OR name="beta") AND created_at > "2020-01-01T00:00:00Z"', {"alpha", "beta"}),
        ('created_at < "2020-01-01T00:00:00Z"', set()),
    ],
)
def test_filters_choose(api: Api, expression: str, found: set[str]) -> None:
    for name in ("alpha", "alpine", "beta"):
        api.endpoint(name)
    data = api.ok("GET", f"{PROJECT}/endpoints", filter=expression)["data"]
    assert {one["name"].removeprefix("sandbox/") for one in data} == found


@pytest.mark.parametrize("expression", ["", "name", 'name="a', 'colour="red"', 'name="a" name="b"', "(" * 500])
def test_an_unreadable_filter_is_refused(api: Api, expression: str) -> None:
    api.endpoint()
    assert api.error("GET", f"{PROJECT}/endpoints", filter=expression)[0] == 400


def test_deployments_can_be_filtered_by_state(api: Api) -> None:
    endpoint = api.endpoint()
    api.deployment(endpoint, "early")
    api.advance(300)
    api.deployment(endpoint, "late")
    data = api.ok("GET", deployments_of(endpoint), filter='state="DEPLOYMENT_STATE_READY"')["data"]
    assert [one["name"] for one in data] == ["sandbox/decisions/early"]


def test_an_endpoint_shows_its_ten_newest_deployments(api: Api) -> None:
    endpoint = api.endpoint()
    for number in range(12):
        api.deployment(endpoint, f"d{number}", autoscaling={"minReplicas": 0, "maxReplicas": 0})
    shown = api.ok("GET", f"{PROJECT}/endpoints/{endpoint['id']}")["deployments"]
    assert [one["name"].rpartition("/")[2] for one in shown] == [f"d{number}" for number in range(11, 1, -1)]
    assert len(api.ok("GET", deployments_of(endpoint))["data"]) == 12


def test_validate_only_checks_and_creates_nothing(api: Api) -> None:
    endpoint = api.endpoint()
    body = api.deployment_body(inactiveTimeout=45, maxConcurrentRequestsPerReplica="4000")
    shown = api.ok("POST", deployments_of(endpoint), body, validateOnly="true")
    assert (shown["hardware"], shown["inactiveTimeout"]) == ("1xnvidia-h100-80gb", 45)
    assert shown["maxConcurrentRequestsPerReplica"] == "256", "too high is lowered"
    assert api.ok("GET", deployments_of(endpoint))["data"] == []
    assert api.error("POST", deployments_of(endpoint), body | {"inactiveTimeout": 29}, validateOnly="true")[0] == 400


@pytest.mark.parametrize(
    "members",
    [
        {"autoscaling": {"minReplicas": 0, "maxReplicas": 1}},
        {"autoscaling": {"minReplicas": 2, "maxReplicas": 1}},
        {"autoscaling": {"minReplicas": 1}},
        {"autoscaling": {"minReplicas": 1, "maxReplicas": 1, "scaleDownWindow": "5m"}},
        {"inactiveTimeout": 29},
        {"inactiveTimeout": 1441},
        {"inactiveTimeout": "30"},
        {"maxConcurrentRequestsPerReplica": 8},
        {"model": "ml_1"},
        {"config": "cr_1"},
        {"placement": {"inline": {"regions": ["the-moon"], "constraint": "ENFORCEMENT_REQUIRED"}}},
    ],
)
def test_a_bad_deployment_is_refused(api: Api, members: dict[str, Any]) -> None:
    body = api.deployment_body() | members
    assert api.error("POST", deployments_of(api.endpoint()), body)[0] == 400


def test_the_config_must_fit_the_model_and_be_named_in_its_own_project(api: Api) -> None:
    endpoint = api.endpoint()
    body = api.deployment_body()
    wrong = body["config"].replace("proj_platform", "proj_sandbox")
    assert api.error("POST", deployments_of(endpoint), body | {"config": wrong})[0] == 404
    other = api.deployment_body(model=CODING)["config"]
    status, message = api.error("POST", deployments_of(endpoint), body | {"config": other})
    assert (status, "not compatible" in message) == (400, True)


def test_a_model_without_weights_has_no_revisions_to_deploy(api: Api) -> None:
    model = api.model("sandbox/no-weights-8b")
    assert api.ok("GET", f"{PROJECT}/models/{model['id']}/revisions")["data"] == []
    body = api.deployment_body() | {"model": f"projects/proj_sandbox/models/{model['id']}"}
    assert api.error("POST", deployments_of(api.endpoint()), body) == (400, "no revisions to deploy")


def test_replicas_over_the_quota_are_refused_until_others_are_gone(api: Api) -> None:
    api.ok("POST", "/_sandbox/behaviour", {"quota_replicas": 2})
    first = api.serving(autoscaling={"minReplicas": 2, "maxReplicas": 2})
    second = api.endpoint("second")
    response = api.request("POST", deployments_of(second), api.deployment_body())
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "quota_exceeded"
    assert "retry-after" not in response.headers
    assert api.error("PATCH", path_of(first), {"autoscaling": {"minReplicas": 3, "maxReplicas": 3}})[0] == 429
    api.scale(first, 0, 0)
    assert api.error("POST", deployments_of(second), api.deployment_body())[0] == 429, "still held while stopping"
    api.advance(60)
    api.deployment(second)


def test_everything_is_deleted_in_one_order_only(api: Api) -> None:
    deployment = api.serving()
    endpoint = {"id": deployment["endpointId"]}
    endpoint_path = f"{PROJECT}/endpoints/{endpoint['id']}"
    api.scale(deployment, 0, 0)
    api.advance(60)
    api.route(endpoint, **{deployment["id"]: 0})
    status, message = api.error("DELETE", path_of(deployment))
    assert (status, "trafficSplit" in message) == (400, True), "an entry of weight 0 still counts"
    api.route(endpoint)
    api.scale(deployment, 1, 1)
    status, message = api.error("DELETE", path_of(deployment))
    assert (status, "STOPPED" in message) == (400, True)
    assert api.error("DELETE", endpoint_path)[0] == 400
    api.scale(deployment, 0, 0)
    api.advance(60)
    assert api.ok("DELETE", path_of(deployment)) == {}
    assert api.error("GET", path_of(deployment))[0] == 404
    assert api.ok("DELETE", endpoint_path) == {}
    assert api.error("GET", endpoint_path)[0] == 404
    assert api.ok("GET", f"{PROJECT}/endpoints")["data"] == []


def test_a_deployment_name_is_unique_in_its_endpoint(api: Api) -> None:
    endpoint = api.endpoint()
    api.deployment(endpoint, "same")
    assert api.error("POST", deployments_of(endpoint), api.deployment_body("same"))[0] == 409
    api.deployment(api.endpoint("another"), "same")


def test_models_offer_the_gpus_they_need(api: Api) -> None:
    def hardware(name: str) -> set[str]:
        model = api.model(name)
        both = [
            api.ok("GET", f"{PROJECT}/configs", referenceModel=f"projects/proj_sandbox/models/{model['id']}"),
            api.ok("GET", f"{PROJECT}/configs", referenceModelId=model["id"]),
        ]
        assert both[0] == both[1]
        selectors = [{one["key"]: one["value"] for one in config["selectors"]} for config in both[0]["data"]]
        return {f"{one['accelerator_count']}x{one['accelerator_type']}" for one in selectors}

    assert hardware(CODING) == {"4xnvidia-h100-80gb", "8xnvidia-h100-80gb"}
    assert hardware("sandbox/no-config-27b") == set()
    prices = {one["name"]: one for one in api.ok("GET", "/v2/public/inference-instance-types")["data"]}
    assert hardware(PLANNING) <= set(prices)
    assert prices["1xnvidia-h100-80gb"]["priceCentsPerHour"] == 549
    assert prices["4xnvidia-h100-80gb"]["priceCentsPerHour"] == 2196
    cheapest = min(prices.values(), key=lambda one: one["priceCentsPerHour"])
    assert cheapest["regions"][0]["headroom"]["value"] == 0
    assert any("headroom" not in region for one in prices.values() for region in one["regions"])


def test_a_new_model_inherits_the_configs_of_its_base(api: Api) -> None:
    base = api.ok("GET", "/v2/supported-models", search="1.5b")["data"][0]
    body = {"name": "mine", "baseModelId": base["baseModelId"], "type": "model"}
    model = api.ok("POST", f"{PROJECT}/models", body)
    assert model["name"] == "sandbox/mine"
    assert len(api.ok("GET", f"{PROJECT}/configs", referenceModelId=model["id"])["data"]) == 4
    assert api.error("POST", f"{PROJECT}/models", body)[0] == 409
    assert api.ok("PATCH", f"{PROJECT}/models/{model['id']}", {"description": "d"})["description"] == "d"
    assert api.ok("DELETE", f"{PROJECT}/models/{model['id']}") == {}
    assert api.error("GET", f"{PROJECT}/models/{model['id']}")[0] == 404


def test_another_project_is_not_found(api: Api) -> None:
    assert api.error("GET", "/v2/projects/proj_other/endpoints")[0] == 404


def test_a_stale_etag_of_a_deployment_conflicts(api: Api) -> None:
    deployment = api.deployment(api.endpoint(), autoscaling={"minReplicas": 0, "maxReplicas": 0})
    path = path_of(deployment)
    renamed = api.ok("PATCH", path, {"name": "second", "etag": deployment["etag"]})
    assert renamed["name"] == "sandbox/decisions/second"
    assert api.error("PATCH", path, {"name": "third", "etag": deployment["etag"]})[0] == 409
    assert api.error("DELETE", path, etag=deployment["etag"])[0] == 409
    assert api.ok("DELETE", path, etag=renamed["etag"]) == {}


def test_a_deployment_is_found_under_its_own_endpoint_only(api: Api) -> None:
    deployment = api.deployment(api.endpoint())
    other = api.endpoint("other")
    assert api.error("GET", f"{deployments_of(other)}/{deployment['id']}")[0] == 404


def test_the_traffic_share_is_weight_times_ready_replicas(api: Api) -> None:
    endpoint = api.endpoint()
    one = api.deployment(endpoint, "one")
    three = api.deployment(endpoint, "three", autoscaling={"minReplicas": 3, "maxReplicas": 3})
    api.route(endpoint, **{one["id"]: 2, three["id"]: 2})
    assert api.get(three)["estimatedEffectiveTrafficShare"] == 0
    api.advance(300)
    assert api.get(one)["estimatedEffectiveTrafficShare"] == 0.25
    assert api.get(three)["estimatedEffectiveTrafficShare"] == 0.75


def test_two_references_must_name_the_same_model(api: Api) -> None:
    first, second = api.model(PLANNING), api.model(CODING)
    path = f"projects/proj_sandbox/models/{first['id']}"
    assert api.error("GET", f"{PROJECT}/configs", referenceModel=path, referenceModelId=second["id"])[0] == 400
    assert api.error("GET", f"{PROJECT}/configs", referenceModel=first["id"])[0] == 400


def test_a_deployed_model_cannot_be_deleted(api: Api) -> None:
    deployment = api.deployment(api.endpoint())
    assert api.error("DELETE", f"{PROJECT}/models/{deployment['modelId']}")[0] == 400
