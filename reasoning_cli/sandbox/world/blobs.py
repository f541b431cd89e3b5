"""What was sent to the sandbox, by the SHA-256 of it: beside the state on disk, or in memory where nothing is kept."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from reasoning_cli.errors import DataError


class Blobs:
    """Texts too large for the state. A key is made of letters, digits, dots and underscores."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._held: dict[str, bytes] = {}

    def put(self, key: str, content: bytes) -> None:
        """Raises DataError when the disk does not take it."""
        if self._folder is None:
            self._held[key] = content
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = self._folder / f".{key}.{os.urandom(4).hex()}"
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            beside.replace(self._folder / key)
        except OSError as error:
            raise DataError(f"the sandbox cannot keep what was sent in `{self._folder}`: {error.strerror}") from error

    def get(self, key: str) -> bytes:
        """Nothing for what is not there: somebody cleared the folder."""
        if self._folder is None:
            return self._held.get(key, b"")
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise DataError(f"what was sent to the sandbox cannot be read: {error.strerror}") from error

    def drop(self, key: str) -> None:
        self._held.pop(key, None)
        if self._folder is not None:
            (self._folder / key).unlink(missing_ok=True)

    def clear(self) -> None:
        self._held.clear()
        if self._folder is not None and self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._folder.rmdir()
