"""Programs that the tour starts: none outlives it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 10.0
# What ends the tour.
ENDS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


@contextmanager
def running(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stderr: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program for as long as the block lasts; after it, it has ended, whatever ended the block.

    What ends the tour waits until the program can take it, as Python, while it starts, answers Ctrl-C with a
    traceback; and until somebody waits for the program: let through before that, it leaves one that writes into a
    folder already deleted.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stderr=stderr, text=True)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
            yield process
        finally:
            _wait_or_kill(process)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)


def _wait_or_kill(process: subprocess.Popen[str]) -> None:
    """By itself Popen waits a quarter of a second when Ctrl-C ended the block. On a busy machine a command takes longer
    to end."""
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with process:
        pass  # its pipes are closed
