"""A file of this machine on its way out: read in pieces, and never sent as something else than it was checked as."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.engines.errors import FileChangedError
from reasoning_cli.errors import DataError

CHUNK_BYTES = 1024**2

Progress = Callable[[int, int], None]  # bytes sent so far, of how many; never fewer than said before


@dataclass(frozen=True)
class LocalFile:
    """What is sent: `size` bytes with that SHA-256."""

    path: Path
    size: int
    sha256: str

    def described(self) -> dict[str, str]:
        """Name and type, as the service wants them."""
        return {"file_name": self.path.name, "file_type": self.path.suffix.removeprefix(".") or "jsonl"}

    def chunks(self, on_progress: Progress) -> Iterator[bytes]:
        """All of it. The last bytes are held back until they are known to be right, so nothing else is ever whole
        over there. Raises FileChangedError."""
        digest, sent = hashlib.sha256(), 0
        with opened(self.path) as file:
            held = b""
            for chunk in _pieces(file, self.size):
                if held:
                    yield held
                    sent += len(held)
                    on_progress(sent, self.size)
                digest.update(chunk)
                held = chunk
            if digest.hexdigest() != self.sha256 or file.read(1):
                raise self.changed()
            yield held

    def part(self, begin: int, size: int, on_chunk: Callable[[int], None]) -> Iterator[bytes]:
        """`size` bytes from `begin` on; `on_chunk` gets how many of them are read. Raises FileChangedError."""
        with opened(self.path) as file:
            if os.fstat(file.fileno()).st_size != self.size:
                raise self.changed()
            file.seek(begin)
            read = 0
            for chunk in _pieces(file, size):
                yield chunk
                read += len(chunk)
                on_chunk(read)
            if read != size:
                raise self.changed()

    def changed(self) -> FileChangedError:
        return FileChangedError(
            f"`{self.path}` changed since it was checked, so it was not sent", "export it again, and leave it alone"
        )


def sha256_of(path: Path) -> str:
    """Raises DataError."""
    digest = hashlib.sha256()
    with opened(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file to read. Raises DataError, also for what goes wrong while it is read."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror or error}") from error


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(CHUNK_BYTES, size))):
        size -= len(chunk)
        yield chunk
