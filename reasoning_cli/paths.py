"""Where files live, and their modes.

Everything private (settings with a key, the training log, exports) is 0600 in folders of 0700, written beside and
renamed so that no reader ever sees half a file. `REASONING_HOME` moves everything into one folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import DataError

HOME_VARIABLE = "REASONING_HOME"


@dataclass(frozen=True)
class Paths:
    """The places this program writes to; nothing is written elsewhere unless a path is typed."""

    config_file: Path
    data_dir: Path
    cache_dir: Path

    @property
    def database(self) -> Path:
        return self.data_dir / "reasoning.db"

    @property
    def names_cache(self) -> Path:
        """Names offered on TAB; the only file completion reads."""
        return self.cache_dir / "names.json"

    @property
    def sandbox_state(self) -> Path:
        return self.data_dir / "sandbox.json"

    def sandbox(self) -> Paths:
        """The same places for sandbox runs: nothing in them is shared with the real ones."""
        home = self.data_dir / "sandbox"
        return Paths(config_file=home / "config.toml", data_dir=home, cache_dir=home / "cache")


def find_paths(environ: Mapping[str, str]) -> Paths:
    """The places on this machine, by the platform's conventions or under `REASONING_HOME`."""
    if home := environ.get(HOME_VARIABLE):
        root = Path(home).expanduser().absolute()
        return Paths(config_file=root / "config.toml", data_dir=root, cache_dir=root / "cache")
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("reasoning", appauthor=False)
    return Paths(
        config_file=dirs.user_config_path / "config.toml",
        data_dir=dirs.user_data_path,
        cache_dir=dirs.user_cache_path,
    )


def make_private_dir(folder: Path) -> None:
    """Make `folder` (and its parents) if missing; what is made here is 0700."""
    try:
        for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise DataError(
            f"cannot make the folder `{folder}`: {error.strerror}", f"choose another with {HOME_VARIABLE}=FOLDER"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file so that it appears whole or not at all: mode 0600, beside, synced, then renamed.

    Leaves `path` as it was when the block raises. OSError is the caller's to explain.
    """
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=1024 * 1024) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_private(path: Path, text: str) -> None:
    """Replace a small private file (settings, caches) by `text`; of a link, the file it leads to."""
    path = path.resolve()
    make_private_dir(path.parent)
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise DataError(f"cannot write `{path}`: {error.strerror}") from error


def is_private(path: Path) -> bool:
    """Whether nobody but the owner can read or write `path`."""
    return path.stat().st_mode & 0o077 == 0
