"""One guard at a time for a store, and a sign of life that others can see."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import DataError, ReasoningError


@dataclass(frozen=True)
class GuardSeen:
    """A guard's last sign of life on this machine: when it looked, on our clock, and whether it still runs."""

    pid: int
    at: datetime
    interval_seconds: float
    running: bool


class GuardLock:
    """Held by the guard that acts. The kernel lets go of it when the process dies, however it dies."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def sign(self, interval_seconds: float) -> None:
        """Leave a sign of life: in place, because the file is the lock."""
        facts = {"pid": os.getpid(), "at": datetime.now(UTC).isoformat(), "interval_seconds": interval_seconds}
        with contextlib.suppress(OSError):  # a full disk must not end the guard
            os.pwrite(self._file.fileno(), f"{json.dumps(facts):<200}\n".encode(), 0)


@contextlib.contextmanager
def hold_guard(database: Path) -> Iterator[GuardLock]:
    """Be the guard of this store. Raises ReasoningError when another one is."""
    path = _path(database)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataError(f"cannot open `{path}`: {error.strerror}", "`reasoning doctor`") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            seen = find_guard(database)
            who = f" (process {seen.pid})" if seen else ""
            raise ReasoningError(
                f"a guard is at work already{who}; two would get in each other's way", "`reasoning doctor` shows it"
            ) from None
        yield GuardLock(file)


def find_guard(database: Path) -> GuardSeen | None:
    """The last guard of this store, if there ever was one."""
    path = _path(database)
    try:
        with path.open("rb") as file:
            facts = json.loads(file.read(400) or b"null")
            running = False
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                running = True
        if not isinstance(facts, dict):
            return None
        at = datetime.fromisoformat(str(facts["at"]))
        return GuardSeen(int(facts["pid"]), at, float(facts["interval_seconds"]), running)
    except (OSError, ValueError, KeyError):
        return None


def _path(database: Path) -> Path:
    return database.with_name(f"{database.name}.guard")
