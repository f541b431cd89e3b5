"""A file of decisions to evaluate on: its lines, what is right for each, and which of them were trained on.

A line may be of a training file although the file is another: its prompt is compared with those of the training, in
whatever form they may have been written. Of a file that was exported here the samples are known by number as well.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from reasoning_cli.decisions.answers import InvalidAnswer, parse_answer
from reasoning_cli.decisions.prompts import shape_of
from reasoning_cli.decisions.scoring import Truth
from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.operations.data.export.render import Renderer, Rules
from reasoning_cli.operations.data.validate.sample import check_sample
from reasoning_cli.operations.evaluate.candidates import COPY, TRAINED, Candidate, trained_on
from reasoning_cli.store.database import Store
from reasoning_cli.store.evaluate.reader import EvaluationRows
from reasoning_cli.store.fingerprints import masked_hash
from reasoning_cli.store.samples.export_reader import texts
from reasoning_cli.store.samples.exports import NumberSet, exported_numbers, seeded_salt
from reasoning_cli.store.train.runs import TrainingRuns
from reasoning_cli.values import spell_model_type

FORMS = ("exact", "compact")
_BATCH = 500


@dataclass(frozen=True)
class FileLine:
    """One line: its number, what is asked and what is right. `tests` are a program that tests an answer's code."""

    number: int
    prompt: str
    system: str | None
    truth: Truth
    tests: str | None = None


@dataclass
class FileItems:
    """What a file holds: lines that can be asked, those that were trained on by whom, and those of no use by why."""

    path: Path
    sha256: str
    count: int = 0
    usable: list[int] = field(default_factory=list)
    leaked: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    prompt_bytes: int = 0
    answer_bytes: int = 0


def open_dataset(store: Store, path: Path, model_type: str, candidates: Sequence[Candidate]) -> FileItems:
    """Read a file once, and what the candidates were trained on. NotFoundError, DataError for one that is none."""
    found = FileItems(path, sha256_of(path))
    left_out, leaked = Counter[str](), Counter[str]()
    seen: list[_Seen] = []
    for number, line in _numbered(path):
        line_read = _read(number, line, model_type)
        if isinstance(line_read, str):
            left_out[line_read] += 1
        else:
            asked = len(line_read.prompt.encode()) + len((line_read.system or "").encode())
            seen.append(_Seen(number, _shared(line_read.prompt), found.count, asked, max(0, len(line) - asked)))
        found.count += 1
    known = _numbers_of_lines(store, found.sha256, model_type)
    if len(known) != found.count:  # some of its samples are gone: which line is whose cannot be told
        known = []
    trainings = [
        _Training(store, candidate, {each.shared for each in seen})
        for candidate in candidates
        if candidate.training == "known"
    ]
    for asked_line in seen:
        reason = next((why for each in trainings if (why := each.holds(asked_line, known)) is not None), None)
        if reason is not None:
            leaked[reason] += 1
            continue
        found.usable.append(asked_line.number)
        found.prompt_bytes += asked_line.prompt_bytes
        found.answer_bytes += asked_line.answer_bytes
    found.leaked, found.left_out = dict(leaked.most_common()), dict(left_out.most_common())
    return found


def lines_of(path: Path, wanted: NumberSet, model_type: str) -> Iterator[FileLine]:
    """The lines with these numbers, in order."""
    for number, line in _numbered(path):
        if number in wanted and not isinstance(line_read := _read(number, line, model_type), str):
            yield line_read


def sha256_of(path: Path) -> str:
    """The hash of a file, as exports and training runs name it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file `{path}`", "`reasoning data export -o FILE` writes one") from None
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror or error}", "name a file of JSON lines") from error


class _Seen(NamedTuple):
    """What is kept of a line: what its prompt shares with near-copies, and its place among those that hold anything."""

    number: int
    shared: int
    place: int
    prompt_bytes: int
    answer_bytes: int


class _Training:
    """What one candidate was trained on, as far as it is in a file: by number, and by what prompts share."""

    def __init__(self, store: Store, candidate: Candidate, wanted: Set[int]) -> None:
        assert candidate.run is not None
        self._name = candidate.name
        self._numbers = trained_on(store, candidate.run) or NumberSet()
        self._shared = _written(store, candidate.run, self._numbers, wanted)

    def holds(self, line: _Seen, known: Sequence[int]) -> str | None:
        """Why a line cannot be asked of it, if so; `known` are the samples of all lines, if they are known."""
        if known and known[line.place] in self._numbers:
            return TRAINED.format(self._name)
        return COPY.format(self._name) if line.shared in self._shared else None


def _written(store: Store, run_number: int, numbers: NumberSet, wanted: Set[int]) -> Set[int]:
    """What of `wanted` a training holds, its prompts in both forms, redacted as they were for it and not at all."""
    run = TrainingRuns(store).get(run_number)
    assert run is not None
    salts = (None, seeded_salt(store, run.seed))
    renderers = [Renderer(Rules(forms={run.model_type: form}, salt=salt)) for form in FORMS for salt in salts]
    found: set[int] = set()
    for batch in batched(numbers, _BATCH):
        for row in texts(store, batch):
            turned = (renderer.turns(row) for renderer in renderers)
            found.update(_shared(turns.prompt) for turns in turned if not isinstance(turns, str))
        found &= wanted
    return found


def _shared(prompt: str) -> int:
    """What a prompt shares with those that differ in clocks, ids and numbers alone."""
    return int.from_bytes(masked_hash(shape_of(prompt) or prompt)[:8])


def _numbers_of_lines(store: Store, sha256: str, model_type: str) -> list[int]:
    """The sample of each line of a file that was exported here, in order; empty of any other."""
    numbers = exported_numbers(store, sha256)
    if numbers is None:
        return []
    rows = EvaluationRows(store, model_type)
    dated = [(row.created_at, row.seq) for batch in batched(numbers, _BATCH) for row in rows.numbered(batch)]
    return [seq for _, seq in sorted(dated)]


def batched(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    """Numbers in lists of at most `size`."""
    batch: list[int] = []
    for number in numbers:
        batch.append(number)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, each with its number from 1 on."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line


def _read(number: int, line: bytes, model_type: str) -> FileLine | str:
    """A line as it is asked, or why it cannot be."""
    try:
        sample = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "no JSON"
    tests = sample.pop("tests", None) if isinstance(sample, dict) else None
    check = check_sample(sample)
    if check.refusals or not check.asked or not check.answer:
        return "no question with an answer"
    answer = parse_answer(model_type, check.answer)
    if isinstance(answer, InvalidAnswer):
        return f"its answer is none to {spell_model_type(model_type)}: {answer.reason}"
    messages = sample.get("messages") or sample.get("input", {}).get("messages") or [{}]
    system = _text(messages[0]) if messages[0].get("role") == "system" else None
    return FileLine(number, check.asked, system, Truth("file", answer), tests if isinstance(tests, str) else None)


def _text(message: dict[str, object]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""
