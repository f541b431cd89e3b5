"""Rollouts on the wire: what can be asked of one, and how it is shown. `shifting` has what it does by itself."""

from __future__ import annotations

from typing import cast

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND, stamp
from reasoning_cli.sandbox.deploy import shifting
from reasoning_cli.sandbox.http.paging import page
from reasoning_cli.sandbox.http.problems import bad_request, not_found
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Check, Json, choice, duration, integer, listing, members, number, text
from reasoning_cli.sandbox.world.records import Deployment, Rollout
from reasoning_cli.sandbox.world.world import World, check_etag, new_id

_LADDERS = {"CANARY": [5, 25, 50, 100], "ROLLING": [25, 50, 75, 100], "BLUE_GREEN": [100]}
_MEMBERS = {"canary": "CANARY", "rolling": "ROLLING", "blueGreen": "BLUE_GREEN"}
_DEFAULT_INTERVAL = "180s"
_STEP = members({"traffic": integer(1, 100), "replicas": integer(1, 1000)}, required=("traffic",))
_GATE: dict[str, Check] = {
    "name": choice("inflight_requests", "router_error_rate", "router_latency"),
    "percentile": integer(1, 100),
    "stat": choice("METRIC_STAT_TYPE_AVG", "METRIC_STAT_TYPE_PERCENTILE"),
    "window": duration,
    "regressionCheck": members(
        {
            "direction": choice("REGRESSION_DIRECTION_HIGHER_IS_WORSE", "REGRESSION_DIRECTION_LOWER_IS_WORSE"),
            "maxRegressionPercent": number,
        },
        required=("direction",),
    ),
    "thresholdCheck": members(
        {
            "operator": choice(*(f"THRESHOLD_OPERATOR_{comparison}" for comparison in ("GT", "GTE", "LT", "LTE"))),
            "value": number,
        },
        required=("operator",),
    ),
}
_create = members(
    {
        "sourceDeploymentId": text,
        "targetDeploymentId": text,
        "canary": members({"stepInterval": duration, "steps": listing(_STEP)}),
        "rolling": members({}),
        "blueGreen": members({}),
        "finalSourceReplicas": integer(0, 1000),
        "finalTargetReplicas": integer(1, 1000),
        "metrics": listing(members(_GATE, required=("name",))),
    },
    required=("sourceDeploymentId", "targetDeploymentId"),
)
_act = members({"etag": text})
_pause = members({"etag": text, "reason": text})
_cancel = members(
    {
        "etag": text,
        "reason": text,
        "disposition": choice("CANCEL_DISPOSITION_FREEZE", "CANCEL_DISPOSITION_REVERT"),
    },
    required=("reason",),
)
_FILTERS = {"ROLLOUT_FILTER_ACTIVE": True, "ROLLOUT_FILTER_TERMINAL": False}


def list_rollouts(world: World, request: Request, endpoint_id: str) -> Json:
    world.endpoint(endpoint_id)
    found = [rollout for rollout in world.rollouts.values() if rollout.endpoint_id == endpoint_id]
    if "filter" in request.query:
        if request.query["filter"] not in _FILTERS:
            raise bad_request("invalid filter: must be one of " + ", ".join(_FILTERS), param="filter")
        active = _FILTERS[request.query["filter"]]
        found = [rollout for rollout in found if rollout.state != "PENDING" and rollout.is_active == active]
    return page(found, request.query, position=lambda rollout: (rollout.created_at, rollout.sequence), show=_show)


def create_rollout(world: World, request: Request, endpoint_id: str) -> Json:
    """Nothing moves before it is started."""
    rollout = _planned(world, endpoint_id, _create(request.body(), ""))
    world.require_free_split(endpoint_id)
    world.next_sequence()
    world.rollouts[rollout.id] = rollout
    world.changed = True
    return _show(rollout)


def preview(world: World, request: Request, endpoint_id: str) -> Json:
    """What `create_rollout` would choose for everything left out."""
    body = _create(request.body(), "")
    rollout = _planned(world, endpoint_id, body)
    source, target = world.deployments[rollout.source_id], world.deployments[rollout.target_id]
    highest = max(rollout.final_target, source.max_replicas, target.max_replicas)
    steps = [{"traffic": step[0]} for step in rollout.steps]
    spec = {**body, "finalSourceReplicas": rollout.final_source, "finalTargetReplicas": rollout.final_target}
    if rollout.strategy == "CANARY":
        interval = f"{rollout.interval_ms // MILLISECONDS_PER_SECOND}s"
        spec["canary"] = {"stepInterval": interval, "steps": steps} | cast(Json, body.get("canary", {}))
    warnings: list[Json] = []
    if highest > target.max_replicas:
        message = f"the target's maxReplicas goes from {target.max_replicas} to {highest}"
        warnings.append({"code": "ROLLOUT_WILL_RAISE_TARGET_MAX", "message": message})
    return {
        "spec": spec,
        "sourceReplicas": source.ready,
        "targetReplicas": target.ready,
        "targetMinReplicas": target.min_replicas,
        "targetMaxReplicas": target.max_replicas,
        "estimatedEffectiveSteps": steps,
        "landingMinReplicas": max(rollout.final_target, target.min_replicas),
        "landingMaxReplicas": highest,
        "warnings": warnings,
    }


def get_rollout(world: World, request: Request, endpoint_id: str, rollout_id: str) -> Json:
    return _show(_rollout(world, endpoint_id, rollout_id))


def delete_rollout(world: World, request: Request, endpoint_id: str, rollout_id: str) -> Json:
    rollout = _rollout(world, endpoint_id, rollout_id)
    check_etag(request.query.get("etag"), rollout.etag)
    if rollout.is_active:
        raise bad_request(f"the rollout is {rollout.state}: cancel or complete it first")
    del world.rollouts[rollout.id]
    world.changed = True
    return {}


def start(world: World, request: Request, endpoint_id: str, rollout_id: str) -> Json:
    rollout = _in_state(world, endpoint_id, rollout_id, "PENDING")
    shifting.start(world, rollout)
    return _show(rollout)


def pause(world: World, request: Request, endpoint_id: str, rollout_id: str) -> Json:
    body = _pause(_optional(request), "")
    rollout = _in_state(world, endpoint_id, rollout_id, "RUNNING", "STABILIZING")
    _check(rollout, body)
    shifting.pause(world, rollout, cast("str | None", body.get("reason")))
    return _show(rollout)


def resume(world: World, request: Request, endpoint_id: str, rollout_id: str) -> Json:
    rollout = _in_state(world, endpoint_id, rollout_id, "PAUSING", "PAUSED", "SYSTEM_PAUSED")
    _check(rollout, _act(_optional(request), ""))
    shifting.resume(world, rollout)
    return _show(rollout)


def cancel(world: World, request: Request, endpoint_id: str, rollout_id: str) -> Json:
    """The split stays as it stands; going back was removed from the service."""
    body = _cancel(request.body(), "")
    if body.get("disposition") == "CANCEL_DISPOSITION_REVERT":
        raise bad_request("revert was removed: cancel with freeze, then roll out the other way", param="disposition")
    rollout = _in_state(world, endpoint_id, rollout_id, "RUNNING", "STABILIZING", "PAUSING", "PAUSED", "SYSTEM_PAUSED")
    _check(rollout, body)
    shifting.cancel(world, rollout, cast(str, body["reason"]))
    return _show(rollout)


def promote(world: World, request: Request, endpoint_id: str, rollout_id: str) -> Json:
    """All traffic to the target, now."""
    rollout = _in_state(world, endpoint_id, rollout_id, "RUNNING", "PAUSED")
    _check(rollout, _act(_optional(request), ""))
    shifting.promote(world, rollout)
    return _show(rollout)


def _planned(world: World, endpoint_id: str, body: Json) -> Rollout:
    """The rollout a body asks for, with its defaults. Raises ApiError when it cannot be."""
    source = world.deployment(endpoint_id, cast(str, body["sourceDeploymentId"]))
    target = world.deployment(endpoint_id, cast(str, body["targetDeploymentId"]))
    if source is target:
        raise bad_request("source and target are the same deployment", param="targetDeploymentId")
    if not world.endpoint(endpoint_id).split.get(source.id):
        raise bad_request("the source has no traffic", param="sourceDeploymentId")
    strategies = [name for member, name in _MEMBERS.items() if member in body] or ["CANARY"]
    if len(strategies) > 1:
        raise bad_request("one of canary, blueGreen and rolling")
    if body.get("metrics") and strategies != ["CANARY"]:
        raise bad_request("metric gates are for canary rollouts only", param="metrics")
    canary = cast(Json, body.get("canary", {}))
    ladder = [cast(int, step["traffic"]) for step in cast("list[Json]", canary.get("steps", []))]
    ladder = ladder or _LADDERS[strategies[0]]
    if ladder[-1] != 100 or ladder != sorted(set(ladder)):
        raise bad_request("the steps must increase and end at 100", param="canary.steps")
    interval = float(cast(str, canary.get("stepInterval", _DEFAULT_INTERVAL)).rstrip("s"))
    if interval <= 0:
        raise bad_request("stepInterval must be positive", param="canary.stepInterval")
    return Rollout(
        id=new_id("rol"),
        endpoint_id=endpoint_id,
        source_id=source.id,
        target_id=target.id,
        strategy=strategies[0],
        steps=[[percent, "PENDING", None, None] for percent in ladder],
        interval_ms=round(interval * MILLISECONDS_PER_SECOND),
        has_gates=bool(body.get("metrics")),
        final_source=cast(int, body.get("finalSourceReplicas", 0)),
        final_target=cast(int, body.get("finalTargetReplicas", _landing(source))),
        created_at=world.now,
        updated_at=world.now,
        sequence=world.sequence + 1,
    )


def _landing(source: Deployment) -> int:
    return max(source.desired, 1)


def _rollout(world: World, endpoint_id: str, rollout_id: str) -> Rollout:
    world.endpoint(endpoint_id)
    rollout = world.rollouts.get(rollout_id)
    if rollout is None or rollout.endpoint_id != endpoint_id:
        raise not_found("rollout", rollout_id)
    return rollout


def _in_state(world: World, endpoint_id: str, rollout_id: str, *states: str) -> Rollout:
    rollout = _rollout(world, endpoint_id, rollout_id)
    if rollout.state not in states:
        raise bad_request(f"the rollout is {rollout.state}: it must be " + " or ".join(states))
    return rollout


def _check(rollout: Rollout, body: Json) -> None:
    check_etag(cast("str | None", body.get("etag")), rollout.etag)


def _optional(request: Request) -> Json:
    return request.body() if request.raw_body else {}


def _show(rollout: Rollout) -> Json:
    status: Json = {
        "totalSteps": len(rollout.steps),
        "updatedAt": stamp(rollout.updated_at),
        "steps": [_show_step(index, step) for index, step in enumerate(rollout.steps)],
    }
    if rollout.problem:
        category, message = rollout.problem
        status["condition"] = {
            "category": f"ROLLOUT_FAILURE_CATEGORY_{category}",
            "message": message,
            "atStep": max(rollout.step, 0),
            "observedAt": stamp(rollout.updated_at),
        }
    result: Json = {
        "id": rollout.id,
        "endpointId": rollout.endpoint_id,
        "sourceDeploymentId": rollout.source_id,
        "targetDeploymentId": rollout.target_id,
        "strategy": f"ROLLOUT_STRATEGY_TYPE_{rollout.strategy}",
        "state": f"ROLLOUT_STATE_{rollout.state}",
        "status": status,
        "createdAt": stamp(rollout.created_at),
        "currentStep": max(rollout.step, 0),
        "currentTrafficPercent": rollout.percent,
        "etag": rollout.etag,
    }
    for member, at in (("startedAt", rollout.started_at), ("completedAt", rollout.completed_at)):
        if at is not None:
            result[member] = stamp(at)
    if rollout.paused_at is not None:
        pause_info: Json = {"pausedAt": stamp(rollout.paused_at)}
        result["pauseInfo"] = pause_info | ({"reason": rollout.reason} if rollout.reason else {})
    return result


def _show_step(index: int, step: list[int | str | None]) -> Json:
    percent, state, started_at, completed_at = step
    result: Json = {"stepIndex": index, "targetTrafficPercent": percent, "state": f"ROLLOUT_STEP_STATE_{state}"}
    for member, at in (("startedAt", started_at), ("completedAt", completed_at)):
        if isinstance(at, int):
            result[member] = stamp(at)
    return result
