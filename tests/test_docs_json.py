"""The JSON that the reference tells of is the JSON that the commands write."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def shapes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_json_shapes", ROOT / ".ci" / "json_shapes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _told() -> dict[str, dict[str, str]]:
    """What the page says: of each command its paths, and what they hold."""
    found = {}
    for name, block in re.findall(r"^## (reasoning [^\n]*)\n\n```text\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL):
        found[name] = dict(line.split(maxsplit=1) for line in block.splitlines())
    return found


def test_every_command_that_writes_json_is_told(shapes: ModuleType) -> None:
    rest = re.findall(r"`(reasoning [^`]+)`", PAGE.partition("## Not shown")[2])
    assert sorted([*_told(), *rest]) == sorted(f"reasoning {one}" for one in shapes.json_commands())


@pytest.mark.timeout(900)
def test_keys_are_those_that_the_program_writes(shapes: ModuleType) -> None:
    """Whether a value is null, and a list empty, may differ from day to day; what is there is told, and what is told is
    there, below what is there."""
    seen: dict[str, set[str]] = {}
    for typed, value in shapes.described().items():
        seen.setdefault(shapes.name_of(typed), set()).update(shapes.shape(value))
    told = _told()
    assert set(seen) == set(told)
    for name, paths in seen.items():
        assert paths <= set(told[name]), f"{name}: write it anew: python .ci/json_shapes.py"
        gone = {one for one in set(told[name]) - paths if _is_below_what_is_there(one, paths)}
        assert gone == set(), name


def _is_below_what_is_there(path: str, paths: set[str]) -> bool:
    """Whether a key must be there: it is one of the whole, or what it lies in is there."""
    if path.endswith(("[]", "{}")):
        return False
    above, _, _ = path.rpartition(".")
    return not above or above in paths
