"""How a deployment lives: start, serve, scale, stop, fail. Every change happens at its exact virtual moment.

PROVISIONING -> SCALING -> READY <-> SCALING
READY -> DEGRADED -> READY, on demand
PROVISIONING | SCALING | READY | DEGRADED -> STOPPING -> STOPPED -> SCALING -> READY
a start that is not ready within six hours, or is told to fail -> FAILED
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from reasoning_cli.sandbox.clock import MILLISECONDS_PER_SECOND
from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.world.catalog import INSTANCE_TYPES
from reasoning_cli.sandbox.world.records import Behaviour, Deployment
from reasoning_cli.sandbox.world.world import Due, World

START_LIMIT_MS = 6 * 3600 * MILLISECONDS_PER_SECOND
_STARTING = {"PROVISIONING", "SCALING"}


def due(world: World, deployment: Deployment) -> Iterator[Due]:
    """What will happen to the deployment by itself."""
    if deployment.transition_at is not None and not _blocked(deployment, world.behaviour):
        yield Due(deployment.transition_at, deployment.sequence, partial(_end_state, world, deployment))
    if deployment.state in _STARTING and deployment.ready == 0:
        late = partial(fail, world, deployment, "not ready within 6 hours")
        yield Due(deployment.started_at + START_LIMIT_MS, deployment.sequence, late)
    if deployment.inactive_minutes and deployment.ready:
        at = deployment.active_at + _idle_ms(world, deployment)
        yield Due(at, deployment.sequence, partial(_stop_idle, world, deployment))


def start(world: World, deployment: Deployment, state: str = "PROVISIONING") -> None:
    """Begin a start from nothing; with 0/0 bounds the deployment is simply stopped."""
    _want(world, deployment, deployment.min_replicas)
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
    if world.behaviour.idle_counts != "ready":
        deployment.active_at = world.now
    world.changed = True


def crash(world: World, deployment: Deployment, replicas: int, heals_after_seconds: int | None) -> None:
    """So many ready replicas are gone, though wanted; back after some seconds, or with `restore`.

    Raises ApiError (400) when fewer than that are ready.
    """
    if deployment.state not in {"READY", "DEGRADED"} or replicas > deployment.ready:
        raise bad_request(f"the deployment is {deployment.state} with {deployment.ready} ready replicas")
    left = deployment.ready - replicas
    message = f"{left} of {deployment.desired} replicas ready"
    _enter(world, deployment, "DEGRADED", message, heals_after_seconds, level="LEVEL_WARN")
    _set_ready(world, deployment, left)


def restore(world: World, deployment: Deployment) -> None:
    """Bring back what crashed. Raises ApiError (400) when nothing did."""
    if deployment.state != "DEGRADED":
        raise bad_request(f"the deployment is {deployment.state}, not DEGRADED")
    _become_ready(world, deployment)


def autoscale(world: World, deployment: Deployment, desired: int) -> None:
    """Want another number of replicas within the bounds, as load would. Raises ApiError (400) outside them."""
    if deployment.state in {"STOPPING", "STOPPED", "FAILED"}:
        raise bad_request(f"the deployment is {deployment.state}")
    if not deployment.min_replicas <= desired <= deployment.max_replicas:
        raise bad_request(f"replicas must be from {deployment.min_replicas} to {deployment.max_replicas}")
    _resize(world, deployment, desired)


def hurry(world: World, deployment: Deployment) -> None:
    """Skip what is left of a start."""
    if deployment.desired:
        _become_ready(world, deployment)


def flap(world: World, deployment: Deployment, calls: int, seconds: int) -> None:
    """Refuse the next chat requests as not running, though replicas are ready."""
    deployment.flap_calls = calls
    deployment.flap_until = world.now + seconds * MILLISECONDS_PER_SECOND


def remove(world: World, deployment: Deployment) -> None:
    """Delete, whatever it is doing: what it served until now stays on the bill."""
    _want(world, deployment, 0)
    deployment.scheduled = 0
    _set_ready(world, deployment, 0)
    world.endpoints[deployment.endpoint_id].split.pop(deployment.id, None)
    world.adapters = {key: adapter for key, adapter in world.adapters.items() if adapter.deployment_id != deployment.id}
    deployment.deleted_at = world.now
    world.record(
        "deployment.deleted", deployment.endpoint_id, deployment, message=f"deployment {deployment.name} deleted"
    )


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
    elif deployment.state == "SCALING" and deployment.ready == 0 and world.behaviour.fail_start:
        fail(world, deployment, "the replicas failed to start")
    else:
        _become_ready(world, deployment)


def _become_ready(world: World, deployment: Deployment) -> None:
    deployment.scheduled = deployment.desired
    _enter(world, deployment, "READY", "ready", None)
    _set_ready(world, deployment, deployment.desired)


def _resize(world: World, deployment: Deployment, desired: int) -> None:
    if desired == deployment.desired:
        return
    _want(world, deployment, desired)
    if deployment.state == "PROVISIONING":
        return
    grows = desired > deployment.ready
    deployment.scheduled = max(deployment.scheduled, desired)
    seconds = world.behaviour.scaling_seconds if grows else world.behaviour.stopping_seconds
    _enter(world, deployment, "SCALING", "adding replicas" if grows else "removing replicas", seconds)
    # A replica that is going away takes no more requests at once, so it is no longer ready (nor billed).
    _set_ready(world, deployment, min(deployment.ready, desired))


def _stop(world: World, deployment: Deployment, why: str) -> None:
    _want(world, deployment, 0)
    _enter(world, deployment, "STOPPING", why, world.behaviour.stopping_seconds)
    _set_ready(world, deployment, 0)


def _idle_ms(world: World, deployment: Deployment) -> int:
    return max(deployment.inactive_minutes * 60 * MILLISECONDS_PER_SECOND, world.least_idle_ms)


def _stop_idle(world: World, deployment: Deployment) -> None:
    deployment.min_replicas = deployment.max_replicas = 0
    deployment.version += 1
    deployment.updated_at = world.now
    why = f"no requests for {_idle_ms(world, deployment) // (60 * MILLISECONDS_PER_SECOND)} minutes"
    world.record(
        "deployment.updated",
        deployment.endpoint_id,
        deployment,
        paths=["autoscaling"],
        reason="INACTIVE_TIMEOUT",
        message=why,
    )
    _stop(world, deployment, f"stopping: {why}")


def fail(world: World, deployment: Deployment, why: str) -> None:
    """The end: it can only be deleted."""
    _want(world, deployment, 0)
    deployment.scheduled = 0
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
    if deployment.ready == 0 and world.behaviour.bills_cold_start and world.now > deployment.started_at:
        price = deployment.price_cents_per_hour
        deployment.spans.append([deployment.started_at, world.now, deployment.desired, price])
    if deployment.ready == 0:
        deployment.active_at = world.now
        flap(world, deployment, world.behaviour.flap_calls, world.behaviour.flap_seconds)
    if world.behaviour.scaled_counts == "ready":
        _record_scaled(world, deployment, deployment.ready, ready)
    deployment.ready = ready


def _want(world: World, deployment: Deployment, desired: int) -> None:
    if world.behaviour.scaled_counts == "desired" and desired != deployment.desired:
        _record_scaled(world, deployment, deployment.desired, desired)
    deployment.desired = desired


def _record_scaled(world: World, deployment: Deployment, old: int, new: int) -> None:
    counted = world.behaviour.scaled_counts
    world.record(
        "deployment.scaled",
        deployment.endpoint_id,
        deployment,
        oldReplicas=old,
        newReplicas=new,
        message=f"{counted} replicas {old} -> {new}",
    )
