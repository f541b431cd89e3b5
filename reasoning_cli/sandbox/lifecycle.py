"""How a deployment lives: start, serve, scale, stop, fail. Every change happens at its exact virtual moment.

PROVISIONING -> SCALING -> READY <-> SCALING
PROVISIONING | SCALING | READY -> STOPPING -> STOPPED -> SCALING -> READY
a start that is not ready within six hours, or is told to fail -> FAILED
"""

from __future__ import annotations

from reasoning_cli.sandbox.catalogue import INSTANCE_TYPES
from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND
from reasoning_cli.sandbox.problems import bad_request
from reasoning_cli.sandbox.world import Behaviour, Deployment, World

START_LIMIT_MS = 6 * 3600 * MILLISECONDS_PER_SECOND
_STARTING = {"PROVISIONING", "SCALING"}


def pass_time(world: World, now: int) -> None:
    """Let everything happen that is due up to `now`, in order."""
    while True:
        due = [
            (at, deployment.sequence, cause)
            for deployment in world.live_deployments()
            for at, cause in _due(deployment, world.behaviour)
            if at <= now
        ]
        if not due:
            break
        at, sequence, cause = min(due)
        deployment = next(one for one in world.live_deployments() if one.sequence == sequence)
        world.now = max(world.now, at)  # a cause that was blocked until now acts now, not in the past
        world.changed = True
        if cause == "idle":
            _stop_idle(world, deployment)
        elif cause == "deadline":
            _fail(world, deployment, "not ready within 6 hours")
        else:
            _end_state(world, deployment)
    world.now = max(world.now, now)


def start(world: World, deployment: Deployment, state: str = "PROVISIONING") -> None:
    """Begin a start from nothing; with 0/0 bounds the deployment is simply stopped."""
    deployment.desired = deployment.min_replicas
    deployment.started_at = world.now
    if deployment.desired == 0:
        _enter(world, deployment, "STOPPED", "stopped: no replicas wanted", None)
    elif state == "PROVISIONING":
        _enter(world, deployment, state, "provisioning", world.behaviour.provisioning_seconds)
    else:
        deployment.scheduled = deployment.desired
        _enter(world, deployment, state, "starting replicas", world.behaviour.scaling_seconds)


def rescale(world: World, deployment: Deployment, low: int, high: int) -> None:
    """Apply new replica bounds. Raises ApiError (400) where the present state does not allow them."""
    if high > 0 and deployment.state == "STOPPING":
        raise bad_request("the deployment is still stopping: wait until it is STOPPED before starting it again")
    if high > 0 and deployment.state == "FAILED":
        raise bad_request("the deployment is in a terminal FAILED state: delete it and create it again")
    deployment.min_replicas, deployment.max_replicas = low, high
    if deployment.state == "FAILED":
        return
    if high == 0:
        if deployment.state not in {"STOPPING", "STOPPED"}:
            _stop(world, deployment, "stopping: no replicas wanted")
    elif deployment.state == "STOPPED":
        start(world, deployment, "SCALING")
    else:
        _resize(world, deployment, min(max(deployment.desired, low), high))


def touch(world: World, deployment: Deployment) -> None:
    """A chat request came: the idle timer begins again."""
    deployment.active_at = world.now
    world.changed = True


def _due(deployment: Deployment, behaviour: Behaviour) -> list[tuple[int, str]]:
    due: list[tuple[int, str]] = []
    if deployment.transition_at is not None and not _blocked(deployment, behaviour):
        due.append((deployment.transition_at, "state"))
    if deployment.state in _STARTING and deployment.ready == 0:
        due.append((deployment.started_at + START_LIMIT_MS, "deadline"))
    if deployment.inactive_minutes and deployment.ready:
        due.append((deployment.active_at + deployment.inactive_minutes * 60 * MILLISECONDS_PER_SECOND, "idle"))
    return due


def _blocked(deployment: Deployment, behaviour: Behaviour) -> bool:
    """No GPUs free keeps it provisioning; `never_ready` keeps new replicas from becoming ready."""
    if deployment.state == "PROVISIONING":
        return not INSTANCE_TYPES[deployment.hardware].has_capacity
    return deployment.state == "SCALING" and behaviour.never_ready and deployment.ready < deployment.desired


def _end_state(world: World, deployment: Deployment) -> None:
    if deployment.state == "PROVISIONING":
        deployment.scheduled = deployment.desired
        _enter(world, deployment, "SCALING", "starting replicas", world.behaviour.scaling_seconds)
    elif deployment.state == "STOPPING":
        deployment.scheduled = 0
        _enter(world, deployment, "STOPPED", "stopped", None)
    elif deployment.ready == 0 and world.behaviour.fail_start:
        _fail(world, deployment, "the replicas failed to start")
    else:
        deployment.scheduled = deployment.desired
        _enter(world, deployment, "READY", "ready", None)
        _set_ready(world, deployment, deployment.desired)


def _resize(world: World, deployment: Deployment, desired: int) -> None:
    if desired == deployment.desired:
        return
    deployment.desired = desired
    if deployment.state == "PROVISIONING":
        return
    grows = desired > deployment.ready
    deployment.scheduled = max(deployment.scheduled, desired)
    seconds = world.behaviour.scaling_seconds if grows else world.behaviour.stopping_seconds
    _enter(world, deployment, "SCALING", "adding replicas" if grows else "removing replicas", seconds)
    # A replica that is going away takes no more requests at once, so it is no longer ready (nor billed).
    _set_ready(world, deployment, min(deployment.ready, desired))


def _stop(world: World, deployment: Deployment, why: str) -> None:
    deployment.desired = 0
    _enter(world, deployment, "STOPPING", why, world.behaviour.stopping_seconds)
    _set_ready(world, deployment, 0)


def _stop_idle(world: World, deployment: Deployment) -> None:
    deployment.min_replicas = deployment.max_replicas = 0
    deployment.version += 1
    deployment.updated_at = world.now
    why = f"no requests for {deployment.inactive_minutes} minutes"
    world.record(
        "deployment.updated",
        deployment.endpoint_id,
        deployment,
        paths=["autoscaling"],
        reason="INACTIVE_TIMEOUT",
        message=why,
    )
    _stop(world, deployment, f"stopping: {why}")


def _fail(world: World, deployment: Deployment, why: str) -> None:
    deployment.desired = deployment.scheduled = 0
    _enter(world, deployment, "FAILED", why, None, level="LEVEL_ERROR")
    _set_ready(world, deployment, 0)


def _enter(
    world: World, deployment: Deployment, state: str, message: str, seconds: int | None, level: str = "LEVEL_INFO"
) -> None:
    deployment.state = state
    deployment.message = message
    deployment.transition_at = None if seconds is None else world.now + seconds * MILLISECONDS_PER_SECOND
    world.record(
        "deployment.status_updated",
        deployment.endpoint_id,
        deployment,
        level=level,
        message=f"DEPLOYMENT_STATE_{state}",
        reason=message,
    )


def _set_ready(world: World, deployment: Deployment, ready: int) -> None:
    if ready == deployment.ready:
        return
    deployment.meter_until(world.now)
    if deployment.ready == 0:
        deployment.active_at = world.now
    world.record(
        "deployment.scaled",
        deployment.endpoint_id,
        deployment,
        oldReplicas=deployment.ready,
        newReplicas=ready,
        message=f"ready replicas {deployment.ready} -> {ready}",
    )
    deployment.ready = ready
