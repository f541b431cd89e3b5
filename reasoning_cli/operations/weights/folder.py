"""A folder of weights on this machine: what of it is a model, and what is wrong with it, before anything is sent."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reasoning_cli.errors import DataError, NotFoundError, UsageError

PART_BYTES = 20 * 1024 * 1024
MAX_PARTS = 10_000  # of one file, by the storage host

MODEL, ADAPTER = "model", "adapter"
INDEX, CONFIG, ADAPTER_CONFIG, ADAPTER_WEIGHTS = (
    "model.safetensors.index.json",
    "config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
)

# What a model is made of; optimizer states, other formats of the same weights and logs are none of it.
_WANTED = re.compile(
    r".*\.(safetensors|json|jinja|txt|md|model|tiktoken|py|spm|bpe|vocab)|(LICEN[CS]E|NOTICE|README|USE_POLICY)[^/]*",
    re.IGNORECASE,
)
_TRAINING_FOLDER = re.compile(r"checkpoint-\d+|global_step\d+|runs|wandb|logs|__pycache__|original")
_TRAINING_FILE = re.compile(r"(trainer_state|all_results|train_results|eval_results)\.json|optimizer.*|scheduler.*")
_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_FOLDER = re.compile(r"[./~]")
_QUANTIZED = re.compile(r"(-unsloth)?(-bnb)?-(4bit|8bit)$")
_LFS_POINTER = b"version https://git-lfs"
_MAX_HEADER_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class WeightFile:
    """A file to send: its path below the folder with `/`, its bytes, and when it was changed last (nanoseconds)."""

    path: str
    size: int
    mtime_ns: int

    @property
    def part_count(self) -> int:
        return -(-self.size // PART_BYTES)

    def part(self, number: int) -> tuple[int, int]:
        """Offset and bytes of a part, counted from 1."""
        offset = (number - 1) * PART_BYTES
        return offset, min(PART_BYTES, self.size - offset)


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that stays here, and why."""

    path: str
    size: int
    why: str


@dataclass(frozen=True)
class Folder:
    """What of a folder will be sent, in the order of paths, and what will not."""

    root: Path
    files: tuple[WeightFile, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def local_folder(source: str) -> Path | None:
    """The folder that `--from` means, None when it means something elsewhere.

    `./x`, `../x`, `/x` and `~/x` are folders; so is a name that can be no repository. Raises UsageError for `a/b`
    when there is a folder of that name: both could be meant.
    """
    if "://" in source:
        return None
    path = Path(source).expanduser()
    if _FOLDER.match(source):
        return path
    if not path.is_dir():
        return None
    if source.count("/") == 1 and not source.endswith("/"):
        raise UsageError(
            f"`{source}` is a folder here and may be a Hugging Face repository",
            f"--from ./{source} for the folder, --from https://huggingface.co/{source} for the repository",
        )
    return path


def read_folder(root: Path, kind: str, base: str) -> Folder:
    """What to send of `root`, a whole `model` or an `adapter` to `base`. Reads headers and small files only.

    Raises NotFoundError when there is no such folder, DataError for files that are missing, broken, empty or lead
    out of it, UsageError for a kind or base that it is not.
    """
    if not root.is_dir():
        what = "a file, not a folder" if root.is_file() else "not a folder"
        raise NotFoundError(f"`{root}` is {what}", "--from takes the folder with config.json and the weights")
    files: list[WeightFile] = []
    left_out: list[LeftOut] = []
    for path, relative in _walk(root, left_out):
        size = path.stat().st_size
        if why := _unwanted(relative, size):
            left_out.append(LeftOut(relative, size, why))
        else:
            files.append(WeightFile(relative, size, path.stat().st_mtime_ns))
    folder = Folder(root, tuple(sorted(files, key=lambda file: file.path)), tuple(left_out))
    _check(folder, kind, base)
    return folder


def _walk(root: Path, left_out: list[LeftOut]) -> Iterator[tuple[Path, str]]:
    """Every regular file that may belong to the model, with its path below `root`."""
    resolved = root.resolve()

    def unreadable(error: OSError) -> None:
        raise DataError(f"cannot read `{error.filename}`: {error.strerror}")

    for folder, folders, names in os.walk(root, onerror=unreadable):
        here = Path(folder)
        for name in sorted(folders):
            path = here / name
            if name.startswith("."):
                why = "hidden"
            elif path.is_symlink():
                _refuse_outside(path, root, resolved)
                why = "a link"
            elif _TRAINING_FOLDER.fullmatch(name):
                why = "of the training, not of the model"
            else:
                continue
            folders.remove(name)
            left_out.append(LeftOut(f"{path.relative_to(root).as_posix()}/", 0, why))
        folders.sort()
        for name in sorted(names):
            path = here / name
            relative = path.relative_to(root).as_posix()
            if name.startswith("."):
                left_out.append(LeftOut(relative, 0, "hidden"))
                continue
            if path.is_symlink():
                _refuse_outside(path, root, resolved)
            if not path.is_file():
                raise DataError(f"`{path}` is not a file that can be read: a broken link, or something special")
            if not relative.isprintable():
                raise DataError(f"`{path}` has a name that cannot be sent", "rename it")
            yield path, relative


def _refuse_outside(link: Path, root: Path, resolved: Path) -> None:
    """What is sent is what lies in the folder."""
    if not link.resolve().is_relative_to(resolved):
        raise DataError(
            f"`{link}` is a link that leads out of the folder, to `{link.resolve()}`",
            f"send a copy without links: `cp -rL {root} COPY`; or let Together fetch the repository: --from owner/name",
        )


def _unwanted(relative: str, size: int) -> str | None:
    """Why a file is not sent, None when it is."""
    name = relative.rpartition("/")[2]
    if _TRAINING_FILE.fullmatch(name):
        return "of the training, not of the model"
    if not _WANTED.fullmatch(name):
        return "not a format of models"
    needed = name.endswith(".safetensors") or name in (INDEX, CONFIG, ADAPTER_CONFIG)
    return "empty" if not size and not needed else None


def _check(folder: Folder, kind: str, base: str) -> None:
    by_path = {file.path: file for file in folder.files}
    if kind == MODEL and CONFIG not in by_path and ADAPTER_CONFIG in by_path:
        raise UsageError(f"`{folder.root}` holds an adapter, not whole weights", "add --kind adapter")
    if kind == ADAPTER and ADAPTER_CONFIG not in by_path and CONFIG in by_path:
        raise UsageError(f"`{folder.root}` holds whole weights, not an adapter", "leave --kind adapter away")
    config, weights = (CONFIG, "*.safetensors") if kind == MODEL else (ADAPTER_CONFIG, ADAPTER_WEIGHTS)
    if config not in by_path:
        raise DataError(f"`{folder.root}` has no {config}", "name the folder that has it beside the weights")
    settings = _json(folder, config)
    tensors = [file for file in folder.files if file.path.endswith(".safetensors")]
    if not tensors or (kind == ADAPTER and ADAPTER_WEIGHTS not in by_path):
        raise DataError(
            f"`{folder.root}` has no {weights}",
            "Together takes safetensors: `model.save_pretrained(FOLDER)` writes them",
        )
    if kind == ADAPTER:
        _check_base(settings, base)
    else:
        _check_shards(folder, by_path)
    for tensor in tensors:
        _check_tensors(folder.root / tensor.path, tensor.size)
    for file in folder.files:
        if file.part_count > MAX_PARTS:
            raise DataError(f"`{file.path}` is too big for one file", "save the model in shards: max_shard_size='5GB'")
        if not os.access(folder.root / file.path, os.R_OK):
            raise DataError(f"cannot read `{folder.root / file.path}`: permission denied")


def _check_base(settings: dict[str, object], base: str) -> None:
    """An adapter says what it was trained on; of that name the last part counts, as it may be a folder's."""
    said = str(settings.get("base_model_name_or_path") or "")
    names = {_QUANTIZED.sub("", name.rstrip("/").rpartition("/")[2].lower()) for name in (said, base)}
    if said and len(names) > 1:
        raise UsageError(f"the adapter was trained on `{said}`, not on `{base}`", "name its own base: --base MODEL")


def _check_shards(folder: Folder, by_path: dict[str, WeightFile]) -> None:
    shards = {match[0]: match[2] for path in by_path if (match := _SHARD.fullmatch(path))}
    if INDEX not in by_path:
        if shards:
            raise DataError(
                f"`{folder.root}` has weights in {len(shards)} parts and no {INDEX}", "copy it from there, too"
            )
        return
    weight_map = _json(folder, INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise DataError(f"`{folder.root / INDEX}` names no weights", "save the model anew")
    wanted = {str(name) for name in weight_map.values()}
    wanted |= {f"model-{number:05}-of-{total}.safetensors" for total in shards.values() for number in _numbers(total)}
    missing = sorted(wanted - set(by_path))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"`{folder.root}` is not whole: `{missing[0]}`{more} of its index is missing", "copy it, too")


def _numbers(total: str) -> range:
    """The numbers of the shards of one set; a total that cannot be is left to the index."""
    return range(1, int(total) + 1) if int(total) <= 1000 else range(0)


def _json(folder: Folder, name: str) -> dict[str, object]:
    path = folder.root / name
    try:
        if path.stat().st_size > _MAX_HEADER_BYTES:
            raise ValueError("it is far too big")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is not an object")
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"`{path}` is not the JSON it should be: {error}", "save the model anew") from error
    return found


def _check_tensors(path: Path, size: int) -> None:
    """A safetensors file says in its header how long it must be: a download that broke off is shorter."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
            if start == _LFS_POINTER:
                raise DataError(f"`{path}` only points to its weights in Git LFS", "fetch them there: `git lfs pull`")
            file.seek(0)
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, _MAX_HEADER_BYTES):
                raise ValueError("no header")
            header = json.loads(file.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror}") from error
    except (ValueError, RecursionError, struct.error, AttributeError, KeyError, IndexError, TypeError) as error:
        why = "is empty" if size == 0 else "is not a safetensors file"
        raise DataError(f"`{path}` {why}", "save or copy it anew") from error
    wanted = 8 + length + max(ends, default=0)
    if wanted != size:
        raise DataError(f"`{path}` is not whole: {size:,} bytes of {wanted:,}", "copy it anew")
