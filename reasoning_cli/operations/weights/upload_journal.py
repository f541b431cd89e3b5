"""What of an upload has arrived, on disk, a line for each thing that is known: a killed run can be gone on with.

Private: the addresses in it are signed. A line that was cut off by a kill is none; a file that changed begins anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.weights.folder import WeightFile
from reasoning_cli.paths import make_private_dir

if TYPE_CHECKING:
    from reasoning_cli.engines.weights import FileLinks

Link = tuple[str, dict[str, str]]


@dataclass
class Sent:
    """One file: the MD5 of each part, then where the parts go (or that none need to), then the ETags of those there."""

    file: WeightFile
    md5: list[str] = field(default_factory=list)
    is_there: bool = False
    upload_id: str | None = None
    links: dict[int, Link] = field(default_factory=dict)
    etags: dict[int, str] = field(default_factory=dict)

    @property
    def sent_bytes(self) -> int:
        return self.file.size if self.is_there else sum(self.file.part(number)[1] for number in self.etags)

    @property
    def is_begun(self) -> bool:
        return self.is_there or self.upload_id is not None

    @property
    def missing(self) -> list[int]:
        """The numbers of the parts that are still to be sent."""
        return (
            []
            if self.is_there
            else [number for number in range(1, self.file.part_count + 1) if number not in self.etags]
        )


class UploadRecord:
    """The record of one model's upload. Made by `open_record`; several threads may note what they sent."""

    def __init__(self, path: Path, out: BinaryIO, files: Sequence[WeightFile]) -> None:
        self._path, self._out, self._lock = path, out, threading.Lock()
        self.files = {file.path: Sent(file) for file in files}
        known = path.read_bytes()
        if not known.endswith(b"\n"):
            out.write(b"\n")  # after a line that was cut off
        for line in known.splitlines():
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                self._replay(json.loads(line))

    @property
    def sent_bytes(self) -> int:
        with self._lock:
            return sum(file.sent_bytes for file in self.files.values())

    def hashed(self, sent: Sent, md5: list[str]) -> None:
        sent.md5 = md5
        self._write({"file": sent.file.path, "size": sent.file.size, "mtime_ns": sent.file.mtime_ns, "md5": md5})

    def begun(self, sent: Sent, links: FileLinks) -> None:
        """New addresses; what was sent under the old ones is lost unless it is the same upload."""
        line: dict[str, object] = {"file": sent.file.path}
        if links.skip_upload:
            line["is_there"] = True
        else:
            line |= {
                "upload": links.upload_id,
                "links": [[part.part_number, part.url, part.headers] for part in links.parts],
            }
        self._replay(line)
        self._write(line)

    def refused(self, sent: Sent) -> None:
        """The addresses of a file are no longer good; the rest of it waits for new ones."""
        with self._lock:
            sent.links = {}

    def arrived(self, sent: Sent, number: int, etag: str) -> None:
        with self._lock:
            sent.etags[number] = etag
        self._write({"file": sent.file.path, "part": number, "etag": etag})

    def forget(self) -> None:
        """Nothing is left to go on with."""
        self._path.unlink(missing_ok=True)

    def _replay(self, line: dict[str, object]) -> None:
        sent = self.files.get(str(line.get("file")))
        match line:
            case _ if sent is None:
                return
            case {"md5": list(md5), "size": size, "mtime_ns": changed}:
                known = (size, changed, len(md5)) == (sent.file.size, sent.file.mtime_ns, sent.file.part_count)
                sent.md5 = [str(digest) for digest in md5] if known else []
                sent.is_there, sent.upload_id, sent.links, sent.etags = False, None, {}, {}
            case _ if not sent.md5:
                return  # it changed since
            case {"is_there": True}:
                sent.is_there = True
            case {"upload": str(upload_id), "links": list(links)}:
                if upload_id != sent.upload_id:
                    sent.etags = {}
                sent.upload_id, sent.is_there = upload_id, False
                sent.links = {int(number): (str(url), dict(headers)) for number, url, headers in links}
            case {"part": int(number), "etag": str(etag)}:
                sent.etags[number] = etag

    def _write(self, line: dict[str, object]) -> None:
        with self._lock:
            try:
                self._out.write(f"{json.dumps(line)}\n".encode())
                self._out.flush()
            except OSError as error:
                raise DataError(f"cannot write `{self._path}`: {error.strerror}") from error


def record_path(folder: Path, model_id: str) -> Path:
    return folder / f"{model_id}.jsonl"


def count_parts(path: Path) -> int:
    """How many parts a record says arrived, whatever became of the files since."""
    return path.read_bytes().count(b'"etag"') if path.exists() else 0


@contextlib.contextmanager
def open_record(path: Path, files: Sequence[WeightFile]) -> Iterator[UploadRecord]:
    """The record at `path`, for one run at a time. Raises ReasoningError while another has it."""
    make_private_dir(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataError(f"cannot write `{path}`: {error.strerror}") from error
    with os.fdopen(descriptor, "ab") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ReasoningError(
                "another run is uploading this model", "wait for it, or end it and run the same command again"
            ) from error
        yield UploadRecord(path, out, files)
