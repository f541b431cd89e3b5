"""What the training log holds, and what that is worth to train on."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Literal

from reasoning_cli.redaction.redactor import Redactor
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.stats import SampleFigures, TypeFigures, sample_figures, spread_samples
from reasoning_cli.store.samples.training_log import EVERYTHING, SampleFilter
from reasoning_cli.values import spell_model_type

Quality = Literal["Insufficient", "Limited", "Narrow", "Stale", "Good", "Excellent"]

ENOUGH_PER_TYPE = 100
RECENT_ENOUGH = 10
LOOKED_AT = 400  # samples that are searched for personal data, since searching all would take minutes
_DAY = timedelta(hours=24)
_OLD = timedelta(days=14)
# Shares of a model type from which something is said.
_ONE_SIDED = 0.9
_RARE = 0.02
_MANY_COPIES = 0.2
_MANY_UNREADABLE = 0.05
_ONE_AGENT = 0.8


@dataclass(frozen=True)
class PersonalData:
    """What a search of some samples found: how many were looked at, how many held any, how often each kind."""

    looked_at: int
    holding: int
    kinds: Mapping[str, int]


@dataclass(frozen=True)
class SampleStatistics:
    """The figures of the training log, a verdict on them and what would improve it."""

    figures: SampleFigures
    personal: PersonalData
    quality: Quality
    quality_reason: str
    recommendations: tuple[str, ...]


def sample_statistics(
    store: Store,
    now: datetime,
    *,
    wanted: SampleFilter = EVERYTHING,
    windows: Mapping[str, int] | None = None,
    zone: tzinfo | None = None,
    looked_at: int = LOOKED_AT,
) -> SampleStatistics:
    """Count what is wanted of the log and judge whether it is enough to train on.

    `windows` are the tokens each type's model reads; `looked_at` samples at most are searched for personal data.
    """
    figures = sample_figures(store, now - _DAY, wanted=wanted, windows=windows, zone=zone)
    return judged(figures, _personal(store, wanted, looked_at), now, alone=len(wanted.model_types) == 1)


def judged(figures: SampleFigures, personal: PersonalData, now: datetime, *, alone: bool) -> SampleStatistics:
    """Figures with the verdict on them; `alone` when one type was asked for."""
    total, recent = figures.range.count, figures.last_day
    # Of one type alone it says nothing that others are missing: they were not asked for.
    quality, reason = judge(total, recent, 2 if alone else len(figures.by_type))
    return SampleStatistics(
        figures=figures,
        personal=personal,
        quality=quality,
        quality_reason=reason,
        recommendations=tuple(_recommendations(figures, now, alone=alone)),
    )


def judge(total: int, recent: int, types: int) -> tuple[Quality, str]:
    """The verdict on `total` samples of so many model types, `recent` of them from the last 24 hours, and why.

    The first rule that fits decides.
    """
    if total < 50:
        return "Insufficient", "fewer than 50 samples"
    if total < 200:
        return "Limited", "fewer than 200 samples"
    if types < 2:
        return "Narrow", "only one model type"
    if recent < 5:
        return "Stale", "fewer than 5 samples in the last 24 hours"
    if total > 1000:
        return "Excellent", "more than 1000 samples, and new ones coming in"
    return "Good", "enough samples, and new ones coming in"


def _personal(store: Store, wanted: SampleFilter, most: int) -> PersonalData:
    """Search samples from all over the log for what an export would redact."""
    return personal_data((sample.prompt, sample.output) for sample in spread_samples(store, wanted, most))


def personal_data(texts: Iterable[tuple[str, str]]) -> PersonalData:
    """Search prompts and outputs for what an export would redact."""
    redactor = Redactor(secrets.token_bytes(16))
    looked_at = holding = 0
    for pair in texts:
        before = redactor.counts.total()
        for text in pair:
            redactor.redact(text)
        looked_at += 1
        holding += redactor.counts.total() > before
    return PersonalData(looked_at, holding, dict(redactor.counts.most_common()))


def _recommendations(figures: SampleFigures, now: datetime, *, alone: bool) -> Iterator[str]:
    """What would help, first what the original plugin said, then what it did not see."""
    for name, part in figures.by_type.items():
        if part.range.count < ENOUGH_PER_TYPE:
            yield (
                f"collect more {spell_model_type(name)} samples: {part.range.count} now, {ENOUGH_PER_TYPE} or more"
                " recommended"
            )
    if figures.last_day < RECENT_ENOUGH:
        yield f"let the agent do more: {figures.last_day} samples in the last 24 hours"
    if len(figures.by_type) == 1 and not alone:
        yield "collect more than one model type, so that training does not depend on one kind of decision"
    newest = figures.range.newest
    if newest is not None and now - newest > _OLD:
        yield f"import what the agent decided since: the newest sample is {(now - newest).days} days old"
    for name, part in figures.by_type.items():
        if part.range.count >= ENOUGH_PER_TYPE:
            yield from _advice(spell_model_type(name), part)


def _advice(name: str, part: TypeFigures) -> Iterator[str]:
    """What keeps enough samples of one type from being good ones."""
    total = part.range.count
    if name == "should-respond":
        known = total - part.unparsed
        most, count = max(part.decisions.items(), key=lambda item: item[1], default=("", 0))
        if known and count / known > _ONE_SIDED:
            yield (
                f"{count / known:.0%} of {name} samples decide {most}: export with `--balance`, or a model learns"
                " to say only that"
            )
        rare = [
            decision for decision in ("RESPOND", "IGNORE", "STOP") if part.decisions.get(decision, 0) < _RARE * known
        ]
        if rare:
            yield f"{name} hardly ever decides {' or '.join(rare)}: a model will not learn it from so few"
    if part.near_repeats / total > _MANY_COPIES:
        yield f"{part.near_repeats / total:.0%} of {name} samples are near-copies: export with `--dedupe near`"
    if part.unparsed / total > _MANY_UNREADABLE:
        yield (
            f"{part.unparsed / total:.0%} of {name} answers cannot be read and are not exported: correct them with"
            " `reasoning data review`"
        )
    if len(part.agents) > 1:
        agent, count = next(iter(part.agents.items()))
        if count / total > _ONE_AGENT:
            yield f"{agent} took {count / total:.0%} of {name} decisions: a model for all needs more of the others"
    if part.too_long:
        yield (
            f"{part.too_long:,} {name} samples are longer than the model's window: export with `--max-tokens`, or"
            f" raise {name.replace('-', '_')}.window_tokens if the model reads more"
        )
