"""What the manifest beside an exported file says of its lines, which hold nothing but messages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reasoning_cli.times import read_time
from reasoning_cli.values import MODEL_TYPES

_SIDE = re.compile(r"\.(?:train|validation|test)(?=\.[^.]+\Z)")
_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Exported:
    """The one type of all samples in a file, None when there are several; when it was written."""

    model_type: str | None
    at: datetime | None


def exported(file: Path) -> Exported | None:
    """What an export's manifest says of `file`; None without one that can be read."""
    if not file.name:  # `.`, a folder
        return None
    for name in dict.fromkeys((file.name, _SIDE.sub("", file.name))):
        manifest = file.with_name(f"{name}.manifest.json")
        try:
            if not manifest.is_file() or manifest.stat().st_size > _MOST_BYTES:
                continue
            content = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict):
            return Exported(_type_of(content, file.name), read_time(content.get("exported_at")))
    return None


def _type_of(content: dict[str, object], name: str) -> str | None:
    files = content.get("files")
    for file in files if isinstance(files, list) else ():
        counts = file.get("by_type") if isinstance(file, dict) and file.get("path") == name else None
        if isinstance(counts, dict):
            return _only([str(key) for key, count in counts.items() if count])
    filters = content.get("filters")
    types = filters.get("model_types") if isinstance(filters, dict) else None
    return _only([str(kind) for kind in types]) if isinstance(types, list) else None


def _only(types: list[str]) -> str | None:
    return types[0] if len(types) == 1 and types[0] in MODEL_TYPES else None
