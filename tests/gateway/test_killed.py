"""What a kill, or an orderly end, under load leaves behind. Fifty kills: `python -m benchmarks.gateway_kill`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.killing import Killing


@pytest.fixture
def killing(home: Path) -> Iterator[Killing]:
    home.mkdir()
    running = Killing(home)
    yield running
    running.close()


def test_a_kill_under_load_tears_nothing_and_costs_the_last_moment_only(killing: Killing) -> None:
    verdicts = [killing.kill() for _ in range(3)]
    assert [one.faults for one in verdicts] == [[]] * 3
    # How many milliseconds that is, the benchmark measures. Here, on a machine of any speed: what is missing are the
    # last answers to each caller, none that is older than one which is there.
    assert [one.holes for one in verdicts] == [0] * 3, verdicts


def test_an_orderly_end_under_load_loses_no_answer_and_no_record(killing: Killing) -> None:
    verdicts = [killing.end() for _ in range(2)]
    assert [(one.exit_code, one.lost, one.missing, one.faults) for one in verdicts] == [(0, 0, 0, [])] * 2
