"""A guard that acts, in this process, as others see it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from reasoning_cli.operations.gateway.presence import instance
from reasoning_cli.operations.guard.lock import GUARD, GuardLock, SharedLock, hold_guard
from reasoning_cli.store.database import Store
from reasoning_cli.store.instances import Instances


def guard_name(store: Store) -> str:
    """What one in this process is called."""
    return f"process {os.getpid()} on {platform.node()}" if store.is_shared else f"process {os.getpid()}"


@contextmanager
def guard_at_work(store: Store) -> Iterator[GuardLock]:
    """Its lock: where several hosts share the store one of all of them, whose signs of life are written at once."""
    if not store.is_shared:
        with hold_guard(store.path) as file:
            yield file
        return
    lock, who = SharedLock(timedelta(seconds=60)), instance(GUARD)
    presence: Any = SimpleNamespace(who=who, now=lambda: Instances(store).beat(who, lock.facts()))
    lock.presence = presence
    with store.alone(GUARD) as hold:
        assert hold is not None
        with lock.held_by(hold, store) as held:
            yield held
    Instances(store).leave(who.id)
