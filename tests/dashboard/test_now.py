"""The first page: what it shows is what the commands say, at desktop and phone size, whatever is out of reach."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from reasoning_cli.terminal.units import money
from tests.dashboard.conftest import PHONE, Program, Server, open_page, picture, violations
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

COMMANDS = {"report": ("costs", "report", "--offline"), "status": ("status",)}
FACTS = "[...document.querySelectorAll('[data-fact]')].map(e => [e.dataset.fact, e.dataset.value, e.innerText])"


def facts(page: Page) -> dict[str, tuple[Any, str]]:
    """The figures on the page: of each, by its place in a command's JSON, the value and what a person reads."""
    return {
        fact: (None if value == "null" else float(value), text) for fact, value, text in page.evaluate(FACTS) if fact
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def said(program: Program, fact: str) -> Any:
    """What the command says there now."""
    command, *path = fact.split(".")
    value = program.json(*COMMANDS[command])
    if path[0] == "sum":
        return sum(row[path[1]] or 0 for row in value)
    for name in path:
        value = value[name]
    return value


def test_every_figure_is_what_the_command_says(page: Page, server: Server, program: Program) -> None:
    """Money goes on being spent between two looks: a figure lies between what is said before it and after it."""
    open_page(page, server, "/")
    page.wait_for_selector("[data-fact='report.total.cost_cents']")
    names = list(facts(page))
    assert set(names) >= {
        "report.budget.burn_cents_per_hour",
        "report.total.cost_cents",
        "report.budget.limit_cents",
        "report.budget.left_cents",
        "status.sum.ready_replicas",
    }
    before = {name: said(program, name) for name in names}
    seen_before = facts(page)["report.total.cost_cents"]
    until(lambda: facts(page)["report.total.cost_cents"] != seen_before, "the next look", seconds=30)
    seen = facts(page)
    after = {name: said(program, name) for name in names}
    for name in names:
        value, text = seen[name]
        low, high = sorted((before[name], after[name]))
        assert low <= value <= high, name
        if name.endswith("cents") or "cents_per" in name:
            assert text.startswith(money(int(value))), name
    assert before["report.budget.limit_cents"] == seen["report.budget.limit_cents"][0] == 30000


def test_the_models_are_those_of_status(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    rows = page.locator("[data-table=status] tbody tr")
    told = program.json("status")
    assert rows.count() == len(told) == 3
    for place, record in enumerate(told):
        cells = {
            key: rows.nth(place).locator(f"td[data-key={key}]").inner_text()
            for key in ("name", "state", "ready_replicas", "burn_cents_per_hour", "model")
        }
        assert cells["name"] == record["name"].replace("_", "-")
        assert record["state"] in cells["state"]
        assert record["model"] in cells["model"]
        if record["state"] == "READY":
            assert cells["ready_replicas"] == f"{record['ready_replicas']} of {record['max_replicas']}"
            assert cells["burn_cents_per_hour"] == money(record["burn_cents_per_hour"])


def test_events_and_the_outlook_are_those_of_their_commands(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=events] td")
    told = program.json("costs", "events", "--limit", "10")
    what = page.locator("[data-table=events] td[data-key=action]").all_inner_texts()
    assert what == [event["action"].replace("_", " ") for event in told]
    # The viewer is in Kathmandu, five hours and three quarters east of Greenwich.
    at = page.locator("[data-table=events] td[data-key=at]").first.inner_text()
    assert int(at[-2:]) == (int(told[0]["at"][14:16]) + 45) % 60
    ahead = program.json("costs", "outlook")["next"]
    assert page.locator("[data-table=outlook] td[data-key=why]").all_inner_texts() == [each["why"] for each in ahead]


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_it_fits_and_keeps_nobody_out(page: Page, server: Server, size: str) -> None:
    if size == "phone":
        page.set_viewport_size(PHONE)
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "nothing here is real" in page.locator(".banner").first.inner_text()
    assert violations(page) == []
    picture(page, f"now-{size}")


def test_dark_keeps_nobody_out_either(page: Page, server: Server) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    page.get_by_role("button", name="Dark or light").click()
    page.wait_for_selector("body.body--dark")
    assert violations(page) == []
    page.get_by_role("button", name="Dark or light").click()


def test_a_locked_database_leaves_the_last_figures_with_their_age(page: Page, server: Server, program: Program) -> None:
    """What is seen cannot be written down meanwhile; the page says how old what it shows is."""
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    (database,) = program.home.rglob("*.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        page.wait_for_selector("[data-part=age]", timeout=30_000)
        assert " old" in page.locator("[data-part=age]").inner_text()
        assert page.locator("[data-table=status] tbody tr").count() == 3
        other.execute("ROLLBACK")
    page.wait_for_selector("[data-part=age]", state="detached", timeout=60_000)


def test_together_out_of_reach_leaves_what_is_known_here(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    program.must("sandbox", "stop")
    # The sandbox is started again by whoever needs it: the page's own next look.
    until(lambda: "READY" in page.locator("[data-table=status]").inner_text(), "the models", seconds=60)


def test_a_gateway_that_comes_goes_and_comes_back(page: Page, server: Server, program: Program) -> None:
    port = free_port()
    program.must("config", "set", "gateway.port", str(port))
    open_page(page, server, "/")
    page.wait_for_selector("text=none runs")
    for _ in range(2):
        with subprocess.Popen(
            program.command("gateway", "serve"), env=program.environ, cwd=program.home, stderr=subprocess.DEVNULL
        ) as gateway:
            try:
                page.wait_for_selector("[data-fact='gateway.requests']", timeout=60_000)
                figures = program.json("gateway", "status")
                shown = facts(page)
                assert shown["gateway.requests"][0] == figures["requests"] == 0
                assert shown["gateway.recording.stored"][0] == figures["recording"]["stored"]
                assert shown["gateway.sum.upstream_errors"][0] == sum(figures["upstream_errors"].values())
                page.wait_for_selector("text=should-respond: ")
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.wait(60)
        page.wait_for_selector("text=None answers on its port", timeout=60_000)
    program.must("config", "unset", "gateway.port")
