"""Taking keys and personal data out of the training log itself, and out of decisions before they get there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from reasoning_cli.decisions import turns
from reasoning_cli.decisions.people import people_of
from reasoning_cli.decisions.prompts import shape_of
from reasoning_cli.errors import UsageError
from reasoning_cli.redaction.patterns import KINDS
from reasoning_cli.redaction.redactor import Redactor
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.rewrite import Beside, beside, erasing, log_salt, replace_texts
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord

_BATCH = 200


@dataclass(frozen=True)
class RedactionReport:
    """What was, or would be, taken out: values by kind, from how many of the samples looked at.

    `is_erased` is False while another program's reading keeps old text in the write-ahead log.
    """

    looked_at: int
    changed: int
    by_kind: dict[str, int]
    is_erased: bool = True


def parse_kinds(text: str) -> tuple[str, ...]:
    """Kinds out of a list with commas; UsageError for one that there is not."""
    kinds = tuple(dict.fromkeys(part.strip().lower().replace("-", "_") for part in text.split(",") if part.strip()))
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"`{kind}` is not a kind of personal data", f"there are {', '.join(KINDS)}")
    if not kinds:
        raise UsageError("--kinds names none", f"there are {', '.join(KINDS)}")
    return kinds


def redact_log(
    store: Store,
    wanted: SampleFilter,
    *,
    kinds: Collection[str] | None = None,
    names: bool = False,
    dry_run: bool = False,
    on_progress: Callable[[int], None] = lambda looked_at: None,
) -> RedactionReport:
    """Redact the samples that match, their labels and other answers in place, a batch at a time.

    A redacted sample is not changed again, so a run that was cut off is simply run again.
    """
    redactor = Redactor(log_salt(store), kinds=kinds)
    if dry_run:
        return _run(store, wanted, redactor, names, None, on_progress)
    with erasing(store) as step:

        def write(pairs: list[tuple[Sample, Sample]], rows: list[Beside]) -> None:
            replace_texts(store, step, pairs, rows)

        report = _run(store, wanted, redactor, names, write, on_progress)
    return replace(report, is_erased=store.is_log_cut())


def _run(
    store: Store,
    wanted: SampleFilter,
    redactor: Redactor,
    names: bool,
    write: Callable[[list[tuple[Sample, Sample]], list[Beside]], None] | None,
    on_progress: Callable[[int], None],
) -> RedactionReport:
    samples, after, looked_at, changed = Samples(store), None, 0, 0
    # No query stays open while a batch is written.
    while batch := list(islice(samples.iterate(wanted, after=after), _BATCH)):
        after = batch[-1].seq
        belonging = beside(store, batch)
        pairs, rows = [], []
        for sample in batch:
            people = people_of(sample.prompt) if names else ()
            new = redacted(sample, redactor, people)
            touched = []
            for row in belonging.get(sample.seq, ()):
                texts = {column: redactor.redact(text, people) for column, text in row.texts.items()}
                if texts != row.texts:
                    touched.append(replace(row, texts=texts))
            rows += touched
            changed += new != sample or bool(touched)
            if new != sample:
                pairs.append((sample, new))
        if write is not None and (pairs or rows):
            write(pairs, rows)
        looked_at += len(batch)
        on_progress(looked_at)
    return RedactionReport(looked_at, changed, dict(redactor.counts.most_common()))


def on_write(store: Store, *, names: bool = False) -> Callable[[Sample], Sample]:
    """What a sample passes before it is stored when `data.redact_on_write` is set; for one thread."""
    redactor = Redactor(log_salt(store))
    return lambda sample: redacted(sample, redactor, people_of(sample.prompt) if names else ())


def on_record(salt: bytes) -> Callable[[Sample, Sequence[AttemptRecord]], tuple[Sample, Sequence[AttemptRecord]]]:
    """The same for a decision with other models' answers beside it, with the log's own salt."""
    redactor = Redactor(salt)

    def alter(sample: Sample, attempts: Sequence[AttemptRecord]) -> tuple[Sample, Sequence[AttemptRecord]]:
        clean = [replace(attempt, output=redactor.redact(attempt.output)) for attempt in attempts]
        return redacted(sample, redactor), clean

    return alter


def redacted(sample: Sample, redactor: Redactor, people: Collection[str] = ()) -> Sample:
    """The sample with all its texts redacted, and the shape of its new prompt."""

    def clean(text: str | None) -> str | None:
        return redactor.redact(text, people) if text else text

    prompt = redactor.redact(sample.prompt, people)
    metadata = sample.metadata
    if metadata:
        metadata = _walked(metadata, lambda text: redactor.redact(text, people))
    new = replace(
        sample,
        prompt=prompt,
        output=redactor.redact(sample.output, people),
        system=clean(sample.system),
        corrected=clean(sample.corrected),
        entity_id=clean(sample.entity_id),
        reply_targets=clean(sample.reply_targets),
        spoke_before=clean(sample.spoke_before),
        feedback=clean(sample.feedback),
        metadata=metadata,
        conversation=turns.changed(sample.conversation, lambda text: redactor.redact(text, people))
        if sample.conversation
        else sample.conversation,
    )
    if new == sample:
        return sample
    known = turns.identity(prompt, new.conversation) if new.model_type == "coding" else ""
    return replace(new, shape=shape_of(prompt), identity=known)


def _walked(value: object, change: Callable[[str], str]) -> dict[str, object]:
    """A JSON object with each of its texts changed, its names left alone."""

    def walk(part: object) -> object:
        match part:
            case str():
                return change(part)
            case dict():
                return {name: walk(value) for name, value in part.items()}
            case list():
                return [walk(value) for value in part]
        return part

    walked = walk(value)
    assert isinstance(walked, dict)
    return walked
