"""The lines of an import that could not be read, kept aside: JSON Lines of number, reason and what stood there."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import DataError
from reasoning_cli.paths import make_private_dir
from reasoning_cli.sources.rows import Row


class Rejects:
    """A file that is made when the first line is kept; without a path nothing is."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    @property
    def path(self) -> Path | None:
        """The file, once there is one."""
        return self._path if self._file is not None else None

    def keep(self, row: Row, why: str) -> None:
        """Add a line; what is not UTF-8 is kept as base64."""
        if self._path is None:
            return
        rejected: dict[str, object] = {"line": row.number, "why": why}
        if row.raw is None:
            rejected["raw"] = json.dumps(row.value, ensure_ascii=False, default=str)
        else:
            try:
                rejected["raw"] = row.raw.decode().rstrip("\r\n")
            except UnicodeDecodeError:
                rejected["raw_base64"] = base64.b64encode(row.raw).decode()
        try:
            self._opened(self._path).write(json.dumps(rejected).encode() + b"\n")
        except OSError as error:
            raise self._error(error) from error

    def flush(self) -> None:
        """Hand what was kept to the system."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                raise self._error(error) from error

    def close(self) -> None:
        """Close the file; what could not be written was said before."""
        if self._file is not None and not self._file.closed:
            try:
                self._file.close()
            except OSError as error:
                raise self._error(error) from error

    def _opened(self, path: Path) -> BinaryIO:
        if self._file is None:
            make_private_dir(path.parent)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        return self._file

    def _error(self, error: OSError) -> DataError:
        return DataError(
            f"cannot write `{self._path}`: {error.strerror}", hint="free some space; what was stored stays"
        )
