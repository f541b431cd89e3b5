"""Rows in JSON that is not one a line: an array, an object with a list in it, or objects written over many lines.

The text is read in pieces, and one row at a time is in memory.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO

from reasoning_cli.sources.rows import TOO_DEEP, TOO_MANY, is_too_deep, is_too_many

_LISTS = ("samples", "data", "logs", "rows")
_PIECE = 1024 * 1024
_SHOWN = 4096


class BrokenDocument(ValueError):
    """The text is not JSON from some place on; `rest` is the beginning of what stands there."""

    def __init__(self, why: str, rest: str) -> None:
        super().__init__(why)
        self.rest = rest[:_SHOWN].encode("utf-8", "surrogatepass")


def values(stream: IO[bytes], longest: int) -> Iterator[object]:
    """The rows of a document, each at most `longest` characters. Raises BrokenDocument behind the last sound one."""
    text = _Text(stream, longest)
    while text.peek():
        yield from _rows(text)


def _rows(text: _Text) -> Iterator[object]:
    if text.peek() == "[":
        yield from _elements(text)
    elif text.peek() == "{":
        yield from _object(text)
    else:
        yield text.value()


def _elements(text: _Text) -> Iterator[object]:
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
        return
    while True:
        yield text.value()
        if text.peek() == "]":
            text.expect("]")
            return
        text.expect(",")


def _object(text: _Text) -> Iterator[object]:
    """The rows in a list of the object; the object itself when it has none."""
    text.expect("{")
    whole: dict[str, object] = {}
    is_wrapper = False
    while text.peek() != "}":
        name = text.value()
        if not isinstance(name, str):
            raise BrokenDocument("a name is not a string", str(name))
        text.expect(":")
        if name in _LISTS and text.peek() == "[":
            is_wrapper = True
            yield from _elements(text)
        elif name in _LISTS and text.peek() == "{" and not whole.get("type"):
            inner = text.value()
            lists = (
                [inner[key] for key in _LISTS if isinstance(inner.get(key), list)] if isinstance(inner, dict) else []
            )
            is_wrapper = is_wrapper or bool(lists)
            for rows in lists:
                yield from rows
            whole[name] = inner
        else:
            whole[name] = text.value()
        if text.peek() != "}":
            text.expect(",")
    text.expect("}")
    if not is_wrapper:
        yield whole


class _Text:
    """The text of a stream, from where it was read to."""

    def __init__(self, stream: IO[bytes], longest: int) -> None:
        self._stream, self._longest = stream, longest
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at = "", 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if not (character := self._text[self._at]).isspace():
                    return character
                self._at += 1
            if not self._more():
                return ""

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise BrokenDocument(f"`{character}` is missing", self._text[self._at :])
        self._at += 1

    def value(self) -> object:
        self.peek()
        while True:
            if is_too_many(self._text, self._at):
                raise BrokenDocument(TOO_MANY, self._text[self._at : self._at + _SHOWN])
            try:
                value, end = self._scan(self._text, self._at)
            except RecursionError:
                raise BrokenDocument(TOO_DEEP, self._text[self._at :]) from None
            except ValueError as error:
                if len(self._text) - self._at > self._longest:
                    raise BrokenDocument("a row without end", self._text[self._at :]) from None
                if not self._more():
                    said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    raise BrokenDocument(said, self._text[self._at :]) from None
                continue
            # A number at the end of a piece may go on in the next.
            if end == len(self._text) and not isinstance(value, dict | list | str) and self._more():
                continue
            if is_too_deep(value, self._text.count("[", self._at, end) + self._text.count("{", self._at, end)):
                raise BrokenDocument(TOO_DEEP, self._text[self._at :])
            self._at = end
            return value

    def _more(self) -> bool:
        """Read on, twice as much as is waiting, so that a long row is tried few times."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        piece = self._stream.read(max(_PIECE, 2 * len(rest)))
        try:
            self._text, self._at = rest + self._decoder.decode(piece, final=not piece), 0
        except UnicodeDecodeError:
            raise BrokenDocument("not UTF-8", rest) from None
        self._ended = not piece
        return True
