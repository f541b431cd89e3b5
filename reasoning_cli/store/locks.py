"""What one process at a time does with a store: beside a file by a lock file, in a database over all hosts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from reasoning_cli.errors import DataError


@dataclass(frozen=True)
class Hold:
    """A lock that this process has. Where it hangs on a connection, that may be lost, and the lock with it; `name` is
    then that of the connection, and of no other."""

    is_held: Callable[[], bool] = lambda: True
    name: str | None = None


@contextmanager
def locked_file(path: Path) -> Iterator[FileIO | None]:
    """The file at `path`, made where there is none, locked until the block ends; None while another process has it.

    The kernel lets go of the lock when the process dies. Raises DataError where the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataError(f"cannot open `{path}`: {error.strerror}", "`reasoning doctor`") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file


@contextmanager
def hold_file(path: Path) -> Iterator[Hold | None]:
    """The lock that the file at `path` is; None while another process has it."""
    with locked_file(path) as file:
        yield Hold() if file is not None else None
