"""Export samples as files to fine-tune on: chosen, redacted, checked, streamed, and put in place whole or not."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path
from typing import BinaryIO

from reasoning_cli import __version__
from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.operations.data.export.batches import (
    WORTH_WORKERS,
    Batch,
    Facts,
    SideFacts,
    Stream,
    in_batches,
    worker_count,
    write_alone,
    write_together,
)
from reasoning_cli.operations.data.export.files import (
    HashedFile,
    checked,
    files_of,
    left_over,
    manifest_of,
    replacing,
    type_name,
)
from reasoning_cli.operations.data.export.render import BYTES_PER_TOKEN, Rules, head_of
from reasoning_cli.operations.data.export.split import SIDES, Dedupe, choose
from reasoning_cli.operations.data.export.trainers import needs_every_tools
from reasoning_cli.store import migrations
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.export_reader import ExportRows
from reasoning_cli.store.samples.exports import NumberSet, record_export
from reasoning_cli.store.samples.training_log import SampleFilter
from reasoning_cli.store.timestamps import from_ms

_DECISIONS = 20  # told apart in a manifest, for each type


@dataclass(frozen=True)
class ExportRequest:
    """What to export and how. `split` holds the shares of the files, nothing for one file.

    The seed decides which samples go where and, with `rules.salt`, the placeholders of what is redacted.
    """

    wanted: SampleFilter = field(default_factory=SampleFilter)
    rules: Rules = field(default_factory=Rules)
    dedupe: Dedupe = "none"
    balance: bool = False
    split: tuple[float, ...] = ()
    seed: int = 0
    seeded: bool = True  # whether the key of the placeholders is by the seed, or by chance
    drawn: int | None = None  # of archives, only so many, by lot


@dataclass(frozen=True)
class ExportedFile:
    """One file: `side` is train, validation or test, empty without a split; `path` and `sha256` None for a stream."""

    path: Path | None
    side: str
    samples: int
    size_bytes: int
    tokens: int
    by_type: Mapping[str, int]
    decisions: Mapping[str, Mapping[str, int]]
    sha256: str | None


@dataclass(frozen=True)
class ExportReport:
    """What was written, or by a dry run would be. `left_out` counts matching samples that are not in it, by why.

    `tokens` and `longest` (of one sample) are estimates; `largest_group` the share of samples a split cannot part.
    """

    files: tuple[ExportedFile, ...]
    manifest: Path | None
    request: ExportRequest
    written: int
    by_type: Mapping[str, int]
    left_out: Mapping[str, int]
    redactions: Mapping[str, int]
    size_bytes: int
    tokens: int
    longest: int
    largest_group: float
    oldest: datetime
    newest: datetime
    dry_run: bool = False
    removed: tuple[Path, ...] = ()  # files of the export before, which this one has no place for
    shards: tuple[str, ...] = ()  # of an export of archives, the files in `target`; each side is several
    target: str = ""


def export_samples(
    store: Store,
    target: Path | BinaryIO,
    request: ExportRequest,
    *,
    now: datetime,
    overwrite: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write the matching samples, oldest first, to files or a binary stream.

    Files appear complete and together with their manifest, or not at all, and those that were there stay until then.
    A dry run does all but write. `on_progress` gets the number of samples done and of all that match. ReasoningError
    when nothing matches or nothing of it can be used: nothing is written then.
    """
    files: tuple[Path, ...] = ()
    if isinstance(target, Path):
        target = target.resolve()
        files = files_of(target, request.rules.fmt, request.split)
        checked(target, files, store, overwrite or dry_run)
    elif request.split:
        raise UsageError("a split is several files, and a stream is one", "name a file with `-o FILE`")
    if not dry_run:
        store.require_writable()  # what was exported is put on record, to be found when it is to be forgotten
    run = _Run(store, request, now, worker_count() if workers is None else workers, on_progress)
    if not isinstance(target, Path) and not dry_run:
        return run.to_streams([target])
    if isinstance(target, Path) and not dry_run:
        try:
            return run.to_files(target, files)
        except OSError as error:
            raise DataError(
                f"cannot write `{target}`: {error.strerror or error}",
                hint="nothing was written; free some space, or choose another folder",
            ) from error
    with contextlib.ExitStack() as stack:
        nowhere = [stack.enter_context(Path(os.devnull).open("wb")) for _ in request.split or (1,)]
        return replace(run.to_streams(nowhere, keep=False), dry_run=True)


def new_salt() -> str:
    """A key for placeholders that nobody can guess."""
    return secrets.token_hex(16)


class _Run:
    """One export: the frame of the format around the lines, and the counting."""

    def __init__(
        self,
        store: Store,
        request: ExportRequest,
        now: datetime,
        workers: int,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self._store, self._request, self._now = store, request, now
        self._workers, self._on_progress = workers, on_progress
        self._rows = ExportRows(store, request.wanted)
        self._matching = self._rows.count()
        if not self._matching:
            raise ReasoningError(
                "no sample matches, so nothing was written", hint="`reasoning data stats` shows what there is"
            )
        self._choice = choose(
            self._rows, dedupe=request.dedupe, balance=request.balance, split=request.split, seed=request.seed
        )
        sides = len(request.split) or 1
        self._facts = Facts([SideFacts() for _ in range(sides)], dict(self._choice.left_out))
        first = self._rows.span()[0]
        self._held = [NumberSet(first) for _ in range(sides)]

    def to_streams(self, streams: Sequence[BinaryIO], *, keep: bool = True) -> ExportReport:
        """Write to what is open already; `keep` on record that it was written."""
        self._write(streams)
        report = self._report([None] * len(streams), [None] * len(streams), None)
        if keep:
            self._record([("-", "")], self._manifest(report))
        return report

    def to_files(self, target: Path, files: Sequence[Path]) -> ExportReport:
        """Write beside the files, then put them and their manifest in place together."""
        stale = left_over(target, files)
        with contextlib.ExitStack() as stack:
            # The last to be opened is the first in place, so the manifest never stands there alone.
            beside = stack.enter_context(replacing(manifest_of(target)))
            streams = [stack.enter_context(replacing(file)) for file in reversed(files)][::-1]
            hashed = [stack.enter_context(HashedFile(stream)) for stream in streams]
            self._write(hashed)
            for hashing in hashed:
                hashing.finish()
            report = self._report(files, [hashing.sha256 for hashing in hashed], manifest_of(target))
            sizes = {file.path: hashing.size_bytes for file, hashing in zip(report.files, hashed, strict=True)}
            report = replace(
                report,
                files=tuple(replace(file, size_bytes=sizes[file.path]) for file in report.files),
                size_bytes=sum(sizes.values()),
            )
            manifest = self._manifest(report)
            beside.write(json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
            for stream in (*streams, beside):
                stream.flush()
                os.fsync(stream.fileno())  # so that no file is in place when another finds no room
        for file in stale:
            file.unlink(missing_ok=True)
        self._record([(str(file.path), file.sha256 or "") for file in report.files], manifest)
        return replace(report, removed=stale)

    def _write(self, streams: Sequence[Stream]) -> None:
        rules = self._request.rules
        head = head_of(rules.fmt, rules.preference, type_name(self._request.wanted))
        every_tools = needs_every_tools(rules.trainer, preference=rules.preference) and self._rows.has_conversations()
        rules = replace(rules, head=head, every_tools=every_tools)
        numbers = self._rows.numbers()
        batches = in_batches(self._choice.among(numbers), bool(self._request.split))
        if rules.fmt == "parquet":
            from reasoning_cli.operations.data.export.parquet import write_parquet

            written: Generator[tuple[Batch, Facts]] = write_parquet(self._store, rules, batches, streams)
        else:
            together = self._workers > 1 and self._matching >= WORTH_WORKERS
            written = (
                write_together(self._store, rules, batches, streams, self._workers)
                if together
                else write_alone(self._store, rules, batches, streams)
            )
        done = 0
        # Closed here, while the database is open, also when Ctrl-C comes.
        with contextlib.closing(numbers), contextlib.closing(written):
            for batch, facts in written:
                self._take(batch, facts)
                done += len(batch[0])
                if self._on_progress is not None:
                    self._on_progress(done, self._matching)
        if not sum(side.samples for side in self._facts.sides):
            raise nothing_usable(self._matching, self._facts.left_out)
        if rules.fmt == "json":
            self._end(streams)
        for stream in streams:
            stream.flush()

    def _take(self, batch: Batch, facts: Facts) -> None:
        numbers, to = batch
        self._facts.add(facts)
        written = bytearray(b"\1") * len(numbers)
        for place in facts.skipped:
            written[place] = False
        for side, held in enumerate(self._held):
            mine = bytes(map(int.__and__, written, map(side.__eq__, to))) if to else bytes(written)
            if isinstance(numbers, range):
                held.mark(numbers.start, mine)
            else:
                held.update(compress(numbers, mine))

    def _end(self, streams: Sequence[Stream]) -> None:
        for stream, side in zip(streams, self._facts.sides, strict=True):
            metadata = {
                "exported_at": _rfc3339(self._now),
                "total_samples": side.samples,
                "date_range": self._date_range(),
            }
            stream.write(f'\n], "metadata": {json.dumps(metadata)}}}\n'.encode())

    def _date_range(self) -> dict[str, str]:
        assert self._facts.oldest is not None
        assert self._facts.newest is not None
        return {"start": _rfc3339(from_ms(self._facts.oldest)), "end": _rfc3339(from_ms(self._facts.newest))}

    def _report(
        self, paths: Sequence[Path | None], hashes: Sequence[str | None], manifest: Path | None
    ) -> ExportReport:
        files = list(zip(paths, hashes, strict=True))
        return report_of(self._request, self._facts, files, manifest, self._choice.largest_group)

    def _manifest(self, report: ExportReport) -> dict[str, object]:
        return manifest_record(report, self._matching, self._now)

    def _record(self, files: Sequence[tuple[str, str]], manifest: Mapping[str, object]) -> None:
        for (path, sha256), held in zip(files, self._held, strict=True):
            record_export(self._store, at=self._now, path=path, sha256=sha256, manifest=manifest, samples=held)


def nothing_usable(matching: int, left_out: Mapping[str, int]) -> ReasoningError:
    """The error for matching samples of which none can be trained on."""
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in list(_summed([left_out]).items())[:3])
    return ReasoningError(
        f"none of the {matching:,} matching samples can be trained on: {reasons}",
        hint="nothing was written; `reasoning data stats` shows what there is",
    )


def report_of(
    request: ExportRequest,
    facts: Facts,
    files: Sequence[tuple[Path | None, str | None]],
    manifest: Path | None,
    largest_group: float,
) -> ExportReport:
    """The report on what was written: of each side the file and its hash."""
    assert facts.oldest is not None
    assert facts.newest is not None
    names = SIDES if request.split else ("",)
    made = tuple(
        ExportedFile(path, name, side.samples, side.size_bytes, side.tokens, *_by_type(side.decisions), sha256)
        for (path, sha256), name, side in zip(files, names[: len(files)], facts.sides, strict=True)
    )
    return ExportReport(
        files=made,
        manifest=manifest,
        request=request,
        written=sum(file.samples for file in made),
        by_type=_summed(file.by_type for file in made),
        left_out=_summed([facts.left_out]),
        redactions=_summed([facts.redactions]),
        size_bytes=sum(file.size_bytes for file in made),
        tokens=sum(file.tokens for file in made),
        longest=facts.longest,
        largest_group=largest_group,
        oldest=from_ms(facts.oldest),
        newest=from_ms(facts.newest),
    )


def manifest_record(report: ExportReport, matching: int, now: datetime) -> dict[str, object]:
    """What is told about an export beside its files."""
    request, rules = report.request, report.request.rules
    filters = {
        name: _rfc3339(value) if isinstance(value, datetime) else value
        for name, value in asdict(request.wanted).items()
        if value is not None and value != ()
    }
    return {
        "program": {"name": "reasoning", "version": __version__, "schema": migrations.VERSION},
        "exported_at": _rfc3339(now),
        "format": rules.fmt,
        "trainer": rules.trainer,
        "kind": "preference" if rules.preference else "conversational",
        "filters": filters,
        "prompt_form": dict(rules.forms),
        "max_tokens": dict(rules.max_tokens),
        "dedupe": request.dedupe,
        "balance": request.balance,
        "split": list(request.split),
        "seed": request.seed,
        "redaction": {"on": rules.salt is not None, "names": rules.redact_names, "counts": report.redactions},
        "matching": matching,
        "samples": report.written,
        "left_out": report.left_out,
        "date_range": {"start": _rfc3339(report.oldest), "end": _rfc3339(report.newest)},
        "tokens_estimated": report.tokens,
        "bytes_per_token": BYTES_PER_TOKEN,
        "longest_sample_tokens": report.longest,
        "files": [{**_file_record(file), "path": file.path.name if file.path else None} for file in report.files],
    }


def _by_type(decisions: Mapping[str, int]) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Samples by type, and by decision within each, most first."""
    counts: dict[str, dict[str, int]] = {}
    for name, count in sorted(decisions.items(), key=lambda item: (-item[1], item[0])):
        model_type, _, decision = name.partition(" ")
        counts.setdefault(model_type, {})[decision] = count
    return _summed([{name: sum(by_decision.values())} for name, by_decision in counts.items()]), counts


def _summed(counts: Iterator[Mapping[str, int]] | Sequence[Mapping[str, int]]) -> dict[str, int]:
    """All of them together, most first."""
    total: dict[str, int] = {}
    for part in counts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _file_record(file: ExportedFile) -> dict[str, object]:
    """A file as its manifest has it, with the commonest decisions only."""
    record = asdict(file)
    record["decisions"] = {
        name: dict(list(by_decision.items())[:_DECISIONS]) for name, by_decision in file.decisions.items()
    }
    return record


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
