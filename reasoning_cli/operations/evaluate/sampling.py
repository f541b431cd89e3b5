"""Which decisions an evaluation asks: those somebody can say what is right for, and nobody was trained on."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli.decisions.scoring import Weights
from reasoning_cli.errors import ReasoningError, UsageError
from reasoning_cli.operations.data.export.render import BYTES_PER_TOKEN
from reasoning_cli.operations.deploy.own_server import OwnServer
from reasoning_cli.operations.evaluate.candidates import COPY, TRAINED, Candidate, trained_on
from reasoning_cli.operations.evaluate.dataset_file import batched, open_dataset
from reasoning_cli.operations.evaluate.heads import verdict_on
from reasoning_cli.store.database import Store
from reasoning_cli.store.evaluate.evaluations import EvaluationRecord, Evaluations
from reasoning_cli.store.evaluate.reader import ChoiceRow, EvaluationRows
from reasoning_cli.store.samples.exports import NumberSet
from reasoning_cli.store.samples.training_log import SampleFilter
from reasoning_cli.store.train.runs import TrainingRuns

if TYPE_CHECKING:
    from reasoning_cli.engines.head.model import Head

# Why a decision is not asked, beside having been trained on.
OURS = "answered by your own model, and not labelled"
TWICE = "a near-copy of another"
LONG = "longer than the slot's window"


@dataclass(frozen=True)
class EvaluateRequest:
    """What to evaluate: which models, on which decisions of the log, or of a `dataset` file.

    `holdout` takes the validation side of the first model's training run. `sample` of them are drawn by `seed`.
    `max_tokens` and `window_tokens` are the slot's, `form` its form of prompts. `typed` are the words of the filter:
    the same words mean the same evaluation, a day later too. `servers` are the operator's own, which serve slots in
    Together's place: what they serve is asked of nobody else. `heads` is the folder of those.
    """

    model_type: str
    models: tuple[str, ...]
    form: str
    max_tokens: int
    window_tokens: int
    wanted: SampleFilter = field(default_factory=SampleFilter)
    dataset: Path | None = None
    holdout: bool = False
    sample: int | None = None
    seed: int = 0
    weights: Weights = field(default_factory=Weights)
    typed: str = ""
    servers: tuple[OwnServer, ...] = ()
    heads: Path | None = None


# Why a decision is not asked of a head.
LEFT = "that {} leaves to the next in line"
_JUDGED_AT_ONCE = 200


@dataclass
class Chosen:
    """What is asked, and what is counted on the way to it."""

    items: NumberSet = field(default_factory=NumberSet)
    count: int = 0
    labelled: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    leaked: int = 0


def of_log(store: Store, request: EvaluateRequest, candidates: Sequence[Candidate]) -> Chosen:
    """The decisions of the log that may be asked: those with a truth, that no candidate was trained on."""
    rows = EvaluationRows(store, request.model_type)
    trained = {
        candidate.name: numbers
        for candidate in candidates
        if candidate.run is not None and (numbers := trained_on(store, candidate.run)) is not None
    }
    held_out = _held_out(store, candidates[0]) if request.holdout else None
    left_out, taken_before = Counter[str](), NumberSet()

    def usable() -> Iterator[ChoiceRow]:
        for row in rows.matching(request.wanted):
            if held_out is not None and row.seq not in held_out:
                continue
            reason = _unfit(row, rows.near_copies(row), trained, taken_before, request)
            if reason is None:
                taken_before.update([row.seq])
                yield row
            else:
                left_out[reason] += 1

    asked = usable()
    for candidate in candidates:
        if candidate.head is not None:
            asked = _answered_by(candidate.head, rows, asked, left_out)
    chosen = Chosen()
    if request.sample is None:
        taken: Iterable[ChoiceRow] = asked
    else:
        taken = heapq.nsmallest(request.sample, asked, key=lambda row: _draw(request.seed, row.seq))
    _take(chosen, taken)
    chosen.left_out = dict(left_out.most_common())
    return chosen


def _answered_by(
    head: Head, rows: EvaluationRows, asked: Iterator[ChoiceRow], left_out: Counter[str]
) -> Iterator[ChoiceRow]:
    """The decisions that a head would answer: what it leaves to the next in line says nothing of its answers."""
    while batch := list(islice(asked, _JUDGED_AT_ONCE)):
        texts = {row.seq: row for row in rows.texts([row.seq for row in batch])}
        for row in batch:
            text = texts.get(row.seq)
            verdict = None if text is None else verdict_on(head, text)
            if verdict is not None and verdict.label is not None:
                yield row
            else:
                left_out[LEFT.format(head.model)] += 1


def as_before(store: Store, going: EvaluationRecord) -> Chosen:
    """What an evaluation that broke off is about, whatever came into the log since."""
    items, rows = Evaluations(store).items(going.number), EvaluationRows(store, going.model_type)
    chosen = Chosen()
    for batch in batched(items, 500):
        _take(chosen, rows.numbered(batch))
    chosen.fingerprint = going.fingerprint
    left_out = going.plan.get("left_out")
    chosen.left_out = {str(name): int(count) for name, count in left_out.items()} if isinstance(left_out, dict) else {}
    return chosen


def of_file(store: Store, request: EvaluateRequest, candidates: Sequence[Candidate]) -> Chosen:
    """The lines of a file, those that a candidate was trained on left out."""
    assert request.dataset is not None
    if any(candidate.head is not None for candidate in candidates):
        raise UsageError(
            "a head is evaluated on the log: a file does not say whom the agent answered",
            "leave --dataset away; `--holdout` takes the rooms it was proven on",
        )
    if request.holdout:
        raise UsageError("--dataset and --holdout contradict each other", "leave one of them out")
    dataset = open_dataset(store, request.dataset, request.model_type, candidates)
    chosen = Chosen(fingerprint=dataset.sha256, leaked=sum(dataset.leaked.values()), labelled=dataset.count)
    lines = dataset.usable
    if request.sample is not None:
        lines = sorted(heapq.nsmallest(request.sample, lines, key=lambda line: _draw(request.seed, line)))
    chosen.items.update(lines)
    chosen.count = len(lines)
    chosen.labelled = chosen.count
    share = chosen.count / max(1, len(dataset.usable))
    chosen.prompt_tokens = round(dataset.prompt_bytes / BYTES_PER_TOKEN * share)
    chosen.completion_tokens = round(dataset.answer_bytes / BYTES_PER_TOKEN * share)
    chosen.left_out = {**dataset.leaked, **dataset.left_out}
    if dataset.leaked:
        chosen.warnings = (
            f"{chosen.leaked:,} of the {dataset.count:,} lines of {request.dataset.name} were in the training of a"
            " model that is evaluated here: they are left out; what is measured on such lines is worth nothing",
        )
    return chosen


def _unfit(
    row: ChoiceRow,
    copies: Sequence[int],
    trained: Mapping[str, NumberSet],
    taken: NumberSet,
    request: EvaluateRequest,
) -> str | None:
    """Why a decision is left out; None when it is asked."""
    for name, numbers in trained.items():
        if row.seq in numbers:
            return TRAINED.format(name)
    for name, numbers in trained.items():
        if any(each in numbers for each in copies):
            return COPY.format(name)
    if row.source == "slot" and row.label is None:
        return OURS
    # Asked twice it tells no more than once, and an interval would take it for more. What a person judged stays.
    if row.label is None and any(each in taken for each in copies):
        return TWICE
    if request.form == "exact" and row.prompt_chars // BYTES_PER_TOKEN + request.max_tokens > request.window_tokens:
        return LONG
    return None


def _held_out(store: Store, candidate: Candidate) -> NumberSet:
    numbers = TrainingRuns(store).trained_on(candidate.run, "validation") if candidate.run is not None else None
    if numbers is None:
        raise ReasoningError(
            f"no validation side is known of the training of `{candidate.name}`",
            "`--limit N` takes the newest decisions; those it was trained on are left out anyway",
        )
    return numbers


def _take(chosen: Chosen, rows: Iterable[ChoiceRow]) -> None:
    """Count what is asked, and make the fingerprint of it: another label is other data."""
    seen: list[int] = []
    digest = blake2b(digest_size=16)
    for row in rows:
        seen.append(row.seq)
        chosen.count += 1
        chosen.labelled += row.label is not None
        chosen.prompt_tokens += row.prompt_tokens or row.prompt_chars // BYTES_PER_TOKEN
        chosen.completion_tokens += row.completion_tokens or row.output_chars // BYTES_PER_TOKEN
        digest.update(f"{row.seq} {row.label} {row.corrected or ''}\n".encode())
        if len(seen) == 1000:
            chosen.items.update(seen)
            seen.clear()
    chosen.items.update(seen)
    chosen.fingerprint = digest.hexdigest()


def _draw(seed: int, number: int) -> bytes:
    """The lot of a decision: the same as the log grows, so that a sample stays what it was."""
    return blake2b(f"{seed} {number}".encode(), digest_size=8).digest()
