"""Ctrl-C ends with 130, without a traceback, wherever in the program it comes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BEGIN = """
import atexit, signal, sys, time
from reasoning_cli import __main__ as program

def press():
    signal.raise_signal(signal.SIGINT)

class Last:
    def __del__(self):
        press()

class Importing:
    def find_spec(self, name, *arguments):
        if name == "typer":
            press()

sys.argv = ["reasoning", "costs", "report"]
"""
PRESSED = {
    "while it is imported": "sys.meta_path.insert(0, Importing()); program.main()",
    "while a dataclass is made": "program._run = lambda: exec('press()', globals()); program.main()",
    "where no exception can leave": "program._run = lambda: (str(Last()), time.sleep(60)); program.main()",
    "when all is done": "program._run = lambda: None; program.main(); press()",
}


def run(script: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BEGIN + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("script", PRESSED.values(), ids=PRESSED)
def test_it_ends_with_130_and_says_nothing(script: str) -> None:
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_while_python_ends_it_is_too_late() -> None:
    done = run("atexit.register(press); program._run = lambda: print('whole'); program.main()")
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")


def test_what_was_started_to_take_no_notice_takes_none() -> None:
    script = "program._run = lambda: (press(), print('whole')); program.main()"
    done = run(script, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")
