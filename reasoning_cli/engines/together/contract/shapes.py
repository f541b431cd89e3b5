"""Together's answers as they are documented, and how one that was given differs.

`contract.json` has the shape of each read's answer, as a JSON schema of names, types and known values; the members of
an answer that the program uses have their types in `wire` and beside the calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from reasoning_cli.engines.contract import Deviation, Kind

# What may be repeated of an answer: a word of the service's own. Anything else could be somebody's.
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,63}")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@cache
def _shapes() -> dict[str, dict[str, Any]]:
    text = files("reasoning_cli.engines.together.contract").joinpath("contract.json").read_text(encoding="utf-8")
    shapes: dict[str, dict[str, Any]] = json.loads(text)
    return shapes


def documented(route: str) -> bool:
    """Whether a route (`/v2/projects/{}/endpoints`) is in the contract."""
    return route in _shapes()


def deviations(route: str, answer: object) -> list[Deviation]:
    """How the answer of a route differs from the contract, each difference once. KeyError for an unknown route."""
    return sorted(set(_differences(_shapes()[route], answer, "")))


def _differences(shape: Mapping[str, Any], value: object, member: str) -> Iterator[Deviation]:
    if choices := shape.get("anyOf"):
        yield from min((list(_differences(choice, value, member)) for choice in choices), key=len)
        return
    if not _fits(shape.get("type"), value):
        yield Deviation(member, Kind.OTHER_TYPE, _type_of(value))
        return
    if "enum" in shape and value is not None and value not in shape["enum"]:
        yield Deviation(member, Kind.UNKNOWN_VALUE, _word(value))
    if isinstance(value, list):
        for item in value if "items" in shape else ():
            yield from _differences(shape["items"], item, f"{member}[]")
    elif isinstance(value, dict):
        yield from _members(shape, value, member)


def _members(shape: Mapping[str, Any], value: Mapping[str, object], member: str) -> Iterator[Deviation]:
    known, dot = shape.get("properties"), f"{member}." if member else ""
    open_shape = shape.get("additionalProperties")
    required = set(shape.get("required", ()))
    for name in sorted(required - value.keys()):
        yield Deviation(f"{dot}{name}", Kind.MISSING_MEMBER, "")
    for name, inner in value.items():
        if known is not None and name in known:
            if inner is not None or name in required:  # an optional member may be null
                yield from _differences(known[name], inner, f"{dot}{name}")
        elif open_shape is not None:
            yield from _differences(open_shape, inner, f"{dot}{{}}")
        elif known is not None:
            yield Deviation(f"{dot}{_word(name)}", Kind.UNKNOWN_MEMBER, _type_of(inner))


def _fits(kind: object, value: object) -> bool:
    if kind is None:
        return True
    kinds = [str(item) for item in (kind if isinstance(kind, list) else [kind])]
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _TYPES[kind]) for kind in kinds)


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return next(name for name, types in _TYPES.items() if isinstance(value, types))


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else f"({_type_of(value)})"
