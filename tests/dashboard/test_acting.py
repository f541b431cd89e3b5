"""What is done from the page: asked about once with object and price, by the command that does it, and never twice."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from reasoning_cli.dashboard.acts import Acts, Wish, agreed
from reasoning_cli.dashboard.program import Outcome
from reasoning_cli.store.open import open_store
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.terminal.units import money
from tests.dashboard.conftest import (
    BUDGET_CENTS,
    PATIENCE_MS,
    Program,
    Server,
    end,
    open_page,
    run_apart,
    serve,
    violations,
)
from tests.dashboard.test_pages import PAGES
from tests.dashboard.world import put_loop
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page


def row(page: Page, name: str) -> Locator:
    return page.locator("[data-table=status] tbody tr", has_text=name).first


def setting(page: Page, name: str) -> Locator:
    return page.locator("[data-table=settings] tbody tr", has=page.get_by_text(name, exact=True))


def said(page: Page) -> str:
    """How the last action ended."""
    until(
        lambda: (
            "under way" not in (page.locator(".said").inner_text() if page.locator(".said").count() else "under way")
        ),
        "its end",
    )
    return page.locator(".said").inner_text()


def state(program: Program, name: str) -> str:
    return next(str(each["state"]) for each in program.json("models", "status") if each["name"] == name)


def waiting_loop(program: Program, model_type: str, line: str) -> None:
    """A type that trains itself, with a candidate that waits for a yes."""
    with open_store(program.place, "sandbox") as store:
        put_loop(store, model_type, "waiting", line)


def answer_once(program: Program, model_type: str) -> None:
    """One decision that the candidate answers in its step, as a gateway writes it down."""
    with open_store(program.place, "sandbox") as store:
        promotions = Promotions(store)

        def begun() -> bool:
            latest = promotions.latest(model_type)
            return latest is not None and latest.step_at is not None

        until(begun, "its step", seconds=PATIENCE_MS / 1000)
        promotion = promotions.latest(model_type)
        assert promotion is not None and promotion.step_at is not None
        sample = Sample(
            f"{promotion.number:032x}",
            promotion.step_at + timedelta(milliseconds=1),
            model_type,
            promotion.model,
            "slot",
            "gateway",
            "write it",
            "print(1)",
            latency_ms=5,
            metadata={"deployment": promotion.model_key},
        )
        Samples(store).insert_many([sample])


# --- without a browser ---


def test_one_thing_at_a_time_is_done_to_an_object() -> None:
    going, ran = threading.Event(), []

    def run(*words: str, stdin: str | None = None) -> Outcome:
        ran.append(words)
        going.wait(10)
        return Outcome(True, "done")

    async def twice() -> list[Outcome]:
        acts = Acts(run)
        first = asyncio.create_task(acts.do(Wish("model a", ("models", "stop", "a"))))
        await asyncio.sleep(0)
        second = await acts.do(Wish("model a", ("models", "stop", "a")))
        going.set()
        return [await first, second]

    first, second = run_apart(twice())
    assert (first.done, second.done, len(ran)) == (True, False, 1)
    assert "under way already" in second.text


def test_a_plan_is_the_same_while_only_time_passes() -> None:
    plan = {"name": "a", "state": "READY", "budget_left_cents": 10}
    assert agreed({**plan, "budget_left_cents": 9}) == agreed(plan)
    assert agreed({**plan, "state": "STOPPED"}) != agreed(plan)


def test_what_goes_back_is_the_last_promotion_of_its_type_alone() -> None:
    pytest.importorskip("nicegui")
    from reasoning_cli.dashboard.pages.train import newest_promotions

    rows = [{"model_type": "planning", "promotion": number, "state": "promoted"} for number in (None, 3, 1)] + [
        {"model_type": "coding", "promotion": 2, "state": "promoted"}
    ]
    assert newest_promotions(rows) == {"planning": 3, "coding": 2}


# --- in the browser ---


def test_a_stop_names_its_object_and_price_and_a_no_changes_nothing(
    page: Page, server: Server, program: Program
) -> None:
    open_page(page, server, "/")
    row(page, "planning").get_by_role("button", name="Stop").click()
    asked = page.locator(".ask")
    asked.wait_for()
    text = asked.inner_text()
    price = next(each["burn_cents_per_hour"] for each in program.json("status") if each["name"] == "planning")
    assert "planning" in text and f"saves: {money(price)} an hour" in text
    assert "reasoning --sandbox models stop planning" in text
    assert violations(page) == []
    page.get_by_role("button", name="No", exact=True).click()
    page.wait_for_selector("text=Nothing was changed.")
    assert state(program, "planning") == "READY"


def test_two_tabs_stop_and_start_once(context: BrowserContext, page: Page, server: Server, program: Program) -> None:
    other = context.new_page()
    before = len(program.events("stop"))
    for tab in (page, other):
        open_page(tab, server, "/")
        row(tab, "planning").get_by_role("button", name="Stop").click()
        tab.get_by_role("button", name="Yes", exact=True).wait_for()
    page.get_by_role("button", name="Yes", exact=True).click()
    assert "planning is stopped" in said(page)
    other.get_by_role("button", name="Yes", exact=True).click()
    other.wait_for_selector("text=no longer as it was when you were asked")
    assert state(program, "planning") == "STOPPED"
    assert len(program.events("stop")) == before + 1
    other.close()
    row(page, "planning").get_by_role("button", name="Start").click()
    asked = page.locator(".ask")
    asked.wait_for()
    assert "an hour while ready" in asked.inner_text()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_selector(".said:has-text('on its way')")
    until(lambda: state(program, "planning") == "READY", "the model", seconds=PATIENCE_MS / 1000)


def test_all_are_stopped_by_one_yes(
    page: Page, server: Server, program: Program, request: pytest.FixtureRequest
) -> None:
    def start() -> None:
        for name in ("planning", "should-respond"):
            program.must("models", "start", name, "--yes")

    request.addfinalizer(start)
    open_page(page, server, "/")
    page.get_by_role("button", name="Stop all").click()
    asked = page.locator(".ask")
    asked.wait_for()
    assert all(name in asked.inner_text() for name in ("planning", "should-respond"))
    page.get_by_role("button", name="Yes", exact=True).click()
    said(page)
    assert [state(program, name) for name in ("planning", "should_respond")] == ["STOPPED", "STOPPED"]
    until(lambda: row(page, "planning").get_by_role("button", name="Start").count() == 1, "the page's next look")


def test_what_is_on_its_way_into_its_slot_is_rolled_back(page: Page, server: Server, program: Program) -> None:
    """Forced against its gate, it is under way like any other."""
    shipped = "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond"
    left = program.run("train", "promote", "should-respond", "--to", shipped, "--force", "--yes", "--timeout", "1s")
    assert "it goes on at Together" in left.stderr
    open_page(page, server, "/")
    page.wait_for_selector(f"li:has-text('{shipped} into should-respond: begun, forced')")
    open_page(page, server, "/train")
    page.locator("[data-table=history] tbody tr", has_text="begun, forced").get_by_role(
        "button", name="Refuse, go back"
    ).click()
    asked = page.locator(".ask")
    asked.wait_for()
    assert shipped in asked.inner_text()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_selector(".said:has-text('answers should-respond again')")
    page.wait_for_selector("[data-table=history] tr:has-text('sent back, forced')")
    assert program.json("train", "history")[0]["state"] == "sent back, forced"


def test_a_yes_promotes_and_another_one_takes_back_what_is_finished(
    page: Page, server: Server, program: Program
) -> None:
    """From what waits for a yes, through its gate's step, to what answered before."""
    candidate = "Qwen/Qwen3-8B"
    begin = ("train", "promote", "coding", "--to", candidate, "--mode", "live", "--hold-decisions", "1")
    left = program.run(*begin, "--force", "--yes", "--timeout", "1s")
    assert "it goes on at Together" in left.stderr

    def is_up() -> bool:
        return any(row["model"] == candidate and row["state"] == "READY" for row in program.json("status"))

    until(is_up, "the candidate")
    waiting_loop(program, "coding", f"{candidate} waits for a person")
    open_page(page, server, "/train")
    loop = page.locator("[data-table=loops] tbody tr", has_text="coding")
    history = page.locator("[data-table=history] tbody tr", has_text=candidate)
    loop.get_by_role("button", name="Approve").click()
    asked = page.locator(".ask")
    asked.wait_for()
    assert candidate in asked.inner_text() and "cost: nothing more: it is up already" in asked.inner_text()
    page.get_by_role("button", name="Yes", exact=True).click()
    answer_once(program, "coding")
    page.wait_for_selector(f".said:has-text('{candidate} answers coding.')")
    history.filter(has_text="promoted, forced").wait_for()
    history.get_by_role("button", name="Gate").click()
    page.get_by_role("region", name="Its rules").get_by_text("an evaluation").wait_for()
    assert "against the gate" in page.inner_text("body")
    history.get_by_role("button", name="Roll back").click()
    asked.wait_for()
    assert "back to: the original" in asked.inner_text() and f"{candidate} is stopped" in asked.inner_text()
    assert "train rollback coding" in asked.inner_text()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_selector(f".said:has-text('the original answers coding again; {candidate} is gone.')")
    history.filter(has_text="taken back").wait_for()
    assert history.get_by_role("button", name="Roll back").count() == 0
    latest = next(each for each in program.json("train", "history") if each["model"] == candidate)
    assert (latest["state"], state(program, "coding")) == ("taken back", "off")
    event = program.events("roll_back")[0]
    assert (event["subject"], event["detail"]["to"]) == ("coding", "the original")
    loop.get_by_role("button", name="Switch off").click()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_selector(".said:has-text('trains itself no longer')")
    assert program.json("train", "auto") == []


def test_a_budget_is_set_once_and_put_on_record(
    page: Page, server: Server, program: Program, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: program.must("costs", "set-budget", str(BUDGET_CENTS // 100)))
    before = len(program.events("set_budget"))
    open_page(page, server, "/")
    page.wait_for_selector("[data-fact='report.budget.limit_cents']")
    page.get_by_role("button", name="Budget …").click()
    page.get_by_label("dollars, or none").fill("2500")
    assert violations(page) == []
    page.get_by_role("button", name="Go on …").click()
    page.wait_for_selector("text=Set the budget to $2500?")
    assert f"the budget is ${BUDGET_CENTS // 100}" in page.locator(".ask").inner_text()
    page.get_by_role("button", name="Yes", exact=True).click()
    assert "budget: " in said(page)
    assert program.json("costs", "report", "--offline")["budget"]["limit_cents"] == 250_000
    page.wait_for_selector("[data-fact='report.budget.limit_cents'][data-value='250000']")
    event, *earlier = program.events("set_budget")
    assert (event["actor"], len(earlier)) == ("operator", before)


def test_a_cap_and_the_budget_of_a_type_are_set_from_money(
    page: Page, server: Server, program: Program, request: pytest.FixtureRequest
) -> None:
    def unset() -> None:
        for name in ("budget.max_cost_per_hour_usd", "coding.budget_usd"):
            program.must("config", "unset", name)

    request.addfinalizer(unset)
    open_page(page, server, "/money")
    for whose, amount, question, name in (
        ("an hour", "60", "Let everything running cost $60 an hour?", "budget.max_cost_per_hour_usd"),
        ("coding", "40", "Set the budget for coding to $40?", "coding.budget_usd"),
    ):
        page.get_by_role("button", name="Budget or cap …").click()
        page.get_by_label("for").select_option(label=whose)
        page.get_by_label("dollars, or none").fill(amount)
        page.get_by_role("button", name="Go on …").click()
        page.wait_for_selector(f".ask:has-text('{question}')")
        page.get_by_role("button", name="Yes", exact=True).click()
        page.wait_for_selector(f".said:has-text('${amount}.00')")
        assert float({each["name"]: each["value"] for each in program.json("config")}[name]) == float(amount)


def test_what_makes_no_sense_is_said_as_the_command_says_it(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/")
    page.get_by_role("button", name="Budget …").click()
    page.get_by_role("button", name="Leave it").click()
    page.get_by_label("dollars, or none").wait_for(state="detached")
    page.get_by_role("button", name="Budget …").click()
    page.get_by_label("dollars, or none").fill("lots")
    page.get_by_role("button", name="Go on …").click()
    page.get_by_role("button", name="Yes", exact=True).click()
    assert "is not an amount of dollars" in said(page)
    assert program.json("costs", "report", "--offline")["budget"]["limit_cents"] == BUDGET_CENTS


def test_traffic_is_led(page: Page, server: Server, program: Program, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: program.must("models", "enable", "should-respond", "--mode", "live"))
    open_page(page, server, "/")
    known = "live: the model answers"
    for way, share, after in (
        ("canary", "25", (True, "canary", 25)),
        ("shadow", None, (True, "shadow", 25)),
        ("off", None, (False, "shadow", 25)),
    ):
        row(page, "should-respond").get_by_role("button", name="Traffic").click()
        page.get_by_label("its model").select_option(way)
        if share:
            page.get_by_role("spinbutton").fill(share)
        page.get_by_role("button", name="Go on …").click()
        page.wait_for_selector(f".ask:has-text('now: {known}')")  # of this moment, not of when the page was opened
        page.get_by_role("button", name="Yes", exact=True).click()
        shown = {"canary": "canary 25 %", "shadow": "shadow", "off": "disabled"}[way]
        page.wait_for_selector(f"[data-table=status] tr:has-text('should-respond') td:has-text('{shown}')")
        values = {each["name"]: each["value"] for each in program.json("config")}
        assert tuple(values[f"should_respond.{name}"] for name in ("enabled", "mode", "share_percent")) == after
        known = {"canary": "canary: the model", "shadow": "shadow: the baseline", "off": "off: the baseline"}[way]


def test_a_setting_is_checked_as_typed_and_put_on_record(
    page: Page, server: Server, program: Program, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: program.must("config", "unset", "deploy.idle_minutes"))
    open_page(page, server, "/configuration")
    page.get_by_label("find").fill("deploy.idle_minutes")
    page.get_by_role("button", name="Find").click()
    settings = setting(page, "deploy.idle_minutes")
    until(lambda: page.locator("[data-table=settings] tbody tr").count() < 9, "what was sought")
    for value, expected in (("soon", "soon"), ("45", "is 45 now")):
        settings.get_by_role("button", name="Change").click()
        page.get_by_label("value").fill(value)
        page.get_by_role("button", name="Set …", exact=True).click()
        page.get_by_role("button", name="Yes", exact=True).click()
        page.wait_for_selector(f".said:has-text('{expected}')")
    until(lambda: settings.locator("[data-key=value]").inner_text() == "45", "the setting as it is now")
    event = program.events("set")[0]
    assert (event["subject"], event["detail"]["value"]) == ("deploy.idle_minutes", "45")
    until(lambda: "deploy.idle_minutes" in page.locator("[data-table=changes]").inner_text(), "the record")
    for click, after in (("Leave it", None), ("Take it out of the file …", "deploy.idle_minutes is no longer set.")):
        settings.get_by_role("button", name="Change").click()
        page.get_by_role("button", name=click, exact=True).click()
        if after is not None:
            page.get_by_role("button", name="Yes", exact=True).click()
            page.wait_for_selector(f".said:has-text('{after}')")
        page.get_by_label("value").wait_for(state="detached")
    event = program.events("unset")[0]
    assert (event["actor"], event["subject"]) == ("operator", "deploy.idle_minutes")
    (profile,) = program.json("config", "profiles")
    assert profile["name"] in page.locator("[data-table=profiles] tbody tr").inner_text()


def test_the_key_of_the_account_is_typed_hidden_and_the_command_has_the_last_word(
    page: Page, server: Server, program: Program
) -> None:
    """A sandbox has one of its own, and says so."""
    open_page(page, server, "/configuration")
    page.get_by_role("button", name="Set the Together key …").click()
    key = "a-key-that-nobody-sees-0815"
    field = page.get_by_label("key", exact=True)
    assert field.get_attribute("type") == "password"
    field.fill(key)
    page.get_by_role("button", name="Set it …", exact=True).click()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_selector(".said.bad-end:has-text('the sandbox has a key of its own')")
    assert key not in page.content()
    assert key not in program.must("costs", "events")


def test_a_key_can_be_set_and_is_never_shown(
    page: Page, server: Server, program: Program, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: program.must("config", "unset", "gateway.token"))
    token = "a-very-secret-token-4711"
    open_page(page, server, "/configuration")
    page.get_by_label("find").fill("gateway.token")
    page.get_by_role("button", name="Find").click()
    settings = setting(page, "gateway.token")
    until(lambda: page.locator("[data-table=settings] tbody tr").count() < 9, "what was sought")
    settings.get_by_role("button", name="Change").click()
    assert page.get_by_label("value").get_attribute("type") == "password"
    page.get_by_label("value").fill(token)
    page.get_by_role("button", name="Set …", exact=True).click()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_selector(".said:has-text('gateway.token is')")
    page.wait_for_selector("[data-table=changes] tr:has-text('gateway.token')")  # the page was built anew by then
    assert token not in page.content()
    assert token not in program.must("costs", "events")
    assert program.json("config") != []


def test_a_page_that_only_shows_offers_nothing_to_do(browser: Browser, program: Program) -> None:
    watching = serve(program, "--read-only")
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    try:
        page = context.new_page()
        page.goto(watching.links[0])
        page.wait_for_selector("[data-table=status] td")
        assert "only shows" in page.inner_text("body")
        for path, whole in {"/": "[data-table=status] td", **PAGES}.items():
            open_page(page, watching, path)
            page.wait_for_selector(whole)
            names = page.get_by_role("button").all_inner_texts()
            doing = ("Stop", "Start", "Traffic", "Budget", "Accept", "Change", "Set", "Approve", "Roll")
            assert not [name for name in names if name.startswith(doing)], path
    finally:
        context.close()
        end(watching)


def test_what_waits_for_a_yes_is_approved_by_its_gate_or_refused(page: Page, server: Server, program: Program) -> None:
    """The gate that holds it back is said; what is refused trains itself no longer."""
    waiting_loop(program, "should_respond", "run 1 passes the gate; waits for a person")
    open_page(page, server, "/")
    waits = page.locator("[data-part=waits]")
    waits.wait_for()
    assert "should-respond: run 1 passes the gate" in waits.inner_text()
    waits.get_by_role("button", name="Approve").click()
    page.wait_for_selector(".said, .ask")
    planned = program.run("train", "promote", "should-respond", "--dry-run")
    if page.locator(".ask").count():
        assert planned.exit_code == 0
        page.get_by_role("button", name="No", exact=True).click()
    else:
        assert planned.exit_code != 0
        assert (
            planned.stderr.strip().splitlines()[-2].removeprefix("error: ")[:60] in page.locator(".said").inner_text()
        )
    waits.get_by_role("button", name="Refuse").click()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_selector(".said:has-text('trains itself no longer')")
    waits.wait_for(state="detached")
    assert program.json("train", "auto") == []
