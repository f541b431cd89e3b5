"""The plug-in in the runtime itself: never less answered than without it, at each level and however a model fails."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.paths import find_paths
from reasoning_cli.settings import environment
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import Attempts
from tests.elizaos import driving
from tests.elizaos.driving import Driver
from tests.gateway import canned, eliza_py
from tests.gateway.provider import Answering, Handler, Provider, Received
from tests.heads import ruled_head, store_head
from tests.library import own

MODEL_SAYS = "Hello from the model ✨ <3"
MESSAGES = [["GROUP", "Hi Nova! Who are you?"], ["DM", "Write a function. <b>x</b> & y ✨"], ["GROUP", eliza_py.QUOTED]]
OWNER = str(uuid.uuid5(uuid.NAMESPACE_DNS, "alice"))
# How the slots stand, what their model says, who answers, and which sources the log may name.
CASES: dict[str, tuple[dict[str, str], Handler, str, set[str]]] = {
    "off": ({"enabled": "false"}, own.model, eliza_py.ORIGINAL_SAYS, set()),
    "shadow": ({"mode": "shadow"}, own.model, eliza_py.ORIGINAL_SAYS, {"original"}),
    "live": ({}, own.model, MODEL_SAYS, {"slot"}),
    "broken": ({}, own.broken, eliza_py.ORIGINAL_SAYS, {"fallback", "original"}),
    "slow": ({"deadline_ms": "100"}, own.slow, eliza_py.ORIGINAL_SAYS, {"fallback", "original"}),
    "mute": ({"deadline_ms": "100"}, own.mute, eliza_py.ORIGINAL_SAYS, {"fallback", "original"}),
}

# Its environment is the agent's, and what PostgreSQL needs is not installed there.
pytestmark = pytest.mark.sqlite("an agent runs in a Python of its own, without psycopg")


@pytest.fixture(scope="module")
def python() -> Path:
    return driving.python()


@pytest.fixture(scope="module")
def original() -> Iterator[Provider]:
    provider = Provider(original_says)
    yield provider
    provider.close()


@pytest.fixture
def driver(python: Path, model: Provider, original: Provider, tmp_path: Path) -> Iterator[Driver]:
    original.received.clear()
    original.handler = original_says
    with driving.agent(python, tmp_path, original.url) as started:
        yield started


async def original_says(request: Received, answering: Answering) -> None:
    """A good model, which responds to whoever says the agent's name."""
    prompt = canned.last_text(request.json)
    if "whether they should respond" not in prompt[:200]:
        await eliza_py.original(request, answering)
        return
    action = "RESPOND" if "Nova" in prompt.partition("# Current Message")[2].partition("</providers>")[0] else "IGNORE"
    fields = f"<name>Nova</name><reasoning>Hm.</reasoning><action>{action}</action>"
    await answering.whole(200, canned.chat_answer(f"<response>{fields}</response>"))


def planning(action: str) -> Handler:
    """A good model that takes an action."""

    async def handler(request: Received, answering: Answering) -> None:
        fields = f"<thought>Hm.</thought><actions>{action}</actions><providers></providers><text>Yes.</text>"
        text = eliza_py.with_codes(fields, canned.last_text(request.json))
        await answering.whole(200, canned.chat_answer(f"<response>{text}</response>"))

    return handler


def stored() -> list[Sample]:
    with open_store(find_paths(environment()).database) as store:
        return list(Samples(store).iterate())


def test_no_message_goes_unanswered_at_any_level_however_a_model_fails(driver: Driver, model: Provider) -> None:
    for level in eliza_py.LEVELS:
        for name, (settings, handler, says, sources) in CASES.items():
            own.set_all(**{"enabled": "true", "mode": "live", "deadline_ms": "20000"} | settings)
            model.handler = handler
            before = len(stored()) if level != "default" or name != "off" else 0
            placed = driver("start", level=level)["placed"]
            assert placed is (name != "off")
            answers = driver("say_all", messages=MESSAGES)
            assert [answer["answered"] for answer in answers] == [True] * len(MESSAGES), (level, name)
            assert [answer["text"] for answer in answers] == [says] * len(MESSAGES), (level, name)
            assert driver("stop")["clean"], (level, name)
            found = stored()[before:]
            assert {sample.source for sample in found} <= sources, (level, name)
            assert len(found) == (0 if name == "off" else len(MESSAGES)), (level, name)
            assert {sample.feedback for sample in found} <= {"replied"}
            for sample in found:
                assert (sample.agent_name, sample.entity_id) == ("Nova", OWNER)
                assert sample.agent_id and sample.room_id and sample.run_id
            assert len({sample.room_id for sample in found}) == len(found)


def test_a_streamed_answer_is_the_models_or_comes_as_the_original_says_it(driver: Driver, model: Provider) -> None:
    driver("start")
    [answer] = driver("say_all", messages=MESSAGES[:1], way="streamed")
    assert "<text>Hello from the model ✨ &lt;3</text>" in answer["text"]
    model.handler = own.broken
    [answer] = driver("say_all", messages=MESSAGES[:1], way="streamed")
    assert eliza_py.ORIGINAL_SAYS in answer["text"]
    driver("stop")
    assert [(sample.model_type, sample.source) for sample in stored()] == [
        ("planning", "slot"),
        ("planning", "fallback"),
    ]
    with open_store(find_paths(environment()).database) as store:
        assert [attempt.failure for attempt in Attempts(store).of_sample(stored()[1].id)] == ["refused: status 500"]


def test_an_answer_that_is_validated_while_it_streams_goes_through_whole(driver: Driver, model: Provider) -> None:
    for level in eliza_py.LEVELS:
        for handler, says in ((own.model, MODEL_SAYS), (own.nonsense, eliza_py.ORIGINAL_SAYS)):
            model.handler = handler
            driver("start", level=level)
            driver("stream_in")
            answers = driver("say_all", messages=MESSAGES)
            assert [answer["text"] for answer in answers] == [says] * len(MESSAGES), (level, says)
            assert driver("streamed")["chunks"], "the runtime let them through while they came"
            driver("stop")


def test_a_hundred_overrides_under_load_lose_no_call(driver: Driver) -> None:
    driver("start")
    done = driver("storm", times=100, at_once=2)
    assert done["clean"] == 100
    assert done["messages"] > 20
    assert done["answered"] == done["messages"]
    assert driver("stop")["clean"]


def test_the_owner_switches_by_a_sentence_and_a_stranger_does_not(driver: Driver, original: Provider) -> None:
    def said(sentence: str, who: str = "alice") -> str:
        return str(driver("say", text=sentence, who=who, room=f"room of {who}")["said"][-1])

    driver("start", settings={"REASONING_OWNERS": f"{uuid.uuid4()}, {OWNER.upper()}"})
    assert driver("say", text="Hi")["text"] == MODEL_SAYS
    for action in ("ENABLE_REASONING_SERVICE", "TURN_OFF_REASONING", "CHECK_REASONING_STATUS"):
        original.handler = planning(action)  # which the agent's own model falls for
        assert said("disable custom reasoning", "mallory").startswith("Only my owners may ask that; REASONING_OWNERS")
    original.handler = original_says
    assert driver("say", text="Hi")["text"] == MODEL_SAYS

    status = said("How is custom reasoning doing?")
    assert "planning: acme/model answers, 2 of 5 decisions since the agent started." in status
    assert status.endswith("5 samples in the log.")
    asked = len(original.received)
    off = said("Turn it off again!")
    assert len(original.received) == asked, "no model is asked who might not see what is meant"
    assert off.startswith("Custom reasoning is off for should-respond, planning, coding.\n")
    assert "planning is off: the slot is disabled; the agent's own model decides." in off
    assert driver("look") == {"placed": False, "clean": True}
    assert driver("say", text="Hi")["text"] == eliza_py.ORIGINAL_SAYS
    driver("stop")

    assert driver("start", owners=[OWNER])["placed"] is False, "it is off after a restart"
    original.handler = planning("ENABLE_CUSTOM_REASONING")  # by a simile
    assert "planning: acme/model answers." in said("enable custom reasoning")
    original.handler = original_says
    assert driver("look")["placed"]
    assert driver("say", text="Hi")["text"] == MODEL_SAYS
    assert "planning is off" in said("turn off reasoning for planning")
    assert driver("say", text="Hi")["text"] == eliza_py.ORIGINAL_SAYS
    assert "planning: acme/model answers" in said("enable reasoning for planning")
    driver("stop")
    assert driver("start")["placed"], "it is on after a restart"
    driver("stop")
    with open_store(find_paths(environment()).database) as store:
        events = [(event.action, event.subject, event.detail.get("asked_by")) for event in Events(store).list(limit=20)]
    assert ("disable", "coding", OWNER) in events and ("enable", "planning", OWNER) in events


def test_who_switches_elsewhere_is_followed(driver: Driver) -> None:
    driver("start")
    own.set_all(enabled="false")
    assert driver("look") == {"placed": False, "clean": True}
    own.set_all(enabled="true")
    assert driver("look")["placed"]
    driver("stop")


def test_should_respond_is_asked_in_groups_where_it_is_wanted(driver: Driver, model: Provider) -> None:
    own.write({"should_respond.enabled": "false"})
    driver("start", add_should_respond=True)
    assert driver("say", text="Ben, how was the game?", kind="GROUP") == {"answered": False, "text": None, "said": []}
    assert driver("say", text="Nova, how was the game?", kind="GROUP")["text"] == MODEL_SAYS
    assert driver("say", text="How was the game?", kind="DM")["text"] == MODEL_SAYS
    driver("stop")
    assert [(sample.model_type, sample.decision, sample.feedback) for sample in stored()] == [
        ("should_respond", "IGNORE", "silent"),
        ("should_respond", "RESPOND", None),
        ("planning", "REPLY", "replied"),
        ("planning", "REPLY", "replied"),
    ]
    first, second, third, _ = stored()
    assert second.run_id == third.run_id != first.run_id


def test_a_head_in_line_decides_what_it_is_sure_of_and_leaves_the_rest(
    driver: Driver, original: Provider, model: Provider, home: Path
) -> None:
    head = ruled_head("Nova")
    store_head(home, head)
    own.write(
        {
            "should_respond.line": "head",
            "should_respond.head": head.name,
            "should_respond.head_mode": "live",
            "should_respond.audit_percent": "1",
        }
    )
    driver("start", add_should_respond=True)
    said = [driver("say", text="Ben, how was the game?", kind="GROUP")["answered"] for _ in range(3)]
    assert said == [False, False, False]
    assert driver("say", text="Nova, how was the game?", kind="GROUP")["text"] == MODEL_SAYS
    driver("stop")
    decided = [(sample.decision, sample.model) for sample in stored() if sample.model_type == "should_respond"]
    assert [decision for decision, _ in decided] == ["IGNORE", "IGNORE", "IGNORE", "RESPOND"]
    by_head = [decision for decision, name in decided if name == f"head/{head.name}"]
    assert by_head
    assert {*by_head} == {"IGNORE"}, "whom it names is for the baseline"


def test_an_agent_whose_settings_cannot_be_read_answers_without_us(driver: Driver, original: Provider) -> None:
    paths = find_paths(environment())
    paths.config_file.write_text("planning = [", encoding="utf-8")
    assert driver("start", owners=[OWNER])["placed"] is False
    assert driver("say", text="Hi")["text"] == eliza_py.ORIGINAL_SAYS
    original.handler = planning("CHECK_REASONING_STATUS")
    assert driver("say", text="How is it doing?")["said"][-1].startswith("Custom reasoning could not be started: ")
    driver("stop")
