"""Where an export is written: the names of its files, what must not be replaced, and their hashes as they grow."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import mmap
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from reasoning_cli.errors import DataError
from reasoning_cli.operations.data.export.render import Format
from reasoning_cli.operations.data.export.split import SIDES
from reasoning_cli.paths import replacing as replacing
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# What Together takes as one file.
MOST_BYTES = 50 * 1000**3
# Written at once: with less a disk is not kept busy.
_PIECE = 2 * 1024 * 1024
_PIECES = 4
_DIRECT = getattr(os, "O_DIRECT", 0)


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


def left_over(target: Path, files: Sequence[Path]) -> tuple[Path, ...]:
    """The files of an earlier export to `target` that another one would leave behind, by its manifest: a manifest that
    does not name them would stand beside them. Raises DataError for one that was changed since, which is nobody's to
    remove."""
    found = []
    for name, sha256 in _named_before(manifest_of(target)).items():
        file = target.with_name(name)
        if file in files or not file.is_file():
            continue
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                raise DataError(
                    f"`{file}` is of the export that this one replaces, and was changed since",
                    hint="move it, or name another file",
                )
        found.append(file)
    return tuple(found)


def _named_before(manifest: Path) -> dict[str, str]:
    """The files that a manifest names, with their hashes; none where there is none, or it is not a manifest of ours."""
    try:
        files = json.loads(manifest.read_bytes())["files"]
        named = {str(file["path"]): str(file["sha256"]) for file in files if file["path"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: sha256 for name, sha256 in named.items() if Path(name).name == name}


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
            raise DataError(f"`{file}` is not a regular file", hint=f"write to it as a stream: `-o - > {file}`")
    for file in (*files, *left_over(target, files)):
        if file.exists() and not overwrite:
            raise DataError(f"`{file}` exists already", hint="replace it with `--force`, or name another file")


class HashedFile(io.RawIOBase):
    """A file that is written and hashed at the same time, a large piece after the other, by two threads.

    Large pieces go around the system's memory for files, straight to the disk, where the system can do that: nothing is
    copied twice, nothing else is pushed out of that memory, and at the end there is nothing left to wait for.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor = stream.fileno()
        self._hash = hashlib.sha256()
        # Whole pages, as going around that memory takes: one is filled while others are hashed and written.
        self._pieces = deque(memoryview(mmap.mmap(-1, _PIECE)) for _ in range(_PIECES))
        self._filled = self.size_bytes = 0
        # One thread each, so that both come in order.
        self._hashing, self._writing = ThreadPoolExecutor(max_workers=1), ThreadPoolExecutor(max_workers=1)
        self._under_way: deque[Future[None]] = deque()

    def __exit__(self, *problem: object) -> None:
        for thread in (self._hashing, self._writing):
            thread.shutdown(cancel_futures=True)

    def writable(self) -> bool:
        return True

    def write(self, content: ReadableBuffer, /) -> int:
        """Take in all of it. Raises DataError when the file gets larger than Together takes, OSError of the disk."""
        left = memoryview(content).cast("B")
        length = len(left)
        self.size_bytes += length
        if self.size_bytes > MOST_BYTES:
            raise DataError(
                "the file would be larger than the 50 GB Together takes", hint="take fewer: --limit, or --since"
            )
        while left:
            some = left[: _PIECE - self._filled]
            self._pieces[0][self._filled : self._filled + len(some)] = some
            self._filled += len(some)
            left = left[len(some) :]
            if self._filled == _PIECE:
                self._hand_over()
        return length

    def finish(self) -> None:
        """Write what is left, and wait for all of it."""
        self._hand_over()
        while self._under_way:
            self._under_way.popleft().result()

    def _hand_over(self) -> None:
        piece = self._pieces[0][: self._filled]
        self._under_way.append(self._hashing.submit(self._hash.update, piece))
        self._under_way.append(self._writing.submit(self._put, piece))
        self._pieces.rotate(-1)
        self._filled = 0
        while len(self._under_way) > 2 * (_PIECES - 1):  # until the next piece is free
            self._under_way.popleft().result()

    def _put(self, piece: memoryview) -> None:
        around = len(piece) == _PIECE
        self._go_around(around)
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except OSError as error:
                if not (around and error.errno == errno.EINVAL):
                    raise
            if around and piece:  # the disk is full, which only a write the usual way tells, or takes other lengths
                around = False
                self._go_around(around)

    def _go_around(self, on: bool) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        with suppress(OSError):  # the file system cannot
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | _DIRECT if on else flags & ~_DIRECT)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()
