"""Label decisions: what a person says of them is checked before it is kept, one transaction a label or a batch."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from reasoning_cli.decisions.answers import InvalidAnswer
from reasoning_cli.decisions.correcting import canonical, decisions_for, with_decision
from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.operations.data.browse import find_sample
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.values import spell_model_type

BATCH = 500
NO_LABEL = "none"

_COLUMNS = ("id", "label", "answer", "decision", "note")
_MOST_EXPLAINED = 20


@dataclass(frozen=True)
class Verdict:
    """What a person says of a decision: one of `label` (`good`, `bad`, `none`), a whole `answer` or a `decision`."""

    label: str | None = None
    answer: str | None = None
    decision: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class BadLine:
    """A line that labelled nothing, and why."""

    number: int
    why: str


@dataclass(frozen=True)
class LabelReport:
    """What became of a file of labels: `changed` by label, `unchanged` had theirs already, `bad` labelled nothing."""

    lines: int
    changed: Mapping[str, int]
    unchanged: int
    bad: int
    bad_lines: Sequence[BadLine]


def labelling_of(sample: Sample, verdict: Verdict) -> Labelling:
    """What a verdict comes to for one sample. UsageError when it makes no sense, DataError for an answer of no use."""
    given = [value for value in (verdict.label, verdict.answer, verdict.decision) if value is not None]
    if len(given) != 1:
        raise UsageError(
            "a label, an answer and a decision exclude each other" if given else "no label is given",
            "one of good, bad and none, or an answer, or a decision",
        )
    if verdict.label is not None:
        label = verdict.label.strip().lower()
        if label not in ("good", "bad", NO_LABEL):
            raise UsageError(f"`{verdict.label}` is not a label", "there are good, bad and none; an answer corrects")
        return Labelling(sample.id, None if label == NO_LABEL else label, None, verdict.note)
    corrected = (
        canonical(sample.model_type, sample.prompt, verdict.answer)
        if verdict.answer is not None
        else with_decision(sample.model_type, sample.prompt, sample.output, verdict.decision or "")
    )
    if isinstance(corrected, InvalidAnswer):
        kind = spell_model_type(sample.model_type)
        raise DataError(f"the agent could not use that {kind} answer: {corrected.reason}", _expected(sample))
    try:
        corrected.encode()
    except UnicodeEncodeError as error:
        raise DataError("the answer holds text that is not valid Unicode") from error
    return Labelling(sample.id, "corrected", corrected, verdict.note)


def label_samples(
    store: Store, typed: Sequence[str], verdict: Verdict, *, at: datetime, by: str, dry_run: bool = False
) -> list[tuple[Labelling, bool]]:
    """Label the decisions with these ids (or how they begin), all in one transaction; whether each is a change.

    Nothing is kept when one of them is unknown or its answer of no use.
    """
    samples = [find_sample(store, name) for name in typed]
    labellings = [labelling_of(sample, verdict) for sample in samples]
    if dry_run:
        return [
            (labelling, bool(labelling.note) or (sample.label, sample.corrected) != (labelling.label, labelling.answer))
            for labelling, sample in zip(labellings, samples, strict=True)
        ]
    numbers = Labels(store).set(labellings, at=at, by=by)
    return [(labelling, number is not None) for labelling, number in zip(labellings, numbers, strict=True)]


def take_back(store: Store, typed: str, *, at: datetime, by: str) -> Sample:
    """Undo the last change of a decision's label; the sample as it is then. ReasoningError when there is none."""
    sample = find_sample(store, typed)
    history = Labels(store).history(sample.id)
    undone = {change.undoes for change in history}
    last = next((change for change in history if change.undoes is None and change.number not in undone), None)
    if last is None:
        raise ReasoningError(
            f"`{sample.id}` has no change to undo", "see what was labelled with `reasoning data labels`"
        )
    if not Labels(store).undo(last.number, at=at, by=by):
        raise ReasoningError(f"`{sample.id}` was labelled anew meanwhile", f"see `reasoning data labels {sample.id}`")
    return find_sample(store, sample.id)


def label_from_file(
    store: Store, stream: TextIO, fmt: str, *, at: datetime, by: str, dry_run: bool = False
) -> LabelReport:
    """Label what the lines of a CSV or JSON Lines text name by `id`, with `label`, `answer`, `decision` and `note`.

    Lines of no use are counted and explained, the others kept a batch at a time. DataError when the text is not such a
    file at all.
    """
    changed: Counter[str] = Counter()
    lines = unchanged = bad = 0
    bad_lines: list[BadLine] = []
    batch: list[Labelling] = []

    def keep() -> None:
        nonlocal unchanged
        if dry_run:
            done = [_would_change(store, sample) for sample in batch]
        else:
            done = [number is not None for number in Labels(store).set(batch, at=at, by=by)]
        for labelling, is_change in zip(batch, done, strict=True):
            if is_change:
                changed[labelling.label or NO_LABEL] += 1
            else:
                unchanged += 1
        batch.clear()

    for number, record in _records(stream, fmt):
        lines += 1
        try:
            if isinstance(record, ReasoningError):
                raise record
            batch.append(_labelling(store, record))
        except ReasoningError as error:
            bad += 1
            if len(bad_lines) < _MOST_EXPLAINED:
                bad_lines.append(BadLine(number, error.message))
        if len(batch) == BATCH:
            keep()
    keep()
    return LabelReport(lines, dict(changed), unchanged, bad, bad_lines)


def _labelling(store: Store, record: Mapping[str, object]) -> Labelling:
    for name, value in record.items():
        if name in _COLUMNS and value is not None and not isinstance(value, str):
            raise UsageError(f"`{name}` is not text")
    text = {name: str(record[name]) for name in _COLUMNS if record.get(name)}
    if not text.get("id", "").strip():
        raise UsageError("no id")
    label = text.get("label", "").strip().lower()
    corrects = "answer" in text or "decision" in text
    if corrects and label not in ("", "corrected"):
        raise UsageError(f"labelled `{label}`, and an answer or decision beside it")
    if label == "corrected" and not corrects:
        raise UsageError("labelled `corrected`, without an answer or decision")
    verdict = Verdict(
        label=None if corrects else label or None,
        answer=text.get("answer"),
        decision=text.get("decision"),
        note=text.get("note"),
    )
    return labelling_of(find_sample(store, text["id"]), verdict)


def _records(stream: TextIO, fmt: str) -> Iterator[tuple[int, Mapping[str, object] | ReasoningError]]:
    """The lines with their numbers, each as its fields or as what is wrong with it."""
    if fmt == "csv":
        yield from _csv_records(stream)
        return
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            yield number, DataError("not JSON")
            continue
        yield number, record if isinstance(record, dict) else DataError("no JSON object")


def _csv_records(stream: TextIO) -> Iterator[tuple[int, Mapping[str, object] | ReasoningError]]:
    csv.field_size_limit(16_000_000)
    reader = csv.DictReader(stream)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if "id" not in names or not {"label", "answer", "decision"} & set(names):
        raise DataError(
            "the first line of the CSV file does not name its columns",
            f"it takes `id` and one or more of {', '.join(_COLUMNS[1:])}",
        )
    reader.fieldnames = names
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, DataError(str(error))
            continue
        if None in record:
            yield reader.line_num, DataError("more values than columns")
            continue
        yield reader.line_num, record


def _would_change(store: Store, labelling: Labelling) -> bool:
    sample = find_sample(store, labelling.sample_id)
    return bool(labelling.note) or (sample.label, sample.corrected) != (labelling.label, labelling.answer)


def _expected(sample: Sample) -> str | None:
    offered = decisions_for(sample.model_type, sample.prompt)
    return f"it can decide {', '.join(offered)}" if offered else None


def open_text(content: bytes) -> TextIO:
    """A file of labels as text, whichever of the usual encodings it has. DataError for none of them."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return io.StringIO(content.decode(encoding), newline="")
    except UnicodeDecodeError as error:
        raise DataError("the file of labels is not UTF-8 text", "save it as UTF-8") from error
