"""Rows from a file or a stream: JSON Lines or one JSON document, packed or not, in the encodings Windows likes too.

What it is shows in its content, never in its name. JSON Lines are read a line at a time and can be gone on with where
the last reading ended, also when the file has grown since; a document is read anew each time.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Generator, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

from reasoning_cli.errors import ConfigurationError, DataError, NotFoundError
from reasoning_cli.sources.documents import BrokenDocument, values
from reasoning_cli.sources.rows import Position, Row, parsed

# Whole agent states are logged in lines of some hundred kilobytes; nothing real comes near this.
MAX_ROW_BYTES = 64 * 1024 * 1024
BUFFER = 1024 * 1024
HINT = "`reasoning data import --help` says what can be read: rows of ElizaOS's `logs`, request logs, chat files"

_HEAD = 64 * 1024
_START = 4096  # so many bytes of the start tell a file from another one
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_OTHER_PACKERS = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf")
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# An object whose rows are in a list of it: our own JSON export, an ElizaOS server's answer saved as it came.
_WRAPPED = re.compile(
    rb'\s*\{\s*(?:"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[-\d.]+|true|false|null)\s*,\s*)*"(?:samples|data|logs|rows)"\s*:\s*[\[{]'
)


class FileSource:
    """A file by its path, or a stream by a name."""

    unit: Literal["bytes", "rows"] = "bytes"
    picks_agent = False

    def __init__(self, source: Path | BinaryIO, name: str | None = None) -> None:
        self._source = source
        self.name = name or (f"`{source}`" if isinstance(source, Path) else "the input")
        self.key: str | None = None
        self.total: int | None = None
        self.done = 0
        self.went_on = False
        self._offset = self._number = self._last_bytes = 0
        self._start = bytearray()
        self._last = b""
        self._is_lines = False
        self._unpacking: _Unpacking | None = None
        self.file = source if isinstance(source, Path) else None
        if isinstance(source, Path):
            self._look_at(source)

    def _look_at(self, path: Path) -> None:
        try:
            if path.is_file():
                self.key, self.total = f"file:{path.resolve()}", path.stat().st_size
            elif path.is_dir():
                raise DataError(f"`{path}` is a folder", hint=HINT)
            elif not path.exists():
                raise NotFoundError(f"there is no file `{path}`", hint=HINT)
        except OSError as error:
            raise DataError(f"cannot read `{path}`: {error.strerror or error}") from error

    def rows(self, after: Position | None = None) -> Generator[Row, None, None]:
        try:
            if isinstance(self._source, Path):
                with self._source.open("rb", buffering=BUFFER) as raw:
                    yield from self._read(raw, after)
            else:
                yield from self._read(self._source, after)
            self._refuse_damage()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{self.name} is damaged: {error}", hint=_WHAT_STAYS) from error
        except OSError as error:
            raise DataError(f"cannot read {self.name}: {error.strerror or error}", hint=_WHAT_STAYS) from error

    def position(self) -> Position | None:
        if not self._is_lines or not self._offset:
            return None
        return {
            "offset": self._offset,
            "rows": self._number,
            "start": [len(self._start), _digest(self._start)],
            "last": [len(self._last), _digest(self._last)],
        }

    def _refuse_damage(self) -> None:
        """Raise what ended the unpacking before its time, once everything before that was read."""
        if self._is_damaged:
            assert self._unpacking is not None and self._unpacking.damage is not None
            raise self._unpacking.damage

    @property
    def _is_damaged(self) -> bool:
        return self._unpacking is not None and self._unpacking.damage is not None

    # --- from bytes to text ---

    def _read(self, raw: IO[bytes], after: Position | None) -> Iterator[Row]:
        stream, is_plain = self._as_utf8(raw)
        head = _peek_head(stream)
        if not head.strip():
            return
        if is_plain:
            raw.seek(0)
        else:
            stream = _pushed(head, stream)
        if _is_document(head):
            yield from self._document(stream, raw)
            return
        if head.lstrip()[:1] != b"{" and b"\0" in head[:_START]:
            raise DataError(f"{self.name} is not text", hint=HINT)
        self._is_lines = True
        if after is not None:
            stream = self._go_on(stream, after, can_seek=is_plain)
        yield from self._lines(stream, None if is_plain else raw)

    def _as_utf8(self, raw: IO[bytes]) -> tuple[IO[bytes], bool]:
        """The stream unpacked and in UTF-8 without its mark, and whether it is the very bytes of the file."""
        stream, packed = self._unpacked(raw)
        mark = _take(stream, 3)
        if mark == _UTF8_MARK:
            return stream, False
        stream = _pushed(mark, stream)
        if mark[:2] in _UTF16_MARKS:
            return io.BufferedReader(_Recoded(stream), BUFFER), False
        is_plain = not packed and isinstance(self._source, Path) and raw.seekable()
        if is_plain:
            raw.seek(0)
            return raw, True
        return stream, False

    def _unpacked(self, raw: IO[bytes]) -> tuple[IO[bytes], bool]:
        magic = _take(raw, 4)
        stream = _pushed(magic, raw)
        if magic.startswith(_GZIP):
            self._unpacking = _Unpacking(gzip.GzipFile(fileobj=stream))
        elif magic == _ZSTD:
            self._unpacking = _Unpacking(_unzstd(stream, self.name))
        if self._unpacking is not None:
            return io.BufferedReader(self._unpacking, BUFFER), True
        if magic.startswith(_OTHER_PACKERS):
            raise DataError(f"{self.name} is compressed", hint="unpack it first; gzip and zstd are read as they are")
        return stream, False

    # --- JSON Lines ---

    def _go_on(self, stream: IO[bytes], after: Position, *, can_seek: bool) -> IO[bytes]:
        """The stream behind `after`, if what stands before it is what stood there; else the stream from its start."""
        try:
            offset, number = int(str(after["offset"])), int(str(after["rows"]))
            start_bytes, start_digest = _known(after["start"])
            last_bytes, last_digest = _known(after["last"])
        except (KeyError, TypeError, ValueError):
            return stream
        start = _take(stream, start_bytes)
        if _digest(start) != start_digest or offset < len(start):
            return _pushed(start, stream)
        if can_seek:
            stream.seek(offset - last_bytes)
        else:
            tail = start[-last_bytes:] if last_bytes else b""
            left = offset - len(start)
            while left and (chunk := stream.read(min(left, BUFFER))):
                left -= len(chunk)
                tail = (tail + chunk)[-last_bytes:]
            stream = _pushed(tail, stream)
        last = _take(stream, last_bytes)
        if _digest(last) == last_digest:
            self._offset, self._number, self.went_on = offset, number, True
            self._start, self._last = bytearray(start), last
            return stream
        if can_seek:
            stream.seek(0)
            return stream
        self._refuse_damage()
        raise DataError(
            f"{self.name} is not the file it was when its import began", hint="add --again to read all of it"
        )

    def _lines(self, stream: IO[bytes], raw: IO[bytes] | None) -> Iterator[Row]:
        limit = MAX_ROW_BYTES
        if raw is None:
            self.done = self._offset
        while line := stream.readline(limit + 1):
            length = len(line)
            if length > limit:
                length += _skip_line(stream)
                row = Row(self._number + 1, None, line[:_START], f"longer than {limit // 1024 // 1024} MB")
            elif line.isspace():
                row = None
            else:
                value, why = parsed(line)
                if why is not None and not line.endswith(b"\n"):
                    if self._is_damaged:
                        return
                    # It may be half of a line that somebody is writing right now: the next import looks again.
                    self.done = self._offset + length if raw is None else _place(raw)
                    yield Row(self._number + 1, None, line, f"{why}, and cut off at the end of the file")
                    return
                row = Row(self._number + 1, value, line, why)
            self._number += 1
            self._offset += length
            self._last = line[-_START:]
            if len(self._start) < _START:
                self._start += line[: _START - len(self._start)]
            self.done = self._offset if raw is None else _place(raw)
            if row is not None:
                yield row

    # --- one document ---

    def _document(self, stream: IO[bytes], raw: IO[bytes]) -> Iterator[Row]:
        try:
            for number, value in enumerate(values(stream, MAX_ROW_BYTES), start=1):
                self._number, self.done = number, _place(raw)
                yield Row(number, value)
        except BrokenDocument as error:
            self._refuse_damage()
            yield Row(self._number + 1, None, error.rest, f"not JSON from here on: {error}")


_WHAT_STAYS = "what was read before that is stored"


class _Unpacking(io.RawIOBase):
    """What a packed stream holds up to where it is damaged, and then its end: who reads in large pieces would lose what
    stands before the damage of the last one. The `damage` is there to be raised by then."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self.damage: EOFError | zlib.error | gzip.BadGzipFile | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = b"" if self.damage is not None else self._stream.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.damage, chunk = error, b""
        buffer[: len(chunk)] = chunk
        return len(chunk)


class _Recoded(io.RawIOBase):
    """UTF-16 with its mark, as UTF-8; half a pair becomes bytes that no reader of UTF-8 takes for text."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = self._stream.read(BUFFER)
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                raise EOFError(f"cut UTF-16 ({error.reason})") from None
            if not chunk and not text:
                return 0
            self._left = text.encode("utf-8", "surrogatepass")
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


class _Pushed(io.RawIOBase):
    """Bytes that were looked at already, then the stream they came from."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            chunk, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            # What a pipe has, at once: waiting for a full buffer would hold back the rows that are there.
            read = getattr(self._stream, "read1", self._stream.read)
            chunk = read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _pushed(head: bytes, stream: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(_Pushed(head, stream), BUFFER)


def _take(stream: IO[bytes], count: int) -> bytes:
    """The next `count` bytes, fewer only at the end."""
    taken = b""
    while len(taken) < count and (chunk := stream.read(count - len(taken))):
        taken += chunk
    return taken


def _peek_head(stream: IO[bytes]) -> bytes:
    """So much of the start as it takes to tell lines from a document; the caller pushes it back."""
    head = b""
    while len(head) < _HEAD and (line := stream.readline(_HEAD)):
        head += line
        if head.count(b"\n") == 1 and line.endswith(b"\n") and not _WRAPPED.match(head) and not parsed(line)[1]:
            break
    return head


def _is_document(head: bytes) -> bool:
    text = head.lstrip()
    first, end, _ = text.partition(b"\n")
    is_open = bool(end) and first.rstrip().endswith((b"{", b"[", b",", b":"))
    return text.startswith(b"[") or _WRAPPED.match(text) is not None or is_open


def _skip_line(stream: IO[bytes]) -> int:
    """Pass over the rest of a line; how many bytes that were."""
    count = 0
    while rest := stream.readline(BUFFER):
        count += len(rest)
        if rest.endswith(b"\n"):
            break
    return count


def _place(raw: IO[bytes]) -> int:
    try:
        return raw.tell()
    except OSError:
        return 0


def _known(value: object) -> tuple[int, str]:
    if not isinstance(value, list):
        raise TypeError("no count and digest")
    count, digest = value
    return int(count), str(digest)


def _digest(content: bytes | bytearray) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _unzstd(stream: IO[bytes], name: str) -> io.BufferedIOBase:
    try:
        import zstandard
    except ImportError:
        raise ConfigurationError(
            f"{name} is packed with zstd, and the library for that is not installed",
            "`pip install 'reasoning[zstd]'`, or unpack it with `zstd -d`",
        ) from None

    class Unpacked(io.BufferedIOBase):
        def __init__(self) -> None:
            self._reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)

        def read1(self, size: int = -1, /) -> bytes:
            try:
                return bytes(self._reader.read1(size))
            except zstandard.ZstdError as error:
                raise EOFError(str(error)) from error

    return Unpacked()
