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


def test_every_module_can_be_the_first_one_imported() -> None:
    """An import cycle hides as long as somebody else loads its other half first."""
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(PACKAGE.rglob("*.py"))
    ]
    import_all = f"""
import contextlib, importlib, sys
for name in {names!r}:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
print(*sys.modules)
"""
    all_of_them = subprocess.run([sys.executable, "-c", import_all], capture_output=True, text=True, timeout=300)
    others = [one for one in all_of_them.stdout.split() if one.partition(".")[0] != PACKAGE.name]
    # What is not ours is loaded once, before the forks.
    fork_each = f"""
import contextlib, gc, importlib, os, sys, traceback
for name in {others!r}:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
gc.disable()  # a child is over before it would have much to collect, and would only copy what it looks through
for name in {names!r}:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            # An extra that tests install in an environment of its own, because of what it needs.
            if getattr(error, "name", None) == "elizaos":
                os._exit(0)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        print(name)
"""
    done = subprocess.run([sys.executable, "-c", fork_each], capture_output=True, text=True, check=True, timeout=300)
    assert (done.stdout, done.stderr) == ("", "")


def test_asking_a_service_loads_none_of_what_draws_tables() -> None:
    """httpx brings a command line of its own, which took a third of its import."""
    modules = "import sys, reasoning_cli.engines.together.client, reasoning_cli.engines.openai.client as client"
    done = subprocess.run([sys.executable, "-c", f"{modules}; print(*sys.modules)"], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "httpx" in loaded
    assert loaded.isdisjoint({"rich", "click", "pygments"})
