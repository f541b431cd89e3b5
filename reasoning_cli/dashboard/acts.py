"""What is done from the page: by commands, each object by one at a time, and only what was agreed to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reasoning_cli.dashboard.program import Outcome, Runner

_REMEMBERED = 20
# What of a plan changes by itself, without making it another plan.
_MOVES = frozenset({"budget_left_cents", "ready_seconds", "stops_at"})


@dataclass(frozen=True)
class Wish:
    """Something to be done: `object` is what it is done to, `words` the command, `stdin` what it reads.

    `plan` is the command that says what it would do and cost, or None; `watched` are the settings that it would change:
    when the plan or one of these is another by the time of the yes, it is not done.
    """

    object: str
    words: tuple[str, ...]
    plan: tuple[str, ...] | None = None
    stdin: str | None = None
    watched: tuple[str, ...] = ()

    @property
    def spoken(self) -> str:
        return " ".join(word for word in self.words if word not in ("--yes", "--no-wait"))


@dataclass
class Act:
    """A wish that was granted, and how it ended; `outcome` is None until then."""

    wish: Wish
    begun_at: datetime
    outcome: Outcome | None = None
    ended_at: datetime | None = None


@dataclass
class Acts:
    """Everything done from here, by all tabs. `after` is called when something ended."""

    run: Runner
    after: Callable[[], None] = lambda: None
    going: dict[str, Act] = field(default_factory=dict)
    ended: deque[Act] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    async def do(self, wish: Wish) -> Outcome:
        """Do it, unless something is being done to the same object already."""
        if (other := self.going.get(wish.object)) is not None:
            return Outcome(False, f"`{other.wish.spoken}` is under way already; nothing was done a second time")
        act = self.going[wish.object] = Act(wish, datetime.now(UTC))
        try:
            act.outcome = await asyncio.to_thread(self.run, *wish.words, stdin=wish.stdin)
        except OSError as error:
            act.outcome = Outcome(False, f"the command could not be run: {error}")
        finally:
            act.outcome = act.outcome or Outcome(False, "it was broken off")
            act.ended_at = datetime.now(UTC)
            del self.going[wish.object]
            self.ended.appendleft(act)
            self.after()
        return act.outcome


def agreed(plan: Any) -> Any:
    """What of a plan a person agrees to: of another one he is asked anew."""
    if isinstance(plan, Mapping):
        return {key: agreed(value) for key, value in plan.items() if key not in _MOVES}
    if isinstance(plan, list):
        return [agreed(item) for item in plan]
    return plan
