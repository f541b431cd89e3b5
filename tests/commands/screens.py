"""A person at a terminal: types keys, and waits for what the program shows."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from functools import partial
from types import TracebackType
from typing import Self

_PATIENCE_SECONDS = 60.0
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CLEAR = "\x1b[H\x1b[2J"


class Person:
    """The program on a pseudo-terminal of its own: `with Person("data", "review") as person`."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24, **environ: str) -> None:
        self._arguments, self._size = arguments, (columns, lines)
        self._environ = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", **environ}
        self._environ.pop("COLUMNS", None)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._seen = ""

    def __enter__(self) -> Self:
        self._keyboard, terminal = pty.openpty()
        self.resize(*self._size)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "reasoning_cli", *self._arguments],
            env=self._environ,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),  # what Ctrl-C at it is for
        )
        os.close(terminal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)

    def resize(self, columns: int, lines: int = 24) -> None:
        fcntl.ioctl(self._keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def sees(self, *texts: str) -> str:
        """Wait until all of this is on the screen at once, wherever its lines break; the screen. What comes next must
        come after that."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not all(text in (shown := self._screen()) or text in " ".join(shown.split()) for text in texts):
            ready, _, _ = select.select([self._keyboard], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{texts} did not come; there is:\n{self._screen()}"
            self._seen += self._decoder.decode(self._read())
        screen, self._seen = self._screen(), ""
        return screen

    def ends(self) -> tuple[int, str]:
        """Wait for the program's end: its exit code (or minus the signal's number), and what it showed last."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            ready, _, _ = select.select([self._keyboard], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the program did not end; there is:\n{self._screen()}"
            if not (part := self._read()):
                break
            self._seen += self._decoder.decode(part)
        return self.process.wait(_PATIENCE_SECONDS), self._screen()

    def _read(self) -> bytes:
        try:
            return os.read(self._keyboard, 65536)
        except OSError:  # how Linux says that the other end is closed
            return b""

    def _screen(self) -> str:
        return _STYLE.sub("", self._seen.rpartition(_CLEAR)[2]).replace("\r\n", "\n")
