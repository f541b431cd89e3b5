"""The process that programs are forked from (tests/forking.py): it imports what they would, and then waits for calls.

A call is a connection of its own, with one message that has the program's files. The answer is the process id, and when
that has ended the status it ended with; the end of the connection where this cannot be forked. This file is run by its
path, so it knows of nothing that a program would not.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import importlib.util
import io
import os
import pickle
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

MOST_BYTES = 100_000
_MOST_FILES = 32
# These come with a great deal that few programs need, or are not everywhere.
_NOT_IMPORTED = "reasoning_cli.dashboard", "reasoning_cli.elizaos"
# What starting Python looks at, or importing what we use; all else in an environment is read when it is needed.
_READ_AT_START = (
    *("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "GLIBC", "OPENSSL", "SSLKEYLOGFILE"),
    *("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "TYPER", "_TYPER", "AIOHTTP", "HTTPX"),
)
# Seen to in the fork; of no effect on what a program does; what an export's workers take to their memory.
_NO_MATTER = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"}
_HELD = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Start(NamedTuple):
    """What is to be started, and how: the arguments that `subprocess.Popen` knows."""

    command: list[str]  # all of it, from the Python on
    module: str
    arguments: list[str]
    is_safe_path: bool
    environ: dict[str, str]
    folder: str
    numbers: list[int]  # which file becomes which, in the order they are sent in
    in_new_session: bool
    process_group: int | None
    prepare: bytes  # pickled: None, or a function to call before anything else
    belongs_to: tuple[int, int]  # session and process group of whoever starts it
    packages: list[str]  # those whose modules are forked when the program itself starts them, or none


def serve(life: socket.socket, calls: socket.socket) -> str:
    """Fork for each call, until `life` ends. Returns in the new processes alone, when all is ready there: which module
    to run."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)  # Ctrl-C is for the tests, and for programs once they are ready
    usual = [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)]
    environ = _read_at_start(os.environ)
    forking = _forking()
    address = calls.getsockname()
    _import_all()
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        os._exit(1)  # a fork would have one of these threads, and the locks of all
    running: dict[int, tuple[int, socket.socket]] = {}
    poll = select.poll()
    for one in (life, calls):
        poll.register(one, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready == life.fileno():
                os._exit(0)
            if ready in running:
                pid, status = running.pop(ready)
                poll.unregister(ready)
                os.close(ready)
                with status, contextlib.suppress(OSError):  # nobody may be waiting any more
                    status.send(str(os.waitpid(pid, 0)[1]).encode())
                continue
            status = calls.accept()[0]
            start, files = _asked_for(status, environ)
            pid = -1 if start is None else os.fork()
            if start is not None and pid == 0:
                for other, (_, theirs) in running.items():
                    os.close(other)
                    theirs.close()
                for one in (life, calls, status):
                    one.close()
                _become(start, files, usual)
                if start.packages and start.prepare == pickle.dumps(None):  # else it would not hand on how it is bound
                    forking.share_further(address, start.packages)
                return start.module
            for file in files:
                os.close(file)
            if start is None:
                status.close()
                continue
            with contextlib.suppress(OSError):
                status.send(str(pid).encode())
            watched = os.pidfd_open(pid)
            running[watched] = pid, status
            poll.register(watched, select.POLLIN)


def _asked_for(call: socket.socket, environ: dict[str, str]) -> tuple[Start | None, list[int]]:
    """What is to be started, with its files; None where a program that is forked here would not be the same."""
    try:
        message, files, _, _ = socket.recv_fds(call, MOST_BYTES, _MOST_FILES)
    except OSError:
        return None, []
    if not message:
        return None, files
    start = Start(*pickle.loads(message))
    is_elsewhere = not start.in_new_session and start.belongs_to[0] != os.getsid(0)
    return (None if is_elsewhere or _read_at_start(start.environ) != environ else start), files


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if name.startswith(_READ_AT_START) and name not in _NO_MATTER
    }


def _forking() -> ModuleType:
    """The other side, for programs that start some of ours themselves, under a name that no program could find."""
    spec = importlib.util.spec_from_file_location("_forking", Path(__file__).with_name("forking.py"))
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    tests = ModuleType("tests")
    tests.forked = SimpleNamespace(Start=Start, MOST_BYTES=MOST_BYTES)  # type: ignore[attr-defined]
    sys.modules["tests"] = tests
    spec.loader.exec_module(found)
    del sys.modules["tests"]
    return found


def _import_all() -> None:
    package = importlib.import_module("reasoning_cli")
    for module in pkgutil.walk_packages(package.__path__, "reasoning_cli."):
        if not module.name.startswith(_NOT_IMPORTED) and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    from reasoning_cli.app import ENTRIES, _built, command_app
    from reasoning_cli.light_httpx import trusted

    for name in ENTRIES:
        _built(name, command_app(name))
    trusted()
    gc.collect()
    gc.freeze()  # nothing of it is ever looked through, and so copied, in a fork


def _become(start: Start, files: list[int], usual: list[tuple[str, str | None]]) -> None:
    """Be a Python that was started like this, and is about to run the module."""
    if start.in_new_session:
        os.setsid()
    if start.process_group is not None:
        os.setpgid(0, start.process_group)
    elif not start.in_new_session and start.belongs_to[1] != os.getpgrp():
        os.setpgid(0, start.belongs_to[1])
    _put(files, start.numbers)
    os.chdir(start.folder)
    if (prepare := pickle.loads(start.prepare)) is not None:
        prepare()
    os.environ.clear()
    os.environ.update(start.environ)
    time.tzset()
    for number, (name, (encoding, errors)) in enumerate(zip(("stdin", "stdout", "stderr"), usual, strict=True)):
        setattr(sys, name, _stream(number, name, encoding, errors))
        setattr(sys, f"__{name}__", getattr(sys, name))
    sys.orig_argv[:] = start.command
    sys.argv[:] = ["-m", *start.arguments]
    if not start.is_safe_path:
        with contextlib.suppress(OSError):  # the folder may have gone
            sys.path.insert(0, str(Path.cwd()))
    if "." in start.module:
        sys.modules.pop(start.module, None)  # to be run, not to be imported
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def _put(files: list[int], numbers: list[int]) -> None:
    """Give each file its number; they may have each other's."""
    high = max(*files, *numbers) + 1
    for file in files:
        os.dup2(file, high + file)
        os.close(file)
    for file, number in zip(files, numbers, strict=True):
        os.dup2(high + file, number, inheritable=True)
        os.close(high + file)


def _stream(number: int, name: str, encoding: str, errors: str | None) -> Any:
    """A standard stream as Python opens them."""
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    is_raw = is_unbuffered and number > 0
    mode, buffering = "rb" if number == 0 else "wb", 0 if is_raw else -1
    below: Any = open(number, mode, buffering=buffering, closefd=False)  # noqa: SIM115
    raw = below if is_raw else below.raw
    raw.name = f"<{name}>"
    by_line = not is_unbuffered and (number == 2 or raw.isatty())
    made = io.TextIOWrapper(below, encoding, errors, "\n", line_buffering=by_line, write_through=is_unbuffered)
    made.mode = "r" if number == 0 else "w"  # type: ignore[misc]
    return made


def _run(module: str) -> None:
    """End as Python ends, but for taking apart all that was imported: that takes longer than most programs."""
    code: object = None
    try:
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]
    except SystemExit as error:
        code = error.code
    if code is not None and not isinstance(code, int):
        sys.exit(code)  # type: ignore[arg-type]
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:
        sys.exit(code)  # Python has its own words for that
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    sys.path.pop(0)
    module = serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))
    _run(module)
