"""What the log knows of a decision beside its prompt, as a head is told it, in training and in service alike."""

from __future__ import annotations

import json

from reasoning_cli.decisions.addressing import Addressing
from reasoning_cli.engines.head.moment import Facts
from reasoning_cli.store.samples.training_log import Sample


def facts_of(sample: Sample) -> Facts:
    """Of a stored decision."""
    targets = tuple(json.loads(sample.reply_targets)) if sample.reply_targets else ()
    return facts_from(Addressing(targets, sample.spoke_before, sample.burst or 0, sample.people))


def facts_from(around: Addressing) -> Facts:
    """Of what stands around a message. The prompt itself says who sent it, and how many messages in a row it is."""
    return Facts(answered=around.reply_targets, direct=None if around.people is None else around.people == 1)
