"""The file an export is written to: whole, hashed on the way, around the system's memory for files where that goes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
from pathlib import Path

import pytest

from reasoning_cli.operations.data.export import files
from reasoning_cli.operations.data.export.batches import Shared
from reasoning_cli.operations.data.export.files import HashedFile

PAGE = 4096
DIRECT = getattr(os, "O_DIRECT", 0)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PIECE", 4 * PAGE)
    monkeypatch.setattr(files, "_PIECES", 2)


def written(file: Path, *pieces: bytes) -> HashedFile:
    with file.open("wb") as stream, HashedFile(stream) as hashed:
        for piece in pieces:
            hashed.write(piece)
        hashed.finish()
    return hashed


@pytest.mark.parametrize("size", [0, 1, 4 * PAGE - 1, 4 * PAGE, 4 * PAGE + 1, 40 * PAGE, 50 * PAGE + 77])
def test_a_file_holds_what_was_written_and_has_its_hash(tmp_path: Path, size: int) -> None:
    content, rng = random.Random(size).randbytes(size), random.Random(size)
    pieces, place = [], 0
    while place < size:
        length = rng.choice([1, 100, PAGE, 9 * PAGE])
        pieces.append(content[place : place + length])
        place += length
    hashed = written(tmp_path / "a", *pieces)
    assert (tmp_path / "a").read_bytes() == content
    assert (hashed.size_bytes, hashed.sha256) == (size, hashlib.sha256(content).hexdigest())


def test_a_file_system_that_takes_no_such_writes_takes_the_usual_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def refusing(descriptor: int, content: memoryview) -> int:
        if DIRECT and fcntl.fcntl(descriptor, fcntl.F_GETFL) & DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", refusing)
    content = random.Random(1).randbytes(11 * PAGE)
    assert written(tmp_path / "a", content).sha256 == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize("room", [0, 100, 4 * PAGE, 6 * PAGE + 1])
def test_a_disk_that_fills_up_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    write, left = os.write, [room]

    def full(descriptor: int, content: memoryview) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, content[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path / "a", bytes(20 * PAGE))


def test_shared_memory_grows_and_keeps_what_is_in_it() -> None:
    mine = Shared.new()
    theirs = Shared(os.dup(mine.descriptor))
    try:
        for size in (1, PAGE, 3 << 20, 10):
            content = random.Random(size).randbytes(size)
            theirs.first(size)[:] = content
            assert bytes(mine.first(size)) == content
    finally:
        os.close(mine.descriptor)
        os.close(theirs.descriptor)
