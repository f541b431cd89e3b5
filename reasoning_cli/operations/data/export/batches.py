"""Batches of samples to bytes, by this process or by several.

This process hands out batches of sample numbers in order, one worker after the other. Each renders its batches into
files in memory, of which it has several, so that it need not wait; in order again, this process copies what is in them
to where it belongs. So nobody holds more than a few batches.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

import orjson

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.data.export.render import BYTES_PER_TOKEN, Renderer, Rules, csv_row
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.export_reader import TextRow, texts
from reasoning_cli.values import DatabaseAddress

BATCH = 250
MOST_WORKERS = 4
# Below so many samples the start of other processes costs more than they save.
WORTH_WORKERS = 20_000
# glibc's malloc would give the memory of each batch back to the system, and ask for it anew for the next.
_KEEPING = {"MALLOC_TRIM_THRESHOLD_": "16000000", "MALLOC_MMAP_THRESHOLD_": "8000000"}
# Batches that are under way at once, of all workers; what is told of one worker's fits into a pipe.
_UNDER_WAY = 8
_GROWN = 1 << 20  # bytes by which shared memory grows


class Stream(Protocol):
    """What an export is written to."""

    def write(self, content: bytes | memoryview, /) -> int: ...

    def flush(self) -> None: ...


@dataclass
class SideFacts:
    """What went into one file."""

    samples: int = 0
    size_bytes: int = 0
    tokens: int = 0
    decisions: dict[str, int] = field(default_factory=dict)  # by `type decision`

    def add(self, other: SideFacts) -> None:
        self.samples += other.samples
        self.size_bytes += other.size_bytes
        self.tokens += other.tokens
        _sum_into(self.decisions, other.decisions)


@dataclass
class Facts:
    """What became of samples: times in milliseconds; `skipped` are the places in the batch of those left out."""

    sides: list[SideFacts]
    left_out: dict[str, int] = field(default_factory=dict)
    redactions: dict[str, int] = field(default_factory=dict)
    oldest: int | None = None
    newest: int | None = None
    longest: int = 0
    skipped: list[int] = field(default_factory=list)

    def add(self, other: Facts) -> None:
        for mine, theirs in zip(self.sides, other.sides, strict=True):
            mine.add(theirs)
        _sum_into(self.left_out, other.left_out)
        _sum_into(self.redactions, other.redactions)
        times = [moment for moment in (self.oldest, self.newest, other.oldest, other.newest) if moment is not None]
        self.oldest, self.newest = min(times, default=None), max(times, default=None)
        self.longest = max(self.longest, other.longest)

    @classmethod
    def read(cls, record: dict[str, object]) -> Facts:
        sides = [SideFacts(**side) for side in record.pop("sides")]  # type: ignore[attr-defined]
        return cls(sides=sides, **record)  # type: ignore[arg-type]


_Kind = tuple[str, str | None]
_KIND = itemgetter(2, 5)  # type and decision of a row

# Numbers of samples, and the file each goes to; no files named: all to the first.
Batch = tuple[Sequence[int], bytes]


class LineMaker:
    """Renders rows of samples by rules."""

    def __init__(self, rules: Rules, sides: int) -> None:
        self._rules, self._sides = rules, sides
        self._renderer = Renderer(rules)

    def render_rows(
        self, rows: Sequence[TextRow], places: Sequence[int] | None, numbers: Sequence[int], to: bytes
    ) -> tuple[list[list[bytes]], Facts]:
        """The pieces of each file, and what became of the rows; `places` are theirs in the batch, None: all."""
        renderer = self._renderer
        pieces, sizes, kinds, reasons = self._lines(rows)
        tokens = [-(-size // BYTES_PER_TOKEN) for size in sizes]
        reasons |= self._too_long(kinds, tokens)

        facts = Facts([], dict(Counter(reasons.values())), dict(renderer.redactions))
        renderer.redactions.clear()
        included = bytearray(b"\1") * len(rows)
        for place in reasons:
            included[place] = False
        if places is None:
            facts.skipped = sorted(reasons)
        else:
            facts.skipped = sorted({*range(len(numbers))} - {*compress(places, included)})
            to = bytes(to[place] for place in places) if to else b""
        if any(included):
            # They come in the order of their times.
            facts.oldest, facts.newest = rows[included.find(True)][1], rows[included.rfind(True)][1]
        mine: list[list[bytes]] = []
        for side in range(self._sides):
            chosen = (
                [keep and assigned == side for keep, assigned in zip(included, to, strict=True)] if to else included
            )
            lines: list[bytes] = list(compress(pieces, chosen))  # type: ignore[arg-type]
            counts = list(compress(tokens, chosen))
            mine.append(lines)
            facts.longest = max(facts.longest, *counts, 0)
            facts.sides.append(_side_facts(lines, counts, compress(kinds, chosen)))
        return mine, facts

    def _lines(self, rows: Sequence[TextRow]) -> tuple[list[bytes | None], list[int], list[_Kind], dict[int, str]]:
        """The line of each row, its size and kind; and by place why a row has none."""
        renderer = self._renderer
        pieces = renderer.quick_lines(rows)
        sizes = [len(line) if line else 0 for line in pieces]
        kinds: list[_Kind] = list(map(_KIND, rows))
        reasons: dict[int, str] = {}
        for place in [place for place, size in enumerate(sizes) if not size]:
            turns = renderer.turns(rows[place])
            if isinstance(turns, str):
                reasons[place] = turns
                continue
            line = renderer.line(turns)
            pieces[place] = csv_row(turns) if self._rules.fmt == "csv" else line
            sizes[place], kinds[place] = len(line), (rows[place][2], turns.decision)
        return pieces, sizes, kinds, reasons

    def _too_long(self, kinds: Sequence[_Kind], tokens: Sequence[int]) -> dict[int, str]:
        """By place, why samples are left out for their length."""
        most = self._rules.max_tokens
        if not most or max(tokens, default=0) <= min(most.values()):
            return {}
        found = (self._renderer.too_long(kind, count) for (kind, _), count in zip(kinds, tokens, strict=True))
        return {place: reason for place, reason in enumerate(found) if reason is not None}


class Batcher(LineMaker):
    """Renders batches of a store's samples by rules."""

    def __init__(self, store: Store, rules: Rules, sides: int) -> None:
        super().__init__(rules, sides)
        self._store = store

    def render(self, numbers: Sequence[int], to: bytes) -> tuple[list[list[bytes]], Facts]:
        """The pieces of each file, and what became of the batch.

        Done column by column for all of its rows, of which a few only are looked at one by one.
        """
        rows = texts(self._store, numbers)
        return self.render_rows(rows, _places(rows, numbers), numbers, to)


def _side_facts(lines: Sequence[bytes], tokens: Sequence[int], kinds: Iterable[_Kind]) -> SideFacts:
    """What goes into a file."""
    decisions = {f"{model_type} {decision}": many for (model_type, decision), many in Counter(kinds).items()}
    return SideFacts(len(lines), sum(map(len, lines)), sum(tokens), decisions)


def _places(rows: Sequence[TextRow], numbers: Sequence[int]) -> list[int] | None:
    """The places in a batch of the rows there are of it; None when all are, since none was deleted meanwhile."""
    if len(rows) == len(numbers):
        return None
    place_of = {number: place for place, number in enumerate(numbers)}
    return [place_of[row[0]] for row in rows]


def in_batches(chosen: Iterator[tuple[list[int], bytes]], split: bool) -> Iterator[Batch]:
    """Numbers of samples with the file each goes to, a batch at a time; a range where they go up by one."""
    numbers, to = list[int](), bytearray()
    for some, theirs in chosen:
        numbers += some
        to += theirs if split else b""
        while len(numbers) >= BATCH:
            yield _in_a_row(numbers[:BATCH]), bytes(to[:BATCH])
            del numbers[:BATCH], to[:BATCH]
    if numbers:
        yield _in_a_row(numbers), bytes(to)


def _in_a_row(numbers: list[int]) -> Sequence[int]:
    row = range(numbers[0], numbers[0] + len(numbers))
    return row if numbers[-1] == row[-1] and numbers == list(row) else numbers


class _Ends:
    """Where the pieces go: streams, each of which begins with the head of its format."""

    def __init__(self, rules: Rules, streams: Sequence[Stream]) -> None:
        self._head, self._is_json = rules.head.encode(), rules.fmt == "json"
        self._streams = streams
        self._begun = [False] * len(streams)

    def put(self, side: int, content: memoryview, facts: Facts) -> None:
        """Write some of what goes into one of them."""
        if content and not self._begun[side]:
            self._begun[side] = True
            self._streams[side].write(self._head)
            first = 1 if self._is_json else 0  # no comma before the first sample
            content = content[first:]
            facts.sides[side].size_bytes += len(self._head) - first
        self._streams[side].write(content)


def write_alone(
    store: Store, rules: Rules, batches: Iterator[Batch], streams: Sequence[Stream]
) -> Generator[tuple[Batch, Facts]]:
    """Render and write the batches in this process; yields each with what became of it, once it is written."""
    batcher, ends = Batcher(store, rules, len(streams)), _Ends(rules, streams)
    with store.each_page_once():
        for batch in batches:
            pieces, facts = batcher.render(*batch)
            for side, mine in enumerate(pieces):
                ends.put(side, memoryview(b"".join(mine)), facts)
            yield batch, facts


def worker_count() -> int:
    """How many processes write: one for each processor this one may use, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, usable)


def write_together(
    store: Store, rules: Rules, batches: Iterator[Batch], streams: Sequence[Stream], workers: int
) -> Generator[tuple[Batch, Facts]]:
    """Let `workers` processes render the batches and write them in order; yields each once it is written.

    Leaving early ends the workers. Errors of theirs are raised here: OSError of memory, ReasoningError.
    """
    ends, ahead = _Ends(rules, streams), max(2, _UNDER_WAY // workers)
    with contextlib.ExitStack() as stack:
        team = [stack.enter_context(_Worker(store, rules, len(streams), ahead)) for _ in range(workers)]
        waiting: deque[tuple[_Worker, Batch]] = deque()
        for number, batch in enumerate(batches):
            worker = team[number % workers]
            worker.begin(batch)
            waiting.append((worker, batch))
            if len(waiting) >= workers * ahead:
                yield _finished(*waiting.popleft(), ends)
        while waiting:
            yield _finished(*waiting.popleft(), ends)
        for worker in team:
            worker.done()


def _spelt(place: Path | DatabaseAddress) -> str | dict[str, str]:
    if isinstance(place, DatabaseAddress):
        return {name: str(value) for name, value in asdict(place).items()}
    return str(place)


def _finished(worker: _Worker, batch: Batch, ends: _Ends) -> tuple[Batch, Facts]:
    return batch, worker.finish(ends)


class _Worker(contextlib.AbstractContextManager["_Worker"]):
    """Another process that runs `exporting_worker`; it ends with this one, and not by Ctrl-C on its own."""

    def __init__(self, store: Store, rules: Rules, sides: int, ahead: int) -> None:
        self._rendered = deque(Shared.new() for _ in range(ahead))  # the first is that of the oldest batch under way
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "reasoning_cli.operations.data.export.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[file.descriptor for file in self._rendered],
            env=os.environ | _KEEPING,
            process_group=0,
        )
        self._notify(
            {
                "database": _spelt(store.place),
                "realm": store.realm,
                "rules": asdict(rules),
                "sides": sides,
                "rendered": [file.descriptor for file in self._rendered],
            }
        )

    def __exit__(self, *problem: object) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()
        for file in self._rendered:
            os.close(file.descriptor)

    def begin(self, batch: Batch) -> None:
        numbers, to = batch
        chosen = [numbers.start, numbers.stop] if isinstance(numbers, range) else numbers
        self._notify({"range" if chosen is not numbers else "numbers": chosen, "to": to.hex()})

    def finish(self, ends: _Ends) -> Facts:
        """Wait for the oldest batch that is under way, and write it; what became of it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DataError(
                "a process that wrote the export has ended before its time",
                "memory may be short; run the command again",
            )
        answer = orjson.loads(line)
        if "errno" in answer:
            raise OSError(answer["errno"], answer["message"])
        if "error" in answer:
            raise ReasoningError(answer["error"], answer["hint"])
        facts = Facts.read(answer)
        sizes = [side.size_bytes for side in facts.sides]
        content = self._rendered[0].first(sum(sizes))
        self._rendered.rotate(-1)
        for side, size in enumerate(sizes):
            ends.put(side, content[:size], facts)
            content = content[size:]
        return facts

    def done(self) -> None:
        """Let it end by itself: nothing is left to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _notify(self, record: dict[str, object]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # why it ended is read from what it said
            self._process.stdin.write(json.dumps(record).encode() + b"\n")
            self._process.stdin.flush()


class Shared:
    """Memory that this process and another one see, by the descriptor of a file that is nowhere else."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._mapped = memoryview(b"")

    @classmethod
    def new(cls) -> Shared:
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("batch"))
        with TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def first(self, size: int) -> memoryview:
        """So many bytes of it; there are as many as either process has asked for."""
        if size > len(self._mapped):
            whole = (size // _GROWN + 1) * _GROWN
            if os.fstat(self.descriptor).st_size < whole:
                os.ftruncate(self.descriptor, whole)
            self._mapped = memoryview(mmap.mmap(self.descriptor, whole))
        return self._mapped[:size]


def _sum_into(total: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count
