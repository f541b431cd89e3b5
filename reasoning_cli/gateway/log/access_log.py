"""The log of calls: a line of JSON each, written by a thread, so that who reads it slowly holds up no call."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from reasoning_cli.gateway.calls import Call
from reasoning_cli.redact import redact

_MOST_LINES = 10_000
_LAST_SECONDS = 1.0


class AccessLog:
    """Never a header, never a word of what was said. Lines that nobody takes in time are counted and left out."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_LINES)
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def __call__(self, call: Call) -> None:
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": call.id,
            "method": call.method,
            "path": call.path,
            "status": call.status,
            "ms": call.since_ms(),
            "sent_bytes": call.sent_bytes,
            **call.notes,
            **({"left_out": self._left_out} if self._left_out else {}),
        }
        try:
            self._lines.put_nowait(json.dumps(line) + "\n")
            self._left_out = 0
        except queue.Full:
            self._left_out += 1

    def close(self) -> None:
        """Write what waits, as long as somebody takes it."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._write(redact(line))
            except (OSError, ValueError):
                return  # nobody reads it any more
