"""The whole where there is neither an account nor a key, on a file and on PostgreSQL."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.dashboard.conftest import DESKTOP, PATIENCE_MS, ROOT, Program, Server, end, open_page, serve
from tests.dashboard.numbers import ZONE, compare, mismatches, unmarked
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Provider
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
    """What the first page says of a guard that has no key to look with, of a gateway that is asked, and of who shares a
    log on PostgreSQL."""
    with ExitStack() as stack:
        original = stack.enter_context(closing(Provider(canned.original)))
        with socket.create_server(("127.0.0.1", 0)) as probe, socket.create_server(("127.0.0.1", 0)) as nobody:
            ports = [each.getsockname()[1] for each in (probe, nobody)]
        program.must("config", "set", "gateway.port", str(ports[0]))
        program.must("config", "set", "gateway.openai_upstream", f"{original.url}/v1")
        program.must("config", "set", "gateway.anthropic_upstream", f"http://127.0.0.1:{ports[1]}")
        for words in (("costs", "guard"), ("gateway", "serve")):
            command = program.command(*words)
            started = subprocess.Popen(command, env=program.environ, cwd=program.home, stderr=subprocess.DEVNULL)
            stack.callback(started.wait, 60)
            stack.callback(started.terminate)
        page.wait_for_selector("[data-fact='gateway.requests']")
        page.wait_for_selector(":text('sees nothing'):text('no Together API key is set')")
        pid = program.json("costs", "outlook")["guard"]["pid"]
        assert page.get_by_text(f"Process {pid} sees nothing").count() == 1
        with httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False) as agent:
            for _ in range(3):
                body = request("chat", PROMPTS["should_respond"])
                assert agent.post(PATHS["chat"], json=body).status_code == 200
            assert agent.post(PATHS["messages"], json=request("messages", PROMPTS["planning"])).status_code == 502

        said, seen = compare(program, page)
        assert mismatches(said, seen) == {} and unmarked(page) == []
        done = said["gateway"]
        assert (done["requests"], done["recording"]["stored"], done["upstream_errors"]) == (4, 3, {"Unreachable": 1})
        if "REASONING_STORE_URL" in program.environ:
            page.wait_for_selector("[data-part=fleet] :text('gateway on'):text(': at work')")
            page.wait_for_selector("[data-part=fleet] :text('guard on'):text(': acts')")
        else:
            assert not page.locator("[data-part=fleet]").count()


def test_without_a_key_what_lies_here_is_shown_found_and_labelled(browser: Browser, lonely: Server) -> None:
    context = browser.new_context(viewport=DESKTOP, timezone_id=ZONE)
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
