"""Stopped models that are asked for: looked at, and started where that is allowed, off the path of calls."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.deploy.slots import SlotNow
from reasoning_cli.values import MODEL_TYPES

_log = logging.getLogger(__name__)
# Between two looks at one model, however many decisions come in.
AGAIN_SECONDS = 60.0

Notify = Callable[[str], None]


class Stopped(Exception):
    """Whoever wanted a model awake has gone."""


class Waker:
    """Wakes each slot's model in a thread of its own, one at a time a slot.

    `wake` does it and returns when the model is READY, or will not be; what it tells meanwhile is in `said`, by type.
    """

    def __init__(
        self,
        wake: Callable[[SlotNow, Notify], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self.said: dict[str, str] = {}
        self._wake, self._clock, self._again_seconds = wake, clock, again_seconds
        self._not_before: dict[str, float] = {}
        self._threads: set[threading.Thread] = set()
        self._stopping = threading.Event()

    def wanted(self, slot: SlotNow) -> None:
        """A decision came in for a stopped model. Never waits."""
        if self._clock() < self._not_before.get(slot.model_type, 0.0):
            return
        self._not_before[slot.model_type] = float("inf")
        thread = threading.Thread(target=self._run, args=(slot,), name=f"wake {slot.model_type}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def pause(self, seconds: float) -> None:
        """Wait between two looks. Raises Stopped as soon as nobody wants to know any more."""
        if self._stopping.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        """End what is going on, and wait for that. A model that was started goes on by itself."""
        self._not_before = dict.fromkeys(MODEL_TYPES, float("inf"))
        self._stopping.set()
        for thread in list(self._threads):
            thread.join()

    def _run(self, slot: SlotNow) -> None:
        def notify(text: str) -> None:
            if self.said.get(slot.model_type) != text:
                _log.info("%s: %s", slot.model_type, text)
            self.said[slot.model_type] = text

        try:
            self._wake(slot, notify)
        except Stopped:
            return
        except ReasoningError as error:
            notify(error.message)
        except Exception as error:
            _log.exception("a model could not be woken")
            notify(f"could not be woken: {type(error).__name__}")
        finally:
            if not self._stopping.is_set():
                self._not_before[slot.model_type] = self._clock() + self._again_seconds
            self._threads.discard(threading.current_thread())
