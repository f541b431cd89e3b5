"""Where an export is written: the names of its files, what must not be replaced, and their hashes as they grow."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
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
_SYNCED = 128 * 1024 * 1024


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
    """A file that is being written by whatever process: hashed and brought to the disk meanwhile, in two threads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor = stream.fileno()
        self._hash = hashlib.sha256()
        self._piece = memoryview(bytearray(_PIECE))
        self._threads = ThreadPoolExecutor(max_workers=2)
        self._reading: Future[None] | None = None
        self._syncing: Future[None] | None = None
        self._hashed = self._synced = self.size_bytes = 0

    def __exit__(self, *problem: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def catch_up(self, end: int | None = None) -> None:
        """Begin to take in what stands there up to `end`, where nothing is missing before; all of it when None.

        Raises DataError when that is more than Together takes.
        """
        self.size_bytes = os.fstat(self._descriptor).st_size if end is None else end
        if self.size_bytes > MOST_BYTES:
            raise DataError(
                "the file would be larger than the 50 GB Together takes", hint="take fewer: --limit, or --start-date"
            )
        if self._reading is None or self._reading.done():
            self._reading = self._begun(self._reading, self._read)
        if self.size_bytes >= self._synced + _SYNCED and (self._syncing is None or self._syncing.done()):
            self._synced = self.size_bytes
            self._syncing = self._begun(self._syncing, self._sync)

    def finish(self) -> None:
        """Take in what is left, and wait for it."""
        self.catch_up()
        for running in (self._reading, self._syncing):
            if running is not None:
                running.result()
        self._read()

    def _begun(self, last: Future[None] | None, work: Callable[[], None]) -> Future[None]:
        if last is not None:
            last.result()  # raises what it ended with
        return self._threads.submit(work)

    def _read(self) -> None:
        while (left := self.size_bytes - self._hashed) and (
            length := os.preadv(self._descriptor, [self._piece[:left]], self._hashed)
        ):
            self._hash.update(self._piece[:length])
            self._hashed += length

    def _sync(self) -> None:
        os.fsync(self._descriptor)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
