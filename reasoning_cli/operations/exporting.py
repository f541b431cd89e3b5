"""Export samples as a fine-tuning file: streamed, checked line by line, and put in place whole or not at all."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import BinaryIO, Literal

from reasoning_cli.decisions.answers import InvalidAnswer
from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.operations.exporting_lines import conversation_of, line_of
from reasoning_cli.paths import replacing
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples import SampleFilter, Samples

Format = Literal["jsonl", "json"]
FORMATS: tuple[Format, ...] = ("jsonl", "json")

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_PROGRESS_EVERY = 1000


@dataclass(frozen=True)
class ExportReport:
    """What was written. `left_out` counts matching samples no model should learn from, by why; `path` is None for a
    stream; `oldest` and `newest` are the times of the samples written."""

    path: Path | None
    fmt: Format
    written: int
    by_type: Mapping[str, int]
    left_out: Mapping[str, int]
    size_bytes: int
    oldest: datetime
    newest: datetime


def export_samples(
    store: Store,
    target: Path | BinaryIO,
    wanted: SampleFilter,
    fmt: Format = "jsonl",
    *,
    now: datetime,
    overwrite: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> ExportReport:
    """Write the matching samples, oldest first, to a file or a binary stream.

    A file appears complete or not at all, and one that was there stays until then. `on_progress` gets the number
    written so far. ReasoningError when nothing matches or nothing of it can be used: nothing is written then.
    """
    writer = _Writer(wanted, fmt, now, on_progress)
    if not isinstance(target, Path):
        return writer.write(store, target, None)
    target = _checked_target(target, overwrite)
    try:
        with replacing(target) as stream:
            return writer.write(store, stream, target)
    except OSError as error:
        raise DataError(
            f"cannot write `{target}`: {error.strerror or error}", hint="free some space, or choose another folder"
        ) from error


def target_name(wanted: SampleFilter, fmt: Format, today: date) -> str:
    """The file name when none was given, such as `training-data-planning-2026-11-21.jsonl`."""
    return f"training-data-{_type_name(wanted)}-{today.isoformat()}.{fmt}"


def parse_range(
    start: str | None, end: str | None, zone: tzinfo | None = None
) -> tuple[datetime | None, datetime | None]:
    """Read `--start-date` and `--end-date` as the bounds [since, until) of a filter.

    Each is a day (`2026-11-21`, in `zone`, the system's when None; the end day counts whole) or a moment in RFC 3339.
    """
    since = _moment(start, zone, "start date") if start is not None else None
    until = _moment(end, zone, "end date", end_of_day=True) if end is not None else None
    if since is not None and until is not None and since >= until:
        raise UsageError(f"the start date `{start}` is after the end date `{end}`", hint="swap them")
    return since, until


class _Writer:
    """One export: the frame of the format around the lines, and the counting."""

    def __init__(
        self, wanted: SampleFilter, fmt: Format, now: datetime, on_progress: Callable[[int], None] | None
    ) -> None:
        self._wanted, self._fmt, self._now, self._on_progress = wanted, fmt, now, on_progress
        self._by_type: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._size = 0
        self._oldest: datetime | None = None
        self._newest: datetime | None = None

    def write(self, store: Store, stream: BinaryIO, path: Path | None) -> ExportReport:
        written = 0
        for moment, line in self._lines(store):
            if self._fmt == "json":
                line = (b"," if written else self._opening()) + b"\n  " + line
            else:
                line += b"\n"
            self._put(stream, line)
            written += 1
            self._oldest, self._newest = self._oldest or moment, moment
            if self._on_progress is not None and written % _PROGRESS_EVERY == 0:
                self._on_progress(written)
        if self._oldest is None or self._newest is None:
            raise self._nothing()
        if self._fmt == "json":
            self._put(stream, self._closing(written, self._oldest, self._newest))
        stream.flush()
        if self._on_progress is not None:
            self._on_progress(written)
        return ExportReport(
            path=path,
            fmt=self._fmt,
            written=written,
            by_type=dict(self._by_type.most_common()),
            left_out=dict(self._left_out.most_common()),
            size_bytes=self._size,
            oldest=self._oldest,
            newest=self._newest,
        )

    def _lines(self, store: Store) -> Iterator[tuple[datetime, bytes]]:
        for sample in Samples(store).iterate(self._wanted):
            messages = conversation_of(sample)
            if isinstance(messages, InvalidAnswer):
                self._left_out[messages.reason] += 1
                continue
            self._by_type[sample.model_type] += 1
            yield sample.created_at, line_of(messages)

    def _put(self, stream: BinaryIO, content: bytes) -> None:
        stream.write(content)
        self._size += len(content)

    def _opening(self) -> bytes:
        return f'{{"model_type": "{_type_name(self._wanted)}", "format": "json", "samples": ['.encode()

    def _closing(self, written: int, oldest: datetime, newest: datetime) -> bytes:
        metadata = {
            "exported_at": _rfc3339(self._now),
            "total_samples": written,
            "date_range": {"start": _rfc3339(oldest), "end": _rfc3339(newest)},
        }
        return f'\n], "metadata": {json.dumps(metadata)}}}\n'.encode()

    def _nothing(self) -> ReasoningError:
        if not self._left_out:
            return ReasoningError(
                "no sample matches, so nothing was written", hint="`reasoning data stats` shows what there is"
            )
        reasons = ", ".join(f"{reason} ({count})" for reason, count in self._left_out.most_common(3))
        return ReasoningError(
            f"none of the {self._left_out.total()} matching samples can be trained on: {reasons}",
            hint="nothing was written; `reasoning data stats` shows what there is",
        )


def _type_name(wanted: SampleFilter) -> str:
    return wanted.model_types[0] if len(wanted.model_types) == 1 else "all"


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(text: str, zone: tzinfo | None, name: str, *, end_of_day: bool = False) -> datetime:
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
        whole_day = _DAY.fullmatch(text) is not None
        if not whole_day and not _MOMENT.match(text):
            raise ValueError
        if end_of_day:
            moment += timedelta(days=1) if whole_day else timedelta(milliseconds=1)
        if moment.tzinfo is None:
            # Without a zone the system's rules of that very day count, summer time included.
            moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"the {name} `{text}` is no date",
            hint="write `2026-11-21`, or a moment such as `2026-11-21T18:00:00+01:00`",
        ) from None


def _checked_target(target: Path, overwrite: bool) -> Path:
    """The file to write, links followed; an error for what must not or cannot be replaced."""
    target = target.resolve()
    if target.is_dir():
        raise DataError(f"`{target}` is a folder", hint="name a file inside it")
    if target.exists():
        if not target.is_file():
            raise DataError(f"`{target}` is no regular file", hint="write to standard output with `-o -`")
        if not overwrite:
            raise DataError(f"`{target}` exists already", hint="replace it with `--force`, or name another file")
    elif not target.parent.is_dir():
        raise DataError(f"there is no folder `{target.parent}`", hint=f"make it with `mkdir -p {target.parent}`")
    return target
