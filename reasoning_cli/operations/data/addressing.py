"""Saying of stored decisions whom their messages may be meant for, where that was not known as they were stored.

Whom the agent answered shows in the decisions before: the log is read in the order of time, from some way before
the first that is open. What is found is kept batch by batch, and what was found is not open any more, so a run that
was cut off is simply run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from reasoning_cli.decisions.addressing import Addressing, AnsweredMessages, addressing_of, speaks
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.addressing import address, oldest_unaddressed
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples

_BATCH = 200
# A prompt shows no older messages than some days of a quiet room.
_BEFORE = timedelta(days=2)
_TYPES = ("should_respond", "planning")


class Addresser:
    """Says of decisions, one after another in the order of time, whom their messages may be meant for."""

    def __init__(self, answered: AnsweredMessages | None = None) -> None:
        self.answered = answered or AnsweredMessages()

    def addressing(self, sample: Sample) -> Addressing | None:
        """What stands around its message; None where that is not asked. What it decided counts for those behind it."""
        agent = sample.agent_name or ""
        found = addressing_of(sample.prompt, agent, self.answered) if sample.model_type == "should_respond" else None
        if speaks(sample.model_type, sample.decision):
            self.answered.note(agent, sample.prompt)
        return found

    def addressed(self, sample: Sample) -> Sample:
        """The sample with what stands around its message."""
        found = self.addressing(sample)
        if found is None:
            return sample
        return replace(
            sample,
            reply_targets=_json(found.reply_targets),
            spoke_before=found.spoke_before,
            burst=found.burst,
            people=found.people,
        )


def _json(targets: tuple[str | None, ...]) -> str | None:
    return json.dumps(targets, ensure_ascii=False) if targets else None


def address_log(store: Store, *, on_progress: Callable[[int], None] = lambda count: None) -> int:
    """Say it of all stored decisions of which it is open; of how many. `on_progress` gets how many so far."""
    first = oldest_unaddressed(store)
    if first is None:
        return 0
    samples, addresser, changed, after = Samples(store), Addresser(), 0, None
    wanted = SampleFilter(model_types=_TYPES, since=first - _BEFORE)
    # No query stays open while a batch is written.
    while batch := list(islice(samples.iterate(wanted, after=after), _BATCH)):
        after = batch[-1].seq
        found = [(sample, addresser.addressing(sample)) for sample in batch]
        is_open = [
            (_json(each.reply_targets), each.spoke_before, each.burst, each.people, sample.seq)
            for sample, each in found
            if each is not None and sample.burst is None
        ]
        if is_open:
            changed += address(store, is_open)
            on_progress(changed)
        if oldest_unaddressed(store, batch[-1].created_at) is None:
            break
    return changed
