"""Batches of samples to bytes, by this process or by several that take turns at writing.

The parent hands out batches of sample numbers in order, one worker after the other. Each renders its batch while the
others render theirs, and waits for its turn, which goes from worker to worker through pipes and tells where the files
end. Into a file it then writes at that place while the next one, which is told where this batch will end, writes too;
into a pipe or a terminal it writes before it hands the turn on. So the bytes are in order, go straight from the one
that made them to where they belong, and nobody holds more than a batch.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress
from typing import BinaryIO

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.exporting_lines import BYTES_PER_TOKEN, Renderer, Rules, csv_row
from reasoning_cli.store.database import Store
from reasoning_cli.store.export_rows import TextRow, texts

BATCH = 250
MOST_WORKERS = 4
# Below so many samples the start of other processes costs more than they save.
WORTH_WORKERS = 20_000
# glibc's malloc would give the memory of each batch back to the system, and ask for it anew for the next.
_KEEPING = {"MALLOC_TRIM_THRESHOLD_": "16000000", "MALLOC_MMAP_THRESHOLD_": "8000000"}
_AHEAD = 3  # batches of a worker that are under way at once; what is told of them fits into a pipe


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
        times = [one for one in (self.oldest, self.newest, other.oldest, other.newest) if one is not None]
        self.oldest, self.newest = min(times, default=None), max(times, default=None)
        self.longest = max(self.longest, other.longest)

    @classmethod
    def read(cls, record: dict[str, object]) -> Facts:
        sides = [SideFacts(**side) for side in record.pop("sides")]  # type: ignore[attr-defined]
        return cls(sides=sides, **record)  # type: ignore[arg-type]


# Numbers of samples, and the file each goes to; no files named: all to the first.
Batch = tuple[Sequence[int], bytes]


class Batcher:
    """Renders batches of a store's samples by rules."""

    def __init__(self, store: Store, rules: Rules, sides: int) -> None:
        self._store, self._rules, self._sides = store, rules, sides
        self._renderer = Renderer(rules)

    def render(self, numbers: Sequence[int], to: bytes) -> tuple[list[list[bytes]], Facts]:
        """The pieces of each file, and what became of the batch.

        Done column by column for all of its rows, of which a few only are looked at one by one.
        """
        renderer, most = self._renderer, self._rules.max_tokens
        rows = texts(self._store, numbers)
        pieces = renderer.quick_lines(rows)
        sizes = [len(line or b"") for line in pieces]
        kinds = [(row[2], row[5]) for row in rows]
        reasons: dict[int, str] = {}
        for place in [place for place, line in enumerate(pieces) if line is None]:
            turns = renderer.turns(rows[place])
            if isinstance(turns, str):
                reasons[place] = turns
                continue
            line = renderer.line(turns)
            pieces[place] = csv_row(turns) if self._rules.fmt == "csv" else line
            sizes[place], kinds[place] = len(line), (rows[place][2], turns.decision)
        tokens = [-(-size // BYTES_PER_TOKEN) for size in sizes]
        if most and max(tokens, default=0) > min(most.values()):
            too_long = (renderer.too_long(kind, count) for (kind, _), count in zip(kinds, tokens, strict=True))
            reasons |= {place: reason for place, reason in enumerate(too_long) if reason is not None}

        facts = Facts([], dict(Counter(reasons.values())), dict(renderer.redactions))
        renderer.redactions.clear()
        places = _places(rows, numbers)
        kept = bytearray(b"\1") * len(rows)
        for place in reasons:
            kept[place] = False
        if places is None:
            facts.skipped = sorted(reasons)
        else:
            facts.skipped = sorted({*range(len(numbers))} - {*compress(places, kept)})
            to = bytes(to[place] for place in places) if to else b""
        if any(kept):
            # They come in the order of their times.
            facts.oldest, facts.newest = rows[kept.find(True)][1], rows[kept.rfind(True)][1]
        mine: list[list[bytes]] = []
        for side in range(self._sides):
            chosen = [keep and one == side for keep, one in zip(kept, to, strict=True)] if to else kept
            lines: list[bytes] = list(compress(pieces, chosen))  # type: ignore[arg-type]
            counts = list(compress(tokens, chosen))
            decisions = Counter(compress(kinds, chosen))
            mine.append(lines)
            facts.longest = max(facts.longest, *counts, 0)
            facts.sides.append(
                SideFacts(
                    len(lines),
                    sum(map(len, lines)),
                    sum(counts),
                    {f"{model_type} {decision}": many for (model_type, decision), many in decisions.items()},
                )
            )
        return mine, facts


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


def write_alone(
    store: Store, rules: Rules, batches: Iterator[Batch], streams: Sequence[BinaryIO]
) -> Generator[tuple[Batch, Facts]]:
    """Render and write the batches in this process; yields each with what became of it, once it is written."""
    batcher = Batcher(store, rules, len(streams))
    begun = 0
    for batch in batches:
        pieces, facts = batcher.render(*batch)
        contents = [b"".join(mine) for mine in pieces]
        begun = begin_files(rules, contents, facts, begun)
        for stream, content in zip(streams, contents, strict=True):
            stream.write(content)
        yield batch, facts


def begin_files(rules: Rules, contents: list[bytes], facts: Facts, begun: int) -> int:
    """Put the head before what is a file's first content, which in JSON follows no comma; `begun` holds a bit for each
    file that has some, and comes back with those of these."""
    for side, content in enumerate(contents):
        if content and not begun >> side & 1:
            begun |= 1 << side
            contents[side] = rules.head.encode() + (content.removeprefix(b",") if rules.fmt == "json" else content)
            facts.sides[side].size_bytes = len(contents[side])
    return begun


def worker_count() -> int:
    """How many processes write: one for each processor this one may use, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, usable)


def write_together(
    store: Store, rules: Rules, batches: Iterator[Batch], streams: Sequence[BinaryIO], workers: int, *, ours: bool
) -> Generator[tuple[Batch, Facts]]:
    """Let `workers` processes render and write the batches; yields each, in order, once it is written.

    Into files that are `ours` alone they write at the same time, each at its place. Leaving early ends the workers.
    Errors of theirs are raised here: OSError of a write, ReasoningError.
    """
    for stream in streams:
        stream.flush()
    ends = [0] * len(streams)
    with contextlib.ExitStack() as stack:
        ring = [os.pipe() for _ in range(workers)]
        closing = stack.enter_context(contextlib.ExitStack())
        for descriptor in (one for pipe in ring for one in pipe):
            closing.callback(os.close, descriptor)
        # Copies, since in a worker the number of stdout is what it answers on.
        files = [os.dup(stream.fileno()) for stream in streams]
        for descriptor in files:
            closing.callback(os.close, descriptor)
        os.write(ring[0][1], turn_of(0, ends))  # the first turn: nothing has been begun
        team = [
            stack.enter_context(_Worker(store, rules, files, ring[place][0], ring[(place + 1) % workers][1], ours))
            for place in range(workers)
        ]
        closing.close()
        waiting: deque[tuple[_Worker, Batch]] = deque()
        for number, batch in enumerate(batches):
            worker = team[number % workers]
            worker.begin(batch)
            waiting.append((worker, batch))
            if len(waiting) >= workers * _AHEAD:
                yield _finished(*waiting.popleft(), ends)
        while waiting:
            yield _finished(*waiting.popleft(), ends)
        for worker in team:
            worker.done()
    if ours:
        for stream, end in zip(streams, ends, strict=True):
            stream.seek(end)


def turn_of(begun: int, ends: Sequence[int]) -> bytes:
    """What workers hand on: which files have been begun, and where each ends."""
    return struct.pack(f"<B{len(ends)}Q", begun, *ends)


def read_turn(descriptor: int, files: int) -> tuple[int, list[int]] | None:
    """Wait for it; None when no other worker is left to hand it on."""
    form = struct.Struct(f"<B{files}Q")
    turn = os.read(descriptor, form.size)
    if not turn:
        return None
    begun, *ends = form.unpack(turn)
    return begun, ends


class _Worker(contextlib.AbstractContextManager["_Worker"]):
    """Another process that runs `exporting_worker`; it ends with this one, and not by Ctrl-C on its own."""

    def __init__(self, store: Store, rules: Rules, files: Sequence[int], turn: int, next_turn: int, ours: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "reasoning_cli.operations.exporting_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[turn, next_turn, *files],
            env=os.environ | _KEEPING,
            process_group=0,
        )
        self._tell(
            {
                "database": str(store.path.absolute()),
                "realm": store.realm,
                "rules": asdict(rules),
                "files": list(files),
                "turn": turn,
                "next_turn": next_turn,
                "ours": ours,
            }
        )

    def __exit__(self, *problem: object) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()

    def begin(self, batch: Batch) -> None:
        numbers, to = batch
        told = [numbers.start, numbers.stop] if isinstance(numbers, range) else numbers
        self._tell({"range" if told is not numbers else "numbers": told, "to": to.hex()})

    def finish(self) -> Facts:
        """What became of the oldest batch that is under way; waits until it is written."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DataError(
                "a process that wrote the export has ended before its time",
                "memory may be short; run the command again",
            )
        told = json.loads(line)
        if "errno" in told:
            raise OSError(told["errno"], told["message"])
        if "error" in told:
            raise ReasoningError(told["error"], told["hint"])
        return Facts.read(told)

    def done(self) -> None:
        """Let it end by itself: nothing is left to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, record: dict[str, object]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # why it ended is read from what it said
            self._process.stdin.write(json.dumps(record).encode() + b"\n")
            self._process.stdin.flush()


def _finished(worker: _Worker, batch: Batch, ends: list[int]) -> tuple[Batch, Facts]:
    facts = worker.finish()
    for side, told in enumerate(facts.sides):
        ends[side] += told.size_bytes
    return batch, facts


def _sum_into(total: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count
