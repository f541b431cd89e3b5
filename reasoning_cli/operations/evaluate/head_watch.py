"""Audits of a head in line: whether it still disagrees as seldom as was proven, on messages like those of its proof.

A share of its decisions, drawn by lot, goes to the original all the same. Two things are tested on those, each time one
more is known, and each is wrong about a head that holds what it promised in one case of twenty at the most, for ever:

- whether it disagrees more often than its bound allows;
- whether messages name somebody less than half as often as those it learned from. Where people stop to say whom they
  mean, what a head learned of messages without names holds no more, and nobody need be wronged first to see it.

A long time of holding its promise must not weigh against a change. So each test is begun anew every `EVERY` audits, and
what it may be wrong with is shared among all of them (1/(k(k+1)) of it for the one before which k began), which costs a
change that comes late a few audits more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import log
from typing import TYPE_CHECKING

from reasoning_cli.operations.statistics.sequential import log_evidence
from reasoning_cli.store.audit_log import Event
from reasoning_cli.store.database import Store
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.values import Mode

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.slots import HeadSlot

_log = logging.getLogger(__name__)
ALPHA = 0.05
EVERY = 25
# Of all tests that were begun the newest so many go on.
_GOING_ON = 40
# Where so few messages name somebody, fewer cannot be told from chance.
_LEAST_NAMED = 0.04
# A share that fell below this part of what it was is another habit.
_HABIT = 0.5
AUDITOR = "gateway"
TAKE_OUT = "take_out_head"


@dataclass
class HeadWatch:
    """The audits of one head since it was put in line, and what they say. `bound` is the share it may disagree in,
    `named_share` that of the messages it learned from that name somebody, None where that is not known."""

    model_type: str
    model: str
    since: datetime
    bound: float
    named_share: float | None
    agreed: list[bool] = field(default_factory=list)
    named: list[bool] = field(default_factory=list)
    last: int = 0

    def look(self, store: Store) -> str | None:
        """Take in what is new; why the head is to be taken out, None while nothing speaks for it."""
        before = self.last
        for audit in Heads(store).audited(self.model_type, self.model, self.since, self.last):
            self.last = audit.number
            if audit.agrees is not None:
                self.agreed.append(audit.agrees)
            if audit.named is not None:
                self.named.append(audit.named)
        return None if self.last == before else self.verdict()

    def verdict(self) -> str | None:
        """Why the head is to be taken out, by what was audited so far."""
        if (found := below(self.agreed, 1 - self.bound)) is not None:
            held, of = found
            return f"of {of} audited decisions {of - held} disagreed with the original, and {self.bound:.0%} may"
        share = self.named_share
        if share is not None and share >= _LEAST_NAMED and (found := below(self.named, share * _HABIT)) is not None:
            held, of = found
            return f"of {of} audited messages {held} name somebody, of those it learned from {share:.0%} do"
        return None


def below(outcomes: Sequence[bool], floor: float) -> tuple[int, int] | None:
    """(how many hold, of how many) of the newest outcomes that show a rate below a floor; None while none do."""
    starts = range(0, len(outcomes), EVERY)
    for k, start in list(enumerate(starts, start=1))[-_GOING_ON:]:
        held, of = sum(outcomes[start:]), len(outcomes) - start
        if held < floor * of and log_evidence(held, of, floor) >= log(k * (k + 1) / ALPHA):
            return held, of
    return None


class Auditor:
    """Looks at the audits of whatever head is in line, and takes it out where they say so."""

    def __init__(self) -> None:
        self._watch: HeadWatch | None = None

    def took_out(self, store: Store, head: HeadSlot | None, at: datetime) -> bool:
        """Whether the head is taken out by now, by this process or another."""
        if head is None or head.judge is None or head.since is None or head.mode is Mode.SHADOW:
            return False
        watch = self._watch
        if watch is None or (watch.model, watch.since) != (head.judge.model, head.since):
            share = head.judge.facts.get("named")
            watch = self._watch = HeadWatch(
                head.model_type, head.judge.model, head.since, head.judge.max_error, float(share) if share else None
            )
        why = watch.look(store)
        if why is None:
            return False
        if take_out(store, watch, why, at):
            _log.warning("%s is taken out of its line: %s", watch.model, why)
        return True


def take_out(store: Store, watch: HeadWatch, why: str, at: datetime) -> bool:
    """Take the head out of its line, and say why; False where somebody else was faster."""
    detail = {"model": watch.model, "why": why, "audited": len(watch.agreed)}
    return Heads(store).take_out(watch.model, watch.since, Event(at, AUDITOR, TAKE_OUT, watch.model_type, detail), why)
