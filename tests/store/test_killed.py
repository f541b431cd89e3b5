"""Killed while it changes the log, a command loses nothing that was committed and leaves nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kill_log import MODES, run

pytestmark = pytest.mark.sqlite("that pages of the file are not torn")


@pytest.mark.parametrize("mode", MODES)
def test_a_kill_loses_nothing_and_tears_nothing(mode: str, tmp_path: Path) -> None:
    """A few kills of each; `python -m benchmarks.kill_log` does hundreds."""
    tally = run(mode, 3, tmp_path, seed=7)
    assert tally.problems == []
    assert (tally.kills, tally.lost, tally.torn, tally.corrupt) == (3, 0, 0, 0)
    assert tally.acknowledged > 0
