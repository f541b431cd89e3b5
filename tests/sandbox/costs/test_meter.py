"""The event feed and the bill tell the same story."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any

from reasoning_cli.sandbox.clock import parse_stamp, stamp
from reasoning_cli.sandbox.world.world import MAX_EVENTS_PER_ENDPOINT, World
from tests.sandbox.conftest import CODING, PROJECT, Api, endpoint_of, path_of


def test_scaled_events_carry_the_exact_moment_readiness_changed(api: Api) -> None:
    deployment = api.serving()
    begin = datetime.fromisoformat(deployment["createdAt"])
    api.advance(10_000)
    scaled = api.events(endpoint_of(deployment), types="deployment.scaled")
    assert [(one["oldReplicas"], one["newReplicas"]) for one in scaled] == [(0, 1)]
    assert (datetime.fromisoformat(scaled[0]["createdAt"]) - begin).total_seconds() == 300


def test_events_are_newest_first_and_can_be_cut_by_time_and_kind(api: Api) -> None:
    deployment = api.serving()
    endpoint = endpoint_of(deployment)
    events = api.events(endpoint)
    assert events[-1]["type"] == "endpoint.created"
    moments = [one["createdAt"] for one in events]
    assert moments == sorted(moments, reverse=True)
    ready = next(one for one in events if one["type"] == "deployment.scaled")["createdAt"]
    assert {one["createdAt"] for one in api.events(endpoint, since=ready)} == {ready}
    assert ready not in {one["createdAt"] for one in api.events(endpoint, until=ready)}
    kinds = {one["sourceKind"] for one in api.events(endpoint, sourceKinds="SOURCE_KIND_ENDPOINT")}
    assert kinds == {"SOURCE_KIND_ENDPOINT"}
    only = api.events(endpoint, deploymentIds=deployment["id"])
    assert {one["deploymentId"] for one in only} == {deployment["id"]}
    path = f"{PROJECT}/endpoints/{endpoint['id']}/events"
    assert api.error("GET", path, deploymentIds="dep_other")[0] == 400
    assert api.error("GET", path, since="yesterday")[0] == 400


def test_times_finer_than_a_millisecond_cut_where_they_say() -> None:
    assert stamp(parse_stamp("2026-11-21T00:00:00.1234Z")) == "2026-11-21T00:00:00.124Z"
    assert stamp(parse_stamp("2026-11-21T01:00:00.123+01:00")) == "2026-11-21T00:00:00.123Z"


def test_the_feed_keeps_the_newest_events_only() -> None:
    world = World.fresh(0)
    for number in range(MAX_EVENTS_PER_ENDPOINT + 5):
        world.record("endpoint.updated", "ep_1", message=str(number))
    kept = [event["message"] for event in world.events["ep_1"]]
    assert (len(kept), kept[0]) == (MAX_EVENTS_PER_ENDPOINT, "5")


def test_events_are_paged(api: Api) -> None:
    deployment = api.serving()
    path = f"{PROJECT}/endpoints/{deployment['endpointId']}/events"
    whole = api.ok("GET", path)["data"]
    seen: list[Any] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = api.ok("GET", path, **query)
        seen += page["data"]
        if not page["next_cursor"]:
            break
        query["after"] = page["next_cursor"]
    assert seen == whole
    assert len(whole) > 4


def test_the_feed_outlives_its_endpoint(api: Api) -> None:
    endpoint = api.endpoint()
    api.ok("DELETE", f"{PROJECT}/endpoints/{endpoint['id']}")
    assert [one["type"] for one in api.events(endpoint)] == ["endpoint.deleted", "endpoint.created"]


def test_only_ready_replicas_are_metered_to_the_millisecond(api: Api) -> None:
    deployment = api.serving()
    api.advance(3600)
    row = api.meter()["deployments"][0]
    assert (row["readyReplicaSeconds"], row["costCents"]) == ("3600", "549")
    api.scale(deployment, 3, 3)
    api.advance(180)  # one replica while the others start
    api.advance(0.5)  # then three
    row = api.meter()["deployments"][0]
    assert Decimal(row["readyReplicaSeconds"]) == 3600 + 180 + Decimal("1.5")
    exact = Decimal(549) * (3600 + 180 + Decimal("1.5")) / 3600
    assert Decimal(row["costCents"]) == exact
    assert api.meter()["totalCents"] == str(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_the_total_is_rounded_once_over_all_deployments(api: Api) -> None:
    for name in ("one", "two"):
        api.deployment(api.endpoint(name))
    api.advance(300 + 3)
    meter = api.meter()
    assert [one["costCents"] for one in meter["deployments"]] == ["0.4575", "0.4575"]
    assert meter["totalCents"] == "1", "two rounded zeros would lose it"


def test_a_deleted_deployment_stays_on_the_bill(api: Api) -> None:
    deployment = api.serving(model=CODING)
    api.advance(1800)
    api.route(endpoint_of(deployment))
    api.scale(deployment, 0, 0)
    api.advance(60)
    api.ok("DELETE", path_of(deployment))
    api.advance(86400)
    meter = api.meter()
    assert meter["deployments"][0]["model"] == CODING
    assert (meter["deployments"][0]["priceCentsPerHour"], meter["totalCents"]) == (2196, "1098")


def test_the_bill_can_be_rebuilt_from_the_events(api: Api) -> None:
    deployment = api.serving(autoscaling={"minReplicas": 2, "maxReplicas": 4}, inactiveTimeout=30)
    api.advance(77.123)
    api.scale(deployment, 4, 4)
    api.advance(500)
    api.scale(deployment, 1, 1)
    api.advance(10_000)
    events = api.events(endpoint_of(deployment), types="deployment.scaled")[::-1]
    seconds = Decimal(0)
    for this, following in pairwise(events):
        span = datetime.fromisoformat(following["createdAt"]) - datetime.fromisoformat(this["createdAt"])
        seconds += this["newReplicas"] * (Decimal(span.seconds) + Decimal(span.microseconds) / 1_000_000)
    assert events[-1]["newReplicas"] == 0
    assert seconds == Decimal(api.meter()["deployments"][0]["readyReplicaSeconds"])
