"""Programs that the tour starts: none outlives it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 10.0


@contextmanager
def not_outliving(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The program for as long as the block lasts; after it, it has ended, whatever ended the block.

    By itself Popen waits a quarter of a second when Ctrl-C ended the block. On a busy machine a command takes longer
    to end, and wrote into the tour's folder when that was being deleted.
    """
    try:
        yield process
    finally:
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with process:
            pass  # its pipes are closed
