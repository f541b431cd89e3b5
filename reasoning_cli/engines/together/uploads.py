"""Weights from this machine: where each part of each file goes, and the end that makes a revision of them.

No published description has these calls; they are those of the vendor's own command line.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from reasoning_cli.engines import serving
from reasoning_cli.engines.errors import BusyError, UnreachableError
from reasoning_cli.engines.together.calls import read
from reasoning_cli.engines.together.connection import Json
from reasoning_cli.engines.together.registry import Registry
from reasoning_cli.engines.together.wire import Wire
from reasoning_cli.engines.weights import SentFile


class PartLink(Wire):
    """Where one part goes; the address is signed, and good for a while."""

    part_number: int
    url: str
    headers: dict[str, str] = Field(default_factory=dict)


class FileLinks(Wire):
    """One file: already there, or an upload with an address for each part."""

    path: str
    skip_upload: bool = False
    upload_id: str = ""
    parts: list[PartLink] = Field(default_factory=list)


class _Plan(Wire):
    files: list[FileLinks]


class _Made(Wire):
    revision_id: str


class ModelFile(Wire):
    """A file of a revision; `hash` is its MD5, or of several parts the MD5 of their MD5s with their number."""

    path: str
    hash: str = ""
    size_bytes: int = 0  # a string on the wire


class LocalUploads(Registry):
    """The calls about weights that are sent from here."""

    def model_files(self, model: serving.Model, revision_id: str) -> list[ModelFile]:
        return list(self._list(ModelFile, f"/v2/{model.resource}/files", {"revisionId": revision_id}))

    def begin_files(self, model_id: str, files: Sequence[tuple[str, str, int]]) -> list[FileLinks]:
        """Addresses for files of (path, hash, number of parts). Asking again after a lost answer harms nothing."""
        body: Json = {
            "objectId": model_id,
            "files": [{"path": path, "hash": digest, "numParts": parts} for path, digest, parts in files],
        }
        path = f"{self._root}/models/upload/create"
        try:
            answer = self._connection.request("POST", path, body=body)
        except (UnreachableError, BusyError):
            answer = self._connection.request("POST", path, body=body)
        return read(_Plan, answer).files

    def complete_files(self, model: serving.Model, files: Sequence[SentFile]) -> str:
        """Make a revision of what was sent; its id. After a lost answer, looks for the one that was made."""
        known = {revision.revision_id for revision in self.revisions(model)}

        def made() -> _Made | None:
            new = [revision for revision in self.revisions(model) if revision.revision_id not in known]
            newest = max(new, key=lambda revision: revision.created_at, default=None)
            return _Made(revision_id=newest.revision_id) if newest else None

        body: Json = {"objectId": model.id, "files": [_completed(file) for file in files]}
        return self._create(_Made, f"{self._root}/models/upload/complete", body, made).revision_id

    def delete_model(self, model_id: str) -> None:
        """Delete a model of this project; one that is gone already is fine."""
        self._delete(f"{self._root}/models/{model_id}")


def _completed(file: SentFile) -> Json:
    if file.upload_id is None:
        return {"path": file.path, "hash": file.hash, "skipUpload": True}
    parts = [{"partNumber": number, "hash": etag} for number, etag in sorted(file.etags.items())]
    return {"path": file.path, "hash": file.hash, "uploadDetails": {"uploadId": file.upload_id, "parts": parts}}
