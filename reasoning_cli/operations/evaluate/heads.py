"""Heads on decisions of the log, as an evaluation asks them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reasoning_cli.decisions.addressing import Addressing
from reasoning_cli.engines.head.moment import moment_of
from reasoning_cli.operations.data.head_facts import facts_from
from reasoning_cli.store.evaluate.reader import AskedRow

if TYPE_CHECKING:
    from reasoning_cli.engines.head.model import Head, Verdict


def verdict_on(head: Head, row: AskedRow) -> Verdict | None:
    """What a head makes of a stored decision; None where it says neither who decides nor about what."""
    targets = tuple(json.loads(row.reply_targets)) if row.reply_targets else ()
    moment = moment_of(row.prompt, row.system, facts_from(Addressing(targets, people=row.people)))
    return None if moment is None else head.judge(moment)
