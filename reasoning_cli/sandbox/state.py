"""The sandbox's files: the saved state, the lock that keeps a second server away, and where the server can be found.

`<state>` holds the world, `<state>.files` the files that were sent, and `<state>.clock` the latest virtual time, which
is cheap enough to write after each request; `<state>.lock` is held while a server runs; `<state>.server.json` says
where it listens.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from pathlib import Path

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.blobs import Blobs
from reasoning_cli.sandbox.world.world import World

_FORMAT = 2
_CLOCK_DIGITS = 20  # of a fixed width, so that a shorter number leaves nothing of a longer one


class StateFile:
    """One state on disk, owned from construction to `close`."""

    def __init__(self, path: Path) -> None:
        """Raises ReasoningError when another server has it, DataError when the folder cannot be used."""
        self.path = path
        self._server = beside(path, ".server.json")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _open(beside(path, ".lock"))
            self._clock = _open(beside(path, ".clock"))
        except OSError as error:
            raise DataError(f"the sandbox state `{path}` cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._close_files()
            raise ReasoningError(
                f"another sandbox is already running on the state `{path}`",
                hint=f"use it (its address is in `{self._server}`), or stop it first",
            ) from error

    def load(self) -> World | None:
        """The saved world; None when there is none yet. Raises DataError."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data.get("format") != _FORMAT:
                raise ValueError("another format")
            return World.from_json(data["world"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(
                f"the sandbox state `{self.path}` cannot be read: {error}",
                hint=f"start afresh with `rm {self.path}`",
            ) from error

    def load_clock(self) -> int:
        """How far the clock had come when the state was left; what was due since the save has yet to happen."""
        try:
            return int(os.pread(self._clock, _CLOCK_DIGITS, 0))
        except ValueError:  # none was saved yet
            return 0

    def save(self, world: World) -> None:
        """Raises DataError when the disk does not take it."""
        document = {"format": _FORMAT, "world": world.to_json()}
        _replace(self.path, json.dumps(document, separators=(",", ":"), default=vars))

    def save_clock(self, now: int) -> None:
        """One small write in place: cheap enough to follow every request, and never seen in half."""
        os.pwrite(self._clock, f"{now:0{_CLOCK_DIGITS}d}".encode("ascii"), 0)

    def announce(self, description: Json) -> None:
        """Say where the server is, for other processes."""
        _replace(self._server, json.dumps(description))

    @property
    def blobs(self) -> Blobs:
        """Where texts are kept that are too large for the state."""
        return Blobs(beside(self.path, ".files"))

    def close(self) -> None:
        """Give the state free for another server."""
        self._server.unlink(missing_ok=True)
        self._close_files()

    def _close_files(self) -> None:
        os.close(self._clock)
        os.close(self._lock)


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _replace(path: Path, text: str) -> None:
    """Write beside and rename, so that a reader or a crash never sees half a file; mode 0600."""
    try:
        _write_and_rename(path, text)
    except OSError as error:
        raise DataError(f"the sandbox state `{path}` cannot be written: {error.strerror}") from error


def _write_and_rename(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
