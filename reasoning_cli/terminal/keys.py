"""Single keys from a terminal, as they are pressed, and word of a window that changed."""

from __future__ import annotations

import codecs
import os
import re
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self, TextIO

# Given in the place of a key: the window has another size, or the program was brought back to the front.
RESIZED = "resized"
# The keyboard is gone: Ctrl-D, or the window was closed.
CLOSED = ""
ESCAPE = "\x1b"

# One key: a sequence such as that of an arrow, or a character.
_KEY = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.)|.", re.DOTALL)


class Keyboard:
    """Keys without waiting for Enter and without showing them, inside a `with`; Ctrl-C raises KeyboardInterrupt."""

    def __init__(self, stream: TextIO) -> None:
        self._file = stream.fileno()
        self._pressed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._file)
        # A signal writes into this pipe, so that one which comes just before the wait for a key ends that wait too.
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._handlers = {
            number: signal.signal(number, self._on_change) for number in (signal.SIGWINCH, signal.SIGCONT)
        }
        tty.setcbreak(self._file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        with suppress(termios.error):  # the window was closed
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
        os.close(self._woken)
        os.close(self._wake)

    def read(self) -> str:
        """The next key, or RESIZED, or CLOSED."""
        while not self._pressed:
            ready, _, _ = select.select([self._file, self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, 1024)
                tty.setcbreak(self._file)  # a shell that had the terminal meanwhile has its own ways
                return RESIZED
            try:
                typed = os.read(self._file, 1024)
            except OSError:
                typed = b""
            if not typed or typed == b"\x04":
                return CLOSED
            self._pressed = self._decoder.decode(typed)
        key = _KEY.match(self._pressed)
        assert key is not None
        self._pressed = self._pressed[key.end() :]
        return key[0]

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Inside, the terminal is as it was: for an editor."""
        termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)
        try:
            yield
        finally:
            tty.setcbreak(self._file)

    def _on_change(self, number: int, frame: FrameType | None) -> None:
        with suppress(BlockingIOError):  # full: it will be read
            os.write(self._wake, b".")
