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
from reasoning_cli.gateway.log.capture import Decision, Rooms, records_of
from reasoning_cli.gateway.log.dating import Dating
from reasoning_cli.operations.data.addressing import Addresser
from reasoning_cli.store.database import UnavailableError
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.store.serving.spool import Recording, Spool, packed, unpacked

if TYPE_CHECKING:
    from reasoning_cli.store.database import Store

# Less than the last tenth of a second is lost to a kill.
_BATCH_SECONDS = 0.05
_BATCH_DECISIONS = 500
# Characters that are held unpacked: of what waits packed, each may be a thousand times as long.
_BATCH_CHARACTERS = 16 * 1024 * 1024
_QUEUE_BYTES = 32 * 1024 * 1024
_RETRY_SECONDS = 1.0
_SPOOL_IS_FULL = "the spool of this machine is full, or cannot be written"
# What a provider says cannot make a counter grow without end.
_MOST_REASONS = 50

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recorded:
    """What became of the decisions handed over: `unreadable` had no whole answer, and why, `dropped` did not fit or
    could not be written. `spooled` are those that wait in the spool, whoever put them there."""

    stored: int = 0
    unreadable: int = 0
    why_unreadable: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    waiting_bytes: int = 0
    spooled: int = 0
    spooled_bytes: int = 0
    last_error: str | None = None


class Recorder:
    """Writes decisions to a store from a thread of its own. `alter` may change what is stored; `spool` takes it while
    the store cannot be written."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        alter: Callable[[Sample, Sequence[AttemptRecord]], Recording] | None = None,
        queue_bytes: int = _QUEUE_BYTES,
        spool: Spool | None = None,
    ) -> None:
        self.figures = Recorded()
        self.on_recorded: Callable[[Sample, Sequence[AttemptRecord]], None] | None = None
        self._open_store, self._alter = open_store, alter
        self._spool, self._spooling = spool, False
        self._turning = threading.Lock()  # from the spool back to the store, and what goes into it
        self._queue_bytes, self._dating = queue_bytes, Dating()
        # Whom the agents answered, which a head wants to know while it is asked.
        self.addresser = Addresser()
        self._queue: deque[Decision] = deque()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._stop_by: float | None = None
        self._logged: set[tuple[str, bool]] = set()
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
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._stop_by - now))
        with self._lock:
            lost = self.figures.dropped - dropped + self._put - self._done
        if lost and first:
            _log.warning("%d decisions that waited to be stored are lost", lost)
        if self._spool is not None and first:
            if waiting := self._spool.waiting().count:
                _log.warning("%d decisions wait in %s for the next start", waiting, self._spool.path)
            self._spool.close()

    def _run(self) -> None:
        store: Store | None = None
        rooms = Rooms()
        if self._spool is not None and self._spool.waiting().count:
            self._begin_to_spool(self._spool)
        while True:
            self._wake.wait()
            if not self._stopping.is_set():
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
            if self._stopping.is_set() and not self._queue:
                if store is not None:
                    store.close()
                return

    def _stored(self, store: Store | None, made: list[Recording]) -> Store | None:
        """Write records, and the store to go on with; None where it failed. A store that cannot be written now is gone
        round by the spool; without one it is tried again with the same records, while what comes waits in the queue; at
        the end once."""
        again = False
        while True:
            if self._spooling and self._spooled(made):
                if store is not None:
                    store.close()
                return None
            try:
                if not self._spooling:
                    return self._written_to(store, made, again)
                error: ReasoningError = UnavailableError(_SPOOL_IS_FULL)
            except ReasoningError as failure:
                error = failure
                if store is not None:
                    store.close()
                    store = None
                if isinstance(error, UnavailableError) and self._spool is not None and not self._spooling:
                    self._failed(error, 0)
                    self._begin_to_spool(self._spool)
                    continue
            again = isinstance(error, UnavailableError) and not self._stopping.is_set()
            self._failed(error, 0 if again else len(made))
            if not self._stopping.is_set():
                self._stopping.wait(_RETRY_SECONDS)
            elif isinstance(error, UnavailableError):
                self._give_up()
            if not again:
                return None

    def _written_to(self, store: Store | None, made: list[Recording], again: bool) -> Store:
        """Write records to the store, opened where it is not, and the store. Raises ReasoningError."""
        if store is None:
            try:
                store = self._open_store()
            except UnavailableError:
                raise
            except ReasoningError as error:
                if self._spool is None:
                    raise
                # A standby, a newer schema, settings being edited: whatever it is, what is decided now can wait.
                raise UnavailableError(error.message, error.hint) from error
            store.write_often()
        try:
            self._count(self._write(store, made, again))
        except BaseException:
            store.close()
            raise
        return store

    def _give_up(self) -> None:
        """Count what waits as dropped: each further try would take as long as the first."""
        with self._lock, self._written:
            while self._queue:
                decision = self._queue.popleft()
                self.figures.waiting_bytes -= decision.size_bytes
                self.figures.dropped += 1
                self._done += 1
            self._written.notify_all()

    # --- the spool ---

    def _begin_to_spool(self, spool: Spool) -> None:
        """From now on decisions go into the spool, until a thread of its own has emptied it into the store."""
        self._spooling = True
        self._look_at(spool)
        threading.Thread(target=self._drain, args=(spool,), name="spool", daemon=True).start()

    def _spooled(self, made: list[Recording]) -> bool:
        """Put records into the spool; False where it takes none, or is not needed any more."""
        records = []
        for recording in list(made):
            try:
                records.append(packed(recording))
            except TypeError as error:
                made.remove(recording)
                self._failed(error, 1)
        with self._turning:
            if not self._spooling or self._spool is None or not self._spool.append(records):
                return False
        self._look_at(self._spool)
        self._count(made)
        return True

    def _drain(self, spool: Spool) -> None:
        """Try to empty the spool again and again; in the end decisions go to the store as before."""
        while not self._stopping.is_set():
            try:
                with self._open_store() as store, spool.draining() as mine:
                    while mine and not self._stopping.is_set() and self._moved(spool, store):
                        pass
            except Exception as error:  # whatever it is, the next try may go well
                self._failed(error, 0)
            self._look_at(spool)
            with self._turning:
                if not spool.waiting().count:
                    self._spooling = False
                    return
            self._stopping.wait(_RETRY_SECONDS)

    def _moved(self, spool: Spool, store: Store) -> bool:
        """Bring the oldest decisions from the spool into the store; False when there are none, or they cannot be taken
        out of it now. What was forgotten on request since is left out."""
        entries = spool.oldest(_BATCH_DECISIONS, _BATCH_CHARACTERS)
        if not entries:
            return False
        made: list[Recording] = []
        for _, record in entries:
            try:
                made.append(unpacked(record))
            except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
                self._failed(error, 1)
        try:
            # Nobody knows which of them it has already.
            self._write(store, self._not_forgotten(store, made), again=True)
        except UnavailableError:
            raise
        except ReasoningError as error:
            self._failed(error, len(made))
        removed = spool.remove(entries[-1][0])
        self._look_at(spool)
        return removed

    def _not_forgotten(self, store: Store, made: list[Recording]) -> list[Recording]:
        """Those that nobody wants forgotten. One that is none of ours, whatever is wrong with it, goes alone: others
        would wait behind it for ever."""
        try:
            forgotten = Forgotten(store).among([(sample, sample.created_at) for sample, _ in made])
        except ReasoningError:
            raise
        except Exception as error:
            if len(made) > 1:
                return [left for recording in made for left in self._not_forgotten(store, [recording])]
            self._failed(error, 1)
            return []
        return [recording for recording in made if recording[0].id not in forgotten]

    def _look_at(self, spool: Spool) -> None:
        waiting = spool.waiting()
        self.figures.spooled, self.figures.spooled_bytes = waiting.count, waiting.size_bytes

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

    def _write(self, store: Store, made: list[Recording], again: bool) -> list[Recording]:
        """Store them, and which were; what no database can hold, such as a number of 65 bits, goes without the
        others."""
        try:
            self._write_together(store, made, again)
            return made
        except ReasoningError:
            raise
        except Exception as error:
            if len(made) == 1:
                self._failed(error, 1)
                return []
            return [pair for single in made for pair in self._write(store, [single], again)]

    def _write_together(self, store: Store, made: list[Recording], again: bool) -> None:
        if not made:
            return
        Samples(store).insert_many([sample for sample, _ in made])
        attempts = [attempt for _, beside in made for attempt in beside]
        if again:  # nobody knows whether they were written the first time
            Attempts(store).insert_missing(attempts)
        else:
            Attempts(store).insert_many(attempts)
        with self._lock:
            self.figures.stored += len(made)
        self.figures.last_error = None
        self._logged.clear()

    def _count(self, made: list[Recording]) -> None:
        """Whoever counts what was decided is told once of each, whenever the store gets it."""
        if self.on_recorded is not None:
            for sample, beside in made:
                self.on_recorded(sample, beside)

    def _unreadable(self, why: str) -> None:
        counted = self.figures.why_unreadable
        counted[why if why in counted or len(counted) < _MOST_REASONS else "other"] += 1
        self.figures.unreadable += 1

    def _failed(self, error: Exception, count: int) -> None:
        with self._lock:
            self.figures.dropped += count
        self.figures.last_error = str(error)
        if (str(error), count > 0) not in self._logged:
            self._logged.add((str(error), count > 0))
            unexpected = None if isinstance(error, DataError) else error
            what = "are not kept" if count else "wait to be stored"
            _log.warning("decisions %s: %s", what, error, exc_info=unexpected)
