"""Look at code that models wrote: whether it parses, and if that is asked for whether it passes tests.

Nothing of it runs for parsing: JavaScript goes to one process of Node.js, which compiles and throws away. Tests do run
it, in a process without environment, input and output, with bounds on time, memory, files and processes; that keeps
mistakes in check, and no attacker.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from reasoning_cli.decisions.answers import CodingAnswer, parse_answer
from reasoning_cli.decisions.scoring import JAVASCRIPT, PYTHON, Parsed, parse_code

_PARSE_SECONDS = 30.0
_TEST_SECONDS = 10
# Seconds of CPU, kilobytes of memory, blocks of half a kilobyte of a file; no dumps.
_BOUNDED = f'ulimit -t {_TEST_SECONDS}; ulimit -v 524288; ulimit -f 2048; ulimit -c 0; exec "$@"'

# A script with `import` or `export` is a module, which only its syntax as a script would refuse.
_NODE = r"""
const vm = require('vm');
const lines = require('readline').createInterface({input: process.stdin});
lines.on('line', (line) => {
  const code = JSON.parse(line);
  let ok = true;
  try { new vm.Script(code); } catch (error) {
    const module = /^\s*(import|export)\b|\bawait\b/m.test(code);
    if (module) {
      try { new vm.SourceTextModule(code); } catch (other) { ok = !(other instanceof SyntaxError); }
    } else { ok = !(error instanceof SyntaxError); }
  }
  console.log(ok ? '1' : '0');
});
"""


class CodeChecks:
    """Parsers at hand. Node.js is started when the first JavaScript comes, and where it is installed."""

    def __init__(self) -> None:
        self._node: subprocess.Popen[bytes] | None = None
        self._path = shutil.which("node")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def parse(self, language: str, code: str) -> Parsed | None:
        """Whether code parses as its language; None of a language nothing is known about."""
        if language in JAVASCRIPT and self._path is not None:
            found = self._compiles(code)
            if found is not None:
                return Parsed(found, "parser")
        return parse_code(language, code)

    def passes(self, output: str, tests: str) -> bool:
        """Whether the Python in an answer passes tests, a program that is run behind it and fails by its exit code."""
        answer = parse_answer("coding", output)
        if not isinstance(answer, CodingAnswer) or answer.language not in PYTHON:
            return False
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "program.py")
            program.write_text(f"{answer.code}\n\n{tests}\n", encoding="utf-8", errors="replace")
            running = subprocess.Popen(
                ["sh", "-c", _BOUNDED, "sh", sys.executable, "-I", program],
                cwd=folder,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                return running.wait(timeout=_TEST_SECONDS) == 0
            except subprocess.TimeoutExpired:
                return False
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)  # and whatever it started
                running.wait()

    def _compiles(self, code: str) -> bool | None:
        """What Node.js says; None when it says nothing in time."""
        if self._node is None:
            assert self._path is not None
            self._node = subprocess.Popen(
                [self._path, "--experimental-vm-modules", "--no-warnings", "-e", _NODE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us
            )
        node = self._node
        assert node.stdin is not None
        assert node.stdout is not None
        try:
            node.stdin.write(json.dumps(code).encode() + b"\n")
            node.stdin.flush()
            if select.select([node.stdout], [], [], _PARSE_SECONDS)[0]:
                said = node.stdout.readline().strip()
                if said in (b"0", b"1"):
                    return said == b"1"
        except OSError:
            pass
        self._end()
        return None

    def _end(self) -> None:
        if self._node is not None:
            self._node.kill()
            self._node.communicate()
            self._node = None
