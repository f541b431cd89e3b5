"""Stopped models that are asked for: looked at, and started where that is allowed, off the path of calls."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.deploy.slots import SlotNow

_log = logging.getLogger(__name__)
# Between two looks at one model, however many decisions come in.
AGAIN_SECONDS = 60.0

Notify = Callable[[str], None]


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

    def wanted(self, slot: SlotNow) -> None:
        """A decision came in for a stopped model. Never waits."""
        if self._clock() < self._not_before.get(slot.model_type, 0.0):
            return
        self._not_before[slot.model_type] = float("inf")
        threading.Thread(target=self._run, args=(slot,), name=f"wake {slot.model_type}", daemon=True).start()

    def _run(self, slot: SlotNow) -> None:
        def notify(text: str) -> None:
            if self.said.get(slot.model_type) != text:
                _log.info("%s: %s", slot.model_type, text)
            self.said[slot.model_type] = text

        try:
            self._wake(slot, notify)
        except ReasoningError as error:
            notify(error.message)
        except Exception as error:
            _log.exception("a model could not be woken")
            notify(f"could not be woken: {type(error).__name__}")
        finally:
            self._not_before[slot.model_type] = self._clock() + self._again_seconds
