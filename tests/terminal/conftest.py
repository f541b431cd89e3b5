"""A terminal of any width for tests: a real pseudo-terminal, or streams in memory that stand for pipes."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

import pytest

from reasoning_cli.terminal.console import Color, Terminal


@dataclass
class Screen:
    """Both ends of a pseudo-terminal: `stream` is the program's, the rest is the person's."""

    stream: TextIO
    keyboard: int

    def read(self) -> str:
        """What has been written since the last look."""
        self.stream.flush()
        seen = b""
        while select.select([self.keyboard], [], [], 0.05)[0]:
            seen += os.read(self.keyboard, 65536)
        return seen.decode().replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@pytest.fixture
def screen() -> Iterator[Screen]:
    """A terminal 80 columns wide."""
    keyboard, end = pty.openpty()
    with open(end, "r+b", buffering=0) as raw, io.TextIOWrapper(raw, "utf-8", write_through=True) as stream:  # noqa: PTH123
        made = Screen(stream, keyboard)
        made.resize(80)
        yield made
    os.close(keyboard)


@dataclass
class Piped:
    """A terminal object whose streams are pipes."""

    terminal: Terminal
    out: io.TextIOWrapper
    err: io.TextIOWrapper

    @property
    def stdout(self) -> str:
        return _written(self.out)

    @property
    def stderr(self) -> str:
        return _written(self.err)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(stream.encoding)


@pytest.fixture
def piped() -> Callable[..., Piped]:
    """Make a terminal object on pipes: `piped(columns=40)`, `piped(encoding="ascii")`."""

    def make(
        columns: int | None = None, encoding: str = "utf-8", typed: str = "", color: Color = Color.AUTO, **environ: str
    ) -> Piped:
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        err = io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace")
        if columns is not None:
            environ["COLUMNS"] = str(columns)
        terminal = Terminal(out=out, err=err, input=io.StringIO(typed), environ=environ, color=color)
        return Piped(terminal, out, err)

    return make
