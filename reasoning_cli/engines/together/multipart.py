"""One large file in parts, several at once. What arrived is on record beside it, so that a later call goes on."""

from __future__ import annotations

import json
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, Field

from reasoning_cli.engines.errors import (
    BusyError,
    FileChangedError,
    LinkExpiredError,
    MissingError,
    RequestRefusedError,
    UnreachableError,
)
from reasoning_cli.engines.together.calls import read
from reasoning_cli.engines.together.connection import Connection, Json, json_of
from reasoning_cli.engines.together.local_file import LocalFile, Progress, sha256_of
from reasoning_cli.engines.together.storage import Storage
from reasoning_cli.paths import write_private

if TYPE_CHECKING:
    from reasoning_cli.engines.together.file_types import RemoteFile, Sending

_PATH = "/v1/files/multipart"


class _Part(BaseModel):
    """Where one part goes; the address is signed, and good for a while."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    number: int = Field(alias="PartNumber")
    url: str = Field(alias="URL")
    headers: dict[str, str] = Field(default_factory=dict, alias="Headers")


class _Begun(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    upload_id: str
    file_id: str
    parts: list[_Part]


@dataclass
class Record:
    """What is known of an upload that is not over; `etags` are those of the parts that arrived, by number."""

    sha256: str
    size: int
    part_bytes: int
    upload_id: str
    file_id: str
    parts: list[tuple[int, str, dict[str, str]]]
    etags: dict[str, str] = field(default_factory=dict)


class Files(Protocol):
    """The calls about files that sending one in parts needs."""

    def file(self, file_id: str) -> RemoteFile: ...

    def delete_file(self, file_id: str) -> None: ...

    def stands_in_the_way(self, file_id: str) -> bool: ...

    def storage(self, connections: int) -> Storage: ...


class _Stopped(Exception):
    """In a thread: another part has failed."""


class Multipart:
    """Sends one file in parts."""

    def __init__(
        self, files: Files, connection: Connection, source: LocalFile, purpose: str, cut: Sending, notify: Progress
    ) -> None:
        self._files, self._connection = files, connection
        self._source, self._purpose, self._cut, self._notify = source, purpose, cut, notify
        self._path = record_path(source.path)
        self._part_bytes = max(cut.part_bytes, -(-source.size // cut.max_parts))
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._read: dict[int, int] = {}
        self._reported = 0

    def send(self) -> tuple[str, bool]:
        """(id of the file, whether it was not there before). Raises what `Files.upload_file` does.

        What cannot succeed by going on is aborted at Together; all else stays on record for the next call.
        """
        known = self._load()
        while True:
            begun = known or self._begin()
            if isinstance(begun, str):
                return begun, False
            record, is_old, known = begun, known is not None, None
            try:
                self._send_parts(record)
                if sha256_of(self._source.path) != self._source.sha256:
                    raise self._source.changed()
                self._complete(record)
            except LinkExpiredError:
                self._abort(record)
                if is_old:
                    continue
                raise
            except (FileChangedError, RequestRefusedError):
                self._abort(record)
                raise
            self._path.unlink(missing_ok=True)
            return record.file_id, True

    def _begin(self) -> Record | str:
        """Addresses for the parts, or the id of the file that is there already."""
        source = self._source
        body: Json = {
            **source.described(),
            "file_size": source.size,
            "num_parts": -(-source.size // self._part_bytes),
            "purpose": self._purpose,
            "checksum": source.sha256,
        }
        try:
            response = self._connection.respond("POST", f"{_PATH}/initiate", body=body, welcome=(409,))
        except (UnreachableError, BusyError) as problem:
            if isinstance(problem, UnreachableError) and not problem.maybe_done:
                raise
            # An upload without parts is nothing: the one whose answer was lost harms nobody.
            response = self._connection.respond("POST", f"{_PATH}/initiate", body=body, welcome=(409,))
        answer = json_of(response)
        if response.status_code == 409:
            file_id = str(answer.get("file_id") or "")
            if not self._files.stands_in_the_way(file_id):
                return file_id
            self._files.delete_file(file_id)
            answer = self._connection.request("POST", f"{_PATH}/initiate", body=body)
        begun = read(_Begun, answer)
        parts = [(part.number, part.url, part.headers) for part in begun.parts]
        record = Record(source.sha256, source.size, self._part_bytes, begun.upload_id, begun.file_id, parts)
        self._save(record)
        return record

    def _send_parts(self, record: Record) -> None:
        missing = [part for part in record.parts if str(part[0]) not in record.etags]
        self._read = {number: self._size(number) for number, _, _ in record.parts if str(number) in record.etags}
        self._stop.clear()
        with (
            self._files.storage(self._cut.connections) as storage,
            ThreadPoolExecutor(self._cut.connections) as threads,
        ):
            sending = [threads.submit(self._send_part, storage, record, *part) for part in missing]
            try:
                wait(sending, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()
                for sent in sending:
                    sent.cancel()
        problems = [sent.exception() for sent in sending if not sent.cancelled() and sent.exception()]
        for problem in sorted(problems, key=lambda problem: isinstance(problem, _Stopped)):
            assert problem is not None
            raise problem

    def _send_part(self, storage: Storage, record: Record, number: int, url: str, headers: dict[str, str]) -> None:
        begin, size = (number - 1) * self._part_bytes, self._size(number)

        def count(read: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            with self._lock:
                self._read[number] = read
                self._reported = max(self._reported, sum(self._read.values()))
                self._notify(self._reported, self._source.size)

        etag = storage.put(url, headers, size, lambda: self._source.part(begin, size, count), None, self._nap)
        with self._lock:
            record.etags[str(number)] = etag
            self._save(record)

    def _nap(self, seconds: float) -> None:
        """Between two attempts, in steps short enough to end soon when another part has failed."""
        while seconds > 0:
            if self._stop.is_set():
                raise _Stopped
            self._connection.sleep(min(seconds, 0.5))
            seconds -= 0.5

    def _size(self, number: int) -> int:
        return min(self._part_bytes, self._source.size - (number - 1) * self._part_bytes)

    def _complete(self, record: Record) -> None:
        parts = [{"part_number": number, "etag": record.etags[str(number)]} for number, _, _ in sorted(record.parts)]
        body: Json = {"upload_id": record.upload_id, "file_id": record.file_id, "parts": parts}
        try:
            self._connection.request("POST", f"{_PATH}/complete", body=body)
        except (UnreachableError, BusyError, RequestRefusedError, MissingError) as problem:
            if isinstance(problem, UnreachableError) and not problem.maybe_done:
                raise
            # Perhaps it was completed before, by a call whose answer was lost.
            if self._is_there(record):
                return
            if isinstance(problem, MissingError):
                raise LinkExpiredError(problem.message) from problem
            raise

    def _is_there(self, record: Record) -> bool:
        try:
            return self._files.file(record.file_id).bytes == record.size
        except MissingError:
            return False

    def _abort(self, record: Record) -> None:
        body: Json = {"upload_id": record.upload_id, "file_id": record.file_id}
        with suppress(UnreachableError, BusyError, RequestRefusedError, MissingError):
            self._connection.request("POST", f"{_PATH}/abort", body=body)
        self._path.unlink(missing_ok=True)

    def _load(self) -> Record | None:
        """What an earlier call left of the same bytes, cut in the same way."""
        try:
            record = Record(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        same = (record.sha256, record.size, record.part_bytes)
        return record if same == (self._source.sha256, self._source.size, self._part_bytes) else None

    def _save(self, record: Record) -> None:
        write_private(self._path, json.dumps(asdict(record)))


def record_path(path: Path) -> Path:
    """Where what is known of an unfinished upload of that file stays. It holds signed addresses: private."""
    return path.with_name(path.name + ".upload")
