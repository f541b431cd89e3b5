"""Evaluate models on logged decisions: which ones, what each is asked, what that costs.

`plan_evaluation` chooses and asks nobody; `run_evaluation` (in `evaluating_run`) asks what the plan says. Nothing a
candidate was trained on is asked: the numbers of its training samples are known, and near-copies are found by what they
share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from reasoning_cli.errors import ReasoningError, UsageError
from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.operations.evaluate.candidates import Candidate, find_candidate
from reasoning_cli.operations.evaluate.dataset_file import batched
from reasoning_cli.operations.evaluate.sampling import EvaluateRequest, as_before, of_file, of_log
from reasoning_cli.store.database import Store
from reasoning_cli.store.evaluate.evaluations import EvaluationRecord, Evaluations
from reasoning_cli.store.samples.exports import NumberSet
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.values import spell_model_type


@dataclass(frozen=True)
class Estimate:
    """What asking one candidate takes: tokens in and out, and cents; None where no price is known or asking is free."""

    candidate: Candidate
    questions: int
    prompt_tokens: int
    completion_tokens: int

    @property
    def is_free(self) -> bool:
        return self.candidate.is_free or not self.questions

    @property
    def cents(self) -> Decimal | None:
        price = self.candidate.price
        if self.is_free or price is None:
            return None
        return price.cents(self.prompt_tokens, self.completion_tokens)


@dataclass(frozen=True)
class EvaluationPlan:
    """What will be asked. `left_out` counts matching decisions that are not, by why; `labelled` those a person judged.

    `leaked` of a file's lines were trained on. `finished` is the stored evaluation of the same on the same data,
    `going` one that broke off and is gone on with; `answered` are the answers that are there already.
    """

    request: EvaluateRequest
    candidates: tuple[Candidate, ...]
    items: NumberSet
    count: int
    labelled: int
    left_out: Mapping[str, int]
    estimates: tuple[Estimate, ...]
    warnings: tuple[str, ...]
    arguments: str
    fingerprint: str
    leaked: int = 0
    answered: int = 0
    finished: EvaluationRecord | None = None
    going: EvaluationRecord | None = None

    @property
    def model_type(self) -> str:
        return self.request.model_type

    @property
    def questions(self) -> int:
        """How many calls there are to make."""
        return sum(estimate.questions for estimate in self.estimates)


def plan_evaluation(
    store: Store, request: EvaluateRequest, prices: Mapping[str, TokenPrice], *, again: bool = False
) -> EvaluationPlan:
    """Choose what is asked. Raises NotFoundError for a model there is not, ReasoningError when nothing is left to ask.

    With `again` a stored result does not count, nor do earlier answers.
    """
    candidates = tuple(
        find_candidate(
            store,
            name,
            request.model_type,
            form=request.form,
            prices=prices,
            servers=request.servers,
            heads=request.heads,
        )
        for name in request.models
    )
    if len({(candidate.serving_name, candidate.server) for candidate in candidates}) < len(candidates):
        raise UsageError("both names mean the same model", "name two, or one alone: the original's answers are shown")
    arguments = _arguments(request, candidates)
    evaluations = Evaluations(store)
    if request.dataset is not None:
        chosen = of_file(store, request, candidates)
    else:
        going = evaluations.going(arguments)
        chosen = of_log(store, request, candidates) if going is None else as_before(store, going)
    if not chosen.count:
        name, left_out = spell_model_type(request.model_type), chosen.left_out
        if request.dataset is None and not Samples(store).count(SampleFilter((request.model_type,))):
            raise ReasoningError(
                f"the log holds no decision to evaluate {name} on",
                "`reasoning data import FILE` takes decisions in; those that pass through the gateway are recorded",
            )
        raise ReasoningError(
            f"no decision is left to evaluate {name} on"
            + "".join(f"; {count:,} {reason}" for reason, count in left_out.items()),
            "`reasoning data stats` shows what there is; decisions made after the training are never left out",
        )
    going = evaluations.going(arguments)
    if going is not None and going.fingerprint != chosen.fingerprint:
        going = None  # another file by now
    finished = None if again else evaluations.finished(arguments, chosen.fingerprint)
    estimates = []
    answered = 0
    for place, candidate in enumerate(candidates, start=1):
        there = 0
        if finished is not None:
            there = chosen.count
        elif going is not None:
            there = len_of(evaluations.answered(going.number, place))
        elif request.dataset is None and not again:
            identity = candidate.identity(request.max_tokens)
            there = sum(len(evaluations.earlier(identity, batch)) for batch in batched(chosen.items, 500))
        answered += there
        left = max(0, chosen.count - there)
        share = left / chosen.count
        estimates.append(
            Estimate(candidate, left, round(chosen.prompt_tokens * share), round(chosen.completion_tokens * share))
        )
    return EvaluationPlan(
        request=request,
        candidates=candidates,
        items=chosen.items,
        count=chosen.count,
        labelled=chosen.labelled,
        left_out=chosen.left_out,
        estimates=tuple(estimates),
        warnings=(*chosen.warnings, *_warnings(candidates)),
        arguments=arguments,
        fingerprint=chosen.fingerprint,
        leaked=chosen.leaked,
        answered=answered,
        finished=finished,
        going=going,
    )


def len_of(numbers: NumberSet) -> int:
    """How many numbers a set holds."""
    return sum(1 for _ in numbers)


def _arguments(request: EvaluateRequest, candidates: Sequence[Candidate]) -> str:
    """What was typed in one form: the same words for the same models mean the same evaluation."""
    typed = {
        "models": [candidate.identity(request.max_tokens) for candidate in candidates],
        "wanted": request.typed,
        "last": request.wanted.limit,
        "dataset": str(request.dataset.resolve()) if request.dataset is not None else None,
        "holdout": request.holdout,
        "sample": request.sample,
        "seed": request.seed,
        "weights": [str(request.weights.wrong_respond), str(request.weights.wrong_ignore)],
    }
    return json.dumps([request.model_type, typed])


def _warnings(candidates: Sequence[Candidate]) -> list[str]:
    """What the operator should know of the models before anything is asked."""
    found = [
        f"what {candidate.name} was trained on is not known here: whether it has seen these decisions cannot be told"
        for candidate in candidates
        if candidate.training == "unknown"
    ]
    found += [
        f"{candidate.name} has no price in your table, so what asking it costs cannot be told beforehand:"
        " `reasoning costs prices --edit`"
        for candidate in candidates
        if not candidate.is_free and candidate.price is None
    ]
    if len({candidate.form for candidate in candidates}) > 1:
        forms = ", ".join(f"{candidate.name} {candidate.form}" for candidate in candidates)
        found.append(f"each is asked in the form it was trained in: {forms}")
    return found
