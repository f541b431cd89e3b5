"""Every number of the first page is the one that its command says with `--json` at the same moment: in a browser, on a
sandbox whose clock stands still."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard import test_stores
from tests.dashboard.conftest import (
    DESKTOP,
    PATIENCE_MS,
    PHONE,
    Program,
    Server,
    end,
    fits,
    logged_in,
    open_page,
    picture,
    serve,
    violations,
)
from tests.dashboard.numbers import NUMBERS, ZONE, compare, mismatches, pattern_of, unmarked
from tests.dashboard.world import World, still_world
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# What this world has not, with the test that compares it.
ELSEWHERE = {"gateway.fleet.*": test_stores.test_without_a_key_what_lies_here_is_shown_found_and_labelled}
# Texts of others, and words that were typed here: in neither is a number of ours.
NOT_NUMBERS = {"gateway.problem", "gateway.slots.*.waking", "acts"}


@dataclass
class Looked:
    """The page as it was, and what the commands said then."""

    program: Program
    server: Server
    page: Page
    said: Mapping[str, Any]
    seen: list[tuple[str, str]]


@pytest.fixture(scope="module")
def world(first_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with still_world(tmp_path_factory.mktemp("still"), first_day) as made:
        yield made


@pytest.fixture(scope="module")
def looked(world: World, browser: Browser) -> Iterator[Looked]:
    server = serve(world.program)
    context = browser.new_context(viewport=DESKTOP, storage_state=logged_in(server), timezone_id=ZONE)
    try:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        open_page(page, server, "/")
        page.wait_for_selector("[data-table=status] td")
        page.wait_for_selector("[data-fact='gateway.requests']")
        yield Looked(world.program, server, page, *compare(world.program, page))
    finally:
        context.close()
        end(server)


@pytest.mark.parametrize("place", [place for place in NUMBERS if place not in ELSEWHERE])
def test_the_number_is_the_one_of_its_command(looked: Looked, place: str) -> None:
    texts = [text for found, text in looked.seen if pattern_of(found)[0] == place]
    assert any(re.search(r"\w", text) for text in texts), "is not on the page"
    assert mismatches(looked.said, looked.seen).get(place) is None


def test_no_number_is_shown_that_nothing_compares(looked: Looked) -> None:
    assert unmarked(looked.page) == []
    assert {pattern_of(place)[0] for place, _ in looked.seen} <= set(NUMBERS)


def test_every_number_that_the_page_can_show_is_compared() -> None:
    """By its source: a place that is named there stands in the list, and nothing stands in the list that is nowhere."""
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.pages import now

    commands = "report|status|outlook|gateway|trained|promotions|loops|acts"
    named = re.findall(rf'f?"((?:{commands})(?:\.[^"\s]*)?)"', inspect.getsource(now))
    places = {re.sub(r"\{[^}]*\}", "*", name) for name in named if "." in name}
    tables = {
        place for place in NUMBERS if place.startswith(("status.", "outlook.", "events.")) and place not in places
    }
    assert places == set(NUMBERS) - tables | (NOT_NUMBERS - {"acts"})
    assert {"fleet"} == {place.split(".")[1] for place in ELSEWHERE}
    assert "mismatches(" in inspect.getsource(test_stores)


def test_the_world_has_what_is_to_be_seen(looked: Looked) -> None:
    """Not dashes alone: idle time, requests an hour, tokens by their price, a head in line, and why a slot is off."""
    rows = {row["name"]: row for row in looked.said["status"]}
    assert rows["planning"]["quiet_seconds"] >= 25 * 60 and rows["planning"]["requests_last_hour"] > 0
    assert rows["coding"]["requests_last_hour"] > 0
    assert rows["head/should-respond"]["state"] == "in line"
    assert "asked for it" in rows["should_respond"]["off_why"]
    (cost,) = looked.said["report"]["by_token"]
    assert cost["prompt_tokens"] > 3000 and float(cost["cost_low_cents"]) > 0 and cost["uncounted"]
    budget = looked.said["report"]["budget"]
    assert budget["used_low_cents"] < budget["used_high_cents"] and budget["ends_at"] and budget["cap_cents_per_hour"]
    assert looked.said["outlook"]["next"] and looked.said["outlook"]["guard"]["running"]
    head = looked.said["gateway"]["model_types"]["should_respond"]["head"]
    assert (head["asked"], head["compared"], head["disagreed"]) == (2, 2, 1)
    reachable = [host["reachable"] for host in looked.said["gateway"]["baseline"]]
    assert sorted(reachable) == [False, True]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_with_all_of_it_the_page_fits_and_keeps_nobody_out(looked: Looked, dark: bool) -> None:
    page = looked.page
    page.emulate_media(color_scheme="dark" if dark else "light")
    for name, size in (("phone", PHONE), ("desktop", DESKTOP)):
        page.set_viewport_size(size)
        fits(page)
        assert violations(page) == []
        picture(page, f"numbers-{name}{'-dark' if dark else ''}")


def test_who_answered_over_time_is_what_the_gateway_wrote_down(looked: Looked) -> None:
    page = looked.page.context.new_page()
    open_page(page, looked.server, "/decisions")
    page.get_by_role("button", name="Draw").click()
    page.get_by_text("Agreement of shadows with the baseline").wait_for()
    known = looked.program.json("gateway", "stats", "--since", "24h")["model_types"]
    counts = [f"{part['count']:,}" for entry in known.values() for part in entry["by_source"].values()]
    assert page.locator("[data-table=stats] td[data-key=count]").all_inner_texts() == counts != []
    names = page.locator("[role=img][aria-label='Who answered'] svg text")
    until(lambda: {"head", "model", "baseline", "fallback"} <= set(names.all_text_contents()), "the chart")
    page.get_by_text("Table: Who answered").click()
    rows = page.get_by_role("region", name="Who answered", exact=True).locator("tbody tr")
    assert rows.count() == 12
    cells = rows.locator(", ".join(f"td[data-key={source}]" for source in ("head", "slot", "original", "fallback")))
    drawn = [int(text) for text in cells.all_inner_texts() if text.isdigit()]
    assert sum(drawn) == sum(map(int, counts))
    page.close()
