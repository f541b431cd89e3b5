"""Where files live, and their modes.

Everything private (settings with a key, the training log, exports) is 0600 in folders of 0700, written beside and
renamed so that no reader ever sees half a file. `REASONING_HOME` moves everything into one folder. A profile, one of
several accounts or agents on a host, has all of these below `profiles/NAME` and shares none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import DataError, UsageError

HOME_VARIABLE = "REASONING_HOME"
PROFILE_VARIABLE = "REASONING_PROFILE"
HEAD_SUFFIX = ".head"
DEFAULT_PROFILE = "default"  # what is used where no profile is named; it lives beside `profiles`, not in it

_SMALL_BYTES = 16 << 20
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Paths:
    """The places this program writes to; nothing is written elsewhere unless a path is typed."""

    config_file: Path
    data_dir: Path
    cache_dir: Path
    profile: str | None = None

    @property
    def database(self) -> Path:
        return self.data_dir / "reasoning.db"

    @property
    def names_cache(self) -> Path:
        """Names offered on TAB; the only file completion reads."""
        return self.cache_dir / "names.json"

    @property
    def uploads(self) -> Path:
        """What has arrived of uploads that are not finished."""
        return self.data_dir / "uploads"

    @property
    def heads(self) -> Path:
        """The heads that were trained, a file each."""
        return self.data_dir / "heads"

    def head(self, name: str) -> Path:
        """Where the head of this name is stored."""
        return self.heads / f"{name}{HEAD_SUFFIX}"

    @property
    def sandbox_state(self) -> Path:
        return self.data_dir / "sandbox.json"

    def sandbox(self) -> Paths:
        """The same places for sandbox runs: nothing in them is shared with the real ones."""
        home = self.data_dir / "sandbox"
        return Paths(home / "config.toml", data_dir=home, cache_dir=home / "cache", profile=self.profile)

    def of_profile(self, name: str) -> Paths:
        """The same places for a profile."""
        below = Path("profiles", name)
        return Paths(
            config_file=self.config_file.parent / below / self.config_file.name,
            data_dir=self.data_dir / below,
            cache_dir=self.cache_dir / below,
            profile=name,
        )

    def profiles(self) -> list[str]:
        """The profiles that have settings or data, by name. A folder that cannot be read has none."""
        names = set()
        for folder in (self.config_file.parent, self.data_dir):
            with contextlib.suppress(OSError):
                names |= {path.name for path in (folder / "profiles").iterdir() if path.is_dir()}
        return sorted(name for name in names if _PROFILE.fullmatch(name))


def find_paths(environ: Mapping[str, str], profile: str | None = None) -> Paths:
    """The places on this machine: those of `profile`, else of the one in `REASONING_PROFILE`, else of none.

    Raises UsageError for what cannot be the name of a profile.
    """
    paths, name = _find_home(environ), chosen_profile(environ, profile)
    return paths if name is None else paths.of_profile(name)


def chosen_profile(environ: Mapping[str, str], profile: str | None = None) -> str | None:
    """The profile that is meant, None for the default one. Raises UsageError for what cannot be a name."""
    name = environ.get(PROFILE_VARIABLE, "").strip() if profile is None else profile
    if name == DEFAULT_PROFILE or (profile is None and not name):
        return None
    if not _PROFILE.fullmatch(name):
        mend = f"change or unset {PROFILE_VARIABLE}; " if profile is None else ""
        raise UsageError(
            f"`{name}` is not a name of a profile", f"{mend}names are letters and digits, with - and _ after the first"
        )
    return name


def _find_home(environ: Mapping[str, str]) -> Paths:
    """The places by the platform's conventions, or under `REASONING_HOME`."""
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
        for missing in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
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
    try:  # from the first moment on: Ctrl-C may come as soon as the file is there
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
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
        raise DataError(
            f"cannot write `{path}`: {error.strerror}", "it is as it was; free some space, or mend its folder's rights"
        ) from error


def read_small(path: Path) -> bytes:
    """What a small file holds (settings, `.env`, caches).

    OSError as for any file, and for what is none: of a pipe nobody may ever write into, or a device without an end.
    """
    # Opening a pipe would wait as well.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode) and not os.path.samestat(found, Path(os.devnull).stat()):
            raise OSError(errno.EINVAL, "it is a pipe or a device, and not a file", str(path))
        content = file.read(_SMALL_BYTES + 1)
    if len(content) > _SMALL_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {_SMALL_BYTES >> 20} MB", str(path))
    return content


def is_private(path: Path) -> bool:
    """Whether nobody but the owner can read or write `path`."""
    return path.stat().st_mode & 0o077 == 0
