"""The operator's own trainer as a process that outlives us: started, looked at, and stopped, by what stands in its
run's folder.

It runs in a session of its own and writes its log itself, so it goes on when this program is killed. While anything of
it runs, the kernel holds a lock for it: whoever looks later knows it by that, and never by a process number alone,
which another process may have by then. A shell around it writes down how it ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reasoning_cli.errors import ReasoningError
from reasoning_cli.paths import make_private_dir

# Each note is whole or not there: it is moved into its place.
_SHELL = """
echo $$ >"$1/pid.part" && mv "$1/pid.part" "$1/pid"
/bin/sh -c "$2"
echo $? >"$1/exit.part" && mv "$1/exit.part" "$1/exit"
"""
_LOG_END_BYTES = 64 * 1024
_LOSS = re.compile(r"""['"]?(?:train[_/])?loss['"]?\s*[:=]\s*['"]?(\d+(?:\.\d+)?(?:e-?\d+)?)""")
_PATIENCE_SECONDS = ((signal.SIGINT, 10.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
_LOOK_SECONDS = 0.05
_LOOKERS = 5


@dataclass(frozen=True)
class TrainerSeen:
    """A trainer as it stands: whether anything of it runs, how it ended (None: it was killed, or never began), and
    since when it runs."""

    running: bool
    exit_code: int | None
    started_at: datetime | None


class Trainer:
    """The trainer of one run, in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self.output = folder / "trainer.log", folder / "output"
        self._lock = folder / "trainer.lock"

    def start(self, command: str, *, at: Path, environ: Mapping[str, str]) -> None:
        """Start it in the folder `at`, unless it runs. Raises ReasoningError where it cannot be."""
        make_private_dir(self.folder)
        make_private_dir(self.output)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _locked(descriptor):
                return
            for note in ("pid", "exit"):
                (self.folder / note).unlink(missing_ok=True)
            with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _SHELL, "sh", str(self.folder), command],
                    cwd=at,
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(descriptor,),  # the lock is held as long as anything of it runs
                )
                # It is nobody's child in earnest: who waits for it, looks at its lock.
                threading.Thread(target=process.wait, daemon=True).start()
        except OSError as error:
            raise ReasoningError(
                f"the trainer cannot be started in `{at}`: {error.strerror or error}", "is the folder still there?"
            ) from error
        finally:
            os.close(descriptor)

    def look(self) -> TrainerSeen:
        """How it stands now."""
        pid = self.folder / "pid"
        started_at = datetime.fromtimestamp(pid.stat().st_mtime, UTC) if pid.exists() else None
        if self._runs():
            return TrainerSeen(True, None, started_at)
        code = _number(self.folder / "exit")  # read last: it is there before the lock is free
        return TrainerSeen(False, code, started_at)

    def stop(self, sleep: Callable[[float], None]) -> None:
        """End all of it: asked as by Ctrl-C first, so that it can keep what it has."""
        for sign, seconds in _PATIENCE_SECONDS:
            leader = _number(self.folder / "pid")
            for _ in range(int(seconds / _LOOK_SECONDS)):
                if not self._runs():
                    return
                if leader is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(leader, sign)
                    leader = None
                sleep(_LOOK_SECONDS)

    def has_made_something(self) -> bool:
        """Whether anything stands in its output."""
        return any(file.is_file() and file.stat().st_size for file in self.output.rglob("*"))

    def last_line(self) -> str:
        """What it said last."""
        lines = [line.strip() for line in self._end_of_log().replace("\r", "\n").split("\n")]
        return next((line for line in reversed(lines) if line), "")[:200]

    def losses(self) -> tuple[float, ...]:
        """The losses among what it said lately, as most trainers print them."""
        return tuple(float(number) for number in _LOSS.findall(self._end_of_log()))

    def _end_of_log(self) -> str:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_END_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def _runs(self) -> bool:
        try:
            with self._lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours now; whoever only looks holds it for a moment."""
    for _ in range(_LOOKERS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
