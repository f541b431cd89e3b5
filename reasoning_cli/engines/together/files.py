"""Files at Together: what is trained on. Sent to a storage host without the key, then checked by the service itself.

Up to 5 GiB a file goes in one piece; above, in parts, and what was sent of one is remembered beside it, so that the
same call goes on where it was broken off.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import (
    BusyError,
    FileChangedError,
    MissingError,
    RequestRefusedError,
    UnreachableError,
)
from reasoning_cli.engines.together.calls import Calls, read
from reasoning_cli.engines.together.connection import json_of
from reasoning_cli.engines.together.file_types import RemoteFile, Sending
from reasoning_cli.engines.together.local_file import LocalFile, Progress, sha256_of
from reasoning_cli.errors import DataError

if TYPE_CHECKING:
    import httpx

MAX_FILE_BYTES = 50 * 10**9


class Files(Calls):
    """The calls about files."""

    def files(self) -> list[RemoteFile]:
        """Every file of the account."""
        data = self._connection.request("GET", "/v1/files").get("data")
        return [read(RemoteFile, item) for item in (data if isinstance(data, list) else [])]

    def file(self, file_id: str) -> RemoteFile:
        return read(RemoteFile, self._connection.request("GET", f"/v1/files/{file_id}"))

    def preprocess(self, file_id: str) -> RemoteFile:
        """Let the service check what was sent. Asking twice harms nothing, so a lost answer is asked for again."""
        path = f"/v1/files/{file_id}/preprocess"
        try:
            return read(RemoteFile, self._connection.request("POST", path))
        except (UnreachableError, BusyError) as problem:
            if isinstance(problem, UnreachableError) and not problem.maybe_done:
                raise
            return read(RemoteFile, self._connection.request("POST", path))

    def delete_file(self, file_id: str) -> None:
        """Delete a file; one that is gone already is fine. Jobs that run have read it."""
        self._delete(f"/v1/files/{file_id}")

    def upload_file(
        self,
        path: Path,
        *,
        purpose: str = "fine-tune",
        sha256: str | None = None,
        on_progress: Progress = lambda sent, total: None,
        sending: Sending | None = None,
    ) -> str:
        """Send a file and let the service check it; its id. Calling again after a failure goes on, or finds it there.

        `sha256` is what the file must be; without it, it is read once more before. Raises FileChangedError when it
        is not or does not stay so (then nothing of it can be trained on), DataError when it cannot be read, and the
        errors of `engines.errors`.
        """
        cut = sending or Sending()
        source = LocalFile(path, _size_of(path), sha256 or sha256_of(path))
        if source.size > cut.multipart_above:
            from reasoning_cli.engines.together.multipart import Multipart

            file_id, is_new = Multipart(self, self._connection, source, purpose, cut, on_progress).send()
        else:
            file_id, is_new = self._send_whole(source, purpose, _growing(on_progress))
        on_progress(source.size, source.size)
        if is_new:
            self.preprocess(file_id)
            return file_id
        there = self.file(file_id)
        if there.processing_status in ("PENDING", None) and there.validation_report is None:
            # Sent by a call that came no further; for a file of old, which needs no check, it does no harm.
            with suppress(RequestRefusedError):
                self.preprocess(file_id)
        return file_id

    def upload_at_once(self, name: str, content: bytes, purpose: str = "fine-tune") -> RemoteFile:
        """Send a small file in one request, the other way that is documented. Nothing asks for its check."""
        form = {"purpose": purpose, "file_name": name, "file_type": name.rpartition(".")[2]}
        response = self._connection.respond("POST", "/v1/files/upload", form=form, file=(name, content))
        return read(RemoteFile, json_of(response))

    def stands_in_the_way(self, file_id: str) -> bool:
        """Whether what is said to be there is no file of use: its bytes never came, or the check of it broke down."""
        try:
            there = self.file(file_id)
        except MissingError:
            return True
        return not there.bytes or there.processing_status == "FAILED"

    def _send_whole(self, source: LocalFile, purpose: str, on_progress: Progress) -> tuple[str, bool]:
        """(id, whether it was not there before)."""
        form = {"purpose": purpose, **source.described(), "checksum": source.sha256}
        response = self._register(form)
        if response.status_code == 409:
            file_id = str(json_of(response).get("file_id") or "")
            if not self.stands_in_the_way(file_id):
                return file_id, False
            self.delete_file(file_id)
            response = self._register(form)
        file_id, url = response.headers.get("x-together-file-id", ""), response.headers.get("location", "")
        if response.status_code != 302 or not file_id or not url:
            raise BusyError("Together did not say where to send the file", "run the same command again")
        try:
            with self.storage(1) as storage:
                storage.put(url, {}, source.size, lambda: source.chunks(on_progress), None, self._connection.sleep)
        except (FileChangedError, RequestRefusedError):
            with suppress(UnreachableError, BusyError, RequestRefusedError):
                self.delete_file(file_id)
            raise
        return file_id, True

    def _register(self, form: Mapping[str, str]) -> httpx.Response:
        """Where to send the bytes: 302, or 409 for what is there. Registering twice after a lost answer harms nothing:
        what no bytes came for is not a file."""
        try:
            return self._connection.respond("POST", "/v1/files", form=form, welcome=(302, 409))
        except (UnreachableError, BusyError) as problem:
            if isinstance(problem, UnreachableError) and not problem.maybe_done:
                raise
            return self._connection.respond("POST", "/v1/files", form=form, welcome=(302, 409))


def _growing(on_progress: Progress) -> Progress:
    """What is sent a second time is not reported a second time."""
    most = 0

    def notify(sent: int, total: int) -> None:
        nonlocal most
        if sent > most:
            most = sent
            on_progress(sent, total)

    return notify


def _size_of(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror}") from error
    if not size:
        raise DataError(f"`{path}` is empty: there is nothing to train on")
    if size > MAX_FILE_BYTES:
        raise DataError(f"`{path}` is larger than the 50 GB Together takes", "export fewer samples")
    return size
