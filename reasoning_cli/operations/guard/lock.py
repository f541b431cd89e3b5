"""One guard at a time for a store, and a sign of life that others can see: beside a file by a lock file, and where
several hosts share a store, of all guards on all of them, by a lock in the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.gateway.presence import Presence, everybody
from reasoning_cli.store.database import Store
from reasoning_cli.store.instances import Instances, InstanceSeen
from reasoning_cli.store.locks import Hold, locked_file

GUARD: Final = "guard"  # what the lock in the database is called
_MOST_MISSED = 3
_SIGN_BYTES = 1000  # of a sign of life in a file; what is left of them are spaces
_MOST_CHARS = 120  # of a problem; each of them may take six bytes


@dataclass(frozen=True)
class GuardSeen:
    """The last sign of life of the guard that acts: when it looked, on our clock, and whether it still runs. `host` is
    where, None on this machine; `standing_by` are hosts where others would take over; `problem` is what kept it from
    seeing anything when it last looked."""

    pid: int
    at: datetime
    interval_seconds: float
    running: bool
    host: str | None = None
    standing_by: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def name(self) -> str:
        """What it is called where people read it."""
        return f"process {self.pid}" if self.host is None else f"process {self.pid} on {self.host}"


class TakenOverError(Exception):
    """This guard does not act any more: it stood still so long that another took over, or the store is away."""


class GuardLock(Protocol):
    """Held by the guard that acts. It is let go of when the process dies, however it dies."""

    def sign(self, interval_seconds: float, problem: str | None = None) -> None:
        """Leave a sign of life, with what kept it from seeing anything."""

    def check(self) -> None:
        """Raise TakenOverError where it is held no longer."""


class FileLock:
    """That of a store in a file: nobody takes it from us."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def check(self) -> None:
        """It is held as long as we live."""

    def sign(self, interval_seconds: float, problem: str | None = None) -> None:
        """Leave a sign of life: in place, because the file is the lock."""
        facts = {
            "pid": os.getpid(),
            "at": datetime.now(UTC).isoformat(),
            "interval_seconds": interval_seconds,
            "problem": _short(problem),
        }
        with contextlib.suppress(OSError):  # a full disk must not end the guard
            os.pwrite(self._file.fileno(), f"{json.dumps(facts):<{_SIGN_BYTES - 1}}\n".encode(), 0)


@contextlib.contextmanager
def hold_guard(database: Path) -> Iterator[GuardLock]:
    """Be the guard of this store. Raises ReasoningError when another one is."""
    with locked_file(_path(database)) as file:
        if file is None:
            seen = find_guard(database)
            who = f" (process {seen.pid})" if seen else ""
            raise ReasoningError(
                f"a guard is at work already{who}; two would get in each other's way", "`reasoning doctor` shows it"
            )
        yield FileLock(file)


class SharedLock:
    """That of a store that several hosts share, with what others are told of this guard."""

    def __init__(self, interval: timedelta) -> None:
        self._hold: Hold | None = None
        self._looked: float | None = None
        self._problem: str | None = None
        self._interval = interval
        self.presence: Presence | None = None

    def facts(self) -> dict[str, object]:
        """What the list of those at work says of it."""
        looked_ago = None if self._looked is None else time.monotonic() - self._looked
        return {
            "acts": self._hold is not None,
            "hold": self._hold.name if self._hold is not None else None,
            "looked_ago": looked_ago,
            "problem": self._problem,
            "interval": self._interval.total_seconds(),
        }

    def sign(self, interval_seconds: float, problem: str | None = None) -> None:
        """Tell others that it has looked, and what kept it from seeing anything."""
        self._looked, self._problem = time.monotonic(), _short(problem)
        self._notify()

    def check(self) -> None:
        """Ask the server whether the lock is still ours."""
        if self._hold is None or not self._hold.is_held():
            raise TakenOverError

    @contextlib.contextmanager
    def held_by(self, hold: Hold, store: Store) -> Iterator[GuardLock]:
        """Act for as long as the block runs. When it last looked is found in `store` afterwards, too: a guard that
        looks once is on the list for that long alone."""
        self._hold = hold
        self._notify()
        try:
            yield self
        finally:
            self._hold = None
            self._notify()
            if self._looked is not None and self.presence is not None:
                ago = timedelta(seconds=time.monotonic() - self._looked)
                with contextlib.suppress(ReasoningError):  # it may be why we end
                    Instances(store).record_last(self.presence.who, ago, self.facts() | {"looked_ago": 0.0})

    def _notify(self) -> None:
        if self.presence is not None:
            self.presence.now()


def cut_off_who_stands_still(store: Store, missed: int) -> bool:
    """Take the lock from a guard that gives no sign of life; whether that was done. `missed` is how often in a row
    nobody was seen to act: one that has just begun may not be on the list yet."""
    acting = [seen for seen in _guards(store) if seen.facts["acts"]]
    if any(not seen.is_gone for seen in acting) or (not acting and missed < _MOST_MISSED):
        return False
    # Another that stands by may have done so already, and act: the lock is taken from the one that stands still alone.
    names = [seen.facts.get("hold") for seen in acting] or [None]
    return any(store.cut_off(GUARD, name) for name in names)


def _guards(store: Store) -> list[InstanceSeen]:
    return [seen for seen in everybody(store) if seen.instance.kind == "guard"]


def _acting_guard(store: Store) -> GuardSeen | None:
    """The guard that acts, else the last one that looked."""

    def acts(seen: InstanceSeen) -> bool:
        return not seen.is_gone and bool(seen.facts["acts"])

    def looked_ago(seen: InstanceSeen) -> timedelta:
        return seen.ago + timedelta(seconds=seen.facts["looked_ago"] or 0.0)

    found, last = _guards(store), Instances(store).last(GUARD)
    known = [seen for seen in found if acts(seen) or seen.facts["looked_ago"] is not None]
    known += [] if last is None else [last]
    if not known:
        return None
    best = min(known, key=lambda seen: (not acts(seen), looked_ago(seen)))
    others = tuple(seen.instance.host for seen in found if seen is not best and not seen.is_gone)
    return GuardSeen(
        best.instance.pid,
        datetime.now(UTC) - looked_ago(best),
        float(best.facts["interval"]),
        acts(best),
        best.instance.host,
        others,
        problem=best.facts.get("problem"),
    )


def find_guard(database: Path, store: Store | None = None) -> GuardSeen | None:
    """The last guard of this store, if there ever was one; of one that is shared on whatever host."""
    if store is not None and store.is_shared:
        return _acting_guard(store)
    path = _path(database)
    try:
        with path.open("rb") as file:
            facts = json.loads(file.read(_SIGN_BYTES) or b"null")
            running = False
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                running = True
        if not isinstance(facts, dict):
            return None
        at = datetime.fromisoformat(str(facts["at"]))
        problem = facts.get("problem")
        return GuardSeen(int(facts["pid"]), at, float(facts["interval_seconds"]), running, problem=problem)
    except (OSError, ValueError, KeyError):
        return None


def _short(problem: str | None) -> str | None:
    return problem if problem is None or len(problem) <= _MOST_CHARS else f"{problem[: _MOST_CHARS - 1]}…"


def _path(database: Path) -> Path:
    return database.with_name(f"{database.name}.guard")
