"""The passing of time: everything that is due happens, in order, each at its exact virtual moment.

What most runs never use is imported when there is some of it: a fresh server is to answer soon.
"""

from __future__ import annotations

from collections.abc import Iterator

from reasoning_cli.sandbox.deploy import lifecycle
from reasoning_cli.sandbox.world.world import Due, World


def pass_time(world: World, now: int) -> None:
    """Let everything happen that is due up to `now`."""
    while due := [change for change in _due(world) if change.at <= now]:
        first = min(due, key=lambda change: (change.at, change.sequence))
        world.now = max(world.now, first.at)  # what was held up until now happens now, not in the past
        world.changed = True
        first.happen()
    world.now = max(world.now, now)


def _due(world: World) -> Iterator[Due]:
    for deployment in world.live_deployments():
        yield from lifecycle.due(world, deployment)
    if world.legacy_endpoints:
        from reasoning_cli.sandbox.deploy import legacy

        for endpoint in world.live_legacy_endpoints():
            yield from legacy.due(world, endpoint)
    if world.stored_files:
        from reasoning_cli.sandbox.train import files

        for file in world.stored_files.values():
            yield from files.due(world, file)
    if world.fine_tunes:
        from reasoning_cli.sandbox.train import job_life

        for job in world.fine_tunes.values():
            yield from job_life.due(world, job)
    if world.rollouts:
        from reasoning_cli.sandbox.deploy import shifting

        for rollout in world.rollouts.values():
            yield from shifting.due(world, rollout)
    if world.adapters:
        from reasoning_cli.sandbox.deploy import adapters

        for adapter in world.adapters.values():
            yield from adapters.due(world, adapter)
    unvalidated = [model for model in world.models.values() if model.is_unvalidated]
    if world.uploads or unvalidated:
        from reasoning_cli.sandbox.weights import uploads

        for upload in world.uploads.values():
            yield from uploads.due(world, upload)
        for model in unvalidated:
            yield from uploads.validation_due(world, model)
