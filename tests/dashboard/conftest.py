"""A real browser before a dashboard of a sandbox on which a day was spent: one of each for all tests of a process.

Skips, with a word, where Playwright's package or a Chromium is not to be had.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest

from reasoning_cli.values import DatabaseAddress
from tests.conftest import Result
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, StorageState

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
# Where pictures are left that somebody wants to look at after a run.
ARTEFACTS = os.environ.get("DASHBOARD_PICTURES")
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# What is spent while the slowest machine runs all of these tests is far less, at sixty hours an hour.
BUDGET_CENTS = 300_000
# A browser, a dashboard and a sandbox share what a busy machine has left: only a test that fails waits so long.
PATIENCE_MS = 150_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first begins an account, a dashboard and a browser: its own time counts from there."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600, func_only=True))


@dataclass
class Program:
    """The program with an account and data of its own, as processes; `extra` stands in its environment besides."""

    home: Path
    sandbox: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)
    address: DatabaseAddress | None = None

    @property
    def place(self) -> Path | DatabaseAddress:
        """Where its store is."""
        if self.address is not None:
            return self.address
        (database,) = self.home.rglob("reasoning.db")
        return database

    @property
    def environ(self) -> dict[str, str]:
        names = ("REASONING", "CUSTOM_REASONING", "TOGETHER", "ANTHROPIC", "OPENAI")
        own = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        return {**own, "REASONING_HOME": str(self.home), "TZ": "UTC", "COLUMNS": "200", **self.extra}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "reasoning_cli", *(["--sandbox"] if self.sandbox else []), *words]

    def run(self, *words: str) -> Result:
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            timeout=280,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def must(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exit_code == 0, (words, done.stderr)
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.must(*words, "--json"))

    def events(self, action: str) -> list[Any]:
        """What was done so, the newest first; models write events of their own in between."""
        return [event for event in self.json("costs", "events", "--limit", "1000") if event["action"] == action]


@dataclass
class Server:
    """A dashboard that runs. `lines` is what it prints."""

    program: Program
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    reading: threading.Thread = field(default_factory=threading.Thread)

    @property
    def links(self) -> list[str]:
        return [line for line in self.lines if "/login?key=" in line]

    @property
    def base(self) -> str:
        return self.links[0].partition("/login")[0]


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, run in a thread of its own: in this one a browser's loop may be at work."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def serve(program: Program, *options: str) -> Server:
    """Start a dashboard, and read what it prints."""
    process = subprocess.Popen(
        program.command("dashboard", "--no-open", "--port", "0", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=program.environ,
        cwd=program.home,
        stdin=subprocess.DEVNULL,
    )
    server = Server(program, process)

    def read_lines() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            server.lines.append(line.strip())

    server.reading = threading.Thread(target=read_lines, daemon=True)
    server.reading.start()
    until(lambda: bool(server.links) or process.poll() is not None, "a link", seconds=280)
    assert server.links, "the dashboard did not start"
    return server


def end(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    try:
        server.process.wait(15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait(15)
    server.reading.join(15)
    if server.process.stdout is not None:
        server.process.stdout.close()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Chromium, of the system."""
    pytest.importorskip("nicegui", reason="no NiceGUI: pip install 'reasoning[dashboard]'")
    pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install 'reasoning[test]'")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    return found


@pytest.fixture(scope="package")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Ends with the last of these tests: until then its loop runs in this thread, where others begin loops of their
    own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def first_day(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an account on which a day was spent, which one process has made for all: to be copied."""
    folder = tmp_path_factory.getbasetemp()
    first = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "dashboard-first"
    first.mkdir(exist_ok=True)
    with (first / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (first / "whole").exists():
            spend_a_day(Program(first / "home"))
            (first / "whole").touch()
    return first / "home"


@pytest.fixture(scope="session")
def program(
    first_day: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Program]:
    """An account and data of this process."""
    made = Program(tmp_path_factory.mktemp("dashboard"))
    shutil.copytree(first_day, made.home, dirs_exist_ok=True)
    if request.config.getoption("--store") == "postgresql":
        if (found := request.getfixturevalue("schemas")) is None:
            pytest.skip("there is no PostgreSQL here")
        put_into(found.url, made)
    yield made
    made.run("sandbox", "stop")


def put_into(url: str, made: Program) -> None:
    """Take what an account holds to a server, where its store is from now on."""
    made.must("config", "set", "store.schema", "dashboard")
    made.must("store", "copy", str(made.place), url)
    made.must("config", "set", "store.url", url)
    made.address = DatabaseAddress(url, "dashboard", made.home / "sandbox" / "reasoning.db")
    for file in (made.home / "sandbox").glob("reasoning.db*"):
        file.unlink()


def spend_a_day(made: Program) -> None:
    """On the sandbox: a budget, an agent's decisions, two models, one of them trained here, and how it did."""
    shutil.rmtree(made.home, ignore_errors=True)  # of a process that was ended on the way
    made.home.mkdir()
    made.must("costs", "set-budget", str(BUDGET_CENTS // 100))
    made.must("data", "import", str(ROOT / "docs" / "agent-logs.jsonl.gz"), "--limit", "900")
    made.must("models", "deploy", "planning", "--yes", "--idle-minutes", "0")
    made.must("train", "start", "should-respond", "--yes")
    (run,) = made.json("train", "list", "--offline")
    made.must("models", "deploy", run["model"], "--as", "should-respond", "--yes", "--idle-minutes", "0")
    made.must("train", "eval", "should-respond", "--model", "should-respond", "--holdout", "--yes", "--sample", "60")
    made.must("sandbox", "stop")


@pytest.fixture(scope="session")
def server(program: Program) -> Iterator[Server]:
    started = serve(program)
    yield started
    end(started)


@pytest.fixture(scope="session")
def state(server: Server) -> StorageState:
    return logged_in(server)


def logged_in(server: Server) -> StorageState:
    """What a browser holds after the login: the link works once, and a process may begin a second browser."""
    answer = httpx.get(server.links[0], timeout=PATIENCE_MS / 1000)
    assert answer.status_code == 303, answer.text
    (cookie,) = answer.cookies.jar
    return {
        "cookies": [
            {
                "name": cookie.name,
                "value": str(cookie.value),
                "domain": cookie.domain,
                "path": cookie.path,
                "expires": -1,
                "httpOnly": True,
                "secure": False,
                "sameSite": "Strict",
            }
        ]
    }


@pytest.fixture
def context(browser: Browser, state: StorageState) -> Iterator[BrowserContext]:
    """A browser that is logged in, in a zone of its own."""
    made = browser.new_context(viewport=DESKTOP, storage_state=state, timezone_id="Asia/Kathmandu")
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab in which nothing may go wrong: neither a script nor what a page may load."""
    made = context.new_page()
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield made
    assert problems == []


def open_page(page: Page, server: Server, path: str) -> None:
    """Open a page, and wait until it hears what is done on it: before that, a click may overtake what was typed."""
    page.goto(f"{server.base}{path}")
    page.wait_for_selector("h1[data-connected]")


def fits(page: Page) -> None:
    """Nothing is wider than the window, once charts have taken its size."""
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def picture(page: Page, name: str) -> None:
    """Leave a picture where pictures are wanted."""
    if ARTEFACTS:
        Path(ARTEFACTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(ARTEFACTS) / f"{name}.png")


def violations(page: Page) -> list[str]:
    """What axe-core finds that keeps people out, serious and critical, once nothing fades in or out any more."""
    page.wait_for_function(
        """() => !document.querySelector('[class*="-enter-"], [class*="-leave-"]')
            && document.getAnimations().every(each => each.playState !== 'running')"""
    )
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:150]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
