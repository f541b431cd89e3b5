"""Where an export is written: the names of its files, what must not be replaced, and their hashes as they grow."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import DataError
from reasoning_cli.operations.exporting_lines import Format
from reasoning_cli.operations.splitting import SIDES
from reasoning_cli.paths import replacing as replacing
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples import SampleFilter

# What Together takes as one file.
MOST_BYTES = 50 * 1000**3
# Read at once to be hashed: it stays in the processor's cache meanwhile.
_PIECE = 256 * 1024
# Brought to the disk at once while more is written, so that little is left to wait for at the end.
_SYNCED = 256 * 1024 * 1024


def target_name(wanted: SampleFilter, fmt: Format, today: date) -> str:
    """The file name when none was given, such as `training-data-planning-2026-11-21.jsonl`."""
    return f"training-data-{type_name(wanted)}-{today.isoformat()}.{fmt}"


def type_name(wanted: SampleFilter) -> str:
    """The one type of the samples, or `all`."""
    return wanted.model_types[0] if len(wanted.model_types) == 1 else "all"


def files_of(target: Path, fmt: Format, split: Sequence[float]) -> tuple[Path, ...]:
    """The files an export to `target` makes: itself, or with a split `NAME.train.jsonl` and so on."""
    if not split:
        return (target,)
    stem = target.name.removesuffix(f".{fmt}")
    return tuple(target.with_name(f"{stem}.{side}.{fmt}") for side in SIDES[: len(split)])


def manifest_of(target: Path) -> Path:
    """What is told about an export stands beside it."""
    return target.with_name(f"{target.name}.manifest.json")


def checked(target: Path, files: Sequence[Path], store: Store, overwrite: bool) -> None:
    """Refuse what must not or cannot be written."""
    if not target.parent.is_dir():
        raise DataError(f"there is no folder `{target.parent}`", hint=f"make it with `mkdir -p {target.parent}`")
    if target.is_dir():
        raise DataError(f"`{target}` is a folder", hint="name a file inside it")
    database = store.path.resolve()
    for file in (*files, manifest_of(target)):
        if file.parent == database.parent and file.name.startswith(database.name):
            raise DataError(f"`{file}` is the database the samples are in", hint="name another file")
        if file.is_dir():
            raise DataError(f"`{file}` is a folder", hint="name another file")
        if file.exists() and not file.is_file():
            raise DataError(f"`{file}` is no regular file", hint=f"write to it as a stream: `-o - > {file}`")
    for file in files:
        if file.exists() and not overwrite:
            raise DataError(f"`{file}` exists already", hint="replace it with `--force`, or name another file")


class Growing(AbstractContextManager["Growing"]):
    """The size and the hash of a file that is being written, by whatever process; taken in a thread of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor = stream.fileno()
        self._hash = hashlib.sha256()
        self._piece = memoryview(bytearray(_PIECE))
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._reading: Future[None] | None = None
        self.size_bytes = self._synced = 0

    def __exit__(self, *problem: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def catch_up(self) -> None:
        """Begin to take in what was written since, unless that goes on already.

        Raises DataError when the file was larger than Together takes the last time.
        """
        if self._reading is None or self._reading.done():
            self.finish()
            self._reading = self._thread.submit(self._read)

    def finish(self) -> None:
        """Wait until it is done. Raises DataError as `catch_up` does."""
        if self._reading is not None:
            self._reading.result()

    def _read(self) -> None:
        while length := os.preadv(self._descriptor, [self._piece], self.size_bytes):
            self._hash.update(self._piece[:length])
            self.size_bytes += length
            if self.size_bytes >= self._synced + _SYNCED:
                os.fdatasync(self._descriptor)
                self._synced = self.size_bytes
            if self.size_bytes > MOST_BYTES:
                raise DataError(
                    "the file would be larger than the 50 GB Together takes",
                    hint="take fewer: --limit, or --start-date",
                )

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
