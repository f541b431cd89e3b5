"""Ask the head in line: in this process, at once, and what becomes of what it says."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from random import random

from reasoning_cli.decisions.addressing import AnsweredMessages, addressing_of
from reasoning_cli.decisions.answers import ShouldRespondAnswer, render_answer
from reasoning_cli.decisions.prompts import agent_name
from reasoning_cli.decisions.recognise import Recognition, without_codes
from reasoning_cli.engines.head.features import named_in
from reasoning_cli.engines.head.model import Verdict
from reasoning_cli.engines.head.moment import Moment, moment_of
from reasoning_cli.gateway.dialects.forms import Asked, Reply
from reasoning_cli.gateway.model_client import Attempt
from reasoning_cli.gateway.routing import in_share
from reasoning_cli.operations.data.head_facts import facts_from
from reasoning_cli.operations.deploy.slots import HeadSlot
from reasoning_cli.store.serving.attempts import UNSURE
from reasoning_cli.values import Mode

# A room that somebody filled with a book is read by nobody while others wait.
LONGEST_PROMPT = 400_000


class Use(StrEnum):
    """What becomes of what a head says: the agent gets it; the original is asked all the same, to compare; it is only
    compared; or it said nothing."""

    ANSWER = "answered"
    AUDIT = "audited"
    SHADOW = "shadowed"
    UNSURE = "not sure"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a head said, and to what use."""

    attempt: Attempt
    use: Use


def may_judge(head: HeadSlot, asked: Asked, found: Recognition) -> bool:
    """Whether the head is to look at a decision at all."""
    return (
        head.judge is not None
        and found.fmt == "xml"
        and found.can_be_echoed
        and not (asked.has_images or asked.tools)
        and len(asked.text) <= LONGEST_PROMPT
    )


def judge(head: HeadSlot, asked: Asked, found: Recognition, answered: AnsweredMessages) -> Judged:
    """Ask the head for a decision. Of those that it would be asked for alone, a share drawn by lot is audited."""
    started = time.perf_counter()
    prompt = without_codes(asked.text)
    agent = agent_name(prompt) or ""
    moment = moment_of(prompt, asked.system, facts_from(addressing_of(prompt, agent, answered)))
    verdict = None if moment is None else verdict_of(head, moment)
    use = _use(head, prompt, is_sure=verdict is not None and verdict.label is not None)
    named = None
    if use is not Use.ANSWER and use is not Use.UNSURE and moment is not None:
        named = named_in(moment).somebody
    took = time.perf_counter() - started
    if moment is None or verdict is None or verdict.label is None:
        confidence = None if verdict is None else verdict.confidence
        why = "no message to decide about" if verdict is None else verdict.reason
        return Judged(
            Attempt(head, round(took * 1000), failure=UNSURE, confidence=confidence, why=why, named=named), use
        )
    said = ShouldRespondAnswer(moment.agent, _reasoning(moment, verdict), verdict.label)
    text = render_answer(said, found.codes)
    return Judged(
        Attempt(
            head,
            round(took * 1000),
            Reply(text, asked.model, 0, 0),
            output=text,
            decision=verdict.label,
            confidence=verdict.confidence,
            why=verdict.reason,
            named=named,
        ),
        use,
    )


def verdict_of(head: HeadSlot, moment: Moment) -> Verdict:
    """What the head makes of a moment."""
    assert head.judge is not None
    return head.judge.judge(moment)


def _use(head: HeadSlot, prompt: str, *, is_sure: bool) -> Use:
    """What becomes of what a head says, drawn by lot where it is audited."""
    if head.mode is Mode.SHADOW or (head.mode is Mode.CANARY and not in_share(prompt, head.share_percent, "head")):
        return Use.SHADOW
    if random() * 100 < head.audit_percent:
        return Use.AUDIT
    return Use.ANSWER if is_sure else Use.UNSURE


def _reasoning(moment: Moment, verdict: Verdict) -> str:
    """What the agent reads of why: it keeps that in its log."""
    whom = "to me" if verdict.label == "RESPOND" else "not to me"
    return f"{moment.sender} speaks {whom}."
