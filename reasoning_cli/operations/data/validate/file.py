"""Check a file to fine-tune on, whoever made it: by Together's rules first, and stricter than these.

One pass, a line at a time. What is kept is eight bytes for each sample and kind of copy.
"""

from __future__ import annotations

import csv
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import orjson

from reasoning_cli.decisions.answers import ACTIONS, InvalidAnswer, decision_of, parse_answer
from reasoning_cli.decisions.prompts import shape_of
from reasoning_cli.decisions.recognise import recognise
from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.operations.data.export.files import MOST_BYTES
from reasoning_cli.operations.data.export.render import BYTES_PER_TOKEN
from reasoning_cli.operations.data.parquet_pages import ANY, PagedFile, PageError, opened
from reasoning_cli.operations.data.validate.sample import FORMATS, Kind, SampleCheck, check_sample
from reasoning_cli.redaction.redactor import Redactor
from reasoning_cli.store.fingerprints import masked_hash

FileFormat = Literal["jsonl", "csv", "parquet"]

# A share of one decision above which a model learns to say nothing else.
MOST_OF_ONE = 0.9
_ENOUGH_TO_JUDGE = 20
_STEP = 500  # samples between two words about progress
_BOM = b"\xef\xbb\xbf"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd", b"PK": "zip"}


@dataclass(frozen=True)
class Flaw:
    """One thing wrong in one place; `line` is 0 for the file as a whole."""

    line: int
    reason: str
    refused: bool


@dataclass(frozen=True)
class FileCheck:
    """What a check found. `refusals` are what Together would refuse, by why; `warnings` what it takes all the same.

    `flaws` are the first of them. `tokens` and `longest` are estimates. `decisions` are by model type.
    """

    path: Path
    fmt: FileFormat
    kinds: tuple[Kind, ...]
    samples: int
    size_bytes: int
    tokens: int
    longest: int
    refusals: dict[str, int]
    warnings: dict[str, int]
    flaws: tuple[Flaw, ...]
    secrets: dict[str, int]
    decisions: dict[str, dict[str, int]]

    @property
    def accepted(self) -> bool:
        """Whether Together would take it."""
        return not self.refusals


def check_file(
    path: Path,
    *,
    against: Path | None = None,
    max_tokens: int | None = None,
    most_flaws: int = 20,
    on_progress: Callable[[int, int], None] | None = None,
) -> FileCheck:
    """Read the whole file and judge it; `against` is another one that must share no prompt with it.

    `on_progress` gets the bytes read and all there are. NotFoundError, DataError for what cannot be read at all.
    """
    other = frozenset[int]() if against is None else _prompts(against)
    return _Check(path, other, max_tokens, most_flaws, on_progress).run()


class _Check:
    def __init__(
        self,
        path: Path,
        other: frozenset[int],
        max_tokens: int | None,
        most_flaws: int,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self._path, self._other, self._max_tokens = path, other, max_tokens
        self._most_flaws, self._on_progress = most_flaws, on_progress
        self._size = _size_of(path)
        self._fmt = _format_of(path)
        self._refusals: Counter[str] = Counter()
        self._warnings: Counter[str] = Counter()
        self._flaws: list[Flaw] = []
        self._kinds: dict[Kind, None] = {}
        self._samples = self._tokens = self._longest = 0
        self._whole: set[int] = set()
        self._shapes: set[int] = set()
        self._decisions: dict[str, Counter[str]] = {}
        self._redactor = Redactor(secrets.token_bytes(16))

    def run(self) -> FileCheck:
        if self._path.suffix != f".{self._fmt}":
            self._refuse(0, "a name that ends in neither .jsonl, .csv nor .parquet")
        if self._size > MOST_BYTES:
            self._refuse(0, "larger than 50 GB")
        if not self._size:
            self._refuse(0, "an empty file")
        elif self._fmt == "parquet":
            self._parquet()
        elif self._fmt == "csv":
            self._csv()
        else:
            self._jsonl()
        if self._size and not self._samples and not self._refusals:
            self._refuse(0, "no sample in it")
        formats = dict.fromkeys(FORMATS.get(kind, kind) for kind in self._kinds)
        if len(formats) > 1:
            self._refuse(0, f"several formats in one file: {', '.join(formats)}")
        self._imbalance()
        return FileCheck(
            path=self._path,
            fmt=self._fmt,
            kinds=tuple(self._kinds),
            samples=self._samples,
            size_bytes=self._size,
            tokens=self._tokens,
            longest=self._longest,
            refusals=dict(self._refusals.most_common()),
            warnings=dict(self._warnings.most_common()),
            flaws=tuple(self._flaws),
            secrets=dict(self._redactor.counts.most_common()),
            decisions={name: dict(counts.most_common()) for name, counts in self._decisions.items()},
        )

    def _jsonl(self) -> None:
        read = 0
        for number, line in enumerate(_lines(self._path), start=1):
            read += len(line)
            if number == 1 and (flaw := _no_text(line)):
                return self._refuse(1, flaw)
            if not line.strip():
                self._warn(number, "an empty line")
                continue
            try:
                sample = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                if number == 1 and line.strip()[-1:] in b"{[":
                    return self._refuse(1, "one JSON document over several lines, not a line for each sample")
                self._refuse(number, _why_no_json(line, str(error)))
                continue
            self._sample(number, check_sample(sample), line)
            if self._on_progress is not None and number % _STEP == 0:
                self._on_progress(read, self._size)
        return None

    def _csv(self) -> None:
        self._refuse(0, "CSV, which Together takes for evaluations, not for a fine-tune")
        csv.field_size_limit(2**31 - 1)
        head: list[str] = []
        number = 0
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                reader = csv.reader(file, strict=True)
                for row in reader:
                    number = reader.line_num
                    if not head:
                        head = row
                        if len(set(head)) < len(head):
                            self._refuse(number, "two columns of one name")
                        continue
                    if len(row) != len(head):
                        self._refuse(number, "another number of columns than the first line")
                        continue
                    cells = dict(zip(head, row, strict=True))
                    asked = next((cells[name] for name in ("prompt", "input", "question") if name in cells), row[0])
                    text = "\n".join(row)
                    found = SampleCheck(None, (), (), asked, row[-1], tuple(row))
                    self._sample(number, found, text.encode())
        except UnicodeDecodeError:
            self._refuse(number + 1, "not UTF-8")
        except csv.Error:
            self._refuse(number + 1, "not CSV")

    def _parquet(self) -> None:
        try:
            with opened(self._path, ANY) as file:
                self._rows(file)
        except PageError as error:
            self._refuse(0, "not Parquet" if error.__cause__ is not None else f"Parquet of another kind: {error}")

    def _rows(self, file: PagedFile) -> None:
        names = set(file.schema.names)
        tokenised = "input_ids" in names
        if not tokenised:
            self._refuse(0, "Parquet without a column input_ids: Together takes it with tokens only")
        for name in sorted(names - {"input_ids", "attention_mask", "labels", "position_ids"}) if tokenised else ():
            self._refuse(0, f"a column Together does not know: {name}")
        number = 0
        for part in file.rows():
            for row in part:
                number += 1
                if tokenised:
                    self._tokenised(number, row)
                else:
                    self._sample(number, check_sample(row), orjson.dumps(row, default=str))
            if self._on_progress is not None:
                self._on_progress(self._size * number // max(1, file.count), self._size)

    def _tokenised(self, number: int, row: dict[str, object]) -> None:
        self._kinds["tokenised"] = None
        ids = row.get("input_ids")
        self._samples += 1
        if (
            not isinstance(ids, list)
            or not ids
            or not all(isinstance(token_id, int) and token_id >= 0 for token_id in ids)
        ):
            return self._refuse(number, "input_ids that are no tokens")
        self._length(number, len(ids))
        for name, values in row.items():
            if name != "input_ids" and (not isinstance(values, list) or len(values) != len(ids)):
                self._refuse(number, f"{name} of another length than input_ids")
        return None

    def _sample(self, number: int, found: SampleCheck, line: bytes) -> None:
        self._samples += 1
        if found.kind is not None:
            self._kinds[found.kind] = None
        for reason in dict.fromkeys(found.refusals):
            self._refuse(number, reason)
        for reason in found.warnings:
            self._warn(number, reason)
        self._length(number, -(-len(line.rstrip(b"\r\n")) // BYTES_PER_TOKEN))
        model_type = recognise(found.asked).model_type
        if found.texts:
            self._copies(number, found, model_type or "")
        before = self._redactor.counts.total()
        for text in found.texts:
            self._redactor.redact(text)
        if self._redactor.counts.total() > before:
            self._warn(number, "a secret or personal data")
        if model_type is not None and not (found.kind == "tools" and not found.answer.strip()):
            answer = parse_answer(model_type, found.answer)
            if isinstance(answer, InvalidAnswer):
                self._warn(number, f"an answer the agent could not use: {answer.reason}")
            else:
                self._decisions.setdefault(model_type, Counter())[decision_of(answer)] += 1

    def _copies(self, number: int, found: SampleCheck, model_type: str) -> None:
        whole, shape = _short("\0".join(found.texts)), _prompt_hash(_asked(found))
        # Two decisions about one message are no copies of each other, but parted between two files they are a leak.
        of_type = shape ^ _short(model_type)
        if whole in self._whole:
            self._warn(number, "the same sample again")
        elif of_type in self._shapes:
            self._warn(number, "a near-copy of another prompt")
        self._whole.add(whole)
        self._shapes.add(of_type)
        if shape in self._other:
            self._warn(number, "a prompt, or a near-copy, that is in the other file too")

    def _length(self, number: int, tokens: int) -> None:
        self._tokens += tokens
        self._longest = max(self._longest, tokens)
        if self._max_tokens is not None and tokens > self._max_tokens:
            self._warn(number, f"longer than {self._max_tokens:,} tokens, so it would be cut")

    def _imbalance(self) -> None:
        counts = self._decisions.get("should_respond", Counter())
        total = counts.total()
        if total < _ENOUGH_TO_JUDGE:
            return
        [(name, most)] = counts.most_common(1)
        if most > MOST_OF_ONE * total:
            self._warn(0, f"imbalance: {most / total:.0%} of the should-respond decisions are {name}")
        for missing in ACTIONS[:2]:
            if not counts[missing]:
                self._warn(0, f"imbalance: no should-respond decision is {missing}")

    def _refuse(self, line: int, reason: str) -> None:
        self._refusals[reason] += 1
        self._note(Flaw(line, reason, True))

    def _warn(self, line: int, reason: str) -> None:
        self._warnings[reason] += 1
        self._note(Flaw(line, reason, False))

    def _note(self, flaw: Flaw) -> None:
        if len(self._flaws) < self._most_flaws:
            self._flaws.append(flaw)


def _prompts(path: Path) -> frozenset[int]:
    """The hashes of the prompts of a file, as far as it can be read."""
    _size_of(path)
    if _format_of(path) != "jsonl":
        raise DataError(f"`{path}` is not a JSON Lines file", "compare with a file of JSON lines")
    found = set()
    for line in _lines(path):
        try:
            found.add(_prompt_hash(_asked(check_sample(orjson.loads(line)))))
        except orjson.JSONDecodeError:
            continue
    return frozenset(found)


def _asked(found: SampleCheck) -> str:
    """What tells a prompt from others. Each turn of a conversation with tools has the same last words of the user."""
    return "\0".join(found.texts[:-1]) if found.kind == "tools" else found.asked


def _prompt_hash(prompt: str) -> int:
    return int.from_bytes(masked_hash(shape_of(prompt) or prompt)[:8])


def _short(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=1024 * 1024) as file:
            yield from file
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror or error}") from error


def _size_of(path: Path) -> int:
    if not path.exists():
        raise NotFoundError(f"there is no file `{path}`", "`reasoning data export -m TYPE` writes one")
    if not path.is_file():
        raise DataError(f"`{path}` is not a regular file", "name a file")
    return path.stat().st_size


def _format_of(path: Path) -> FileFormat:
    return "csv" if path.suffix == ".csv" else "parquet" if path.suffix == ".parquet" else "jsonl"


def _no_text(line: bytes) -> str | None:
    """Why a file that begins so is none of lines of JSON, if that is plain."""
    for magic, name in _COMPRESSED.items():
        if line.startswith(magic):
            return f"compressed with {name}"
    return "a byte order mark before the first line" if line.startswith(_BOM) else None


def _why_no_json(line: bytes, error: str) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "half a Unicode character" if "surrogate" in error else "not JSON"
