"""Batches of samples to bytes, by this process or by several that take turns at writing.

The parent hands out batches of sample numbers in order, one worker after the other. Each renders its batch while the
others render theirs, and writes it when the turn comes round; the turn is a byte that goes from worker to worker
through pipes, and the files are open in all of them with one shared place to write at. So the bytes are in order, go
straight from the one that made them to the file, pipe or terminal, and nobody holds more than a batch.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import BinaryIO

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.exporting_lines import BYTES_PER_TOKEN, Renderer, Rules, csv_row
from reasoning_cli.store.database import Store
from reasoning_cli.store.export_rows import texts

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
Batch = tuple[list[int], bytes]


class Batcher:
    """Renders batches of a store's samples by rules."""

    def __init__(self, store: Store, rules: Rules, sides: int) -> None:
        self._store, self._rules, self._sides = store, rules, sides
        self._renderer = Renderer(rules)

    def render(self, numbers: Sequence[int], to: bytes) -> tuple[list[list[bytes]], Facts]:
        """The pieces of each file, and what became of the batch."""
        facts = Facts([SideFacts() for _ in range(self._sides)])
        pieces: list[list[bytes]] = [[] for _ in range(self._sides)]
        kinds: list[list[tuple[str, str | None]]] = [[] for _ in range(self._sides)]
        tokens_of: list[list[int]] = [[] for _ in range(self._sides)]
        renderer, quick_line = self._renderer, self._renderer.quick_line
        is_csv, most = self._rules.fmt == "csv", self._rules.max_tokens
        place, side, when = -1, 0, 0
        for row in texts(self._store, numbers):
            place += 1
            while numbers[place] != row[0]:  # deleted since it was chosen
                facts.skipped.append(place)
                place += 1
            line, piece, decision = quick_line(row), None, row[5]
            reason: str | None = None
            if line is None:
                turns = renderer.turns(row)
                if isinstance(turns, str):
                    reason, line = turns, b""
                else:
                    line, decision = renderer.line(turns), turns.decision
                    piece = csv_row(turns) if is_csv else None
            tokens = -(-len(line) // BYTES_PER_TOKEN)
            if most and reason is None:
                reason = renderer.too_long(row[2], tokens)
            if reason is not None:
                facts.left_out[reason] = facts.left_out.get(reason, 0) + 1
                facts.skipped.append(place)
                continue
            if to:
                side = to[place]
            pieces[side].append(piece or line)
            kinds[side].append((row[2], decision))
            tokens_of[side].append(tokens)
            when = row[1]
            if facts.oldest is None:
                facts.oldest = when
        facts.skipped += range(place + 1, len(numbers))
        if facts.oldest is not None:
            facts.newest = when  # they come in the order of their times
        for told, mine, kind, tokens_mine in zip(facts.sides, pieces, kinds, tokens_of, strict=True):
            told.samples = len(mine)
            told.size_bytes = sum(map(len, mine))
            told.tokens = sum(tokens_mine)
            told.decisions = {
                f"{model_type} {decision}": many for (model_type, decision), many in Counter(kind).items()
            }
            facts.longest = max(facts.longest, *tokens_mine, 0)
        facts.redactions = dict(renderer.redactions)
        renderer.redactions.clear()
        return pieces, facts


def in_batches(chosen: Iterator[tuple[int, int]], split: bool) -> Iterator[Batch]:
    """Numbers of samples with the file each goes to, a batch at a time."""
    while batch := list(islice(chosen, BATCH)):
        numbers, to = zip(*batch, strict=True)
        yield list(numbers), bytes(to) if split else b""


def write_alone(
    store: Store, rules: Rules, batches: Iterator[Batch], streams: Sequence[BinaryIO]
) -> Generator[tuple[Batch, Facts]]:
    """Render and write the batches in this process; yields each with what became of it, once it is written."""
    batcher = Batcher(store, rules, len(streams))
    begun = 0
    for batch in batches:
        pieces, facts = batcher.render(*batch)
        for side, stream in enumerate(streams):
            content, begun = joined(rules, pieces[side], facts.sides[side], side, begun)
            stream.write(content)
        yield batch, facts


def joined(rules: Rules, pieces: list[bytes], facts: SideFacts, side: int, begun: int) -> tuple[memoryview, int]:
    """The pieces as one, and the files that have been begun as bits: the head comes before the first sample, which in
    JSON follows no comma."""
    if pieces and not begun >> side & 1:
        first = pieces[0].removeprefix(b",") if rules.fmt == "json" else pieces[0]
        pieces = [rules.head.encode(), first, *pieces[1:]]
        begun |= 1 << side
        facts.size_bytes = sum(map(len, pieces))
    return memoryview(b"".join(pieces)), begun


def worker_count() -> int:
    """How many processes write: one for each processor this one may use, at most four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, usable)


def write_together(
    store: Store, rules: Rules, batches: Iterator[Batch], streams: Sequence[BinaryIO], workers: int
) -> Generator[tuple[Batch, Facts]]:
    """Let `workers` processes render and write the batches; yields each, in order, once it is written.

    Leaving early ends the workers. Errors of theirs are raised here: OSError of a write, ReasoningError.
    """
    for stream in streams:
        stream.flush()
    with contextlib.ExitStack() as stack:
        ring = [os.pipe() for _ in range(workers)]
        closing = stack.enter_context(contextlib.ExitStack())
        for descriptor in (one for pipe in ring for one in pipe):
            closing.callback(os.close, descriptor)
        # Copies, since in a worker the number of stdout is what it answers on.
        files = [os.dup(stream.fileno()) for stream in streams]
        for descriptor in files:
            closing.callback(os.close, descriptor)
        os.write(ring[0][1], bytes([0]))  # the first turn; nothing has been begun
        team = [
            stack.enter_context(_Worker(store, rules, files, ring[place][0], ring[(place + 1) % workers][1]))
            for place in range(workers)
        ]
        closing.close()
        waiting: deque[tuple[_Worker, Batch]] = deque()
        for number, batch in enumerate(batches):
            worker = team[number % workers]
            worker.begin(batch)
            waiting.append((worker, batch))
            if len(waiting) >= workers * _AHEAD:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
        for worker in team:
            worker.done()


class _Worker(contextlib.AbstractContextManager["_Worker"]):
    """Another process that runs `exporting_worker`; it ends with this one, and not by Ctrl-C on its own."""

    def __init__(self, store: Store, rules: Rules, files: Sequence[int], turn: int, next_turn: int) -> None:
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
        self._tell({"numbers": numbers, "to": to.hex()})

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


def _finished(worker: _Worker, batch: Batch) -> tuple[Batch, Facts]:
    return batch, worker.finish()


def _sum_into(total: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        total[name] = total.get(name, 0) + count
