"""The whole where there is neither an account nor a key, on a file and on PostgreSQL."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dashboard.conftest import DESKTOP, PATIENCE_MS, ROOT, Program, Server, end, open_page, serve
from tests.sources.postgres_server import is_there, postgres_server
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PLACES = ("/money", "/train", "/configuration")


@pytest.fixture(params=["file", "postgresql"])
def lonely(request: pytest.FixtureRequest, chromium_path: str, tmp_path: Path) -> Iterator[Server]:
    """A dashboard of some decisions and nothing else."""
    with ExitStack() as stack:
        extra = {}
        if request.param == "postgresql":
            if not is_there():
                pytest.skip("no PostgreSQL here")
            extra = {"REASONING_STORE_URL": stack.enter_context(postgres_server())}
        program = Program(tmp_path, sandbox=False, extra=extra)
        program.must("data", "import", str(ROOT / "docs" / "agent-logs.jsonl.gz"), "--limit", "60")
        server = serve(program)
        stack.callback(end, server)
        yield server


def guard_and_gateway(page: Page, program: Program) -> None:
    """What the first page says of a guard that has no key to look with, and of who shares a log on PostgreSQL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        program.must("config", "set", "gateway.port", str(probe.getsockname()[1]))
    with ExitStack() as stack:
        for words in (("costs", "guard"), ("gateway", "serve")):
            command = program.command(*words)
            started = subprocess.Popen(command, env=program.environ, cwd=program.home, stderr=subprocess.DEVNULL)
            stack.callback(started.wait, 60)
            stack.callback(started.terminate)
        page.wait_for_selector(":text('sees nothing'):text('no Together API key is set')")
        page.wait_for_selector("[data-fact='gateway.requests']")
        if "REASONING_STORE_URL" in program.environ:
            page.wait_for_selector("[data-part=fleet] :text('gateway on'):text(': at work')")
            page.wait_for_selector("[data-part=fleet] :text('guard on'):text(': acts')")
        else:
            assert not page.locator("[data-part=fleet]").count()


def test_without_a_key_what_lies_here_is_shown_found_and_labelled(browser: Browser, lonely: Server) -> None:
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(PATIENCE_MS)
    page, program = context.new_page(), lonely.program
    try:
        page.goto(lonely.links[0])
        page.wait_for_selector("h1[data-connected]")
        page.wait_for_selector("[data-table=status] td")
        assert "nothing here is real" not in page.inner_text("body")
        guard_and_gateway(page, program)
        assert page.locator("[data-table=status] tbody tr").count() == 3
        page.wait_for_selector("[data-part=age]:has-text('no Together API key is set')")
        for place in PLACES:
            open_page(page, lonely, place)
            assert page.locator(".said.bad-end").all_inner_texts() == [], place
        open_page(page, lonely, "/decisions")
        listed = program.json("data", "list", "--limit", "25")
        rows = page.locator("[data-table=decisions] tbody tr")
        assert rows.count() == len(listed) == 25
        page.get_by_label("words in it").fill("tent")
        page.get_by_label("words in it").press("Enter")
        until(lambda: program.json("data", "search", "--index", "show")["whole"], "the index")
        found = program.json("data", "search", "tent", "--limit", "25", "--index", "as-is")
        assert found
        until(
            lambda: page.locator("[data-table=decisions] td[data-key=snippet]").count() == len(found), "what was found"
        )
        open_page(page, lonely, "/review")
        shown = page.locator("[data-decision]")
        sample = shown.get_attribute("data-decision")
        page.keyboard.press("a")
        until(lambda: shown.get_attribute("data-decision") != sample, "the next decision")
        assert program.json("data", "show", str(sample))[0]["label"] == "good"
    finally:
        context.close()
