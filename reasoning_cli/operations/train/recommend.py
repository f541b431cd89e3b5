"""What to train a type of decision with, by the size of the log and what Together allows, and what to expect of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.costs.budget import Limits
from reasoning_cli.operations.data.export.split import UnsplittableError
from reasoning_cli.operations.data.stats import sample_statistics
from reasoning_cli.operations.train.estimate import billions_of
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.stats import sample_figures
from reasoning_cli.store.samples.training_log import SampleFilter
from reasoning_cli.values import MODEL_TYPES, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.operations.train.plan import TrainingPlan, TrainRequest

_EXPECT = (
    (50, "nothing to rely on: an example of how it works"),
    (200, "the form of the answers, and little judgement"),
    (1000, "plain cases as the agent decides them today; what is rare it will miss"),
    (5000, "most cases as the agent decides them today"),
)
_EXPECT_MOST = "nearly what the agent decides today, at a smaller model's price and speed"
_ENOUGH_LABELS = 200


@dataclass(frozen=True)
class Advice:
    """What to type, what comes of it, and what would help more than anything in it. `refusal` is what a start of the
    plan would be refused with today."""

    plan: TrainingPlan
    expectation: str
    improvements: tuple[str, ...]
    reasons: tuple[str, ...]
    refusal: ReasoningError | None = None


def fullest_type(store: Store, now: datetime) -> str:
    """The type with the most samples. ReasoningError when there are none at all."""
    figures = sample_figures(store, now)
    if not figures.by_type:
        raise ReasoningError(
            "there is no decision to learn from yet",
            "collect some: `reasoning gateway serve`, or `reasoning data import`",
        )
    return max(
        MODEL_TYPES,
        key=lambda model_type: figures.by_type[model_type].range.count if model_type in figures.by_type else 0,
    )


def advise(
    client: Cloud,
    store: Store,
    limits: Limits,
    request: TrainRequest,
    *,
    now: datetime,
    slot_form: str,
    window_tokens: int,
) -> Advice:
    """The plan that a beginner should take, with reasons. Raises ReasoningError when nothing can be trained on.

    A budget that cannot pay it is shown, and refuses nothing yet.
    """
    from reasoning_cli.operations.train.plan import plan_training, why_refused

    wish = replace(request, force=True)
    try:
        plan = plan_training(client, store, limits, wish, now=now, slot_form=slot_form, check_budget=False)
    except UnsplittableError:
        # A log of one room is where many begin; they are helped more by a plan that says what is missing.
        wish = replace(wish, export=replace(wish.export, split=()))
        plan = plan_training(client, store, limits, wish, now=now, slot_form=slot_form, check_budget=False)
    samples, figures = plan.train_samples, plan.figures
    size = f"{billions_of(plan.base):g} billion parameters" if billions_of(plan.base) else "its size is not known"
    reasons = [
        f"base {plan.base} ({size}): {plan.base_reason}",
        f"{figures.epochs} epochs: {samples:,} samples; fewer samples are read more often",
        f"learning rate {figures.learning_rate:g}: usual for"
        f" {'a whole model' if figures.full else 'LoRA'} of that size",
    ]
    if figures.lora_rank is not None:
        reasons.append(f"LoRA rank {figures.lora_rank}: a small log is learnt by heart with a larger one")
    return Advice(
        plan=plan,
        expectation=next((text for most, text in _EXPECT if samples < most), _EXPECT_MOST),
        improvements=tuple(_improvements(store, plan, now, window_tokens)),
        reasons=tuple(reasons),
        refusal=why_refused(plan, replace(plan.request, force=False)),
    )


def _improvements(store: Store, plan: TrainingPlan, now: datetime, window_tokens: int) -> list[str]:
    """What would help more than another base: first what a person can do."""
    name, model_type = spell_model_type(plan.model_type), plan.model_type
    wanted, windows = SampleFilter((model_type,)), {model_type: window_tokens}
    found = sample_statistics(store, now, wanted=wanted, windows=windows, looked_at=0)
    figures = found.figures.by_type.get(model_type)
    labelled = sum(count for label, count in (figures.labels if figures else {}).items() if label)
    lines = []
    if labelled < _ENOUGH_LABELS:
        lines.append(
            f"labels: {labelled:,} of them now; without, it learns what the agent's present model does, mistakes"
            f" and all: `reasoning data review -m {name}`"
        )
    if not plan.export.request.split:
        lines.append(
            "more rooms: all samples belong together, as one room's or near-copies, so none is left to check with"
        )
    elif plan.export.largest_group > 0.5:
        lines.append(
            f"more rooms: {plan.export.largest_group:.0%} of the samples belong together, as one room's or near-copies"
        )
    return [*lines, *found.recommendations]
