"""A review of ten decisions by keys alone: each label is in the log before the next decision is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.dashboard.conftest import Program, Server, open_page
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

KEYS = ("a", "r", "a", "1", "a", "2", "r", "a", "3", "a")


def chosen(page: Page) -> Locator:
    """The decision that is shown, once those of one type are."""
    page.get_by_label("type").select_option("should_respond")
    page.wait_for_selector("[data-decision][data-chosen=should_respond]")  # not what was shown before
    return page.locator("[data-decision]")


def test_ten_decisions_are_reviewed_by_keys(page: Page, server: Server, program: Program) -> None:
    open_page(page, server, "/review")
    shown = chosen(page)
    page.locator("body").click(position={"x": 5, "y": 5})
    before = len(program.json("data", "labels", "--limit", "1000"))
    labelled = []
    for key in KEYS:
        sample = shown.get_attribute("data-decision")
        page.keyboard.press(key)
        until(lambda sample=sample: shown.get_attribute("data-decision") != sample, "the next decision")
        labelled.append(sample)
    changes = program.json("data", "labels", "--limit", "1000")
    assert len(changes) - before == len(KEYS)
    made = {each["id"]: each["label"] for each in changes}
    assert [made[sample] for sample in labelled][:3] == ["good", "bad", "good"]
    for sample, key in zip(labelled, KEYS, strict=True):
        if key in "123":
            decided = program.json("data", "show", sample)[0]
            action = ("RESPOND", "IGNORE", "STOP")[int(key) - 1]
            if decided["label"] == "corrected":
                assert decided["corrected_answer"]["action"] == action
            else:  # what was decided already is accepted
                assert decided["answer"]["action"] == action
    page.keyboard.press("u")
    until(lambda: shown.get_attribute("data-decision") == labelled[-1], "the last one again")
    assert program.json("data", "show", labelled[-1])[0]["label"] is None
    assert "Labelled here: " in page.locator("[data-part=progress]").inner_text()


def test_an_answer_is_edited_and_refused_where_the_agent_could_not_use_it(
    page: Page, server: Server, program: Program
) -> None:
    open_page(page, server, "/review")
    shown = chosen(page)
    sample = shown.get_attribute("data-decision")
    page.keyboard.press("e")
    page.get_by_role("button", name="Leave it").click()
    page.get_by_label("the answer as it should have been").wait_for(state="detached")
    page.get_by_role("button", name="Edit …").click()
    page.get_by_label("the answer as it should have been").fill("no answer at all")
    page.get_by_role("button", name="Store it").click()
    page.wait_for_selector(".said.bad-end")
    assert program.json("data", "show", str(sample))[0]["label"] is None
    right = "<response><name>Ada</name><reasoning>said so</reasoning><action>STOP</action></response>"
    page.get_by_label("the answer as it should have been").fill(right)
    page.get_by_role("button", name="Store it").click()
    until(lambda: shown.get_attribute("data-decision") != sample, "the next decision")
    assert program.json("data", "show", str(sample))[0]["corrected_answer"]["action"] == "STOP"


def test_buttons_do_what_the_keys_do(page: Page, server: Server, program: Program) -> None:
    """Each label by its button, taken back again; a key leads to the first of the actions that may be picked."""
    open_page(page, server, "/review")
    page.get_by_label("type").select_option("planning")
    page.wait_for_selector("[data-decision][data-chosen=planning]")
    shown = page.locator("[data-decision]")
    decisions = page.locator("[data-part=decisions] button")

    def label_of(sample: str | None) -> str | None:
        found: str | None = program.json("data", "show", str(sample))[0]["label"]
        return found

    for click, label in (("Accept", "good"), ("Reject", "bad"), (None, "corrected"), ("Skip", None)):
        sample = shown.get_attribute("data-decision")
        if click is None:
            page.locator("body").click(position={"x": 5, "y": 5})
            page.keyboard.press("p")
            until(lambda: decisions.first.evaluate("each => each === document.activeElement"), "the first action")
            page.keyboard.press("Enter")
        else:
            page.get_by_role("button", name=click, exact=True).click()
        until(lambda sample=sample: shown.get_attribute("data-decision") != sample, "the next decision")
        if label is None:
            assert label_of(sample) is None
            continue
        # What was decided already is accepted.
        assert label_of(sample) in (label, "good")
        page.get_by_role("button", name="Undo", exact=True).click()
        until(lambda sample=sample: shown.get_attribute("data-decision") == sample, "it again")
        assert label_of(sample) is None
