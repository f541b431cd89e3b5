"""Train a head from the log: read its decisions, learn and prove, store the head with what it was learned from.

The file is there before the run that names it, which is written down with its samples in one go, and the same decisions
make the same head: killed anywhere, the same command does what is left. Nothing is asked of anybody, and nothing costs
money.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, parse_answer
from reasoning_cli.engines.head.dataset import Sample as Decision
from reasoning_cli.engines.head.model import Head
from reasoning_cli.engines.head.moment import moment_of
from reasoning_cli.engines.head.training import Trained, train
from reasoning_cli.errors import UsageError
from reasoning_cli.operations.costs.breakeven import compare
from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.operations.data.head_facts import facts_of
from reasoning_cli.paths import HEAD_SUFFIX
from reasoning_cli.store.audit_log import Event
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.exports import Exported, NumberSet
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD, head_training, spell_model_type

MODEL_TYPE = "should_respond"  # the only type with few enough answers, each worth a call
MOST_SAMPLES = 50_000  # the newest; nothing is learned from more
_MONTH = timedelta(days=30)
_LABELS = ("RESPOND", "IGNORE", "STOP")
_PROGRESS = 500
_ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class HeadRequest:
    """Which decisions to learn from, how much of what the head answers may disagree (0 to 1), and what begins its
    name. `typed` is what its run is known by."""

    wanted: SampleFilter
    max_error: float
    name: str = "should-respond"
    typed: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedHead:
    """A head, how it was found, and its run (None: not stored, as it has proven nothing or was only tried).

    `decisions_a_month` is the traffic of the last 30 days; `saved_cents_a_month` what the head would save of it, None
    where nobody knows what a decision costs. `is_new` is False where an earlier run made the same.
    """

    found: Trained
    run: TrainingRun | None
    path: Path | None
    decisions_a_month: int
    saved_cents_a_month: Decimal | None
    is_new: bool = True

    @property
    def head(self) -> Head:
        return self.found.head


def check_type(model_type: str) -> None:
    """Raises UsageError for a type that no head decides."""
    if model_type != MODEL_TYPE:
        raise UsageError(
            f"a head decides {spell_model_type(MODEL_TYPE)} only: {spell_model_type(model_type)} has too many answers",
            f"`{head_training()}`",
        )


def train_head(
    store: Store,
    request: HeadRequest,
    *,
    folder: Path,
    prices: Mapping[str, TokenPrice],
    now: datetime,
    rehearsed: bool = False,
    notify: Callable[[str, str], None] = lambda what, detail: None,
) -> TrainedHead:
    """Learn, prove and (not where it is `rehearsed`, or has proven nothing) store a head. Raises ConfigurationError
    without scikit-learn, DataError for a log that nothing can be learned from."""
    found = train(
        _decisions(store, request, notify),
        max_error=request.max_error,
        name=request.name,
        notify=lambda what: notify(what, ""),
    )
    decisions = _decisions_a_month(store, now)
    saved = _cents_a_decision(store, prices, now)
    whole = TrainedHead(
        found, None, None, decisions, None if saved is None else saved * decisions * Decimal(str(found.share))
    )
    return whole if rehearsed or not found.share else _stored(store, whole, request, folder, now)


def _decisions(store: Store, request: HeadRequest, notify: Callable[[str, str], None]) -> Iterator[Decision]:
    """What there is to learn from, oldest first."""
    wanted = replace(request.wanted, model_types=(MODEL_TYPE,), limit=request.wanted.limit or MOST_SAMPLES)
    samples = Samples(store)
    total = samples.count(wanted)
    for seen, sample in enumerate(samples.iterate(wanted)):
        if seen % _PROGRESS == 0:
            notify("reading the log", f"{seen:,} of {total:,} decisions")
        if (decision := _decision(sample)) is not None:
            yield decision


def _decision(sample: Sample) -> Decision | None:
    """A sample as a head learns from it: a person's correction, else what the baseline answered; None for what says
    nothing: bad without a correction, cut, or answered by a model of ours and judged by nobody."""
    labelled = sample.corrected is not None or sample.label == "good"
    decided = _corrected(sample.corrected) if sample.corrected is not None else sample.decision
    if decided not in _LABELS or (sample.label == "bad" and sample.corrected is None):
        return None
    if sample.source == "slot" and not labelled:
        return None
    moment = moment_of(sample.prompt, sample.system, facts_of(sample))
    if moment is None:
        return None
    person = moment.sender_id or moment.sender
    return Decision(sample.seq, sample.room_id or "", person, moment, decided, labelled)


def _corrected(output: str) -> str | None:
    answer = parse_answer(MODEL_TYPE, output)
    return None if isinstance(answer, InvalidAnswer) else decision_of(answer)


def _decisions_a_month(store: Store, now: datetime) -> int:
    """The decisions of the last 30 days; of a younger log as many as those days would have."""
    samples = Samples(store)
    wanted = SampleFilter(model_types=(MODEL_TYPE,), since=now - _MONTH, until=now)
    first = next(samples.iterate(wanted), None)
    if first is None:
        return 0
    share = min(_MONTH, max(timedelta(days=1), now - first.created_at)) / _MONTH
    return round(samples.count(wanted) / share)


def _cents_a_decision(store: Store, prices: Mapping[str, TokenPrice], now: datetime) -> Decimal | None:
    """What the original provider takes for one."""
    comparison = next((found for found in compare(store, prices, now) if found.model_type == MODEL_TYPE), None)
    return comparison.original.cents_per_decision if comparison is not None and comparison.original else None


def _stored(store: Store, whole: TrainedHead, request: HeadRequest, folder: Path, now: datetime) -> TrainedHead:
    """The head in its file, its samples among the exports, and its run; each is found again where it is there."""
    runs, found = TrainingRuns(store), whole.found
    unnamed = replace(found.head, name="", facts={}).packed()
    head = replace(
        found.head,
        name=f"{found.head.name}-{hashlib.sha256(unnamed).hexdigest()[:8]}",
        facts={
            "share": found.share,
            "held_out_rooms": found.held_out_rooms,
            "disagreed": found.proof.disagreed / max(1, found.proof.answered),
            "named": found.named_share,
        },
    )
    path = folder / f"{head.name}{HEAD_SUFFIX}"
    _sweep(folder)
    head.save(path)
    whole = replace(whole, found=replace(found, head=head), path=path)
    if (before := runs.of_model(head.model)) is not None and before.problem is None:
        return replace(whole, run=before, is_new=False)
    learned, proven = hashlib.sha256(head.packed()).hexdigest(), hashlib.sha256(unnamed + b"proof").hexdigest()
    files = []
    for sha256, numbers, side in ((learned, found.learned, "train"), (proven, found.proven_on, "validation")):
        held = NumberSet()
        held.update(numbers)
        manifest = {"engine": HEAD, "side": side, "samples": len(numbers), "model": head.model}
        files.append(Exported(str(path), sha256, manifest, held))
    detail = {"engine": HEAD, "model": head.model, "samples": found.samples}
    run = runs.add_done(
        MODEL_TYPE,
        head.model,
        at=now,
        event=Event(now, "operator", "train_done", spell_model_type(MODEL_TYPE), detail),
        files=files,
        base=HEAD,
        method=HEAD,
        plan=_plan(found) | {"typed": dict(request.typed)},
        train_sha256=learned,
        validation_sha256=proven,
    )
    return replace(whole, run=run)


def _sweep(folder: Path) -> None:
    """Delete what trainings that were killed left of a file; one that writes now is done long before."""
    with suppress(OSError):
        for left in folder.glob(f".*{HEAD_SUFFIX}.*.part"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                    left.unlink()


def _plan(found: Trained) -> dict[str, object]:
    """What is kept of how it was found, with its run."""
    return {
        "export": {"seed": 0},
        "samples": {"train": len(found.learned), "validation": len(found.proven_on)},
        "share": found.share,
        "max_error": found.head.max_error,
        "at_most": found.proof.at_most,
        "held_out_rooms": found.held_out_rooms,
    }
