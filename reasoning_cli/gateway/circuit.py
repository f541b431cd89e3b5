"""A circuit breaker a slot: after a run of failures its model is left alone for a while, then tried with one call."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

_WINDOW = 20
IN_A_ROW = 5
_SHARE = 0.5
_FIRST_PAUSE_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 300.0
OPEN = "its circuit is open"


@dataclass
class Circuit:
    """Opens after five failures in a row, here or counted over all who share the log, or when half of the last twenty
    here failed; each time it opens again the pause doubles, up to five minutes. One good answer closes it. `of` is what
    it is about, as compared by who asks."""

    clock: Callable[[], float] = time.monotonic
    of: object = None
    _outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _open_until: float | None = None
    _pause: float = _FIRST_PAUSE_SECONDS
    _probing: bool = False
    _good_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        if self._open_until is None:
            return "closed"
        return "open" if self.clock() < self._open_until else "half-open"

    def lets_through(self) -> bool:
        """Whether a call may go to the model now; of the calls at a half-open circuit just one."""
        match self.state:
            case "closed":
                return True
            case "half-open" if not self._probing:
                self._probing = True
                return True
        return False

    def succeeded(self) -> None:
        self._outcomes.append(True)
        self._good_at = datetime.now(UTC)
        if self._open_until is not None:
            self._open_until, self._pause = None, _FIRST_PAUSE_SECONDS
            self._outcomes.clear()
        self._probing = False

    def failed(self) -> None:
        self._outcomes.append(False)
        if self._open_until is not None:
            if self._probing:
                self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
                self._open_until = self.clock() + self._pause
                self._probing = False
            return
        recent = list(self._outcomes)
        in_a_row = len(recent) >= IN_A_ROW and not any(recent[-IN_A_ROW:])
        too_many = len(recent) == _WINDOW and recent.count(False) >= _WINDOW * _SHARE
        if in_a_row or too_many:
            self._open_until = self.clock() + self._pause

    def failed_in_log(self, times: Sequence[datetime]) -> None:
        """What all who share the log came to: when it failed in a row, with no good answer between. Of before the last
        good answer here, or before this circuit was about what it is, nothing counts."""
        if self._open_until is None and sum(at > self._good_at for at in times) >= IN_A_ROW:
            self._open_until = self.clock() + self._pause

    def reset(self) -> None:
        """Begin anew: it is about something else now."""
        self._outcomes.clear()
        self._good_at = datetime.now(UTC)
        self._open_until, self._pause, self._probing = None, _FIRST_PAUSE_SECONDS, False

    def abandoned(self) -> None:
        """A call that was let through came to nothing, such as when its caller left: another one may probe."""
        self._probing = False
