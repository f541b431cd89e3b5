"""Each page at desktop and phone size, and what others wrote on them."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from reasoning_cli.terminal.units import money
from tests.dashboard.conftest import BUDGET_CENTS, PHONE, ROOT, Program, Server, fits, open_page, picture, violations
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = {
    "/money": "text=By model and training",
    "/decisions": "[data-table=decisions] td",
    "/review": "[data-decision]",
    "/train": "[data-table=trained] td",
    "/configuration": "[data-table=settings] td",
}
HOSTILE = {
    "markup": "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'><b>bold</b>",
    "template": "{{ constructor.constructor('window.hit = 3')() }} ${window.hit = 4} `",
    "terminal": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
    "direction": "\u202eevil\u202c \u2066x\u2069 \u200f",
    "long": "x" * 1_000_000,
}


@pytest.mark.parametrize("path", PAGES)
def test_each_page_fits_and_keeps_nobody_out(page: Page, server: Server, path: str) -> None:
    open_page(page, server, path)
    page.wait_for_selector(PAGES[path])
    assert violations(page) == []
    fits(page)
    picture(page, f"{path[1:]}-desktop")
    page.set_viewport_size(PHONE)
    fits(page)
    assert violations(page) == []
    picture(page, f"{path[1:]}-phone")


def test_money_is_that_of_the_bill(page: Page, server: Server, program: Program) -> None:
    low = program.json("costs", "report", "--offline")
    open_page(page, server, "/money")
    page.wait_for_selector(PAGES["/money"])
    shown = float(page.locator("[data-fact='days.total.cost_cents']").get_attribute("data-value") or "nan")
    high = program.json("costs", "report", "--offline")
    assert low["total"]["cost_cents"] <= shown <= high["total"]["cost_cents"]
    until(
        lambda: f"budget {money(BUDGET_CENTS)} a month" in page.locator("svg").first.inner_html(),
        "the budget as a line",
    )
    names = page.locator("[role=img][aria-label^='Ready and stopped'] svg text").all_text_contents()
    assert {"planning", "should-respond"} <= set(names) and "0.5" not in names
    assert page.get_by_text("Models of yours answered no decision in the last seven days.").count() == 1
    page.get_by_text("Table: Spent by day").click()
    days = program.json("costs", "report", "--offline", "--by", "day")["lines"]
    table = page.get_by_role("region", name="Spent by day")
    assert table.locator("tbody tr").count() == len(days)
    page.get_by_role("button", name="Look again").click()
    page.get_by_role("button", name="Compare with Together's bill").click()
    page.get_by_text("ledger $").first.wait_for()


def test_a_run_shows_its_loss_with_its_steps(page: Page, server: Server, program: Program) -> None:
    measured = program.json("train", "events", "1", "--metrics")
    open_page(page, server, "/train")
    page.locator("[data-table=trained]").get_by_role("button", name="Show").first.click()
    page.locator("[role=img][aria-label^='Loss.'] svg").wait_for()
    page.get_by_text("Table: Loss").click()
    table = page.get_by_role("region", name="Loss", exact=True)
    shown = table.locator("td[data-key=train_loss]").all_inner_texts()
    assert shown == [f"{step['train_loss']:.4f}" for step in measured]
    assert len(shown) > 3
    assert violations(page) == []


def test_what_is_measured_now_and_then_is_drawn_as_points() -> None:
    """Between gaps there is no line: the validation of a long run was in the legend, and nowhere to be seen."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.charts import Series, _series

    assert _series(Series("validation", [None] * 50 + [0.5] + [None] * 50), 1)["showSymbol"]
    assert not _series(Series("training", [0.5] * 101), 0)["showSymbol"]


def test_decisions_are_paged_by_the_server_and_found_by_filter_and_words(
    page: Page, server: Server, program: Program
) -> None:
    open_page(page, server, "/decisions")
    rows = page.locator("[data-table=decisions] tbody tr")
    message = page.locator("[data-table=decisions] td[data-key=message]").first
    page.wait_for_selector(PAGES["/decisions"])
    first, everything = message.inner_text(), program.json("data", "list", "--limit", "60")
    assert rows.count() == 25
    page.get_by_role("button", name="Older").click()
    until(lambda: message.inner_text() != first, "the next page")
    assert message.inner_text() == " ".join(everything[25]["message"][:300].split())
    page.get_by_label("type").select_option("planning")
    planned = program.json("data", "list", "--limit", "25", "-m", "planning")
    until(lambda: message.inner_text() == " ".join(planned[0]["message"][:300].split()), "planning alone")
    page.get_by_label("words in it").fill("tent")
    page.get_by_label("words in it").press("Enter")
    until(lambda: program.json("data", "search", "--index", "show")["whole"], "the index")
    found = program.json("data", "search", "tent", "-m", "planning", "--limit", "25", "--index", "as-is")
    # Its index is read by a process beside the pages, and then searched again.
    snippets = page.locator("[data-table=decisions] td[data-key=snippet]")
    until(lambda: snippets.count() == len(found) > 0, "what was found")
    until(lambda: page.locator("[data-part=index]").inner_text() == "", "the index")
    page.get_by_role("button", name="Show").first.click()
    page.wait_for_selector("#decision")
    assert found[0]["id"] in page.locator("#decision").inner_text()
    page.get_by_role("button", name="The prompt as it was").click()
    page.wait_for_selector("text=/prompt, .* characters/")
    page.get_by_role("button", name="Newest").click()
    page.wait_for_selector("text=is not a", state="detached")
    page.get_by_label("since (7d, 2026-11-01)").fill("never")
    page.get_by_role("button", name="Look", exact=True).click()
    page.wait_for_selector("text=is not a")


def test_who_answered_is_drawn_when_it_is_asked_for(page: Page, server: Server, program: Program) -> None:
    """Everything came in by an import, but for what other tests let a gateway write down: the figures are those of the
    command, and where there are none a sentence stands there."""
    open_page(page, server, "/decisions")
    page.get_by_label("who answered, of the last").select_option("30d")
    page.get_by_role("button", name="Draw").click()
    page.get_by_text("Agreement of shadows with the baseline").wait_for()
    known = program.json("gateway", "stats", "--since", "30d")["model_types"]
    counts = [f"{part['count']:,}" for entry in known.values() for part in entry["by_source"].values()]
    assert page.locator("[data-table=stats] td[data-key=count]").all_inner_texts() == counts
    assert page.locator("[role=img][aria-label='Who answered']").count() == bool(known)
    assert page.get_by_text("No decision came through a gateway in that time.").count() == (not known)
    page.get_by_text("Table: Who answered").click()
    assert page.get_by_role("region", name="Who answered", exact=True).locator("tbody tr").count() == 12
    assert violations(page) == []


def test_over_time_the_head_is_drawn_too_and_each_type_is_as_fast_as_its_own_model() -> None:
    """The last type's figures stood for all of them, and what a head answered alone was a gap."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.pages.decisions import _piece

    def part(count: int, p50: int) -> dict[str, object]:
        return {"count": count, "p50_ms": p50, "p95_ms": 2 * p50}

    types = {
        "should_respond": {"by_source": {"head": part(3, 1), "slot": part(2, 40)}},
        "planning": {"by_source": {"slot": part(5, 900), "original": part(4, 700)}},
    }
    found = _piece({"types": types}, "now")
    assert {name: found[name] for name in ("head", "slot", "original", "fallback")} == {
        "head": 3, "slot": 7, "original": 4, "fallback": 0,
    }  # fmt: skip
    assert (found["p50 should_respond"], found["p95 planning"]) == (40, 1800)
    alone = _piece({"types": {"should_respond": {"by_source": {"head": part(3, 1)}}}}, "now")
    assert (alone["head"], alone["slot"]) == (3, 0)
    assert _piece({"types": {}}, "now")["head"] is None


def test_an_evaluation_is_shown_side_by_side(page: Page, server: Server, program: Program) -> None:
    (made,) = program.json("train", "evals")
    report = program.json("train", "eval", "should-respond", "--show", str(made["evaluation"]))
    open_page(page, server, "/train")
    page.locator("[data-table=evals]").get_by_role("button", name="Show").click()
    table = page.get_by_role("region", name="Side by side, with intervals")
    table.locator("th").first.wait_for()
    heads = [text.lower() for text in table.locator("th").all_inner_texts()]
    assert heads == ["figure", *(model["name"].lower() for model in report["models"])]
    assert table.locator("tbody tr", has_text="valid").count() == 1
    page.get_by_role("button", name="Look again").click()
    assert violations(page) == []


def test_what_users_of_agents_wrote_is_text(page: Page, server: Server, program: Program) -> None:
    """Neither markup nor templates nor controls do anything, in a row, in a decision whole, or in a review."""
    with gzip.open(ROOT / "docs" / "agent-logs.jsonl.gz", "rt", encoding="utf-8") as log:
        like = json.loads(log.readline())
    harmless = "we finally went to the river path and it was fine."
    assert harmless in like["body"]["prompt"]
    file = program.home / "hostile.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for number, text in enumerate(HOSTILE.values()):
            body = {**like["body"], "prompt": like["body"]["prompt"].replace(harmless, text), "runId": f"run-{number}"}
            record = {
                **like,
                "id": f"hostile-{number}",
                "created_at": f"2026-11-22T0{number}:00:00+00:00",
                "body": body,
            }
            out.write(json.dumps(record) + "\n")
    program.must("data", "import", str(file))
    open_page(page, server, "/decisions")
    page.wait_for_selector(PAGES["/decisions"])
    listed = page.locator("[data-table=decisions]").inner_text()
    for path in ("/decisions", "/review"):
        open_page(page, server, path)
        page.wait_for_selector(PAGES[path])
        if path == "/review":
            for _ in range(len(HOSTILE)):
                listed += page.locator("[data-part=message]").inner_text()
                before = page.locator("[data-decision]").inner_text()
                page.keyboard.press("s")
                until(lambda before=before: page.locator("[data-decision]").inner_text() != before, "the next one")
        assert page.evaluate("window.hit") is None
    assert "<script>window.hit = 1</script>" in listed
    assert "{{ constructor" in listed
    assert "\\x1b[31mred" in listed
    assert "\\u202eevil" in listed
    assert "characters more" in listed
    assert not set(listed) & set("\x1b\x9b\u202e\u2066\u200f")
