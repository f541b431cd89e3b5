"""Programs of ours that tests start, forked from a process that has imported what they import: to read that anew for
each of them took a quarter of the suite's CPU.

`subprocess.Popen` of this process asks that one, and is in all else Python's own: the program has the arguments,
environment, folder, files, session and signals it was to have. Python itself is started for what a fork would not do
the same: other options of Python, other modules than ours, an environment that imports look at; inside `for_real`; and
for everything where there is no such process. One serves all processes of the suite, and inside `further` the programs
that were forked, where they start one of ours.
"""

from __future__ import annotations

import inspect
import os
import pickle
import select
import signal
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
_ADDRESS = "TESTS_FORK_AT"  # how processes of the suite learn where
_ENDS = "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"
_CHILD_ENDS = "p2cread", "c2pwrite", "errwrite"

_usual = subprocess.Popen
_further = False
forks: Forks | None = None


def share() -> None:
    """Fork from now on, where that can be done."""
    global forks
    address = os.environ.pop(_ADDRESS, None)
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # not Linux, or one where this is not allowed
        return
    forks = Forks() if address is None else Forks(bytes.fromhex(address))
    subprocess.Popen = Popen  # type: ignore[misc]


def share_among_processes() -> None:
    """Let processes of the suite that this one is about to start fork from the same, begun when one needs it."""
    if forks is not None:
        os.environ[_ADDRESS] = forks.begin_when_called().hex()


def share_further(address: bytes, packages: list[str]) -> None:
    """Fork what this process, a program, starts in turn."""
    global forks, _further
    forks, _further = Forks(address), True
    PACKAGES.clear()
    PACKAGES.update(packages)
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


@contextmanager
def further() -> Iterator[None]:
    """What is started inside has what it starts itself forked as well, for a test that does not look for these
    processes: by the system they are no children of the program, and have another command line."""
    global _further
    before, _further = _further, True
    try:
        yield
    finally:
        _further = before


class Forks:
    """The process that forks: where it is, or one of this process's own, begun when it is needed. That ends with it."""

    def __init__(self, address: bytes | None = None) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._address = address
        self._starting = threading.Lock()
        self._owner = os.getpid()
        self._life: socket.socket | None = None

    def begin_when_called(self) -> bytes:
        """Where it will be called, which begins it."""
        calls, theirs = self._listen()

        def wait() -> None:
            with calls, theirs:
                if calls in select.select([calls, theirs], [], [])[0]:
                    self._begin(calls, theirs)

        threading.Thread(target=wait, daemon=True).start()
        assert self._address is not None
        return self._address

    def fork(self, start: forked.Start, files: list[int]) -> tuple[int, socket.socket] | None:
        """The process of the program, and where its status will come; None where it could not be forked."""
        if os.getpid() != self._owner:
            return None
        with self._starting:
            if self._address is None:
                self._begin(*self._listen())
        assert self._address is not None
        call = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            call.connect(self._address)
            message = pickle.dumps(tuple(start))
            if len(message) < forked.MOST_BYTES:
                socket.send_fds(call, [message], files)
                if answer := call.recv(64):
                    return int(answer), call
        except OSError:  # nobody there, or a file that is closed
            pass
        call.close()
        return None

    def end(self) -> None:
        if self._life is not None and os.getpid() == self._owner:
            self._life.close()
            if self.process is not None:
                self.process.wait()

    def _listen(self) -> tuple[socket.socket, socket.socket]:
        calls = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        calls.bind(f"\0tests-fork-at-{self._owner}-{os.urandom(8).hex()}")
        calls.listen(128)
        self._address = calls.getsockname()
        self._life, theirs = socket.socketpair()
        return calls, theirs

    def _begin(self, calls: socket.socket, life: socket.socket) -> None:
        numbers = [life.fileno(), calls.fileno()]
        command = [sys.executable, forked.__file__, *map(str, numbers)]
        with calls, life:
            self.process = _usual(command, stdin=subprocess.DEVNULL, cwd="/", pass_fds=numbers)


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
    if any(signal.getsignal(one) is signal.SIG_IGN for one in (signal.SIGINT, signal.SIGTERM)):  # it would be there too
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
        belongs_to=(os.getsid(0), os.getpgrp()),
        packages=sorted(PACKAGES) if _further else [],
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
    if "--beside" in arguments:  # it watches its parent
        return None
    return {"command": words, "module": module, "arguments": arguments, "is_safe_path": is_safe_path}
