"""The one way a test waits: on a condition, bounded far above what a busy machine can need."""

from __future__ import annotations

import time
from collections.abc import Callable

# For a condition that is sure to come: only a test that fails ever waits so long.
PATIENCE_SECONDS = 60.0


def until(happened: Callable[[], object], what: str = "it", seconds: float = PATIENCE_SECONDS) -> None:
    """Return once `happened()` is true. Raises AssertionError naming `what` when that does not come."""
    give_up_at = time.monotonic() + seconds
    while not happened():
        if time.monotonic() >= give_up_at:
            raise AssertionError(f"waited {seconds:.0f} seconds in vain for {what}")
        time.sleep(0.005)
