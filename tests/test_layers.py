"""Which room may call which, in which order the domains of a room stand, that no files go in a circle, and that no
function takes more ways than a reader can hold in mind.

All of it is read off the source of every module: an import counts wherever it stands, inside a function or for types
alone as well.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "reasoning_cli"

ROOMS_BELOW = {
    "commands": {"operations", "decisions", "engines", "store", "terminal", "gateway", "sources", "dashboard"},
    "library": {"gateway", "operations", "decisions", "engines", "store"},
    "elizaos": {"library", "gateway", "operations", "decisions"},
    "testing": {"library", "engines", "decisions"},
    "dashboard": {"decisions", "terminal"},
    "gateway": {"operations", "decisions", "engines", "store"},
    "operations": {"decisions", "engines", "sources", "store", "redaction"},
    "decisions": set(),
    "redaction": set(),
    "engines": {"decisions"},
    "sources": set(),
    "store": set(),
    "terminal": set(),
    "sandbox": set(),
}

# The folders of a room, from the ground up: each may use those before it.
ORDER = {
    "operations": (
        "statistics",
        "account",
        "agents",
        "gateway",
        "inventory",
        "data",
        "costs",
        "deploy",
        "weights",
        "guard",
        "evaluate",
        "promote",
        "train",
        "advice",
        "doctor",
    ),
    "store": ("samples", "serving", "deploy", "train", "evaluate", "promote"),
    "engines": ("together", "openai", "head"),  # see BESIDE_EACH_OTHER
    "gateway": ("dialects", "stats", "http", "log"),
    "commands": (
        *("_shared", "config", "data", "models", "train", "costs", "gateway", "setup", "demo", "dashboard"),
        "store",
    ),
    "dashboard": ("pages",),
    "sandbox": ("http", "world", "costs", "deploy", "weights", "chat", "train"),
}

# Folders that know nothing of each other, behind a seam: what is in one is named by nobody, in its room or outside, and
# is found by the files of the room itself, by name (`engines.registry`). What people build on is those files.
BESIDE_EACH_OTHER = {"engines"}

# What of these may be named outside all the same, by whom, and why.
NAMED_OUTSIDE = {
    # A part of this program, and no service: what it learns from and what it has proven are not calls to somebody.
    "engines.head": {"operations", "gateway"},
}

MOST_MODULES = 20  # in one folder: more is a list that nobody reads
MOST_WAYS = 20  # through one function, much as radon counts them: more is several functions in one

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# The rooms (or files at the top) a library may be named in; others are free, such as the standard library.
HOMES = {
    "httpx": {"engines", "sources", "gateway", "light_httpx"},
    "pydantic": {"engines", "gateway"},
    "sklearn": {"engines"},
    "scipy": {"engines"},
    "numpy": {"engines"},
    "brotli": {"gateway"},
    "sqlite3": {"store"},
    "psycopg": {"sources", "store"},
    "duckdb": {"store"},
    "sqlite_utils": {"store"},
    "rich": {"terminal"},
    "wcwidth": {"terminal"},
    "questionary": {"terminal"},
    "prompt_toolkit": {"terminal"},
    "nicegui": {"dashboard"},
    "fastapi": {"dashboard"},
    "typer": {"commands", "app"},
    "tomllib": {"settings_file"},
    "tomlkit": {"settings_file"},
    "platformdirs": {"paths"},
    "click": set(),
    "together": set(),
    "elizaos": {"elizaos"},
}


@cache
def imports(source: str) -> tuple[str, ...]:
    """Every module or name in an import, wherever it stands."""
    return tuple(_imports(source))


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of(package: Path) -> dict[str, str]:
    """The source of each module, by its name without the package's: `operations.deploy.plan`."""
    named = ((".".join(path.relative_to(package).with_suffix("").parts), path) for path in package.rglob("*.py"))
    return {name.removesuffix(".__init__"): path.read_text() for name, path in named if name != "__init__"}


def used_by(source: str, modules: Mapping[str, str]) -> set[str]:
    """The modules of ours that a source imports, or imports something of."""
    found = set()
    for name in imports(source):
        library, _, target = name.partition(".")
        while library == "reasoning_cli" and target:
            if target in modules:
                found.add(target)
                break
            target = target.rpartition(".")[0]
    return found


def against_layers(module: str, source: str) -> list[str]:
    """What `module` (`commands.models.browse`) imports of a library or a room and must not."""
    room, _, rest = module.partition(".")
    found = []
    for name in imports(source):
        library, _, target = name.partition(".")
        if target.startswith("light_httpx."):
            library = "httpx"
        if library != "reasoning_cli":
            if room not in HOMES.get(library, {room}):
                found.append(f"{module} imports {library}")
            continue
        other = target.split(".")[0]
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


def against_order(module: str, used: set[str]) -> list[str]:
    """What `module` imports of a folder that stands after its own, or of one that keeps the module to itself."""
    room, folder, *_ = [*module.split("."), "", ""]
    found = []
    for target in sorted(used):
        other_room, other, *names = [*target.split("."), "", ""]
        order = ORDER.get(room, ())
        is_ordered = room == other_room and room not in BESIDE_EACH_OTHER and folder in order and other in order
        if is_ordered and order.index(other) > order.index(folder):
            found.append(f"{module} imports {target}, which stands after it")
        if names[0].startswith("_") and (room, folder) != (other_room, other):
            found.append(f"{module} imports {target}, which belongs to its folder")
    return found


def across_a_seam(module: str, used: set[str]) -> list[str]:
    """What `module` imports of a folder behind a seam, without being in it."""
    home = tuple(module.split(".")[:2])
    found = []
    for target in sorted(used):
        room, folder, *_ = [*target.split("."), ""]
        is_behind = room in BESIDE_EACH_OTHER and folder in ORDER[room] and (room, folder) != home
        if is_behind and home[0] not in NAMED_OUTSIDE.get(f"{room}.{folder}", ()):
            found.append(f"{module} imports {target}, which is behind the seam of {room}")
    return found


def circle(modules: Mapping[str, str], package: str = "") -> list[str]:
    """One circle of files, if there is any. `package` is the source of the package's own file, which others take the
    version from."""
    used = {name: used_by(source, modules) - {name} for name, source in modules.items()}
    for name, source in modules.items():
        if "reasoning_cli.__version__" in imports(source):
            used[name].add("reasoning_cli")
    used["reasoning_cli"] = used_by(package, modules)
    try:
        TopologicalSorter(used).prepare()
    except CycleError as error:
        return [f"a circle of files: {' -> '.join(reversed(error.args[1]))}"]
    return []


def too_full(package: Path) -> list[str]:
    folders = {path.parent for path in package.rglob("*.py")}
    counts = {folder.relative_to(package): len(list(folder.glob("*.py"))) for folder in folders}
    return [f"{folder} has {count} modules" for folder, count in sorted(counts.items()) if count > MOST_MODULES]


def ways_through(function: ast.AST) -> int:
    """The cyclomatic complexity of a function: each decision is one more way. Functions in it count on their own."""
    return 1 + sum(map(_decisions, _own_nodes(function)))


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, FUNCTIONS):
            yield child
            yield from _own_nodes(child)


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.If() | ast.IfExp() | ast.Assert():
            return 1
        case ast.For() | ast.AsyncFor() | ast.While():
            return 1 + bool(node.orelse)
        case ast.Try():
            return len(node.handlers) + bool(node.orelse)
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.match_case(pattern=pattern):
            return not (isinstance(pattern, ast.MatchAs) and pattern.pattern is None)
    return 0


def too_winding(module: str, source: str) -> list[str]:
    """The functions of a module that more ways lead through than a reader can hold in mind."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, FUNCTIONS))
    counts = ((function.name, ways_through(function)) for function in functions)
    return [f"{module}.{name} has {ways} ways through it" for name, ways in counts if ways > MOST_WAYS]


def complaints(package: Path) -> list[str]:
    modules = modules_of(package)
    found = []
    for name, source in sorted(modules.items()):
        found += against_layers(name, source)
        found += against_order(name, used_by(source, modules))
        found += across_a_seam(name, used_by(source, modules))
    return [*found, *circle(modules, (package / "__init__.py").read_text()), *too_full(package)]


def test_every_import_follows_the_arrows() -> None:
    assert complaints(PACKAGE) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("operations.deploy.plan", "from reasoning_cli.terminal.console import Terminal"),
        ("store.audit_log", "from reasoning_cli.engines.together.client import TogetherClient"),
        ("decisions.answers", "from reasoning_cli import store"),
        ("terminal.console", "import reasoning_cli.commands._shared.session"),
        ("operations.deploy.status", "def late():\n    import httpx"),
        ("operations.deploy.status", "from reasoning_cli.light_httpx import httpx"),
        ("operations.deploy.status", "import sqlite3"),
        ("commands.models.browse", "from rich.table import Table"),
        ("commands.models.browse", "from reasoning_cli.sandbox.server import SandboxServer"),
        ("operations.sandbox", "from reasoning_cli.sandbox.server import SandboxServer"),
        ("engines.openai.client", "from reasoning_cli.store.open import open_store"),
        ("engines.registry", "from reasoning_cli.operations.deploy.slots import SlotNow"),
        ("store.audit_log", "from typer import Context"),
        ("settings", "from reasoning_cli.store.open import open_store"),
        ("commands.models.browse", "from reasoning_cli.app import app"),
        ("engines.together.client", "from together import Together"),
    ],
)
def test_a_forbidden_arrow_is_noticed(module: str, source: str) -> None:
    assert len(against_layers(module, source)) == 1


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("planted") / "reasoning_cli"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        (
            "operations/costs/budget.py",
            "from reasoning_cli.terminal.units import money",
            "operations.costs.budget imports terminal.units.money",
        ),
        (
            "operations/costs/token_prices.py",
            "from reasoning_cli.operations.guard.lock import hold_guard",
            "operations.costs.token_prices imports operations.guard.lock, which stands after it",
        ),
        (
            "store/samples/labels.py",
            "from reasoning_cli.store.promote.promotions import Promotions",
            "store.samples.labels imports store.promote.promotions, which stands after it",
        ),
        (
            "commands/train/init.py",
            "from reasoning_cli.commands.data._browse_views import row_columns",
            "commands.train.init imports commands.data._browse_views, which belongs to its folder",
        ),
        ("store/database.py", "from reasoning_cli.store.backup import copy_database", "a circle of files"),
        ("store/database.py", "def late():\n    import reasoning_cli.store.backup", "a circle of files"),
        (
            "engines/together/calls.py",
            "if TYPE_CHECKING:\n    from reasoning_cli.engines.together.files import Files",
            "a circle of files",
        ),
        (
            "operations/deploy/plan.py",
            "if TYPE_CHECKING:\n    from reasoning_cli.engines.together.wire import Deployment",
            "operations.deploy.plan imports engines.together.wire, which is behind the seam of engines",
        ),
        (
            "commands/_shared/session.py",
            "def late():\n    from reasoning_cli.engines.openai.client import ModelServer",
            "commands._shared.session imports engines.openai.client, which is behind the seam of engines",
        ),
        (
            "engines/openai/client.py",
            "from reasoning_cli.engines.together.storage import Storage",
            "engines.openai.client imports engines.together.storage, which is behind the seam of engines",
        ),
        (
            "engines/registry.py",
            "from reasoning_cli.engines.together.engine import TOGETHER as loaded_early",
            "engines.registry imports engines.together.engine, which is behind the seam of engines",
        ),
    ],
    ids=[
        "layer",
        "order",
        "order of the store",
        "private",
        "circle",
        "circle in a function",
        "circle of types",
        "seam",
        "seam in a function",
        "seam between engines",
        "seam from below it",
    ],
)
def test_a_wrong_arrow_in_the_tree_is_noticed(clean: Path, file: str, line: str, said: str) -> None:
    planted = clean / file
    before = planted.read_text()
    planted.write_text(f"{before}\n{line}\n")
    try:
        found = complaints(clean)
    finally:
        planted.write_text(before)
    assert len(found) == 1, found
    assert found[0].startswith(said)


# What Together's addresses begin with, beside what everybody calls the same (chat, models, responses, messages).
ROUTE = re.compile(r"/v[123]/(?!chat|completions|embeddings|messages|models$|responses)[a-z]")


def routes_in(source: str) -> list[str]:
    texts = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return [text for text in texts if isinstance(text, str) and "\n" not in text and ROUTE.match(text)]


def test_no_route_of_a_vendor_is_written_above_the_seam() -> None:
    """What an engine is asked has a name in `engines.clients`; how it is asked is the engine's."""
    below = {"engines", "sandbox"}  # the sandbox is the other side
    modules = {name: source for name, source in modules_of(PACKAGE).items() if name.split(".")[0] not in below}
    assert [(name, found) for name, source in sorted(modules.items()) if (found := routes_in(source))] == []
    assert routes_in('path = f"/v2/projects/{project}/endpoints"') == ["/v2/projects/"]


def test_a_folder_that_gets_too_full_is_noticed(tmp_path: Path) -> None:
    for number in range(MOST_MODULES + 1):
        (tmp_path / f"module_{number}.py").touch()
    assert too_full(tmp_path) == [f". has {MOST_MODULES + 1} modules"]


def test_no_function_has_too_many_ways_through_it() -> None:
    modules = modules_of(PACKAGE)
    assert [found for name, source in sorted(modules.items()) for found in too_winding(name, source)] == []


@pytest.mark.parametrize(
    "decision",
    [
        "if a: pass",
        "a if b else c",
        "for a in b: pass",
        "async for a in b: pass",
        "while a: pass",
        "try: pass\n    except a: pass",
        "a and b",
        "[a for a in b]",
        "match a:\n        case 1: pass\n        case _: pass",
        "assert a",
    ],
)
def test_a_function_of_too_many_ways_is_noticed(decision: str) -> None:
    ways = [f"    {decision}\n" for _ in range(MOST_WAYS)]
    assert too_winding("module", "async def tidy():\n" + "".join(ways[1:])) == []
    inside = "".join(f"    {line}\n" for line in "".join(ways[1:]).splitlines())
    assert too_winding("module", f"def tidy():\n    if a: pass\n    async def inner():\n{inside}") == []
    assert too_winding("module", "async def winding():\n" + "".join(ways)) == [
        f"module.winding has {MOST_WAYS + 1} ways through it"
    ]


def test_every_room_and_every_folder_of_it_is_known() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms <= set(ROOMS_BELOW)
    assert all(importlib.util.find_spec(f"reasoning_cli.{room}") for room in rooms)
    for room in rooms:
        assert {path.parent.name for path in (PACKAGE / room).glob("*/__init__.py")} == set(ORDER.get(room, ()))


@pytest.mark.parametrize("room", [path.parent for path in PACKAGE.rglob("__init__.py")], ids=lambda path: path.name)
def test_every_room_says_what_it_does_and_who_may_call_it(room: Path) -> None:
    if room == PACKAGE:
        return
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    assert len(said.splitlines()) >= 3, room
