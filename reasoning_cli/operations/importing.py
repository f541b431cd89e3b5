"""Import past decisions from ElizaOS's `logs` table, one JSON row a line.

Lines are read one at a time and stored in batches, each in its own transaction: memory stays bounded, and what was
stored stays stored however the import ends. Running it again goes on where it was, since a row is stored once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import DataError, NotFoundError, ReasoningError
from reasoning_cli.operations.importing_rows import BadRow, NoDecision, read_row
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples import Sample, Samples

BATCH_ROWS = 500
BATCH_CHARS = 16_000_000
# Whole agent states are logged in lines of some hundred kilobytes; nothing real comes near this.
MAX_LINE_BYTES = 64 * 1024 * 1024
SHOWN_BAD_LINES = 5

_FORMAT_HINT = (
    "export the `logs` table as JSON Lines: one row a line, with id, created_at, entity_id, room_id, type, body"
)


@dataclass(frozen=True)
class BadLine:
    """A line that could not be read, by its number in the file."""

    number: int
    why: str


@dataclass(frozen=True)
class ImportReport:
    """What became of the lines: `read` = decisions (`added` + `already_there`) + skipped + bad.

    `by_type` counts the decisions found, new or not; `skipped` sound rows that are no decision, by why; `bad_lines`
    are the first few of the `bad`.
    """

    read: int
    added: int
    already_there: int
    by_type: Mapping[str, int]
    skipped: Mapping[str, int]
    bad: int
    bad_lines: tuple[BadLine, ...]


Progress = Callable[[ImportReport, int], None]


def import_elizaos_logs(source: Path | BinaryIO, store: Store, *, on_progress: Progress | None = None) -> ImportReport:
    """Read rows of the `logs` table and store their decisions as samples.

    `source` is a file or a binary stream. `on_progress` gets the report so far and the bytes read after each batch.
    Broken lines are counted, never fatal; ReasoningError when the whole input is no such export.
    """
    if not isinstance(source, Path):
        return _Import(store, "the input", on_progress).run(source)
    if source.is_dir():
        raise DataError(f"`{source}` is a folder", hint=_FORMAT_HINT)
    try:
        with source.open("rb") as stream:
            return _Import(store, f"`{source}`", on_progress).run(stream)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file `{source}`", hint=_FORMAT_HINT) from None
    except OSError as error:
        raise DataError(f"cannot read `{source}`: {error.strerror or error}") from error


class _Import:
    """One run over one input."""

    def __init__(self, store: Store, name: str, on_progress: Progress | None) -> None:
        self._samples = Samples(store)
        self._name = name
        self._on_progress = on_progress
        self._batch: list[Sample] = []
        self._batch_chars = 0
        self._read = self._read_bytes = self._added = self._already_there = self._bad = 0
        self._by_type: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._bad_lines: list[BadLine] = []

    def run(self, stream: BinaryIO) -> ImportReport:
        for number, line in enumerate(_lines(stream), start=1):
            self._read_bytes += len(line)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
                self._refuse_what_is_no_text(line)
            if not line.strip():
                continue
            self._read += 1
            try:
                found = _decision(line)
            except BadRow as error:
                self._bad += 1
                if len(self._bad_lines) < SHOWN_BAD_LINES:
                    self._bad_lines.append(BadLine(number, str(error)))
                continue
            if isinstance(found, NoDecision):
                self._skipped[found.reason] += 1
                continue
            self._by_type[found.model_type] += 1
            self._batch.append(found)
            self._batch_chars += len(found.prompt) + len(found.output)
            if len(self._batch) >= BATCH_ROWS or self._batch_chars >= BATCH_CHARS:
                self._store_batch()
        self._store_batch()
        self._refuse_what_held_no_rows()
        return self._report()

    def _store_batch(self) -> None:
        new = self._samples.insert_many(self._batch) if self._batch else 0
        self._added += new
        self._already_there += len(self._batch) - new
        self._batch, self._batch_chars = [], 0
        if self._on_progress is not None:
            self._on_progress(self._report(), self._read_bytes)

    def _report(self) -> ImportReport:
        return ImportReport(
            read=self._read,
            added=self._added,
            already_there=self._already_there,
            by_type=dict(self._by_type.most_common()),
            skipped=dict(self._skipped.most_common()),
            bad=self._bad,
            bad_lines=tuple(self._bad_lines),
        )

    def _refuse_what_is_no_text(self, line: bytes) -> None:
        if line.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")):
            raise ReasoningError(f"{self._name} is compressed", hint="unpack it first, for example with `gunzip`")
        if b"\0" in line[:4096] and not line.lstrip().startswith(b"{"):
            raise ReasoningError(f"{self._name} is not text", hint=_FORMAT_HINT)

    def _refuse_what_held_no_rows(self) -> None:
        if self._read == 0:
            raise ReasoningError(f"{self._name} is empty", hint=_FORMAT_HINT)
        if self._bad == self._read:
            first = self._bad_lines[0]
            raise ReasoningError(
                f"{self._name} holds no row of ElizaOS's `logs` table (line {first.number}: {first.why})",
                hint=_FORMAT_HINT,
            )


def _decision(line: bytes) -> Sample | NoDecision:
    if len(line) > MAX_LINE_BYTES:
        raise BadRow(f"longer than {MAX_LINE_BYTES // 1024 // 1024} MB")
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError:
        raise BadRow("not UTF-8") from None
    except RecursionError:
        raise BadRow("nested too deeply") from None
    except ValueError:
        raise BadRow("not JSON") from None
    return read_row(row)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream; of one that is too long just enough to see that, so that it never sits in memory."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        yield line
        rest = line if len(line) > MAX_LINE_BYTES else b""
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(1024 * 1024)
