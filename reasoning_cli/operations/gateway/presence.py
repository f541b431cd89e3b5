"""Signs of life of a gateway or a guard, where several hosts share a store."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from reasoning_cli import __version__
from reasoning_cli.errors import ReasoningError
from reasoning_cli.store.database import Store
from reasoning_cli.store.instances import Instance, Instances, InstanceSeen, Kind

BEAT = timedelta(seconds=5)
_END_SECONDS = 5.0
_log = logging.getLogger(__name__)


def instance(
    kind: Kind, *, instance_id: str | None = None, pid: int | None = None, every: timedelta = BEAT
) -> Instance:
    """This process, or the one `pid` that started it, as others see it."""
    return Instance(instance_id or uuid4().hex, kind, platform.node(), pid or os.getpid(), __version__, every)


class Presence:
    """Gives signs of life from a thread of its own, over a connection of its own. A store that is away gets the next
    one. `facts` is asked each time; while it gives None somebody else speaks for this instance."""

    def __init__(
        self, who: Instance, open_store: Callable[[], Store], facts: Callable[[], Mapping[str, Any] | None]
    ) -> None:
        self.who, self._open_store, self._facts = who, open_store, facts
        self._due, self._ended = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def now(self) -> None:
        """Give the next one at once: something has changed."""
        self._due.set()

    def stop(self) -> None:
        """Be taken off the list, as far as the store can be reached."""
        self._ended = True
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        store: Store | None = None
        while True:
            ended = self._ended  # as it is now: what follows may take a while
            try:
                store = store or self._open_store()
                if ended:
                    Instances(store).leave(self.who.id)
                elif (facts := self._facts()) is not None:
                    Instances(store).beat(self.who, facts)
            except ReasoningError as error:
                _log.debug("no sign of life: %s", error)
                if store is not None:
                    store.close()
                    store = None
            if ended:
                break
            self._due.wait(self.who.every.total_seconds())
            self._due.clear()
        if store is not None:
            store.close()


@contextlib.contextmanager
def present(presence: Presence) -> Iterator[Presence]:
    """On the list for as long as the block runs."""
    presence.start()
    try:
        yield presence
    finally:
        presence.stop()


def everybody(store: Store) -> list[InstanceSeen]:
    """The gateways and guards of a store that several hosts share; of a file of this host nobody keeps a list."""
    return Instances(store).all() if store.is_shared else []


def differing_versions(seen: Sequence[InstanceSeen]) -> list[str]:
    """The versions of those at work, where they differ."""
    versions = sorted({each.instance.version for each in seen if not each.is_gone})
    return versions if len(versions) > 1 else []
