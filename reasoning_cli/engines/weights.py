"""Weights on their way to an engine: fetched by it from elsewhere, or sent from here part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self


class RemoteUpload(Protocol):
    """Weights that the engine fetches from elsewhere; it restarts by itself what breaks off, up to a maximum."""

    @property
    def id(self) -> str: ...

    @property
    def model_id(self) -> str: ...

    @property
    def remote_url(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def state(self) -> str:
        """`RUNNING`, `SUCCEEDED`, `FAILED` and others."""

    @property
    def status_message(self) -> str: ...

    @property
    def restart_count(self) -> int: ...

    @property
    def max_restarts(self) -> int: ...


class PartLink(Protocol):
    """Where one part goes; the address is signed, and good for a while."""

    @property
    def part_number(self) -> int: ...

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


class FileLinks(Protocol):
    """One file: already there, or an upload with an address for each part."""

    @property
    def path(self) -> str: ...

    @property
    def skip_upload(self) -> bool: ...

    @property
    def upload_id(self) -> str: ...

    @property
    def parts(self) -> Sequence[PartLink]: ...


class ModelFile(Protocol):
    """A file of a revision; `hash` is its MD5, or of several parts the MD5 of their MD5s with their number."""

    @property
    def path(self) -> str: ...

    @property
    def hash(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...


@dataclass(frozen=True)
class SentFile:
    """A file as it ended: skipped (no upload), or with the ETag of each of its parts by number."""

    path: str
    hash: str
    upload_id: str | None
    etags: Mapping[int, str]


class Storage(Protocol):
    """Sends parts, from several threads if need be. The key is never known here."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def put(
        self,
        url: str,
        headers: Mapping[str, str],
        size: int,
        content: Callable[[], Iterable[bytes]],
        md5: str | None,
        sleep: Callable[[float], None],
    ) -> str:
        """Send one part of `size` bytes; its ETag, which must be `md5` unless that is None. Raises LinkExpiredError,
        RequestRefusedError, BusyError or UnreachableError."""
        ...
