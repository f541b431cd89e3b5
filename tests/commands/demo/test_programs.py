from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.commands.demo.programs import ENDS, running

# Ends as a command on a busy machine does: some time after Ctrl-C, and writes until then.
SLOW_TO_END = "import sys, time; print('up', file=sys.stderr, flush=True); time.sleep(0.6); open('written', 'w')"


@pytest.fixture(autouse=True)
def no_signal_is_held_back() -> Iterator[None]:
    yield
    assert not ENDS & signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_program_that_is_slow_to_end_is_waited_for_when_ctrl_c_ended_the_tour(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        running([sys.executable, "-c", SLOW_TO_END], cwd=tmp_path, env={}, stderr=subprocess.PIPE) as process,
    ):
        assert process.stderr is not None
        assert process.stderr.readline() == "up\n"
        raise KeyboardInterrupt
    assert process.returncode == 0
    assert (tmp_path / "written").exists()
    assert process.stderr is not None
    assert process.stderr.closed


def test_ctrl_c_while_it_is_being_started_waits_for_it_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class InterruptedStart(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", InterruptedStart)
    with pytest.raises(KeyboardInterrupt), running([sys.executable, "-c", SLOW_TO_END], cwd=tmp_path, env={}):
        pytest.fail("it was interrupted before")
    assert (tmp_path / "written").exists(), "it went on in a folder that was deleted"


def test_a_program_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("reasoning_cli.commands.demo.programs.PATIENCE_SECONDS", 0.05)
    with pytest.raises(KeyboardInterrupt), running(["sleep", "600"], cwd=tmp_path, env={}) as process:
        raise KeyboardInterrupt
    assert process.returncode == -9
