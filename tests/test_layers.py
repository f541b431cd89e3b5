"""Which room may call which, read off the source of every module."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "reasoning_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

ROOMS_BELOW = {
    "commands": {"operations", "decisions", "together", "store", "terminal", "gateway", "sources"},
    "gateway": {"operations", "decisions", "together", "store"},
    "operations": {"decisions", "together", "sources", "store"},
    "decisions": set(),
    "together": set(),
    "sources": set(),
    "store": set(),
    "terminal": set(),
    "sandbox": set(),
}

# The rooms (or files at the top) a library may be named in; others are free, such as the standard library.
HOMES = {
    "httpx": {"together", "sources", "gateway"},
    "pydantic": {"together", "gateway"},
    "brotli": {"gateway"},
    "sqlite3": {"store"},
    "psycopg": {"sources"},
    "sqlite_utils": {"store"},
    "rich": {"terminal"},
    "questionary": {"terminal"},
    "prompt_toolkit": {"terminal"},
    "typer": {"commands", "app"},
    "tomllib": {"settings_file"},
    "tomlkit": {"settings_file"},
    "platformdirs": {"paths"},
    "click": set(),
    "together": set(),
}


def imports(source: str) -> Iterator[str]:
    """Every module named in an import, wherever it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def complaints(module: str, source: str) -> list[str]:
    """What `module` (`commands.models.browse`) imports and must not."""
    room, _, rest = module.partition(".")
    found = []
    for name in imports(source):
        library, _, target = name.partition(".")
        if library != "reasoning_cli":
            if room not in HOMES.get(library, {room}):
                found.append(f"{module} imports {library}")
            continue
        parts = target.split(".")
        other = parts[0]
        if not (PACKAGE / other).is_dir():
            if other in ("app", "__main__") and (room, other) != ("__main__", "app"):
                found.append(f"{module} imports {target}")
        elif rest or (PACKAGE / room).is_dir():
            allowed = {room} | ROOMS_BELOW[room] | ({"sandbox"} if module == "commands.sandbox" else set())
            if other not in allowed:
                found.append(f"{module} imports {target}")
        elif room != "app":
            found.append(f"{module}, a file at the top, imports {target}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_import_follows_the_arrows(path: Path) -> None:
    relative = path.relative_to(PACKAGE).with_suffix("")
    assert complaints(".".join(relative.parts), path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("operations.deploy.plan", "from reasoning_cli.terminal.console import Terminal"),
        ("store.audit_log", "from reasoning_cli.together.client import TogetherClient"),
        ("decisions.answers", "from reasoning_cli import store"),
        ("terminal.console", "import reasoning_cli.commands._shared.session"),
        ("operations.deploy.status", "def late():\n    import httpx"),
        ("operations.deploy.status", "import sqlite3"),
        ("commands.models.browse", "from rich.table import Table"),
        ("commands.models.browse", "from reasoning_cli.sandbox.server import SandboxServer"),
        ("operations.sandbox", "from reasoning_cli.sandbox.server import SandboxServer"),
        ("store.audit_log", "from typer import Context"),
        ("settings", "from reasoning_cli.store.open import open_store"),
        ("commands.models.browse", "from reasoning_cli.app import app"),
        ("together.client", "from together import Together"),
    ],
)
def test_a_forbidden_arrow_is_noticed(module: str, source: str) -> None:
    assert len(complaints(module, source)) == 1


def test_every_room_is_known() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms <= set(ROOMS_BELOW)
    assert all(importlib.util.find_spec(f"reasoning_cli.{room}") for room in rooms)
