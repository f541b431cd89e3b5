"""What a head goes by in one decision of the log: its rule, or what weighs most with its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reasoning_cli.engines.head.features import signs_of, spelled
from reasoning_cli.engines.head.model import Head, Label, probable_label
from reasoning_cli.engines.head.moment import Moment, moment_of
from reasoning_cli.errors import DataError, UsageError
from reasoning_cli.operations.data.head_facts import facts_of
from reasoning_cli.paths import HEAD_SUFFIX
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.values import HEAD_PREFIX, is_head

_MOST = 8


@dataclass(frozen=True)
class Sign:
    """One thing a model saw, and how much that spoke for its label (above zero) or against it."""

    text: str
    weight: float


@dataclass(frozen=True)
class HeadExplanation:
    """What a head makes of a decision. `label` is what it is for, `answers` whether it is sure enough to say so;
    `reason` is its rule or why it abstains. `signs` are what weighed most with the model, the most first; empty where a
    rule decides."""

    model: str
    sample_id: str
    label: Label
    answers: bool
    confidence: float
    by: str
    reason: str
    signs: tuple[Sign, ...]


def explain_head(sample: Sample, folder: Path, model: str | None) -> HeadExplanation:
    """What the head that answered a decision, or the one named, makes of it now. Raises UsageError where none is named
    and none answered, NotFoundError and DataError for a head or a decision that cannot be used."""
    model = model or (sample.model if is_head(sample.model) else None)
    if model is None:
        raise UsageError(
            f"`{sample.model}` answered that decision, and no head", "`--model head/NAME` asks one what it makes of it"
        )
    head = Head.load(folder / f"{model.removeprefix(HEAD_PREFIX)}{HEAD_SUFFIX}")
    moment = moment_of(sample.prompt, sample.system, facts_of(sample))
    if moment is None:
        raise DataError(
            "that decision says neither who decides nor about which message", "`reasoning data show` shows it"
        )
    verdict, signs = head.judge(moment), signs_of(moment)
    by_model = head.scorers[signs.named] == "model"
    rule = head.rules.get(signs.situation)
    label = probable_label(head.linear, signs)[0] if by_model or rule is None else rule.label
    return HeadExplanation(
        model,
        sample.id,
        label,
        verdict.label is not None,
        verdict.confidence,
        verdict.by,
        verdict.reason,
        _strongest(head, moment, label) if by_model else (),
    )


def _strongest(head: Head, moment: Moment, label: Label) -> tuple[Sign, ...]:
    turned = label not in head.linear  # where it has no RESPOND, that is whatever speaks against IGNORE
    linear = head.linear["IGNORE" if turned else label]
    sign = -1.0 if turned else 1.0
    found = [Sign(text, sign * linear.slope * linear.weights[place] * value) for text, place, value in spelled(moment)]
    return tuple(sorted(found, key=lambda each: -abs(each.weight))[:_MOST])
