"""What the slots are now, kept fresh by a thread: settings and ledger change while the gateway runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.deploy.slots import SlotNow
from reasoning_cli.redact import redact
from reasoning_cli.store.database import UnavailableError

_log = logging.getLogger(__name__)
REFRESH_SECONDS = 1.0


@dataclass(frozen=True)
class View:
    """What the operator wants at one moment: the slots, and where what is not a decision of ours goes (bases with /v1).

    `token` is what callers have to show, None where everybody may come in; `hosts` are names it is called by beside
    those of this machine itself, None where any name will do; `redact_with` is the log's salt where decisions are
    redacted before they are stored. `failures` are by circuit when its model failed in a row, by the log. `sandbox` and
    `profile` say whose account and log it works with.
    """

    slots: Mapping[str, SlotNow]
    openai_upstream: str
    anthropic_upstream: str
    token: str | None = None
    redact_with: bytes | None = None
    hosts: frozenset[str] | None = frozenset()
    sandbox: bool = False
    profile: str | None = None
    failures: Mapping[str, Sequence[datetime]] = field(default_factory=dict)


class Book:
    """The newest view. A look that fails leaves the one before, and is told once; the first one that does, because the
    store is away, what was `last_seen` of it. `watch` gets each view that was
    looked at, in the thread that did."""

    def __init__(self, read: Callable[[], View], last_seen: Callable[[], View | None] = lambda: None) -> None:
        self._read = read
        self.problem: str | None = None
        try:
            self.view = read()
        except UnavailableError as error:
            if (view := last_seen()) is None:
                raise
            self.view, self.problem = view, redact(str(error))
            _log.warning("slots are as they were last seen: %s", error)
        self.watch: Callable[[View], None] = lambda view: None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slots", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def look(self) -> None:
        """Read once more, now."""
        try:
            self.view = self._read()
            self.problem = None
            self.watch(self.view)
        except Exception as error:  # whatever it is, the next look may go well
            if self.problem != redact(str(error)):
                _log.warning("settings and slots stay as they were: %s", error)
                if not isinstance(error, ReasoningError):
                    _log.debug("unexpected while settings were read", exc_info=error)
            self.problem = redact(str(error))

    def _run(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            self.look()
