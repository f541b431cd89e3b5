"""Large results, taken home as files: what breaks off is gone on with, and nothing is seen in half."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import BusyError, UnreachableError
from reasoning_cli.engines.together.connection import ATTEMPTS, Connection
from reasoning_cli.errors import DataError
from reasoning_cli.paths import replacing

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int | None], None]  # bytes received so far, of how many when that is known
_CHUNK_BYTES = 1024 * 1024


def download(
    connection: Connection, address: str, query: Mapping[str, str | int], path: Path, on_progress: Progress
) -> int:
    """What is at `address` as the file `path`, which appears when it is whole; its size in bytes.

    Gives up when several attempts in a row brought nothing. Raises DataError when it cannot be written, and the errors
    of `problems`.
    """
    try:
        with replacing(path) as file:
            received, failures = 0, 0
            while True:
                before = received
                try:
                    with connection.stream(address, query, received) as response:
                        if received and response.status_code != 206:  # no part of it: all of it, from the begin
                            received = 0
                            file.seek(0)
                            file.truncate()
                        total = _total(response, received)
                        for chunk in response.iter_raw(_CHUNK_BYTES):
                            file.write(chunk)
                            received += len(chunk)
                            on_progress(received, total)
                    return received
                except (UnreachableError, BusyError) as problem:
                    failures = 1 if received > before else failures + 1
                    if failures == ATTEMPTS:
                        raise
                    connection.wait(failures - 1, problem.wait_seconds if isinstance(problem, BusyError) else None)
    except OSError as error:
        raise DataError(f"cannot write `{path}`: {error.strerror or error}") from error


def _total(response: httpx.Response, received: int) -> int | None:
    length = response.headers.get("content-length", "")
    return received + int(length) if length.isdigit() else None
