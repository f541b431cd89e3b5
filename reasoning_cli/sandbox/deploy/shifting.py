"""How a rollout moves traffic from its source to its target, step by step on the virtual clock.

PENDING -> RUNNING -> STABILIZING -> COMPLETED
RUNNING | STABILIZING -> PAUSING -> PAUSED -> RUNNING; a failed gate or target -> SYSTEM_PAUSED
any of them once started -> CANCELLING -> CANCELED, with the split as it stands
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND
from reasoning_cli.sandbox.deploy import lifecycle
from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.world.records import Deployment, Rollout
from reasoning_cli.sandbox.world.world import Due, World

_PARKING_MS = 5 * MILLISECONDS_PER_SECOND  # from PAUSING to PAUSED, and from CANCELLING to CANCELED


def start(world: World, rollout: Rollout) -> None:
    """Begin; a stopped target is started first. Raises ApiError when the endpoint or the target is not free."""
    world.require_free_split(rollout.endpoint_id)
    source = world.deployment(rollout.endpoint_id, rollout.source_id)
    target = world.deployment(rollout.endpoint_id, rollout.target_id)
    if target.state in {"STOPPING", "FAILED"}:
        raise bad_request(f"the target is {target.state}")
    if target.state == "STOPPED":
        _rescale(world, target, rollout.final_target, max(rollout.final_target, source.max_replicas))
    rollout.started_at = world.now
    _enter(world, rollout, "RUNNING", 0)


def pause(world: World, rollout: Rollout, reason: str | None) -> None:
    rollout.reason = reason
    _enter(world, rollout, "PAUSING", _PARKING_MS)


def resume(world: World, rollout: Rollout) -> None:
    """The present step begins its interval again; one that had not begun goes at once."""
    rollout.paused_at = rollout.reason = None
    rollout.problem = []
    if rollout.step >= 0:
        rollout.steps[rollout.step][1] = "RUNNING"
    _enter(world, rollout, "RUNNING", rollout.interval_ms if rollout.step >= 0 else 0)


def cancel(world: World, rollout: Rollout, reason: str) -> None:
    rollout.reason = reason
    _enter(world, rollout, "CANCELLING", _PARKING_MS)


def promote(world: World, rollout: Rollout) -> None:
    """Raises ApiError (400) when the target could not take the traffic."""
    if not world.deployments[rollout.target_id].ready:
        raise bad_request("the target has no ready replicas")
    for step in rollout.steps[max(rollout.step, 0) : -1]:
        step[1] = "SKIPPED"
    rollout.step = len(rollout.steps) - 1
    _complete(world, rollout)


def due(world: World, rollout: Rollout) -> Iterator[Due]:
    """A step waits for a target that is still starting."""
    if rollout.transition_at is None:
        return
    target = world.deployments[rollout.target_id]
    is_lost = target.deleted_at is not None or target.state in {"FAILED", "STOPPING", "STOPPED"}
    if rollout.state == "RUNNING" and not target.ready and not is_lost:
        return
    yield Due(rollout.transition_at, rollout.sequence, partial(_go_on, world, rollout, is_lost))


def _go_on(world: World, rollout: Rollout, is_lost: bool) -> None:
    if rollout.state == "PAUSING":
        rollout.paused_at = world.now
        _enter(world, rollout, "PAUSED", None)
    elif rollout.state == "CANCELLING":
        if rollout.step >= 0:
            rollout.steps[rollout.step][1] = "CANCELED"
        rollout.completed_at = world.now
        _enter(world, rollout, "CANCELED", None)
    elif is_lost:
        _hold(world, rollout, "TARGET_NOT_READY", "the target does not run")
    elif rollout.state == "STABILIZING":
        _complete(world, rollout)
    elif rollout.step >= 0 and rollout.has_gates and world.behaviour.fail_gates:
        _hold(world, rollout, "METRIC_REGRESSION", "a metric gate failed")
    else:
        _next_step(world, rollout)


def _next_step(world: World, rollout: Rollout) -> None:
    if rollout.step >= 0:
        rollout.steps[rollout.step][1:] = ["PASSED", rollout.steps[rollout.step][2], world.now]
    if rollout.step == len(rollout.steps) - 1:
        _enter(world, rollout, "STABILIZING", rollout.interval_ms)
        return
    rollout.step += 1
    rollout.steps[rollout.step][1:3] = ["RUNNING", world.now]
    _split(world, rollout)
    _enter(world, rollout, "RUNNING", rollout.interval_ms)


def _hold(world: World, rollout: Rollout, category: str, message: str) -> None:
    rollout.problem = [category, message]
    if rollout.step >= 0:
        rollout.steps[rollout.step][1] = "FAILED"
    rollout.paused_at = world.now
    _enter(world, rollout, "SYSTEM_PAUSED", None)


def _complete(world: World, rollout: Rollout) -> None:
    """The target has everything, the source what is left for it, which is nothing by default."""
    started = rollout.steps[-1][2]
    rollout.steps[-1][1:] = ["PASSED", world.now if started is None else started, world.now]
    source, target = world.deployments[rollout.source_id], world.deployments[rollout.target_id]
    rollout.paused_at = None
    rollout.completed_at = world.now
    _split(world, rollout, without_source=True)
    _enter(world, rollout, "COMPLETED", None)
    low = max(rollout.final_target, target.min_replicas)
    _rescale(world, target, low, max(low, source.max_replicas, target.max_replicas))
    if source.deleted_at is None and source.state not in {"STOPPING", "STOPPED", "FAILED"}:
        high = max(rollout.final_source, source.max_replicas) if rollout.final_source else 0
        _rescale(world, source, rollout.final_source, high)


def _split(world: World, rollout: Rollout, *, without_source: bool = False) -> None:
    """Weights count per ready replica, so a share is divided by them."""
    endpoint = world.endpoints[rollout.endpoint_id]
    shares = {rollout.source_id: 100 - rollout.percent, rollout.target_id: rollout.percent}
    deployments = {key: world.deployments[key] for key in shares if world.deployments[key].deleted_at is None}
    endpoint.split = {key: shares[key] / max(deployment.ready, 1) for key, deployment in deployments.items()}
    if without_source:
        endpoint.split.pop(rollout.source_id, None)
    endpoint.version += 1
    endpoint.updated_at = world.now
    message = f"rollout {rollout.id}: {rollout.percent} % on the target"
    world.record("endpoint.updated", endpoint.id, paths=["trafficSplit"], message=message)


def _rescale(world: World, deployment: Deployment, low: int, high: int) -> None:
    lifecycle.rescale(world, deployment, low, high)
    deployment.version += 1
    deployment.updated_at = world.now
    message = f"rollout: replicas {low}/{high}"
    world.record("deployment.updated", deployment.endpoint_id, deployment, paths=["autoscaling"], message=message)


def _enter(world: World, rollout: Rollout, state: str, wait_ms: int | None) -> None:
    rollout.state = state
    rollout.transition_at = None if wait_ms is None else world.now + wait_ms
    rollout.updated_at = world.now
    rollout.version += 1
    world.changed = True
