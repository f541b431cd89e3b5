"""The first page: what it shows is what the commands say, at desktop and phone size, whatever is out of reach."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from reasoning_cli.dashboard.reader import CALM_TICKS, TICK_SECONDS
from reasoning_cli.operations.sandbox import find_sandbox
from reasoning_cli.terminal.units import money
from reasoning_cli.values import MODEL_TYPES, spell_model_type
from tests.dashboard.conftest import BUDGET_CENTS, PHONE, Program, Server, fits, open_page, picture, violations
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

COMMANDS = {"report": ("costs", "report", "--offline"), "status": ("status",)}
FACTS = (
    "[...document.querySelectorAll('[data-fact][data-value]')].map(e => [e.dataset.fact, e.dataset.value, e.innerText])"
)


def facts(page: Page) -> dict[str, tuple[Any, str]]:
    """The figures on the page: of each, by its place in a command's JSON, the value and what a person reads."""
    return {
        fact: (None if value == "null" else float(value), text) for fact, value, text in page.evaluate(FACTS) if fact
    }


def cells(page: Page, table: str) -> list[dict[str, str]]:
    """The rows of a table at one moment: each cell by the name it has in the command's JSON."""
    script = """name => [...document.querySelectorAll(`[data-table=${name}] tbody tr`)].map(
        row => Object.fromEntries([...row.querySelectorAll('td[data-key]')].map(e => [e.dataset.key, e.innerText])))"""
    return [dict(row) for row in page.evaluate(script, table)]


def row_of(record: dict[str, Any]) -> dict[str, Any]:
    """A model of `status --json` as a person reads it, as far as that says the same by itself."""
    known = {"name": record["name"].replace("_", "-"), "state": record["state"], "model": record["model"]}
    if record["state"] == "READY":
        known["ready_replicas"] = f"{record['ready_replicas']} of {record['max_replicas']}"
        known["burn_cents_per_hour"] = money(record["burn_cents_per_hour"])
    return known


def cents(text: str) -> int:
    return 0 if text == "–" else round(float(text.strip("$").replace(",", "")) * 100)


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
    page.wait_for_selector("[data-fact='report.budget.used_cents']")
    names = list(facts(page))
    assert set(names) >= {
        "report.budget.rate_cents_per_hour",
        "report.budget.used_cents",
        "report.budget.limit_cents",
        "report.budget.left_cents",
        "status.sum.ready_replicas",
    }
    before = {name: said(program, name) for name in names}
    seen_before = facts(page)["report.budget.used_cents"]
    until(lambda: facts(page)["report.budget.used_cents"] != seen_before, "the next look")
    seen = facts(page)
    after = {name: said(program, name) for name in names}
    for name in names:
        value, text = seen[name]
        low, high = sorted((before[name], after[name]))
        assert low <= value <= high, name
        if name.endswith("cents") or "cents_per" in name:
            assert text.startswith(money(int(value))), name
    assert before["report.budget.limit_cents"] == seen["report.budget.limit_cents"][0] == BUDGET_CENTS


def test_the_models_are_those_of_status(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    known = program.json("status")
    assert len(known) == 3
    # What is done elsewhere comes to the page with its next look.
    until(
        lambda: (
            len(shown := cells(page, "status")) == len(known)
            and all(
                value in cell[key] if key in ("state", "model") else value == cell[key]
                for cell, record in zip(shown, known, strict=True)
                for key, value in row_of(record).items()
            )
        ),
        "what the command says",
    )

    def spent() -> list[int]:
        return [cents(cell["cost_cents"]) for cell in cells(page, "status")]

    least = [record["cost_cents"] for record in known]  # money goes on being spent meanwhile
    until(lambda: all(low <= shown for low, shown in zip(least, spent(), strict=True)), "the next look")
    seen = spent()
    most = [record["cost_cents"] for record in program.json("status")]
    assert all(low <= shown <= high for low, shown, high in zip(least, seen, most, strict=True)), (least, seen, most)


def spelt(subject: str) -> str:
    return spell_model_type(subject) if subject in MODEL_TYPES else subject


def test_events_and_the_outlook_are_those_of_their_commands(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=events] td")
    known = program.json("costs", "events", "--limit", "10")
    # The viewer is in Kathmandu, five hours and three quarters east of Greenwich.
    expected = [
        (event["action"].replace("_", " "), spelt(event["subject"]), (int(event["at"][14:16]) + 45) % 60)
        for event in known
    ]

    def events() -> list[tuple[str, str, int]]:
        return [(row["action"], row["subject"], int(row["at"][-2:])) for row in cells(page, "events")]

    until(lambda: events() == expected, "the last events")
    names = ("name", "action", "why", "text")
    outlook = program.json("costs", "outlook")
    ahead = [[each[name] for name in names] for each in outlook["next"]]
    until(lambda: [[row[name] for name in names] for row in cells(page, "outlook")] == ahead, "what the guard would do")
    assert (outlook["guard"]["looked_at"], page.get_by_text("None was ever seen").count()) == (None, 1)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_it_fits_and_keeps_nobody_out(page: Page, server: Server, size: str) -> None:
    if size == "phone":
        page.set_viewport_size(PHONE)
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    fits(page)
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


@pytest.mark.sqlite("a lock on the file itself")
def test_a_locked_database_leaves_the_last_figures_with_their_age(page: Page, server: Server, program: Program) -> None:
    """What is seen cannot be written down meanwhile; the page says how old what it shows is."""
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    (database,) = program.home.rglob("*.db")
    with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        page.wait_for_selector("[data-part=age]:has-text(' old')")
        assert page.locator("[data-table=status] tbody tr").count() == 3
        program_says = page.locator("[data-fact='report.budget.used_cents']").get_attribute("data-value")
        other.execute("ROLLBACK")
    until(lambda: facts(page)["report.budget.used_cents"][0] != float(program_says or "nan"), "the next look")
    page.wait_for_selector("[data-part=age]:has-text('locked')", state="detached")


def test_a_tab_in_the_background_asks_nothing_and_looks_as_soon_as_it_is_seen(page: Page, server: Server) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    turn = """is_hidden => {
        Object.defineProperty(document, 'hidden', {get: () => is_hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""

    def as_of() -> str:
        return page.locator("[data-part=as-of]").inner_text()

    page.evaluate(turn, True)
    page.wait_for_timeout(1000 * TICK_SECONDS)  # a round that was under way may still be shown
    before = as_of()
    assert re.fullmatch(r"As of \d\d:\d\d:\d\d, looked at every \d+ seconds( while nothing happens)?\.", before)
    page.wait_for_timeout(1000 * TICK_SECONDS * (CALM_TICKS + 0.25))
    assert as_of() == before
    page.evaluate(turn, False)
    until(lambda: as_of() != before, "a look")


def test_together_out_of_reach_leaves_what_is_known_here(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/")
    page.wait_for_selector("[data-table=status] td")
    program.must("sandbox", "stop")
    # The sandbox is started again by whoever needs it: the page's own next look.
    state = program.home / "sandbox" / "sandbox.json"
    until(lambda: find_sandbox(state) is not None, "the sandbox")
    until(lambda: any("READY" in row["state"] for row in cells(page, "status")), "the models")


def test_a_gateway_that_comes_goes_and_comes_back(
    page: Page, server: Server, program: Program, request: pytest.FixtureRequest
) -> None:
    port = free_port()
    request.addfinalizer(lambda: program.must("config", "unset", "gateway.port"))
    program.must("config", "set", "gateway.port", str(port))
    open_page(page, server, "/")
    page.wait_for_selector("text=none runs")
    for _ in range(2):
        with subprocess.Popen(
            program.command("gateway", "serve"), env=program.environ, cwd=program.home, stderr=subprocess.DEVNULL
        ) as gateway:
            try:
                page.wait_for_selector("[data-fact='gateway.requests']")
                figures = program.json("gateway", "status")
                shown = facts(page)
                assert shown["gateway.requests"][0] == figures["requests"] == 0
                assert shown["gateway.recording.stored"][0] == figures["recording"]["stored"]
                assert shown["gateway.sum.upstream_errors"][0] == sum(figures["upstream_errors"].values())
                page.wait_for_selector("text=should-respond: ")
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.wait(60)
        page.wait_for_selector("text=None answers on its port")
