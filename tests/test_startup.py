"""What is loaded when: start-up is a feature, and it is guarded by facts about modules, not by a stopwatch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reasoning_cli import __version__
from reasoning_cli.app import ENTRIES

PACKAGE = Path(__file__).parents[1] / "reasoning_cli"

HEAVY = {"httpx", "pydantic", "sqlite3", "sqlite_utils", "rich", "questionary", "prompt_toolkit", "tomlkit", "asyncio"}
OURS = {"operations", "decisions", "engines", "store", "sandbox", "gateway"}

RUN = """
import sys
before = set(sys.modules)
sys.argv = ["reasoning", *{args!r}]
from reasoning_cli.__main__ import main
try:
    main()
except SystemExit:
    pass
loaded = sorted(set(sys.modules) - before)
import json
sys.stdout.flush()
sys.stderr.write("\\n" + json.dumps(loaded))
"""


def loaded_by(*args: str) -> tuple[set[str], str]:
    """The modules a fresh interpreter has loaded after a command, and what was printed."""
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(args=args)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


def heavy(modules: set[str]) -> set[str]:
    """Those of `modules` that have no place in showing help."""
    ours = {f"reasoning_cli.{room}" for room in OURS}
    return {name for name in modules if name.partition(".")[0] in HEAVY or name in ours}


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_costs_no_more_than_starting_python(flag: str) -> None:
    modules, printed = loaded_by(flag)
    assert printed == f"reasoning {__version__}\n"
    assert modules == {"__future__", "reasoning_cli", "reasoning_cli.__main__"}


def test_help_loads_no_command() -> None:
    modules, printed = loaded_by("--help")
    assert printed.startswith("Run your agent's decisions")
    assert heavy(modules) == set()
    assert not any(name.startswith("reasoning_cli.commands.") for name in modules)


@pytest.mark.parametrize("name", ENTRIES)
def test_help_of_a_command_loads_what_it_shows_and_no_more(name: str) -> None:
    modules, printed = loaded_by(name, "--help")
    assert f"Usage: reasoning {name} " in printed
    assert heavy(modules) == set()
    assert f"reasoning_cli.commands.{name}" in modules


def test_reading_settings_loads_neither_network_nor_database() -> None:
    modules, printed = loaded_by("config", "get", "gateway.port")
    assert printed == "8001\n"
    assert heavy(modules) == set()


def test_a_store_in_a_file_loads_nothing_of_a_database_server() -> None:
    modules, printed = loaded_by("store", "info")
    assert "sqlite" in printed
    others = ("psycopg", "reasoning_cli.store.postgres", "pyarrow", "duckdb", "ray")
    assert not [name for name in modules if name.startswith(others)]


# Imports all of a package in one process, and writes each import in it of a module that is itself still being imported.
# Where there is none, no module needs that another came before: whatever it imports is whole when it goes on. That is
# so unless it finds a module by way of its package, which `import package.module` without a `from` allows.
IMPORT_ALL = """
import builtins, importlib, sys, traceback
from importlib.util import resolve_name

package, *modules = sys.argv[1:]
usual = builtins.__import__


def watched(name, globals=None, locals=None, fromlist=(), level=0):
    found = usual(name, globals, locals, fromlist, level)
    importing = (globals or {}).get("__name__", "")
    if importing.partition(".")[0] != package:
        return found
    whole = resolve_name("." * level + name, globals["__package__"]) if level else name
    if whole.partition(".")[0] == package and not fromlist:
        print(importing, "imports without `from`", whole)
    for one in (whole, *(f"{whole}.{member}" for member in fromlist or ())):
        module = sys.modules.get(one)
        if one != importing and one.partition(".")[0] == package and module and module.__spec__._initializing:
            print(importing, "imports", one, "in the middle of its import")
    return found


builtins.__import__ = watched
for name in modules:
    try:
        importlib.import_module(name)
    except BaseException as error:
        # An extra that tests install in an environment of its own, because of what it needs.
        if getattr(error, "name", None) != "elizaos":
            print(name, traceback.format_exc())
"""


def said_of_imports(package: Path) -> str:
    names = [
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(package.rglob("*.py"))
    ]
    command = [sys.executable, "-c", IMPORT_ALL, package.name, *names]
    done = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=True, timeout=300)
    assert done.stderr == ""
    return done.stdout


def test_every_module_can_be_the_first_one_imported() -> None:
    """An import cycle hides as long as somebody else loads its other half first."""
    assert said_of_imports(PACKAGE) == ""


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        ({"a": "from planted.b import B\nA = 1", "b": "import planted.a as a\nB = 1"}, "without `from` planted.a\n"),
        ({"a": "from planted.b import B\nA = 1", "b": "from . import a\nB = 1"}, "planted.b imports planted.a in the"),
        ({"a": "from .b import B", "b": "from .c import C\nB = 1", "c": "from planted.a import d"}, "planted.c "),
        (
            {"__init__": "from .a import A", "a": "from planted import b\nA = 1", "b": ""},
            "planted.a imports planted in",
        ),
        ({"a": "import planted", "b": ""}, "planted.a imports without `from` planted\n"),
        ({"a": "from .b import B", "b": ""}, "ImportError: cannot import name 'B'"),
        ({"a": "def later():\n    from . import b", "b": "from . import a"}, ""),
    ],
)
def test_a_module_that_cannot_is_found(tmp_path: Path, imports: dict[str, str], said: str) -> None:
    folder = tmp_path / "planted"
    folder.mkdir()
    for name, text in {"__init__": "", **imports}.items():
        (folder / f"{name}.py").write_text(text)
    found = said_of_imports(folder)
    assert said in found
    assert bool(said) == bool(found)


def test_asking_a_service_loads_none_of_what_draws_tables() -> None:
    """httpx brings a command line of its own, which took a third of its import."""
    modules = "import sys, reasoning_cli.engines.together.client, reasoning_cli.engines.openai.client as client"
    done = subprocess.run([sys.executable, "-c", f"{modules}; print(*sys.modules)"], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "httpx" in loaded
    assert loaded.isdisjoint({"rich", "click", "pygments"})
