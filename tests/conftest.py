"""What every test stands on: a home of its own, the program as a function, and the sandbox."""

from __future__ import annotations

import gc
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import direct, forking, once

# Typer decides about colour when it is imported; on CI these would force it.
for _name in ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS", "NO_COLOR"):
    os.environ.pop(_name, None)

# A shell starts what runs in its background with Ctrl-C ignored, and programs started from here would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

once.share()
forking.share()
direct.share()

# The same examples each time, however long they take: what a slow machine or a new seed finds is not an answer to
# whether a change is sound. To look for more: `pytest --hypothesis-profile=default`.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("steady")

SHARED = Path(__file__).parents[2] / "shared"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes for `-n auto`: none beside pytest's own for files and tests that are named, else one more than there
    are processors, up to four: the suite waits about half of its time."""
    if not all(Path(one).is_dir() for one in config.args):
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors + 1, 4)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store",
        choices=("sqlite", "postgresql"),
        help="run every test on this engine; by default those marked `both_engines` run on both, the others on SQLite",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_engines: what is tested runs on SQLite and on PostgreSQL")
    config.addinivalue_line("markers", "sqlite(why): what is tested is the file, or how SQLite works")
    config.addinivalue_line("markers", "says_which_store: the test itself says which store is where")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--store postgresql` what is of the file alone is skipped, and listed with the reason."""
    for item in items:
        if marked := item.get_closest_marker("sqlite"):
            (why,) = marked.args
            if config.getoption("--store") == "postgresql":
                item.add_marker(pytest.mark.skip(reason=f"SQLite only: {why}"))


def pytest_collection_finish() -> None:
    # Thousands of tests stay to the end: nobody need look through them for what may go, nor for it all the time.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_xdist_setupnodes() -> None:
    forking.share_among_processes()


def pytest_unconfigure(config: pytest.Config) -> None:
    forking.end()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker
    if marked("sqlite") or marked("says_which_store"):
        return
    if (only := metafunc.config.getoption("--store")) is not None:
        metafunc.parametrize("store_engine", [only], indirect=True)
    elif marked("both_engines"):
        metafunc.parametrize("store_engine", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="session")
def schemas() -> Iterator[object]:
    """A PostgreSQL server of this process's own, started when a test first needs it."""
    from tests import stores

    with stores.server() as found:
        yield found


@pytest.fixture(autouse=True)
def store_engine(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What stores of this test are on: `sqlite`, or where the test asks for it `postgresql`."""
    engine: str = getattr(request, "param", "sqlite")
    if engine == "sqlite":
        yield engine
        return
    from tests import stores

    found = request.getfixturevalue("schemas")
    if found is None:
        pytest.skip("there is no PostgreSQL here")
    with stores.in_place_of_files(found, monkeypatch, home):
        yield engine


@pytest.fixture
def no_address(store_engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable says where the store is, for what looks at where settings come from; programs that are started have
    a file then."""
    for name in ("REASONING_STORE_URL", "REASONING_STORE_SCHEMA"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class Result:
    """What a command did: exit code and both streams, whole."""

    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


_folders = itertools.count()


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder of this test's own. pytest's has the name of the test and a link to the newest of that name, and
    makes both anew for each of thousands."""
    folder = tmp_path_factory.getbasetemp() / f"{next(_folders)}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and no setting from the developer's environment."""
    for name in list(os.environ):
        if name.startswith(("REASONING", "CUSTOM_REASONING", "TOGETHER", "ANTHROPIC", "OPENAI")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("REASONING_HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "120")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@pytest.fixture
def reasoning() -> Run:
    """Run the program in this process: `reasoning("models", "list")`. Never a terminal."""
    from typer.testing import CliRunner

    from reasoning_cli.app import app

    def run(*args: object, input: str | None = None) -> Result:
        done = CliRunner().invoke(
            app, [str(arg) for arg in args], input=input, prog_name="reasoning", catch_exceptions=False
        )
        return Result(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def shared() -> Path:
    """Recorded traffic and contracts of the vendors; tests that need them skip without."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared folder here")
    return SHARED


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A sandbox in the place of Together: the program believes it talks to the real one. Each request takes ten
    seconds of its clock."""
    from reasoning_cli.sandbox.server import SandboxServer

    with SandboxServer(speed=0) as server:
        server.service.step_seconds = Decimal(10)
        monkeypatch.setenv("TOGETHER_API_KEY", "sandbox-key")
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
        yield server
