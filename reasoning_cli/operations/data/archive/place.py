"""Where an archive or a dataset lies: a folder of this machine, or a bucket of object storage.

What is put there appears whole or not at all. A file is spooled on this machine first, for which a folder of its own
is made beside where it goes; object storage makes an object visible when all of it has arrived.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from reasoning_cli.errors import DataError, UsageError
from reasoning_cli.operations.data.parquet_pages import pyarrow_of
from reasoning_cli.paths import make_private_dir, replacing

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SPOOL = ".part-"
_SPOOLED = re.compile(r"\.part-[a-z0-9_]{8}")  # as `tempfile` names them
_CHUNK = 8 << 20
# What is read whole: an index of some hundred thousand files is below it, and an endless file is not.
_MOST_BYTES = 256 << 20
# What nobody refers to is taken for left over only when nobody can still be at work on it.
_AT_WORK_SECONDS = 3600.0
_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 60.0
_BUCKET = re.compile(r"(?!\.+$)[A-Za-z0-9._-]+")
_GIVE = "give a folder, or a bucket as `s3://BUCKET/FOLDER`"
_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a store that is not Amazon's, AWS_ENDPOINT_URL"
)


class OutOfReachError(DataError):
    """The place cannot be read or written now: a disk that is not there, a store that refuses or does not answer."""


class Place(Protocol):
    """A folder of files, known by names with slashes in them. Raises OutOfReachError."""

    address: str

    def read(self, name: str) -> bytes | None:
        """What a small file holds; None where there is none. OutOfReachError for one that is not small, or no file."""

    def write(self, name: str, content: bytes) -> None:
        """Put a small file there, or replace it: whole or not at all, and lasting."""

    def take(self, file: Path, name: str) -> None:
        """Move a spooled file there, which is then whole and lasting."""

    def spool(self) -> Any:
        """A folder of this machine to make files in, for the time of a `with`."""

    def local(self, name: str) -> Any:
        """A file as a path of this machine, for the time of a `with`."""

    def open(self, name: str) -> Any:
        """A file to be read from any place in it, as pyarrow takes it."""

    def sha256(self, name: str) -> str:
        """The hash of a file as it lies there."""

    def sizes(self) -> dict[str, int]:
        """All files with their sizes in bytes."""

    def left_over(self, names: set[str]) -> list[str]:
        """Those of the files that nobody can be at work on."""

    def delete(self, name: str) -> None:
        """Delete a file; none is fine."""

    def locked(self) -> Any:
        """For the time of a `with`, nobody else on this machine changes what is there."""


def open_place(address: str | Path, *, retries: int = 3) -> Place:
    """The place of that address; nothing is made or reached yet. UsageError for a scheme nobody here knows."""
    text = str(address)
    if not text.strip() or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise UsageError("the address of a folder or bucket is empty, or holds characters that nobody sees", _GIVE)
    if text.lower().startswith("s3:") and not _SCHEME.match(text):
        raise UsageError(f"`{text}` is neither a folder nor a bucket", _GIVE)
    if not _SCHEME.match(text):
        return Folder(Path(text).absolute())
    scheme, _, rest = text.partition("://")
    bucket, _, path = rest.partition("/")
    if set("@:") & set(bucket):
        raise UsageError("keys do not belong into an address, which is shown and stored", _CREDENTIALS)
    if scheme.lower() != "s3" or not _BUCKET.fullmatch(bucket) or set("?#") & set(path):
        raise UsageError(f"`{scheme}://…` cannot hold datasets", _GIVE)
    folders = path.strip("/").split("/") if path.strip("/") else []
    # A store takes these for names, and libraries on the way there do not: what is written is not found again.
    if {"", ".", ".."} & set(folders):
        raise UsageError(f"`{text}` leads through a folder without a name, `.` or `..`", _GIVE)
    return Bucket("/".join((bucket, *folders)), retries)


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, str(folder)

    def read(self, name: str) -> bytes | None:
        with self._explained():
            try:
                # Of a pipe nobody writes to, opening alone would wait for ever.
                descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                return None
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError(errno.EINVAL, f"`{name}` is not a file")
                return _small(file, name)

    def write(self, name: str, content: bytes) -> None:
        with self._explained():
            self._make(name)
            with replacing(self.folder / name) as file:
                file.write(content)
            _sync(self.folder)

    def take(self, file: Path, name: str) -> None:
        with self._explained():
            self._make(name)
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            file.replace(self.folder / name)
            _sync((self.folder / name).parent)

    @contextmanager
    def spool(self) -> Iterator[Path]:
        make_private_dir(self.folder)
        with self._explained():
            made = Path(tempfile.mkdtemp(prefix=_SPOOL, dir=self.folder))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        yield self.folder / name

    def open(self, name: str) -> Any:
        return str(self.folder / name)

    def sha256(self, name: str) -> str:
        with self._explained():
            return hash_of_file(self.folder / name)

    def sizes(self) -> dict[str, int]:
        with self._explained():
            return {
                path.relative_to(self.folder).as_posix(): path.stat().st_size
                for path in self.folder.rglob("*")
                if path.is_file()
            }

    def left_over(self, names: set[str]) -> list[str]:
        return sorted(names)  # who is at work holds the lock

    def delete(self, name: str) -> None:
        with self._explained():
            path = self.folder / name
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                while path.parent != self.folder:
                    path = path.parent
                    path.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        make_private_dir(self.folder)
        with self._explained():
            descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataError(
                    f"somebody else is writing to `{self.address}`", "wait for it, and run the command again"
                ) from None
            for left in self.folder.glob(f"{_SPOOL}*"):  # of one that was killed
                if _SPOOLED.fullmatch(left.name):
                    shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(descriptor)

    def _make(self, name: str) -> None:
        make_private_dir((self.folder / name).parent)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutOfReachError(
                f"cannot read or write `{self.address}`: {error.strerror or error}",
                "what was whole stays; free some space or name another folder, and run the command again",
            ) from error


class Bucket:
    """A folder in a bucket of S3, or of a store that speaks its protocol."""

    def __init__(self, root: str, retries: int) -> None:
        self.address = f"s3://{root}"
        self._root, self._retries = root, retries
        self._made: Any = None

    @property
    def _store(self) -> Any:
        if self._made is None:
            pyarrow_of("object storage")
            from pyarrow import fs

            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            options: dict[str, object] = {}
            if endpoint:
                options = {"endpoint_override": endpoint, "scheme": urlsplit(endpoint).scheme or "https"}
            if region or endpoint:  # else the library asks for that of the bucket
                options["region"] = region or "us-east-1"
            with self._explained():
                self._made = fs.S3FileSystem(
                    connect_timeout=_CONNECT_SECONDS,
                    request_timeout=_ANSWER_SECONDS,
                    retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=self._retries),
                    **options,
                )
        return self._made

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def read(self, name: str) -> bytes | None:
        with self._explained():
            try:
                with self._store.open_input_stream(self._path(name)) as stream:
                    return _small(stream, name)
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        with self._explained(), self._store.open_output_stream(self._path(name)) as stream:
            stream.write(content)

    def take(self, file: Path, name: str) -> None:
        with (
            self._explained(),
            file.open("rb") as content,
            self._store.open_output_stream(self._path(name)) as stream,
        ):
            while chunk := content.read(_CHUNK):
                stream.write(chunk)
        file.unlink()

    @contextmanager
    def spool(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="reasoning-") as made:
            yield Path(made)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        with self.spool() as spool:
            path = spool / "file.parquet"
            with self._explained(), self._store.open_input_stream(self._path(name)) as stream, path.open("wb") as file:
                while chunk := stream.read(_CHUNK):
                    file.write(chunk)
            yield path

    def open(self, name: str) -> Any:
        with self._explained():
            return self._store.open_input_file(self._path(name))

    def sha256(self, name: str) -> str:
        digest = sha256()
        with self._explained(), self._store.open_input_stream(self._path(name)) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def sizes(self) -> dict[str, int]:
        return {name: info.size for name, info in self._infos().items()}

    def left_over(self, names: set[str]) -> list[str]:
        infos, now = self._infos(), time.time()
        return sorted(name for name in names & set(infos) if now - infos[name].mtime.timestamp() > _AT_WORK_SECONDS)

    def delete(self, name: str) -> None:
        with self._explained(), suppress(FileNotFoundError):
            self._store.delete_file(self._path(name))

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def _infos(self) -> dict[str, Any]:
        from pyarrow import fs

        with self._explained():
            found = self._store.get_file_info(fs.FileSelector(self._root, recursive=True, allow_not_found=True))
        return {info.path.removeprefix(f"{self._root}/"): info for info in found if info.type == fs.FileType.File}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:  # it calls a wrong address a wrong value
            # The library's text names the call and what the store said of it; its first line is for people.
            said = str(error).partition("\n")[0][:300]
            raise OutOfReachError(f"cannot read or write `{self.address}`: {said}", _CREDENTIALS) from error


def _small(file: Any, name: str) -> bytes:
    """What is in a stream. OSError where that is more than a small file has."""
    content: bytes = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"`{name}` has more than {_MOST_BYTES >> 20} MB")
    return content


def hash_of_file(path: Path) -> str:
    """The SHA-256 of a file of this machine."""
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    """Have the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
