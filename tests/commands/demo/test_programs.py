from __future__ import annotations

import subprocess
import sys

import pytest

from reasoning_cli.commands.demo.programs import not_outliving

# Ends as a command on a busy machine does: some time after Ctrl-C, and writes until then.
SLOW_TO_END = "import time; print('up', flush=True); time.sleep(0.6); print('written', flush=True)"


def test_a_program_that_is_slow_to_end_is_waited_for_when_ctrl_c_ended_the_tour() -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW_TO_END], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout
    with pytest.raises(KeyboardInterrupt), not_outliving(process):
        assert output.readline() == "up\n"
        raise KeyboardInterrupt
    assert process.returncode == 0
    assert output.closed


def test_a_program_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reasoning_cli.commands.demo.programs.PATIENCE_SECONDS", 0.05)
    process = subprocess.Popen(["sleep", "600"], text=True)
    with pytest.raises(KeyboardInterrupt), not_outliving(process):
        raise KeyboardInterrupt
    assert process.returncode == -9
