"""Decisions into the log, off the path of the answer: a queue bounded in bytes, and one thread that writes.

Whoever waits for an answer never waits for this. What does not fit, or cannot be stored, is counted and dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.gateway.dialects.forms import Unreadable
from reasoning_cli.gateway.log.capture import Decision, Recording, Rooms, records_of
from reasoning_cli.gateway.log.dating import Dating
from reasoning_cli.operations.data.addressing import Addresser
from reasoning_cli.store.database import UnreachableError
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts

if TYPE_CHECKING:
    from reasoning_cli.store.database import Store

# Less than the last tenth of a second is lost to a kill.
_BATCH_SECONDS = 0.05
_BATCH_DECISIONS = 500
# Characters that are held unpacked: of what waits packed, each may be a thousand times as long.
_BATCH_CHARACTERS = 16 * 1024 * 1024
_QUEUE_BYTES = 32 * 1024 * 1024
_RETRY_SECONDS = 1.0
# What a provider says cannot make a counter grow without end.
_MOST_REASONS = 50

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recorded:
    """What became of the decisions handed over: `unreadable` had no whole answer, and why, `dropped` did not fit or
    could not be written."""

    stored: int = 0
    unreadable: int = 0
    why_unreadable: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    waiting_bytes: int = 0
    last_error: str | None = None


class Recorder:
    """Writes decisions to a store from a thread of its own. `alter` may change what is stored."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        alter: Callable[[Sample, Sequence[AttemptRecord]], Recording] | None = None,
        queue_bytes: int = _QUEUE_BYTES,
    ) -> None:
        self.figures = Recorded()
        self.on_recorded: Callable[[Sample, Sequence[AttemptRecord]], None] | None = None
        self._open_store, self._alter = open_store, alter
        self._queue_bytes, self._dating = queue_bytes, Dating()
        # Whom the agents answered, which a head wants to know while it is asked.
        self.addresser = Addresser()
        self._queue: deque[Decision] = deque()
        self._wake, self._stopping = threading.Event(), False
        self._stop_by: float | None = None
        self._lock = threading.Lock()
        self._put = self._done = 0  # decisions handed over, and of these written or dropped
        self._written = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, decision: Decision) -> None:
        """Hand a decision over; never waits. Its parsed request is let go: parsed it takes a multiple of its bytes."""
        decision.body = {}
        size = decision.size_bytes + sum(map(len, decision.chunks))
        with self._lock:
            if self.figures.waiting_bytes + size > self._queue_bytes:
                self.figures.dropped += 1
                return
            self.figures.waiting_bytes += size
            decision.size_bytes = size
            self._put += 1
            self._queue.append(decision)
        if not self._wake.is_set():
            self._wake.set()

    def flush(self, seconds: float = 30.0) -> bool:
        """Wait until what was handed over so far is written or dropped; whether that was within `seconds`."""
        with self._lock:
            wanted = self._put
        with self._written:
            return self._written.wait_for(lambda: self._done >= wanted, seconds)

    def stop(self, seconds: float = 30.0) -> None:
        """Write what waits, then end; what could not be written by then is logged. Whoever calls it again waits no
        longer than the first."""
        dropped, now = self.figures.dropped, time.monotonic()
        first = self._stop_by is None
        self._stop_by = self._stop_by or now + seconds
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._stop_by - now))
        with self._lock:
            lost = self.figures.dropped - dropped + self._put - self._done
        if lost and first:
            _log.warning("%d decisions that waited to be stored are lost", lost)

    def _run(self) -> None:
        store: Store | None = None
        rooms = Rooms()
        while True:
            self._wake.wait()
            if not self._stopping:
                time.sleep(_BATCH_SECONDS)  # what comes meanwhile shares the commit
            self._wake.clear()
            while self._queue:
                made, taken, taken_bytes = self._next(rooms)
                store = self._stored(store, made)
                with self._lock:
                    self.figures.waiting_bytes -= taken_bytes
                with self._written:
                    self._done += taken
                    self._written.notify_all()
            if self._stopping and not self._queue:
                if store is not None:
                    store.close()
                return

    def _stored(self, store: Store | None, made: list[Recording]) -> Store | None:
        """Write records, and the store to go on with; None where it failed. A store that does not answer is tried again
        with the same ones, while what comes waits in the queue; at the end once."""
        again = False
        while True:
            try:
                if store is None:
                    store = self._open_store()
                    store.write_often()
                self._write(store, made, again)
                return store
            except ReasoningError as error:
                if store is not None:
                    store.close()
                    store = None
                again = isinstance(error, UnreachableError) and not self._stopping
                self._failed(error, 0 if again else len(made))
                if not self._stopping:
                    time.sleep(_RETRY_SECONDS)
                elif isinstance(error, UnreachableError):
                    self._give_up()
                if not again:
                    return None

    def _give_up(self) -> None:
        """Count what waits as dropped: each further try would take as long as the first."""
        with self._lock, self._written:
            while self._queue:
                decision = self._queue.popleft()
                self.figures.waiting_bytes -= decision.size_bytes
                self.figures.dropped += 1
                self._done += 1
            self._written.notify_all()

    def _next(self, rooms: Rooms) -> tuple[list[Recording], int, int]:
        """The records of what waits, as many as are written at once, and how many decisions and bytes these were."""
        made: list[Recording] = []
        taken_bytes = taken = characters = 0
        while self._queue and taken < _BATCH_DECISIONS and characters < _BATCH_CHARACTERS:
            decision = self._queue.popleft()
            taken, taken_bytes = taken + 1, taken_bytes + decision.size_bytes
            try:
                decision.at = self._dating.date_of(decision.at, decision.ticks, decision.dated)
                sample, attempts = records_of(decision, rooms, self.addresser)
                characters += len(sample.prompt) + len(sample.output) + len(sample.conversation or "")
                made.append(self._alter(sample, attempts) if self._alter else (sample, attempts))
            except Unreadable as why:
                self._unreadable(str(why))
            except Exception as error:
                # Whatever an answer holds must not end the thread that keeps the log.
                self._failed(error, 1)
        return made, taken, taken_bytes

    def _write(self, store: Store, made: list[Recording], again: bool) -> None:
        """Store them; what no database can hold, such as a number of 65 bits, goes without the others."""
        try:
            self._write_together(store, made, again)
        except ReasoningError:
            raise
        except Exception as error:
            if len(made) == 1:
                self._failed(error, 1)
            else:
                for pair in made:
                    self._write(store, [pair], again)

    def _write_together(self, store: Store, made: list[Recording], again: bool) -> None:
        if not made:
            return
        Samples(store).insert_many([sample for sample, _ in made])
        attempts = [attempt for _, beside in made for attempt in beside]
        if again:  # nobody knows whether they were written the first time
            attempts = [attempt for attempt in attempts if not Attempts(store).of_sample(attempt.sample_id)]
        if attempts:
            Attempts(store).insert_many(attempts)
        self.figures.stored += len(made)
        self.figures.last_error = None
        if self.on_recorded is not None:
            for sample, beside in made:
                self.on_recorded(sample, beside)

    def _unreadable(self, why: str) -> None:
        counted = self.figures.why_unreadable
        counted[why if why in counted or len(counted) < _MOST_REASONS else "other"] += 1
        self.figures.unreadable += 1

    def _failed(self, error: Exception, count: int) -> None:
        self.figures.dropped += count
        if self.figures.last_error != str(error):
            unexpected = None if isinstance(error, DataError) else error
            _log.warning("decisions are not kept: %s", error, exc_info=unexpected)
        self.figures.last_error = str(error)
