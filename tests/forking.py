"""Programs of ours that tests start, forked from a process that has imported what they import: to read that anew for
each of them took a quarter of the suite's CPU.

`subprocess.Popen` of this process asks that one, and is in all else Python's own: the program has the arguments,
environment, folder, files, session and signals it was to have. Python itself is started for what a fork would not do
the same: other options of Python, other modules than ours, an environment that imports look at; inside `for_real`; and
for everything where there is no such process.
"""

from __future__ import annotations

import inspect
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import forked

PACKAGES = {"reasoning_cli"}
# What starting Python looks at, or importing what we use; all else in an environment is read when it is needed.
_READ_AT_START = (
    *("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "GLIBC", "OPENSSL", "SSLKEYLOGFILE"),
    *("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "TYPER", "_TYPER", "AIOHTTP", "HTTPX"),
)
_NO_MATTER = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}  # the first is seen to in the fork
_ENDS = "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"
_CHILD_ENDS = "p2cread", "c2pwrite", "errwrite"

_usual = subprocess.Popen
forks: Forks | None = None


def share() -> None:
    """Fork from now on, where that can be done."""
    global forks
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # not Linux, or one where this is not allowed
        return
    forks = Forks()
    subprocess.Popen = Popen  # type: ignore[misc]


def end() -> None:
    """End the process that forks, and wait for it: what it took is then counted as taken by this one."""
    if forks is not None:
        forks.end()


@contextmanager
def for_real() -> Iterator[None]:
    """Python itself is started inside, for a test that is about how it starts or what it takes."""
    subprocess.Popen = _usual  # type: ignore[misc]
    try:
        yield
    finally:
        if forks is not None:
            subprocess.Popen = Popen  # type: ignore[misc]


class Forks:
    """The process that forks. It is started when it is first needed, and ends with this one."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._owner = os.getpid()
        self._environ: dict[str, str] = {}

    def can(self, environ: dict[str, str]) -> bool:
        """Whether there is one, in which all is as it would be in a Python started with this environment."""
        if os.getpid() != self._owner:
            return False
        with self._starting:
            if self.process is None:
                self._start()
        assert self.process is not None
        return self.process.poll() is None and _read_at_start(environ) == self._environ

    def _start(self) -> None:
        self._environ = _read_at_start(os.environ.copy())
        self._calls, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, forked.__file__, str(theirs.fileno())]
            self.process = _usual(command, stdin=subprocess.DEVNULL, cwd="/", pass_fds=[theirs.fileno()])

    def fork(self, start: forked.Start, files: list[int]) -> tuple[int, socket.socket] | None:
        """The process of the program, and where its status will come; None where it could not be forked."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                message = pickle.dumps(tuple(start))
                if len(message) < forked.MOST_BYTES:
                    socket.send_fds(self._calls, [message], [theirs.fileno(), *files])
            if answer := ours.recv(64):
                return int(answer), ours
        except OSError:  # nobody there, or a file that is closed
            pass
        ours.close()
        return None

    def end(self) -> None:
        if self.process is not None and os.getpid() == self._owner:
            self._calls.close()
            self.process.wait()


def _read_at_start(environ: dict[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if name.startswith(_READ_AT_START) and name not in _NO_MATTER
    }


class Popen(_usual):  # type: ignore[type-arg, valid-type, misc]
    """A program that was forked, or where that would not be the same, started."""

    _status: socket.socket | None = None

    def _execute_child(self, *given: Any) -> None:
        named = inspect.signature(super()._execute_child).bind(*given).arguments
        if (found := _to_fork(named)) is None or forks is None or (done := forks.fork(*found)) is None:
            super()._execute_child(*given)
            return
        self.pid, self._status = done
        self._child_created = True
        self._close_pipe_fds(*(named[end] for end in _ENDS))

    def _internal_poll(self, *given: Any, **more: Any) -> int | None:
        if self._status is None:
            return super()._internal_poll(*given, **more)  # type: ignore[no-any-return]
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                if self.returncode is None and (ended := self._try_wait(os.WNOHANG))[0]:
                    self._handle_exitstatus(ended[1])
            finally:
                self._waitpid_lock.release()
        return self.returncode  # type: ignore[no-any-return]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """What `os.waitpid` says of a child, from the process that is its parent."""
        if self._status is None:
            return super()._try_wait(wait_flags)  # type: ignore[no-any-return]
        try:
            status = self._status.recv(64, socket.MSG_DONTWAIT if wait_flags else 0)
        except BlockingIOError:
            return 0, 0
        self._status.close()
        if not status:
            raise RuntimeError("the process that programs are forked from is gone")
        return self.pid, int(status)


def _to_fork(named: dict[str, Any]) -> tuple[forked.Start, list[int]] | None:
    """What to fork, and its files, from the arguments of `_execute_child`; None for what is to be started."""
    is_usual = named["close_fds"] and named["restore_signals"] and not named["shell"] and named["umask"] < 0
    if not is_usual or any(named[name] is not None for name in ("executable", "gid", "gids", "uid")):
        return None
    if (program := _module(named["args"])) is None:
        return None
    environ = dict(os.environ if named["env"] is None else named["env"])
    if not all(isinstance(one, str) for one in (*environ, *environ.values())):
        return None
    try:
        folder = str(Path.cwd() / (named["cwd"] or ""))
        prepare = pickle.dumps(named["preexec_fn"])
    except (OSError, TypeError, AttributeError, pickle.PicklingError):  # a folder that has gone, a function of a test
        return None
    if b"tests." in prepare or not os.access(folder, os.X_OK):
        return None
    if forks is None or not forks.can(environ):
        return None
    streams = [named[end] if named[end] >= 0 else usual for usual, end in enumerate(_CHILD_ENDS)]
    start = forked.Start(
        **program,
        environ=environ,
        folder=folder,
        numbers=[0, 1, 2, *named["pass_fds"]],
        in_new_session=named["start_new_session"],
        process_group=named["process_group"] if named["process_group"] >= 0 else None,
        prepare=prepare,
    )
    return start, [*streams, *named["pass_fds"]]


def _module(command: object) -> dict[str, Any] | None:
    """Which module of ours is to be run how; None for another command."""
    if not isinstance(command, list | tuple) or not all(isinstance(one, str | os.PathLike) for one in command):
        return None
    words = [os.fspath(one) for one in command]
    is_safe_path = words[1:2] == ["-P"]
    begin = [sys.executable, *["-P"] * is_safe_path, "-m"]
    if words[: len(begin)] != begin or words[len(begin)].partition(".")[0] not in PACKAGES:
        return None
    module, *arguments = words[len(begin) :]
    return {"command": words, "module": module, "arguments": arguments, "is_safe_path": is_safe_path}
