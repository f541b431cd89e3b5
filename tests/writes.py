"""Work that is killed, for real, right before each thing it writes: a COMMIT (until which nothing is written), a file
that is opened to be written, renamed or deleted, a folder that is made.

What is killed is a fork of this process, so that what it takes to get there is there already."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

_FILES = ("os.rename", "os.remove", "os.mkdir", "os.truncate")
_MOST = 200


def kills(home: Path, work: Callable[[], object]) -> Iterator[str]:
    """Kill `work` before its first write below `home`, its second, and so on to its last; what each was about to write.

    Whoever asks for the next has put things back to where they were, or not: the work may go on from there."""
    for number in range(1, _MOST):
        what = _killed_before(number, home, work)
        if what is None:
            return
        yield what
    raise AssertionError(f"it still writes after {_MOST} kills")


def _killed_before(number: int, home: Path, work: Callable[[], object]) -> str | None:
    """What the killed process was about to write; None where it ended before, by itself and well."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            _watch(number, str(home), writing)
            work()
            code = 0
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-20_000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said:
        what = said.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return what
    assert os.WEXITSTATUS(status) == 0, what
    return None


def _watch(number: int, home: str, writing: int) -> None:
    count = 0

    def write(what: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.write(writing, what.encode()[:200])
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(sql: str) -> None:
        if sql == "COMMIT":
            write(sql)

    def event(name: str, details: tuple[object, ...]) -> None:
        if name == "open":
            path, _, flags = details
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(home):
                write(f"open {path}")
        elif name in _FILES and str(details[0]).startswith(home):
            write(f"{name} {details[0]}")

    sys.addaudithook(event)
    connect = sqlite3.connect

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(statement)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]
    execute = psycopg.Connection.execute

    def executed(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        statement(query)
        return execute(self, query, *arguments, **options)

    psycopg.Connection.execute = executed  # type: ignore[method-assign]
