"""Answers are read as ElizaOS reads them, without the traps that makes; and written so that every reader agrees."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.decisions.answers import (
    CodingAnswer,
    InvalidAnswer,
    PlanningAnswer,
    ShouldRespondAnswer,
    decision_of,
    escape,
    parse_answer,
    parse_response,
    render_answer,
    strip_thinking,
    unescape,
)

RESPOND = "<response><name>Nova</name><reasoning>asked</reasoning><action>RESPOND</action></response>"
DRAFT = "<response><name>Nova</name><reasoning>draft</reasoning><action>IGNORE</action></response>"

# What an XML 1.0 document may hold and a reader keeps as it is (a carriage return becomes a line feed).
xml_text = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], include_characters="\n\t", exclude_characters="\ufffe\uffff")
).map(str.strip)
capitals = st.text(ascii_uppercase + "_", min_size=1, max_size=16)
names = capitals.filter(lambda name: not name.startswith("_") and name != "IGNORE")


def reason(model_type: str, text: str, **known: tuple[str, ...]) -> str:
    answer = parse_answer(model_type, text, **known)
    assert isinstance(answer, InvalidAnswer), answer
    return answer.reason


@pytest.mark.parametrize(
    "text",
    [
        RESPOND,
        f"```xml\n{RESPOND}\n```",
        f"Sure!\n{RESPOND}\nHope that helps {DRAFT}",
        f"<think>let me see {DRAFT} no</think>\n{RESPOND}",
        f"<think>\n{DRAFT}\n<think>again</think>\n</think>\n\n{RESPOND}",
        f"Let me see. {DRAFT} No.\n</think>\n\n{RESPOND}",
        f"{DRAFT} hm </think>{RESPOND}",
        f"<thinking>{DRAFT}</thinking>{RESPOND}",
        RESPOND.replace("RESPOND", " respond\n"),
        "<answer><name>Nova</name><reasoning>asked</reasoning><action>RESPOND</action></answer>",
    ],
)
def test_a_should_respond_answer_is_found_in_what_models_wrap_around_it(text: str) -> None:
    assert parse_answer("should_respond", text) == ShouldRespondAnswer("Nova", "asked", "RESPOND")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("<think>it never ends", "nothing but thinking"),
        ("I would respond.", "no XML answer"),
        ("<response></response>", "no XML answer"),
        ("<response><name>Nova</name></response>", "no action"),
        ("<response><action>MAYBE</action></response>", "action is none of RESPOND, IGNORE, STOP"),
        ("<response><action>RESPOND | IGNORE | STOP</action></response>", "action is none of RESPOND, IGNORE, STOP"),
        ("<response>" + "x" * 1_000_001, "too long"),
    ],
)
def test_what_is_no_should_respond_answer_says_why(text: str, expected: str) -> None:
    assert reason("should_respond", text) == expected


def test_a_plan_keeps_order_and_text_with_markup() -> None:
    text = (
        "<response>\n  <thought>code &lt;T&gt; &amp; more</thought>\n  <actions>REPLY, FOLLOW_ROOM,</actions>\n"
        "  <providers></providers>\n  <text>Here:\n```ts\nfunction f<T>(x: T[]) { return x < 3 && 'a' }\n```</text>\n"
        "</response>"
    )
    assert parse_answer("planning", text) == PlanningAnswer(
        thought="code <T> & more",
        actions=("REPLY", "FOLLOW_ROOM"),
        providers=(),
        text="Here:\n```ts\nfunction f<T>(x: T[]) { return x < 3 && 'a' }\n```",
    )


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ("<actions>REPLY</actions>", "no thought"),
        ("<thought>t</thought><actions> , </actions>", "no actions"),
        ("<thought>t</thought><actions>REPLY,IGNORE</actions>", "IGNORE beside other actions"),
        ("<thought>t</thought><actions>FLY</actions>", "an action the prompt does not offer"),
        (
            "<thought>t</thought><actions>REPLY</actions><providers>NEWS</providers>",
            "a provider the prompt does not offer",
        ),
    ],
)
def test_what_is_no_plan_says_why(children: str, expected: str) -> None:
    known = {"known_actions": ("REPLY", "IGNORE"), "known_providers": ("FACTS",)}
    assert reason("planning", f"<response>{children}</response>", **known) == expected


def test_actions_are_matched_as_loosely_as_the_agent_does_and_only_when_known() -> None:
    plan = "<response><thought>t</thought><actions>follow_room</actions></response>"
    assert isinstance(parse_answer("planning", plan, known_actions=["FOLLOWROOM"]), PlanningAnswer)
    assert isinstance(parse_answer("planning", plan), PlanningAnswer)


def test_parameters_of_actions_pass_through_as_they_are() -> None:
    plan = (
        "<response><thought>t</thought><actions>SEND</actions><params><SEND><to>a &amp; b</to></SEND></params>"
        "<text>x</text></response>"
    )
    answer = parse_answer("planning", plan)
    assert isinstance(answer, PlanningAnswer)
    assert answer.params == "<SEND><to>a &amp; b</to></SEND>"
    assert parse_answer("planning", render_answer(answer)) == answer


def test_a_coding_answer_is_explanation_code_and_language_and_stays_as_it_is() -> None:
    text = 'Splits at the tag:\n\n```Python\nprint("</think>".join("<think>"))\n```\nDone.'
    answer = parse_answer("coding", f"<think>hm, ```js\nno\n```</think>\n{text}\n")
    assert answer == CodingAnswer(text, "Splits at the tag:", 'print("</think>".join("<think>"))', "python")
    assert render_answer(answer) == text
    assert parse_answer("coding", "No code needed.") == CodingAnswer("No code needed.", "", "", "")


def test_decisions_are_counted_by_few_words() -> None:
    assert decision_of(ShouldRespondAnswer("", "", "STOP")) == "STOP"
    assert decision_of(PlanningAnswer("t", ("REPLY", "MUTE_ROOM"), (), "")) == "REPLY,MUTE_ROOM"
    assert decision_of(CodingAnswer("", "", "x", "rust")) == "rust"
    assert decision_of(CodingAnswer("", "", "x", "")) == "code"
    assert decision_of(CodingAnswer("hi", "", "", "")) == "prose"


def test_codes_are_echoed_before_the_answer() -> None:
    written = render_answer(ShouldRespondAnswer("Nova", "r", "STOP"), {"one_initial_code": "aaa"})
    assert parse_response(written) == {"one_initial_code": "aaa", "name": "Nova", "reasoning": "r", "action": "STOP"}


@given(st.text())
def test_escaping_is_undone_by_unescaping(value: str) -> None:
    assert unescape(escape(value)) == value
    assert not set(escape(value)) & set("<>")


def test_quotes_stay_as_they_are_for_who_sees_the_text_streaming() -> None:
    assert escape('I\'m "here" & <there>') == 'I\'m "here" &amp; &lt;there&gt;'


@given(name=xml_text, reasoning=xml_text, action=st.sampled_from(["RESPOND", "IGNORE", "STOP"]))
def test_a_written_should_respond_answer_reads_back_the_same_here_and_in_any_xml_reader(
    name: str, reasoning: str, action: str
) -> None:
    answer = ShouldRespondAnswer(name, reasoning, action)
    written = render_answer(answer)
    assert parse_answer("should_respond", written) == answer
    tree = ElementTree.fromstring(written)
    assert [(child.tag, (child.text or "").strip()) for child in tree] == [
        ("name", name),
        ("reasoning", reasoning),
        ("action", action),
    ]


@given(thought=xml_text.filter(bool), actions=st.lists(names, min_size=1), providers=st.lists(names), text=xml_text)
def test_a_written_plan_reads_back_the_same_and_text_comes_last(
    thought: str, actions: list[str], providers: list[str], text: str
) -> None:
    answer = PlanningAnswer(thought, tuple(actions), tuple(providers), text)
    written = render_answer(answer)
    assert parse_answer("planning", written) == answer
    assert [child.tag for child in ElementTree.fromstring(written)] == ["thought", "actions", "providers", "text"]


pieces = st.sampled_from(["<think>", "</think>", "<response>", "</response>", "<a>", "</a>", "x", "\n", "```"])


@given(st.lists(pieces).map("".join))
def test_thinking_is_gone_after_one_pass_and_no_answer_breaks_the_reader(text: str) -> None:
    stripped = strip_thinking(text)
    assert strip_thinking(stripped) == stripped
    assert not stripped.startswith("<think>")
    for model_type in ("should_respond", "planning", "coding"):
        parse_answer(model_type, text)
